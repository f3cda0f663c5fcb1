// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/call.h"
#include "api/metrics.h"
#include "s3/request/virtual_host.h"

namespace fb::api {

// S3 over HTTP on one core: authenticates each request before any other work, finds its operation, runs it,
// counts it. Keeps no state between requests but signing keys and counters. Never caches the result of a
// verification.
class ApiServer final : public HttpHandler {
 public:
  ApiServer(Services services, RootClient& roots, const ApiOptions& options);

  Task<void> handle(HttpExchange& exchange) override;
  std::string protocol_error(int status, HeaderWriter& headers) override;

  const ApiMetrics& metrics() const { return metrics_; }
  uint64_t text_bytes() const { return services_.env.buffers().used_bytes(BufferUse::text); }

 private:
  Task<S3Result<void>> process(Call& call, const Result<s3::AuthRequest>& claims,
                               const S3Result<void>& head_problem, s3::RouteBuffer& buffer,
                               size_t& operation);
  Task<S3Result<void>> authenticate(Call& call, const Result<s3::AuthRequest>& claims);
  s3::ServedNames served_names() const { return {options_.domains, options_.external_host}; }
  Task<S3Result<void>> find_bucket(Call& call);
  Task<S3Result<void>> run(Call& call);
  void add_request_ids(Call& call);
  Task<int> respond_failure(Call& call, const S3Failure& failure);
  void write_access_log(const Call& call, int status, Duration latency, std::string_view error);

  Services services_;
  RootClient& roots_;
  ApiOptions options_;
  s3::SigningKeyCache signing_keys_;
  ApiMetrics metrics_;
  Md5Batch md5s_;
  std::string host_id_;
};

}  // namespace fb::api
