// SPDX-License-Identifier: Apache-2.0
#include "bss/page/page_file_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "io/claim.h"
#include "io/log.h"
#include "io/scope.h"

namespace fb {
namespace {

constexpr size_t kZeroBytes = 1 * kMiB;    // of one write of zeros
constexpr size_t kReadBytes = 256 * kKiB;  // of one read of a log

}  // namespace

Task<Result<void>> write_zeros(File& file, uint64_t from_bytes, uint64_t to_bytes) {
  if (from_bytes >= to_bytes) co_return Result<void>();
  const Result<void> allocated = co_await file.allocate(from_bytes, to_bytes - from_bytes);
  if (!allocated && !allocated.error().is(IoError::unsupported)) co_return allocated;
  AlignedBytes zeros(kZeroBytes);
  zeros.resize(std::min<uint64_t>(kZeroBytes, to_bytes - from_bytes));
  std::memset(zeros.data(), 0, zeros.size());
  for (uint64_t offset = from_bytes; offset < to_bytes;) {
    const size_t length = std::min<uint64_t>(zeros.size(), to_bytes - offset);
    FB_CO_CHECK(co_await file.write_all(zeros.span().first(length), offset));
    offset += length;
  }
  co_return Result<void>();
}

Task<Result<void>> extend_with_zeros(File& file, uint64_t from_bytes, uint64_t to_bytes) {
  if (from_bytes >= to_bytes) co_return Result<void>();
  FB_CO_CHECK(co_await write_zeros(file, from_bytes, to_bytes));
  co_return co_await file.sync();
}

// One copy of a log, read as far as it is needed. What cannot be read is zeros.
struct PageLog::Half {
  uint64_t base = 0;
  AlignedBytes bytes;
  std::vector<uint64_t> unreadable;  // offsets of blocks

  Task<void> read_to(File& file, uint64_t end_bytes, uint64_t log_bytes) {
    end_bytes = std::min(align_up(end_bytes, kReadBytes), log_bytes);
    while (bytes.size() < end_bytes) {
      const size_t from = bytes.size();
      const size_t length = std::min<uint64_t>(kReadBytes, end_bytes - from);
      bytes.resize(from + length);
      const std::span<std::byte> piece = bytes.span().subspan(from, length);
      if (co_await file.read_exactly(piece, base + from)) continue;
      for (size_t at = 0; at < length; at += kJournalBlock) {
        const std::span<std::byte> block = piece.subspan(at, kJournalBlock);
        if (co_await file.read_exactly(block, base + from + at)) continue;
        std::memset(block.data(), 0, block.size());
        unreadable.push_back(from + at);
      }
    }
  }
  // Whether something may stand in the group at this place that could not be read.
  bool hides(uint64_t offset) const {
    return std::ranges::any_of(unreadable, [&](uint64_t block) {
      return block >= offset && block < offset + kPageLogGroupBytesMax;
    });
  }
  bool group(uint64_t offset, uint64_t seed, uint64_t sequence, GroupHeader& out) {
    return intact(offset, seed, out) && out.first_sequence == sequence;
  }
  bool intact(uint64_t offset, uint64_t seed, GroupHeader& out) {
    if (offset >= bytes.size()) return false;
    return read_group(bytes.span().subspan(offset), offset, seed, out) && out.frame_count == 1;
  }
};

std::string PageLog::path_of(size_t index) const { return fmt::format("{}/log-{}", directory_, index); }

OpenOptions PageLog::options() const {
  return {.write = true, .direct = true, .role = FileRole::journal, .mode = 0600, .durability = durability_};
}

Task<Result<void>> PageLog::create(uint64_t log_bytes) {
  for (size_t index = 0; index < files_.size(); ++index) {
    OpenOptions creating = options();
    creating.create = creating.truncate = true;
    FB_CO_TRY(File file, co_await open_claimed(env_, path_of(index), creating));
    const Result<void> filled = co_await extend_with_zeros(file, 0, 2 * log_bytes);
    FB_CO_CHECK(co_await file.close());
    FB_CO_CHECK(filled);
  }
  co_return Result<void>();
}

Error PageLog::damaged(size_t index, uint64_t offset, std::string_view what) const {
  log(env_, LogLevel::error, fmt::format("page store: {}", what),
      {{"file", path_of(index)}, {"offset", offset}});
  return PageError::damaged;
}

Task<Result<void>> PageLog::open(const StoreId& store_id, uint64_t log_bytes) {
  store_id_ = store_id;
  log_bytes_ = log_bytes;
  for (size_t index = 0; index < files_.size(); ++index) {
    FB_CO_TRY(files_[index].file, co_await open_claimed(env_, path_of(index), options()));
    FB_CO_CHECK(co_await read_header(index));
  }
  co_return Result<void>();
}

Task<void> PageLog::close() {
  for (LogFile& log_file : files_) {
    if (log_file.file.is_open()) (void)co_await log_file.file.close();
  }
}

// The newest valid one of both halves. Since begin() writes one after the other, a crash leaves one that is
// valid, or blank in a new file.
Task<Result<void>> PageLog::read_header(size_t index) {
  LogFile& log_file = files_[index];
  log_file.header = SegmentHeader();
  log_file.header_copies = 0;
  AlignedBytes block(kJournalBlock);
  block.resize(kJournalBlock);
  bool blank = false;
  HeaderState refused = HeaderState::damaged;
  for (const uint64_t base : {uint64_t{0}, log_bytes_}) {
    if (!co_await log_file.file.read_exactly(block.span(), base)) continue;
    SegmentHeader header;
    const HeaderState state = read_segment_header(block.span(), store_id_, header);
    if (state == HeaderState::valid && header.generation >= log_file.header.generation) {
      log_file.header_copies = header.generation > log_file.header.generation ? 1 : 2;
      log_file.header = header;
    }
    blank |= state == HeaderState::blank;
    if (state == HeaderState::other_store || state == HeaderState::other_version) refused = state;
  }
  if (log_file.header.generation != 0 || blank) co_return Result<void>();
  co_return damaged(index, 0, fmt::format("in both copies of the log, {}", describe(refused)));
}

bool PageLog::has(uint64_t generation) const {
  return std::ranges::any_of(files_, [&](const LogFile& log_file) {
    return log_file.header.generation == generation && generation != 0;
  });
}

// Whether the group behind number `sequence` begins in what one group may be long.
bool PageLog::later_group(std::array<Half, 2>& halves, uint64_t seed, uint64_t from_bytes,
                          uint64_t sequence) const {
  const uint64_t end = std::min(from_bytes + kPageLogGroupBytesMax, log_bytes_ - kJournalBlock);
  for (uint64_t offset = from_bytes + kJournalBlock; offset <= end; offset += kJournalBlock) {
    GroupHeader header;
    for (Half& half : halves) {
      if (half.group(offset, seed, sequence + 1, header)) return true;
    }
  }
  return false;
}

Task<Result<void>> PageLog::replay(uint64_t generation, uint64_t& next_sequence, uint64_t& sealed_epoch,
                                   const Visit& visit) {
  FB_ASSERT(has(generation), generation);
  const size_t index = files_[0].header.generation == generation ? 0 : 1;
  LogFile& log_file = files_[index];
  const uint64_t seed = group_seed(log_file.header);
  std::array<Half, 2> halves;
  halves[1].base = log_bytes_;
  uint64_t offset = kJournalBlock;
  uint64_t single = 0;
  bool last_single = false;  // of the last group a crash may have left only one copy
  while (offset < log_bytes_) {
    for (Half& half : halves) {
      co_await half.read_to(log_file.file, offset + 2 * kPageLogGroupBytesMax, log_bytes_);
    }
    GroupHeader header;
    GroupHeader second;
    const bool first_intact = halves[0].group(offset, seed, next_sequence, header);
    const bool second_intact = halves[1].group(offset, seed, next_sequence, second);
    if (!first_intact && !second_intact) {
      const bool other = halves[0].intact(offset, seed, header) || halves[1].intact(offset, seed, header);
      if (other) co_return damaged(index, offset, "groups are missing from the log");
      if (halves[0].hides(offset) && halves[1].hides(offset)) {
        co_return damaged(index, offset, "the log cannot be read in either of its copies");
      }
      break;
    }
    single += last_single;
    last_single = first_intact != second_intact;
    const Half& half = halves[first_intact ? 0 : 1];
    if (!first_intact) header = second;
    const size_t entries_at = offset + sizeof(GroupHeader) + kFrameHeaderSize;
    const size_t entry_bytes = header.size_bytes - sizeof(GroupHeader) - kFrameHeaderSize;
    for (size_t at = 0; at + sizeof(PageLogEntry) <= entry_bytes; at += sizeof(PageLogEntry)) {
      PageLogEntry entry;
      std::memcpy(&entry, half.bytes.data() + entries_at + at, sizeof(entry));
      if (!visit(entry)) co_return damaged(index, offset, "the log contradicts the table");
    }
    sealed_epoch = std::max(sealed_epoch, header.epoch);
    offset += align_up(header.size_bytes, kJournalBlock);
    ++next_sequence;
  }
  if (later_group(halves, seed, offset, next_sequence)) {
    co_return damaged(index, offset, "the log is damaged in both of its copies");
  }
  copies_damaged_ += single + halves[0].unreadable.size() + halves[1].unreadable.size();
  active_ = index;
  seed_ = seed;
  end_bytes_ = offset;
  co_return Result<void>();
}

Task<Result<void>> PageLog::write_both(File& file, std::span<const std::byte> bytes, uint64_t offset) {
  auto [first, second] = co_await when_all(
      [&]() -> Task<Result<void>> { co_return co_await file.overwrite_all_durable(bytes, offset); },
      [&]() -> Task<Result<void>> {
        co_return co_await file.overwrite_all_durable(bytes, log_bytes_ + offset);
      });
  co_return first ? second : first;
}

// One copy after the other: a crash leaves one that is whole.
Task<Result<void>> PageLog::write_header(size_t index, const SegmentHeader& header) {
  AlignedBytes block(kJournalBlock);
  block.resize(kJournalBlock);
  write_segment_header(header, block.span());
  for (const uint64_t base : {uint64_t{0}, log_bytes_})
    FB_CO_CHECK(co_await files_[index].file.write_all_durable(block.span(), base));
  co_return Result<void>();
}

Task<Result<void>> PageLog::prove() {
  FB_ASSERT(is_fresh());
  return write_header(active_, files_[active_].header);
}

Task<Result<void>> PageLog::begin(uint64_t generation) {
  FB_ASSERT(generation > this->generation(), generation, this->generation());
  const size_t index = files_[0].header.generation <= files_[1].header.generation ? 0 : 1;
  SegmentHeader header;
  header.store_id = store_id_;
  header.generation = generation;
  header.segment_bytes = log_bytes_;
  env_.random_bytes(std::as_writable_bytes(std::span(&header.nonce, 1)));
  FB_CO_CHECK(co_await write_header(index, header));
  files_[index].header = header;
  files_[index].header_copies = 2;
  active_ = index;
  seed_ = group_seed(header);
  end_bytes_ = kJournalBlock;
  co_return Result<void>();
}

Task<Result<void>> PageLog::append(std::span<const PageLogEntry> entries, uint64_t sequence, uint64_t epoch) {
  FB_ASSERT(entries.size() <= kPageLogEntriesMax, entries.size());
  FB_ASSERT(has_room(entries.size()), end_bytes_, log_bytes_);
  const auto frame_bytes = static_cast<uint32_t>(entries.size_bytes());
  GroupHeader header;
  header.frame_count = 1;
  header.epoch = epoch;
  header.first_sequence = sequence;
  header.durable_sequence = sequence - 1;
  header.size_bytes = static_cast<uint32_t>(sizeof(GroupHeader) + kFrameHeaderSize) + frame_bytes;
  group_.clear();
  group_.append(&header, sizeof(header));
  group_.append(&frame_bytes, sizeof(frame_bytes));
  group_.append(entries.data(), frame_bytes);
  seal_group(group_.span(), seed_, end_bytes_);
  const std::span<const std::byte> padded = group_.pad();
  FB_CO_CHECK(co_await write_both(files_[active_].file, padded, end_bytes_));
  end_bytes_ += padded.size();
  co_return Result<void>();
}

}  // namespace fb
