// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "base/time.h"
#include "s3/operation.h"
#include "s3/response/error.h"

namespace fb::api {

// Upper bounds of the latency buckets in microseconds; a last bucket takes the rest.
inline constexpr std::array<uint64_t, 17> kLatencyBoundsUs = {
    50,     100,     250,     500,     1'000,     2'500,     5'000,      10'000,    25'000,
    50'000, 100'000, 250'000, 500'000, 1'000'000, 2'500'000, 10'000'000, 60'000'000};

// Counters of one core, without locks; summed over the cores when scraped.
struct ApiMetrics {
  struct PerOperation {
    uint64_t requests = 0;
    uint64_t latency_us_sum = 0;
    std::array<uint64_t, kLatencyBoundsUs.size() + 1> latency_buckets{};
    std::array<uint64_t, 6> by_status_class{};  // index: status / 100
    uint64_t received_bytes = 0;
    uint64_t sent_bytes = 0;
  };
  // The last one is for requests whose operation is not known.
  std::array<PerOperation, s3::kOperationCount + 1> operations{};
  std::array<uint64_t, s3::kS3ErrorCount> errors{};
  uint64_t cut_responses = 0;  // that their clients broke off, or did not take in time

  void record(size_t operation, int status, Duration latency, uint64_t received_bytes, uint64_t sent_bytes);
  void add(const ApiMetrics& other);
  // Prometheus text format.
  void append_to(std::string& out) const;
};

}  // namespace fb::api
