// SPDX-License-Identifier: Apache-2.0
#include "cli/dump_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <system_error>
#include <vector>

#include "bss/aligned_bytes.h"
#include "bss/blob/segment_dump.h"
#include "bss/device/device.h"
#include "cli/process.h"
#include "io/file.h"
#include "server/store_place.h"

namespace fb {
namespace {

constexpr std::string_view kAbout =
    "Show what a segment of the blob store says: headers, batches, entries, and what is "
    "not intact. It is only "
    "read, and may be damaged.\n\n"
    "  fractalbits dump-segment ./fractalbits-data/blobs/shard-0003/segment-00000000\n"
    "  fractalbits dump-segment --device /dev/sdb blobs/shard-0003/segment-00000000";
constexpr std::string_view kMore =
    "Exit status: 0 all is intact, 1 it could not be read, 2 wrong usage, 4 something is damaged.";

struct DumpOptions {
  std::string file;
  std::string device;  // the file's device; empty: a file of the file system
};

constexpr size_t kReadBytes = kMiB;

// Opens it for direct I/O, to read from the disk itself, unless a cut left a size that direct I/O cannot
// read.
Task<Result<File>> open_segment(Env& env, const std::string& path) {
  FB_CO_TRY(File file, co_await File::open(env, path, {.direct = true}));
  const auto stat = co_await file.stat();
  if (!stat || stat->size_bytes % kDirectIoAlignment == 0) co_return file;
  FB_CO_CHECK(co_await file.close());
  co_return co_await File::open(env, path, {});
}

// Reads all of it, as far as possible: blocks that the device refuses become zeros, and are reported.
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
  auto opened = co_await open_segment(env, path);
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

namespace {

// A server may be running beside this: the device's table is read as it is on the device.
Task<CommandOutcome> dump_segment_of_device(Env& env, const std::string& path, const std::string& device_path,
                                            const std::function<void(std::string_view)>& line) {
  auto device = co_await bss::Device::open(env, {.path = device_path, .read_only = true});
  if (!device) co_return CommandOutcome{kExitFailed, device_problem(device_path, device.error())};
  CommandOutcome outcome =
      co_await dump_segment_file(env, fmt::format("{}/{}", (*device)->path(), path), line);
  (void)co_await (*device)->close();
  co_return outcome;
}

}  // namespace

void add_dump_command(CommandLine& line) {
  const auto options = std::make_shared<DumpOptions>();
  CommandOptions dump = line.add("dump-segment", kAbout, kMore, [options] {
    return finish_check(run_on_core([&](Env& env) -> Task<CommandOutcome> {
      if (options->device.empty()) co_return co_await dump_segment_file(env, options->file, print_line);
      co_return co_await dump_segment_of_device(env, options->file, options->device, print_line);
    }));
  });
  dump.positional("FILE", options->file, "A file segment-* of a data directory, or of the device.");
  dump.text("--device", options->device, "PATH", "The device that the file is on, if it is on one.");
}

}  // namespace fb
