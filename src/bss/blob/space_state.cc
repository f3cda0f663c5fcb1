// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/space_state.h"

#include <algorithm>

#include "base/assert.h"
#include "io/error.h"

namespace fb::bss {
namespace {

constexpr Duration kCreationRetry = Duration::milliseconds(200);
constexpr size_t kFreeWanted = 2;  // segments that puts may take: compaction hurries if there are fewer
constexpr unsigned kCompactionFailuresMax = 5;
// Bytes of puts that have their names and are not in a batch yet: they all go to the segment of the shard
// they are named in.
constexpr uint64_t kUnderWayBytes = 512 * kKiB;

}  // namespace

uint64_t SpaceState::available_bytes() const {
  const uint64_t capacity = capacity_bytes();
  const uint64_t taken = table_.live_bytes() + reserve_bytes();
  return capacity > taken ? capacity - taken : 0;
}

bool SpaceState::has_room_for_blocks(uint64_t content_bytes) const {
  constexpr uint64_t kStored = kBlobBlockSizeMax + 2 * kBlockBytes;  // with descriptor and table
  const uint64_t blocks = (content_bytes + kBlobBlockSizeMax - 1) / kBlobBlockSizeMax;
  const uint64_t of_segment = std::max<uint64_t>(1, context_.segment_room() / kStored);
  return available_bytes() >= blocks * context_.segment_room() / of_segment;
}

bool SpaceState::has_room_for_puts(uint64_t bytes) const {
  if (table_.free_count() > kReservedSegments || may_create()) return true;
  const Segment* segment = table_.active(Stream::puts);
  return segment != nullptr && table_.puts_allowed() && segment->end + bytes <= context_.segment_bytes();
}

bool SpaceState::will_keep_puts_waiting() const { return blocked_ || !has_room_for_puts(kUnderWayBytes); }

uint64_t SpaceState::room_for_moves() const {
  const auto left = [&](Stream stream) {
    const Segment* segment = table_.active(stream);
    return segment == nullptr ? 0 : context_.segment_bytes() - segment->end;
  };
  if (table_.free_count() != 0) return table_.free_count() * context_.segment_room();
  return std::max(left(Stream::moves), left(Stream::puts));
}

bool SpaceState::may_create() const {
  if (table_.full()) return false;
  return !creation_error_ || context_.env().now() >= creation_retry_;
}

bool SpaceState::is_getting_short() const {
  return table_.free_count() < kReservedSegments + kFreeWanted && !may_create();
}

void SpaceState::note_segment_is_free() {
  FB_ASSERT(table_.free_count() > 0);
  refuses_puts_ = false;
  blocked_ = false;
}

void SpaceState::note_creation(const Result<void>& created) {
  creation_error_.reset();
  if (created) return;
  creation_error_ = created.error();
  creation_retry_ = context_.env().now() + kCreationRetry;
}

bool SpaceState::is_full() const { return !creation_error_ || creation_error_->is(IoError::no_space); }

void SpaceState::begin_compaction() {
  FB_ASSERT(!compacting_);
  compacting_ = true;
}

void SpaceState::end_compaction(bool hopeful) {
  FB_ASSERT(compacting_);
  compacting_ = false;
  compaction_failures_ = hopeful ? 0 : compaction_failures_ + 1;
}

bool SpaceState::compaction_despairs() const { return compaction_failures_ >= kCompactionFailuresMax; }

}  // namespace fb::bss
