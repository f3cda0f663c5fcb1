// SPDX-License-Identifier: Apache-2.0
// The ceiling of an HTTP server on this loop: answers every request with the same 4 KiB from memory, without
// parsing more than the blank line. Until SIGINT or SIGTERM; then prints the system calls a request cost.
//   taskset -c 0 fb_io_responder_bench PORT [portable]     taskset -c 1 wrk -t1 -c64 -d8
//   http://127.0.0.1:PORT/
#include <fmt/core.h>

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "io/runtime.h"
#include "io/scope.h"
#include "io/stream.h"

namespace fb {
namespace {

constexpr size_t kBodyBytes = 4096;

Task<void> serve(Socket socket, std::string& head, std::string& body, uint64_t& requests, CancelToken stop) {
  for (;;) {
    Result<PooledBytes> received = co_await socket.receive_pooled(
        {.deadline = socket.env().now() + Duration::seconds(60), .cancel = stop});
    if (!received || received->bytes().empty()) break;
    const std::string_view text(reinterpret_cast<const char*>(received->bytes().data()),
                                received->bytes().size());
    if (!text.ends_with("\r\n\r\n")) break;
    received->reset();
    ++requests;
    std::array<iovec, 2> vectors = {{{.iov_base = head.data(), .iov_len = head.size()},
                                     {.iov_base = body.data(), .iov_len = body.size()}}};
    if (!co_await socket.send_all(vectors, {})) break;
  }
  FB_ASSERT((co_await socket.close()).has_value());
}

Task<void> serve_all(Env& env, uint16_t port) {
  std::string head = fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", kBodyBytes);
  std::string body(kBodyBytes, 'x');
  uint64_t requests = 0;
  CancelSource stop;
  Scope connections(env);
  Result<Listener> listener = co_await Listener::open(env, Endpoint::loopback(port));
  FB_ASSERT(listener.has_value());
  auto accept = [&]() -> Task<void> {
    for (;;) {
      Result<Socket> socket = co_await listener->accept({.cancel = &stop});
      if (!socket) co_return;
      connections.spawn(&serve, std::move(*socket), std::ref(head), std::ref(body), std::ref(requests),
                        &stop);
    }
  };
  auto wait = [&]() -> Task<void> {
    FB_ASSERT((co_await wait_signal(env)).has_value());
    stop.cancel();
  };
  co_await when_all(accept, wait);
  co_await connections.join();
  FB_ASSERT((co_await listener->close()).has_value());
  const double rounds = requests == 0 ? 1 : static_cast<double>(requests);
  fmt::print("{}: {} requests, {:.3f} system calls, {:.2f} us busy a request\n", env.name(), requests,
             static_cast<double>(env.stats().io_enters) / rounds,
             static_cast<double>(env.stats().busy_ns) / 1000 / rounds);
}

}  // namespace
}  // namespace fb

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: {} PORT [portable]\n", argv[0]);
    return 2;
  }
  const auto port = static_cast<uint16_t>(std::strtoul(argv[1], nullptr, 10));
  const fb::IoBackend backend = argc > 2 ? fb::IoBackend::portable : fb::IoBackend::automatic;
  const auto ran =
      fb::run_cores({.backend = backend}, [&](fb::Env& env) { return fb::serve_all(env, port); });
  return ran ? 0 : 1;
}
