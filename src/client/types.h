// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>

#include "base/ids.h"
#include "base/time.h"
#include "io/cancel.h"

namespace fb {

// A bucket's tree in the namespace. 0 is the system tree (buckets, keys); ids are never reused.
struct BucketId {
  uint64_t value = 0;
  auto operator<=>(const BucketId&) const = default;
};
inline constexpr BucketId kSystemTree{0};

// The token of one put: larger than that of every earlier put in the same partition, never reused. 0: no
// version.
struct Version {
  uint64_t value = 0;
  auto operator<=>(const Version&) const = default;
};

// The first byte of every key in a bucket's tree: which of its spaces the key is in.
enum class Space : uint8_t {
  objects = 1,   // key: the object's path
  versions = 2,  // noncurrent versions; reserved
  uploads = 3,   // key: the object's path, NUL, upload id (32 hex digits); record: UploadRecord
  parts = 4,     // key: upload id, part number as 2 bytes big endian; record: PartRecord
  tokens = 5,    // key: the client token of a rename; record: ClientTokenRecord
  ledger = 6,    // garbage; the engine's own
  system = 7,    // in the system tree: buckets and keys of the RSS
};

// One start of one process that writes blobs. Given by the NSS at start, durable before first use, never
// reused.
struct Incarnation {
  uint32_t value = 0;
  auto operator<=>(const Incarnation&) const = default;
};

// Names a blob for ever: never reused, and nothing in it depends on an object's path.
struct BlobId {
  uint16_t volume = 0;
  uint16_t shard = 0;  // shard of its first blocks; a long blob goes on in others
  Incarnation incarnation;
  uint64_t number = 0;  // unique within shard and incarnation
  auto operator<=>(const BlobId&) const = default;
};
static_assert(sizeof(BlobId) == 16);

// The volume of blobs that are objects of the cloud bucket: each is one block, of any size (docs/tiering.md).
inline constexpr uint16_t kCloudVolume = UINT16_MAX;
constexpr bool is_cloud(const BlobId& id) { return id.volume == kCloudVolume; }

// Block numbers use the low 24 bits; the high byte is kept for erasure-code fragments.
inline constexpr uint32_t kBlockNumberMax = (1u << 24) - 1;
// The largest blob block; larger objects are several blocks of one BlobId.
inline constexpr uint32_t kBlobBlockSizeMax = 1u << 20;

struct BlobKey {
  BlobId id;
  uint32_t block = 0;
  auto operator<=>(const BlobKey&) const = default;
};

// Bounds of a call to another service: handed down, over RPC too.
struct CallContext {
  Instant deadline = Instant::never();
  CancelToken cancel = nullptr;
  uint64_t trace_id = 0;
};
// True if the caller no longer waits for the call's answer.
inline bool is_over(const CallContext& context, Instant now) {
  return context.deadline <= now || (context.cancel != nullptr && context.cancel->cancelled());
}

}  // namespace fb

template <>
struct std::hash<fb::BlobId> {
  size_t operator()(const fb::BlobId& id) const noexcept {
    uint64_t high = 0;
    std::memcpy(&high, &id, sizeof(high));
    uint64_t mixed = (high ^ (id.number * 0x9e3779b97f4a7c15ull)) * 0xff51afd7ed558ccdull;
    return mixed ^ (mixed >> 32);
  }
};
template <>
struct std::hash<fb::BlobKey> {
  size_t operator()(const fb::BlobKey& key) const noexcept {
    return std::hash<fb::BlobId>()(key.id) ^ (key.block * 0x9e3779b97f4a7c15ull);
  }
};
