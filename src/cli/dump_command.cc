// SPDX-License-Identifier: Apache-2.0
#include "cli/dump_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <vector>

#include "bss/aligned_bytes.h"
#include "bss/device.h"
#include "bss/segment_dump.h"
#include "cli/fsck_command.h"
#include "cli/store_place.h"
#include "io/file.h"
#include "io/runtime.h"

namespace fb {
namespace {

constexpr int kExitFailed = 1;
constexpr size_t kReadBytes = kMiB;

// All of it, as far as it can be read: what the device refuses is zeros, and told.
Task<Result<void>> read_all(File& file, std::span<std::byte> bytes,
                            const std::function<void(std::string_view)>& line) {
  for (size_t at = 0; at < bytes.size(); at += kReadBytes) {
    const auto piece = bytes.subspan(at, std::min(kReadBytes, bytes.size() - at));
    if (co_await file.read_exactly(piece, at)) continue;
    for (size_t block = 0; block < piece.size(); block += bss::kBlockBytes) {
      const auto part = piece.subspan(block, std::min(bss::kBlockBytes, piece.size() - block));
      if (co_await file.read_exactly(part, at + block)) continue;
      std::ranges::fill(part, std::byte{0});
      line(fmt::format("{:>10}  {} bytes cannot be read; they are taken for zeros", at + block, part.size()));
    }
  }
  co_return Result<void>();
}

}  // namespace

Task<CommandOutcome> dump_segment_file(Env& env, const std::string& path,
                                       const std::function<void(std::string_view)>& line) {
  auto opened = co_await File::open(env, path, {.direct = true});
  if (!opened) {
    const int number = opened.error().os_errno();
    const std::string why =
        number != 0 ? std::generic_category().message(number) : opened.error().to_string();
    co_return CommandOutcome{kExitFailed, fmt::format("cannot read {}: {}", path, why)};
  }
  File file = std::move(*opened);
  const auto stat = co_await file.stat();
  CommandOutcome outcome;
  if (!stat || stat->directory || stat->size_bytes > bss::kSegmentBytesMax) {
    outcome = {kExitFailed, fmt::format("{}: not a segment; they are the files segment-* of a store", path)};
  } else {
    AlignedBytes memory;
    memory.resize(stat->size_bytes);
    const auto bytes = memory.span();
    (void)co_await read_all(file, bytes, line);
    const bss::SegmentDump dump = bss::dump_segment(bytes, line);
    outcome = {
        dump.intact() ? 0 : kExitDamaged,
        fmt::format("{}: {} batches, {} entries; {} headers, {} payloads and {} tables of pieces damaged, "
                    "{} bytes unknown between batches",
                    dump.intact() ? "intact" : "damaged", dump.batches, dump.entries, dump.headers_damaged,
                    dump.payloads_damaged, dump.tables_damaged, dump.unknown_bytes)};
  }
  (void)co_await file.close();
  co_return outcome;
}

// Looked at beside a server that may be running: its table is read as it is on the device.
Task<CommandOutcome> dump_segment_of_device(Env& env, const std::string& path, const std::string& device_path,
                                            const std::function<void(std::string_view)>& line) {
  auto device = co_await bss::Device::open(env, {.path = device_path, .read_only = true});
  if (!device) co_return CommandOutcome{kExitFailed, device_problem(device_path, device.error())};
  CommandOutcome outcome =
      co_await dump_segment_file(env, fmt::format("{}/{}", (*device)->path(), path), line);
  (void)co_await (*device)->close();
  co_return outcome;
}

CommandOutcome run_dump_segment(const std::string& path, const std::string& device_path,
                                const std::function<void(std::string_view)>& line) {
  RuntimeOptions runtime;
  runtime.on_notice = [](Env&, std::string_view) {};
  CommandOutcome outcome;
  const auto ran = run_cores(runtime, [&](Env& env) -> Task<void> {
    if (device_path.empty()) {
      outcome = co_await dump_segment_file(env, path, line);
    } else {
      outcome = co_await dump_segment_of_device(env, path, device_path, line);
    }
  });
  if (!ran) return {kExitFailed, fmt::format("cannot start: {}", ran.error().to_string())};
  return outcome;
}

}  // namespace fb
