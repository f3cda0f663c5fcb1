// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "io/endpoint.h"

namespace fb {

// The addresses of a host, in the order in which they are to be tried; an address in numbers is its own.
// IoError::not_found where the name has none, IoError::failed where nobody answers. Names are looked up by
// the system's resolver, which blocks the thread: for programs that have nothing else to do, never for a core
// that serves.
Result<std::vector<Endpoint>> look_up_host(const std::string& host, uint16_t port);

}  // namespace fb
