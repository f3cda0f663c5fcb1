// SPDX-License-Identifier: Apache-2.0
#include "api/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <span>

namespace fb::api {
namespace {

std::string_view operation_name(size_t index) {
  return index < size_t{s3::kOperationCount} ? s3::kOperations[index].name : s3::kUnknownOperation;
}

using PerOperation = ApiMetrics::PerOperation;

void append_requests(std::span<const PerOperation> operations, std::string& out) {
  auto at = std::back_inserter(out);
  fmt::format_to(at,
                 "# HELP fractalbits_s3_requests_total Requests by operation and status class.\n"
                 "# TYPE fractalbits_s3_requests_total counter\n");
  for (size_t i = 0; i < operations.size(); ++i) {
    for (size_t c = 1; c < operations[i].by_status_class.size(); ++c) {
      if (operations[i].by_status_class[c] == 0) continue;
      fmt::format_to(at, "fractalbits_s3_requests_total{{operation=\"{}\",status=\"{}xx\"}} {}\n",
                     operation_name(i), c, operations[i].by_status_class[c]);
    }
  }
}

void append_latencies(std::span<const PerOperation> operations, std::string& out) {
  auto at = std::back_inserter(out);
  fmt::format_to(at,
                 "# HELP fractalbits_s3_request_seconds Time from the end of the request's head to the end "
                 "of the response.\n"
                 "# TYPE fractalbits_s3_request_seconds histogram\n");
  for (size_t i = 0; i < operations.size(); ++i) {
    const PerOperation& of = operations[i];
    if (of.requests == 0) continue;
    uint64_t cumulative = 0;
    for (size_t b = 0; b < kLatencyBoundsUs.size(); ++b) {
      cumulative += of.latency_buckets[b];
      fmt::format_to(at, "fractalbits_s3_request_seconds_bucket{{operation=\"{}\",le=\"{}\"}} {}\n",
                     operation_name(i), static_cast<double>(kLatencyBoundsUs[b]) / 1e6, cumulative);
    }
    fmt::format_to(at,
                   "fractalbits_s3_request_seconds_bucket{{operation=\"{0}\",le=\"+Inf\"}} {1}\n"
                   "fractalbits_s3_request_seconds_sum{{operation=\"{0}\"}} {2}\n"
                   "fractalbits_s3_request_seconds_count{{operation=\"{0}\"}} {1}\n",
                   operation_name(i), of.requests, static_cast<double>(of.latency_us_sum) / 1e6);
  }
}

void append_body_bytes(std::span<const PerOperation> operations, std::string& out) {
  auto at = std::back_inserter(out);
  fmt::format_to(at,
                 "# HELP fractalbits_s3_body_bytes_total Body bytes by operation and direction.\n"
                 "# TYPE fractalbits_s3_body_bytes_total counter\n");
  for (size_t i = 0; i < operations.size(); ++i) {
    if (operations[i].requests == 0) continue;
    fmt::format_to(at,
                   "fractalbits_s3_body_bytes_total{{operation=\"{0}\",direction=\"received\"}} {1}\n"
                   "fractalbits_s3_body_bytes_total{{operation=\"{0}\",direction=\"sent\"}} {2}\n",
                   operation_name(i), operations[i].received_bytes, operations[i].sent_bytes);
  }
}

}  // namespace

void ApiMetrics::record(size_t operation, int status, Duration latency, uint64_t received_bytes,
                        uint64_t sent_bytes) {
  PerOperation& of = operations[operation];
  const uint64_t us = static_cast<uint64_t>(std::max<int64_t>(0, latency.microseconds()));
  const size_t bucket = static_cast<size_t>(
      std::lower_bound(kLatencyBoundsUs.begin(), kLatencyBoundsUs.end(), us) - kLatencyBoundsUs.begin());
  ++of.requests;
  of.latency_us_sum += us;
  ++of.latency_buckets[bucket];
  ++of.by_status_class[static_cast<size_t>(std::clamp(status / 100, 0, 5))];
  of.received_bytes += received_bytes;
  of.sent_bytes += sent_bytes;
}

void ApiMetrics::add(const ApiMetrics& other) {
  for (size_t i = 0; i < operations.size(); ++i) {
    PerOperation& mine = operations[i];
    const PerOperation& theirs = other.operations[i];
    mine.requests += theirs.requests;
    mine.latency_us_sum += theirs.latency_us_sum;
    mine.received_bytes += theirs.received_bytes;
    mine.sent_bytes += theirs.sent_bytes;
    for (size_t b = 0; b < mine.latency_buckets.size(); ++b)
      mine.latency_buckets[b] += theirs.latency_buckets[b];
    for (size_t c = 0; c < mine.by_status_class.size(); ++c)
      mine.by_status_class[c] += theirs.by_status_class[c];
  }
  for (size_t i = 0; i < errors.size(); ++i) errors[i] += other.errors[i];
  cut_responses += other.cut_responses;
}

void ApiMetrics::append_to(std::string& out) const {
  append_requests(operations, out);
  append_latencies(operations, out);
  append_body_bytes(operations, out);
  auto at = std::back_inserter(out);
  fmt::format_to(at,
                 "# HELP fractalbits_s3_errors_total Error answers by S3 code.\n"
                 "# TYPE fractalbits_s3_errors_total counter\n");
  for (size_t i = 0; i < errors.size(); ++i) {
    if (errors[i] == 0) continue;
    fmt::format_to(at, "fractalbits_s3_errors_total{{code=\"{}\"}} {}\n",
                   s3::to_string(static_cast<s3::S3Error>(i)), errors[i]);
  }
  fmt::format_to(at,
                 "# HELP fractalbits_s3_responses_cut_total Responses that their clients broke off or did "
                 "not take in time.\n"
                 "# TYPE fractalbits_s3_responses_cut_total counter\n"
                 "fractalbits_s3_responses_cut_total {}\n",
                 cut_responses);
}

}  // namespace fb::api
