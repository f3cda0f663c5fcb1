// SPDX-License-Identifier: Apache-2.0
#include "nss/page_redo.h"

#include <algorithm>

#include "base/assert.h"
#include "base/units.h"
#include "client/journal_client.h"

namespace fb {
namespace {

constexpr size_t kPieceBytes = 4 * kMiB;

}  // namespace

std::string_view PageRedo::keep(std::string_view bytes) {
  if (kept_.empty() || kept_.back().capacity() - kept_.back().size() < bytes.size())
    kept_.emplace_back().reserve(std::max(kPieceBytes, bytes.size()));
  std::string& piece = kept_.back();
  const size_t begin = piece.size();
  piece += bytes;
  return std::string_view(piece).substr(begin);
}

Result<void> PageRedo::add(std::string_view change, Lsn lsn) {
  FB_ASSERT(!added_all_);
  using Action = art::ChangePage::Action;
  art::ChangePage page;
  art::ChangeReader check(change);
  while (check.next(page)) continue;
  if (!check.ok()) return JournalError::damaged;
  if (first_position_ == 0) first_position_ = lsn.position;
  art::ChangeReader reader(keep(change));
  while (reader.next(page)) {
    const uint64_t id = page.page.value;
    page_id_max_ = std::max(page_id_max_, id);
    if (page.action == Action::retire) {
      retire(page.page);
      continue;
    }
    // It had left its tree when the checkpoint was made, so its last changes were not stored.
    if (retired_.contains(id)) continue;
    const auto index = static_cast<uint32_t>(changes_.size());
    changes_.push_back({.lsn = lsn,
                        .operations = page.operations.data(),
                        .operations_bytes = static_cast<uint32_t>(page.operations.size()),
                        .next = kNone,
                        .creates = page.action == Action::create});
    const auto [at, is_new] = pages_.try_emplace(id, index, index);
    if (!is_new) changes_[at->second.last].next = index;
    at->second.last = index;
  }
  return {};
}

bool PageRedo::creates(PageId page) const {
  const auto found = pages_.find(page.value);
  return found != pages_.end() && changes_[found->second.first].creates;
}

std::vector<PageId> PageRedo::pages() const {
  std::vector<PageId> pages;
  pages.reserve(pages_.size());
  for (const auto& [id, page] : pages_) pages.push_back({id});
  std::ranges::sort(pages);
  return pages;
}

void PageRedo::added_all() {
  added_all_ = true;
  free_when_empty();
}

void PageRedo::free_when_empty() {
  if (!added_all_ || !pages_.empty()) return;
  changes_ = {};
  kept_ = {};
}

void PageRedo::retire(PageId page) {
  retired_.insert(page.value);
  pages_.erase(page.value);
}

std::vector<PageId> PageRedo::retired() const {
  std::vector<PageId> pages;
  for (const uint64_t id : retired_) pages.push_back({id});
  std::ranges::sort(pages);
  return pages;
}

Result<uint64_t> PageRedo::apply(PageId page, art::PageEditor editor) {
  const auto found = pages_.find(page.value);
  if (found == pages_.end()) return 0;
  uint64_t first = 0;
  for (uint32_t index = found->second.first; index != kNone; index = changes_[index].next) {
    const Change& change = changes_[index];
    const Lsn before = editor.view().lsn();
    FB_CHECK(art::redo(
        editor,
        {.page = page,
         .action = change.creates ? art::ChangePage::Action::create : art::ChangePage::Action::change,
         .operations = {change.operations, change.operations_bytes}},
        change.lsn));
    if (first == 0 && editor.view().lsn() != before) first = change.lsn.position;
  }
  forget(page);
  return first;
}

void PageRedo::forget(PageId page) {
  pages_.erase(page.value);
  free_when_empty();
}

}  // namespace fb
