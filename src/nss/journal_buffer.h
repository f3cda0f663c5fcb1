// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "client/journal_client.h"
#include "io/scope.h"
#include "io/sync.h"
#include "nss/journal_stream.h"

// The end of the journal's stream in memory: a ring that every core appends to, and one core writes out.
//
//     durable        submitted         published              tail
//        |              |                  |                    |
//   -----+--------------+------------------+--------------------+----->  position in the stream
//        | in flight    | to be written    | places taken, some |
//        |              |                  | still being copied |
//
// append() is called under page latches: it takes a place by one atomic addition, copies, and neither waits
// nor fails, because the caller reserved the space before it latched anything. Each core shows in active_
// where the record that it is copying may begin; published() is the least of these and of the tail, which is
// read first. A core shows its word before it takes its place, so a place taken before that reading is either
// copied or seen. The word may be an old one, of a tail that has been written out since: then published() is
// below `submitted` for a moment.
//
// Everything below `published` goes to the JournalClient as one frame; what arrives meanwhile goes into the
// next one (group commit). A frame that is worth a write of its own does not wait until the one before it is
// durable: up to kFramesInFlightMax are under way. They become durable in order; each core that has waiters
// gets one message then. After a
// failed write nothing more is written: every waiter for what is not durable gets
// JournalError::outcome_unknown, since the next open tells whether the frame is durable, and every
// reservation JournalError::unavailable. A journal that is full is no failure: the frame is tried again until
// a checkpoint or the disk has made room, or stop().

namespace fb {

class JournalBuffer;

// The buffer as one core sees it: JournalBuffer::attach() makes it there, the buffer keeps it.
class JournalPort {
 public:
  JournalPort(Env& env, JournalBuffer& buffer);
  ~JournalPort();
  JournalPort(const JournalPort&) = delete;

  // Room in the ring, given back where it is not used up by append().
  class Reservation {
   public:
    Reservation() = default;
    Reservation(Reservation&& other) noexcept
        : port_(std::exchange(other.port_, nullptr)), bytes_(other.bytes_) {}
    Reservation& operator=(Reservation&& other) noexcept;
    ~Reservation();
    uint64_t bytes() const { return bytes_; }
    // Joins what was reserved on the same core.
    void add(Reservation&& more);

   private:
    friend class JournalPort;
    Reservation(JournalPort& port, uint64_t bytes) : port_(&port), bytes_(bytes) {}
    JournalPort* port_ = nullptr;
    uint64_t bytes_ = 0;
  };
  // Waits for room, in order of arrival, until the deadline: JournalError::timed_out. At most half the ring;
  // JournalError::full above.
  Task<Result<Reservation>> reserve(const CallContext& context, uint64_t bytes);
  Lsn append(Reservation& reservation, JournalRecordKind kind, std::span<const std::byte> body);

  // Until the stream is durable up to `position`, or the journal fails (JournalError::outcome_unknown), or
  // the deadline has passed (timed_out, of the wait: what was appended may become durable yet). No suspension
  // if it is durable already.
  class DurableAwaiter {
   public:
    DurableAwaiter(JournalPort& port, uint64_t position, Instant deadline)
        : port_(port), position_(position), deadline_(deadline) {}
    bool await_ready() const noexcept { return port_.settled(position_); }
    void await_suspend(std::coroutine_handle<> waiter);
    Result<void> await_resume() const;

   private:
    friend class JournalPort;
    JournalPort& port_;
    uint64_t position_;
    Instant deadline_;
    std::coroutine_handle<> waiter_;
    DurableAwaiter* next_ = nullptr;
  };
  DurableAwaiter wait_durable(uint64_t position, Instant deadline = Instant::never()) {
    return {*this, position, deadline};
  }
  uint64_t durable() const;

 private:
  friend class JournalBuffer;
  struct Wake : CoreMessage {
    JournalPort* owner = nullptr;
    std::atomic<bool> in_flight{false};
    std::atomic<bool> handled_now{false};  // set before in_flight is cleared
  };
  // Waits for room, behind those before it.
  struct RoomWaiter {
    explicit RoomWaiter(Env& env, Instant deadline_in) : ready(env), deadline(deadline_in) {}
    Notification ready;
    Instant deadline;
  };
  bool settled(uint64_t position) const;
  Result<bool> try_reserve(const CallContext& context, uint64_t bytes);
  void wake_for_room();
  void on_wake();
  void send_wake(Env& sender);

  Env& env_;
  JournalBuffer& buffer_;
  DurableAwaiter* waiters_ = nullptr;  // in no order: few, and most are ready together
  std::deque<RoomWaiter*> room_queue_;
  std::atomic<bool> waiting_{false};
  Wake wake_;
};

class JournalBuffer {
 public:
  struct Options {
    unsigned core_count = 1;
    unsigned writer_core = 0;
    uint64_t position = 0;  // where the stream goes on
    uint64_t epoch = 0;
    uint64_t ring_bytes = 16u << 20;  // a power of two, at least kJournalRecordBytesMax twice
    uint64_t frame_bytes_max = 1u << 20;
  };
  static constexpr size_t kFramesInFlightMax = 4;
  // What goes out while others are under way. Less than this waits: a write costs more than a few records.
  static constexpr uint64_t kFrameBytesWorth = 4u << 10;
  explicit JournalBuffer(const Options& options);
  ~JournalBuffer();

  // --- any core ---
  // Once on every core that appends or waits, before it does.
  JournalPort& attach(Env& env);
  // What a record with a body of this size takes of a reservation.
  static constexpr uint64_t record_bytes(uint64_t body_bytes) {
    return kJournalRecordHeaderBytes + body_bytes;
  }
  // Appends one record within what the core has reserved; its LSN. Call JournalPort::wait_durable() once the
  // latches are free.
  Lsn append(Env& env, JournalRecordKind kind, std::span<const std::byte> body);
  uint64_t durable() const { return durable_.value.load(std::memory_order_acquire); }
  uint64_t tail() const { return tail_.value.load(std::memory_order_acquire); }
  uint64_t epoch() const { return options_.epoch; }
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  uint64_t published(Env& env) const;
  // Whoever waits and wants to no longer is told. To be called every now and then.
  void look_at_deadlines(Env& env) { wake_ports(env); }
  // The disk, or the journal's bound, has no room for what is in the ring.
  bool stalled() const { return stalled_.load(std::memory_order_relaxed); }

  // --- the writer's core ---
  // Writes until stop(), then what is left. The journal must be sealed for `epoch` and outlive this.
  static Task<void> run(Env& env, JournalBuffer& self, JournalClient& journal);
  void stop();
  // After run() has ended and no core calls any more: until no message is under way. Then the buffer may go.
  Task<void> drain(Env& env);
  // The frame that holds `position`: what is before it may be trimmed, and is forgotten here. Frames of
  // earlier epochs are made known by add_frame(), in order, before run().
  // Nothing where no frame that is known begins so early.
  std::optional<uint64_t> trim_to(uint64_t position);
  void add_frame(uint64_t sequence, uint64_t begin) { frames_.push_back({sequence, begin}); }
  struct Statistics {
    uint64_t frames = 0, bytes = 0;
  };
  const Statistics& statistics() const { return statistics_; }

 private:
  friend class JournalPort;
  static constexpr uint64_t kIdle = UINT64_MAX;
  // A cache line of its own, by size and not by alignment: frames of coroutines, which may hold this class,
  // do not honour alignments above 16.
  struct Word {
    std::atomic<uint64_t> value{kIdle};
    char padding[56];
  };
  struct WriterWake : CoreMessage {
    JournalBuffer* owner = nullptr;
    std::atomic<bool> in_flight{false};
  };
  struct FramePlace {
    uint64_t sequence;
    uint64_t begin;
  };
  struct FrameInFlight {
    uint64_t sequence;
    uint64_t end;
  };

  void copy_in(uint64_t position, std::span<const std::byte> bytes);
  void copy_out(uint64_t position, std::span<std::byte> out) const;
  bool try_reserve(uint64_t bytes);
  void give_back(Env& env, uint64_t bytes);
  void wake_writer(Env& env);
  void wake_ports(Env& env);
  bool worth_a_frame(uint64_t bytes) const;
  Task<Result<uint64_t>> submit(Env& env, JournalClient& journal, std::span<const std::byte> frame);
  static Task<void> run_settler(Env& env, JournalBuffer& self, JournalClient& journal);
  void settle(Env& env, const FrameInFlight& frame);
  void fail(Env& env);

  Options options_;
  std::unique_ptr<std::byte[]> ring_;
  std::unique_ptr<Word[]> active_;
  Word tail_;
  Word durable_;
  Word free_;  // of the ring, neither reserved nor holding what is not durable
  std::atomic<bool> failed_{false};
  std::atomic<bool> stalled_{false};
  std::atomic<bool> writer_idle_{false};
  std::atomic<unsigned> room_waiters_{0};
  WriterWake writer_wake_;
  std::unique_ptr<std::atomic<JournalPort*>[]> ports_;

  // The writer's.
  uint64_t submitted_;
  Notification* work_ = nullptr;     // something was appended, or became durable
  Notification* settled_ = nullptr;  // something was submitted, or the writer has ended
  bool stopping_ = false;
  bool writer_ended_ = false;
  std::deque<FrameInFlight> in_flight_;
  std::deque<FramePlace> frames_;
  Statistics statistics_;
};

}  // namespace fb
