// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "server/settings.h"

namespace fb {

// Connections of the management port, which serves monitoring only.
inline constexpr size_t kManagementConnections = 32;

// How many connections of clients one core accepts: an equal part of the descriptors that the store's files,
// the management port and the process itself leave. docs/admission.md
size_t connections_of_core(const ServerSettings& settings);

}  // namespace fb
