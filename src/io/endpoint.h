// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fb {

// An IP address and TCP port. IPv4 addresses are held as IPv4-mapped IPv6 ones (::ffff:a.b.c.d).
struct Endpoint {
  std::array<uint8_t, 16> address{};
  uint16_t port = 0;

  static Endpoint ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port);
  static Endpoint loopback(uint16_t port) { return ipv4(127, 0, 0, 1, port); }
  // "127.0.0.1:8080", "[::1]:8080", ":8080" (all addresses), "localhost:8080". No name look-ups.
  static Result<Endpoint> parse(std::string_view text);
  bool is_ipv4() const;
  bool is_loopback() const;
  // "127.0.0.1", "::1".
  std::string host_text() const;
  std::string to_string() const;
  bool operator==(const Endpoint&) const = default;
};

}  // namespace fb
