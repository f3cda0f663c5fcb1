// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cli/server_settings.h"
#include "io/env.h"

namespace fb::bss {
struct ScrubReport;
}

namespace fb {

// What a person wants to know once requests are served.
struct ServerReady {
  std::string url;
  std::string mgmt_url;
  std::string data_dir;
  std::string device;            // empty: none
  std::string credentials_path;  // empty where they came from the environment
  std::string access_key;
  Secret secret_key;
  bool credentials_made_now = false;
};

// All services in one process: namespace, blobs, registry and S3, on the cores of one runtime. The same
// object runs in the simulator: nothing here touches the world but through Env.
//
//   Server server(settings);
//   on each core:  co_await server.run_core(env);     returns when a signal, or stop(), has ended the server
//
// Core 0 opens the store, starts the others, and stops them in the opposite order. Where the start fails,
// every core returns and failure() says why in a sentence.
class Server {
 public:
  Server(ServerSettings settings, std::function<void(const ServerReady&)> on_ready);
  ~Server();
  Server(const Server&) = delete;

  Task<void> run_core(Env& env);
  // Empty where the server started and stopped in order.
  const std::string& failure() const { return failure_; }

 private:
  struct Core;
  struct Shared;

  void warn_of_exposure(Env& env) const;
  Task<void> run_first_core(Env& env);
  Task<ConfigResult<void>> start(Env& env);
  Task<ConfigResult<void>> start_store(Env& env);
  Task<ConfigResult<void>> open_namespace(Env& env);
  Task<void> choose_durability(Env& env);
  Task<ConfigResult<void>> start_core(Env& env);
  Task<ConfigResult<void>> prepare_tier(Env& env);
  Task<ConfigResult<void>> start_background(Env& env);
  Task<std::string> tier_state(Env& env);
  Task<ConfigResult<void>> start_listening(Env& env);
  Task<ConfigResult<void>> make_buckets(Env& env);
  Task<void> serve_until_stopped(Env& env);
  Task<void> reload_certificates(Env& env);
  Task<void> stop(Env& env);
  Task<std::string> check(Env& env);
  Task<std::string> scrub(Env& env);
  static Task<void> scrub_core(Server& self, Env& env, unsigned core, bss::ScrubReport* report);
  Task<std::string> collect_metrics(Env& env);
  template <class Function>
  Task<ConfigResult<void>> on_each_core(Env& env, Function function);
  Core& core_of(Env& env);
  bool has_tier() const { return !settings_.tier.options.bucket.empty(); }

  ServerSettings settings_;
  std::function<void(const ServerReady&)> on_ready_;
  std::unique_ptr<Shared> shared_;
  std::string failure_;
};

// Runs a server on real cores until it is told to stop.
ConfigResult<void> serve(const ServerSettings& settings, std::function<void(const ServerReady&)> on_ready);

}  // namespace fb
