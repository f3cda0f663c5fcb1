// SPDX-License-Identifier: Apache-2.0
#include "nss/partition_front.h"

#include <algorithm>

#include "io/call_on.h"

namespace fb {
namespace {

constexpr unsigned kHomeCore = 0;
constexpr Duration kWaitPoll = Duration::milliseconds(1);

Error from_page(const Error& error) {
  if (error.is(PageError::timed_out)) return NamespaceError::timed_out;
  if (error.is(PageError::full)) return NamespaceError::full;
  if (error.is(PageError::damaged) || error.is(PageError::not_found)) return NamespaceError::damaged;
  return NamespaceError::unavailable;
}

// For a call on another core: a cancellation is its own core's.
CallContext elsewhere(const CallContext& context) {
  return {.deadline = context.deadline, .trace_id = context.trace_id};
}

}  // namespace

PartitionFront::PartitionFront(Env& env, Partition& partition, Partition::CorePorts ports)
    : env_(env), partition_(partition), ports_(ports), journal_(*ports.journal) {}

PartitionFront::~PartitionFront() { FB_ASSERT(closed_ || env_.abandoned()); }

Task<std::unique_ptr<PartitionFront>> PartitionFront::open(Env& env, Partition& partition) {
  std::unique_ptr<PartitionFront> front(new PartitionFront(env, partition, partition.ports(env)));
  co_await call_on(env, kHomeCore, [&](Env&) { return partition.add_front(*front); });
  co_return front;
}

Task<void> PartitionFront::close() {
  FB_ASSERT(pins_.empty(), pins_.size());
  FB_ASSERT(long_reads_ == nullptr);
  FB_ASSERT(named_.empty(), named_.size());
  co_await call_on(env_, kHomeCore, [this](Env&) { return partition_.remove_front(*this); });
  journal_.give_back();
  handles_.clear();
  closed_ = true;
}

ReadPin PartitionFront::pin() {
  const uint64_t epoch = partition_.read_epoch();
  if (pins_.empty() || pins_.back().epoch != epoch) pins_.push_back({epoch, 0});
  ++pins_.back().count;
  return ReadPin(*this, epoch);
}

void PartitionFront::unpin(uint64_t epoch) {
  auto found = pins_.end();
  do {
    FB_ASSERT(found != pins_.begin(), epoch);
    --found;
  } while (found->epoch != epoch);
  --found->count;
  while (!pins_.empty() && pins_.front().count == 0) pins_.pop_front();
}

void PartitionFront::begin_long(LongRead& read) {
  read.next = long_reads_;
  if (long_reads_ != nullptr) long_reads_->previous = &read;
  long_reads_ = &read;
}

void PartitionFront::end_long(LongRead& read) {
  if (read.previous != nullptr) read.previous->next = read.next;
  if (read.next != nullptr) read.next->previous = read.previous;
  if (long_reads_ == &read) long_reads_ = read.next;
}

void PartitionFront::narrow_reads(uint64_t epoch) {
  unsigned narrowed = 0;
  for (LongRead* read = long_reads_; read != nullptr && narrowed < kNarrowedMax; read = read->next) {
    if (read->narrowed() || read->epoch() > epoch) continue;
    for (const BlobId& blob : read->narrow()) ++named_[blob];
    ++narrowed;
  }
}

void PartitionFront::unname(const BlobId& blob) {
  const auto found = named_.find(blob);
  FB_ASSERT(found != named_.end(), blob.number);
  if (--found->second == 0) named_.erase(found);
}

// --- trees ---

PartitionFront::HandleRef PartitionFront::find_open(BucketId bucket) const {
  const auto found = handles_.find(bucket.value);
  if (found == handles_.end()) return nullptr;
  const bool open = found->second->state->state.load() == TreeState::State::open;
  return open ? found->second : nullptr;
}

Task<Result<PartitionFront::HandleRef>> PartitionFront::find(const CallContext& context, BucketId bucket) {
  if (HandleRef handle = find_open(bucket); handle != nullptr && !closed_) co_return handle;
  co_return co_await find_slowly(context, bucket);
}

Task<Result<PartitionFront::HandleRef>> PartitionFront::find_slowly(const CallContext& context,
                                                                    BucketId bucket) {
  for (;;) {
    if (partition_.closing() || closed_) co_return NamespaceError::unavailable;
    if (is_over(context, env_.now())) co_return NamespaceError::timed_out;
    std::shared_ptr<TreeState> state = co_await call_on(
        env_, kHomeCore,
        [this, bucket](Env&) -> Task<std::shared_ptr<TreeState>> { co_return partition_.find_tree(bucket); });
    if (state == nullptr) {
      FB_CO_CHECK(co_await durable(context, partition_.last_drop()));
      co_return NamespaceError::no_such_tree;
    }
    if (state->root == nullptr) co_return NamespaceError::damaged;
    if (state->state.load() == TreeState::State::open) {
      HandleRef& handle = handles_[bucket.value];
      if (handle == nullptr || handle->state != state)
        handle = std::make_shared<Handle>(std::move(state), *ports_.buffers, journal_, env_.core());
      co_return handle;
    }
    (void)co_await sleep_for(env_, kWaitPoll);
  }
}

Task<Result<void>> PartitionFront::create_tree(const CallContext& context, BucketId bucket) {
  return call_on(env_, kHomeCore, [this, there = elsewhere(context), bucket](Env&) {
    return partition_.create_tree(there, bucket);
  });
}

Task<Result<void>> PartitionFront::drop_tree(const CallContext& context, BucketId bucket) {
  return call_on(env_, kHomeCore, [this, there = elsewhere(context), bucket](Env&) {
    return partition_.drop_tree(there, bucket);
  });
}

Task<Result<TreeStatistics>> PartitionFront::tree_statistics(const CallContext& context, BucketId bucket) {
  return call_on(env_, kHomeCore, [this, there = elsewhere(context), bucket](Env&) {
    return partition_.tree_statistics(there, bucket);
  });
}

Task<Result<std::vector<BucketId>>> PartitionFront::trees(const CallContext&) {
  co_return co_await call_on(env_, kHomeCore,
                             [this](Env&) -> Task<std::vector<BucketId>> { co_return partition_.trees(); });
}

void PartitionFront::discard_blob(BlobId blob, uint32_t block_count) {
  FB_ASSERT(!closed_);
  // Not in the journal: after a crash the sweep finds it.
  garbage_.push_back({blob, block_count});
}

// --- what operations wait for ---

Task<Result<void>> PartitionFront::durable(const CallContext& context, uint64_t position) {
  const Result<void> written = co_await ports_.journal->wait_durable(position, context.deadline);
  if (!written) co_return from_journal(written.error());
  co_return Result<void>();
}

Error PartitionFront::from_journal(const Error& error) {
  if (error.is(JournalError::timed_out)) return NamespaceError::timed_out;
  if (error.is(JournalError::full)) return NamespaceError::record_too_large;
  return NamespaceError::unavailable;
}

Error PartitionFront::not_durable(bool made, const Error& journal) {
  return made ? Error(NamespaceError::outcome_unknown) : from_journal(journal);
}

bool PartitionFront::ready(uint64_t bytes) const {
  return journal_.has(bytes) && ports_.buffers->has_room(Partition::kOperationFrames) &&
         !partition_.journal_tight();
}

Task<Result<void>> PartitionFront::make_ready(const CallContext& context, uint64_t bytes, bool adds) {
  if (partition_.closing() || closed_) co_return NamespaceError::unavailable;
  if (adds && partition_.refuses_puts()) co_return NamespaceError::full;
  // What would be changed from now on could not become durable: better not to change it.
  if (partition_.journal_buffer().failed()) co_return NamespaceError::unavailable;
  while (!ready(bytes)) {
    // While it closes, nobody makes room in the journal any more.
    if (partition_.closing() || closed_) co_return NamespaceError::unavailable;
    if (partition_.journal_buffer().failed()) co_return NamespaceError::unavailable;
    if (is_over(context, env_.now())) co_return NamespaceError::timed_out;
    if (partition_.journal_tight()) {
      if (adds && partition_.refuses_puts()) co_return NamespaceError::full;
      (void)co_await sleep_for(env_, kWaitPoll);
      continue;
    }
    const Result<void> room = co_await ports_.buffers->make_room(context, Partition::kOperationFrames);
    if (!room) co_return from_page(room.error());
    const Result<void> reserved = co_await journal_.reserve(context, bytes);
    if (!reserved) co_return from_journal(reserved.error());
  }
  co_return Result<void>();
}

Task<Result<void>> PartitionFront::after_attempt(const CallContext& context, const art::Answer& answer,
                                                 PageId& gone) {
  FB_CO_TRY(const Step step, co_await after(context, answer, gone));
  if (step != Step::again) co_return NamespaceError::damaged;
  co_return co_await begin_again(context);
}

Task<Result<void>> PartitionFront::begin_again(const CallContext& context) {
  co_await yield(env_);
  if (partition_.closing() || closed_) co_return NamespaceError::unavailable;
  if (is_over(context, env_.now())) co_return NamespaceError::timed_out;
  co_return Result<void>();
}

Task<Result<PartitionFront::Step>> PartitionFront::after(const CallContext& context,
                                                         const art::Answer& answer, PageId& gone) {
  switch (answer.outcome) {
    case art::Outcome::missing: {
      env_.point("nss.load");
      const Wanted wanted = gone == answer.page ? Wanted::certainly : Wanted::when_looked_for;
      const Result<void> loaded = co_await ports_.buffers->load(context, answer.page, wanted);
      if (!loaded && wanted == Wanted::when_looked_for && loaded.error().is(PageError::not_found)) {
        gone = answer.page;
      } else if (!loaded) {
        co_return from_page(loaded.error());
      }
      co_return Step::again;
    }
    case art::Outcome::no_frames: {
      const Result<void> room = co_await ports_.buffers->make_room(context, 2 * Partition::kOperationFrames);
      if (!room) co_return from_page(room.error());
      co_return Step::again;
    }
    case art::Outcome::damaged:
      co_return NamespaceError::damaged;
    case art::Outcome::too_large:
      co_return NamespaceError::record_too_large;
    default:
      co_return Step::done;
  }
}

}  // namespace fb
