// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/sim/open_file.h"
#include "io/sim/sim_disk.h"
#include "io/sim/sim_env.h"

namespace fb::sim {

class Simulation;

// One machine with one disk, and at most one process on it: `cores` SimEnvs that run the same main, as
// run_cores() does. The disk stays through crashes and restarts. A process ends when every main has ended, or
// by crash(): then its frames are destroyed at their current suspension, with env.abandoned() true, and
// operations under way are finished or not by chance. Direct writes of a killed process may land up to
// kLandingMax later, while the next one runs.
class SimNode {
 public:
  static constexpr Duration kLandingMax = Duration::seconds(3);
  using Main = std::function<Task<void>(Env&)>;
  struct Options {
    std::string name;
    unsigned cores = 1;
    SimDisk::Options disk;
    BufferPool::Options buffers{.arena_bytes = 0, .limit_bytes = 64 * kMiB};
  };
  enum class CrashPoint : uint8_t {
    io_before,  // the n-th change of the disk was submitted and may have happened in part
    io_after,   // the n-th change of the disk has happened, but was not answered
    resume,     // before the n-th resumption of a coroutine: any await
    point,      // in the n-th Env::point()
  };

  SimNode(Simulation& simulation, unsigned index, Options options, Random& disk_random);
  ~SimNode();
  SimNode(const SimNode&) = delete;
  SimNode& operator=(const SimNode&) = delete;

  const std::string& name() const { return options_.name; }
  unsigned index() const { return index_; }
  SimDisk& disk() { return disk_; }
  // How other nodes reach it; on the node itself it is loopback as well.
  Endpoint endpoint(uint16_t port) const;

  // Starts a process. `main` and its captures live until all frames are gone.
  void start(Main main);
  void crash(CrashKind kind);
  // Delivers SIGTERM, SIGINT or SIGHUP to wait_signal().
  void signal(int number);
  // Crashes by itself when the count, from the start of the process, reaches `n` (from 1).
  void crash_at(CrashPoint point, uint64_t n, CrashKind kind) { planned_ = {point, n, kind}; }
  void forget_planned_crash() { planned_ = {}; }
  enum class FailureEffect : uint8_t {
    not_made,
    made,
    readable,  // a write is made, but it is not durable, though durable may have been asked for
  };
  // The n-th change of the disk of one kind (writes of either form are one), from the start of the process,
  // fails with EIO. If it is a sync and not made, the data it covered never becomes durable.
  void fail_at(IoKind kind, uint64_t n, FailureEffect how) { planned_failure_ = {kind, n, how}; }
  void forget_planned_failure() { planned_failure_ = {}; }
  // Changes of the planned kind (if none is planned: writes) since the process started; the next one has this
  // number plus one.
  uint64_t changes_of_planned_kind() const { return failures_counted_; }
  bool failed_as_planned() const {
    return planned_failure_.n != 0 && failures_counted_ >= planned_failure_.n;
  }

  bool running() const { return !cores_.empty(); }
  // The disk answers no operation that is submitted from now on before this time has passed.
  void freeze_disk(Duration duration);
  // Writes of killed processes that have not landed yet.
  size_t landings() const { return landings_.size(); }
  // The operations that the process waits for, if it seems to hang: "core 0: receive other, 3 timers; ...".
  std::string describe_waiting() const;
  bool powered() const { return powered_; }
  // Starts so far, and how the last process ended.
  uint64_t boots() const { return boots_; }
  bool crashed() const { return crashed_; }
  // Counted since the process started.
  uint64_t changes() const { return changes_; }
  uint64_t resumptions() const { return resumptions_; }
  uint64_t points() const { return points_; }
  unsigned cores() const { return static_cast<unsigned>(cores_.size()); }
  SimEnv& env(unsigned core) { return *cores_[core]->env; }

  // For SimEnv, SimNetwork and Simulation.
  void submit(SimEnv& env, IoRequest& request);
  void cancel(IoRequest& request);
  bool waiting(uint64_t operation) const { return operations_.contains(operation); }
  IoRequest& request(uint64_t operation) { return *operations_.at(operation).request; }
  SimEnv& env_of(uint64_t operation) { return *operations_.at(operation).env; }
  void complete(uint64_t operation, int64_t result);
  int32_t add_handle(uint64_t socket);
  uint64_t socket_of(int32_t handle) const;
  void forget_handle(int32_t handle) { handles_.erase(handle); }
  // False if the process ends instead.
  bool before_resume();
  void at_point();
  bool crash_pending() const { return crash_pending_; }
  bool ending() const { return crash_pending_ || running_mains_ == 0; }
  // Called between steps: carries out a pending crash, or ends a process whose mains have ended.
  void settle();

 private:
  struct Core {
    std::unique_ptr<SimEnv> env;
    RootTask main;
  };
  struct Operation {
    SimEnv* env;
    IoRequest* request;
    OpenFilePtr open_file;  // null: no file, or a file named by its path
  };
  struct Handle {
    OpenFilePtr open_file;
    uint64_t socket = 0;
  };
  // A direct write that has outlived its process.
  struct Landing {
    OpenFilePtr open_file;
    uint64_t offset;
    std::vector<std::byte> data;
  };
  struct Planned {
    CrashPoint point = CrashPoint::resume;
    uint64_t n = 0;  // 0: none
    CrashKind kind = CrashKind::kill;
  };

  struct PlannedFailure {
    IoKind kind = IoKind::write;
    uint64_t n = 0;  // 0: none
    FailureEffect how = FailureEffect::not_made;
  };

  static RootTask run_main(const Main& main, Env& env);
  static void start_main(void* core);
  bool fails_as_planned(const IoRequest& request);
  bool in_turn() const;
  void end_turns();
  Duration file_latency(const IoRequest& request);
  void run_file_operation(uint64_t operation);
  bool draws_name_error(const IoRequest& request, const OpenFile* open_file);
  int64_t perform_or_fail(IoRequest& request, OpenFile* open_file);
  int64_t perform(IoRequest& request, OpenFile* open_file);
  int64_t perform_open(IoRequest& request);
  int64_t perform_close(IoRequest& request);
  int64_t perform_transfer(IoRequest& request, const OpenFile& open_file);
  void finish_in_flight(CrashKind kind);
  void finish_write(const Operation& operation, CrashKind kind);
  void land_later(const OpenFilePtr& open_file, uint64_t offset, std::span<const std::byte> data);
  void land(uint64_t number);
  void lose_landings();
  void deliver_signals();
  void end_process();
  // Whether the planned crash is due at this count; then it is pending.
  bool reached(CrashPoint point, uint64_t count);

  Simulation& simulation_;
  const unsigned index_;
  Options options_;
  Random& random_;
  SimDisk disk_;
  Main main_;
  std::vector<std::unique_ptr<Core>> cores_;
  std::map<uint64_t, Operation> operations_;
  std::map<int32_t, Handle> handles_;
  std::map<uint64_t, Landing> landings_;
  uint64_t next_landing_ = 0;
  std::vector<int> signals_;
  int32_t next_handle_ = 3;
  uint64_t boots_ = 0;
  PlannedFailure planned_failure_;
  uint64_t failures_counted_ = 0;  // changes of the planned kind
  uint64_t changes_ = 0;
  uint64_t resumptions_ = 0;
  uint64_t points_ = 0;
  size_t running_mains_ = 0;
  Planned planned_;
  CrashKind pending_kind_ = CrashKind::kill;
  bool crash_pending_ = false;
  Instant disk_answers_from_{0};
  bool powered_ = true;
  bool crashed_ = false;
};

}  // namespace fb::sim
