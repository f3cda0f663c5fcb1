// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "art/page_view.h"

namespace fb::art {

// How to make room in a full page.
//
//   subtree      a node with all beneath moves to a new page; a link takes its place
//   root_range   the root's children from `byte` on move to a new page; the parent's link becomes a range, or
//   its range
//                gets one more interval. Value and label of the root belong to the parent's part.
//   inner_range  a node's children move to two new pages, divided at `byte`; the node becomes a range
struct SplitPlan {
  enum class Kind : uint8_t { none, subtree, root_range, inner_range };
  Kind kind = Kind::none;
  std::string path;     // path of the node, from the page's root
  uint32_t offset = 0;  // offset of its block
  uint8_t byte = 0;
};

// Pages with fewer live bytes than this are joined with others.
constexpr bool is_sparse(uint32_t live_bytes, uint32_t capacity_bytes) {
  return live_bytes < capacity_bytes * 2 / 5;
}
inline bool is_sparse(const PageView& page) { return is_sparse(page.live_bytes(), page.capacity_bytes()); }

// Whether the contents of two pages are joined into one page. That page must keep room to grow, or it would
// be split again at once.
inline bool fit_together(uint32_t live_bytes, uint32_t other_live_bytes, uint32_t capacity_bytes) {
  return live_bytes + other_live_bytes <= capacity_bytes * 4 / 5;
}

// Chooses a byte that divides the root's children of a full page. The children from that byte on (`upper`:
// the neighbour holds the interval above), or those below it, go to a neighbour in its range, and then
// neither page is full. Sharing fills pages better than halving alone. The larger of the two becomes smaller
// each time, so pages cannot share for ever.
class ShareChooser {
 public:
  explicit ShareChooser(const PageView& page);
  std::optional<uint8_t> choose(const PageView& neighbour, bool upper);

 private:
  struct Child {
    uint32_t bytes = 0;  // with all beneath
    uint8_t byte = 0;
  };
  PageView page_;
  bool may_;
  std::vector<Child> children_;  // children of the root, filled by the first choose()
};

// The division that comes closest to the middle; a subtree rather than a range if both are equally good,
// because it needs no room in the parent. Kind none only for a page with nothing to move.
SplitPlan choose_split(const PageView& page, bool has_parent);
// Chooses a division after which pages beneath can be joined with the parts: each part has links of its own,
// and an eighth of the page. (A part with values only may be the content of such a page that was joined
// before.)
SplitPlan choose_split_of_links(const PageView& page, bool has_parent);

}  // namespace fb::art
