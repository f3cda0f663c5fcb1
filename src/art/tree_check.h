// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "art/page_check.h"
#include "art/page_editor.h"
#include "art/page_source.h"

namespace fb::art {

// The findings of a walk over all pages of a tree.
struct TreeCheck {
  std::string error;  // empty: every invariant holds
  PageId missing;     // set if a page was not in memory: nothing is known then
  uint64_t pages = 0;
  uint64_t values = 0;
  uint64_t live_bytes = 0;
  uint64_t capacity_bytes = 0;
  uint32_t depth_pages = 0;
  double fill() const {
    return capacity_bytes == 0 ? 0 : static_cast<double>(live_bytes) / static_cast<double>(capacity_bytes);
  }
};

namespace detail {

template <PageSource Source>
class TreeVerifier {
 public:
  explicit TreeVerifier(Source& source) : source_(source) {}

  TreeCheck run() {
    uint8_t flags = 0;
    (void)visit(source_.root(), nullptr, 0, 1, flags);
    return check_;
  }

 private:
  // Returns the longest suffix that really exists beneath the page's root.
  uint32_t visit(Frame* frame, const FoundLink* by, uint32_t above, uint32_t level, uint8_t& flags) {
    const PageView page(*frame);
    const PageId id = frame->page_id.load(std::memory_order_relaxed);
    const auto wrong = [&](std::string_view what) {
      if (check_.error.empty())
        check_.error = fmt::format("page {}: {}\n{}", id.value, what, page_to_string(page));
      return 0u;
    };
    if (!check_.error.empty() || check_.missing.value != 0) return 0;
    if (const std::string error = verify_page(page); !error.empty()) return wrong(error);
    if (!(page.page_id() == id)) return wrong("the frame says otherwise");
    if (by != nullptr && page.entries() == 0) return wrong("empty");
    if (by != nullptr && by->by_range && page.block(page.root()).value_offset() != 0)
      return wrong("a value below a range");
    if (level > kKeyBytesMax * 4) return wrong("too deep");
    if (by != nullptr && by->word.is_frame() && frame->parent.load(std::memory_order_relaxed) != parent_) {
      return wrong("its parent is another");
    }
    ++check_.pages;
    check_.live_bytes += page.live_bytes();
    check_.capacity_bytes += page.capacity_bytes();
    check_.depth_pages = std::max(check_.depth_pages, level);
    uint32_t longest = longest_value_path(page);
    std::vector<FoundLink> links;
    for_each_link(page, [&](const FoundLink& link) { links.push_back(link); });
    check_.values += page.entries() - links.size();
    for (const FoundLink& link : links) {
      Frame* child = link.word.is_frame() ? link.word.frame() : source_.find(link.word.page_id());
      if (child == nullptr) {
        check_.missing = link.word.page_id();
        return 0;
      }
      uint8_t below = 0;
      parent_ = frame;
      const uint32_t suffix = visit(child, &link, above + link.depth, level + 1, below);
      if (suffix > link.bound * kBoundStep)
        return wrong(fmt::format("a bound of {} over {} bytes", link.bound, suffix));
      if ((below & ~link.flags) != 0) return wrong("flags that are not seen above");
      flags |= link.flags;
      longest = std::max(longest, link.depth + suffix);
    }
    if (above + longest > kKeyBytesMax) return wrong("a key too long");
    return longest;
  }

  Source& source_;
  TreeCheck check_;
  const Frame* parent_ = nullptr;
};

}  // namespace detail

// Checks every invariant of a tree that nobody changes meanwhile.
template <PageSource Source>
TreeCheck verify_tree(Source& source) {
  return detail::TreeVerifier<Source>(source).run();
}

}  // namespace fb::art
