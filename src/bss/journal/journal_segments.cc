// SPDX-License-Identifier: Apache-2.0
// Segments of the journal are made ready ahead of their use, in the background: new ones are written with
// zeros, because a durable write into extents that are merely allocated takes three times as long; trimmed
// ones are recycled.
#include <fmt/format.h>

#include "base/safeguard.h"
#include "bss/journal/journal_file.h"
#include "io/claim.h"
#include "io/error.h"
#include "io/log.h"

namespace fb {
namespace {

constexpr size_t kFillBytes = 1 * kMiB;  // of one write of zeros
constexpr const char* kUnfinishedName = "segment.new";

}  // namespace

std::string JournalFile::path_of(uint64_t generation) const {
  return fmt::format("{}/{:016x}.journal", options_.directory, generation);
}

OpenOptions JournalFile::segment_options(bool create) const {
  return {.write = true,
          .create = create,
          .truncate = create,
          .direct = true,
          .role = FileRole::journal,
          .mode = 0600,
          .durability = options_.durability};
}

// Exceeded by one segment where there is no place for the marks of the next start.
bool JournalFile::at_size_limit() const {
  const bool marks_fit = segments_.back()->end_bytes + 2 * kJournalBlock <= options_.segment_bytes;
  return marks_fit && (segments_.size() + 1) * options_.segment_bytes > options_.size_bytes_max;
}

Task<Result<void>> JournalFile::write_header(Segment& segment) {
  segment.header = SegmentHeader();
  segment.header.store_id = options_.store_id;
  segment.header.generation = next_generation_;
  segment.header.segment_bytes = options_.segment_bytes;
  env_.random_bytes(std::as_writable_bytes(std::span(&segment.header.nonce, 1)));
  AlignedBytes block(kJournalBlock);
  block.resize(kJournalBlock);
  write_segment_header(segment.header, block.span());
  segment.seed = group_seed(segment.header);
  segment.groups.clear();
  segment.trimmed_as = Segment::Trimmed::no;
  segment.end_bytes = kJournalBlock;
  FB_CO_CHECK(co_await segment.file.write_all(block.span(), 0));
  co_return co_await segment.file.sync();
}

Task<Result<void>> JournalFile::fill_new_segment(Segment& segment) {
  AlignedBytes zeros(kFillBytes);
  zeros.resize(std::min<size_t>(kFillBytes, options_.segment_bytes));
  std::memset(zeros.data(), 0, zeros.size());
  for (uint64_t offset = 0; offset < options_.segment_bytes; offset += zeros.size()) {
    const size_t size = std::min<uint64_t>(zeros.size(), options_.segment_bytes - offset);
    FB_CO_CHECK(co_await segment.file.write_all(zeros.span().first(size), offset));
    if (closing_) co_return JournalError::unavailable;
  }
  co_return Result<void>();
}

// Under another name until everything in it is durable, then under its own.
Task<Result<std::unique_ptr<JournalFile::Segment>>> JournalFile::prepare_segment() {
  std::unique_ptr<Segment> segment;
  if (!spares_.empty()) {
    segment = std::move(spares_.back());
    spares_.pop_back();
  }
  Result<void> ready;
  if (segment == nullptr) {
    segment = std::make_unique<Segment>();
    segment->path = fmt::format("{}/{}", options_.directory, kUnfinishedName);
    FB_CO_TRY(segment->file, co_await open_claimed(env_, segment->path, segment_options(true)));
    ready = co_await fill_new_segment(*segment);
  }
  if (ready) ready = co_await write_header(*segment);
  const std::string path = path_of(next_generation_);
  if (ready) ready = co_await rename_file(env_, segment->path, path);
  if (ready) segment->path = path;
  if (ready) ready = co_await sync_directory(env_, options_.directory);
  if (!ready) {
    (void)co_await segment->file.close();
    (void)co_await remove_file(env_, segment->path);
    co_return ready.error();
  }
  ++next_generation_;
  co_return segment;
}

Task<void> JournalFile::run_preparer(JournalFile* self) {
  while (!self->closing_ && !self->failed_) {
    if (self->ahead_ != nullptr || self->at_size_limit()) {
      co_await self->preparer_wake_.wait();
      continue;
    }
    auto prepared = co_await self->prepare_segment();
    if (prepared) {
      self->ahead_ = std::move(*prepared);
      self->note_room();
    } else if (!self->prepare_failed_ && !self->closing_) {
      log(self->env_, LogLevel::warn, "journal: no new segment can be made",
          {{"error", prepared.error().to_string()}});
    }
    self->prepare_failed_ = !prepared;
    self->room_.notify_all();
    const bool trim_helps = self->segments_.size() > 1 && self->low_handler_ != nullptr;
    if (!prepared && trim_helps && !self->closing_) self->low_handler_();
    if (!prepared && !self->spares_.empty()) continue;  // a trim came meanwhile
    if (!prepared) (void)co_await sleep_for(self->env_, kPrepareRetryDelay, &self->stop_sleeps_);
  }
}

// A removal that failed may have happened.
static Error in_doubt(const Error& removal) { return {JournalError::outcome_unknown, removal.os_errno()}; }

// Only whole segments go, and never the one with the newest group, which carries epoch and sequence on. Each
// removal is durable before the next, so that the segments that remain are always without a gap. One stays
// the first until its removal is durable: after a failure the next trim goes on with it, and not with its
// successor.
Task<Result<void>> JournalFile::trim(const CallContext&, uint64_t sequence) {
  const auto held = co_await segments_mutex_.acquire();
  while (segments_.size() > 1) {
    const Segment& next = *segments_[1];
    if (next.groups.empty() || next.groups.front().first_sequence > sequence) break;
    const Result<void> removed = co_await remove_segment(*segments_.front());
    if (!removed && FB_SAFEGUARD(trimmed_segment_stays_first)) co_return in_doubt(removed.error());
    std::unique_ptr<Segment> trimmed = std::move(segments_.front());
    segments_.pop_front();
    if (removed && trimmed->trimmed_as == Segment::Trimmed::spare) {
      spares_.push_back(std::move(trimmed));
    } else {
      (void)co_await trimmed->file.close();
    }
    if (!removed) co_return in_doubt(removed.error());
    preparer_wake_.notify_all();
    room_.notify_all();
  }
  co_return Result<void>();
}

// Durably, as a file or as a segment. Called again after a failure, which may have come behind the change.
Task<Result<void>> JournalFile::remove_segment(Segment& segment) {
  if (segment.trimmed_as == Segment::Trimmed::no) {
    const std::string spare_path =
        fmt::format("{}/{:016x}.spare", options_.directory, segment.header.generation);
    const bool recycle = wants_spare();
    Result<void> removed = recycle ? co_await rename_file(env_, segment.path, spare_path)
                                   : co_await remove_file(env_, segment.path);
    // An attempt before this one may have done it, and failed all the same.
    if (!removed && !removed.error().is(IoError::not_found)) co_return removed.error();
    segment.trimmed_as = removed && recycle ? Segment::Trimmed::spare : Segment::Trimmed::removed;
    if (removed && recycle) segment.path = spare_path;
  }
  co_return co_await sync_directory(env_, options_.directory);
}

}  // namespace fb
