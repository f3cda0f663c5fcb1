// SPDX-License-Identifier: Apache-2.0
#include "cli/format_command.h"

#include <fmt/format.h>

#include <memory>

#include "base/units.h"
#include "bss/device/device_make.h"
#include "cli/process.h"
#include "io/file.h"

namespace fb {
namespace {

constexpr std::string_view kAbout =
    "Make a block device, or a file, ready to hold a store. Nothing is done to one on which anything is "
    "found, or that is mounted or in use.\n\n"
    "  fractalbits format --device /dev/nvme1n1\n"
    "  fractalbits server --device /dev/nvme1n1\n\n"
    "  fractalbits format --device ./store.fractalbits --size 100GiB      a file, made now";
constexpr std::string_view kMore = "Exit status: 0 it is ready, 1 it was refused or failed, 2 wrong usage.";

std::string gibibytes(uint64_t bytes) {
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / static_cast<double>(kGiB));
}

// Nothing if it is not there; the step that makes it reports any other fault again.
Task<std::optional<FileStat>> look_at(Env& env, const std::string& path) {
  auto opened = co_await File::open(env, path, {});
  if (!opened) co_return std::nullopt;
  const auto stat = co_await opened->stat();
  (void)co_await opened->close();
  if (!stat) co_return std::nullopt;
  co_return *stat;
}

// A progress bar if standard error is a terminal, else nothing.
FormatProgress format_progress() {
  if (!errors_are_terminal()) return {};
  return [shown = -1](uint64_t done, uint64_t total) mutable {
    constexpr int kWidth = 40;
    const int percent = total == 0 ? 100 : static_cast<int>(done * 100 / total);
    if (percent == shown) return;
    shown = percent;
    const auto filled = static_cast<size_t>(percent * kWidth / 100);
    print_error(fmt::format("\r  [{}{}] {:3} %  {:.1f} of {:.1f} GiB", std::string(filled, '#'),
                            std::string(kWidth - filled, '.'), percent, static_cast<double>(done) / kGiB,
                            static_cast<double>(total) / kGiB));
    if (done == total) print_error("\n");
  };
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

void add_format_command(CommandLine& line) {
  const auto options = std::make_shared<FormatOptions>();
  CommandOptions format = line.add("format", kAbout, kMore, [options] {
    return finish(run_on_core([&](Env& env) -> Task<CommandOutcome> {
      co_return co_await format_device(env, *options, format_progress());
    }));
  });
  auto& device = format.text("--device", options->device, "PATH", "The block device or file.");
  CommandOptions::require(device);
  format.bytes("--size", options->size_bytes, "Of a file to be made.");
  format.flag("--force", options->force,
              "Destroy what is on it. One that is mounted, or in use, is refused all the same.");
  format.flag("--zero", options->zero,
              "Write zeros over all of a block device, too. Of a file that is always done: a file system is "
              "slow with blocks that were never written.");
  format.flag("--no-zero", options->no_zero, "Not of a file either.");
}

}  // namespace fb
