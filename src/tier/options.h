// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "base/units.h"
#include "client/types.h"
#include "http/outbound_pool.h"

namespace fb::tier {

// The content sent in one request, and held until the cloud has acknowledged it.
inline constexpr uint64_t kUploadPieceBytes = 8 * kMiB;
// Pieces of one upload on their way at a time.
inline constexpr uint64_t kPiecesInFlightMax = 4;

// A request is repeated within this time plus the time its body takes at kBodyBytesPerSecondMin. One attempt
// has a part of it.
inline constexpr Duration kRequestTimeout = Duration::seconds(45);
inline constexpr Duration kAttemptTimeout = Duration::seconds(20);
inline constexpr uint64_t kBodyBytesPerSecondMin = 256 * kKiB;
// A refusal that looks final (403, 400) may be caused by damage to the request on its way, so try this often.
inline constexpr int kRefusedAttemptsMax = 3;
// The rate that an uploading client must keep while others wait for memory.
inline constexpr uint64_t kClientBytesPerSecondMin = 64 * kKiB;
inline constexpr Duration kSlowClientCheck = Duration::seconds(1);
// After this many failures in a row, requests fail at once for a while; then one request tries.
inline constexpr uint32_t kFailuresUntilDown = 8;
inline constexpr Duration kDownTime = Duration::seconds(2);
// Attempts to read one block before its content is called damaged.
inline constexpr int kDamagedAttemptsMax = 5;
// The largest age of the last check of the marker when an object is deleted.
inline constexpr Duration kGuardAge = Duration::seconds(10);
inline constexpr Duration kGuardRetry = Duration::seconds(5);

struct TierOptions {
  OutboundOrigin origin;
  std::string region;
  std::string bucket;
  std::string prefix;
  bool bucket_in_host = false;  // virtual-host style: origin.authority begins with the bucket
  uint64_t threshold_bytes = 1 * kMiB;
  uint64_t memory_bytes = 64 * kMiB;  // per core, for uploads on their way
  std::array<uint8_t, 16> store_id{};
  std::string state_path;  // the guard's file
};

// Whether the bucket is ours to write and delete in; known to all cores.
enum class GuardState : uint8_t {
  unchecked,  // not looked at yet, since the cloud does not answer: nothing is written or deleted
  good,
  mismatch,  // the marker belongs to another store, or to another time of this one: only reads
};

struct TierShared {
  std::atomic<GuardState> guard{GuardState::unchecked};
  // Whether the endpoint verifies CRC32C, and supports it for whole objects. If so, it protects bodies,
  // otherwise SHA-256 does.
  std::atomic<bool> checksums{true};
};

// Counters of one core.
struct TierStats {
  uint64_t requests = 0;
  uint64_t retries = 0;
  uint64_t failures = 0;  // requests that did not succeed in the end
  uint64_t sent_bytes = 0;
  uint64_t received_bytes = 0;
  uint64_t stored_objects = 0;
  uint64_t stored_bytes = 0;
  uint64_t copied_objects = 0;
  uint64_t deleted_objects = 0;
  uint64_t damaged_blocks = 0;
  uint64_t slow_clients = 0;  // clients whose uploads were stopped because others waited
  uint64_t cores_down = 0;    // 1 while requests fail at once
};

}  // namespace fb::tier
