// SPDX-License-Identifier: Apache-2.0
// Compaction: walks over trees from which much was erased, joining pages that have stayed sparse and laying
// out anew those that are full of garbage. When a walk begins, its order and its share of the machine:
// docs/namespace_engine.md.
//
// Between two pages a walk holds nothing but a key and a level. A page is changed as by any other operation:
// room is made and the page looked at once more, then one section joins pages and appends.
#include <algorithm>

#include "art/page_walk.h"
#include "io/log.h"
#include "nss/partition_front.h"

namespace fb {
namespace {

constexpr Duration kRetryDelay = Duration::seconds(5);  // after a walk that failed
constexpr unsigned kSamplePages = 32;
constexpr unsigned kSplitsMax = 3;  // of parents, to join one page
// A walk that leaves fewer pages by more than this share of those it looked at is followed by another one.
constexpr uint64_t kAgainShare = 10;

}  // namespace

struct Partition::Compactor {
  using Handle = PartitionFront::Handle;
  using Walk = art::PageWalk<PartitionFront::Source>;

  explicit Compactor(Partition& partition) : self(partition), front(*partition.own_front_) {}

  bool stops() const { return self.closing() || self.journal_->failed(); }

  // Before each page: others have a turn, or where the tick's share is used up the walk sleeps. False: the
  // partition closes.
  Task<bool> may_go_on() {
    while (looks <= 0 || reads <= 0 || changes <= 0 || self.compaction_holds_ != 0) {
      if (stops()) co_return false;
      (void)co_await sleep_for(self.env_, self.options_.compact_tick, &self.stop_sleeps_);
      // What was used beyond the share of one tick is the next one's.
      looks = std::min(looks + kCompactLooks, kCompactLooks);
      reads = std::min(reads + kCompactReads, kCompactReads);
      changes = std::min(changes + kCompactChanges, kCompactChanges);
    }
    co_await yield(self.env_);
    co_return !stops();
  }

  // False: the page is damaged or lost.
  Task<Result<bool>> load(PageId page) {
    --reads;
    ++self.statistics_.compact_reads;
    const auto loaded = co_await front.after({}, {.outcome = art::Outcome::missing, .page = page}, gone);
    if (loaded) co_return true;
    if (loaded.error().is(NamespaceError::damaged)) co_return false;
    co_return loaded.error();
  }

  // The pages that a sparse one may be joined with, as far as they are not in memory.
  Task<Result<void>> load_beside(const Walk::Place& place) {
    for (const PageId page : {place.before, place.behind}) {
      if (page.value == 0 || front.ports_.buffers->find(page) != nullptr) continue;
      FB_CO_CHECK(co_await load(page));
    }
    co_return Result<void>();
  }

  static bool is_fragmented(const Walk::Place& place) {
    return place.garbage_bytes >= place.capacity_bytes / kCompactGarbageShare;
  }

  // Whether the page is to be looked at again. Without suspension since it was looked at.
  bool change(Handle& handle, const Walk::Place& place, bool may_split) {
    const Section section(self, self.env_.core());
    front.journal_.set_floor(kSplitBytes);
    const uint32_t joined = place.sparse ? handle.tree.merge_along(place.path, place.key) : 0;
    self.statistics_.compact_joined += joined;
    changes -= static_cast<int>(joined);
    if (joined != 0) return true;
    if (place.sparse && may_split && handle.tree.split_above(place.path, place.key)) {
      ++self.statistics_.compact_split;
      --changes;
      return true;
    }
    if (is_fragmented(place) && handle.tree.compact(place.path.back()).outcome == art::Outcome::done) {
      ++self.statistics_.compact_laid_out;
      --changes;
    }
    return false;
  }

  // One walk. An error where it was not brought to its end: another one begins later.
  Task<Result<void>> walk(PartitionFront::HandleRef handle) {
    TreeState& tree = *handle->state;
    const uint64_t erased = tree.erased.load(std::memory_order_relaxed);
    Walk walk(handle->source);
    // Of the page that is looked at.
    bool looked_beside = false;
    uint64_t splits_before = self.statistics_.compact_split;
    bool made_ready = false;
    while (std::exchange(made_ready, false) || co_await may_go_on()) {
      if (self.compaction_holds_ != 0) continue;
      if (tree.state.load() != TreeState::State::open) co_return NamespaceError::no_such_tree;
      --looks;
      const art::Answer answer = walk.find();
      if (answer.outcome == art::Outcome::absent) {
        tree.erased.fetch_sub(erased, std::memory_order_relaxed);
        ++self.statistics_.compact_walks;
        co_return Result<void>();
      }
      if (answer.outcome == art::Outcome::missing) {
        FB_CO_TRY(const bool there, co_await load(answer.page));
        if (!there) walk.skip();
        continue;
      }
      if (answer.outcome == art::Outcome::damaged) {
        walk.skip();
        continue;
      }
      const Walk::Place& place = walk.place();
      if (place.sparse && !std::exchange(looked_beside, true)) {
        FB_CO_CHECK(co_await load_beside(place));
        continue;
      }
      ++self.statistics_.compact_looks;
      bool again = false;
      if (place.sparse || is_fragmented(place)) {
        if (!front.may_begin(kOperationBytes, false)) {
          FB_CO_CHECK(co_await front.make_ready({}, kOperationBytes, false));
          made_ready = true;
          continue;
        }
        again = change(*handle, place, self.statistics_.compact_split < splits_before + kSplitsMax);
      }
      looked_beside = false;
      // Joined with one neighbour it may still have room for the next.
      if (again) continue;
      walk.pass();
      splits_before = self.statistics_.compact_split;
    }
    co_return NamespaceError::unavailable;
  }

  // Whether a tree is sparse of which it is not known what was erased.
  Task<Result<bool>> is_sparse(PartitionFront::HandleRef handle) {
    Walk walk(handle->source);
    uint64_t live = 0;
    uint64_t capacity = 0;
    for (unsigned sampled = 0; sampled < kSamplePages;) {
      if (!co_await may_go_on()) co_return NamespaceError::unavailable;
      if (handle->state->state.load() != TreeState::State::open) co_return NamespaceError::no_such_tree;
      const art::Answer answer = walk.sample([this] { return self.env_.random(); });
      if (answer.outcome == art::Outcome::missing) {
        FB_CO_TRY(const bool there, co_await load(answer.page));
        sampled += there ? 0 : 1;
        continue;
      }
      ++sampled;
      --looks;
      if (answer.outcome != art::Outcome::done) continue;
      live += walk.place().live_bytes;
      capacity += walk.place().capacity_bytes;
    }
    co_return live < capacity / 2;
  }

  static uint64_t keys_of(const TreeState& tree) {
    const CountChange counts = tree.counts_now();
    return static_cast<uint64_t>(std::max<int64_t>(counts.objects + counts.uploads, 0));
  }
  bool is_due(const TreeState& tree) const {
    const uint64_t erased = tree.erased.load(std::memory_order_relaxed);
    return erased >= self.options_.compact_erased_min &&
           erased >= keys_of(tree) / self.options_.compact_erased_share;
  }
  bool is_large(const TreeState& tree) const { return keys_of(tree) >= self.options_.compact_erased_min; }

  // A page that is divided makes one more.
  uint64_t pages_fewer() const {
    const Statistics& made = self.statistics_;
    return made.compact_joined - std::min(made.compact_joined, made.compact_split);
  }

  // Walks over the tree, where one is due. `at_start`: what was erased before is not known.
  Task<Result<void>> look_at(BucketId bucket, bool at_start) {
    const std::shared_ptr<TreeState> tree = self.find_tree(bucket);
    if (tree == nullptr || tree->root == nullptr) co_return Result<void>();
    bool due = is_due(*tree);
    if (!due && !(at_start && is_large(*tree))) co_return Result<void>();
    FB_CO_TRY(const PartitionFront::HandleRef handle, co_await front.find({}, bucket));
    if (!due) {
      FB_CO_TRY(due, co_await is_sparse(handle));
    }
    if (!due) co_return Result<void>();
    self.statistics_.compacting = true;
    Result<void> walked;
    // What is joined changes what can be joined with it.
    for (bool again = true; again && walked;) {
      const uint64_t looks_before = self.statistics_.compact_looks;
      const uint64_t fewer_before = pages_fewer();
      walked = co_await walk(handle);
      again = pages_fewer() > fewer_before + (self.statistics_.compact_looks - looks_before) / kAgainShare;
    }
    self.statistics_.compacting = false;
    co_return walked;
  }

  Partition& self;
  PartitionFront& front;
  PageId gone;  // as PartitionFront::after() has it
  // What is left of the tick's share.
  int looks = kCompactLooks;
  int reads = kCompactReads;
  int changes = kCompactChanges;
};

Task<void> Partition::run_compaction(Partition* self) {
  Compactor compactor(*self);
  std::vector<BucketId> not_known = self->trees();
  bool failed = false;
  while (!compactor.stops()) {
    (void)co_await sleep_for(self->env_, failed ? kRetryDelay : self->options_.compact_delay,
                             &self->stop_sleeps_);
    failed = false;
    for (const BucketId bucket : self->trees()) {
      const bool at_start = std::ranges::find(not_known, bucket) != not_known.end();
      const Result<void> looked = co_await compactor.look_at(bucket, at_start);
      if (looked || looked.error().is(NamespaceError::no_such_tree)) {
        std::erase(not_known, bucket);
        continue;
      }
      if (compactor.stops()) break;
      failed = true;
      log(self->env_, LogLevel::warn, "namespace: a tree could not be compacted, trying again",
          {{"bucket", bucket.value}, {"error", looked.error().to_string()}});
    }
  }
}

}  // namespace fb
