// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/log.h"
#include "io/env.h"

namespace fb {

// Writes one log line if the level asks for it: log(env, LogLevel::warn, "disk nearly full",
// {{"free_bytes", n}});
inline void log(Env& env, LogLevel level, std::string_view message,
                std::initializer_list<LogField> fields = {}) {
  if (level < env.log_options().level) return;
  env.write_log(format_log_line(env.log_options().format, env.wall_clock(), level, message, fields));
}

}  // namespace fb
