// SPDX-License-Identifier: Apache-2.0
#include "nss/journal_buffer.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"
#include "base/checksum.h"

namespace fb {
namespace {

constexpr Duration kDrainPoll = Duration::milliseconds(1);
constexpr Duration kFullRetry = Duration::milliseconds(5);

}  // namespace

JournalBuffer::JournalBuffer(const Options& options)
    : options_(options),
      ring_(new std::byte[options.ring_bytes]),
      active_(new Word[options.core_count]),
      tail_{options.position, {}},
      durable_{options.position, {}},
      free_{options.ring_bytes, {}},
      ports_(new std::atomic<JournalPort*>[options.core_count]),
      submitted_(options.position) {
  FB_ASSERT(std::has_single_bit(options.ring_bytes), options.ring_bytes);
  FB_ASSERT(options.ring_bytes >= 2 * kJournalRecordBytesMax, options.ring_bytes);
  FB_ASSERT(options.frame_bytes_max > 0, options.frame_bytes_max);
  for (unsigned core = 0; core < options.core_count; ++core) ports_[core].store(nullptr);
  writer_wake_.owner = this;
  writer_wake_.run = [](CoreMessage& message, Env&) {
    auto& wake = static_cast<WriterWake&>(message);
    wake.in_flight.store(false);
    if (wake.owner->work_ != nullptr) wake.owner->work_->notify_all();
  };
}

JournalBuffer::~JournalBuffer() {
  for (unsigned core = 0; core < options_.core_count; ++core) delete ports_[core].load();
}

JournalPort& JournalBuffer::attach(Env& env) {
  FB_ASSERT(env.core() < options_.core_count, env.core());
  FB_ASSERT(ports_[env.core()].load() == nullptr, env.core());
  auto port = std::make_unique<JournalPort>(env, *this);
  ports_[env.core()].store(port.get());
  return *port.release();
}

Task<void> JournalBuffer::drain(Env& env) {
  FB_ASSERT(work_ == nullptr);
  for (unsigned core = 0; core < options_.core_count; ++core) {
    const JournalPort* port = ports_[core].load();
    const auto under_way = [&] { return port->wake_.in_flight.load() || port->wake_.handled_now.load(); };
    while (port != nullptr && under_way()) (void)co_await sleep_for(env, kDrainPoll);
  }
  while (writer_wake_.in_flight.load()) (void)co_await sleep_for(env, kDrainPoll);
}

void JournalBuffer::copy_in(uint64_t position, std::span<const std::byte> bytes) {
  const uint64_t at = position & (options_.ring_bytes - 1);
  const uint64_t first = std::min<uint64_t>(bytes.size(), options_.ring_bytes - at);
  std::memcpy(ring_.get() + at, bytes.data(), first);
  if (first < bytes.size()) std::memcpy(ring_.get(), bytes.data() + first, bytes.size() - first);
}

void JournalBuffer::copy_out(uint64_t position, std::span<std::byte> out) const {
  const uint64_t at = position & (options_.ring_bytes - 1);
  const uint64_t first = std::min<uint64_t>(out.size(), options_.ring_bytes - at);
  std::memcpy(out.data(), ring_.get() + at, first);
  if (first < out.size()) std::memcpy(out.data() + first, ring_.get(), out.size() - first);
}

Lsn JournalBuffer::append(Env& env, JournalRecordKind kind, std::span<const std::byte> body) {
  FB_ASSERT(record_bytes(body.size()) <= kJournalRecordBytesMax, body.size());
  JournalRecordHeader header{.body_bytes = static_cast<uint32_t>(body.size()), .kind = kind};
  const uint64_t hash = xxh3(body);
  std::atomic<uint64_t>& active = active_[env.core()].value;
  FB_ASSERT(active.load(std::memory_order_relaxed) == kIdle, env.core());
  const uint64_t before = tail_.value.load();
  env.point("journal.append.look");
  active.store(before);
  env.point("journal.append.shown");
  const uint64_t size = record_bytes(body.size());
  const uint64_t position = tail_.value.fetch_add(size);
  env.point("journal.append.placed");
  header.checksum = journal_record_checksum(hash, header.body_bytes, kind, position);
  std::byte encoded[kJournalRecordHeaderBytes];
  header.encode(encoded);
  copy_in(position, encoded);
  env.point("journal.append.copying");
  copy_in(position + sizeof(encoded), body);
  active.store(kIdle, std::memory_order_release);
  return {.epoch = options_.epoch, .position = position + size};
}

uint64_t JournalBuffer::published(Env& env) const {
  uint64_t end = tail_.value.load();
  for (unsigned core = 0; core < options_.core_count; ++core) {
    env.point("journal.published");
    end = std::min(end, active_[core].value.load());
  }
  return end;
}

bool JournalBuffer::try_reserve(uint64_t bytes) {
  uint64_t free = free_.value.load(std::memory_order_relaxed);
  do {
    if (free < bytes) return false;
  } while (!free_.value.compare_exchange_weak(free, free - bytes, std::memory_order_acquire));
  return true;
}

void JournalBuffer::give_back(Env& env, uint64_t bytes) {
  const uint64_t before = free_.value.fetch_add(bytes);
  FB_ASSERT(before + bytes <= options_.ring_bytes, before, bytes);
  if (room_waiters_.load() != 0) wake_ports(env);
}

void JournalBuffer::wake_writer(Env& env) {
  if (!writer_idle_.load() || !writer_idle_.exchange(false)) return;
  // A message to oneself would come a turn of the loop later.
  if (env.core() == options_.writer_core) {
    if (work_ != nullptr) work_->notify_all();
    return;
  }
  if (!writer_wake_.in_flight.exchange(true)) env.send(options_.writer_core, writer_wake_);
}

void JournalBuffer::wake_ports(Env& env) {
  for (unsigned core = 0; core < options_.core_count; ++core) {
    JournalPort* port = ports_[core].load();
    if (port != nullptr && port->waiting_.load()) port->send_wake(env);
  }
}

void JournalBuffer::settle(Env& env, const FrameInFlight& frame) {
  const uint64_t begin = durable_.value.load();
  const uint64_t bytes = frame.end - begin;
  frames_.push_back({.sequence = frame.sequence, .begin = begin});
  ++statistics_.frames;
  statistics_.bytes += bytes;
  durable_.value.store(frame.end);
  env.point("journal.durable");
  const uint64_t before = free_.value.fetch_add(bytes);
  FB_ASSERT(before + bytes <= options_.ring_bytes, before, bytes);
  wake_ports(env);
}

void JournalBuffer::fail(Env& env) {
  failed_.store(true);
  wake_ports(env);
}

bool JournalBuffer::worth_a_frame(uint64_t bytes) const {
  if (in_flight_.empty()) return bytes > 0;
  return in_flight_.size() < kFramesInFlightMax && bytes >= kFrameBytesWorth;
}

// What is in the ring was promised a place: where there is none, a checkpoint makes room, or whoever frees
// the disk.
Task<Result<uint64_t>> JournalBuffer::submit(Env& env, JournalClient& journal,
                                             std::span<const std::byte> frame) {
  Result<uint64_t> submitted = co_await journal.submit({}, frame);
  while (!submitted && submitted.error().is(JournalError::full)) {
    stalled_.store(true, std::memory_order_relaxed);
    (void)co_await sleep_for(env, kFullRetry);
    if (stopping_) break;
    submitted = co_await journal.submit({}, frame);
  }
  stalled_.store(false, std::memory_order_relaxed);
  co_return submitted;
}

Task<void> JournalBuffer::run_settler(Env& env, JournalBuffer& self, JournalClient& journal) {
  while (!self.failed()) {
    if (self.in_flight_.empty()) {
      if (self.writer_ended_) break;
      co_await self.settled_->wait();
      continue;
    }
    const Result<void> durable = co_await journal.wait_durable(self.in_flight_.front().sequence);
    if (durable) {
      self.settle(env, self.in_flight_.front());
      self.in_flight_.pop_front();
    } else {
      self.fail(env);
    }
    self.work_->notify_all();
  }
}

Task<void> JournalBuffer::run(Env& env, JournalBuffer& self, JournalClient& journal) {
  FB_ASSERT(env.core() == self.options_.writer_core, env.core());
  Notification work(env);
  Notification settled(env);
  self.work_ = &work;
  self.settled_ = &settled;
  Scope scope(env);
  scope.spawn(&JournalBuffer::run_settler, std::ref(env), std::ref(self), std::ref(journal));
  std::vector<std::byte> frame(kJournalFrameHeaderBytes + self.options_.frame_bytes_max);
  while (!self.failed()) {
    uint64_t end = self.published(env);
    if (end <= self.submitted_) {
      // Nothing was appended, or what comes first is still being copied: that takes no longer than a look at
      // other work, and who has copied it need not wait for it.
      self.writer_idle_.store(true);
      const bool nothing = self.tail_.value.load() == self.submitted_;
      if (nothing && self.stopping_) break;
      if (nothing) co_await work.wait();
      self.writer_idle_.store(false);
      if (!nothing) co_await yield(env);
      continue;
    }
    if (!self.worth_a_frame(end - self.submitted_)) {
      self.writer_idle_.store(true);
      co_await work.wait();
      self.writer_idle_.store(false);
      continue;
    }
    end = std::min(end, self.submitted_ + self.options_.frame_bytes_max);
    const std::span<std::byte> bytes =
        std::span(frame).first(kJournalFrameHeaderBytes + (end - self.submitted_));
    std::memcpy(bytes.data(), &self.submitted_, sizeof(self.submitted_));
    self.copy_out(self.submitted_, bytes.subspan(kJournalFrameHeaderBytes));
    const Result<uint64_t> sequence = co_await self.submit(env, journal, bytes);
    if (!sequence) {
      self.fail(env);
      break;
    }
    self.submitted_ = end;
    self.in_flight_.push_back({.sequence = *sequence, .end = end});
    settled.notify_all();
  }
  self.writer_ended_ = true;
  settled.notify_all();
  co_await scope.join();
  self.work_ = nullptr;
  self.settled_ = nullptr;
}

void JournalBuffer::stop() {
  stopping_ = true;
  if (work_ != nullptr) work_->notify_all();
}

std::optional<uint64_t> JournalBuffer::trim_to(uint64_t position) {
  if (frames_.empty() || frames_.front().begin > position) return std::nullopt;
  while (frames_.size() > 1 && frames_[1].begin <= position) frames_.pop_front();
  return frames_.front().sequence;
}

JournalPort::JournalPort(Env& env, JournalBuffer& buffer) : env_(env), buffer_(buffer) {
  wake_.owner = this;
  wake_.run = [](CoreMessage& message, Env&) {
    auto& wake = static_cast<Wake&>(message);
    wake.handled_now.store(true);
    wake.in_flight.store(false);
    wake.owner->on_wake();
    wake.handled_now.store(false);  // the last look at the port
  };
}

JournalPort::~JournalPort() {
  FB_ASSERT(detail::teardown_in_progress || (waiters_ == nullptr && !wake_.in_flight.load()));
}

uint64_t JournalPort::durable() const { return buffer_.durable(); }

bool JournalPort::settled(uint64_t position) const {
  return position <= buffer_.durable() || buffer_.failed();
}

void JournalPort::send_wake(Env& sender) {
  if (sender.core() == env_.core()) return on_wake();
  if (!wake_.in_flight.exchange(true)) sender.send(env_.core(), wake_);
}

void JournalPort::on_wake() {
  DurableAwaiter** link = &waiters_;
  const Instant now = env_.now();
  while (*link != nullptr) {
    DurableAwaiter& waiter = **link;
    if (!settled(waiter.position_) && waiter.deadline_ > now) {
      link = &waiter.next_;
      continue;
    }
    *link = waiter.next_;
    env_.schedule(waiter.waiter_);
  }
  wake_for_room();
  if (waiters_ == nullptr && room_queue_.empty()) waiting_.store(false);
}

// The first of those who wait may try; who is too late gives up.
void JournalPort::wake_for_room() {
  const Instant now = env_.now();
  for (RoomWaiter* waiter : room_queue_) {
    if (waiter == room_queue_.front() || waiter->deadline <= now) waiter->ready.notify_all();
  }
}

void JournalPort::DurableAwaiter::await_suspend(std::coroutine_handle<> waiter) {
  waiter_ = waiter;
  next_ = port_.waiters_;
  port_.waiters_ = this;
  port_.waiting_.store(true);
  port_.env_.point("journal.wait");
  port_.buffer_.wake_writer(port_.env_);
  // It may have become durable before the writer could see that somebody waits.
  if (port_.settled(position_)) port_.send_wake(port_.env_);
}

Result<void> JournalPort::DurableAwaiter::await_resume() const {
  if (position_ <= port_.buffer_.durable()) return {};
  return port_.buffer_.failed() ? JournalError::outcome_unknown : JournalError::timed_out;
}

// Whether there is room now, and it is taken.
Result<bool> JournalPort::try_reserve(const CallContext& context, uint64_t bytes) {
  if (buffer_.failed()) return JournalError::unavailable;
  if (buffer_.try_reserve(bytes)) return true;
  if (context.deadline <= env_.now()) return JournalError::timed_out;
  return false;
}

Task<Result<JournalPort::Reservation>> JournalPort::reserve(const CallContext& context, uint64_t bytes) {
  if (bytes > buffer_.options_.ring_bytes / 2) co_return JournalError::full;
  Result<bool> reserved = false;
  if (room_queue_.empty()) reserved = try_reserve(context, bytes);
  if (reserved && !*reserved) {
    RoomWaiter self(env_, context.deadline);
    room_queue_.push_back(&self);
    buffer_.room_waiters_.fetch_add(1);
    for (;;) {
      waiting_.store(true);  // before looking again: room that comes after that look is told
      env_.point("journal.reserve");
      if (room_queue_.front() == &self) reserved = try_reserve(context, bytes);
      if (is_over(context, env_.now()) && reserved && !*reserved) reserved = JournalError::timed_out;
      if (!reserved || *reserved) break;
      co_await self.ready.wait();
    }
    buffer_.room_waiters_.fetch_sub(1);
    std::erase(room_queue_, &self);
    wake_for_room();
  }
  if (!reserved) co_return reserved.error();
  co_return Reservation(*this, bytes);
}

Lsn JournalPort::append(Reservation& reservation, JournalRecordKind kind, std::span<const std::byte> body) {
  const uint64_t bytes = JournalBuffer::record_bytes(body.size());
  FB_ASSERT(reservation.bytes_ >= bytes, reservation.bytes_, bytes);
  reservation.bytes_ -= bytes;
  return buffer_.append(env_, kind, body);
}

JournalPort::Reservation& JournalPort::Reservation::operator=(Reservation&& other) noexcept {
  std::swap(port_, other.port_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void JournalPort::Reservation::add(Reservation&& more) {
  FB_ASSERT(port_ == nullptr || more.port_ == nullptr || port_ == more.port_);
  if (port_ == nullptr) port_ = more.port_;
  bytes_ += std::exchange(more.bytes_, 0);
}

JournalPort::Reservation::~Reservation() {
  // In a crash the port may be gone already.
  if (port_ == nullptr || bytes_ == 0 || detail::teardown_in_progress || port_->env_.abandoned()) return;
  port_->buffer_.give_back(port_->env_, bytes_);
}

}  // namespace fb
