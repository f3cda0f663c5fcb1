// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "art/next_link.h"
#include "art/page_check.h"
#include "art/split.h"
#include "art/tree_path.h"

namespace fb::art {

// A walk over the pages of a tree that others change: in the order of the first key that may be in a page,
// parents before their children. Its place is such a key and a level: no page is held between two calls, and
// none is latched. A page that exists during the whole walk, under the same parents, is met once; a page that
// is split or joined meanwhile may be skipped or met again.
//
// The walk looks at a private copy of a page, taken between two reads of its version.
template <PageSource Source>
class PageWalk {
 public:
  // A page as it was a moment ago.
  struct Place {
    Path path;        // from the root to the page, with the versions seen
    std::string key;  // leads along that path
    bool sparse = false;
    uint32_t live_bytes = 0;
    uint32_t garbage_bytes = 0;
    uint32_t capacity_bytes = 0;
    // The pages of the neighbouring intervals, if their links are page ids: they may not be in memory.
    PageId before;
    PageId behind;
  };

  explicit PageWalk(Source& source) : source_(source) {}

  const Place& place() const { return place_; }
  // The page the walk has come to. Outcome::absent: it is over; missing: load Answer::page, then again;
  // damaged: skip(), then again.
  Answer find() {
    Answer answer;
    for (;;) {
      const Found found = over_ ? Found::arrived : descend_to_place(answer.page);
      if (found == Found::restart) {
        source_.pause();
        continue;
      }
      if (found != Found::arrived) {
        answer.outcome = found == Found::missing ? Outcome::missing : Outcome::damaged;
      } else {
        answer.outcome = over_ ? Outcome::absent : Outcome::done;
      }
      return answer;
    }
  }
  // Goes on to the page behind the one found.
  void pass() { ++level_; }
  // Goes past a page that cannot be loaded, with all pages beneath.
  void skip() {
    if (bounded_) {
      from_ = end_;
      level_ = 0;
    }
    over_ |= !bounded_;
  }

  // Finds some page without links; `random()` decides the way. Answers as find() does. The position of the
  // walk does not change.
  template <class Random>
  Answer sample(Random&& random) {
    Answer answer;
    for (;;) {
      const Found found = descend_somewhere(random, answer.page);
      if (found == Found::restart) {
        source_.pause();
        continue;
      }
      if (found == Found::missing) answer.outcome = Outcome::missing;
      if (found == Found::damaged) answer.outcome = Outcome::damaged;
      return answer;
    }
  }

 private:
  // Copies the bytes of a page at the version of `read`; false if the version has changed.
  bool copy(const Frame& frame, const OptimisticRead& read) {
    copy_.resize(frame.page_bytes);
    std::memcpy(copy_.data(), frame.bytes, frame.page_bytes);
    return read.valid();
  }
  PageView view() const { return {copy_.data(), static_cast<uint32_t>(copy_.size())}; }

  void arrive(const PathStep& step) {
    const PageView page = view();
    place_.path.push_back(step);
    place_.sparse = place_.path.size() > 1 && page.entries() != 0 && is_sparse(page);
    place_.live_bytes = page.live_bytes();
    place_.garbage_bytes = page.header().garbage_bytes;
    place_.capacity_bytes = page.capacity_bytes();
  }

  // The keys behind a link end with the interval, or with the keys that begin with the link's path; else at
  // the end of the page that holds the link.
  void narrow_end(const NextLink& next) {
    if (next.has_end) {
      end_ = place_.key;
      end_.push_back(static_cast<char>(next.end));
      bounded_ = true;
      return;
    }
    if (next.path.empty()) return;
    std::string end = place_.key;
    while (!end.empty() && static_cast<uint8_t>(end.back()) == 0xff) end.pop_back();
    if (end.empty()) return;
    end.back() = static_cast<char>(static_cast<uint8_t>(end.back()) + 1);
    end_ = std::move(end);
    bounded_ = true;
  }

  // Computes key, start and end of the page behind next_ from those of the page at `step`. If a page in a
  // range has a range as its root, the byte selects twice, and its first interval begins where the page
  // begins.
  PathStep enter_link(const PathStep& step) {
    const bool same_start = next_.path.empty() && next_.is_first && step.by_range;
    const char byte = same_start ? place_.key.back() : static_cast<char>(next_.first);
    place_.key.resize(step.depth);
    place_.key += next_.path;
    narrow_end(next_);
    PathStep below{.depth = static_cast<uint32_t>(place_.key.size()),
                   .by_range = next_.by_range,
                   .bound = next_.link.bound,
                   .flags = next_.link.flags};
    if (!same_start) start_ = place_.key;
    if (next_.by_range) {
      if (!next_.is_first) start_.push_back(byte);
      place_.key.push_back(byte);
    }
    return below;
  }

  static PageId id_beside(LinkWord word) { return word.is_frame() ? PageId{} : word.page_id(); }

  Found descend_to_place(PageId& page) {
    place_.path.clear();
    place_.key.clear();
    place_.before = place_.behind = PageId();
    bounded_ = false;
    std::string_view rest = from_;
    start_.clear();
    PathStep step{.frame = source_.root()};
    OptimisticRead read(step.frame->latch);
    if (!read.started()) return Found::restart;
    for (uint32_t level = 0;; ++level) {
      page = step.frame->page_id.load(std::memory_order_relaxed);
      if (!copy(*step.frame, read)) return Found::restart;
      if (level > kPathPagesMax) return Found::damaged;
      step.version = read.version();
      const int order = start_.compare(from_);
      if (order > 0 || (order == 0 && level >= level_)) {
        // From here on the walk's place is that of the page.
        from_ = start_;
        level_ = level;
        arrive(step);
        return Found::arrived;
      }
      if (!next_link(view(), rest, next_)) {
        // Nothing is left in this page.
        skip();
        return over_ ? Found::arrived : Found::restart;
      }
      PathStep below = enter_link(step);
      place_.before = id_beside(next_.before);
      place_.behind = id_beside(next_.behind);
      rest = next_.rest;
      OptimisticRead read_below;
      const Found found = follow(source_, step.frame, read, next_.link, below.frame, read_below, page);
      if (found != Found::arrived) return found;
      step.version = read.version();
      place_.path.push_back(step);
      step = below;
      read = std::move(read_below);
    }
  }

  template <class Random>
  Found descend_somewhere(Random& random, PageId& page) {
    place_.path.clear();
    PathStep step{.frame = source_.root()};
    OptimisticRead read(step.frame->latch);
    if (!read.started()) return Found::restart;
    for (size_t level = 0;; ++level) {
      page = step.frame->page_id.load(std::memory_order_relaxed);
      if (!copy(*step.frame, read)) return Found::restart;
      if (level > kPathPagesMax) return Found::damaged;
      links_.clear();
      for_each_link(view(), [&](const FoundLink& link) { links_.push_back(link); });
      if (links_.empty()) {
        arrive(step);
        return Found::arrived;
      }
      const FoundLink& link = links_[random() % links_.size()];
      Frame* child = nullptr;
      OptimisticRead below;
      const Found found =
          follow(source_, step.frame, read, LinkInfo{link.word, link.word_offset, link.bound, link.flags},
                 child, below, page);
      if (found != Found::arrived) return found;
      step.frame = child;
      read = std::move(below);
    }
  }

  Source& source_;
  std::string from_;
  uint32_t level_ = 0;
  bool over_ = false;
  Place place_;
  std::string start_;  // the first key that may be in the current page
  // The end of the keys that may lie in the page met last; if not `bounded_`, the tree's end.
  std::string end_;
  bool bounded_ = false;
  NextLink next_;
  std::vector<FoundLink> links_;
  std::vector<std::byte> copy_;
};

}  // namespace fb::art
