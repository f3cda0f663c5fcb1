// SPDX-License-Identifier: Apache-2.0
#include "io/loop_env.h"

#include <poll.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <ctime>

#include "io/error.h"

namespace fb {
namespace {

// Coroutines that became ready in a turn run in that turn, in at most this many passes; then the kernel is
// visited.
constexpr int kPassesPerTurn = 4;
constexpr size_t kLogBytesMax = 64 * kKiB;  // per core, before the log is written out early

int64_t clock_ns(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

void write_to_stderr(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written > 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd wait{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
      ::poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      return;  // nobody is left to read the log
    }
  }
}

}  // namespace

LoopEnv::LoopEnv(Options options, LoopShared& shared)
    : Env(options), shared_(shared), now_(read_clock()), busy_since_(now_) {
  random_bytes(std::as_writable_bytes(std::span(random_state_)));
}

Instant LoopEnv::read_clock() { return {clock_ns(CLOCK_MONOTONIC)}; }

UnixTime LoopEnv::wall_clock() const {
  if (wall_turn_ != stats_.turns) {
    wall_ = {clock_ns(CLOCK_REALTIME)};
    wall_turn_ = stats_.turns;
  }
  return wall_;
}

// xoshiro256**
uint64_t LoopEnv::random() {
  auto& state = random_state_;
  const uint64_t result = std::rotl(state[1] * 5, 7) * 9;
  const uint64_t shifted = state[1] << 17;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= shifted;
  state[3] = std::rotl(state[3], 45);
  return result;
}

void LoopEnv::random_bytes(std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t count = ::getrandom(out.data(), out.size(), 0);
    if (count < 0) {
      FB_ASSERT(errno == EINTR, errno);
      continue;
    }
    out = out.subspan(static_cast<size_t>(count));
  }
}

void LoopEnv::send(unsigned core, CoreMessage& message) {
  FB_ASSERT(core < core_count(), core, core_count());
  ++stats_.messages_sent;
  if (env_of(core).mailbox_.push(message)) wake(core);
}

void LoopEnv::write_log(std::string_view line) {
  log_.append(line).push_back('\n');
  if (log_.size() >= kLogBytesMax) flush_log();
}

void LoopEnv::tell(std::string_view line) {
  if (shared_.on_notice) {
    shared_.on_notice(*this, line);
  } else {
    write_log(line);
  }
}

void LoopEnv::flush_log() {
  if (log_.empty()) return;
  {
    const std::lock_guard lock(shared_.log_mutex);
    write_to_stderr(log_);
  }
  log_.clear();
}

void LoopEnv::run_messages() {
  CoreMessage* message = mailbox_.take_all();
  while (message != nullptr) {
    CoreMessage* next = message->next;  // run() may end the message's life
    message->run(*message, *this);
    message = next;
  }
}

void LoopEnv::run_ready() {
  for (int pass = 0; pass < kPassesPerTurn && !ready_.empty(); ++pass) {
    for (size_t left = ready_.size(); left > 0; --left) ready_.pop().resume();
  }
}

void LoopEnv::run() {
  while (!stopping_) {
    run_messages();
    if (timers_.next() <= now_) timers_.fire(now_);
    run_ready();
    flush_log();
    if (stopping_) break;
    const bool may_wait = ready_.empty() && mailbox_.sleep();
    if (may_wait) stats_.busy_ns += static_cast<uint64_t>((read_clock() - busy_since_).ns);
    visit_kernel(may_wait, timers_.next());
    now_ = read_clock();
    if (may_wait) busy_since_ = now_;
    ++stats_.turns;
  }
  // Messages that this turn sent may still have to wake other cores.
  visit_kernel(false, timers_.next());
  flush_log();
}

int64_t LoopEnv::open_listener(const IoRequest& request, bool nonblocking) {
  Endpoint& bound = *static_cast<Endpoint*>(request.out);
  const int64_t handle = shared_.listeners.open(*request.endpoint, nonblocking, bound);
  if (handle >= 0) listeners_.emplace_back(static_cast<int32_t>(handle), bound);
  return handle;
}

void LoopEnv::forget_listener(int32_t handle) {
  const auto found = std::ranges::find(listeners_, handle, &std::pair<int32_t, Endpoint>::first);
  if (found == listeners_.end()) return;
  shared_.listeners.closed(found->second);
  listeners_.erase(found);
}

int64_t LoopEnv::begin_look_up(IoRequest& request) {
  auto begun = shared_.names.begin(request.path, static_cast<uint16_t>(request.length));
  if (!begun) return begun.error().os_errno() == 0 ? -ENOBUFS : -begun.error().os_errno();
  request.handle = (*begun)->event();
  look_ups_[&request] = std::move(*begun);
  return 0;
}

// An answer that came together with a cancellation counts.
int64_t LoopEnv::end_look_up(IoRequest& request, int64_t waited) {
  const auto found = look_ups_.find(&request);
  FB_ASSERT(found != look_ups_.end());
  const std::shared_ptr<NameLookup> lookup = std::move(found->second);
  look_ups_.erase(found);
  if (!lookup->answered()) {
    lookup->abandon();
    FB_ASSERT(waited < 0, waited);
    return waited;
  }
  if (lookup->answer()) {
    *static_cast<std::vector<Endpoint>*>(request.out) = *lookup->answer();
    return 0;
  }
  return lookup->answer().error().is(IoError::not_found) ? -ENOENT : -EREMOTEIO;
}

}  // namespace fb
