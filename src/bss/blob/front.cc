// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <tuple>

#include "base/assert.h"
#include "bss/blob/placement.h"
#include "bss/blob/store.h"
#include "io/call_on.h"

namespace fb::bss {
namespace {

constexpr size_t kEnginePoolBytes = 256 * kMiB;  // a bound, not what is used
constexpr size_t kErasesAtOnceMax = 1024;

constexpr unsigned kBlobNumberCoreShift = 48;
constexpr uint64_t kBlobNumberOfCoreMax = (uint64_t{1} << kBlobNumberCoreShift) - 1;

}  // namespace

BlobFront::BlobFront(Env& env, BlobStore& store)
    : env_(env),
      store_(store),
      pool_(env, {.arena_bytes = 0, .limit_bytes = kEnginePoolBytes}),
      cache_(env, store.options().cache_bytes),
      scrub_turn_(env, 1),
      compaction_turn_(env, kCompactionTurns),
      context_{.env = env,
               .options = store.options(),
               .superblock = store.superblock(),
               .cache = cache_,
               .pool = pool_,
               .stats = stats_,
               .scrub_turn = scrub_turn_,
               .compaction_turn = compaction_turn_},
      shards_(store.superblock().shard_count),
      workers_(env) {
  store.set_front(env.core(), this);
  for (uint32_t number = 0; number < shards_.size(); ++number) {
    if (store.core_of(number) != env.core()) {
      others_.push_back(static_cast<uint16_t>(number));
      continue;
    }
    shards_[number] = std::make_unique<Shard>(context_, number);
    own_.push_back(shards_[number].get());
  }
}

BlobFront::~BlobFront() {
  FB_ASSERT(!open_ || env_.abandoned());
  for (Shard* shard : own_) store_.retract(shard->number());
  store_.set_front(env_.core(), nullptr);
}

Task<void> BlobFront::open_shard(Shard& shard, std::optional<Error>* error) {
  const Result<void> opened = co_await shard.open();
  if (!opened) *error = opened.error();
}

Task<Result<void>> BlobFront::open() {
  FB_ASSERT(!open_);
  std::optional<Error> error;
  {
    Scope scope(env_);
    for (Shard* shard : own_) scope.spawn(&BlobFront::open_shard, std::ref(*shard), &error);
    co_await scope.join();
  }
  open_ = true;
  if (error) {
    (void)co_await close();
    co_return *error;
  }
  for (Shard* shard : own_) {
    shard->start(workers_);
    shard->share();
    store_.publish(shard->number(), *shard);
  }
  co_return Result<void>();
}

Task<void> BlobFront::finish_shard(Shard& shard, std::optional<Error>* error) {
  const Result<void> finished = co_await shard.finish();
  if (!finished) *error = finished.error();
}

Task<Result<void>> BlobFront::close() {
  if (!open_) co_return Result<void>();
  for (Shard* shard : own_) shard->stop();
  co_await workers_.join();
  std::optional<Error> error;
  {
    Scope scope(env_);
    for (Shard* shard : own_) scope.spawn(&BlobFront::finish_shard, std::ref(*shard), &error);
    co_await scope.join();
  }
  open_ = false;
  if (error) co_return *error;
  co_return Result<void>();
}

// Stays with one shard while a segment of it fills, so that batches stay whole; then takes the emptiest of
// those that have room at once, for compaction to go on in the others meanwhile. Only where all of its own
// refuse puts does a core name blobs in those of others.
uint16_t BlobFront::shard_for_new_blob() {
  const auto rank = [](const Shard* shard) {
    return std::pair(!shard->space().refuses_puts(), shard->space().has_room_for_puts());
  };
  const bool filled = current_ == nullptr || current_->segments_sealed() != current_sealed_;
  if (filled || current_->space().will_keep_puts_waiting() || current_->space().refuses_puts()) {
    Shard* best = *std::ranges::max_element(own_, {}, [&](const Shard* shard) {
      return std::pair(rank(shard), shard->space().available_bytes());
    });
    if (filled || rank(best) > rank(current_)) current_ = best;
    current_sealed_ = current_->segments_sealed();
  }
  if (current_->space().refuses_puts() && !others_.empty()) return others_[current_other_];
  return static_cast<uint16_t>(current_->number());
}

BlobId BlobFront::new_blob() {
  FB_ASSERT(!own_.empty());
  return new_blob_in(shard_for_new_blob());
}

// Of the first shard and those that its further runs of blocks would go to, as far as they are this core's.
bool BlobFront::has_room_for(const Shard& first, uint64_t size_bytes) const {
  constexpr uint64_t kRunBytes = uint64_t{kBlocksPerRun} * kBlobBlockSizeMax;
  const uint64_t count = shards_.size();
  const uint64_t full_rounds = size_bytes / (count * kRunBytes);
  uint64_t rest = size_bytes % (count * kRunBytes);
  for (uint64_t step = 0; step < count && step * kRunBytes < size_bytes; ++step) {
    const uint64_t of_rest = std::min(kRunBytes, rest);
    const uint64_t needed = full_rounds * kRunBytes + of_rest;
    rest -= of_rest;
    const Shard* shard = shards_[(first.number() + step) % count].get();
    if (shard != nullptr && !shard->space().has_room_for_blocks(needed)) return false;
  }
  return true;
}

// Where the shard that is being filled has not the room, the emptiest that has.
BlobId BlobFront::new_blob_of(uint64_t size_bytes) {
  const uint16_t usual = shard_for_new_blob();
  if (shards_[usual] == nullptr || has_room_for(*shards_[usual], size_bytes)) return new_blob_in(usual);
  const auto rank = [&](const Shard* shard) {
    return std::tuple(has_room_for(*shard, size_bytes), !shard->space().refuses_puts(),
                      shard->space().available_bytes());
  };
  return new_blob_in(static_cast<uint16_t>((*std::ranges::max_element(own_, {}, rank))->number()));
}

// The number contains the core, so that every core may name blobs in every shard.
BlobId BlobFront::new_blob_in(uint16_t shard) {
  FB_ASSERT(last_blob_number_ < kBlobNumberOfCoreMax);
  return {.volume = store_.superblock().volume,
          .shard = shard,
          .incarnation = store_.options().incarnation,
          .number = uint64_t{env_.core()} << kBlobNumberCoreShift | ++last_blob_number_};
}

Task<Result<void>> BlobFront::put(const CallContext& context, const BlobWrite& write) {
  if (!ours(write.id) || write.block > kBlockNumberMax || write.length == 0) co_return BlobError::unavailable;
  if (write.length > kBlobBlockSizeMax) co_return BlobError::too_large;
  if (context.deadline <= env_.now()) co_return BlobError::timed_out;
  const size_t padded = payload_bytes(write.length);
  FB_ASSERT(padded <= write.buffer.capacity(), write.length, write.buffer.capacity());
  PieceSums sums;
  const auto pieces = piece_checksums(write.buffer.span(0, write.length), sums);
  // What stands in memory is no longer what came in.
  if (!pieces.empty() && checksum_of_pieces(pieces, write.length) != write.checksum)
    co_return BlobError::damaged;
  Buffer table;
  if (stored_bytes(write.length) > padded) table = co_await pool_.allocate(kBlockBytes);
  finish_payload(write.buffer.span(0, padded), write.length, pieces,
                 table ? table.span(0, kBlockBytes) : std::span<std::byte>());
  const PutArguments arguments{.key = {.id = write.id, .block = write.block},
                               .padded = write.buffer.span(0, padded),
                               .table = table ? table.data() : nullptr,
                               .length = write.length,
                               .checksum = write.checksum,
                               .deadline = context.deadline};
  const uint32_t number = shard_of(arguments.key, shard_count());
  const unsigned owner = store_.core_of(number);
  if (owner == env_.core()) co_return co_await put_here(arguments);
  // The other core writes from our memory; this frame holds it until then.
  const Result<void> stored =
      co_await call_on(env_, owner, [&](Env&) { return store_.front(owner).put_here(arguments); });
  const bool current = !others_.empty() && others_[current_other_] == number;
  if (!stored && stored.error().is(BlobError::full) && current)
    current_other_ = (current_other_ + 1) % others_.size();
  co_return stored;
}

Task<Result<void>> BlobFront::put_here(PutArguments arguments) {
  if (!open_) co_return BlobError::unavailable;
  Shard& target = shard(shard_of(arguments.key, shard_count()));
  if (arguments.length > target.payload_bytes_max()) co_return BlobError::too_large;
  WriteGroup group{.remaining = 1, .waiter = {}};
  WriteOp op{.kind = EntryKind::put,
             .block = arguments.key.block,
             .length = arguments.length,
             .incarnation = arguments.key.id.incarnation.value,
             .number = arguments.key.id.number,
             .checksum = arguments.checksum,
             .data = arguments.padded.data(),
             .table = arguments.table,
             .deadline = arguments.deadline,
             .group = &group};
  target.submit(op);
  co_await group;
  if (op.error) co_return *op.error;
  ++stats_.puts;
  stats_.put_bytes += arguments.length;
  co_return Result<void>();
}

bool BlobFront::get_cached(BlobKey key, uint32_t offset, uint32_t length, BlobData* out) {
  if (!ours(key.id)) return false;
  Shard* shard = store_.shard_to_read(shard_of(key, shard_count()));
  if (shard == nullptr || !shard->reader().get_cached(context_, key, offset, length, out)) return false;
  ++stats_.gets;
  ++stats_.cache_hits;
  stats_.get_bytes += length;
  return true;
}

Task<Result<BlobData>> BlobFront::get(const CallContext& context, BlobKey key, uint32_t offset,
                                      uint32_t length) {
  if (!ours(key.id)) co_return BlobError::not_found;
  if (length == 0 || length > kBlobBlockSizeMax) co_return BlobError::too_large;
  Shard* shard = open_ ? store_.shard_to_read(shard_of(key, shard_count())) : nullptr;
  if (shard == nullptr) co_return BlobError::unavailable;
  BlobData data;
  if (get_cached(key, offset, length, &data)) co_return data;
  FB_CO_TRY(data, co_await shard->reader().read(context_, context, key, offset, length));
  ++stats_.gets;
  stats_.get_bytes += length;
  co_return data;
}

// Blocks of this core's shards among the extents.
Task<Result<void>> BlobFront::erase_here(std::span<const BlobExtent> extents) {
  if (!open_) co_return BlobError::unavailable;
  std::vector<WriteOp> ops;
  std::optional<Error> error;
  const auto run = [&]() -> Task<void> {
    WriteGroup group{.remaining = ops.size(), .waiter = {}};
    for (WriteOp& op : ops) op.group = &group;
    for (WriteOp& op : ops) shard(static_cast<uint32_t>(op.place)).submit(op);
    co_await group;
    for (const WriteOp& op : ops) {
      if (op.error) error = op.error;
    }
    stats_.erases += ops.size();
    ops.clear();
  };
  for (const BlobExtent& extent : extents) {
    if (!ours(extent.id)) continue;
    for (uint32_t block = 0; block < extent.block_count; ++block) {
      const uint32_t number = shard_of({extent.id, block}, shard_count());
      if (store_.core_of(number) != env_.core()) continue;
      // `place` of a tombstone is free: it carries the shard.
      ops.push_back({.kind = EntryKind::tombstone,
                     .block = block,
                     .incarnation = extent.id.incarnation.value,
                     .number = extent.id.number,
                     .place = number});
      if (ops.size() == kErasesAtOnceMax) co_await run();
    }
  }
  if (!ops.empty()) co_await run();
  if (error) co_return *error;
  co_return Result<void>();
}

Task<Result<void>> BlobFront::erase(const CallContext& context, std::span<const BlobExtent> extents) {
  if (context.deadline <= env_.now()) co_return BlobError::timed_out;
  Result<void> first_failure;
  for (unsigned core = 0; core < store_.core_count(); ++core) {
    const bool any = std::ranges::any_of(extents, [&](const BlobExtent& extent) {
      if (!ours(extent.id)) return false;
      for (uint32_t block = 0; block < extent.block_count; block += kBlocksPerRun) {
        if (store_.core_of(shard_of({extent.id, block}, shard_count())) == core) return true;
      }
      return false;
    });
    if (!any) continue;
    const Result<void> erased =
        co_await call_on(env_, core, [&](Env&) { return store_.front(core).erase_here(extents); });
    if (first_failure) first_failure = erased;
  }
  co_return first_failure;
}

Task<Result<BlobPage>> BlobFront::enumerate(const CallContext&, uint16_t number, uint64_t cursor) {
  if (number >= store_.superblock().shard_count) co_return BlobError::not_found;
  const unsigned owner = store_.core_of(number);
  co_return co_await call_on(env_, owner, [&](Env&) -> Task<Result<BlobPage>> {
    co_return store_.front(owner).shard(number).enumerate(cursor);
  });
}

BlobSpace BlobFront::space_here() const {
  BlobSpace space;
  for (const Shard* shard : own_) {
    space.capacity_bytes += shard->space().capacity_bytes();
    space.used_bytes += shard->live_bytes();
    space.available_bytes += shard->space().available_bytes();
  }
  return space;
}

Task<Result<BlobSpace>> BlobFront::space(const CallContext&) {
  BlobSpace total;
  for (unsigned core = 0; core < store_.core_count(); ++core) {
    const BlobSpace part = co_await call_on(
        env_, core, [&](Env&) -> Task<BlobSpace> { co_return store_.front(core).space_here(); });
    total.capacity_bytes += part.capacity_bytes;
    total.used_bytes += part.used_bytes;
    total.available_bytes += part.available_bytes;
  }
  co_return total;
}

void BlobUsage::add(const BlobUsage& other) {
  for (uint64_t BlobUsage::* field :
       {&BlobUsage::capacity_bytes, &BlobUsage::live_bytes, &BlobUsage::garbage_bytes,
        &BlobUsage::unwritten_bytes, &BlobUsage::free_bytes, &BlobUsage::unallocated_bytes,
        &BlobUsage::lost_bytes, &BlobUsage::reserve_bytes, &BlobUsage::available_bytes, &BlobUsage::segments,
        &BlobUsage::segments_free, &BlobUsage::segments_max, &BlobUsage::blobs, &BlobUsage::tombstones,
        &BlobUsage::index_bytes, &BlobUsage::checkpoint_bytes}) {
    this->*field += other.*field;
  }
}

BlobUsage BlobFront::usage_here() const {
  BlobUsage usage;
  for (const Shard* shard : own_) usage.add(shard->usage());
  return usage;
}

Task<ScrubReport> BlobFront::scrub() {
  ScrubReport report;
  for (Shard* shard : own_) report.add(co_await shard->scrub_now());
  co_return report;
}

void BlobFront::stop_scrub() {
  for (Shard* shard : own_) shard->stop_scrub();
}

uint64_t BlobFront::blob_count() const {
  uint64_t count = 0;
  for (Shard* shard : own_) count += shard->index().size();
  return count;
}

bool BlobFront::verify() {
  return std::ranges::all_of(own_, [](Shard* shard) { return shard->verify(); });
}

}  // namespace fb::bss
