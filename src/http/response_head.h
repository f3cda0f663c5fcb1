// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "io/env.h"

namespace fb {

// "Not Found" for 404; "Unknown" for an undefined status.
std::string_view http_reason(int status);

// The lines that every response of a core carries: Server, Date, and that no browser may guess another type
// than the one stated. Made anew once a second.
class CommonLines {
 public:
  explicit CommonLines(Env& env) : env_(env) {}
  std::string_view get();

 private:
  Env& env_;
  std::string lines_;
  Instant stale_at_;
};

struct ResponseFraming {
  int status = 200;
  std::optional<uint64_t> content_length;
  bool chunked = false;
  bool close = false;
  bool http_1_0 = false;
};

// Writes a whole head into `out`, whose memory is reused.
void write_response_head(std::string& out, const ResponseFraming& framing, std::string_view common_lines,
                         std::string_view header_lines);

// "Fri, 02 Jan 2026 03:04:05 GMT"
inline constexpr size_t kHttpDateBytes = 29;
void write_http_date(int64_t unix_seconds, char out[kHttpDateBytes]);

}  // namespace fb
