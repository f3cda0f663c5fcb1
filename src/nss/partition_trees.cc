// SPDX-License-Identifier: Apache-2.0
// Buckets come and go: on core 0, one at a time.
#include <algorithm>

#include "art/page_op.h"
#include "io/call_on.h"
#include "nss/partition_front.h"

namespace fb {
namespace {

constexpr size_t kEraseBatch = 256;     // keys of a dropped tree in one commit
constexpr uint32_t kFramesPerTree = 4;  // root pages stay in memory: this many frames for each
constexpr Duration kDecidedPoll = Duration::milliseconds(5);  // while another call drops the same bucket

}  // namespace

std::shared_ptr<TreeState> Partition::find_tree(BucketId bucket) const {
  const auto found = trees_.find(bucket.value);
  return found == trees_.end() ? nullptr : found->second;
}

std::vector<BucketId> Partition::trees() const {
  std::vector<BucketId> ids;
  ids.reserve(trees_.size());
  for (const auto& [bucket, tree] : trees_) ids.push_back({bucket});
  std::ranges::sort(ids);
  return ids;
}

Task<Result<void>> Partition::create_tree(CallContext context, BucketId bucket) {
  if (find_tree(bucket) != nullptr) {
    FB_CO_CHECK(co_await own_front_->durable(context, journal_->tail()));
    co_return NamespaceError::tree_exists;
  }
  if (trees_.size() * kFramesPerTree >= buffers_->frame_count()) co_return NamespaceError::full;
  FB_CO_CHECK(co_await own_front_->make_ready(context, kOperationBytes, true));
  if (find_tree(bucket) != nullptr) co_return NamespaceError::tree_exists;
  uint64_t position = 0;
  {
    const Section section(*this, env_.core());
    BufferPort& port = *ports_[0].buffers;
    art::Frame* frame = port.create();
    FB_ASSERT(frame != nullptr);
    const PageId root = frame->page_id.load(std::memory_order_relaxed);
    std::string change;
    art::begin_change(change);
    art::append_change(change, {root, art::ChangePage::Action::create, {}});
    std::string body;
    encode_tree_made(body, bucket, root, change);
    const Lsn lsn = own_front_->journal_.append(JournalRecordKind::tree_made, body);
    art::PageHeader& header = art::PageEditor(*frame).header();
    header.lsn_epoch = lsn.epoch;
    header.lsn_position = lsn.position;
    port.changed(*frame);
    auto tree = std::make_shared<TreeState>(bucket, root, env_.core_count());
    tree->root = static_cast<BufferFrame*>(frame);
    tree->root->pins.fetch_add(1);
    frame->latch.release();
    trees_[bucket.value] = std::move(tree);
    position = lsn.position;
  }
  if (!co_await ports_[0].journal->wait_durable(position, context.deadline))
    co_return NamespaceError::outcome_unknown;
  co_return Result<void>();
}

// Whether something is in a space of a tree that no one changes.
Task<Result<bool>> Partition::any_key(const CallContext& context, TreeState& tree, Space space) {
  TreeSource source(*ports_[0].buffers, *tree.root);
  const std::string begin(1, static_cast<char>(space));
  PageId gone;
  for (;;) {
    art::Cursor<TreeSource> cursor(source, tree.gate);
    cursor.begin();
    art::Answer answer = cursor.seek(begin);
    while (answer.outcome == art::Outcome::missing) {
      FB_CO_CHECK(co_await own_front_->after(context, answer, gone));
      answer = cursor.again();
    }
    if (answer.outcome == art::Outcome::renamed) {
      FB_CO_CHECK(co_await own_front_->begin_again(context));
      continue;
    }
    if (answer.outcome == art::Outcome::damaged) co_return NamespaceError::damaged;
    FB_CO_CHECK(co_await own_front_->durable(context, cursor.lsn().position));
    co_return answer.outcome == art::Outcome::done&& cursor.key().starts_with(begin);
  }
}

// A batch of a space's keys, and what they named becomes garbage; whether there may be more.
Task<Result<bool>> Partition::erase_some(const CallContext& context, BucketId bucket, Space space) {
  FB_CO_TRY(
      const ListPage page,
      co_await own_front_->list(
          context, {.bucket = bucket, .space = space, .entries_max = kEraseBatch, .with_records = false}));
  if (page.entries.empty()) co_return false;
  std::vector<Mutation> mutations;
  for (const ListEntry& entry : page.entries)
    mutations.push_back({.kind = Mutation::Kind::erase, .space = space, .key = entry.key});
  for (const Result<MutationResult>& erased : co_await own_front_->apply_each(context, bucket, mutations)) {
    if (!erased) co_return erased.error();
  }
  co_return true;
}

// What uploads and parts named becomes garbage, and so does what lies detached: nothing here waits for a
// reader.
Task<Result<void>> Partition::erase_uploads(const CallContext& context, BucketId bucket) {
  for (const Space space : {Space::uploads, Space::parts, Space::tokens, Space::ledger}) {
    for (bool more = true; more;) {
      FB_CO_TRY(more, co_await erase_some(context, bucket, space));
    }
  }
  co_return Result<void>();
}

// An operation that finds the tree closing waits until this has been decided; those that were in a section
// are over before anything is looked at. So between the look and the end nobody changes the tree.
Task<Result<void>> Partition::drop_tree(CallContext context, BucketId bucket) {
  for (;;) {
    if (closing()) co_return NamespaceError::unavailable;
    if (context.deadline <= env_.now()) co_return NamespaceError::timed_out;
    const std::shared_ptr<TreeState> tree = find_tree(bucket);
    if (tree == nullptr) {
      FB_CO_CHECK(co_await own_front_->durable(context, last_drop()));
      co_return NamespaceError::no_such_tree;
    }
    if (tree->root == nullptr) co_return NamespaceError::damaged;
    FB_CO_CHECK(co_await own_front_->make_ready(context, kOperationBytes, false));
    TreeState::State open = TreeState::State::open;
    if (!tree->state.compare_exchange_strong(open, TreeState::State::closing)) {
      (void)co_await sleep_for(env_, kDecidedPoll);
      continue;
    }
    co_await wait_for_sections();
    bool retry = false;
    const Result<void> empty = co_await wait_empty(context, *tree, retry);
    if (!empty || retry) tree->state.store(TreeState::State::open);
    FB_CO_CHECK(empty);
    if (retry) {
      FB_CO_CHECK(co_await erase_uploads(context, bucket));
      continue;
    }
    // What was reserved before may be used up by now.
    if (!own_front_->ready(kOperationBytes)) {
      tree->state.store(TreeState::State::open);
      continue;
    }
    co_return co_await end_tree(context, tree);
  }
}

// `retry`: something is in the way that can be cleared away.
Task<Result<void>> Partition::wait_empty(const CallContext& context, TreeState& tree, bool& retry) {
  for (const Space space : {Space::objects, Space::versions}) {
    FB_CO_TRY(const bool any, co_await any_key(context, tree, space));
    if (any) co_return NamespaceError::tree_not_empty;
  }
  for (const Space space : {Space::uploads, Space::parts, Space::tokens, Space::ledger}) {
    FB_CO_TRY(const bool any, co_await any_key(context, tree, space));
    retry = retry || any;
  }
  co_return Result<void>();
}

Task<Result<void>> Partition::end_tree(const CallContext& context, const std::shared_ptr<TreeState>& tree) {
  // Everything is gone, and with it every page but the root's.
  while (!tree->root->latch.try_exclusive()) co_await yield(env_);
  uint64_t position = 0;
  {
    const Section section(*this, env_.core());
    std::string change;
    art::begin_change(change);
    art::append_change(change, {tree->root_page, art::ChangePage::Action::retire, {}});
    std::string body;
    encode_tree_dropped(body, tree->bucket, change);
    const Lsn lsn = own_front_->journal_.append(JournalRecordKind::tree_dropped, body);
    // Before the frame may hold something else.
    tree->state.store(TreeState::State::dropped);
    BufferPort& port = *ports_[0].buffers;
    BufferFrame& root = *tree->root;
    port.unpin(root);
    port.retire(root);
    root.latch.release();
    position = lsn.position;
    last_drop_.store(position, std::memory_order_release);
    trees_.erase(tree->bucket.value);
  }
  co_await forget_tree(tree->bucket);
  if (!co_await ports_[0].journal->wait_durable(position, context.deadline))
    co_return NamespaceError::outcome_unknown;
  co_return Result<void>();
}

Task<void> Partition::forget_tree(BucketId bucket) {
  const auto held = co_await fronts_mutex_.acquire();
  for (PartitionFront* front : fronts_) {
    co_await call_on(env_, front->core(), [front, bucket](Env&) -> Task<void> {
      front->forget(bucket);
      co_return;
    });
  }
}

Task<Result<TreeStatistics>> Partition::tree_statistics(CallContext context, BucketId bucket) {
  const std::shared_ptr<TreeState> tree = find_tree(bucket);
  if (tree == nullptr) {
    FB_CO_CHECK(co_await own_front_->durable(context, last_drop()));
    co_return NamespaceError::no_such_tree;
  }
  const uint64_t seen = journal_->tail();
  const CountChange counts = tree->counts_now();
  FB_CO_CHECK(co_await own_front_->durable(context, seen));
  co_return TreeStatistics{.objects = static_cast<uint64_t>(counts.objects),
                           .bytes = static_cast<uint64_t>(counts.bytes),
                           .uploads = static_cast<uint64_t>(counts.uploads)};
}

}  // namespace fb
