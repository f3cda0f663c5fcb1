// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace fb {

// Counters of one server on one core; summed over cores when scraped.
struct HttpStats {
  uint64_t requests = 0;
  std::array<uint64_t, 6> responses_by_class{};  // index 2 holds 2xx, and so on
  uint64_t connections_accepted = 0;
  uint64_t connections_active = 0;
  uint64_t accept_errors = 0;
  uint64_t body_received_bytes = 0;
  uint64_t body_sent_bytes = 0;
  uint64_t protocol_errors = 0;
  uint64_t timeouts = 0;
  uint64_t tls_handshakes = 0;
  uint64_t tls_handshake_errors = 0;
  // docs/admission.md
  uint64_t connections_max = 0;
  uint64_t connections_shed = 0;
  uint64_t bodies_cut = 0;
  uint64_t answers_cut = 0;
  uint64_t requests_refused = 0;
};

}  // namespace fb
