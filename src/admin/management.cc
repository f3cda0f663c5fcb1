// SPDX-License-Identifier: Apache-2.0
#include "admin/management.h"

#include <fmt/format.h>

namespace fb {
namespace {

Task<void> respond_text(HttpExchange& exchange, int status, std::string text,
                        std::string_view type = "text/plain; charset=utf-8") {
  exchange.headers().add("Content-Type", type);
  exchange.headers().add_lines("Cache-Control: no-store\r\n");
  iovec body{text.data(), text.size()};
  (void)co_await exchange.respond(status, {&body, 1});
}

Task<void> misdirected(HttpExchange& exchange) {
  return respond_text(
      exchange, 421,
      "this port does not serve that host; use its address, or name the host with --mgmt-host\n");
}

}  // namespace

Task<void> ManagementHandler::handle(HttpExchange& exchange) {
  const RequestHead& head = exchange.request();
  if (head.path == "/fsck" && head.method == "POST")
    co_return co_await report(exchange, source_.fsck, checking_);
  if (head.path == "/scrub" && head.method == "POST")
    co_return co_await report(exchange, source_.scrub, scrubbing_);
  if (head.method != "GET" && head.method != "HEAD") {
    exchange.headers().add_lines("Allow: GET, HEAD\r\n");
    co_return co_await respond_text(exchange, 405,
                                    "only GET and HEAD are served here, and POST /fsck and /scrub\n");
  }
  if (head.path == "/health") {
    const std::string tier = co_await source_.tier();
    std::string text = tier.empty() ? "ok\n" : fmt::format("ok\ntier: {}\n", tier);
    co_return co_await respond_text(exchange, 200, std::move(text));
  }
  if (head.path == "/ready") {
    const bool ready = source_.ready();
    co_return co_await respond_text(exchange, ready ? 200 : 503, ready ? "ready\n" : "not ready\n");
  }
  if (head.path == "/metrics") {
    if (!source_.serves(head.header("host"))) co_return co_await misdirected(exchange);
    std::string text = co_await source_.metrics();
    co_return co_await respond_text(exchange, 200, std::move(text),
                                    "text/plain; version=0.0.4; charset=utf-8");
  }
  co_await respond_text(exchange, 404, "here are /health, /ready, /metrics and POST /fsck and /scrub\n");
}

Task<void> ManagementHandler::report(HttpExchange& exchange, const std::function<Task<std::string>()>& make,
                                     bool& busy) {
  if (!source_.serves(exchange.request().header("host"))) co_return co_await misdirected(exchange);
  const std::string refusal = source_.refuses(exchange.request());
  if (!refusal.empty()) co_return co_await respond_text(exchange, 403, refusal + "\n");
  if (!source_.ready()) co_return co_await respond_text(exchange, 503, "not ready\n");
  if (busy) co_return co_await respond_text(exchange, 409, "one is under way already\n");
  busy = true;
  std::string text = co_await make();
  busy = false;
  co_await respond_text(exchange, 200, std::move(text));
}

std::string ManagementHandler::protocol_error(int status, HeaderWriter& headers) {
  headers.add("Content-Type", "text/plain; charset=utf-8");
  return fmt::format("bad request ({})\n", status);
}

}  // namespace fb
