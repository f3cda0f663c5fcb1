// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <coroutine>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "base/log.h"
#include "base/time.h"
#include "io/buffer_pool.h"
#include "io/io_request.h"
#include "io/task.h"

namespace fb {

class FileMount;

// A message to another core: intrusive, lives in the sender's frame until the receiver has run it (see
// call_on.h).
struct CoreMessage {
  void (*run)(CoreMessage& self, Env& receiver) = nullptr;
  CoreMessage* next = nullptr;
};

// Counted per core without locks and summed when scraped.
struct EnvStats {
  uint64_t io_enters = 0;  // io_uring_enter, or epoll_wait and read/write system calls in `portable`
  uint64_t io_submitted = 0;
  uint64_t io_completed = 0;
  uint64_t turns = 0;  // turns of the loop
  uint64_t file_reads = 0, file_read_bytes = 0;
  uint64_t file_writes = 0, file_write_bytes = 0, file_durable_writes = 0, file_syncs = 0;
  uint64_t net_receives = 0, net_received_bytes = 0;
  uint64_t net_sends = 0, net_sent_bytes = 0;
  uint64_t accepts = 0;
  uint64_t messages_sent = 0;
  uint64_t io_errors = 0;
  uint64_t receive_buffers = 0;  // held now
  uint64_t bytes_copied = 0;     // payload bytes copied in memory; counted by the code that copies
  uint64_t busy_ns = 0;          // turns of the loop without their visits to the kernel that may wait
};

// Everything outside the program, as one core of one process sees it: time, randomness, files, sockets, other
// cores. There are three: `uring` (io/uring), `portable` (io/portable) and `sim` (io/sim); see docs/io.md.
// One Env a core; used only on its own core, except send(). Users rarely call submit() themselves: File,
// Socket, sleep_until and call_on do.
class Env {
 public:
  struct Options {
    unsigned core = 0;
    unsigned core_count = 1;
    BufferPool::Options buffers;
    LogOptions log;
  };
  explicit Env(Options options) : options_(options), buffers_(*this, options.buffers) {}
  virtual ~Env() = default;
  Env(const Env&) = delete;
  Env& operator=(const Env&) = delete;

  unsigned core() const { return options_.core; }
  unsigned core_count() const { return options_.core_count; }
  const LogOptions& log_options() const { return options_.log; }
  // "io_uring", "portable" or "sim".
  virtual std::string_view name() const = 0;

  // Monotonic; read once a turn of the loop and cached, so it costs nothing and stands still between awaits.
  virtual Instant now() const = 0;
  virtual UnixTime wall_clock() const = 0;
  // Fast, well mixed, not for secrets.
  virtual uint64_t random() = 0;
  // From the kernel's generator: for keys and tokens.
  virtual void random_bytes(std::span<std::byte> out) = 0;

  // Resumes the coroutine in a later turn or later in this one; FIFO in the real environments, by seed in
  // `sim`.
  virtual void schedule(std::coroutine_handle<> handle) = 0;
  // Whether any other coroutine is to be resumed before the kernel is asked again. `sim` says either, by
  // seed.
  virtual bool has_ready() = 0;
  // Starts an operation; its waiter is resumed when request.result is set. Submission is batched until the
  // end of the turn.
  virtual void submit(IoRequest& request) = 0;
  // Asks for an early end of an operation in flight; it still completes, with -ECANCELED or with its result.
  virtual void cancel(IoRequest& request) = 0;
  // Gives a buffer of receive_pooled back.
  virtual void release_pooled(uint32_t pooled_id) = 0;
  // Any core may call it: `message.run` runs on core `core` soon.
  virtual void send(unsigned core, CoreMessage& message) = 0;
  // One whole line for the process's log (standard error); written in batches.
  virtual void write_log(std::string_view line) = 0;

  // True while a simulated crash tears this process down: closing assertions and give-backs are passed over
  // then.
  bool abandoned() const { return abandoned_; }
  // A named place between two steps where another core may run. In `sim` the seed decides whether one does,
  // and a crash can be planned there; elsewhere the call only reads one member.
  void point(const char* name) {
    if (simulated_) [[unlikely]]
      at_point(name);
  }
  // Every spin calls it between two looks at a value that another core is about to change. In `sim` the other
  // cores go on meanwhile.
  void pause() {
    if (simulated_) [[unlikely]] {
      at_pause();
    } else {
      __builtin_ia32_pause();
    }
  }
  // For callers that skip points on their own (see TreeSource).
  bool simulated() const { return simulated_; }

  // From now on, the mount serves the files beneath its path on this core; null: no mount. See mount.h.
  void mount(FileMount* mount) { mount_ = mount; }
  FileMount* mounted() const { return mount_; }

  TimerQueue& timers() { return timers_; }
  BufferPool& buffers() { return buffers_; }
  EnvStats& stats() { return stats_; }

 protected:
  // For implementations: sets the result, stops deadline and cancellation, and schedules the waiter.
  void complete(IoRequest& request, int64_t result);

  virtual void at_point(const char*) {}
  virtual void at_pause() {}

  bool abandoned_ = false;
  bool simulated_ = false;
  EnvStats stats_;
  TimerQueue timers_;

 private:
  friend struct IoRequest;
  Options options_;
  BufferPool buffers_;
  FileMount* mount_ = nullptr;
};

// Suspends until the clock shows `deadline`. Ends early, with IoError::cancelled, if `cancel` fires.
Task<Result<void>> sleep_until(Env& env, Instant deadline, CancelToken cancel = nullptr);
inline Task<Result<void>> sleep_for(Env& env, Duration duration, CancelToken cancel = nullptr) {
  return sleep_until(env, env.now() + duration, cancel);
}

// Goes to the end of the ready queue: for long loops.
struct YieldAwaiter {
  Env& env;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) { env.schedule(handle); }
  void await_resume() const noexcept {}
};
inline YieldAwaiter yield(Env& env) { return {env}; }

}  // namespace fb
