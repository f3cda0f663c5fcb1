// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "nss/partition_front.h"
#include "server/settings.h"

namespace fb {

// The namespace of this machine: one partition. Every core reads and changes it through a front of its own.
//
//   open()              core 0    over the pages and the journal
//   start()             each core opens its front, which puts large records into `blobs` of that core
//   start_background()  core 0    frees garbage, sweeps, compacts: in all blobs, those of the cloud included
//   close()             each core when nobody calls its front any more
//   close_partition()   core 0    after every close(): the last checkpoint
//   release()           each core last
class NssRole {
 public:
  explicit NssRole(const ServerSettings& settings);

  // `clients` outlive it.
  Task<ConfigResult<void>> open(Env& env, const MetadataClients& clients, const std::string& directory);
  Task<void> start(Env& env, BlobClient& blobs);
  void start_background(BlobClient& blobs) { partition_->start_background(blobs); }
  Task<void> close(Env& env);
  // `unnamed_left`: this process leaves blobs that no record names. The next start sweeps.
  Task<void> close_partition(Env& env, bool unnamed_left);
  void release(Env& env);

  PartitionFront& names(Env& env) { return *fronts_[env.core()]; }
  Partition& partition() { return *partition_; }
  Incarnation incarnation() const { return partition_->incarnation(); }

 private:
  const ServerSettings& settings_;
  std::unique_ptr<Partition> partition_;
  std::vector<std::unique_ptr<PartitionFront>> fronts_;  // by core; made and destroyed there
};

}  // namespace fb
