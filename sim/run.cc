// SPDX-License-Identifier: Apache-2.0
#include "run.h"

#include <fmt/core.h>

#include <csignal>

#include "cloud_check.h"
#include "io/scope.h"
#include "server_main.h"
#include "workload.h"

namespace fb::sim {
namespace {

constexpr Duration kPatience = Duration::minutes(5);  // every time-out of clients and network is shorter
constexpr uint64_t kDiskBytes = 256 * kMiB;
constexpr uint64_t kCloudDiskBytes = 1 * kGiB;
constexpr unsigned kServerCores = 2;  // as many threads as server_main.cc sets
// One damaged place may hold what several operations had in one group commit; one of the namespace, a page of
// keys.
constexpr uint64_t kLossesPerDamageMax = 8;
constexpr uint64_t kLossesPerPageMax = 256;
constexpr int kRestartsAfterDamageMax = 3;

Task<void> run_workload(World& world, Env& env, unsigned number) {
  Workload workload(world, env, number);
  if (number == 0) co_await workload.create_bucket();
  while (!world.bucket_made && !world.failed() && !world.stopping)
    (void)co_await sleep_for(env, Duration::milliseconds(1));
  co_await workload.run();
  co_await workload.close();
}

Task<void> verify_client(World& world, Env& env) {
  Workload workload(world, env, 0);
  co_await workload.verify();
  co_await workload.close();
}

// Chances of what the plan has. Lost, misdirected and rotten bytes are of data files only, but rot of any
// file `late` in the run: a last write of a journal that the disk only pretended to make leaves nothing
// behind that could be found wrong.
DiskFaults disk_faults(Plan plan, bool late) {
  DiskFaults faults;
  if (plan.has(FaultClass::media)) {
    faults.rot_ppm = 25'000;
    faults.read_error_ppm = 5'000;
    if (!late) {
      faults.lost_write_ppm = 5'000;
      faults.misdirected_write_ppm = 5'000;
      faults.roles = 1U << static_cast<unsigned>(FileRole::data);
    }
  }
  if (plan.has(FaultClass::failing)) {
    faults.write_error_ppm = 10'000;
    faults.sync_error_ppm = 10'000;
  }
  if (plan.has(FaultClass::names)) faults.name_error_ppm = 20'000;
  if (plan.has(FaultClass::stall) || plan.has(FaultClass::media)) {
    faults.stall_ppm = 500;
    faults.stall_max = Duration::seconds(plan.has(FaultClass::stall) ? 15 : 2);
  }
  return faults;
}

class Run {
 public:
  explicit Run(const RunOptions& options)
      : options_(options),
        simulation_(options.seed),
        server_(simulation_.add_node({.name = "server",
                                      .cores = kServerCores,
                                      .disk = {.capacity_bytes = kDiskBytes,
                                               .omit = options.omit,
                                               .power_loss_protection = has_protected_drive(options.seed)},
                                      .buffers = {.limit_bytes = 32 * kMiB}})),
        clients_(simulation_.add_node({.name = "clients", .buffers = {.limit_bytes = 4 * kMiB}})),
        world_{
            .simulation = simulation_, .server = server_, .identity = kIdentity, .plan = plan_of(options)} {
    for (unsigned client = 0; client < options.clients; ++client) {
      for (const std::string& key : Workload::keys_of(client)) world_.keys.try_emplace(key);
    }
    if (options.tier || world_.plan.has(FaultClass::cloud)) {
      cloud_ = &simulation_.add_node({.name = "cloud",
                                      .disk = {.capacity_bytes = kCloudDiskBytes},
                                      .buffers = {.limit_bytes = 32 * kMiB}});
      // Some clouds have an address at which nobody is.
      std::vector<Endpoint> addresses = {cloud_->endpoint(0)};
      if (options.seed % 3 == 0) addresses.push_back(Endpoint::ipv4(10, 9, 9, 9, 0));
      simulation_.network().set_name(kCloudHost, addresses);
    }
    simulation_.set_switch_chance(options.switch_ppm);
    if (options.verbose) {
      simulation_.set_log_sink([](const std::string& line) { fmt::print("{}\n", line); });
    }
  }

  RunResult run() {
    if (cloud_ != nullptr) cloud_->start(make_cloud_main());
    start_server();
    if (options_.crash_at) {
      server_.crash_at(options_.crash_at->point, options_.crash_at->n, options_.crash_at->kind);
    }
    start_clients();
    if (options_.crash_at) {
      work_until_planned_crash();
    } else {
      work();
    }
    finish();
    return result();
  }

 private:
  static Plan plan_of(const RunOptions& options) {
    return options.plan.value_or(Plan::of_seed(options.seed));
  }
  Random& random() { return simulation_.random(); }
  bool proceeding() const { return !world_.failed() && !lost_; }

  void start_server() {
    world_.server_started = simulation_.now();
    disk_was_short_ = server_.disk().options().capacity_bytes < kDiskBytes;
    disk_failed_ = fails_now();
    const bool on_device = is_on_device(simulation_.seed(), world_.plan);
    server_.start(make_server_main(simulation_.seed(), on_device, cloud_ != nullptr));
  }

  void start_clients() {
    clients_.start([this](Env& env) -> Task<void> {
      Scope scope(env);
      for (unsigned client = 0; client < options_.clients; ++client) {
        scope.spawn(&run_workload, std::ref(world_), std::ref(env), client);
      }
      co_await scope.join();
    });
  }

  void plan_crash() {
    if (!world_.plan.crashes()) return;
    CrashKind kind = world_.plan.has(FaultClass::kill) ? CrashKind::kill : CrashKind::power_loss;
    if (world_.plan.has(FaultClass::kill) && world_.plan.has(FaultClass::power) && random().coin())
      kind = CrashKind::power_loss;
    // Some crashes come while the server still recovers from the last one; some lives are long enough for a
    // sweep.
    uint64_t reach = random().below(4) == 0 ? 12 : 120;
    if (world_.plan.has(FaultClass::sweep) && random().coin()) reach = 3'000;
    switch (random().below(4)) {
      case 0:
        return server_.crash_at(SimNode::CrashPoint::io_before, random().between(1, reach), kind);
      case 1:
        return server_.crash_at(SimNode::CrashPoint::io_after, random().between(1, reach), kind);
      case 2:
        return server_.crash_at(SimNode::CrashPoint::resume, random().between(1, reach * 60), kind);
      default:
        simulation_.after(Duration::microseconds(static_cast<int64_t>(random().between(1, reach * 1'000))),
                          [this, boot = server_.boots(), kind] {
                            if (server_.running() && server_.boots() == boot && !finishing_)
                              server_.crash(kind);
                          });
    }
  }

  void after_crash() {
    world_.process_died();
    if (random().coin())
      simulation_.run_for(Duration::milliseconds(static_cast<int64_t>(random().below(100))));
  }

  // The server has ended without a crash. A disk that fails or is damaged may be a reason to refuse to start
  // or to stop; nothing else is.
  void after_end() {
    world_.process_died();
    if (disk_was_short_) {
      // A server need not start on a full disk, which may have become a larger one since.
      server_.disk().set_capacity(kDiskBytes);
      return;
    }
    const bool damaged = world_.loses() && !server_.disk().damages().empty();
    if (!damaged && !disk_failed_) {
      world_.fail("the server ended by itself");
      return;
    }
    server_.disk().faults() = {};
    if (damaged && ++restarts_after_damage_ > kRestartsAfterDamageMax) lost_ = true;
    calm_ = random().coin();
  }

  bool fails_now() {
    const DiskFaults& faults = server_.disk().faults();
    return (faults.write_error_ppm | faults.sync_error_ppm | faults.name_error_ppm) != 0;
  }

  // By what was damaged on the disk. On a device the table knows where pages are; here nothing does.
  uint64_t losses_explained() {
    const bool on_device = is_on_device(simulation_.seed(), world_.plan);
    uint64_t losses = 0;
    for (const auto& damage : server_.disk().damages()) {
      const bool page = on_device || damage.file.ends_with("pages");
      losses += page ? kLossesPerPageMax : kLossesPerDamageMax;
    }
    return losses;
  }

  void change_network() {
    NetworkFaults& faults = simulation_.network().faults();
    faults = {.reset_ppm = 2'000,
              .segment_dropped_ppm = 5'000,
              .half_open_ppm = 500,
              .connect_refused_ppm = 20'000,
              .lookup_failed_ppm = 100'000};
    if (random().below(3) == 0) {
      simulation_.network().set_partition(server_, clients_, true);
      simulation_.after(Duration::milliseconds(static_cast<int64_t>(random().between(1, 5'000))),
                        [this] { simulation_.network().heal_all(); });
    }
  }

  void change_disk() {
    const bool late = world_.answered * 10 > options_.operations * 8;
    // A server that could not start ends what came before for its next life, or for good if bytes are lost.
    if (restarts_after_damage_ == 0 && !std::exchange(calm_, false)) {
      server_.disk().faults() = disk_faults(world_.plan, late);
      disk_failed_ = disk_failed_ || fails_now();
    }
    if (world_.plan.has(FaultClass::stall) && random().below(6) == 0) {
      simulation_.after(milliseconds(0, 50), [this, length = milliseconds(100, 20'000)] {
        if (!finishing_) server_.freeze_disk(length);
      });
    }
    // Space comes and goes.
    if (!world_.plan.has(FaultClass::full) || !world_.bucket_made || random().below(8) != 0) return;
    world_.disk_may_be_full = true;
    disk_was_short_ = true;
    server_.disk().set_capacity(server_.disk().used_bytes() + random().below(64 * kKiB));
    simulation_.after(milliseconds(10, 300), [this] { server_.disk().set_capacity(kDiskBytes); });
  }

  // The cloud's machine goes and comes back.
  void change_cloud() {
    if (random().below(3) != 0 || !cloud_->running()) return;
    cloud_->crash(random().coin() ? CrashKind::power_loss : CrashKind::kill);
    simulation_.after(milliseconds(1, 3'000), [this] { start_cloud(); });
  }

  void start_cloud() {
    if (!cloud_->running()) cloud_->start(make_cloud_main());
  }

  Duration milliseconds(uint64_t first, uint64_t last) {
    return Duration::milliseconds(static_cast<int64_t>(random().between(first, last)));
  }

  // Enough work and enough faults; a run that meets few of them does more.
  bool enough() {
    if (world_.answered < options_.operations) return false;
    return simulation_.faults().total() >= kFaultsPerSeedMin || world_.answered >= 4 * options_.operations;
  }

  void work() {
    while (proceeding() && !enough()) {
      if (world_.plan.has(FaultClass::net)) change_network();
      if (world_.plan.has(FaultClass::cloud)) change_cloud();
      change_disk();
      plan_crash();
      const bool progress =
          simulation_.run_until([&] { return !server_.running() || world_.failed() || enough(); }, kPatience);
      if (!progress) world_.fail("nothing more happens: " + server_.describe_waiting());
      if (server_.running() || world_.failed()) break;
      if (server_.crashed()) {
        after_crash();
      } else {
        after_end();
      }
      if (proceeding()) start_server();
    }
  }

  void work_until_planned_crash() {
    const bool progress = simulation_.run_until(
        [&] { return !server_.running() || world_.failed() || world_.answered >= options_.operations; },
        kPatience);
    if (!progress) world_.fail("nothing more happens: " + server_.describe_waiting());
    if (server_.running() || world_.failed()) return;
    if (!server_.crashed()) return world_.fail("the server ended by itself");
    crashed_as_planned_ = true;
    after_crash();
    start_server();
    simulation_.run_until([&] { return world_.failed() || world_.answered >= options_.operations; },
                          kPatience);
  }

  // No more faults: clients end, and what the store holds must be what the model says, also after a power
  // loss and after an orderly stop.
  void finish() {
    finishing_ = true;
    world_.stopping = true;
    server_.forget_planned_crash();
    simulation_.network().faults() = {};
    simulation_.network().heal_all();
    server_.disk().faults() = {};
    server_.disk().set_capacity(kDiskBytes);
    if (cloud_ != nullptr) start_cloud();
    wait_for_clients();
    if (lost_ || world_.failed()) return;
    restart_after_failures();
    verify();
    if (!proceeding()) return;
    if (has_cloud_check()) run_client([this](Env& env) { return end_uploads(world_, env); });
    if (!proceeding()) return;
    server_.crash(CrashKind::power_loss);
    world_.process_died();
    start_server();
    verify();
    if (!proceeding()) return;
    stop();
    if (!proceeding()) return;
    start_server();
    verify();
    if (proceeding()) stop();
    if (proceeding() && has_cloud_check()) compare_cloud();
  }

  // An engine may refuse all changes after a failure, until the next start.
  void restart_after_failures() {
    if (world_.plan.disk_fails()) {
      if (server_.running()) {
        server_.crash(random().coin() ? CrashKind::power_loss : CrashKind::kill);
        world_.process_died();
      }
      start_server();
    }
    world_.settled = true;
  }

  // What the media have lost nobody can name, and nobody may free.
  bool has_cloud_check() const { return cloud_ != nullptr && !world_.loses(); }

  void run_client(SimNode::Main main) {
    clients_.start(std::move(main));
    if (!simulation_.run_until([&] { return !clients_.running(); }, kPatience * 2))
      world_.fail("a check waits for ever: " + server_.describe_waiting());
  }

  void compare_cloud() {
    const bool on_device = is_on_device(simulation_.seed(), world_.plan);
    NamedPieces names;
    server_.start([&](Env& env) -> Task<void> {
      if (env.core() == 0) co_await read_names(world_, env, on_device, names);
    });
    if (!simulation_.run_until([&] { return !server_.running(); }, kPatience))
      world_.fail("the store at rest is read for ever: " + server_.describe_waiting());
    if (!proceeding()) return;
    start_server();
    run_client([&](Env& env) -> Task<void> {
      co_await check_cloud(world_, env, cloud_->endpoint(kServerPort), names);
      if (world_.failed()) co_return;
      co_await replace_and_delete(world_, env, names);
      if (!world_.failed()) co_await check_cloud(world_, env, cloud_->endpoint(kServerPort), names);
    });
    if (proceeding()) stop();
  }

  void wait_for_clients() {
    if (!simulation_.run_until([&] { return !clients_.running() || world_.failed(); }, kPatience)) {
      world_.fail("clients wait for ever: " + server_.describe_waiting());
    }
  }

  void verify() {
    if (!proceeding()) return;
    const uint64_t reported = world_.reported_damage;
    clients_.start([this](Env& env) { return verify_client(world_, env); });
    simulation_.run_until([&] { return !clients_.running() || !server_.running() || world_.failed(); },
                          kPatience);
    if (!server_.running()) {
      after_end();
      if (clients_.running()) clients_.crash(CrashKind::kill);
      lost_ = lost_ || !world_.failed();
      return;
    }
    if (clients_.running() && !world_.failed())
      world_.fail("the check waits for ever: " + server_.describe_waiting());
    const uint64_t losses = world_.reported_damage - reported;
    if (losses > losses_explained()) {
      world_.fail(fmt::format("{} objects lost to {} damages", losses, server_.disk().damages().size()));
    }
  }

  void stop() {
    server_.signal(SIGTERM);
    if (!simulation_.run_until([&] { return !server_.running(); }, kPatience))
      world_.fail("the server does not stop: " + server_.describe_waiting());
    world_.process_died();
  }

  RunResult result() {
    // What still runs refers to the world.
    for (SimNode* node : {&clients_, &server_, cloud_}) {
      if (node != nullptr && node->running()) node->crash(CrashKind::kill);
    }
    RunResult result;
    result.failure = world_.failure;
    result.plan = world_.plan;
    result.faults = simulation_.faults();
    result.crash_points = simulation_.crash_points();
    result.operations = world_.operations;
    result.answered = world_.answered;
    result.refused_busy = world_.refused_busy;
    result.reported_damage = world_.reported_damage;
    result.steps = simulation_.steps();
    result.switches = simulation_.switches();
    result.trace = simulation_.trace_hash();
    result.crashed_as_planned = crashed_as_planned_;
    result.lost = lost_;
    result.log.assign(simulation_.log().begin(), simulation_.log().end());
    return result;
  }

  RunOptions options_;
  Simulation simulation_;
  SimNode& server_;
  SimNode& clients_;
  SimNode* cloud_ = nullptr;
  World world_;
  int restarts_after_damage_ = 0;
  bool lost_ = false;  // so much is damaged that the server refuses to start, and said so
  bool finishing_ = false;
  bool crashed_as_planned_ = false;
  bool disk_was_short_ = false;  // at some time since the server was started
  bool disk_failed_ = false;     // the same
  bool calm_ = false;            // no faults of the disk in the server's next life
};

}  // namespace

RunResult run_seed(const RunOptions& options) { return Run(options).run(); }

}  // namespace fb::sim
