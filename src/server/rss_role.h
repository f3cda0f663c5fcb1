// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "nss/partition_front.h"
#include "rss/embedded_registry.h"
#include "server/data_directory.h"
#include "server/settings.h"

namespace fb {

// The root account: one owner until there are more keys. Canonical user ids are 64 hexadecimal digits.
inline constexpr std::string_view kRootOwner =
    "f2ac7a1b17500000000000000000000000000000000000000000000000000001";

// The root service of this machine: buckets and the root key, in the system tree of its namespace.
//
//   open()          core 0    the root key, from the settings or from the data directory
//   start()         each core core 0 first
//   make_buckets()  core 0    makes the buckets that the settings name
//   close()         each core core 0 last; before the namespace's fronts
//   release()       each core
class RssRole {
 public:
  explicit RssRole(const ServerSettings& settings);

  Task<ConfigResult<void>> open(Env& env, const DataDirectory& directory);
  Task<ConfigResult<void>> start(Env& env, PartitionFront& names);
  Task<ConfigResult<void>> make_buckets(Env& env);
  Task<void> close(Env& env);
  void release(Env& env) { registries_[env.core()].reset(); }

  RootClient& root(Env& env) { return *registries_[env.core()]; }
  const KeyInfo& root_key() const { return keys_.front(); }
  // The secret of a key that open() has just made, for the person who starts the server; else nothing.
  const std::optional<DataDirectory::Credentials>& found() const { return found_; }

 private:
  const ServerSettings& settings_;
  std::vector<KeyInfo> keys_;
  std::optional<DataDirectory::Credentials> found_;  // in the data directory
  EmbeddedRegistryGroup group_;
  std::vector<std::unique_ptr<EmbeddedRegistry>> registries_;  // by core; made and destroyed there
};

}  // namespace fb
