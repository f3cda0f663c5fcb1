// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "client/types.h"

namespace fb {

// A blob that nothing names any more, and its blocks.
struct Garbage {
  BlobId id;
  uint32_t block_count = 0;
  auto operator<=>(const Garbage&) const = default;
};

// Sorted, each blob once.
void sort_unique(std::vector<Garbage>& items);
bool contains(const std::vector<Garbage>& sorted, const BlobId& id);
// Adds what a record of any kind names. False where the bytes are no record that this version can account
// for.
bool collect_blobs(std::string_view record, std::vector<Garbage>& out);

}  // namespace fb
