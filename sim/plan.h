// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace fb::sim {

// Classes of faults that a run may have, one beside the other. docs/simulation.md says what is promised under
// each and under several at once.
enum class FaultClass : uint8_t {
  kill,     // the process is killed, and its direct writes land while the next one runs
  power,    // the machine loses its power
  full,     // space comes and goes
  media,    // rot, lost and misdirected writes, sectors that cannot be read
  failing,  // writes and syncs fail
  names,    // renames, removals, syncs of directories, changes of sizes fail
  stall,    // operations take seconds, and now and then the whole disk stands still
  net,      // resets, lost segments, silent connections, partitions
  cloud,    // large objects go to a cloud that is killed, loses its power, and cannot be reached
  sweep,    // lives long enough for a sweep to end, and readers that hold what it would free
  count,
};
inline constexpr size_t kFaultClassCount = static_cast<size_t>(FaultClass::count);
std::string_view to_string(FaultClass fault);

// A set of them.
class Plan {
 public:
  constexpr Plan() = default;
  constexpr Plan(std::initializer_list<FaultClass> classes) {
    for (const FaultClass fault : classes) add(fault);
  }
  // "kill,full"; nothing where a name is none.
  static std::optional<Plan> parse(std::string_view text);
  // Two or more of them, by the seed.
  static Plan combined(uint64_t seed);
  // The plans that were there first, each by its name, and combined ones, in turn.
  static Plan of_seed(uint64_t seed);

  constexpr void add(FaultClass fault) { bits_ |= 1U << static_cast<unsigned>(fault); }
  constexpr bool has(FaultClass fault) const { return ((bits_ >> static_cast<unsigned>(fault)) & 1U) != 0; }
  constexpr bool crashes() const { return has(FaultClass::kill) || has(FaultClass::power); }
  // The disk reports errors: an answer may be 500, and the server may end, until it is started again without.
  constexpr bool disk_fails() const {
    return has(FaultClass::media) || has(FaultClass::failing) || has(FaultClass::names);
  }
  // Acknowledged writes may be lost, and every loss is reported.
  constexpr bool loses() const { return has(FaultClass::media); }
  std::string to_string() const;
  friend constexpr bool operator==(const Plan&, const Plan&) = default;

 private:
  uint32_t bits_ = 0;
};

inline constexpr Plan kCrashPlan = {FaultClass::kill, FaultClass::power, FaultClass::full};
inline constexpr Plan kNetPlan = {FaultClass::kill, FaultClass::power, FaultClass::full, FaultClass::net};
inline constexpr Plan kMediaPlan = {FaultClass::kill, FaultClass::power, FaultClass::media,
                                    FaultClass::failing};

}  // namespace fb::sim
