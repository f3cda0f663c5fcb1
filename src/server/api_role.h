// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "admin/metrics.h"
#include "client/blob_client.h"
#include "client/root_client.h"
#include "nss/partition_front.h"
#include "server/data_directory.h"
#include "server/settings.h"
#include "tier/tier.h"

namespace fb {

// The services that answer one core's requests. All belong to that core; they outlive the role's part there.
struct CoreServices {
  NamespaceClient& names;
  BlobClient& blobs;
  RootClient& root;
  Incarnation incarnation;  // blobs are written under it
};

// S3 over HTTP, and the cloud bucket for large objects.
//
//   open()       core 0    completes the settings from the data directory
//   start()      each core TLS, cloud, operations
//   start_tier() core 0    checks the cloud bucket; a message: the server must not start
//   listen()     core 0    all cores accept
//   stop()       each core accepts no more; requests have until kStopGrace
//   drain()      each core until the last request has been answered
//   stop_tier()  core 0    ends all waits for the cloud, then erases blobs that no record names
//   close()      each core when the namespace no longer frees blobs
//   release()    each core
class ApiRole {
 public:
  // `settings` outlives it; open() completes them.
  explicit ApiRole(ServerSettings& settings);
  ~ApiRole();

  Task<ConfigResult<void>> open(Env& env, const DataDirectory& directory);
  Task<ConfigResult<void>> start(Env& env, const CoreServices& services);
  Task<ConfigResult<void>> start_tier(Env& env, BlobClient& blobs, Incarnation incarnation);
  Task<ConfigResult<void>> listen(Env& env);
  Task<void> reload_certificates(Env& env);
  void stop(Env& env);
  Task<void> drain(Env& env);
  // Returns whether all blobs that no record names have been erased.
  Task<bool> stop_tier(Env& env);
  Task<void> close(Env& env);
  void release(Env& env);

  // The URL at which clients reach it: "http://127.0.0.1:8080". Valid after listen().
  const std::string& url() const { return url_; }
  // All blobs, those in the cloud included; null without a cloud bucket. On core 0, after start_tier().
  BlobClient* tiered_blobs() { return tier_ ? &tier_->blobs() : nullptr; }
  tier::GuardState tier_guard() const { return tier_shared_.guard.load(); }
  // The state in one word, for /health; empty without a cloud bucket.
  Task<std::string> tier_state(Env& env);
  // Called on that core.
  void add_to(Env& env, ServerCounters& counters);

 private:
  struct Core;
  Core& core_of(Env& env) { return *cores_[env.core()]; }
  Task<ConfigResult<void>> load_certificate(Env& env);
  Task<Result<void>> erase(Env& env, const CallContext& context, std::span<const BlobExtent> extents);

  ServerSettings& settings_;
  tier::TierShared tier_shared_;
  std::unique_ptr<tier::Tier> tier_;
  std::string url_;
  std::vector<std::unique_ptr<Core>> cores_;  // by core; made and destroyed there
};

// The reason, for people, why nothing can listen at `endpoint`.
std::string listen_problem(const Endpoint& endpoint, std::string_view flag, const Error& error);

}  // namespace fb
