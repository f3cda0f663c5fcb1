// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <string>

#include "base/config.h"
#include "server/settings.h"

namespace fb {

// The table behind flags, environment, file, help and sample.
std::span<const SettingInfo> server_setting_table();

// `environment` looks a variable up ("" if unset).
ConfigResult<ServerSettings> resolve_server_settings(
    const Settings& settings, const std::function<std::string(const char*)>& environment);

}  // namespace fb
