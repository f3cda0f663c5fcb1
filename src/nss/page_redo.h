// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "art/page_op.h"
#include "base/ids.h"
#include "base/result.h"

namespace fb {

// What a start finds in the journal, page by page: changes that the page store may lack. A start only sorts
// them; they are made in a page when it is loaded, whoever asks for it first. So a start takes the time of
// reading the journal, however many pages that names and whatever the memory is. On one core.
class PageRedo {
 public:
  // Of a record, in the order of the journal. Keeps a copy of its changes. JournalError::damaged for bytes
  // that are no change; nothing has been taken over then.
  Result<void> add(std::string_view change, Lsn lsn);
  // All records have been added. Only from then on is memory given back, since add() reads from what it
  // keeps.
  void added_all();

  bool empty() const { return pages_.empty(); }
  size_t page_count() const { return pages_.size(); }
  bool has(PageId page) const { return pages_.contains(page.value); }
  // Whether what is in the store, if anything, is not needed for it.
  bool creates(PageId page) const;
  // Those that have changes to be made; ascending.
  std::vector<PageId> pages() const;
  // The position behind the first record that any of these pages may lack.
  uint64_t oldest_position() const { return first_position_; }
  uint64_t page_id_max() const { return page_id_max_; }
  // Pages that left their trees, by a record or by what was told; ascending. Their changes are not kept.
  void retire(PageId page);
  std::vector<PageId> retired() const;

  // Makes the page's changes in it and forgets them. The position behind the first that it lacked; 0 where it
  // lacked none. An error where they do not fit.
  Result<uint64_t> apply(PageId page, art::PageEditor editor);
  // The page is lost.
  void forget(PageId page);

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Change {
    Lsn lsn;
    const char* operations;
    uint32_t operations_bytes;
    uint32_t next;  // of the same page
    bool creates;
  };
  struct Page {
    uint32_t first;
    uint32_t last;
  };
  std::string_view keep(std::string_view bytes);
  void free_when_empty();

  std::deque<std::string> kept_;  // pieces that do not move
  std::vector<Change> changes_;
  std::unordered_map<uint64_t, Page> pages_;
  std::unordered_set<uint64_t> retired_;
  uint64_t first_position_ = 0;
  uint64_t page_id_max_ = 0;
  bool added_all_ = false;
};

}  // namespace fb
