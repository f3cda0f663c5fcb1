// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "art/page_source.h"
#include "art/page_view.h"

namespace fb::art {

// One page on the way to a key.
struct PathStep {
  Frame* frame = nullptr;
  uint64_t version = 0;
  uint32_t depth = 0;     // bytes of the key above the page's root
  bool by_range = false;  // entered by an interval
  uint8_t bound = 0;      // bound of the link that led here
  uint8_t flags = 0;
};
using Path = std::vector<PathStep>;

// The bound stops walks over a damaged page graph with cycles.
inline constexpr size_t kPathPagesMax = 4 * kKeyBytesMax;

enum class Found : uint8_t { arrived, missing, restart, damaged };

// The child behind a link of a page that is being read. On the way the link may be swizzled: then the
// parent's version advances, and `read` with it.
template <PageSource Source>
[[gnu::always_inline]] inline Found follow(Source& source, Frame* parent, OptimisticRead& read,
                                           const LinkInfo& link, Frame*& child, OptimisticRead& below,
                                           PageId& page) {
  if (link.word.is_frame()) {
    child = link.word.frame();
    // If the source knows the place of the page's bytes without the frame, both are fetched at the same time.
    if constexpr (requires { source.place_of(child); }) {
      prefetch_page(source.place_of(child));
      below = OptimisticRead(child->latch);
    } else {
      below = OptimisticRead(child->latch);
      prefetch_page(child->bytes);
    }
    source.point("art.follow.frame");
    // The link was still there when the version was read: so it is the child's version.
    return below.started() && read.valid() ? Found::arrived : Found::restart;
  }
  page = link.word.page_id();
  source.point("art.find");
  child = source.find(page);
  // If the link has changed meanwhile, the page may have left the tree: then nobody could load it.
  if (child == nullptr) return read.valid() ? Found::missing : Found::restart;
  if constexpr (Source::kSwizzles) {
    const uint64_t version = read.version();
    read.end();
    source.point("art.swizzle.found");
    if (!parent->latch.try_upgrade(version)) return Found::restart;
    source.point("art.swizzle.parent");
    if (!child->latch.try_exclusive()) {
      parent->latch.release(false);
      return Found::restart;
    }
    const bool same = child->page_id.load(std::memory_order_relaxed) == page;
    if (same) {
      child->parent.store(parent, std::memory_order_relaxed);
      source.point("art.swizzle.linked");
      store64(parent->bytes + link.word_offset, LinkWord::of(child).word());
    }
    child->latch.release(false);
    source.point("art.swizzle.done");
    read = OptimisticRead(parent->latch, parent->latch.release(same));
    if (!same || !read.started()) return Found::restart;
  }
  below = OptimisticRead(child->latch);
  if (!below.started()) return Found::restart;
  source.point("art.follow");
  if (!(child->page_id.load(std::memory_order_relaxed) == page)) return Found::restart;
  return read.valid() ? Found::arrived : Found::restart;
}

// Descends from the root to the page in which the key's path ends; with `at_link` also stops at a link that
// ends with the key. The last step's version is validated; those above were valid when the next page was
// entered.
template <PageSource Source>
Found descend(Source& source, std::string_view key, bool at_link, Path& path, Stop& stop, PageId& page) {
  path.clear();
  PathStep step;
  step.frame = source.root();
  OptimisticRead read(step.frame->latch);
  if (!read.started()) return Found::restart;
  for (;;) {
    source.point("art.descend.page");
    const PageView view(*step.frame);
    stop = walk(view, key.substr(step.depth));
    const bool on = stop.kind == StopKind::range ||
                    (stop.kind == StopKind::link && !(at_link && step.depth + stop.consumed == key.size()));
    const LinkInfo link = on ? link_at(view, stop) : LinkInfo{};
    if (!read.valid()) return Found::restart;
    step.version = read.version();
    page = step.frame->page_id.load(std::memory_order_relaxed);
    if (stop.kind == StopKind::bad || stop.kind == StopKind::partition || path.size() > kPathPagesMax) {
      return Found::damaged;
    }
    if (!on) {
      path.push_back(step);
      return Found::arrived;
    }
    source.point("art.descend");
    PathStep next;
    OptimisticRead below;
    const Found found = follow(source, step.frame, read, link, next.frame, below, page);
    if (found != Found::arrived) return found;
    step.version = read.version();
    path.push_back(step);
    next.depth = step.depth + stop.consumed;
    next.by_range = stop.kind == StopKind::range;
    next.bound = link.bound;
    next.flags = link.flags;
    step = next;
    read = std::move(below);
  }
}

}  // namespace fb::art
