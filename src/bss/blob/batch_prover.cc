// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/batch_prover.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "base/safeguard.h"

namespace fb::bss {
namespace {

constexpr int kWipeAttempts = 3;     // of a torn batch's descriptor
constexpr int kRewriteAttempts = 5;  // of what a start relies on

}  // namespace

Task<void> BatchProver::wipe_or_doubt(const EndedBatch& batch) {
  if (co_await wiper_.wipe(*batch.segment, batch.offset, kWipeAttempts)) co_return;
  context_.log(
      fmt::format("segment {}: the descriptor at {} of a batch that is not believed cannot be wiped yet",
                  batch.segment->number, batch.offset));
  batch.segment->distrusted = true;
  batch.segment->moved_out = true;
  order_.note_uncertain();
  order_.doubt(batch);
}

// Whether an entry counts although its payload is not as it should be: then reading it reports the damage.
// That is so if it is known that it was acknowledged: the checkpoint has it, or it is a copy of what is
// nowhere else. A put that cannot be read is damage, too, since tearing leaves sectors readable as a rule. A
// copy never takes the place of what it was made from.
bool BatchProver::counts_unverified(const DescriptorEntry& entry, uint64_t place, Verdict verdict) const {
  const BlobIndex::Found indexed = index_.find(entry.number, entry.incarnation, entry.block);
  if (indexed && indexed.place == place) return true;
  if (entry.kind == EntryKind::copy && FB_SAFEGUARD(copy_needs_verified_payload)) return !indexed;
  return verdict == Verdict::unreadable;
}

// Entries whose payloads match, and those that count all the same. `image` has the batch's bytes, as far as
// they are read at once; others are read one by one.
Task<std::vector<DescriptorEntry>> BatchProver::entries_that_count(const ScannedBatch& batch,
                                                                   AlignedBytes& image, bool whole,
                                                                   std::vector<Payload>& readable) {
  Segment& segment = *batch.segment;
  std::vector<DescriptorEntry> kept;
  for (const DescriptorEntry& entry : batch.entries) {
    if (entry.kind == EntryKind::tombstone) {
      kept.push_back(entry);
      continue;
    }
    const uint64_t at = uint64_t{entry.payload_block} * kBlockBytes;
    const auto stored = image.span().subspan(at, stored_bytes(entry.length));
    bool read = whole;
    if (!read) read = (co_await segment.file.read_exactly(stored, batch.offset + at)).has_value();
    const Verdict verdict = read ? judge_payload(stored, entry) : Verdict::unreadable;
    if (verdict == Verdict::intact) readable.push_back({.at = at, .bytes = stored.size()});
    const uint64_t place = IndexEntry::make_place(segment.number, batch.offset + at, entry.length);
    if (verdict == Verdict::intact || counts_unverified(entry, place, verdict)) kept.push_back(entry);
  }
  co_return kept;
}

Task<Result<bool>> BatchProver::prove(ScannedBatch& batch, AlignedBytes& image) {
  Segment& segment = *batch.segment;
  image.resize(batch.bytes);
  const bool whole = (co_await segment.file.read_exactly(image.span(), batch.offset)).has_value();
  std::vector<Payload> readable;
  std::vector<DescriptorEntry> kept = co_await entries_that_count(batch, image, whole, readable);
  if (const size_t dropped = batch.entries.size() - kept.size(); dropped != 0) {
    context_.stats().torn_entries += dropped;
    context_.log(
        fmt::format("segment {}: of the batch at {} {} of {} entries are dropped: a crash has torn their "
                    "payloads, or they are damaged",
                    segment.number, batch.offset, dropped, batch.entries.size()));
    if (kept.empty()) {
      co_await wipe_or_doubt(
          {.segment = &segment, .sequence = batch.sequence, .offset = batch.offset, .bytes = batch.bytes});
      co_return false;
    }
  } else if (!FB_SAFEGUARD(rewrite_unproven_batches) || !FB_SAFEGUARD(sync_before_believing)) {
    co_return true;
  }
  batch.entries = std::move(kept);
  const auto descriptor = image.span().first(descriptor_bytes_for(batch.entries.size()));
  std::memcpy(descriptor_entries(descriptor), batch.entries.data(),
              batch.entries.size() * sizeof(DescriptorEntry));
  finish_descriptor(context_.place_of(segment, batch.offset), batch.sequence, batch.durable_sequence,
                    batch.entries.size(), batch.bytes, descriptor);
  if (whole) {
    FB_CO_CHECK(co_await write_again(segment, image.span(), batch.offset));
    co_return true;
  }
  for (const auto& [at, bytes] : readable)
    FB_CO_CHECK(co_await write_again(segment, image.span().subspan(at, bytes), batch.offset + at));
  FB_CO_CHECK(co_await write_again(segment, descriptor, batch.offset));
  co_return true;
}

// Bytes that cannot be written again are not known to be on the medium, and nothing may rely on them.
Task<Result<void>> BatchProver::write_again(Segment& segment, std::span<const std::byte> bytes,
                                            uint64_t offset) {
  Result<void> written;
  for (int attempt = 0; attempt < kRewriteAttempts; ++attempt) {
    written = co_await segment.file.write_all_durable(bytes, offset);
    if (written) co_return written;
  }
  context_.log(fmt::format("segment {}: what stands at {} is needed and cannot be written again: {}",
                           segment.number, offset, written.error().to_string()));
  co_return written;
}

Task<Result<void>> BatchProver::rewrite_header(Segment& segment) {
  const Buffer block = co_await context_.pool().allocate(kSegmentDataOffset);
  encode_segment_header(context_.header_of(segment), block.span(0, kSegmentDataOffset));
  co_return co_await write_again(segment, block.span(0, kSegmentDataOffset), 0);
}

}  // namespace fb::bss
