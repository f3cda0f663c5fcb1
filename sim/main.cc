// SPDX-License-Identifier: Apache-2.0
// fb_sim: the whole server in the simulator, seed after seed. See docs/simulation.md and sim/README.md.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "base/safeguard.h"
#include "run.h"

namespace fb::sim {
namespace {

constexpr std::string_view kHelp =
    R"(fb_sim [options]: runs the whole server in simulation under a client workload and checks every answer.

  --seed N             one seed (the same as --from N --seeds 1)
  --seeds N            how many seeds (default 10)
  --from N             the first seed (default 1)
  --plan PLAN          which faults come together: crash, net, media, combined (the seed chooses two or more), a list
                       of classes as in kill,media,names; or any: the seed chooses among all these (default)
  --pairs N            N seeds with each class alone and with each pair of classes; prints the table of failures
  --omit-flush KIND    data, journal, directory or rename: the disk acknowledges these flushes and leaves them out
  --expect-failure     stop at the first seed that fails, and succeed; fail where none does
  --crash-at-io N      a short run with one crash at the N-th change of the disk
  --crash-at-io sweep  the same for every N, before and after the change, by kill and by power loss
  --leave-out NAME     leaves a safeguard out (src/base/safeguard.h); builds that cannot end with status 77
  --operations N       answered operations per seed (default 1000)
  --switch-chance N    of a million points in latched sections, how many a core is left at (default 50000; 0: none)
  --tier               keep larger objects in a bucket of a second server
  --verbose            print the nodes' logs as they come
)";

constexpr uint64_t kRepeatOneIn = 100;    // seeds that run twice, traces compared
constexpr uint64_t kSeedsForTable = 100;  // from this many on, every kind of fault must have happened
constexpr uint64_t kSweepOperations = 40;
constexpr uint64_t kPairOperations = 400;
constexpr int kSkipped = 77;
constexpr uint64_t kProgressEvery = 50;
constexpr size_t kLogLinesShown = 40;

struct Options {
  RunOptions run;
  uint64_t from = 1;
  uint64_t seeds = 10;
  bool expect_failure = false;
  bool sweep = false;
  bool combined = false;
  uint64_t pairs = 0;
  std::optional<Safeguard> left_out;
  std::optional<uint64_t> crash_at_io;
};

struct Totals {
  FaultCounts faults;
  std::map<std::string, uint64_t> crash_points;
  std::map<std::string, uint64_t> operations;
  std::array<uint64_t, kFaultClassCount> classes{};  // runs that had them in their plans
  uint64_t runs = 0;
  uint64_t steps = 0;
  uint64_t switches = 0;
  uint64_t traces = 0;  // of all seeds together

  void add(const RunResult& result) {
    ++runs;
    steps += result.steps;
    switches += result.switches;
    traces ^= result.trace;
    faults.merge(result.faults);
    for (size_t i = 0; i < kFaultClassCount; ++i) classes[i] += result.plan.has(static_cast<FaultClass>(i));
    for (const auto& [name, count] : result.crash_points) crash_points[name] += count;
    for (const auto& [name, count] : result.operations) operations[name] += count;
  }
};

template <class Number>
bool parse_number(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

template <class E>
bool parse_name(std::string_view text, std::initializer_list<E> values, E& out) {
  for (const E value : values) {
    if (to_string(value) != text) continue;
    out = value;
    return true;
  }
  return false;
}

bool parse_plan(std::string_view text, Options& out) {
  constexpr std::array<std::pair<std::string_view, Plan>, 3> kNamed = {
      {{"crash", kCrashPlan}, {"net", kNetPlan}, {"media", kMediaPlan}}};
  out.run.plan.reset();
  out.combined = text == "combined";
  if (text == "any" || out.combined) return true;
  const auto named = std::ranges::find(kNamed, text, &std::pair<std::string_view, Plan>::first);
  out.run.plan = named != kNamed.end() ? named->second : Plan::parse(text);
  return out.run.plan.has_value();
}

// Takes one option and, where it has one, its value.
bool parse_option(std::string_view name, const std::optional<std::string_view>& value, bool& used_value,
                  Options& out) {
  if (name == "--expect-failure") return out.expect_failure = true;
  if (name == "--verbose") return out.run.verbose = true;
  if (name == "--tier") return out.run.tier = true;
  if (!value) return false;
  used_value = true;
  if (name == "--seeds") return parse_number(*value, out.seeds);
  if (name == "--from") return parse_number(*value, out.from);
  if (name == "--operations") return parse_number(*value, out.run.operations);
  if (name == "--switch-chance") return parse_number(*value, out.run.switch_ppm);
  if (name == "--seed") {
    out.seeds = 1;
    return parse_number(*value, out.from);
  }
  if (name == "--plan") return parse_plan(*value, out);
  if (name == "--pairs") return parse_number(*value, out.pairs);
  if (name == "--leave-out") return (out.left_out = safeguard_named(*value)).has_value();
  if (name == "--omit-flush") {
    return parse_name(
        *value,
        {OmitFlush::none, OmitFlush::data, OmitFlush::journal, OmitFlush::directory, OmitFlush::rename},
        out.run.omit);
  }
  if (name == "--crash-at-io") {
    if (*value == "sweep") return out.sweep = true;
    return parse_number(*value, out.crash_at_io.emplace());
  }
  return false;
}

std::optional<Options> parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::optional<std::string_view> value =
        i + 1 < count ? std::optional<std::string_view>(arguments[i + 1]) : std::nullopt;
    bool used_value = false;
    if (!parse_option(arguments[i], value, used_value, options)) return std::nullopt;
    if (used_value) ++i;
  }
  return options;
}

std::string command_of(const RunOptions& run) {
  std::string command = fmt::format("fb_sim --seed {} --plan {}", run.seed,
                                    run.plan.value_or(Plan::of_seed(run.seed)).to_string());
  if (run.omit != OmitFlush::none) command += fmt::format(" --omit-flush {}", to_string(run.omit));
  if (run.crash_at) command += fmt::format(" --crash-at-io {}", run.crash_at->n);
  if (run.operations != RunOptions().operations) command += fmt::format(" --operations {}", run.operations);
  if (run.switch_ppm != RunOptions().switch_ppm)
    command += fmt::format(" --switch-chance {}", run.switch_ppm);
  if (run.tier) command += " --tier";
  return command;
}

void print_failure(const RunOptions& run, const RunResult& result) {
  fmt::print("FAILED seed {} ({}): {}\n", run.seed, result.plan.to_string(), result.failure);
  fmt::print("  repeat: {} --verbose\n  faults: {}\n  the last lines of the log:\n", command_of(run),
             result.faults.to_string());
  const size_t first = result.log.size() > kLogLinesShown ? result.log.size() - kLogLinesShown : 0;
  for (size_t i = first; i < result.log.size(); ++i) fmt::print("  {}\n", result.log[i]);
}

// What makes a run a failure besides its own finding.
std::string shortcoming(const RunOptions& run, const RunResult& result) {
  if (!result.failure.empty()) return result.failure;
  const Plan plan = result.plan;
  const bool crashes_often =
      plan.has(FaultClass::kill) && plan.has(FaultClass::power) && !plan.has(FaultClass::sweep);
  if (run.crash_at || result.lost || !crashes_often) return {};
  // A store that has closed itself after a failed write changes nothing more, so a crash planned at a change
  // never comes.
  const bool closed_itself = plan.has(FaultClass::failing) && 2 * result.refused_busy > result.answered;
  if (closed_itself) return {};
  if (result.faults.total() < kFaultsPerSeedMin) return fmt::format("only {} faults", result.faults.total());
  return {};
}

bool has(const Totals& totals, FaultClass fault) { return totals.classes[static_cast<size_t>(fault)] > 0; }

std::vector<Fault> required_faults(const Totals& totals, bool sweep) {
  using enum Fault;
  const std::vector<std::pair<FaultClass, std::vector<Fault>>> by_class = {
      {FaultClass::kill, {kill, write_landed_late, write_in_flight}},
      {FaultClass::power,
       {power_loss, sector_kept, sector_dropped, write_torn, size_dropped, entry_kept, entry_dropped}},
      {FaultClass::full, {disk_full}},
      {FaultClass::media, {rot, misdirected_write, lost_write, read_error}},
      {FaultClass::failing, {write_error, sync_error}},
      {FaultClass::names, {name_error}},
      {FaultClass::stall, {stall}},
      {FaultClass::net, {connection_reset, segment_dropped, connect_refused, half_open, partition}},
  };
  std::vector<Fault> required;
  for (const auto& [fault, faults] : by_class) {
    if (!has(totals, fault) || (sweep && fault == FaultClass::full)) continue;
    required.insert(required.end(), faults.begin(), faults.end());
  }
  return required;
}

// False where a kind of fault, or a kind of work for a crash to interrupt, never came up.
bool print_table(const Totals& totals, bool sweep) {
  fmt::print("\n{:<28}{:>12}\n", "fault", "times");
  for (size_t i = 0; i < kFaultCount; ++i) {
    const auto fault = static_cast<Fault>(i);
    if (totals.faults[fault] > 0) fmt::print("{:<28}{:>12}\n", to_string(fault), totals.faults[fault]);
  }
  fmt::print("\n{:<28}{:>12}\n", "class of faults", "seeds");
  for (size_t i = 0; i < kFaultClassCount; ++i)
    fmt::print("{:<28}{:>12}\n", to_string(static_cast<FaultClass>(i)), totals.classes[i]);
  fmt::print("\n{:<28}{:>12}\n", "crash while", "times");
  for (const auto& [name, count] : totals.crash_points) fmt::print("{:<28}{:>12}\n", name, count);
  fmt::print("\n{:<28}{:>12}\n", "operation", "answered");
  for (const auto& [name, count] : totals.operations) fmt::print("{:<28}{:>12}\n", name, count);
  if (totals.runs < kSeedsForTable) return true;
  bool complete = true;
  for (const Fault fault : required_faults(totals, sweep)) {
    if (totals.faults[fault] > 0) continue;
    fmt::print("never happened: {}\n", to_string(fault));
    complete = false;
  }
  for (const char* point : {"idle", "write data", "write journal", "write snapshot", "sync data",
                            "sync journal", "rename other"}) {
    if (totals.crash_points.contains(point)) continue;
    fmt::print("never interrupted: {}\n", point);
    complete = false;
  }
  return complete;
}

bool run_one(const RunOptions& run, bool repeat, Totals& totals) {
  RunResult result = run_seed(run);
  totals.add(result);
  result.failure = shortcoming(run, result);
  if (result.failure.empty() && repeat) {
    const RunResult again = run_seed(run);
    if (again.trace != result.trace) result.failure = "two runs of this seed differ";
  }
  if (result.failure.empty()) return true;
  print_failure(run, result);
  return false;
}

int run_seeds(const Options& options) {
  Totals totals;
  uint64_t failures = 0;
  RunOptions run = options.run;
  for (uint64_t i = 0; i < options.seeds; ++i) {
    run.seed = options.from + i;
    if (options.combined) run.plan = Plan::combined(run.seed);
    const bool repeat = i % kRepeatOneIn == 0 && !options.expect_failure;
    if (!run_one(run, repeat, totals)) ++failures;
    if (options.expect_failure && failures > 0) {
      fmt::print("found after {} seeds, as expected\n", i + 1);
      return 0;
    }
    if ((i + 1) % kProgressEvery == 0) fmt::print("{} seeds, {} failed\n", i + 1, failures);
  }
  if (options.expect_failure) {
    fmt::print("{} seeds passed although something is left out\n", options.seeds);
    return 1;
  }
  const bool complete = print_table(totals, false);
  fmt::print("\n{} seeds, {} failed, {} steps, {} switches in sections, traces {:016x}\n", options.seeds,
             failures, totals.steps, totals.switches, totals.traces);
  return failures == 0 && complete ? 0 : 1;
}

RunOptions short_run(const Options& options) {
  RunOptions run = options.run;
  run.seed = options.from;
  run.plan = kCrashPlan;
  run.operations = kSweepOperations;
  run.clients = 2;
  return run;
}

int run_sweep(const Options& options) {
  Totals totals;
  uint64_t failures = 0;
  for (const SimNode::CrashPoint point : {SimNode::CrashPoint::io_before, SimNode::CrashPoint::io_after}) {
    for (const CrashKind kind : {CrashKind::kill, CrashKind::power_loss}) {
      RunOptions run = short_run(options);
      uint64_t n = 1;
      for (bool crashed = true; crashed; ++n) {
        run.crash_at = RunOptions::CrashAt{point, n, kind};
        const RunResult result = run_seed(run);
        totals.add(result);
        crashed = result.crashed_as_planned;
        if (result.failure.empty()) continue;
        ++failures;
        print_failure(run, result);
        if (failures > 5) return 1;
      }
      fmt::print("{} {} each of {} changes of the disk\n", kind == CrashKind::kill ? "kill" : "power loss",
                 point == SimNode::CrashPoint::io_before ? "before" : "after", n - 2);
    }
  }
  (void)print_table(totals, true);
  return failures == 0 ? 0 : 1;
}

// Failures of seeds, as a table for docs/testing.md: each class alone in the diagonal.
int run_pairs(const Options& options) {
  std::string text = "| |";
  for (size_t i = 0; i < kFaultClassCount; ++i)
    text += fmt::format(" {} |", to_string(static_cast<FaultClass>(i)));
  text += "\n|---|";
  for (size_t i = 0; i < kFaultClassCount; ++i) text += "---:|";
  text += '\n';
  RunOptions run = options.run;
  if (run.operations == RunOptions().operations) run.operations = kPairOperations;
  uint64_t failures = 0;
  uint64_t seed = options.from;
  for (size_t row = 0; row < kFaultClassCount; ++row) {
    text += fmt::format("| {} |", to_string(static_cast<FaultClass>(row)));
    for (size_t column = 0; column <= row; ++column) {
      run.plan = Plan{static_cast<FaultClass>(row), static_cast<FaultClass>(column)};
      uint64_t failed = 0;
      Totals totals;
      for (uint64_t i = 0; i < options.pairs; ++i) {
        run.seed = seed++;
        failed += !run_one(run, false, totals);
      }
      text += fmt::format(" {} |", failed);
      failures += failed;
      fmt::print("{}: {} seeds, {} failed\n", run.plan->to_string(), options.pairs, failed);
      (void)std::fflush(stdout);
    }
    for (size_t column = row + 1; column < kFaultClassCount; ++column) text += " |";
    text += '\n';
  }
  fmt::print("\n{} seeds each, {} answered operations a seed\n\n{}", options.pairs, run.operations, text);
  return failures == 0 ? 0 : 1;
}

int run_single_crash(const Options& options) {
  RunOptions run = short_run(options);
  bool good = true;
  Totals totals;
  for (const SimNode::CrashPoint point : {SimNode::CrashPoint::io_before, SimNode::CrashPoint::io_after}) {
    for (const CrashKind kind : {CrashKind::kill, CrashKind::power_loss}) {
      run.crash_at = RunOptions::CrashAt{point, *options.crash_at_io, kind};
      good = run_one(run, false, totals) && good;
    }
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace fb::sim

int main(int count, char** arguments) {
  const std::optional<fb::sim::Options> options = fb::sim::parse(count, arguments);
  if (!options) {
    fmt::print("{}", fb::sim::kHelp);
    return 2;
  }
  std::optional<fb::SafeguardLeftOut> left_out;
  if (options->left_out) {
    if (!fb::kSafeguardsSwitchable) {
      fmt::print("this build has its safeguards built in; the preset safeguards can leave them out\n");
      return fb::sim::kSkipped;
    }
    left_out.emplace(*options->left_out);
  }
  if (options->pairs > 0) return fb::sim::run_pairs(*options);
  if (options->sweep) return fb::sim::run_sweep(*options);
  if (options->crash_at_io) return fb::sim::run_single_crash(*options);
  return fb::sim::run_seeds(*options);
}
