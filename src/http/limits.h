// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "base/units.h"

namespace fb {

inline constexpr size_t kHeaderCountMax = 128;

// Every bound of the HTTP server and client. The comment on each says what happens at the bound.
struct HttpLimits {
  // The request (or status) line without its line end; 414 beyond. A presigned URL takes up to about 2 KiB
  // and a key of 1024 bytes up to 3 KiB when percent-encoded.
  size_t request_line_bytes = 16 * kKiB;
  // The header section with all line ends; 431 beyond. S3 allows 2 KiB of user metadata and 8 KiB in all,
  // which src/s3 refuses with more words.
  size_t header_section_bytes = 16 * kKiB;
  // At most kHeaderCountMax, the size of the array for them; 431 beyond.
  size_t header_count = kHeaderCountMax;

  // Connections per core. Near the limit quiet connections are closed; at the limit none is accepted until
  // one has closed: the kernel's backlog holds the others.
  size_t connections = 16'384;
  // Requests worked on at a time on one core. Requests whose client is waited for do not count, up to as many
  // again. Beyond that the slowest clients are cut, and requests more than an eighth beyond it are answered
  // with 503.
  size_t requests = 4'096;

  // Between requests; the connection is closed without a word.
  Duration idle_timeout = Duration::seconds(60);
  // From the first byte of a request (from the accept for the first one) to the end of its head; 408.
  Duration head_timeout = Duration::seconds(30);
  // Between two receives of a body. read_body() fails with HttpError::timed_out.
  Duration body_idle_timeout = Duration::seconds(30);
  // The rate that a body must average after it was waited for longer than body_idle_timeout; the same error.
  uint64_t body_bytes_per_second_min = 256;
  // And within this time a body must fill the memory that its handler holds for it. docs/admission.md has the
  // rates that apply if memory is short.
  Duration body_hold_max = Duration::seconds(256);
  // A send must end within this time plus the time its bytes take at send_bytes_per_second_min; otherwise the
  // connection is closed.
  Duration send_idle_timeout = Duration::seconds(30);
  uint64_t send_bytes_per_second_min = 4 * kKiB;
  // Replaces send_idle_timeout if the client was not authenticated, on this request or an earlier one.
  Duration anonymous_send_timeout = Duration::seconds(10);
  Duration tls_handshake_timeout = Duration::seconds(10);
  // Time-outs are checked this often, for all connections of a core in one pass, so they are this coarse.
  Duration timeout_resolution = Duration::milliseconds(500);

  // If a handler left a request body unread, this much of it is received and dropped, so that the connection
  // can be kept and the client reads its answer; beyond, or after this time, the connection is closed.
  uint64_t drain_bytes = 1 * kMiB;
  Duration drain_timeout = Duration::seconds(5);
};

}  // namespace fb
