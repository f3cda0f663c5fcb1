// SPDX-License-Identifier: Apache-2.0
// Opening a journal: which segments there are, what is in them, and where it ends. A group that is not intact
// is damage where a later one proves that it was durable, and the torn tail otherwise (see journal_file.h).
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/safeguard.h"
#include "bss/journal/journal_file.h"
#include "io/claim.h"
#include "io/log.h"

namespace fb {
namespace {

constexpr std::string_view kSuffix = ".journal";
constexpr size_t kGenerationDigits = 16;
constexpr size_t kReadBytes = 256 * kKiB;

// 0: not a segment's name.
uint64_t generation_of(std::string_view name) {
  if (name.size() != kGenerationDigits + kSuffix.size() || !name.ends_with(kSuffix)) return 0;
  uint64_t generation = 0;
  const char* end = name.data() + kGenerationDigits;
  const auto parsed = std::from_chars(name.data(), end, generation, 16);
  return parsed.ec == std::errc() && parsed.ptr == end ? generation : 0;
}

constexpr std::string_view kSpareSuffix = ".spare";
constexpr std::string_view kUnfinishedName = "segment.new";

}  // namespace

Error JournalFile::damaged(const Segment& segment, uint64_t offset, std::string_view what) const {
  log(env_, LogLevel::error, fmt::format("journal: {}", what), {{"file", segment.path}, {"offset", offset}});
  return JournalError::damaged;
}

// Ascending and without gaps: a trim makes each removal durable before the next. Removes leftovers.
Task<Result<std::vector<uint64_t>>> JournalFile::find_generations() {
  FB_CO_TRY(const std::vector<std::string> names, co_await list_directory(env_, options_.directory));
  std::vector<uint64_t> generations;
  for (const std::string& name : names) {
    if (const uint64_t generation = generation_of(name); generation != 0) generations.push_back(generation);
    const std::string path = options_.directory + "/" + name;
    if (name == kUnfinishedName) FB_CO_CHECK(co_await remove_file(env_, path));
    if (name.ends_with(kSpareSuffix)) FB_CO_CHECK(co_await keep_spare(path));
  }
  for (size_t i = 1; i < generations.size(); ++i) {
    if (generations[i] == generations[i - 1] + 1) continue;
    log(env_, LogLevel::error, "journal: a segment is missing", {{"file", path_of(generations[i - 1] + 1)}});
    co_return JournalError::damaged;
  }
  co_return generations;
}

// A trimmed segment keeps its space for the next one; only a few, and only where it is whole.
Task<Result<void>> JournalFile::keep_spare(const std::string& path) {
  if (wants_spare()) {
    auto segment = std::make_unique<Segment>();
    segment->path = path;
    FB_CO_TRY(segment->file, co_await open_claimed(env_, path, segment_options(false)));
    const auto stat = co_await segment->file.stat();
    if (stat && stat->size_bytes == options_.segment_bytes) {
      spares_.push_back(std::move(segment));
      co_return Result<void>();
    }
    FB_CO_CHECK(co_await segment->file.close());
  }
  co_return co_await remove_file(env_, path);
}

// In pieces, and block by block if the device cannot read one: blocks that nobody needs do not keep the
// journal closed. An unreadable block is zeros, so that its group is not intact; what proves groups durable
// decides.
Task<Result<void>> JournalFile::read_segment(Segment& segment, std::span<std::byte> content) {
  for (size_t at = 0; at < content.size(); at += kReadBytes) {
    const std::span<std::byte> piece = content.subspan(at, std::min(kReadBytes, content.size() - at));
    const Result<void> read = co_await segment.file.read_exactly(piece, at);
    if (read) continue;
    if (!read.error().is(IoError::media)) co_return read;
    for (size_t inside = 0; inside < piece.size(); inside += kJournalBlock) {
      const std::span<std::byte> block = piece.subspan(inside, kJournalBlock);
      const Result<void> alone = co_await segment.file.read_exactly(block, at + inside);
      if (alone) continue;
      const bool is_header = at + inside == 0;
      if (is_header || !alone.error().is(IoError::media)) co_return alone;
      std::memset(block.data(), 0, block.size());
      segment.unreadable.push_back(at + inside);
    }
  }
  if (segment.unreadable.empty()) co_return Result<void>();
  unreadable_blocks_ += segment.unreadable.size();
  log(env_, LogLevel::warn, "journal: the device cannot read some blocks of a segment",
      {{"file", segment.path}, {"first", segment.unreadable.front()}, {"blocks", segment.unreadable.size()}});
  co_return Result<void>();
}

Task<Result<std::unique_ptr<JournalFile::Segment>>> JournalFile::open_segment(uint64_t generation,
                                                                              AlignedBytes& content) {
  auto segment = std::make_unique<Segment>();
  segment->path = path_of(generation);
  FB_CO_TRY(segment->file, co_await open_claimed(env_, segment->path, segment_options(false)));
  content.resize(options_.segment_bytes);
  const Result<void> read = co_await read_segment(*segment, content.span());
  Result<void> usable = read;
  if (read) {
    const HeaderState state = read_segment_header(content.span(), options_.store_id, segment->header);
    if (state != HeaderState::valid) {
      usable = damaged(*segment, 0, describe(state));
    } else if (segment->header.generation != generation ||
               segment->header.segment_bytes != options_.segment_bytes) {
      usable = damaged(*segment, 0, "its header does not fit its name or size");
    }
  } else if (read.error().is(IoError::end_of_file)) {
    usable = damaged(*segment, 0, "it is shorter than a segment");
  } else if (read.error().is(IoError::media)) {
    usable = damaged(*segment, 0, "the device cannot read its header");
  }
  if (!usable) {
    (void)co_await segment->file.close();
    co_return usable.error();
  }
  segment->seed = group_seed(segment->header);
  co_return segment;
}

// What follows the end that was found, at any block: a group that proves the end durable makes it damage;
// others go with it.
Result<void> JournalFile::check_tail(Segment& segment, std::span<std::byte> content) const {
  GroupHeader header;
  for (uint64_t offset = segment.end_bytes + kJournalBlock; offset < content.size();
       offset += kJournalBlock) {
    if (!read_group(content.subspan(offset), offset, segment.seed, header)) continue;
    const uint64_t unproven_bytes = uint64_t{header.unproven_blocks} * kJournalBlock;
    if (unproven_bytes < offset - segment.end_bytes) {
      return damaged(segment, segment.end_bytes,
                     fmt::format("the group at offset {} proves that this one was durable", offset));
    }
    segment.stale_end_bytes = offset + align_up(header.size_bytes, kJournalBlock);
  }
  // Wiped with it, which makes them readable.
  if (!segment.unreadable.empty() && segment.unreadable.back() >= segment.end_bytes)
    segment.stale_end_bytes = std::max(segment.stale_end_bytes, segment.unreadable.back() + kJournalBlock);
  return {};
}

// The first intact group behind one that the device cannot read, `offset` if there is none. The owner of the
// journal may have given up all frames before it, as a trim takes whole segments only; it knows, and compares
// with bounds().
uint64_t JournalFile::begin_behind_unreadable(Segment& segment, std::span<std::byte> content,
                                              uint64_t offset) const {
  GroupHeader header;
  for (uint64_t at = offset + kJournalBlock; at < content.size(); at += kJournalBlock) {
    if (!read_group(content.subspan(at), at, segment.seed, header)) continue;
    const bool hidden = std::ranges::any_of(segment.unreadable,
                                            [&](uint64_t block) { return block >= offset && block < at; });
    const bool proven = uint64_t{header.unproven_blocks} * kJournalBlock < at - offset;
    return hidden && proven ? at : offset;
  }
  return offset;
}

// Takes the intact groups from the segment's beginning.
Result<void> JournalFile::scan_segment(Segment& segment, std::span<std::byte> content) {
  uint64_t offset = kJournalBlock;
  uint64_t proven_to = offset;
  GroupHeader header;
  while (offset < content.size()) {
    if (!read_group(content.subspan(offset), offset, segment.seed, header)) {
      if (!segments_.empty() || segment.unreadable.empty()) break;
      const uint64_t behind = begin_behind_unreadable(segment, content, offset);
      if (behind == offset) break;
      segment.groups.clear();
      offset = proven_to = behind;
      continue;
    }
    const bool is_first = segments_.empty() && segment.groups.empty();
    if (is_first) next_sequence_ = header.first_sequence;
    if (header.first_sequence != next_sequence_)
      return damaged(segment, offset, "frames before this one are missing");
    if (header.epoch < epoch_) return damaged(segment, offset, "an older epoch follows a newer one");
    segment.groups.push_back({header.first_sequence, header.frame_count,
                              static_cast<uint32_t>(offset / kJournalBlock), header.size_bytes});
    next_sequence_ += header.frame_count;
    epoch_ = header.epoch;
    proven_to = std::max(proven_to, offset - uint64_t{header.unproven_blocks} * kJournalBlock);
    offset += align_up(header.size_bytes, kJournalBlock);
  }
  segment.end_bytes = offset;
  if (!segment.groups.empty()) {
    unproven_.clear();
    unproven_.append(content.data() + proven_to, offset - proven_to);
  }
  return check_tail(segment, content);
}

Task<Result<void>> JournalFile::recover() {
  FB_CO_TRY(const std::vector<uint64_t> generations, co_await find_generations());
  AlignedBytes content;
  for (const uint64_t generation : generations) {
    FB_CO_TRY(std::unique_ptr<Segment> segment, co_await open_segment(generation, content));
    const Result<void> scanned = scan_segment(*segment, content.span());
    const bool follows_nothing = !segments_.empty() && segments_.back()->groups.empty();
    const bool has_groups = !segment->groups.empty();
    segments_.push_back(std::move(segment));
    FB_CO_CHECK(scanned);
    if (has_groups && follows_nothing) {
      const Segment& hole = *segments_[segments_.size() - 2];
      co_return damaged(hole, kJournalBlock, "it holds nothing, but the next segment goes on");
    }
    next_generation_ = generation + 1;
  }
  // The last ones may have been prepared and not begun: one is kept for what follows.
  while (segments_.size() > 1 && segments_.back()->groups.empty()) {
    if (ahead_ != nullptr) {
      FB_CO_CHECK(co_await ahead_->file.close());
      FB_CO_CHECK(co_await remove_file(env_, ahead_->path));
    }
    ahead_ = std::move(segments_.back());
    segments_.pop_back();
    next_generation_ = ahead_->header.generation + 1;
  }
  if (segments_.empty()) {
    // A spare is written over only when it is one durably.
    FB_CO_CHECK(co_await sync_directory(env_, options_.directory));
    FB_CO_TRY(std::unique_ptr<Segment> segment, co_await prepare_segment());
    segments_.push_back(std::move(segment));
  }
  FB_CO_CHECK(co_await make_durable());
  durable_sequence_ = next_sequence_ - 1;
  co_return Result<void>();
}

// What goes with a torn tail must not be found behind what is written in its place.
Task<Result<void>> JournalFile::wipe_stale(Segment& segment) {
  if (segment.stale_end_bytes <= segment.end_bytes) co_return Result<void>();
  AlignedBytes zeros(segment.stale_end_bytes - segment.end_bytes);
  zeros.resize(segment.stale_end_bytes - segment.end_bytes);
  std::memset(zeros.data(), 0, zeros.size());
  co_return co_await segment.file.write_all_durable(zeros.span(), segment.end_bytes);
}

// What a killed process wrote may be readable and not on the medium yet. From now on it counts as durable:
// what follows proves that it was. What nothing proves is written once more, the same bytes: a sync that
// failed at a start before this one may have given them up, and the next sync would not say so.
Task<Result<void>> JournalFile::make_durable() {
  Segment& last = *segments_.back();
  if (unproven_.size() != 0 && FB_SAFEGUARD(rewrite_unproven_groups)) {
    FB_ASSERT(last.end_bytes >= kJournalBlock + unproven_.size(), last.end_bytes, unproven_.size());
    FB_CO_CHECK(co_await last.file.write_all_durable(unproven_.span(), last.end_bytes - unproven_.size()));
  }
  unproven_ = AlignedBytes();
  FB_CO_CHECK(co_await wipe_stale(last));
  if (ahead_ != nullptr && FB_SAFEGUARD(wipe_ahead_segment)) FB_CO_CHECK(co_await wipe_stale(*ahead_));
  for (const std::unique_ptr<Segment>& segment : segments_) FB_CO_CHECK(co_await segment->file.sync());
  if (ahead_ != nullptr) FB_CO_CHECK(co_await ahead_->file.sync());
  co_return co_await sync_directory(env_, options_.directory);
}

}  // namespace fb
