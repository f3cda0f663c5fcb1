// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "http/exchange.h"

namespace fb {

// The management port: /health (the process runs), /ready (requests are served), /metrics (Prometheus). All
// three are open and reveal counts only; /metrics answers to known names only, the other two to any, because
// health checks of load balancers send any name. POST /fsck checks the store beside the traffic, POST /scrub
// reads and verifies all content; both name keys, and so need a request signed with the root key, as S3
// requests are.
class ManagementHandler final : public HttpHandler {
 public:
  struct Source {
    std::function<bool()> ready;
    // The state of the cloud tier in one word; empty: there is no tier.
    std::function<Task<std::string>()> tier;
    // The metrics, collected from all cores.
    std::function<Task<std::string>()> metrics;
    // Whether counts may be read under that name of this host.
    std::function<bool(std::string_view host)> serves;
    // Empty, or why the request is refused.
    std::function<std::string(const RequestHead&)> refuses;
    std::function<Task<std::string>()> fsck;
    std::function<Task<std::string>()> scrub;
  };
  explicit ManagementHandler(Source source) : source_(std::move(source)) {}

  Task<void> handle(HttpExchange& exchange) override;
  std::string protocol_error(int status, HeaderWriter& headers) override;

 private:
  // One of each kind at a time; answers with its report.
  Task<void> report(HttpExchange& exchange, const std::function<Task<std::string>()>& make, bool& busy);

  Source source_;
  bool checking_ = false;
  bool scrubbing_ = false;
};

}  // namespace fb
