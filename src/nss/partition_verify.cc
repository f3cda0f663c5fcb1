// SPDX-License-Identifier: Apache-2.0
// Every invariant of every tree, page by page: one page is looked at at a time, so that any store can be
// checked with the memory at hand.
//
// While others change the tree, a page and the link that led to it are of different moments. So what looks
// wrong between two pages is looked at once more as it is now: a link that leads elsewhere since, a bound
// that has been raised, is no problem.
#include <algorithm>

#include "art/page_check.h"
#include "client/record.h"
#include "client/tree_key.h"
#include "nss/partition_front.h"

namespace fb {

struct Partition::Verifier {
  static constexpr size_t kSlice = 512;  // keys looked at under one pin

  // A page on the way from the root to the one that is looked at.
  struct OpenPage {
    PageId id;
    std::vector<art::FoundLink> links;
    size_t next = 0;
    uint32_t above = 0;    // bytes of key above its root
    uint32_t longest = 0;  // suffix beneath its root that was found
    uint8_t flags = 0;     // seen beneath
    art::FoundLink by;     // the link that leads here
  };

  Verifier(Partition& partition, bool in_use_now) : self(partition), in_use(in_use_now) {}

  void wrong(std::string what) {
    if (report.problems.size() < kVerifyProblemsMax) report.problems.push_back(std::move(what));
  }
  void wrong_page(PageId id, std::string_view what) {
    wrong(fmt::format("bucket {}: page {}: {}", tree->bucket.value, id.value, what));
  }

  // Looks at a page under its latch. False where it cannot be had; then it is damaged, or has gone.
  template <class Look>
  Task<Result<bool>> with_page(PageId id, Look look) {
    BufferPort& port = *self.ports_[0].buffers;
    const Result<BufferFrame*> pinned = co_await port.pin({}, id);
    if (!pinned) {
      if (!pinned.error().is(PageError::damaged)) co_return pinned.error();
      co_return false;
    }
    while (!(*pinned)->latch.try_exclusive()) co_await yield(self.env_);
    const bool same = (*pinned)->page_id.load(std::memory_order_relaxed) == id;
    if (same) look(art::PageView(**pinned));
    (*pinned)->latch.release(false);
    port.unpin(**pinned);
    co_return same;
  }

  // The link to a page as it is now in the page that led to it. None: it leads elsewhere.
  Task<Result<std::optional<art::FoundLink>>> link_now(PageId parent, PageId child) {
    std::optional<art::FoundLink> found;
    FB_CO_CHECK(co_await with_page(parent, [&](const art::PageView& page) {
      art::for_each_link(page, [&](const art::FoundLink& link) {
        if (link.word.page_id() == child) found = link;
      });
    }));
    co_return found;
  }

  Task<Result<void>> enter(PageId id, const art::FoundLink& by, uint32_t above) {
    const PageId parent = open.empty() ? PageId() : open.back().id;
    const auto [known, first] = seen.emplace(id.value, parent);
    if (!first) {
      FB_CO_TRY(const bool twice, co_await hangs_twice(id, known->second, parent));
      if (twice) wrong_page(id, "more than one link leads to it");
      co_return Result<void>();
    }
    OpenPage entered{.id = id, .above = above, .by = by};
    std::string problem;
    FB_CO_TRY(const bool there,
              co_await with_page(id, [&](const art::PageView& page) { problem = look_at(page, entered); }));
    if (!there) problem = "damaged or lost; what lies beneath is not served";
    if (!problem.empty()) {
      bool explained = false;
      if (in_use && !open.empty()) {
        FB_CO_TRY(const auto link, co_await link_now(open.back().id, id));
        explained = !link.has_value();
      }
      if (!explained) wrong_page(id, problem);
      if (!there || explained) co_return Result<void>();
    }
    ++report.pages;
    report.depth_max = std::max<uint64_t>(report.depth_max, open.size() + 1);
    open.push_back(std::move(entered));
    co_return Result<void>();
  }

  // A rename, or pages that were joined, may have moved it to where the walk came later.
  Task<Result<bool>> hangs_twice(PageId id, PageId parent, PageId other_parent) {
    if (!in_use || parent == other_parent) co_return true;
    for (const PageId above : {parent, other_parent}) {
      FB_CO_TRY(const bool hangs, co_await still_hangs(id, above));
      if (!hangs) co_return false;
    }
    co_return true;
  }

  // Whether the way on which a page was met leads to it from the root. A page that left the tree may be
  // stored still, with its links.
  Task<Result<bool>> still_hangs(PageId id, PageId parent) {
    while (id != tree->root_page) {
      FB_CO_TRY(const auto link, co_await link_now(parent, id));
      if (!link) co_return false;
      id = parent;
      parent = seen[id.value];
    }
    co_return true;
  }

  std::string look_at(const art::PageView& page, OpenPage& entered) {
    const std::string error = art::verify_page(page);
    if (!error.empty()) return error;
    art::for_each_link(page, [&](art::FoundLink link) {
      link.word = art::LinkWord::of(link.word.page_id());
      entered.links.push_back(link);
    });
    entered.longest = art::longest_value_path(page);
    report.live_bytes += page.live_bytes();
    report.capacity_bytes += page.capacity_bytes();
    if (entered.id != tree->root_page && page.entries() == 0) return "empty";
    if (entered.by.by_range && page.block(page.root()).value_offset() != 0) return "a value below a range";
    return {};
  }

  // What a page that is done with says of the link that leads to it.
  Task<Result<void>> leave(const OpenPage& done, const OpenPage& parent) {
    art::FoundLink by = done.by;
    const auto short_of = [&](const art::FoundLink& link) {
      return done.longest > link.bound * art::kBoundStep || (done.flags & ~link.flags) != 0;
    };
    if (!short_of(by)) co_return Result<void>();
    if (in_use) {
      FB_CO_TRY(const auto now, co_await link_now(parent.id, done.id));
      if (!now || !short_of(*now)) co_return Result<void>();
      by = *now;
    }
    if (done.longest > by.bound * art::kBoundStep) {
      wrong_page(done.id, fmt::format("a bound of {} over {} bytes", by.bound, done.longest));
    } else {
      wrong_page(done.id, "flags that are not seen above");
    }
    co_return Result<void>();
  }

  // What the tree's pages say of themselves and of one another.
  Task<Result<void>> pages() {
    seen.clear();
    FB_CO_CHECK(co_await enter(tree->root_page, {}, 0));
    while (!open.empty()) {
      if (open.back().next < open.back().links.size()) {
        const art::FoundLink link = open.back().links[open.back().next++];
        FB_CO_CHECK(co_await enter(link.word.page_id(), link, open.back().above + link.depth));
        continue;
      }
      const OpenPage done = std::move(open.back());
      open.pop_back();
      if (done.above + done.longest > art::kKeyBytesMax && !in_use) wrong_page(done.id, "a key too long");
      if (open.empty()) break;
      OpenPage& parent = open.back();
      FB_CO_CHECK(co_await leave(done, parent));
      parent.flags |= done.by.flags;
      parent.longest = std::max(parent.longest, done.by.depth + done.longest);
    }
    co_return Result<void>();
  }

  Task<Result<void>> value(const std::string& key, uint8_t flags, const std::string& bytes) {
    const auto wrong_key = [&](std::string_view what) {
      wrong(fmt::format("bucket {}: key {}: {}", tree->bucket.value, art::printable(key), what));
    };
    const std::optional<TreeValue> value = decode_value(flags, bytes);
    const auto space = static_cast<Space>(key.empty() ? 0 : key[0]);
    if (const std::string_view fault =
            fault_of_tree_key(space, std::string_view(key).substr(key.empty() ? 0 : 1));
        !fault.empty() && wanted == nullptr) {
      wrong_key(fmt::format("no request can have named it: {}", fault));
    }
    std::vector<Garbage> blobs;
    if (!value) {
      wrong_key("its value makes no sense");
    } else if (value->spilled) {
      blobs.push_back({value->spilled->blob, 1});
      const Result<std::string> record = co_await self.own_front_->read_spilled({}, *value->spilled);
      if (!record && !record.error().is(NamespaceError::damaged)) co_return record.error();
      if (!record || !collect_blobs(*record, blobs)) wrong_key("its record, in a blob of its own, is lost");
    } else if (!collect_blobs(value->record, blobs)) {
      wrong_key("its record makes no sense");
    }
    if (wanted != nullptr) {
      const auto is_wanted = [&](const Garbage& blob) { return wanted->contains(blob.id); };
      if (std::ranges::any_of(blobs, is_wanted)) {
        keys_found.push_back(fmt::format("bucket {}: key {}", tree->bucket.value,
                                         art::printable(std::string_view(key).substr(1))));
      }
      co_return Result<void>();
    }
    const bool owns = space != Space::ledger || detached_owns_blobs(key);
    for (const Garbage& blob : blobs) {
      if (owns && space == Space::ledger) detached.insert(blob.id);
      if (owns && !report.named.emplace(blob.id, blob.block_count).second && !in_use)
        wrong_key("a blob has two owners");
    }
    ++report.keys;
    if (space == Space::uploads) ++counted.uploads;
    if (space == Space::objects && value) {
      ++counted.objects;
      counted.bytes += static_cast<int64_t>(value->object_bytes());
    }
    co_return Result<void>();
  }

  // A slice of them, under a pin of its own: a check of a large store must not hold up the freeing of
  // garbage.
  Task<Result<bool>> values_from(std::string& next, PageId& gone) {
    const ReadPin held = self.own_front_->pin();
    TreeSource source(*self.ports_[0].buffers, *tree->root);
    art::Cursor<TreeSource> cursor(source, tree->gate);
    cursor.begin();
    art::Answer answer = cursor.seek(next);
    for (size_t looked = 0; looked < kSlice;) {
      if (answer.outcome == art::Outcome::missing) {
        FB_CO_CHECK(co_await self.own_front_->after({}, answer, gone));
        answer = cursor.again();
        continue;
      }
      if (answer.outcome != art::Outcome::done) co_return answer.outcome == art::Outcome::renamed;
      const std::string key(cursor.key());
      next = key + '\0';
      FB_CO_CHECK(co_await value(key, cursor.value_flags(), std::string(cursor.value())));
      answer = cursor.next();
      ++looked;
    }
    co_return true;
  }

  // What its keys hold, and that the counts say the same.
  Task<Result<void>> values() {
    counted = {};
    const uint64_t tail_before = self.journal_->tail();
    const uint64_t gate_before = tree->gate.note();
    std::string next;
    PageId gone;
    for (bool more = true; more;) {
      const Result<bool> looked = co_await values_from(next, gone);
      if (!looked && looked.error().is(NamespaceError::damaged)) co_return Result<void>();  // told above
      FB_CO_TRY(more, looked);
      co_await yield(self.env_);
    }
    const CountChange recorded = tree->counts_now();
    if (in_use && (self.journal_->tail() != tail_before || !tree->gate.unchanged(gate_before))) {
      ++report.counts_not_compared;
    } else if (recorded != counted) {
      wrong(fmt::format(
          "bucket {}: {} objects of {} bytes and {} uploads are counted, {} of {} and {} are there",
          tree->bucket.value, recorded.objects, recorded.bytes, recorded.uploads, counted.objects,
          counted.bytes, counted.uploads));
    }
    co_return Result<void>();
  }

  Task<Result<void>> run() {
    for (const BucketId bucket : self.trees()) {
      tree = self.find_tree(bucket);
      if (tree == nullptr) continue;
      ++report.trees;
      if (tree->root == nullptr) {
        wrong(fmt::format("bucket {}: its root page is lost; its objects are not served", bucket.value));
        continue;
      }
      FB_CO_CHECK(co_await pages());
      FB_CO_CHECK(co_await values());
    }
    co_await self.collect_from_fronts();
    for (const auto& [blob, block_count] : self.ledger_) report.garbage.insert(blob);
    if (in_use) co_return Result<void>();
    for (const auto& [blob, block_count] : self.ledger_) {
      // What lies detached goes over to the ledger in the background.
      if (!report.named.contains(blob) || detached.contains(blob)) continue;
      wrong(fmt::format("blob {} of incarnation {} is garbage and named by a record", blob.number,
                        blob.incarnation.value));
    }
    co_return Result<void>();
  }

  Partition& self;
  const bool in_use;
  VerifyReport report;
  std::shared_ptr<TreeState> tree;
  std::vector<OpenPage> open;
  std::unordered_map<uint64_t, PageId> seen;  // and the page that led there
  std::unordered_set<BlobId> detached;
  CountChange counted;
  const std::unordered_set<BlobId>* wanted = nullptr;  // only to find who names these
  std::vector<std::string> keys_found;
};

Task<Result<std::vector<std::string>>> Partition::keys_naming(const std::unordered_set<BlobId>& blobs) {
  Verifier verifier(*this, true);
  verifier.wanted = &blobs;
  for (const BucketId bucket : trees()) {
    verifier.tree = find_tree(bucket);
    if (verifier.tree == nullptr || verifier.tree->root == nullptr) continue;
    FB_CO_CHECK(co_await verifier.values());
  }
  co_return std::move(verifier.keys_found);
}

Task<Result<Partition::VerifyReport>> Partition::verify(bool in_use) {
  Verifier verifier(*this, in_use);
  compaction_holds_ += in_use ? 0 : 1;
  const Result<void> verified = co_await verifier.run();
  compaction_holds_ -= in_use ? 0 : 1;
  FB_CO_CHECK(verified);
  co_return std::move(verifier.report);
}

}  // namespace fb
