// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/env.h"
#include "server/settings.h"

namespace fb {

// Facts for the person who started the server, once requests are served.
struct ServerReady {
  std::string url;
  std::string mgmt_url;
  std::string data_dir;
  std::string device;            // empty: none
  std::string credentials_path;  // empty if they came from the environment
  std::string access_key;
  Secret secret_key;
  bool credentials_made_now = false;
};

// All services in one process, on the cores of one runtime: this class composes the roles (bss, nss, rss,
// api) and the management port. The same object runs in the simulator: everything here touches the world only
// through Env.
//
// Core 0 opens the store, starts the others, and stops them in the opposite order. If the start fails, every
// core returns and failure() says why in a sentence.
class Server {
 public:
  Server(ServerSettings settings, std::function<void(const ServerReady&)> on_ready);
  ~Server();
  Server(const Server&) = delete;

  Task<void> run_core(Env& env);
  // Empty if the server started and stopped in order.
  const std::string& failure() const { return failure_; }

 private:
  struct Waiting;  // a core other than 0
  struct Process;

  void warn_of_exposure(Env& env) const;
  Task<void> run_first_core(Env& env);
  Task<ConfigResult<void>> start(Env& env);
  Task<ConfigResult<void>> open_store(Env& env);
  Task<ConfigResult<void>> start_core(Env& env);
  Task<ConfigResult<void>> start_background(Env& env);
  Task<void> serve_until_stopped(Env& env);
  Task<void> stop(Env& env);
  Task<void> close_store(Env& env);
  ServerReady ready() const;
  template <class Function>
  Task<void> on_each_core_downwards(Env& env, Function function);

  ServerSettings settings_;
  std::function<void(const ServerReady&)> on_ready_;
  std::unique_ptr<Process> process_;
  std::vector<std::unique_ptr<Waiting>> waiting_;  // by core
  std::string failure_;
};

// Runs a server on real cores until it is told to stop.
ConfigResult<void> serve(const ServerSettings& settings, std::function<void(const ServerReady&)> on_ready);

}  // namespace fb
