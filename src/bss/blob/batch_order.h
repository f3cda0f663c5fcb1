// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "bss/blob/batch.h"

namespace fb::bss {

// The order of one shard's batches: which are in flight, which have ended, and which of these are in doubt
// because their write failed and their descriptor is not wiped yet. A descriptor says up to which sequence
// all batches before it were durable, and a checkpoint which of them it contains; both come from here. Shard
// owns it; its core only; nothing here suspends.
class BatchOrder {
 public:
  // Recovery believes every descriptor up to this sequence that it finds: it is of a batch that was durable,
  // and never of one whose write failed.
  uint64_t durable_sequence() const;
  uint64_t take_sequence() { return next_sequence_++; }
  uint64_t next_sequence() const { return next_sequence_; }
  void set_next_sequence(uint64_t sequence) { next_sequence_ = sequence; }

  void begin(const Batch& batch) { in_flight_.push_back(&batch); }
  void end(const Batch& batch);
  size_t in_flight() const { return in_flight_.size(); }
  // Another batch goes no further ahead of what is durable than recovery looks.
  bool may_begin() const;
  // Every batch up to it has ended, well or badly.
  uint64_t ended_sequence() const;
  // The offset of the segment's first batch in flight.
  std::optional<uint64_t> first_in_flight(const Segment& segment) const;
  // The offset of its first batch that no checkpoint contains now: in flight, or ended before an older one
  // did.
  std::optional<uint64_t> first_uncontained(const Segment& segment) const;

  // Batches whose write failed and whose descriptors are not wiped yet: no later batch says that they have
  // ended, and checkpoints name them.
  std::span<const EndedBatch> doubted() const { return doubted_; }
  void doubt(const EndedBatch& batch) { doubted_.push_back(batch); }
  bool is_doubted(uint64_t sequence) const;
  void wiped(uint64_t sequence);
  // The segment was recycled: its doubted batches are gone with its generation.
  void forget_doubts(const Segment& segment);
  std::vector<EndedBatch> take_doubted();

  // A write failed: what it held may be on disk all the same, so erases write tombstones even for blobs that
  // the index does not know.
  void note_uncertain() { uncertain_ = true; }
  bool uncertain() const { return uncertain_; }

 private:
  uint64_t next_sequence_ = 1;
  std::vector<const Batch*> in_flight_;
  // Batches that ended before an older one did: a checkpoint contains none of them while that is under way.
  std::vector<EndedBatch> ended_ahead_;
  std::vector<EndedBatch> doubted_;
  bool uncertain_ = false;
};

}  // namespace fb::bss
