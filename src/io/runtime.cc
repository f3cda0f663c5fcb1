// SPDX-License-Identifier: Apache-2.0
#include "io/runtime.h"

#include <fmt/core.h>
#include <pthread.h>
#include <sched.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cerrno>
#include <csignal>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "io/error.h"
#include "io/io_awaiter.h"
#include "io/portable/portable_env.h"
#include "io/uring/uring_env.h"

namespace fb {
namespace {

std::vector<int> allowed_cpus() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return {};
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &mask)) cpus.push_back(cpu);
  }
  return cpus;
}

void pin_this_thread(int cpu) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  CPU_SET(static_cast<size_t>(cpu), &mask);
  // Refused only if the mask changed meanwhile; running elsewhere is then right.
  pthread_setaffinity_np(pthread_self(), sizeof mask, &mask);
}

// Blocks the signals that wait_signal() delivers in this thread and in threads it starts, until this object
// is destroyed.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t blocked;
    sigemptyset(&blocked);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&blocked, signal);
    pthread_sigmask(SIG_BLOCK, &blocked, &before_);
    fd_ = ::signalfd(-1, &blocked, SFD_NONBLOCK | SFD_CLOEXEC);
    std::signal(SIGPIPE, SIG_IGN);  // a peer that went away is an error of send, not the end of the process
  }
  ~BlockedSignals() {
    if (fd_ >= 0) ::close(fd_);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  int fd() const { return fd_; }

 private:
  sigset_t before_;
  int fd_ = -1;
};

// One run of run_cores. Every core makes its environment on its own thread, all agree on the kind, all run,
// and all wait for each other before the first environment goes away: until then messages may arrive.
class Run {
 public:
  Run(const RuntimeOptions& options, const std::function<Task<void>(Env&)>& main)
      : options_(options),
        main_(main),
        shared_(options.cores, options.look_up),
        stops_(options.cores),
        errors_(options.cores),
        mains_left_(options.cores),
        together_(options.cores),
        cpus_(allowed_cpus()) {
    shared_.signal_fd = signals_.fd();
    shared_.on_notice = options_.on_notice;
  }

  Result<void> run() {
    if (shared_.signal_fd < 0) return IoError::limit;
    std::vector<std::thread> threads;
    for (unsigned core = 0; core < options_.cores; ++core) {
      threads.emplace_back([this, core] { run_core(core); });
    }
    for (std::thread& thread : threads) thread.join();
    if (const std::optional<Error> error = first_error()) return *error;
    return {};
  }

 private:
  struct Stop : CoreMessage {};

  std::optional<Error> first_error() const {
    const auto found = std::ranges::find_if(errors_, [](const auto& error) { return error.has_value(); });
    return found == errors_.end() ? std::nullopt : *found;
  }

  std::unique_ptr<LoopEnv> make_env(unsigned core, IoBackend backend) {
    const Env::Options options{.core = core, .core_count = options_.cores, .buffers = options_.buffers};
    const auto keep = [&](auto made) -> std::unique_ptr<LoopEnv> {
      if (made) return std::move(*made);
      errors_[core] = made.error();
      return nullptr;
    };
    errors_[core].reset();
    if (backend == IoBackend::portable) return keep(PortableEnv::create(options, shared_));
    return keep(UringEnv::create(options, shared_, {.poll = options_.poll}));
  }

  void run_core(unsigned core) {
    pthread_setname_np(pthread_self(), fmt::format("fb-core-{}", core).c_str());
    if (options_.pin && !cpus_.empty()) pin_this_thread(cpus_[core % cpus_.size()]);

    std::unique_ptr<LoopEnv> env = make_env(core, options_.backend);
    together_.arrive_and_wait();
    std::optional<Error> error = first_error();
    together_.arrive_and_wait();
    std::string fallback;
    if (error && options_.backend == IoBackend::automatic) {
      fallback = fmt::format(
          "io_uring is not available ({}): running on epoll and file threads instead; the same promises "
          "hold, but "
          "requests cost more system calls and registered buffers and polled I/O are not used",
          error->to_string());
      env = make_env(core, IoBackend::portable);
      together_.arrive_and_wait();
      error = first_error();
    }
    if (!error) {
      shared_.envs[core] = env.get();
      together_.arrive_and_wait();
      if (core == 0) tell_notices(*env, fallback);
      run_main(*env);
    }
    together_.arrive_and_wait();
    env.reset();
  }

  void tell_notices(LoopEnv& env, const std::string& fallback) {
    if (!fallback.empty()) env.tell(fallback);
    for (const std::string& line : env.notices()) env.tell(line);
  }

  void run_main(LoopEnv& env) {
    struct Ended {
      Run& run;
      LoopEnv& env;
    } ended{*this, env};
    RootTask root = root_of(main_, env);
    root.start(
        [](void* argument) {
          Ended& self = *static_cast<Ended*>(argument);
          self.run.main_ended(self.env);
        },
        &ended);
    env.run();
    FB_ASSERT(root.done());
    root.destroy();  // on the thread that made the frame
  }

  static RootTask root_of(const std::function<Task<void>(Env&)>& main, Env& env) { co_await main(env); }

  // A core serves the others' messages until the last main has ended.
  void main_ended(LoopEnv& env) {
    if (mains_left_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    for (unsigned core = 0; core < options_.cores; ++core) {
      stops_[core].run = [](CoreMessage&, Env& receiver) { static_cast<LoopEnv&>(receiver).stop(); };
      env.send(core, stops_[core]);
    }
  }

  const RuntimeOptions& options_;
  const std::function<Task<void>(Env&)>& main_;
  BlockedSignals signals_;
  LoopShared shared_;
  std::vector<Stop> stops_;
  std::vector<std::optional<Error>> errors_;
  std::atomic<unsigned> mains_left_;
  std::barrier<> together_;
  std::vector<int> cpus_;
};

}  // namespace

unsigned available_cpus() { return std::max(1U, static_cast<unsigned>(allowed_cpus().size())); }

uint64_t open_files_limit() { return raise_open_files_limit(); }

Result<void> run_cores(const RuntimeOptions& options, const std::function<Task<void>(Env&)>& main) {
  FB_ASSERT(options.cores > 0);
  (void)raise_open_files_limit();
  return Run(options, main).run();
}

Task<Result<int>> wait_signal(Env& env, CancelToken cancel) {
  FB_CO_TRY(const size_t signal,
            co_await CountAwaiter(env, IoLimits{.cancel = cancel},
                                  [](IoRequest& request) { request.kind = IoKind::wait_signal; }));
  co_return static_cast<int>(signal);
}

}  // namespace fb
