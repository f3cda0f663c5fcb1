// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "io/env.h"
#include "io/mailbox.h"
#include "io/name_lookups.h"
#include "io/ready_queue.h"
#include "io/system_calls.h"

namespace fb {

class LoopEnv;

// State that the cores of one run share. Made before the threads and outlives them.
struct LoopShared {
  LoopShared(unsigned core_count, LookUpFunction look_up) : envs(core_count), names(std::move(look_up)) {}
  std::vector<LoopEnv*> envs;  // set by each core before any of them runs
  ListenRegistry listeners;
  NameLookups names;
  std::mutex log_mutex;  // held for one write, so that lines of two cores never mix
  int signal_fd = -1;    // does not block
  std::function<void(Env&, std::string_view)> on_notice;  // empty: into the log
  std::atomic<bool> told_of_polling = false;              // only the first core says it
};

// The common base of the two real environments: the turn of the loop, ready coroutines, messages between
// cores, clock, randomness and the log. A turn is: messages, timers that are due, ready coroutines, the log,
// and one visit to the kernel that submits everything new and waits if there is nothing else to do. Lives and
// runs on one thread; only its mailbox is touched by others.
class LoopEnv : public Env {
 public:
  LoopEnv(Options options, LoopShared& shared);

  Instant now() const final { return now_; }
  UnixTime wall_clock() const final;
  uint64_t random() final;
  void random_bytes(std::span<std::byte> out) final;
  void schedule(std::coroutine_handle<> handle) final { ready_.push(handle); }
  bool has_ready() final { return !ready_.empty(); }
  void send(unsigned core, CoreMessage& message) final;
  void write_log(std::string_view line) final;

  // Turns until stop() was called on this core, by a message for instance.
  void run();
  void stop() { stopping_ = true; }
  // Lines for the operator about how this environment was set up.
  const std::vector<std::string>& notices() const { return notices_; }
  void tell(std::string_view line);

 protected:
  // Submits the queued operations and completes those that have ended. Waits for one to end, until
  // `wait_until`, only if `may_wait`.
  virtual void visit_kernel(bool may_wait, Instant wait_until) = 0;
  // Makes core `core`, which waits in its kernel, return from it.
  virtual void wake(unsigned core) = 0;

  static Instant read_clock();
  int64_t open_listener(const IoRequest& request, bool nonblocking);
  void forget_listener(int32_t handle);
  // IoKind::resolve: sets the handle that shows when the answer is there. Answers 0, or -errno if the look-up
  // has not begun.
  int64_t begin_look_up(IoRequest& request);
  // The request's result; `waited` is the result of waiting for that handle. Nobody may wait for the handle
  // any more.
  int64_t end_look_up(IoRequest& request, int64_t waited);
  LoopShared& shared() { return shared_; }
  LoopEnv& env_of(unsigned core) { return *shared_.envs[core]; }
  void add_notice(std::string line) { notices_.push_back(std::move(line)); }

 private:
  void run_messages();
  void run_ready();
  void flush_log();

  LoopShared& shared_;
  Instant now_;
  Instant busy_since_;
  ReadyQueue ready_;
  bool stopping_ = false;
  std::string log_;
  std::array<uint64_t, 4> random_state_;
  mutable UnixTime wall_;
  mutable uint64_t wall_turn_ = UINT64_MAX;
  std::vector<std::pair<int32_t, Endpoint>> listeners_;
  std::vector<std::string> notices_;
  std::map<const IoRequest*, std::shared_ptr<NameLookup>> look_ups_;  // few
  alignas(64) Mailbox<CoreMessage> mailbox_;
};

}  // namespace fb
