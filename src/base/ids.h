// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>

namespace fb {

// A place in a journal. Epochs grow with each owner; positions are bytes from the journal's beginning.
struct Lsn {
  uint64_t epoch = 0;
  uint64_t position = 0;
  auto operator<=>(const Lsn&) const = default;
};

// Identifies a page of a partition for ever; never reused. 0: no page.
struct PageId {
  uint64_t value = 0;
  auto operator<=>(const PageId&) const = default;
};

}  // namespace fb
