// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/shard_reader.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "bss/blob/payload_check.h"
#include "io/error.h"
#include "io/log.h"

namespace fb::bss {
namespace {

constexpr Duration kBufferWaitMax = Duration::seconds(5);
constexpr int kReadAttemptsMax = 3;
constexpr Duration kReadersPoll = Duration::milliseconds(1);

BufferUse use_of(uint64_t length) {
  return length > kRequestPieceBytes ? BufferUse::answer : BufferUse::request;
}

// Memory for a payload that the cache does not take, or has none for now. Waits only so long, since who asks
// may hold other buffers.
Task<Result<Buffer>> wait_for_buffer(CoreContext& core, const CallContext& context, uint64_t length) {
  const Instant give_up = std::min(context.deadline, core.env.now() + kBufferWaitMax);
  if (give_up <= core.env.now()) co_return BlobError::timed_out;
  Buffer buffer =
      co_await core.env.buffers().allocate_within(length, use_of(length), give_up - core.env.now());
  if (!buffer) co_return IoError::limit;
  co_return buffer;
}

}  // namespace

// Keeps a segment from being recycled while a core reads it.
class ShardReader::Hold {
 public:
  Hold(ShardReader& reader, CoreContext& core) : reader_(reader), core_(core) {}
  Hold(const Hold&) = delete;
  // If a simulated crash tears down the process, the shard may be gone before another core's reads.
  ~Hold() {
    if (!core_.env.abandoned()) give_back();
  }
  // The owner at any time, others while they are looking.
  void take(Segment& segment) {
    FB_ASSERT(segment_ == nullptr);
    segment_ = &segment;
    if (reader_.owned_by(core_)) {
      ++segment.readers;
    } else {
      reader_.table_.holds().take(core_.env.core(), segment.number);
    }
  }
  void give_back() {
    Segment* segment = std::exchange(segment_, nullptr);
    if (segment == nullptr) return;
    if (reader_.owned_by(core_)) {
      --segment->readers;
    } else {
      reader_.table_.holds().give_back(core_.env.core(), segment->number);
    }
  }
  Segment& segment() const { return *segment_; }

 private:
  ShardReader& reader_;
  CoreContext& core_;
  Segment* segment_ = nullptr;
};

std::atomic<uint32_t>& ShardReader::erases_of(const BlobKey& key) const {
  return (*erases_seen_)[std::hash<BlobKey>()(key) % kEraseCounters];
}

Task<void> ShardReader::end_sharing() {
  shared_.store(false, std::memory_order_relaxed);
  const uint64_t epoch = index_.epochs().end_epoch();
  while (!index_.epochs().passed(epoch) || table_.any_is_read())
    (void)co_await sleep_for(context_.env(), kReadersPoll);
}

void ShardReader::note_erase(const BlobKey& key) {
  context_.core().cache.erase(key);
  std::atomic<uint32_t>& count = erases_of(key);
  count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

// Looks the blob up for `core`, the owner or another one. If it is there and `hold` is given, its segment is
// held.
ShardReader::Sight ShardReader::look(CoreContext& core, const BlobKey& key, IndexEntry& found, Hold* hold) {
  if (owned_by(core)) {
    found = index_.find(key);
    if (found.place == 0 || !found.readable()) return Sight::absent;
    if (hold != nullptr) hold->take(table_[found.segment()]);
    return Sight::found;
  }
  const ReaderEpochs::Looking looking(index_.epochs(), core.env.core());
  if (!shared_.load(std::memory_order_acquire)) return Sight::closed;
  const BlobIndex::Sight sight = index_.look(core.env, key, found);
  if (sight == BlobIndex::Sight::changing) return Sight::changing;
  if (sight == BlobIndex::Sight::absent || !found.readable()) return Sight::absent;
  core.env.point("segment found");
  if (hold != nullptr) hold->take(table_.seen_by_others(found.segment()));
  return Sight::found;
}

bool ShardReader::get_cached(CoreContext& core, const BlobKey& key, uint32_t offset, uint32_t length,
                             BlobData* out) {
  BlobCache::Origin* origin = core.cache.find(key, offset, length, out);
  if (origin == nullptr) return false;
  if (owned_by(core)) return true;  // an erase has emptied it
  const uint32_t erases = erases_of(key).load(std::memory_order_acquire);
  if (origin->erases == erases) return true;
  IndexEntry entry;
  const Sight sight = look(core, key, entry, nullptr);
  if (sight == Sight::found && entry.checksum == origin->checksum) {
    origin->erases = erases;
    return true;
  }
  if (sight == Sight::found || sight == Sight::absent) core.cache.erase(key);
  *out = {};
  return false;
}

Task<Result<BlobData>> ShardReader::read(CoreContext& core, const CallContext& context, const BlobKey& key,
                                         uint32_t offset, uint32_t length) {
  Buffer buffer;
  bool for_cache = false;
  bool whole = false;
  std::optional<bool> wanted;  // by the cache
  for (int attempt = 0; attempt < kReadAttemptsMax;) {
    Hold hold(*this, core);
    BlobCache::Origin origin{.erases = erases_of(key).load(std::memory_order_acquire)};
    IndexEntry entry;
    switch (look(core, key, entry, &hold)) {
      case Sight::found:
        break;
      case Sight::absent:
        co_return BlobError::not_found;
      case Sight::closed:
        co_return BlobError::unavailable;
      case Sight::changing:
        co_await yield(core.env);
        continue;
    }
    origin.checksum = entry.checksum;
    const uint32_t payload = entry.length();
    if (offset > payload || length > payload - offset) co_return BlobError::too_large;
    PayloadExtent extent =
        whole ? PayloadExtent{.begin = 0, .end = payload} : pieces_of(payload, offset, length);
    if (!wanted) wanted = core.cache.wants(key, payload, extent.end - extent.begin);
    if (*wanted && !buffer) {
      buffer = core.cache.allocate(payload);
      for_cache = static_cast<bool>(buffer);
    }
    for_cache &= buffer.capacity() >= payload;
    if (for_cache) extent = {.begin = 0, .end = payload};
    if (buffer.capacity() < extent.blocks_bytes()) {
      buffer = core.env.buffers().try_allocate(extent.blocks_bytes(), use_of(extent.blocks_bytes()));
      if (!buffer) {
        hold.give_back();
        FB_CO_TRY(buffer, co_await wait_for_buffer(core, context, extent.blocks_bytes()));
        continue;
      }
    }
    const Verdict verdict = co_await read_extent(core, context, hold.segment(), entry, extent, buffer);
    hold.give_back();
    ++attempt;
    if (verdict == Verdict::timed_out) co_return BlobError::timed_out;
    whole |= verdict == Verdict::table_damaged;  // the payload can be intact without them
    if (verdict != Verdict::intact) {            // once more: a misdirected read may be right the next time
      core.stats.reread += attempt < kReadAttemptsMax;
      continue;
    }
    if (for_cache) {
      // The owner's is emptied by an erase, and must not be filled behind one; of others' the origin tells.
      IndexEntry now;
      if (!owned_by(core) || look(core, key, now, nullptr) == Sight::found)
        core.cache.insert(key, buffer, payload, origin);
    }
    co_return BlobData{.buffer = std::move(buffer), .offset = offset - extent.begin, .length = length};
  }
  ++core.stats.damaged;
  fb::log(core.env, LogLevel::warn,
          fmt::format("damaged payload: incarnation {} number {} block {}", key.id.incarnation.value,
                      key.id.number, key.block),
          {{"shard", context_.number()}});
  co_return BlobError::damaged;
}

}  // namespace fb::bss
