// SPDX-License-Identifier: Apache-2.0
#include "cli/format_command.h"

#include <fmt/format.h>

#include "base/units.h"
#include "bss/device_make.h"
#include "io/file.h"
#include "io/runtime.h"

namespace fb {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

std::string gibibytes(uint64_t bytes) {
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / static_cast<double>(kGiB));
}

// Nothing where it is not there, which making it finds again.
Task<std::optional<FileStat>> look_at(Env& env, const std::string& path) {
  auto opened = co_await File::open(env, path, {});
  if (!opened) co_return std::nullopt;
  const auto stat = co_await opened->stat();
  (void)co_await opened->close();
  if (!stat) co_return std::nullopt;
  co_return *stat;
}

}  // namespace

Task<CommandOutcome> format_device(Env& env, const FormatOptions& options,
                                   const FormatProgress& on_progress) {
  if (options.zero && options.no_zero)
    co_return CommandOutcome{kExitUsage, "--zero and --no-zero cannot be given together"};
  const auto stat = co_await look_at(env, options.device);
  const uint64_t size = stat && stat->size_bytes != 0 ? stat->size_bytes : options.size_bytes;
  if (size != 0 && size < kFormatBytesMin) {
    co_return CommandOutcome{kExitFailed, fmt::format("{} would have {} bytes; a store needs at least {}",
                                                      options.device, size, gibibytes(kFormatBytesMin))};
  }
  using Zero = bss::DeviceMakeOptions::Zero;
  std::string message;
  const auto made = co_await bss::make_device(env,
                                              {.path = options.device,
                                               .size_bytes = options.size_bytes,
                                               .force = options.force,
                                               .zero = options.zero      ? Zero::everything
                                                       : options.no_zero ? Zero::nothing
                                                                         : Zero::as_needed,
                                               .on_progress = on_progress},
                                              message);
  if (!made) co_return CommandOutcome{kExitFailed, fmt::format("{}: {}", options.device, message)};
  const bss::DeviceSuperblock& superblock = made->superblock;
  co_return CommandOutcome{
      0, fmt::format("{0} is ready: a {1} of {2}, {3} extents of {4} KiB{5}.\nStart with:\n\n"
                     "  fractalbits server --device {0}",
                     options.device, made->block_device ? "block device" : "file",
                     gibibytes(superblock.size_bytes), superblock.extent_count,
                     superblock.extent_bytes / kKiB, made->zeroed ? ", written with zeros" : "")};
}

CommandOutcome run_format(const FormatOptions& options, const FormatProgress& on_progress) {
  RuntimeOptions runtime;
  runtime.on_notice = [](Env&, std::string_view) {};
  CommandOutcome outcome;
  const auto ran = run_cores(
      runtime, [&](Env& env) -> Task<void> { outcome = co_await format_device(env, options, on_progress); });
  if (!ran) return {kExitFailed, fmt::format("cannot start: {}", ran.error().to_string())};
  return outcome;
}

}  // namespace fb
