// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "io/env.h"
#include "io/name_lookup.h"
#include "io/name_lookups.h"

namespace fb {

enum class IoBackend : uint8_t { automatic, uring, portable };
enum class IoPoll : uint8_t { automatic, on, off };

struct RuntimeOptions {
  unsigned cores = 1;
  bool pin = false;  // one CPU of the affinity mask each
  IoBackend backend = IoBackend::automatic;
  IoPoll poll = IoPoll::automatic;
  // Receives lines for the operator about the environment (a fallback, a limit), on core 0 before its main
  // begins; each line once. If it is empty, the lines go to Env::write_log.
  std::function<void(Env&, std::string_view)> on_notice;
  BufferPool::Options buffers{.arena_bytes = 16 * kMiB, .limit_bytes = 64 * kMiB};  // per core
  LogOptions log;
  // Tests stand in for the system's resolver.
  LookUpFunction look_up = &look_up_host;
};

// CPUs in this process's affinity mask: the default number of cores.
unsigned available_cpus();

// The process's limit of open files, raised to what the system allows; 0: none is known.
uint64_t open_files_limit();

// Raises the process's limit of open files to what the system allows, starts one thread and one Env a core,
// runs `main` on each, and returns when every main has ended. `automatic` takes io_uring and falls back to
// `portable` if the kernel refuses it, with one line in the log. SIGTERM, SIGINT and SIGHUP are delivered by
// wait_signal() on core 0 only.
Result<void> run_cores(const RuntimeOptions& options, const std::function<Task<void>(Env&)>& main);

// Core 0: the next SIGTERM, SIGINT or SIGHUP.
Task<Result<int>> wait_signal(Env& env, CancelToken cancel = nullptr);

}  // namespace fb
