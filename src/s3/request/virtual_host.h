// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

// The names of a server, and the bucket that a host name may carry.
//
// A request names its host in the Host header. A proxy may have rewritten that header, and some clients sign
// it without its port, so a signature is tried over a few forms of the name. One form must then hold for the
// whole request: the name that verified is the name that route() gets. No other place reads the Host header
// to learn a bucket.

namespace fb::s3 {

struct ServedNames {
  // The names under which buckets are hosts ("s3.example.com" for "bucket.s3.example.com"), in lower case.
  std::span<const std::string> domains;
  // The host (and port) clients use where a proxy rewrites the Host header; empty: none.
  std::string_view external_host;
};

// The host without port and final dot: "a.b:8080" -> "a.b". Addresses in brackets stay as they are.
std::string_view strip_port(std::string_view host);

// The bucket part of a virtual host, in the letter case of the request; nothing for path style. The longest
// domain that fits counts.
std::optional<std::string_view> bucket_of_host(std::string_view host, std::span<const std::string> domains);

// The names over which a request may have been signed, each once, in the order in which they are tried: the
// Host header as it came, the external host, then both without their ports.
class HostForms {
 public:
  HostForms(std::string_view host_header, std::string_view external_host);

  const std::string_view* begin() const { return forms_.data(); }
  const std::string_view* end() const { return forms_.data() + count_; }

 private:
  void add(std::string_view form);

  static constexpr size_t kMax = 4;
  std::array<std::string_view, kMax> forms_;
  size_t count_ = 0;
};

}  // namespace fb::s3
