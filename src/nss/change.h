// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/namespace_client.h"

// What one journal frame says; docs/formats/journal.md. A change names everything needed to make it again,
// garbage included, so that replaying it on a map that holds later changes already does no harm.

namespace fb {

inline constexpr uint8_t kChangeVersion = 1;

enum class ChangeKind : uint8_t {
  commit = 1,
  create_tree = 2,
  drop_tree = 3,
  number = 4,   // a unique number was given: that of this frame
  freed = 5,    // blobs of the ledger are gone
  discard = 6,  // blobs that no record names become garbage
};

struct Garbage {
  BlobId id;
  uint32_t block_count = 0;
  auto operator<=>(const Garbage&) const = default;
};

struct Change {
  ChangeKind kind{};
  BucketId bucket;
  std::vector<Mutation> mutations;  // views into the bytes; without conditions
  std::vector<Garbage> garbage;
};

// Appends to `out`. Mutations of kind check are written, too, so that a mutation's place is its index.
void encode_change(std::string& out, ChangeKind kind, BucketId bucket, std::span<const Mutation> mutations,
                   std::span<const Garbage> garbage);
// NamespaceError::damaged for bytes that are no change, unsupported for those of a newer version.
Result<void> decode_change(std::string_view bytes, Change& out);

// A mutation's version: the frame's number, then its index.
inline constexpr unsigned kVersionIndexBits = 10;
static_assert(kCommitMutationsMax <= 1u << kVersionIndexBits);
constexpr Version version_at(uint64_t sequence, size_t index) {
  return {(sequence << kVersionIndexBits) | index};
}
constexpr uint64_t sequence_of(Version version) { return version.value >> kVersionIndexBits; }

}  // namespace fb
