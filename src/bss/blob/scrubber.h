// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "bss/blob/batch_order.h"
#include "bss/blob/index.h"
#include "bss/blob/scrub.h"
#include "bss/blob/segment_table.h"
#include "bss/blob/shard_context.h"

namespace fb::bss {

// Reads a shard again from time to time, so that damage is known while there may still be another copy
// somewhere. A segment at a time: both copies of its header, its descriptors, and every payload that the
// index points to, against the index. Payloads that compaction moves meanwhile it verifies itself. How far
// the scrubber came is kept in a file after each segment. Shard owns it; its core only; one shard of a core
// is read at a time, while the shard goes on working.
class Scrubber {
 public:
  Scrubber(ShardContext& context, const BlobIndex& index, SegmentTable& table, const BatchOrder& order)
      : context_(context), index_(index), table_(table), order_(order) {}

  // The worker: a pass once in options().scrub_period.
  static Task<void> run(Scrubber& self);
  // Reads everything, at once; ends early after stop() or when the shard stops.
  Task<ScrubReport> run_once();
  // Ends the pass under way, and begins no other.
  void stop() { stopped_ = true; }

 private:
  bool stopping() const { return !context_.takes_calls() || stopped_; }
  Task<void> save_state();
  Task<void> pass(uint64_t from, unsigned percent, ScrubReport& report, ScrubState* state);
  void report_pass(const ScrubReport& report, Instant begun) const;
  Task<void> pause(Instant since, unsigned percent);
  Task<void> scrub_segment(Segment& segment, unsigned percent, ScrubReport& report);
  Task<bool> check_headers(Segment& segment);
  Task<void> scrub_payload(Segment& segment, const IndexEntry& described, ScrubReport& report);
  Task<void> scrub_undescribed(Segment& segment, const std::vector<IndexEntry>& found, uint64_t settled_end,
                               ScrubReport& report);
  BlobIndex::Found indexed_as(const IndexEntry& described) const;

  ShardContext& context_;
  const BlobIndex& index_;
  SegmentTable& table_;
  const BatchOrder& order_;
  ScrubState state_;
  bool stopped_ = false;
};

}  // namespace fb::bss
