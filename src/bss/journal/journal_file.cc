// SPDX-License-Identifier: Apache-2.0
#include "bss/journal/journal_file.h"

#include <algorithm>

#include "io/log.h"

namespace fb {
namespace {

constexpr size_t kGroupBytesMax = 1 * kMiB;    // a group takes no further frame past this
constexpr size_t kReadBytesMax = 1 * kMiB;     // of one read(), at least one group
constexpr size_t kGroupCapacity = 256 * kKiB;  // to begin with

}  // namespace

JournalFile::JournalFile(Env& env, const Options& options)
    : env_(env),
      options_(options),
      segments_mutex_(env),
      writer_wake_(env),
      preparer_wake_(env),
      marker_wake_(env),
      room_(env),
      mark_written_(env),
      scope_(env) {
  FB_ASSERT(options.segment_bytes >= kSegmentBytesMin, options.segment_bytes);
  FB_ASSERT(is_aligned(options.segment_bytes, kJournalBlock), options.segment_bytes);
  FB_ASSERT(options.size_bytes_max >= 3 * options.segment_bytes, options.size_bytes_max);
  for (std::unique_ptr<Group>& group : groups_) {
    group = std::make_unique<Group>(env);
    group->bytes.reserve(kGroupCapacity);
    start_group(*group);
  }
}

JournalFile::~JournalFile() { FB_ASSERT(closed_ || env_.abandoned()); }

Task<Result<std::unique_ptr<JournalFile>>> JournalFile::open(Env& env, const Options& options) {
  std::unique_ptr<JournalFile> journal(new JournalFile(env, options));
  const Result<void> recovered = co_await journal->recover();
  if (!recovered) {
    journal->failed_ = true;
    (void)co_await journal->close();
    co_return recovered.error();
  }
  for (size_t i = 0; i < kWritesInFlightMax; ++i) journal->scope_.spawn(&run_writer, journal.get());
  journal->scope_.spawn(&run_preparer, journal.get());
  journal->scope_.spawn(&run_marker, journal.get());
  co_return journal;
}

JournalClient::Bounds JournalFile::bounds() const {
  Bounds bounds;
  bounds.next_sequence = next_sequence_;
  bounds.first_sequence = next_sequence_;
  for (const auto& segment : segments_) {
    if (segment->groups.empty()) continue;
    bounds.first_sequence = segment->groups.front().first_sequence;
    break;
  }
  bounds.epoch = epoch_;
  bounds.size_bytes = segments_.size() * options_.segment_bytes;
  bounds.size_bytes_max = options_.size_bytes_max;
  return bounds;
}

size_t JournalFile::frame_size_max() const {
  return std::min<size_t>(kFrameSizeMax, options_.segment_bytes / 2);
}

void JournalFile::start_group(Group& group) {
  group.bytes.clear();
  group.bytes.resize(sizeof(GroupHeader));
  group.frame_count = 0;
  group.outcome.reset();
}

Notification& JournalFile::group_of(uint64_t sequence) {
  for (size_t i = oldest_; i != filling_; i = (i + 1) % groups_.size()) {
    if (sequence <= groups_[i]->last_sequence) return groups_[i]->written;
  }
  return filling().written;
}

bool JournalFile::has_room(size_t payload_bytes) const {
  FB_ASSERT(payload_bytes <= frame_size_max(), payload_bytes);
  if (failed_ || closing_) return false;
  const Group& group = filling();
  const size_t size = group.bytes.size() + kFrameHeaderSize + payload_bytes;
  if (group.frame_count != 0 && size > std::min<size_t>(kGroupBytesMax, options_.segment_bytes / 2))
    return false;
  if (ahead_ != nullptr) return true;
  const uint64_t free_bytes = options_.segment_bytes - segments_.back()->end_bytes;
  return align_up(size, kJournalBlock) + kMarkBlocks * kJournalBlock <= free_bytes;
}

Task<Result<void>> JournalFile::wait_for_room(const CallContext& context, size_t payload_bytes) {
  while (!has_room(payload_bytes)) {
    if (failed_ || closing_) co_return JournalError::unavailable;
    if (context.deadline <= env_.now()) co_return JournalError::timed_out;
    const bool group_full = filling().frame_count != 0 && ahead_ != nullptr;
    // A trim would give room back, where there is something to trim and somebody who does it.
    const bool nothing_to_trim = segments_.size() == 1 && spares_.empty();
    const bool stuck = prepare_failed_ && (nothing_to_trim || low_handler_ == nullptr);
    if (stuck && !group_full && idle() && filling().frame_count == 0) co_return JournalError::full;
    // A journal that was at its limit when it was opened has told nobody yet.
    if (low_handler_ != nullptr && at_size_limit() && segments_.size() > 1) low_handler_();
    co_await room_.wait();
  }
  co_return Result<void>();
}

uint64_t JournalFile::enqueue(std::string_view payload) {
  FB_ASSERT(!failed_);
  FB_ASSERT(!closing_);
  Group& group = filling();
  const auto length = static_cast<uint32_t>(payload.size());
  group.bytes.append(&length, sizeof(length));
  group.bytes.append(payload.data(), payload.size());
  if (++group.frame_count == 1) writer_wake_.notify_one();
  return next_sequence_++;
}

Task<Result<uint64_t>> JournalFile::submit(const CallContext& context, std::span<const std::byte> payload) {
  if (payload.size() > frame_size_max()) co_return JournalError::full;
  FB_CO_CHECK(co_await wait_for_room(context, payload.size()));
  co_return enqueue({reinterpret_cast<const char*>(payload.data()), payload.size()});
}

Task<Result<void>> JournalFile::wait_durable(uint64_t sequence) { co_return co_await durable(sequence); }

void JournalFile::note_room() {
  const uint64_t here = options_.segment_bytes - segments_.back()->end_bytes;
  const uint64_t whole = ahead_ != nullptr ? options_.segment_bytes - kJournalBlock : 0;
  const uint64_t marks = kMarkBlocks * kJournalBlock;
  room_bytes_.store(here + whole - std::min(here + whole, marks), std::memory_order_relaxed);
}

// Whether the group that fills may go out now. A segment is begun when nothing is in flight.
bool JournalFile::may_write() const {
  if (filling().frame_count == 0 && !mark_wanted_) return false;
  if (mark_in_flight_ || in_flight() == kWritesInFlightMax) return false;
  const size_t padded = align_up(filling().bytes.size(), kJournalBlock);
  return idle() || segments_.back()->end_bytes + padded <= options_.segment_bytes;
}

// Decides where the group goes, and finishes its bytes.
Result<void> JournalFile::take_place(Group& group) {
  group.last_sequence = last_sequence();
  const uint64_t padded = align_up(group.bytes.size(), kJournalBlock);
  if (segments_.back()->end_bytes + padded > options_.segment_bytes) {
    FB_ASSERT(idle());
    if (ahead_ == nullptr) return JournalError::full;
    segments_.push_back(std::move(ahead_));
    preparer_wake_.notify_all();
  }
  Segment& segment = *segments_.back();
  const uint64_t offset = segment.end_bytes;
  const uint64_t durable_to =
      idle() ? offset : uint64_t{groups_[oldest_]->place.offset_blocks} * kJournalBlock;
  group.segment = &segment;
  group.place = {.first_sequence = group.last_sequence + 1 - group.frame_count,
                 .frame_count = group.frame_count,
                 .offset_blocks = static_cast<uint32_t>(offset / kJournalBlock),
                 .size_bytes = static_cast<uint32_t>(group.bytes.size())};
  GroupHeader header;
  header.frame_count = group.frame_count;
  header.epoch = epoch_;
  header.first_sequence = group.place.first_sequence;
  header.durable_sequence = durable_sequence_;
  header.size_bytes = group.place.size_bytes;
  header.unproven_blocks = static_cast<uint32_t>((offset - durable_to) / kJournalBlock);
  std::memcpy(group.bytes.data(), &header, sizeof(header));
  seal_group(group.bytes.span(), segment.seed, offset);
  segment.end_bytes += padded;
  written_bytes_ += padded;
  note_room();
  return {};
}

// One of several: each has one group in flight at a time.
Task<void> JournalFile::run_writer(JournalFile* self) {
  while (!self->failed_) {
    if (!self->may_write()) {
      if (self->closing_ && self->filling().frame_count == 0) break;
      co_await self->writer_wake_.wait();
      continue;
    }
    Group& group = self->filling();
    self->mark_in_flight_ = group.frame_count == 0;
    self->mark_wanted_ = false;
    const Result<void> placed = self->take_place(group);
    self->filling_ = (self->filling_ + 1) % self->groups_.size();
    if (placed) {
      const uint64_t offset = uint64_t{group.place.offset_blocks} * kJournalBlock;
      group.outcome = co_await group.segment->file.overwrite_all_durable(group.bytes.pad(), offset);
    } else {
      group.outcome = placed;
    }
    self->settle();
  }
}

// Those that have been written and have none before them in flight any more.
void JournalFile::settle() {
  while (!failed_ && !idle() && groups_[oldest_]->outcome) {
    Group& group = *groups_[oldest_];
    const bool is_mark = group.frame_count == 0;
    const Result<void>& written = *group.outcome;
    if (written) {
      group.segment->groups.push_back(group.place);
      durable_sequence_ = group.last_sequence;
      mark_useful_ = !is_mark;
      if (!is_mark) marker_wake_.notify_all();
    } else if (!is_mark || !written.error().is(JournalError::full)) {
      // A mark that found no place leaves the journal as it was.
      log(env_, LogLevel::error, "journal: a write failed, no more changes are accepted",
          {{"error", written.error().to_string()}});
      return fail();
    }
    mark_refused_ = !written;
    ++groups_written_;
    mark_in_flight_ = false;
    oldest_ = (oldest_ + 1) % groups_.size();
    start_group(group);
    group.written.notify_all();
    mark_written_.notify_all();
    room_.notify_all();
  }
  if (closing_) writer_wake_.notify_all();
}

void JournalFile::fail() {
  failed_ = true;
  for (const std::unique_ptr<Group>& group : groups_) group->written.notify_all();
  writer_wake_.notify_all();
  room_.notify_all();
  mark_written_.notify_all();
  preparer_wake_.notify_all();
  marker_wake_.notify_all();
}

// A group without frames: proves everything before it durable.
Task<Result<void>> JournalFile::write_mark() {
  while (!failed_ && (!idle() || filling().frame_count != 0)) co_await mark_written_.wait();
  if (failed_) co_return JournalError::unavailable;
  const uint64_t before = groups_written_;
  mark_refused_ = false;
  mark_wanted_ = true;
  writer_wake_.notify_one();
  while (!failed_ && groups_written_ == before) co_await mark_written_.wait();
  if (failed_) co_return JournalError::outcome_unknown;
  if (mark_refused_) co_return JournalError::full;
  co_return Result<void>();
}

Task<void> JournalFile::run_marker(JournalFile* self) {
  while (!self->closing_ && !self->failed_) {
    if (!self->mark_useful_) {
      co_await self->marker_wake_.wait();
      continue;
    }
    const uint64_t before = self->groups_written_;
    (void)co_await sleep_for(self->env_, kMarkDelay, &self->stop_sleeps_);
    const bool quiet = self->groups_written_ == before && self->idle();
    if (quiet && self->mark_useful_ && !self->closing_) {
      self->mark_useful_ = false;
      (void)co_await self->write_mark();
    }
  }
}

Task<Result<void>> JournalFile::seal(const CallContext&, uint64_t epoch) {
  const bool again = epoch == epoch_ && seal_in_doubt_;
  if (epoch <= epoch_ && !again) co_return JournalError::sealed;
  if (failed_ || closing_) co_return again ? JournalError::outcome_unknown : JournalError::unavailable;
  if (!again && !co_await wait_for_mark()) co_return failed_ ? JournalError::unavailable : JournalError::full;
  seal_in_doubt_ = true;
  epoch_ = epoch;  // whatever is written from now on says so
  // Twice, so that the second proves the first: an epoch is never given out again, even after rot in the last
  // block.
  for (int i = 0; i < 2; ++i) {
    if (!co_await wait_for_mark()) co_return JournalError::outcome_unknown;
    if (!co_await write_mark()) co_return JournalError::outcome_unknown;
  }
  seal_in_doubt_ = false;
  co_return Result<void>();
}

// Until a mark has a place; false if it gets none.
Task<bool> JournalFile::wait_for_mark() {
  const auto has_place = [this] {
    return ahead_ != nullptr || segments_.back()->end_bytes + kJournalBlock <= options_.segment_bytes;
  };
  while (!has_place() && !failed_ && !prepare_failed_) co_await room_.wait();
  co_return has_place() && !failed_;
}

Task<Result<std::vector<JournalClient::Frame>>> JournalFile::read(const CallContext&, uint64_t sequence) {
  const auto held = co_await segments_mutex_.acquire();
  if (sequence >= next_sequence_ || sequence > durable_sequence_) co_return JournalError::missing;
  if (sequence < bounds().first_sequence) co_return JournalError::trimmed;
  const auto behind = [sequence](const GroupPlace& place) {
    return place.first_sequence + place.frame_count <= sequence;
  };
  // Segments stay while the mutex is held, but the list of them may grow.
  Segment* segment = nullptr;
  size_t next = 0;
  for (size_t i = 0; i < segments_.size() && segment == nullptr; ++i) {
    const auto& groups = segments_[i]->groups;
    next = static_cast<size_t>(std::ranges::partition_point(groups, behind) - groups.begin());
    if (next < groups.size()) segment = segments_[i].get();
  }
  FB_ASSERT(segment != nullptr, sequence);
  std::vector<Frame> frames;
  while (next < segment->groups.size() && frames.empty())
    FB_CO_CHECK(co_await read_run(*segment, sequence, next, frames));
  co_return frames;
}

// The frames from `sequence` on of the group `next` and of those that follow it, as many as one read takes;
// `next` is the group behind them then. Further groups may come meanwhile.
Task<Result<void>> JournalFile::read_run(Segment& segment, uint64_t sequence, size_t& next,
                                         std::vector<Frame>& frames) {
  const auto begin_of = [](const GroupPlace& place) { return uint64_t{place.offset_blocks} * kJournalBlock; };
  const auto end_of = [&](const GroupPlace& place) {
    return begin_of(place) + align_up(place.size_bytes, kJournalBlock);
  };
  const uint64_t begin = begin_of(segment.groups[next]);
  std::vector<GroupPlace> run;
  while (next < segment.groups.size() &&
         (run.empty() || end_of(segment.groups[next]) - begin <= kReadBytesMax))
    run.push_back(segment.groups[next++]);
  AlignedBytes content(end_of(run.back()) - begin);
  content.resize(end_of(run.back()) - begin);
  FB_CO_CHECK(co_await segment.file.read_exactly(content.span(), begin));
  for (const GroupPlace& place : run) {
    const uint64_t offset = begin_of(place);
    const auto bytes = content.span().subspan(offset - begin, end_of(place) - offset);
    GroupHeader header;
    if (!read_group(bytes, offset, segment.seed, header)) {
      if (!frames.empty()) break;  // what stands before it is given first
      co_return damaged(segment, offset,
                        "a group that was intact when the journal was opened is not any more");
    }
    size_t position = sizeof(GroupHeader);
    for (uint32_t frame = 0; frame < header.frame_count; ++frame) {
      uint32_t length = 0;
      std::memcpy(&length, bytes.data() + position, sizeof(length));
      position += kFrameHeaderSize;
      if (header.first_sequence + frame >= sequence) {
        frames.push_back({header.first_sequence + frame, header.epoch,
                          std::string(reinterpret_cast<const char*>(bytes.data()) + position, length)});
      }
      position += length;
    }
  }
  co_return Result<void>();
}

Task<Result<void>> JournalFile::close() {
  FB_ASSERT(!closed_);
  Result<void> result;
  const bool pending = !idle() || filling().frame_count != 0;
  if (!failed_ && (mark_useful_ || pending)) result = co_await write_mark();
  // A full journal is closed without the mark: frames are durable without one.
  if (!result && result.error().is(JournalError::full)) result = {};
  closing_ = true;
  stop_sleeps_.cancel();
  writer_wake_.notify_all();
  preparer_wake_.notify_all();
  marker_wake_.notify_all();
  room_.notify_all();
  co_await scope_.join();
  for (auto& segment : segments_) (void)co_await segment->file.close();
  if (ahead_ != nullptr) (void)co_await ahead_->file.close();
  for (auto& spare : spares_) (void)co_await spare->file.close();
  closed_ = true;
  co_return result;
}

}  // namespace fb
