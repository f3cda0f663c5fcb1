// SPDX-License-Identifier: Apache-2.0
#include "io/name_lookup.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <algorithm>
#include <cstring>

#include "io/error.h"

namespace fb {
namespace {

Endpoint endpoint_of(const addrinfo& found, uint16_t port) {
  if (found.ai_family == AF_INET) {
    sockaddr_in address{};
    std::memcpy(&address, found.ai_addr, sizeof(address));
    std::array<uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &address.sin_addr, bytes.size());
    return Endpoint::ipv4(bytes[0], bytes[1], bytes[2], bytes[3], port);
  }
  sockaddr_in6 address{};
  std::memcpy(&address, found.ai_addr, sizeof(address));
  Endpoint endpoint{.port = port};
  std::memcpy(endpoint.address.data(), &address.sin6_addr, endpoint.address.size());
  return endpoint;
}

// Numbers need no resolver: they work in the simulator, too.
bool parse_address(const std::string& host, uint16_t port, Endpoint& out) {
  std::array<uint8_t, 4> bytes{};
  if (inet_pton(AF_INET, host.c_str(), bytes.data()) == 1) {
    out = Endpoint::ipv4(bytes[0], bytes[1], bytes[2], bytes[3], port);
    return true;
  }
  out.port = port;
  return inet_pton(AF_INET6, host.c_str(), out.address.data()) == 1;
}

}  // namespace

Task<Result<std::vector<Endpoint>>> resolve(Env& env, std::string host, uint16_t port, IoLimits limits) {
  if (Endpoint endpoint; parse_address(host, port, endpoint)) co_return std::vector{endpoint};
  std::vector<Endpoint> addresses;
  FB_CO_CHECK(co_await VoidAwaiter(env, limits, [&](IoRequest& request) {
    request.kind = IoKind::resolve;
    request.path = host.c_str();
    request.length = port;
    request.out = &addresses;
  }));
  co_return addresses;
}

Result<std::vector<Endpoint>> look_up_host(const std::string& host, uint16_t port) {
  if (Endpoint endpoint; parse_address(host, port, endpoint)) return std::vector{endpoint};
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error == EAI_NONAME || error == EAI_NODATA) return IoError::not_found;
  if (error != 0) return IoError::failed;
  std::vector<Endpoint> endpoints;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    if (each->ai_family != AF_INET && each->ai_family != AF_INET6) continue;
    const Endpoint endpoint = endpoint_of(*each, port);
    if (std::ranges::find(endpoints, endpoint) == endpoints.end()) endpoints.push_back(endpoint);
  }
  freeaddrinfo(found);
  if (endpoints.empty()) return IoError::not_found;
  return endpoints;
}

}  // namespace fb
