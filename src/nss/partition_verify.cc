// SPDX-License-Identifier: Apache-2.0
// Every invariant of every tree, page by page: one page is looked at at a time, so that any store can be
// checked with the memory at hand. Nothing may change meanwhile.
#include <algorithm>

#include "art/page_check.h"
#include "client/record.h"
#include "nss/partition_front.h"

namespace fb {
namespace {

constexpr size_t kProblemsMax = 1000;

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

}  // namespace

// What the tree's pages say of themselves and of one another.
Task<Result<void>> Partition::verify_pages(TreeState& tree, VerifyReport& report) {
  const auto wrong = [&](PageId id, std::string_view what) {
    if (report.problems.size() < kProblemsMax)
      report.problems.push_back(fmt::format("bucket {}: page {}: {}", tree.bucket.value, id.value, what));
  };
  std::vector<OpenPage> open;
  std::unordered_set<uint64_t> seen;
  const auto enter = [&](PageId id, const art::FoundLink& by, uint32_t above) -> Task<Result<void>> {
    if (!seen.insert(id.value).second) {
      wrong(id, "more than one link leads to it");
      co_return Result<void>();
    }
    const Result<BufferFrame*> pinned = co_await ports_[0].buffers->pin({}, id);
    if (!pinned) {
      if (!pinned.error().is(PageError::damaged)) co_return pinned.error();
      wrong(id, "damaged or lost; what lies beneath is not served");
      co_return Result<void>();
    }
    const art::PageView page(**pinned);
    OpenPage entered{.id = id, .above = above, .by = by};
    const std::string error = art::verify_page(page);
    if (!error.empty()) {
      wrong(id, error);
    } else {
      if (id != tree.root_page && page.entries() == 0) wrong(id, "empty");
      if (by.by_range && page.block(page.root()).value_offset() != 0) wrong(id, "a value below a range");
      art::for_each_link(page, [&](art::FoundLink link) {
        link.word = art::LinkWord::of(link.word.page_id());
        entered.links.push_back(link);
      });
      entered.longest = art::longest_value_path(page);
      ++report.pages;
      report.live_bytes += page.live_bytes();
      report.capacity_bytes += page.capacity_bytes();
      report.depth_max = std::max<uint64_t>(report.depth_max, open.size() + 1);
    }
    ports_[0].buffers->unpin(**pinned);
    open.push_back(std::move(entered));
    co_return Result<void>();
  };
  FB_CO_CHECK(co_await enter(tree.root_page, {}, 0));
  while (!open.empty()) {
    if (open.back().next < open.back().links.size()) {
      const art::FoundLink link = open.back().links[open.back().next++];
      FB_CO_CHECK(co_await enter(link.word.page_id(), link, open.back().above + link.depth));
      continue;
    }
    const OpenPage done = std::move(open.back());
    open.pop_back();
    if (done.above + done.longest > art::kKeyBytesMax) wrong(done.id, "a key too long");
    if (open.empty()) break;
    OpenPage& parent = open.back();
    if (done.longest > done.by.bound * art::kBoundStep) {
      wrong(done.id, fmt::format("a bound of {} over {} bytes", done.by.bound, done.longest));
    }
    if ((done.flags & ~done.by.flags) != 0) wrong(done.id, "flags that are not seen above");
    parent.flags |= done.by.flags;
    parent.longest = std::max(parent.longest, done.by.depth + done.longest);
  }
  co_return Result<void>();
}

// What its keys hold, and that the counts say the same.
Task<Result<void>> Partition::verify_values(TreeState& tree, VerifyReport& report,
                                            std::unordered_map<BlobId, uint32_t>& named) {
  const auto wrong = [&](std::string_view key, std::string_view what) {
    if (report.problems.size() < kProblemsMax)
      report.problems.push_back(
          fmt::format("bucket {}: key {}: {}", tree.bucket.value, art::printable(key), what));
  };
  CountChange counted;
  std::string next;
  for (bool more = true; more;) {
    TreeSource source(*ports_[0].buffers, *tree.root);
    art::Cursor<TreeSource> cursor(source, tree.gate);
    cursor.begin();
    art::Answer answer = cursor.seek(next);
    for (;;) {
      if (answer.outcome == art::Outcome::missing) {
        const Result<PartitionFront::Step> loaded = co_await own_front_->after({}, answer);
        if (!loaded && loaded.error().is(NamespaceError::damaged))
          co_return Result<void>();  // reported above
        FB_CO_CHECK(loaded);
        answer = cursor.again();
        continue;
      }
      if (answer.outcome == art::Outcome::renamed) break;
      if (answer.outcome != art::Outcome::done) {
        more = false;
        break;
      }
      const std::string key(cursor.key());
      const std::string bytes(cursor.value());
      next = key;
      next.push_back('\0');
      const std::optional<TreeValue> value = decode_value(cursor.value_flags(), bytes);
      const auto space = static_cast<Space>(key.empty() ? 0 : key[0]);
      std::vector<Garbage> blobs;
      if (!value) {
        wrong(key, "its value makes no sense");
      } else if (value->spilled) {
        blobs.push_back({value->spilled->blob, 1});
        const Result<std::string> record = blobs_ == nullptr
                                               ? Result<std::string>(NamespaceError::unavailable)
                                               : co_await own_front_->read_spilled({}, *value->spilled);
        if (record && !collect_blobs(*record, blobs)) wrong(key, "its record makes no sense");
        if (!record && blobs_ != nullptr) wrong(key, "the blob of its record cannot be read");
      } else if (!collect_blobs(value->record, blobs)) {
        wrong(key, "its record makes no sense");
      }
      const bool owner = space != Space::ledger || detached_owns_blobs(key);
      for (const Garbage& blob : blobs) {
        if (owner && !named.emplace(blob.id, blob.block_count).second) wrong(key, "a blob has two owners");
      }
      ++report.keys;
      if (space == Space::uploads) ++counted.uploads;
      if (space == Space::objects && value) {
        ++counted.objects;
        counted.bytes += static_cast<int64_t>(value->object_bytes());
      }
      answer = cursor.next();
    }
  }
  CountChange recorded = tree.base;
  recorded += tree.counts[0].now();
  recorded += tree.counts[1].now();
  if (recorded != counted) {
    report.problems.push_back(
        fmt::format("bucket {}: {} objects of {} bytes and {} uploads are counted, {} of {} and {} are there",
                    tree.bucket.value, recorded.objects, recorded.bytes, recorded.uploads, counted.objects,
                    counted.bytes, counted.uploads));
  }
  co_return Result<void>();
}

Task<Result<Partition::VerifyReport>> Partition::verify() {
  VerifyReport report;
  std::unordered_map<BlobId, uint32_t> named;
  for (const BucketId bucket : trees()) {
    const std::shared_ptr<TreeState> tree = find_tree(bucket);
    ++report.trees;
    if (tree->root == nullptr) {
      report.problems.push_back(fmt::format("bucket {}: its root page is lost", bucket.value));
      continue;
    }
    FB_CO_CHECK(co_await verify_pages(*tree, report));
    FB_CO_CHECK(co_await verify_values(*tree, report, named));
  }
  co_await collect_from_fronts();
  for (const auto& [blob, block_count] : ledger_) {
    if (named.contains(blob)) {
      report.problems.push_back(fmt::format("blob {} of incarnation {} is garbage and named by a record",
                                            blob.number, blob.incarnation.value));
    }
  }
  report.blobs_named = named.size();
  report.ledger_blobs = ledger_.size();
  report.named = std::move(named);
  co_return report;
}

}  // namespace fb
