// SPDX-License-Identifier: Apache-2.0
#include "nss/partition.h"

#include <algorithm>

#include "io/call_on.h"
#include "io/log.h"
#include "nss/partition_front.h"

namespace fb {
namespace {

constexpr Duration kSectionPoll = Duration::microseconds(100);

}  // namespace

void TreeState::Counts::add(const CountChange& change) {
  objects.fetch_add(change.objects, std::memory_order_relaxed);
  bytes.fetch_add(change.bytes, std::memory_order_relaxed);
  uploads.fetch_add(change.uploads, std::memory_order_relaxed);
}

CountChange TreeState::Counts::now() const {
  return {.objects = objects.load(std::memory_order_relaxed),
          .bytes = bytes.load(std::memory_order_relaxed),
          .uploads = uploads.load(std::memory_order_relaxed)};
}

CountChange TreeState::Counts::take() {
  return {.objects = objects.exchange(0), .bytes = bytes.exchange(0), .uploads = uploads.exchange(0)};
}

CountChange TreeState::counts_now() const {
  CountChange all = base;
  all += counts[0].now();
  all += counts[1].now();
  return all;
}

Partition::Partition(Env& env, const Options& options, const MetadataClients& stores)
    : env_(env),
      options_(options),
      checkpoints_(stores.checkpoints),
      journal_store_(stores.journal),
      page_store_(stores.pages),
      scope_(env),
      marks_(std::make_unique<Mark[]>(env.core_count())),
      ports_(std::make_unique<CorePorts[]>(env.core_count())),
      fronts_mutex_(env),
      checkpoint_mutex_(env),
      redo_ended_(env),
      background_(env) {}

Partition::~Partition() { FB_ASSERT(!open_ || env_.abandoned()); }

Partition::CorePorts Partition::ports(Env& env) {
  CorePorts& ports = ports_[env.core()];
  if (ports.journal == nullptr) ports = {&journal_->attach(env), &buffers_->attach(env)};
  return ports;
}

// Until every core has left the section that it was in when this was called.
Task<void> Partition::wait_for_sections() {
  for (unsigned core = 0; core < env_.core_count(); ++core) {
    const uint64_t seen = marks_[core].value.load();
    if (seen % 2 == 0) continue;
    while (marks_[core].value.load() == seen) (void)co_await sleep_for(env_, kSectionPoll);
  }
}

Task<void> Partition::add_front(PartitionFront& front) {
  const auto held = co_await fronts_mutex_.acquire();
  fronts_.push_back(&front);
}

Task<void> Partition::remove_front(PartitionFront& front) {
  const auto held = co_await fronts_mutex_.acquire();
  co_await collect_from(front);
  std::erase(fronts_, &front);
}

Task<void> Partition::collect_from_fronts() {
  const auto held = co_await fronts_mutex_.acquire();
  for (PartitionFront* front : fronts_) co_await collect_from(*front);
}

// What a core has left since the last time: garbage, and pages that left their trees.
Task<void> Partition::collect_from(PartitionFront& front) {
  struct Left {
    std::vector<Garbage> garbage;
    std::vector<BufferPort::Retired> retired;
  };
  const Left left = co_await call_on(env_, front.core(), [&front](Env&) -> Task<Left> {
    co_return Left{.garbage = std::exchange(front.garbage_, {}),
                   .retired = front.ports_.buffers->take_retired(UINT64_MAX)};
  });
  add_garbage(left.garbage);
  retired_.insert(retired_.end(), left.retired.begin(), left.retired.end());
}

void Partition::add_garbage(std::span<const Garbage> garbage) {
  for (const Garbage& item : garbage) {
    ledger_[item.id] = item.block_count;
    if (sweeping() && marks(item.id)) marked_.insert(item.id);
  }
}

Partition::Statistics Partition::statistics() const {
  Statistics statistics = statistics_;
  for (const auto& [bucket, tree] : trees_) {
    if (bucket != kSystemTree.value) statistics.objects += static_cast<uint64_t>(tree->counts_now().objects);
  }
  const BufferStatistics& buffers = buffers_->statistics();
  statistics.trees = trees_.size();
  statistics.memory_bytes = uint64_t{buffers_->frame_count()} * buffers_->page_bytes();
  statistics.dirty_pages = buffers_->dirty_count();
  statistics.pages = page_store_.page_count();
  statistics.page_loads = buffers.loads.load();
  statistics.pages_written = buffers.pages_written.load();
  statistics.evictions = buffers.evictions.load();
  statistics.pages_damaged = buffers.damaged.load();
  statistics.ledger_blobs = ledger_.size();
  statistics.redo_pages = redo_.page_count();
  statistics.journal_bytes = journal_used();
  return statistics;
}

void Partition::use_blobs(BlobClient& blobs) {
  blobs_ = &blobs;
  own_front_->use_blobs(blobs);
}

void Partition::start_background(BlobClient& blobs) {
  FB_ASSERT(background_.size() == 0, background_.size());
  use_blobs(blobs);
  background_.spawn(&run_freeing, this);
  background_.spawn(&run_sweep, this);
  background_.spawn(&run_compaction, this);
}

Task<Result<void>> Partition::close() {
  FB_ASSERT(fronts_.size() <= 1, fronts_.size());
  closing_.store(true);
  stop_sleeps_.cancel();
  co_await background_.join();
  if (own_front_ != nullptr) {
    co_await collect_from_fronts();
    co_await own_front_->close();
  }
  while (open_ && !redone_) co_await redo_ended_.wait();
  Result<void> result;
  const bool sound = open_ && !journal_->failed() && !journal_->stalled();
  if (sound) {
    clean_ = statistics_.sweep_done && !unnamed_left_;
    ending_ = true;
    result = co_await take_checkpoint(true);
  }
  stopping_ = true;
  if (buffers_ != nullptr) {
    for (auto& [bucket, tree] : trees_) {
      if (tree->root != nullptr) ports_[0].buffers->unpin(*tree->root);
      tree->root = nullptr;
    }
    buffers_->stop();
    journal_->stop();
    co_await scope_.join();
    co_await buffers_->drain();
    co_await journal_->drain(env_);
  }
  journal_store_.set_low_handler(nullptr);
  own_front_.reset();
  open_ = false;
  co_return result;
}

}  // namespace fb
