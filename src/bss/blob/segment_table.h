// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "bss/blob/index.h"
#include "bss/blob/segment.h"
#include "bss/blob/segment_holds.h"
#include "bss/blob/shard_context.h"
#include "bss/blob/shard_signals.h"

namespace fb::bss {

// Free segments that puts leave: two for erases, one for compaction. When puts have taken all else, erases
// fill the two with nothing but tombstones; these take little when compaction writes them again, and of every
// other segment it leaves less than a few blocks unused, if erases wait for it. So they never run out.
inline constexpr size_t kReservedSegments = 3;

// The segments of one shard: which there are, which are free, which take batches, how much of them is live,
// and who reads them. Nothing here suspends but close_files(); what stands on the medium is changed by
// SegmentMaker and the batch writer. Only the owner's core calls, but for seen_by_others() and holds():
// another core calls those while it is looking (reader_epochs.h), from the end of make_room() on.
//
// Other cores read the first cache line only, which changes when a segment is made.
class alignas(kCacheLineBytes) SegmentTable {
 public:
  SegmentTable(ShardContext& context, ShardSignals& signals) : context_(context), signals_(signals) {}

  size_t size() const { return segments_.size(); }
  bool empty() const { return segments_.empty(); }
  Segment& operator[](size_t number) const { return *segments_[number]; }
  std::span<const std::unique_ptr<Segment>> all() const { return segments_; }
  // Neither the list's place nor an element of it changes once others look; its length does.
  Segment& seen_by_others(uint32_t number) const { return *segments_.data()[number]; }

  // While the shard is opened: segments up to this number, damaged until their headers have been read.
  void add_unread(uint32_t last_number);
  // At the end of opening: no more than so many will ever be.
  void make_room(uint64_t segments_max);
  uint64_t segments_max() const { return segments_max_; }
  bool full() const {
    return segments_.size() >= segments_max_ || segments_.size() > IndexEntry::kSegmentNumberMax;
  }
  // One that was made just now, free.
  void add(std::unique_ptr<Segment> segment);

  size_t free_count() const { return free_.size(); }
  void add_free(Segment& segment);
  // One whose blocks have been written before, since durable writes cost least there; if there is none, the
  // one of which most is zeroed for puts, and the other way round for what is moved in large pieces.
  Segment* next_free(Stream stream) const;

  // Takes batches of the stream; null: none does.
  Segment* active(Stream stream) const { return active_[static_cast<size_t>(stream)]; }
  void activate(Stream stream);
  // While the shard is opened: a segment of an earlier life goes on.
  void go_on(Stream stream, Segment& segment);
  void seal(Stream stream, bool cut_short = false);
  void seal_if_active(Segment& segment, bool cut_short = false);
  // The segment of moves takes puts from now on.
  void give_moves_to_puts();
  // How many segments have been filled with puts.
  uint64_t segments_sealed() const { return segments_sealed_; }
  // Puts keep out of a segment that erases took from the reserve, until the reserve is whole again.
  bool puts_allowed() const { return !active_from_reserve_ || free_.size() >= kReservedSegments; }
  void set_active_from_reserve(bool from_reserve) { active_from_reserve_ = from_reserve; }

  uint64_t live_bytes() const { return live_bytes_; }
  void add_live(Segment& segment, uint64_t bytes);
  void drop_live(uint64_t place);
  // Bytes put in this life: what ages segments.
  uint64_t clock_bytes() const { return clock_bytes_; }
  void advance_clock(uint64_t bytes) { clock_bytes_ += bytes; }

  uint64_t new_generation() { return next_generation_++; }
  uint64_t next_generation() const { return next_generation_; }
  void raise_generation(uint64_t next) { next_generation_ = std::max(next_generation_, next); }
  bool has_generation(uint64_t generation) const;
  // The segment of that generation, if there is one, holds entries that something elsewhere has replaced.
  void note_moved_out(uint64_t generation);

  SegmentHolds& holds() { return holds_; }
  bool is_read(const Segment& segment) const {
    return segment.readers != 0 || !holds_.none_of(segment.number);
  }
  bool any_is_read() const;

  void add_to(BlobUsage& usage) const;
  Task<Result<void>> close_files();

 private:
  ShardContext& context_;
  ShardSignals& signals_;
  std::vector<std::unique_ptr<Segment>> segments_;  // by number; has room for all from make_room() on
  SegmentHolds holds_;
  alignas(kCacheLineBytes) std::deque<Segment*> free_;
  std::array<Segment*, kStreamCount> active_{};
  bool active_from_reserve_ = false;
  uint64_t segments_max_ = 0;
  uint64_t next_generation_ = 1;
  uint64_t live_bytes_ = 0;
  uint64_t segments_sealed_ = 0;
  uint64_t clock_bytes_ = 0;
};

}  // namespace fb::bss
