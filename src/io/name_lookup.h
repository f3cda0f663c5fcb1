// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "io/io_awaiter.h"

namespace fb {

// The addresses of a host, in the order in which the system would try them, each once; an address in numbers
// is its own. Never blocks a core: see docs/io.md. IoError::not_found if the name has none, IoError::failed
// if nobody answers, IoError::timed_out, cancelled, or limit.
Task<Result<std::vector<Endpoint>>> resolve(Env& env, std::string host, uint16_t port, IoLimits limits = {});

// Asks the system's resolver, which blocks the thread.
Result<std::vector<Endpoint>> look_up_host(const std::string& host, uint16_t port);

}  // namespace fb
