// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>

#include "http/http_server.h"
#include "io/env.h"

namespace fb {

// Memory that clients hold, and actions against slow ones: the budgets of docs/admission.md, of all cores
// together.
struct AdmissionCounters {
  std::array<uint64_t, kBufferUseCount> buffer_bytes{};
  uint64_t buffer_waits = 0;
  uint64_t buffer_refused = 0;
  uint64_t buffer_waiting = 0;
  uint64_t receive_buffers = 0;
  uint64_t held_bytes = 0;
  uint64_t text_bytes = 0;
  uint64_t requests = 0;
  uint64_t connections_max = 0;
  uint64_t connections_shed = 0;
  uint64_t bodies_cut = 0;
  uint64_t answers_cut = 0;
  uint64_t requests_refused = 0;

  // Called on that core.
  void add_core(Env& env, const HttpServer& server, uint64_t text_bytes_of_core);
  void append_to(std::string& text) const;
};

}  // namespace fb
