// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "io/sim/sim_node.h"
#include "s3_client.h"
#include "server/store_tuning.h"
#include "world.h"

namespace fb::sim {

// Credentials that the simulated server is given.
inline const S3Identity kIdentity{.access_key = "AKIASIMULATION000000",
                                  .secret = "simulated-secret-simulated-secret-000000"};

// The cloud: what it is called, and what is kept in it.
inline constexpr const char* kCloudHost = "cloud.test";
inline constexpr const char* kCloudBucket = "cloud-bucket";
inline constexpr const char* kCloudPrefix = "tier/";

inline constexpr const char* kStoreDirectory = "/store";
inline constexpr const char* kStoreDevice = "/device";

// Whether the drive of this seed has power-loss protection; the server is then told to rely on it.
inline bool has_protected_drive(uint64_t seed) { return seed % 5 == 4; }

// Whether the store of this seed is on a device instead of in folders. Not where files of one kind are to be
// told from others.
inline bool is_on_device(uint64_t seed, Plan plan) { return seed % 9 == 5 && !plan.loses(); }

// One process of the whole server as it ships, with limits so small that checkpoints, trims and compaction
// happen all the time. The seed chooses among sets of limits.
// With `cloud`, objects that are not small go to a bucket of the server at kCloudHost.
SimNode::Main make_server_main(uint64_t seed, bool on_device, bool cloud);
// How that process's store is to be opened where it does not run.
StoreTuning tuning_of(uint64_t seed);
inline constexpr uint64_t kNamespaceMemoryBytes = 2 * kMiB;  // fewer pages than are in use
// That server.
SimNode::Main make_cloud_main();

}  // namespace fb::sim
