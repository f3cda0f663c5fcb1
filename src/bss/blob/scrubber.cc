// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/scrubber.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "base/assert.h"
#include "bss/blob/batch_scan.h"
#include "bss/blob/payload_check.h"
#include "io/log.h"

namespace fb::bss {
namespace {

constexpr const char* kScrubName = "scrub";
constexpr unsigned kScrubNowPercent = 50;
constexpr size_t kScrubFileBytesMax = 4096;
constexpr Duration kScrubPoll = Duration::minutes(10);  // how often is looked whether a pass is due
constexpr uint64_t kScrubStrideBytes = kMiB;            // read between two pauses

}  // namespace

// One pass at a time on a core.
Task<void> Scrubber::run(Scrubber& self) {
  const Duration period = self.context_.options().scrub_period;
  if (period <= Duration{}) co_return;
  const auto text =
      co_await read_small_file(self.context_.env(), self.context_.path(kScrubName), kScrubFileBytesMax);
  ScrubState& state = self.state_;
  if (!text ||
      !parse_scrub_state(*text, self.context_.superblock().store_id, self.context_.number(), &state)) {
    state = {.begun_seconds = self.context_.env().wall_clock().seconds()};
    co_await self.save_state();
  }
  while (!self.context_.stopping()) {
    const int64_t now = self.context_.env().wall_clock().seconds();
    // A clock that was set back must not put it off for years.
    state.begun_seconds = std::min(state.begun_seconds, now);
    const Duration left = period - Duration::seconds(now - state.begun_seconds);
    if (!state.under_way && left > Duration{}) {
      (void)co_await self.context_.sleep(std::min(left, kScrubPoll));
      continue;
    }
    const Semaphore::Units turn = co_await self.context_.core().scrub_turn.acquire();
    if (self.context_.stopping()) co_return;
    if (!state.under_way) state = {.begun_seconds = now, .next_segment = 0, .under_way = true};
    ScrubReport report;
    co_await self.pass(state.next_segment, self.context_.options().scrub_time_percent, report, &state);
    if (!report.whole) co_return;
    state.under_way = false;
    co_await self.save_state();
  }
}

Task<void> Scrubber::save_state() {
  const Result<void> saved = co_await replace_small_file(
      context_.env(), context_.path(kScrubName),
      encode_scrub_state(state_, context_.superblock().store_id, context_.number()), 0600, FileRole::other);
  if (!saved)
    context_.log(fmt::format("how far the scrubber came is not kept: {}", saved.error().to_string()));
}

Task<ScrubReport> Scrubber::run_once() {
  const Semaphore::Units turn = co_await context_.core().scrub_turn.acquire();
  ScrubReport report;
  co_await pass(0, kScrubNowPercent, report, nullptr);
  co_return report;
}

// From segment `from` on. `state`, if given, is moved on and kept after each segment.
Task<void> Scrubber::pass(uint64_t from, unsigned percent, ScrubReport& report, ScrubState* state) {
  const Instant begun = context_.env().now();
  for (uint64_t number = from; number < table_.size() && !stopping(); ++number) {
    co_await scrub_segment(table_[number], percent, report);
    if (stopping()) break;
    if (state == nullptr) continue;
    state->next_segment = number + 1;
    co_await save_state();
  }
  report.whole = !stopping();
  if (!report.whole) co_return;
  report_pass(report, begun);
}

void Scrubber::report_pass(const ScrubReport& report, Instant begun) const {
  ++context_.stats().scrub.passes;
  fb::log(context_.env(), report.sound() ? LogLevel::info : LogLevel::error,
          report.sound() ? "scrubbed: everything is as it was put" : "scrubbed: damage was found",
          {{"shard", context_.number()},
           {"payloads", report.payloads},
           {"bytes", report.bytes},
           {"damaged", report.damaged},
           {"tables_damaged", report.tables_damaged},
           {"headers_damaged", report.headers_damaged},
           {"descriptors_damaged", report.descriptors_damaged},
           {"milliseconds", (context_.env().now() - begun).milliseconds()}});
}

// Sleeps so long that reading keeps to its share of the time.
Task<void> Scrubber::pause(Instant since, unsigned percent) {
  const int64_t share = std::clamp(percent, 1u, 100u);
  const Duration worked = context_.env().now() - since;
  (void)co_await context_.sleep(Duration{worked.ns * (100 - share) / share});
}

Task<void> Scrubber::scrub_segment(Segment& segment, unsigned percent, ScrubReport& report) {
  if (segment.state != Segment::State::sealed && segment.state != Segment::State::active) co_return;
  const uint64_t generation = segment.generation;
  const auto stays = [&] { return segment.generation == generation && !stopping(); };
  // Every batch below has ended: its descriptor is to be found.
  const uint64_t settled_end = order_.first_in_flight(segment).value_or(segment.end);
  Instant since = context_.env().now();
  ++report.segments;
  ++segment.readers;
  const bool headers_intact = co_await check_headers(segment);
  std::vector<ScannedBatch> batches;
  const Result<void> scanned = co_await scan_batches(
      context_, segment, {.from = kSegmentDataOffset, .end = segment.end, .whole = true}, batches);
  --segment.readers;
  if (!headers_intact) {
    ++report.headers_damaged;
    ++context_.stats().scrub.damaged;
    context_.log(fmt::format("segment {}: a copy of its header is damaged", segment.number));
  }
  if (!scanned) co_return;
  uint64_t unpaused = 0;
  std::vector<IndexEntry> found;
  for (const ScannedBatch& batch : batches) {
    for (const DescriptorEntry& entry : batch.entries) {
      if (entry.kind == EntryKind::tombstone) continue;
      const uint64_t at = batch.offset + uint64_t{entry.payload_block} * kBlockBytes;
      found.push_back({.number = entry.number,
                       .incarnation = entry.incarnation,
                       .block = entry.block,
                       .place = IndexEntry::make_place(segment.number, at, entry.length)});
      co_await scrub_payload(segment, found.back(), report);
      unpaused += payload_bytes(entry.length);
      if (unpaused < kScrubStrideBytes) continue;
      co_await pause(since, percent);
      since = context_.env().now();
      unpaused = 0;
      if (!stays()) co_return;
    }
  }
  co_await pause(since, percent);
  if (stays()) co_await scrub_undescribed(segment, found, settled_end, report);
}

// The index's entry, if it is as described and at that place.
BlobIndex::Found Scrubber::indexed_as(const IndexEntry& described) const {
  const BlobIndex::Found entry = index_.find(described.number, described.incarnation, described.block);
  return entry && entry.readable() && entry.location() == described.place ? entry : BlobIndex::Found();
}

// Finds blobs that the index has in the segment and no descriptor names: their descriptor is lost. That is
// rare, so the index is walked only if the live bytes do not come out.
Task<void> Scrubber::scrub_undescribed(Segment& segment, const std::vector<IndexEntry>& found,
                                       uint64_t settled_end, ScrubReport& report) {
  uint64_t live_bytes = 0;
  std::unordered_set<uint64_t> described;
  for (const IndexEntry& entry : found) {
    const BlobIndex::Found indexed = index_.find(entry.number, entry.incarnation, entry.block);
    if (!indexed || indexed.location() != entry.place) continue;
    if (described.insert(entry.place).second) live_bytes += stored_bytes(entry.length());
  }
  if (live_bytes == segment.live_bytes) co_return;
  std::vector<IndexEntry> undescribed;
  std::vector<IndexEntry> entries;
  for (size_t t = 0; t < BlobIndex::kTableCount; ++t) {
    index_.entries_of(t, entries);
    for (const IndexEntry& entry : entries) {
      if (entry.segment() != segment.number || !entry.readable()) continue;
      if (entry.offset_bytes() >= settled_end || described.contains(entry.location())) continue;
      undescribed.push_back(entry);
      undescribed.back().place = entry.location();
    }
  }
  if (undescribed.empty()) co_return;
  ++report.descriptors_damaged;
  ++context_.stats().scrub.damaged;
  context_.log(fmt::format("segment {}: descriptors of {} blobs are damaged; the index has them",
                           segment.number, undescribed.size()));
  for (const IndexEntry& entry : undescribed) co_await scrub_payload(segment, entry, report);
}

// Counts only if the index has the payload at this place, and still has when it was read.
Task<void> Scrubber::scrub_payload(Segment& segment, const IndexEntry& described, ScrubReport& report) {
  const IndexEntry wanted = described;
  Verdict verdict = Verdict::unreadable;
  // Once more if it seems damaged: a misdirected read may be right the next time.
  for (int attempt = 0; attempt < 2 && verdict != Verdict::intact; ++attempt) {
    const BlobIndex::Found entry = indexed_as(wanted);
    if (!entry) co_return;
    const uint32_t length = entry.length();
    ++segment.readers;
    verdict = co_await check_payload(context_.pool(), segment, entry.offset_bytes(), length, entry.checksum);
    --segment.readers;
    report.bytes += attempt == 0 ? length : 0;
    context_.stats().scrub.bytes += length;
  }
  if (!indexed_as(wanted)) co_return;
  ++report.payloads;
  ++context_.stats().scrub.payloads;
  if (verdict == Verdict::intact) co_return;
  ++context_.stats().scrub.damaged;
  if (verdict == Verdict::table_damaged) {
    ++report.tables_damaged;
    context_.log(fmt::format("damaged checksums of pieces: incarnation {} number {} block {}",
                             wanted.incarnation, wanted.number, wanted.block));
    co_return;
  }
  ++report.damaged;
  if (report.keys.size() < ScrubReport::kNamedMax)
    report.keys.push_back(context_.key_of(wanted.number, wanted.incarnation, wanted.block));
  context_.log(fmt::format("damaged payload: incarnation {} number {} block {}", wanted.incarnation,
                           wanted.number, wanted.block));
}

Task<bool> Scrubber::check_headers(Segment& segment) {
  const Buffer read = co_await context_.pool().allocate(kSegmentDataOffset);
  const Buffer expected = co_await context_.pool().allocate(kSegmentDataOffset);
  if (!co_await segment.file.read_exactly(read.span(0, kSegmentDataOffset), 0)) co_return false;
  encode_segment_header(context_.header_of(segment), expected.span(0, kSegmentDataOffset));
  co_return std::memcmp(read.data(), expected.data(), kSegmentDataOffset) == 0;
}

}  // namespace fb::bss
