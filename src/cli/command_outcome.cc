// SPDX-License-Identifier: Apache-2.0
#include "cli/command_outcome.h"

#include <fmt/format.h>

#include "io/runtime.h"

namespace fb {

CommandOutcome run_on_core(const std::function<Task<CommandOutcome>(Env&)>& command) {
  RuntimeOptions runtime;
  runtime.on_notice = [](Env&, std::string_view) {};  // notices about the kind of I/O are of no interest here
  CommandOutcome outcome;
  const auto ran = run_cores(runtime, [&](Env& env) -> Task<void> { outcome = co_await command(env); });
  if (!ran) return {kExitFailed, fmt::format("cannot start: {}", ran.error().to_string())};
  return outcome;
}

}  // namespace fb
