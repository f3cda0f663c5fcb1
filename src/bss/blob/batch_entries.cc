// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/batch_entries.h"

#include "base/assert.h"

namespace fb::bss {

BatchEntries::Admission BatchEntries::admit(WriteOp& op) {
  const BlobIndex::Found entry = index_.find(op.number, op.incarnation, op.block);
  const bool in_flight = entry && entry.in_flight();
  switch (op.kind) {
    case EntryKind::put:
      if (in_flight) return Admission::defer;
      if (!entry && index_.has_room()) return Admission::include;
      if (!entry) {
        op.error = Error(BlobError::full);
      } else if (entry.checksum != op.checksum || entry.length() != op.length) {
        op.error = Error(BlobError::exists);
      }
      return Admission::done;
    case EntryKind::tombstone:
      if (op.move) return admit_moved_tombstone(op, static_cast<bool>(entry));
      if (in_flight) return Admission::defer;
      if (!entry && !order_.uncertain()) return Admission::done;
      op.other_generation = entry ? table_[entry.segment()].generation : 0;
      return Admission::include;
    case EntryKind::copy:
      if (entry.place != op.source_place) return Admission::done;  // erased, or being erased
      op.other_generation = table_[entry.segment()].generation;
      return Admission::include;
  }
  FB_UNREACHABLE();
}

// A tombstone that compaction moves gets a newer place in the order of batches: it must not come behind a put
// of the same key. Then the put replaces it, and what it hid is remembered by its segment.
BatchEntries::Admission BatchEntries::admit_moved_tombstone(const WriteOp& op, bool indexed) {
  if (!indexed) return Admission::include;
  table_.note_moved_out(op.other_generation);
  return Admission::done;
}

void BatchEntries::begin(const WriteOp& op, const Segment& segment) {
  if (op.kind == EntryKind::put) {
    index_.insert({.number = op.number,
                   .checksum = op.checksum,
                   .incarnation = op.incarnation,
                   .block = op.block,
                   .place = IndexEntry::make_place(segment.number, 0, op.length) | IndexEntry::kPending});
  } else if (op.kind == EntryKind::tombstone) {
    if (BlobIndex::Found entry = index_.find(op.number, op.incarnation, op.block))
      index_.set_place(entry, entry.place | IndexEntry::kErasing);
    reader_.note_erase(context_.key_of(op.number, op.incarnation, op.block));
  } else {
    BlobIndex::Found entry = index_.find(op.number, op.incarnation, op.block);
    index_.set_place(entry, entry.place | IndexEntry::kMoving);
  }
}

void BatchEntries::complete(const Batch& batch, const WriteOp& op) {
  switch (op.kind) {
    case EntryKind::put:
      return complete_put(batch, op);
    case EntryKind::copy:
      return complete_copy(batch, op);
    case EntryKind::tombstone:
      return complete_tombstone(batch, op);
  }
  FB_UNREACHABLE();
}

void BatchEntries::complete_put(const Batch& batch, const WriteOp& op) {
  BlobIndex::Found entry = index_.find(op.number, op.incarnation, op.block);
  FB_ASSERT((entry.place & IndexEntry::kPending) != 0, op.number, op.block);
  index_.set_place(entry, op.place);
  table_.add_live(*batch.segment, op.stored());
}

void BatchEntries::complete_copy(const Batch& batch, const WriteOp& op) {
  BlobIndex::Found entry = index_.find(op.number, op.incarnation, op.block);
  FB_ASSERT(entry.place == (op.source_place | IndexEntry::kMoving), op.number, op.block);
  table_[entry.segment()].moved_out = true;
  table_.drop_live(entry.place);
  index_.set_place(entry, op.place);
  table_.add_live(*batch.segment, op.stored());
}

void BatchEntries::complete_tombstone(const Batch& batch, const WriteOp& op) {
  ++batch.segment->tombstones;
  const BlobIndex::Found entry = index_.find(op.number, op.incarnation, op.block);
  if ((entry.place & IndexEntry::kErasing) == 0) return;
  table_.drop_live(entry.place);
  index_.erase(entry);
  space_.note_erased();
  signals_.compact.notify_all();
}

void BatchEntries::fail(const WriteOp& op) {
  BlobIndex::Found entry = index_.find(op.number, op.incarnation, op.block);
  if (!entry) return;
  if (op.kind == EntryKind::put) {
    index_.erase(entry);
  } else if (op.kind == EntryKind::tombstone) {
    index_.set_place(entry, entry.place & ~IndexEntry::kErasing);
  } else {
    index_.set_place(entry, entry.place & ~IndexEntry::kMoving);
  }
}

}  // namespace fb::bss
