// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "nss/commit_record.h"

// Where the namespace's state begins: what a start reads first, from the CheckpointClient.
// docs/formats/namespace.md has the bytes.

namespace fb {

struct CheckpointTree {
  BucketId bucket;
  PageId root;
  CountChange counts;  // of the commits of generations below the checkpoint's
};

struct Checkpoint {
  uint64_t number = 0;      // grows by one: the record's version
  uint64_t epoch = 0;       // in which it was written
  uint64_t generation = 0;  // commits of this one on are not in the counts
  uint64_t position = 0;    // replay begins here, at a record's first byte
  uint64_t sequence = 1;    // of the frame that holds it
  uint64_t next_page_id = 1;
  bool clean = false;  // the process ended in order: no blob of it is without a name
  std::vector<CheckpointTree> trees;
  std::vector<Garbage> ledger;  // of what stands before `position`, and perhaps after it
  // Pages that have left their trees and are not erased from the store yet. Records behind `position` may
  // name them still; they are passed over.
  std::vector<PageId> retired;
};

// All but the number.
void encode_checkpoint(std::string& out, const Checkpoint& checkpoint);
// NamespaceError::damaged.
Result<Checkpoint> decode_checkpoint(uint64_t number, std::string_view bytes);

}  // namespace fb
