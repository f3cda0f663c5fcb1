// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "http/exchange.h"

namespace fb {

// The management port: /health (the process runs), /ready (requests are served), /metrics (Prometheus). All
// three are open and reveal counts only. Nothing here changes anything; what will needs credentials.
class ManagementHandler final : public HttpHandler {
 public:
  struct Source {
    std::function<bool()> ready;
    // Collected from all cores.
    std::function<Task<std::string>()> metrics;
  };
  explicit ManagementHandler(Source source) : source_(std::move(source)) {}

  Task<void> handle(HttpExchange& exchange) override;
  std::string protocol_error(int status, HeaderWriter& headers) override;

 private:
  Source source_;
};

}  // namespace fb
