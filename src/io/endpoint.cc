// SPDX-License-Identifier: Apache-2.0
#include "io/endpoint.h"

#include <arpa/inet.h>
#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "io/error.h"

namespace fb {
namespace {

constexpr std::array<uint8_t, 12> kIpv4Prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool parse_port(std::string_view text, uint16_t& port) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || value > UINT16_MAX)
    return false;
  port = static_cast<uint16_t>(value);
  return true;
}

}  // namespace

Endpoint Endpoint::ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port) {
  Endpoint endpoint;
  std::ranges::copy(kIpv4Prefix, endpoint.address.begin());
  endpoint.address[12] = a;
  endpoint.address[13] = b;
  endpoint.address[14] = c;
  endpoint.address[15] = d;
  endpoint.port = port;
  return endpoint;
}

Result<Endpoint> Endpoint::parse(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return IoError::failed;
  uint16_t port = 0;
  if (!parse_port(text.substr(colon + 1), port)) return IoError::failed;

  std::string host(text.substr(0, colon));
  if (host.empty()) return Endpoint{.port = port};
  if (host == "localhost") return loopback(port);
  if (host.front() == '[') {
    if (host.back() != ']') return IoError::failed;
    host = host.substr(1, host.size() - 2);
    Endpoint endpoint{.port = port};
    if (inet_pton(AF_INET6, host.c_str(), endpoint.address.data()) != 1) return IoError::failed;
    return endpoint;
  }
  std::array<uint8_t, 4> bytes{};
  if (inet_pton(AF_INET, host.c_str(), bytes.data()) != 1) return IoError::failed;
  return ipv4(bytes[0], bytes[1], bytes[2], bytes[3], port);
}

bool Endpoint::is_ipv4() const { return std::equal(kIpv4Prefix.begin(), kIpv4Prefix.end(), address.begin()); }

bool Endpoint::is_loopback() const {
  if (is_ipv4()) return address[12] == 127;
  return address[15] == 1 &&
         std::all_of(address.begin(), address.end() - 1, [](uint8_t byte) { return byte == 0; });
}

std::string Endpoint::host_text() const {
  if (is_ipv4()) return fmt::format("{}.{}.{}.{}", address[12], address[13], address[14], address[15]);
  std::array<char, INET6_ADDRSTRLEN> text{};
  FB_ASSERT(inet_ntop(AF_INET6, address.data(), text.data(), text.size()) != nullptr);
  return text.data();
}

std::string Endpoint::to_string() const {
  return is_ipv4() ? fmt::format("{}:{}", host_text(), port) : fmt::format("[{}]:{}", host_text(), port);
}

}  // namespace fb
