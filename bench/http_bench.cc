// SPDX-License-Identifier: Apache-2.0
// A server that answers every GET with the same 4 KiB from memory: what HTTP itself costs. One core; load it
// with wrk.
//     taskset -c 0 build/release/bench/fb_http_bench [PORT [portable]]
//     taskset -c 1 wrk -t1 -c64 -d8 http://127.0.0.1:PORT/
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>

#include "http/http_server.h"
#include "io/runtime.h"

namespace {

constexpr size_t kBodyBytes = 4096;
constexpr uint16_t kDefaultPort = 28080;

class FixedBody final : public fb::HttpHandler {
 public:
  fb::Task<void> handle(fb::HttpExchange& exchange) override {
    iovec vector{body_.data(), body_.size()};
    exchange.headers().add_lines("Content-Type: application/octet-stream\r\n");
    (void)co_await exchange.respond(200, {&vector, 1});
  }
  std::string protocol_error(int, fb::HeaderWriter&) override { return "bad request\n"; }

 private:
  std::string body_ = std::string(kBodyBytes, 'x');
};

fb::Task<void> serve(fb::Env& env, uint16_t port) {
  auto listener = co_await fb::Listener::open(env, fb::Endpoint::loopback(port));
  if (!listener) {
    fmt::print(stderr, "cannot listen on port {}: {}\n", port, listener.error().to_string());
    co_return;
  }
  FixedBody handler;
  fb::HttpServer server(env, std::move(*listener), handler);
  fmt::print("{} on {}\n", env.name(), server.endpoint().to_string());
  std::fflush(stdout);
  co_await fb::when_all([&] { return server.run(); },
                        [&]() -> fb::Task<void> {
                          (void)co_await fb::wait_signal(env);
                          server.stop(fb::Duration::seconds(1));
                        });
  const fb::EnvStats& stats = env.stats();
  const auto requests = static_cast<double>(std::max<uint64_t>(server.stats().requests, 1));
  fmt::print("requests {}, io enters per request {:.3f}, frame mallocs {}, busy ns per request {:.0f}\n",
             server.stats().requests, static_cast<double>(stats.io_enters) / requests,
             fb::frame_mallocs_on_this_thread(), static_cast<double>(stats.busy_ns) / requests);
}

}  // namespace

int main(int argc, char** argv) {
  uint16_t port = kDefaultPort;
  if (argc > 1) {
    const std::string_view text = argv[1];
    std::from_chars(text.data(), text.data() + text.size(), port);
  }
  const bool portable = argc > 2 && std::string_view(argv[2]) == "portable";
  const auto ran =
      fb::run_cores({.cores = 1, .backend = portable ? fb::IoBackend::portable : fb::IoBackend::automatic},
                    [port](fb::Env& env) { return serve(env, port); });
  if (!ran) fmt::print(stderr, "{}\n", ran.error().to_string());
  return ran ? 0 : 1;
}
