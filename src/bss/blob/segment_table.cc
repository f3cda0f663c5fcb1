// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/segment_table.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "bss/blob/index.h"

namespace fb::bss {

void SegmentTable::add_unread(uint32_t last_number) {
  FB_ASSERT(context_.phase() == ShardPhase::made, context_.phase());
  while (segments_.size() <= last_number) {
    segments_.push_back(std::make_unique<Segment>());
    segments_.back()->number = static_cast<uint32_t>(segments_.size() - 1);
    segments_.back()->state = Segment::State::damaged;
  }
}

void SegmentTable::make_room(uint64_t segments_max) {
  FB_ASSERT(context_.phase() == ShardPhase::made, context_.phase());
  segments_max_ = std::max<uint64_t>(segments_max, kReservedSegments + 1);
  const uint64_t segments_ever =
      std::clamp<uint64_t>(segments_max_, segments_.size(), IndexEntry::kSegmentNumberMax + 1);
  segments_.reserve(segments_ever);
  holds_.make_room(context_.env().core_count(), context_.env().core(), segments_ever);
}

void SegmentTable::add(std::unique_ptr<Segment> segment) {
  FB_ASSERT(segment->number == segments_.size(), segment->number, segments_.size());
  FB_ASSERT(segments_.size() < segments_.capacity(), segments_.size());  // others look at it where it is
  add_free(*segment);
  segments_.push_back(std::move(segment));
}

void SegmentTable::add_free(Segment& segment) {
  FB_ASSERT(segment.state == Segment::State::free, segment.state);
  FB_ASSERT(segment.empty(), segment.live_bytes, segment.tombstones);
  free_.push_back(&segment);
}

Segment* SegmentTable::next_free(Stream stream) const {
  FB_ASSERT(!free_.empty());
  return *std::ranges::max_element(free_, {}, [&](const Segment* segment) {
    const auto zeroed = static_cast<int64_t>(segment->zeros.zeroed_to);
    return std::pair(!segment->zeros.fresh, stream == Stream::puts ? zeroed : -zeroed);
  });
}

void SegmentTable::activate(Stream stream) {
  if (stream == Stream::puts) active_from_reserve_ = free_.size() <= kReservedSegments;
  FB_ASSERT(active(stream) == nullptr);
  Segment& segment = *next_free(stream);
  free_.erase(std::ranges::find(free_, &segment));
  FB_ASSERT(segment.state == Segment::State::free, segment.state);
  FB_ASSERT(segment.end == kSegmentDataOffset && segment.live_bytes == 0, segment.end, segment.live_bytes);
  segment.state = Segment::State::active;
  active_[static_cast<size_t>(stream)] = &segment;
  signals_.prepare.notify_all();
  signals_.zero.notify_all();
  signals_.compact.notify_all();
}

void SegmentTable::go_on(Stream stream, Segment& segment) {
  FB_ASSERT(context_.phase() == ShardPhase::made, context_.phase());
  FB_ASSERT(active(stream) == nullptr);
  segment.state = Segment::State::active;
  segment.cut_short = false;
  active_[static_cast<size_t>(stream)] = &segment;
}

void SegmentTable::seal(Stream stream, bool cut_short) {
  Segment*& segment = active_[static_cast<size_t>(stream)];
  FB_ASSERT(segment != nullptr);
  FB_ASSERT(segment->state == Segment::State::active, segment->state);
  segment->state = Segment::State::sealed;
  segment->cut_short = cut_short;
  segment = nullptr;
  if (stream == Stream::puts) ++segments_sealed_;
  signals_.compact.notify_all();
}

void SegmentTable::seal_if_active(Segment& segment, bool cut_short) {
  for (const Stream stream : {Stream::puts, Stream::moves}) {
    if (active(stream) == &segment) seal(stream, cut_short);
  }
}

void SegmentTable::give_moves_to_puts() {
  Segment* segment = active(Stream::moves);
  FB_ASSERT(segment != nullptr && active(Stream::puts) == nullptr);
  active_[static_cast<size_t>(Stream::puts)] = segment;
  active_[static_cast<size_t>(Stream::moves)] = nullptr;
  active_from_reserve_ = true;
}

void SegmentTable::add_live(Segment& segment, uint64_t bytes) {
  segment.live_bytes += bytes;
  live_bytes_ += bytes;
}

void SegmentTable::drop_live(uint64_t place) {
  const IndexEntry entry{.place = place};
  Segment& segment = *segments_[entry.segment()];
  const uint64_t bytes = stored_bytes(entry.length());
  FB_ASSERT(segment.live_bytes >= bytes && live_bytes_ >= bytes, segment.live_bytes, live_bytes_, bytes);
  segment.live_bytes -= bytes;
  live_bytes_ -= bytes;
}

bool SegmentTable::has_generation(uint64_t generation) const {
  return std::ranges::any_of(segments_,
                             [&](const auto& segment) { return segment->generation == generation; });
}

void SegmentTable::note_moved_out(uint64_t generation) {
  for (const auto& segment : segments_) {
    if (segment->generation == generation) segment->moved_out = true;
  }
}

bool SegmentTable::any_is_read() const {
  return std::ranges::any_of(segments_, [&](const auto& segment) { return is_read(*segment); });
}

void SegmentTable::add_to(BlobUsage& usage) const {
  const uint64_t room = context_.segment_room();
  usage.segments = segments_.size();
  usage.segments_max = segments_max_;
  if (segments_max_ > segments_.size()) usage.unallocated_bytes = (segments_max_ - segments_.size()) * room;
  for (const auto& segment : segments_) {
    usage.tombstones += segment->tombstones;
    switch (segment->state) {
      case Segment::State::free:
        usage.free_bytes += room;
        ++usage.segments_free;
        break;
      case Segment::State::active:
        usage.unwritten_bytes += context_.segment_bytes() - segment->end;
        usage.garbage_bytes += segment->end - kSegmentDataOffset - segment->live_bytes;
        break;
      case Segment::State::sealed:
      case Segment::State::recycling:
        usage.garbage_bytes += room - segment->live_bytes;
        break;
      case Segment::State::damaged:
        usage.lost_bytes += room - segment->live_bytes;
        break;
    }
  }
}

Task<Result<void>> SegmentTable::close_files() {
  Result<void> result;
  for (const auto& segment : segments_) {
    const Result<void> closed = co_await segment->file.close();
    if (!closed) result = closed;
  }
  co_return result;
}

}  // namespace fb::bss
