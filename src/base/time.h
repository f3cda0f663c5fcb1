// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace fb {

// A span of time in nanoseconds.
struct Duration {
  int64_t ns = 0;

  static constexpr Duration nanoseconds(int64_t n) { return {n}; }
  static constexpr Duration microseconds(int64_t n) { return {n * 1'000}; }
  static constexpr Duration milliseconds(int64_t n) { return {n * 1'000'000}; }
  static constexpr Duration seconds(int64_t n) { return {n * 1'000'000'000}; }
  static constexpr Duration minutes(int64_t n) { return seconds(n * 60); }

  constexpr auto operator<=>(const Duration&) const = default;
  constexpr Duration operator+(Duration other) const { return {ns + other.ns}; }
  constexpr Duration operator-(Duration other) const { return {ns - other.ns}; }
  constexpr Duration operator*(int64_t factor) const { return {ns * factor}; }
  constexpr int64_t microseconds() const { return ns / 1'000; }
  constexpr int64_t milliseconds() const { return ns / 1'000'000; }
};

// A point on the monotonic clock of one Env; comparable only within one process.
struct Instant {
  int64_t ns = 0;

  static constexpr Instant never() { return {std::numeric_limits<int64_t>::max()}; }
  constexpr bool is_never() const { return ns == std::numeric_limits<int64_t>::max(); }
  constexpr auto operator<=>(const Instant&) const = default;
  constexpr Instant operator+(Duration d) const { return is_never() ? never() : Instant{ns + d.ns}; }
  constexpr Duration operator-(Instant other) const { return {ns - other.ns}; }
};

// Wall-clock time: nanoseconds since 1970-01-01 UTC. It may jump; use it only for times that people and
// protocols read.
struct UnixTime {
  int64_t ns = 0;

  constexpr int64_t seconds() const { return ns / 1'000'000'000; }
  constexpr int64_t milliseconds() const { return ns / 1'000'000; }
  constexpr auto operator<=>(const UnixTime&) const = default;
};

}  // namespace fb
