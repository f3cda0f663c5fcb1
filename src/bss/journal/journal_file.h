// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bss/aligned_bytes.h"
#include "bss/journal/journal_format.h"
#include "client/journal_client.h"
#include "io/file.h"
#include "io/scope.h"
#include "io/sync.h"

// A journal in segment files of one directory, with group commit: everything that is submitted until a write
// begins goes out with it, so that one durable write carries many frames and its cost is shared. A few writes
// are in flight at the same time; frames count as durable in their order.
//
// Invariants
// - A group says how many blocks before it were not known durable when it was written, which are those of the
//   groups in flight then. It proves what stands before these: a bad group there was acknowledged and is
//   damage, and the journal refuses to open. A bad group that no later one proves is the torn tail, which no
//   one was told about: it is dropped with all that follows, and what follows is overwritten with zeros
//   before anything is written there.
// - A segment is begun, and a mark written, when nothing is in flight: their groups prove all before them.
// - Bytes that were durable are never written again, except when a whole segment is recycled under a new
//   generation, whose nonce makes every old group invalid.
// - A segment file gets its name only when its header and its content (zeros, or stale groups) are durable.
// - While no segment is ready ahead, frames leave kMarkBlocks of the current one to marks, so that a journal
//   on a full disk can always be opened, trimmed and go on.
// - While idle a group without frames follows the last one, so that rot in the last acknowledged group is
// found, too.
//
// Owned by one core. After a failed write nothing is written any more. Every waiter for a frame that was
// taken gets JournalError::outcome_unknown, since the disk's content is known only after the next open();
// every later change is JournalError::unavailable.

namespace fb {

class JournalFile final : public JournalClient {
 public:
  struct Options {
    std::string directory;
    StoreId store_id{};
    uint64_t segment_bytes = 16 * kMiB;    // multiple of the block; at least kSegmentBytesMin
    uint64_t size_bytes_max = 256 * kMiB;  // at least three segments
    Durability durability = Durability::strict;
  };
  static constexpr uint64_t kSegmentBytesMin = 64 * kKiB;
  static constexpr uint64_t kMarkBlocks = 6;
  static constexpr size_t kWritesInFlightMax = 4;
  static constexpr size_t kSparesMax = 4;  // a checkpoint gives several segments back at once
  static constexpr size_t kFrameSizeMax = 4 * kMiB;
  static constexpr Duration kMarkDelay = Duration::milliseconds(100);  // idle time before the proving mark
  static constexpr Duration kPrepareRetryDelay = Duration::milliseconds(500);

  // Reads every segment. JournalError::damaged (with a line in the log that names file and offset), or an
  // IoError.
  static Task<Result<std::unique_ptr<JournalFile>>> open(Env& env, const Options& options);
  ~JournalFile() override;

  Bounds bounds() const override;
  size_t frame_size_max() const override;
  uint64_t segment_bytes() const override { return options_.segment_bytes; }
  // To groups, with their padding.
  uint64_t written_bytes() const override { return written_bytes_; }
  // Of groups, without a new segment.
  uint64_t room_bytes() const override { return room_bytes_.load(std::memory_order_relaxed); }
  bool low() const override { return prepare_failed_; }
  void set_low_handler(std::function<void()> handler) override { low_handler_ = std::move(handler); }
  Task<Result<void>> seal(const CallContext& context, uint64_t epoch) override;
  Task<Result<uint64_t>> submit(const CallContext& context, std::span<const std::byte> payload) override;
  Task<Result<void>> wait_durable(uint64_t sequence) override;
  Task<Result<std::vector<Frame>>> read(const CallContext& context, uint64_t sequence) override;
  Task<Result<void>> trim(const CallContext& context, uint64_t sequence) override;

  // The same in two steps, for an owner that must know a frame's sequence without waiting.
  // Whether enqueue() may be called.
  bool has_room(size_t payload_bytes) const;
  // Until has_room(); JournalError::full where the disk is full, unavailable after a failure.
  Task<Result<void>> wait_for_room(const CallContext& context, size_t payload_bytes);
  uint64_t enqueue(std::string_view payload);
  uint64_t last_sequence() const { return next_sequence_ - 1; }
  uint64_t durable_sequence() const { return durable_sequence_; }
  bool failed() const { return failed_; }
  uint64_t unreadable_blocks() const { return unreadable_blocks_; }  // at open, and nobody needed them

  class DurableAwaiter {
   public:
    DurableAwaiter(JournalFile& owner, uint64_t sequence)
        : owner_(owner), sequence_(sequence), inner_(owner.group_of(sequence)) {}
    bool await_ready() const noexcept { return sequence_ <= owner_.durable_sequence_ || owner_.failed_; }
    void await_suspend(std::coroutine_handle<> waiter) { inner_.await_suspend(waiter); }
    Result<void> await_resume() const {
      if (sequence_ <= owner_.durable_sequence_) return {};
      return JournalError::outcome_unknown;
    }

   private:
    JournalFile& owner_;
    uint64_t sequence_;
    Notification::Awaiter inner_;
  };
  // `co_await journal.durable(sequence)`: no suspension where it is durable already.
  DurableAwaiter durable(uint64_t sequence) { return DurableAwaiter(*this, sequence); }

  // Waits for what was appended, writes the proving mark, closes the files.
  Task<Result<void>> close();

 private:
  struct GroupPlace {
    uint64_t first_sequence;
    uint32_t frame_count;
    uint32_t offset_blocks;
    uint32_t size_bytes;
  };
  struct Segment {
    enum class Trimmed : uint8_t { no, spare, removed };  // not durably before its directory is synced
    SegmentHeader header;
    uint64_t seed = 0;
    std::string path;
    File file;
    std::vector<GroupPlace> groups;  // those that are durable
    Trimmed trimmed_as = Trimmed::no;
    uint64_t end_bytes = kJournalBlock;
    uint64_t stale_end_bytes = 0;      // found at open: behind the last group that goes with the torn tail
    std::vector<uint64_t> unreadable;  // found at open: offsets of blocks, which are zeros in memory
  };
  // Frames that go out together, and who waits for them. One fills while the others are in flight; they are
  // used in turn.
  struct Group {
    explicit Group(Env& env) : written(env) {}
    AlignedBytes bytes;
    uint32_t frame_count = 0;
    uint64_t last_sequence = 0;
    Segment* segment = nullptr;
    GroupPlace place{};
    std::optional<Result<void>> outcome;  // of its write
    Notification written;                 // and all before it
  };

  JournalFile(Env& env, const Options& options);
  std::string path_of(uint64_t generation) const;
  OpenOptions segment_options(bool create) const;

  Task<Result<void>> read_run(Segment& segment, uint64_t sequence, size_t& next, std::vector<Frame>& frames);

  // Opening: journal_recovery.cc.
  Task<Result<void>> recover();
  Task<Result<void>> make_durable();
  Task<Result<std::vector<uint64_t>>> find_generations();
  Task<Result<void>> keep_spare(const std::string& path);
  Task<Result<std::unique_ptr<Segment>>> open_segment(uint64_t generation, AlignedBytes& content);
  Task<Result<void>> read_segment(Segment& segment, std::span<std::byte> content);
  Result<void> scan_segment(Segment& segment, std::span<std::byte> content);
  uint64_t begin_behind_unreadable(Segment& segment, std::span<std::byte> content, uint64_t offset) const;
  Result<void> check_tail(Segment& segment, std::span<std::byte> content) const;
  Task<Result<void>> wipe_stale(Segment& segment);
  Error damaged(const Segment& segment, uint64_t offset, std::string_view what) const;

  // Segments: journal_segments.cc.
  Task<Result<std::unique_ptr<Segment>>> prepare_segment();
  Task<Result<void>> fill_new_segment(Segment& segment);
  Task<Result<void>> write_header(Segment& segment);
  static Task<void> run_preparer(JournalFile* self);
  Task<Result<void>> remove_segment(Segment& segment);
  bool at_size_limit() const;
  bool wants_spare() const {
    const uint64_t held = segments_.size() + spares_.size() + 1;
    return !failed_ && spares_.size() < kSparesMax &&
           (spares_.empty() || held * options_.segment_bytes < options_.size_bytes_max);
  }

  static Task<void> run_writer(JournalFile* self);
  static Task<void> run_marker(JournalFile* self);
  bool may_write() const;
  Result<void> take_place(Group& group);
  void settle();
  size_t in_flight() const { return (filling_ + groups_.size() - oldest_) % groups_.size(); }
  bool idle() const { return in_flight() == 0; }
  Group& filling() { return *groups_[filling_]; }
  const Group& filling() const { return *groups_[filling_]; }
  void note_room();
  Task<Result<void>> write_mark();
  Task<bool> wait_for_mark();
  void start_group(Group& group);
  void fail();
  Notification& group_of(uint64_t sequence);

  Env& env_;
  Options options_;
  std::deque<std::unique_ptr<Segment>> segments_;  // the last one is being written
  std::unique_ptr<Segment> ahead_;                 // prepared, without groups
  std::vector<std::unique_ptr<Segment>> spares_;   // trimmed, to be recycled
  AlignedBytes unproven_;  // while it is opened: the last groups, which no other one proves
  uint64_t unreadable_blocks_ = 0;
  uint64_t next_generation_ = 1;
  uint64_t epoch_ = 0;
  bool seal_in_doubt_ = false;  // whether the epoch is durable
  uint64_t next_sequence_ = 1;
  uint64_t durable_sequence_ = 0;
  std::array<std::unique_ptr<Group>, kWritesInFlightMax + 1> groups_;
  size_t oldest_ = 0;   // in flight, where any is
  size_t filling_ = 0;  // those between are in flight
  bool mark_wanted_ = false;
  bool mark_in_flight_ = false;
  bool mark_refused_ = false;  // the last mark found no place
  bool mark_useful_ = false;   // a group with frames is the last one
  uint64_t groups_written_ = 0;
  uint64_t written_bytes_ = 0;
  std::atomic<uint64_t> room_bytes_{0};
  bool failed_ = false;
  bool closing_ = false;
  bool closed_ = false;
  bool prepare_failed_ = false;
  std::function<void()> low_handler_;
  AsyncMutex segments_mutex_;  // no segment goes while it is read
  Notification writer_wake_;
  Notification preparer_wake_;
  Notification marker_wake_;
  Notification room_;
  Notification mark_written_;
  CancelSource stop_sleeps_;
  Scope scope_;
};

}  // namespace fb
