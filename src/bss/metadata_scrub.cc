// SPDX-License-Identifier: Apache-2.0
// Reading the metadata and journal volumes again from time to time: both copies of the record, every frame of
// the journal, every page, each against its checksum, and pages against the versions that the table has.
#include <bit>

#include "bss/metadata_store.h"
#include "io/log.h"

namespace fb::bss {
namespace {

constexpr const char* kScrubName = "scrub";
constexpr uint32_t kScrubShard = UINT32_MAX;  // in the file's place for a shard
constexpr unsigned kScrubNowPercent = 50;
constexpr size_t kScrubFileBytesMax = 4096;
constexpr Duration kScrubPoll = Duration::minutes(10);  // how often is looked whether a pass is due
constexpr size_t kPagesAtOnce = 64;                     // read between two pauses

}  // namespace

Task<void> MetadataStore::run_scrubber(MetadataStore* self) {
  const Duration period = self->options_.scrub_period;
  if (period <= Duration{}) co_return;
  const auto store_id = std::bit_cast<bss::StoreId>(self->options_.store_id);
  const auto text = co_await read_small_file(self->env_, self->path_of(kScrubName), kScrubFileBytesMax);
  ScrubState& state = self->scrub_;
  if (!text || !parse_scrub_state(*text, store_id, kScrubShard, &state)) {
    state = {.begun_seconds = self->env_.wall_clock().seconds()};
    co_await self->save_scrub();
  }
  while (!self->scrub_stopped_) {
    const int64_t now = self->env_.wall_clock().seconds();
    state.begun_seconds = std::min(state.begun_seconds, now);  // a clock may be set back
    const Duration left = period - Duration::seconds(now - state.begun_seconds);
    if (!state.under_way && left > Duration{}) {
      (void)co_await sleep_for(self->env_, std::min(left, kScrubPoll), &self->stop_sleeping_);
      continue;
    }
    const auto turn = co_await self->scrub_turn_.acquire();
    if (!state.under_way) state = {.begun_seconds = now, .next_segment = 0, .under_way = true};
    ScrubReport report;
    co_await self->scrub_pass(state.next_segment, self->options_.scrub_time_percent, report, true);
    if (!report.whole) co_return;
    state.under_way = false;
    co_await self->save_scrub();
  }
}

Task<void> MetadataStore::save_scrub() {
  const auto store_id = std::bit_cast<bss::StoreId>(options_.store_id);
  const Result<void> saved = co_await replace_small_file(
      env_, path_of(kScrubName), encode_scrub_state(scrub_, store_id, kScrubShard), 0600, FileRole::other);
  if (saved) co_return;
  log(env_, LogLevel::warn, "metadata store: how far the scrubber came is not kept",
      {{"error", saved.error().to_string()}});
}

Task<ScrubReport> MetadataStore::scrub() {
  const auto turn = co_await scrub_turn_.acquire();
  ScrubReport report;
  co_await scrub_pass(0, kScrubNowPercent, report, false);
  co_return report;
}

void MetadataStore::stop_scrub() {
  scrub_stopped_ = true;
  stop_sleeping_.cancel();
}

// Record and journal are small: each pass, also one that goes on after a restart, begins with them.
Task<void> MetadataStore::scrub_pass(uint64_t from, unsigned percent, ScrubReport& report, bool keeps_place) {
  const Instant begun = env_.now();
  co_await scrub_record(report);
  co_await scrub_journal(percent, report);
  uint64_t cursor = from;
  while (!scrub_stopped_) {
    const auto listing = co_await pages_->enumerate({}, cursor);
    if (!listing) break;
    for (size_t at = 0; at < listing->pages.size() && !scrub_stopped_; at += kPagesAtOnce) {
      const Instant since = env_.now();
      const size_t count = std::min(kPagesAtOnce, listing->pages.size() - at);
      co_await scrub_pages(std::span(listing->pages).subspan(at, count), report);
      co_await scrub_pause(since, percent);
    }
    cursor = listing->next_cursor;
    if (cursor == 0 || scrub_stopped_) break;
    if (!keeps_place) continue;
    scrub_.next_segment = cursor;
    co_await save_scrub();
  }
  stats_.scrub_damaged += report.pages_damaged + report.frames_damaged + report.checkpoints_damaged;
  report.whole = !scrub_stopped_;
  if (!report.whole) co_return;
  ++stats_.scrubs;
  log(env_, report.sound() ? LogLevel::info : LogLevel::error,
      report.sound() ? "scrubbed: all pages and the journal are as they were written"
                     : "scrubbed: damage was found in pages or journal",
      {{"pages", report.pages},
       {"pages_damaged", report.pages_damaged},
       {"frames", report.frames},
       {"frames_damaged", report.frames_damaged},
       {"checkpoints_damaged", report.checkpoints_damaged},
       {"milliseconds", (env_.now() - begun).milliseconds()}});
}

Task<void> MetadataStore::scrub_record(ScrubReport& report) {
  report.checkpoints_damaged += co_await record_->count_damaged();
}

// Frames that are trimmed meanwhile are passed over. Where one is damaged its group is, and which frames that
// group holds, only it could say: they are looked at one by one.
Task<void> MetadataStore::scrub_journal(unsigned percent, ScrubReport& report) {
  uint64_t next = 0;
  while (!scrub_stopped_) {
    const Instant since = env_.now();
    next = std::max(next, journal_->bounds().first_sequence);
    const auto frames = co_await journal_->read({}, next);
    if (frames) {
      for (const JournalClient::Frame& frame : *frames) {
        ++report.frames;
        report.bytes += frame.payload.size();
        stats_.scrub_bytes += frame.payload.size();
      }
      stats_.scrub_frames += frames->size();
      next = frames->back().sequence + 1;
    } else if (frames.error().is(JournalError::missing)) {
      co_return;
    } else if (!frames.error().is(JournalError::trimmed)) {
      ++report.frames;
      ++report.frames_damaged;
      ++next;
    }
    co_await scrub_pause(since, percent);
  }
}

Task<void> MetadataStore::scrub_pages(std::span<const PageClient::Entry> pages, ScrubReport& report) {
  for (const PageClient::Entry& entry : pages) {
    const auto page = co_await pages_->read_page({}, entry.id);
    if (!page && page.error().is(PageError::not_found)) continue;  // erased meanwhile
    ++report.pages;
    ++stats_.scrub_pages;
    report.bytes += pages_->page_memory_bytes();
    stats_.scrub_bytes += pages_->page_memory_bytes();
    if (!page) ++report.pages_damaged;
  }
}

// Sleeps so long that reading keeps to its share of the time.
Task<void> MetadataStore::scrub_pause(Instant since, unsigned percent) {
  const int64_t share = std::clamp(percent, 1u, 100u);
  const Duration worked = env_.now() - since;
  (void)co_await sleep_for(env_, Duration{worked.ns * (100 - share) / share}, &stop_sleeping_);
}

}  // namespace fb::bss
