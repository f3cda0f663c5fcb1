// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/ascii.h"

namespace fb {

// One field of a request's header section, as it stood on the wire: the name in the sender's letter case, the
// value without leading and trailing white space. Views into the connection's input buffer.
struct HeaderField {
  std::string_view name;
  std::string_view value;
};

// The head of an HTTP request, parsed in place. Shared by src/http, which makes it, and src/s3, which
// authenticates and routes it without knowing of connections. Valid as long as the exchange it belongs to.
struct RequestHead {
  std::string_view method;  // "GET", as sent; methods are case-sensitive
  std::string_view target;  // as sent: "/bucket/a%20b?list-type=2"
  std::string_view path;    // target up to '?', still percent-encoded; starts with '/'
  std::string_view query;   // target behind '?', still percent-encoded; empty if there is none
  std::span<const HeaderField> headers;
  bool http_1_0 = false;
  bool tls = false;

  // The first field of that name (compared without regard to case), or an empty view with null data if
  // absent.
  std::string_view header(std::string_view name) const {
    for (const HeaderField& field : headers) {
      if (ascii_iequals(field.name, name)) return field.value;
    }
    return {};
  }
  bool has_header(std::string_view name) const {
    for (const HeaderField& field : headers) {
      if (ascii_iequals(field.name, name)) return true;
    }
    return false;
  }
};

}  // namespace fb
