// SPDX-License-Identifier: Apache-2.0
// Opening a device: superblock, table, and what one copy of either lacks is made good from the other.
#include <fmt/format.h>

#include <algorithm>

#include "bss/aligned_bytes.h"
#include "bss/device/device.h"
#include "io/claim.h"
#include "io/error.h"
#include "io/log.h"

namespace fb::bss {
namespace {

constexpr Duration kInUsePoll = Duration::milliseconds(10);
constexpr Duration kLogAfter = Duration::seconds(1);  // as for files of folders (claim.cc)

}  // namespace

Error Device::refuse(std::string_view what, DeviceError code) const {
  log(env_, LogLevel::error, fmt::format("device: {}", what), {{"device", options_.path}});
  return code;
}

Task<Result<std::unique_ptr<Device>>> Device::open(Env& env, const Options& options) {
  FB_ASSERT(env.mounted() == nullptr);  // one a process
  std::unique_ptr<Device> device(new Device(env, options));
  const Result<void> loaded = co_await device->load();
  if (!loaded) {
    (void)co_await device->close();
    co_return loaded.error();
  }
  env.mount(device.get());
  co_return device;
}

Task<Result<void>> Device::load() {
  FB_CO_CHECK(co_await open_device());
  FB_CO_CHECK(co_await load_superblock());
  co_return co_await load_table();
}

// For this process alone, where it may be written. One that was killed holds it until the kernel has ended
// what was in flight, which is a little after the process itself. Other cores write through descriptions of
// their own: each holds a shared lock (attach), so this one is exclusive only until nobody else can be there.
Task<Result<File>> Device::open_for_this_process() {
  const Instant began = env_.now();
  const Instant given_up = began + ClaimOptions().patience;
  bool said = false;
  for (;;) {
    auto opened = co_await File::open(env_, options_.path,
                                      {.write = !options_.read_only,
                                       .exclusive = !options_.read_only,
                                       .direct = true,
                                       .role = FileRole::data});
    Result<void> ours;
    if (!opened) ours = opened.error();
    if (opened && !options_.read_only) ours = co_await opened->lock();
    if (opened && !options_.read_only && ours)
      ours = co_await claim(env_, *opened, {.shared = true, .patience = {}});
    if (ours && said) {
      log(env_, LogLevel::info, "start: they have ended",
          {{"device", options_.path},
           {"waited_ms", static_cast<uint64_t>((env_.now() - began).ns / 1'000'000)}});
    }
    if (ours) co_return std::move(*opened);
    if (opened) (void)co_await opened->close();
    if (!ours.error().is(IoError::in_use) || env_.now() >= given_up) co_return ours.error();
    if (!said && env_.now() >= began + kLogAfter) {
      said = true;
      log(env_, LogLevel::warn,
          "start: waiting for writes of a process that has ended, or that still uses it",
          {{"device", options_.path}});
    }
    (void)co_await sleep_for(env_, kInUsePoll);
  }
}

Task<Result<void>> Device::open_device() {
  auto opened = co_await open_for_this_process();
  if (!opened) {
    if (opened.error().is(IoError::in_use))
      co_return refuse("it is mounted, or in use by another process", DeviceError::in_use);
    co_return refuse(fmt::format("it cannot be opened: {}", opened.error().to_string()), DeviceError::failed);
  }
  File& handle = handles_[env_.core()];
  handle = std::move(*opened);
  FB_CO_TRY(const FileStat stat, co_await handle.stat());
  if (stat.directory) co_return refuse("it is a directory", DeviceError::not_a_device);
  if (stat.size_bytes < kDeviceBytesMin) co_return refuse("it is too small", DeviceError::not_formatted);
  block_device_ = stat.block_device;
  superblock_.size_bytes = align_down(stat.size_bytes, kDeviceBlock);
  if (!options_.read_only) {
    // What a killed process has written may be there to be read, and not be durable.
    FB_CO_CHECK(co_await handle.sync());
  }
  overwrites_in_place_ = block_device_;
  if (!block_device_) {
    const auto space = co_await file_system_space(env_, options_.path);
    overwrites_in_place_ = space && space->overwrites_in_place;
  }
  co_return Result<void>();
}

Task<Result<void>> Device::load_superblock() {
  File& handle = handles_[env_.core()];
  AlignedBytes block;
  block.resize(kDeviceBlock);
  std::array<SuperblockState, 2> states{};
  std::optional<DeviceSuperblock> found;
  const std::array<uint64_t, 2> offsets = {0, superblock_.size_bytes - kDeviceBlock};
  for (size_t i = 0; i < 2; ++i) {
    states[i] = SuperblockState::damaged;
    if (!co_await handle.read_exactly(block.span(), offsets[i])) continue;
    DeviceSuperblock read;
    states[i] = parse_superblock(block.span(), read);
    if (states[i] == SuperblockState::valid && !found) found = read;
  }
  if (!found) {
    if (states[0] == SuperblockState::other_version || states[1] == SuperblockState::other_version)
      co_return refuse("it was formatted by another version of FractalBits", DeviceError::other_version);
    if (states[0] == SuperblockState::damaged || states[1] == SuperblockState::damaged)
      co_return refuse("both copies of its superblock are damaged", DeviceError::damaged);
    co_return DeviceError::not_formatted;
  }
  if (found->size_bytes > superblock_.size_bytes)
    co_return refuse("it is smaller than it was when it was formatted", DeviceError::damaged);
  const bool grown = found->size_bytes < superblock_.size_bytes;
  superblock_ = *found;
  for (size_t i = 0; i < 2; ++i) {
    if (states[i] == SuperblockState::valid || (i == 1 && grown)) continue;
    ++stats_.superblocks_damaged;
    log(env_, LogLevel::warn, "device: a copy of the superblock is damaged, the other one was used",
        {{"device", options_.path}, {"offset", offsets[i]}});
    if (options_.read_only) continue;
    encode_superblock(superblock_, block.span());
    FB_CO_CHECK(co_await handle.write_all_durable(block.span(), superblock_.own_offsets()[i]));
  }
  co_return Result<void>();
}

Task<std::optional<std::pair<uint64_t, DeviceTable>>> Device::read_table(size_t copy) {
  File& handle = handles_[env_.core()];
  const uint64_t offset = superblock_.table_offsets[copy];
  AlignedBytes bytes;
  bytes.resize(kDeviceBlock);
  if (!co_await handle.read_exactly(bytes.span(), offset)) co_return std::nullopt;
  const auto head = parse_table_head(bytes.span(), superblock_);
  if (!head) co_return std::nullopt;
  bytes.resize(align_up(kTableHeadBytes + head->body_bytes, kDeviceBlock));
  if (!co_await handle.read_exactly(bytes.span(), offset)) co_return std::nullopt;
  auto table = parse_table(bytes.span(), superblock_);
  if (!table) co_return std::nullopt;
  co_return std::pair(head->number, std::move(*table));
}

Task<Result<void>> Device::load_table() {
  std::array<std::optional<std::pair<uint64_t, DeviceTable>>, 2> copies;
  for (size_t i = 0; i < 2; ++i) copies[i] = co_await read_table(i);
  if (!copies[0] && !copies[1])
    co_return refuse("both copies of its table are damaged", DeviceError::damaged);
  const auto number = [&](size_t i) { return copies[i] ? copies[i]->first : 0; };
  newest_ = number(0) >= number(1) ? 0 : 1;
  table_number_ = number(newest_);
  for (size_t i = 0; i < 2; ++i) {
    if (copies[i]) continue;
    ++stats_.tables_damaged;
    log(env_, LogLevel::warn, "device: a copy of the table is damaged, or was being written",
        {{"device", options_.path}, {"offset", superblock_.table_offsets[i]}});
  }
  const bool differ = number(0) != number(1);
  adopt(std::move(copies[newest_]->second));
  if (differ && !options_.read_only) FB_CO_CHECK(co_await write_tables());
  co_return Result<void>();
}

void Device::adopt(DeviceTable&& table) {
  uint32_t next = 0;
  std::vector<ExtentRun> runs;
  for (auto& [name, entry] : table) {
    table_used_ += table_entry_bytes(name, entry);
    runs.insert(runs.end(), entry.runs.begin(), entry.runs.end());
    auto node = std::make_shared<Node>();
    node->entry = std::move(entry);
    nodes_.emplace_hint(nodes_.end(), name, std::move(node));
  }
  std::ranges::sort(runs, {}, &ExtentRun::first);
  for (const ExtentRun& run : runs) {
    if (run.first > next) give_free({next, run.first - next});
    next = run.first + run.count;
  }
  const auto count = static_cast<uint32_t>(superblock_.extent_count);
  if (count > next) give_free({next, count - next});
}

}  // namespace fb::bss
