// SPDX-License-Identifier: Apache-2.0
#include "bss/device/device_make.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "bss/aligned_bytes.h"
#include "io/claim.h"
#include "io/error.h"
#include "io/file.h"
#include "io/log.h"

namespace fb::bss {
namespace {

constexpr uint64_t kLookBytes = 1 * kMiB;  // at either end
constexpr uint64_t kZeroBytes = 4 * kMiB;  // of one write
constexpr Duration kLogAfter = Duration::seconds(1);
constexpr uint64_t kSyncBytes = 256 * kMiB;  // so that progress is that of the device

// Where others put what tells them from nothing; from the beginning of a device.
struct Signature {
  uint64_t offset;
  std::string_view bytes;
  std::string_view what;
};
constexpr Signature kSignatures[] = {
    {8, "FBDEVC01", "a device of FractalBits"},
    {512, "EFI PART", "a partition table (GPT)"},
    {4096, "EFI PART", "a partition table (GPT)"},
    {1080, "\x53\xef", "a file system (ext2, ext3 or ext4)"},
    {0, "XFSB", "a file system (XFS)"},
    {65600, "_BHRfS_M", "a file system (btrfs)"},
    {3, "NTFS    ", "a file system (NTFS)"},
    {3, "EXFAT   ", "a file system (exFAT)"},
    {54, "FAT1", "a file system (FAT)"},
    {82, "FAT32", "a file system (FAT32)"},
    {1024, "\x10\x20\xf5\xf2", "a file system (F2FS)"},
    {32769, "CD001", "a file system (ISO 9660)"},
    {0, "LUKS\xba\xbe", "an encrypted volume (LUKS)"},
    {512, "LABELONE", "a physical volume (LVM)"},
    {4096, "\xfc\x4e\x2b\xa9", "a member of a RAID (md)"},
    {0, "\xfc\x4e\x2b\xa9", "a member of a RAID (md)"},
    {4086, "SWAPSPACE2", "swap space"},
    {0, "hsqs", "a file system (squashfs)"},
    {510, "\x55\xaa", "a partition table (MBR) or boot sector"},
};

struct Maker {
  Env& env;
  const DeviceMakeOptions& options;
  std::string& message;
  File file = {};
  DeviceMade made = {};
  uint64_t done_bytes = 0;
  uint64_t total_bytes = 0;

  Error fail(DeviceError code, std::string why) {
    message = std::move(why);
    return code;
  }
  Task<Result<void>> open();
  Task<Result<void>> look();
  Task<Result<void>> write();
  Task<Result<void>> zero(uint64_t from, uint64_t to);
  Task<Result<void>> write_superblock(uint64_t offset, bool blank);
};

Task<Result<void>> Maker::open() {
  OpenOptions how{.write = true, .exclusive = true, .direct = true, .role = FileRole::data, .mode = 0600};
  auto opened = co_await File::open(env, options.path, how);
  const bool missing = !opened && opened.error().is(IoError::not_found);
  if (missing && options.size_bytes == 0)
    co_return fail(DeviceError::failed, "there is no such device or file; --size makes a file");
  if (missing) {
    how.create = true;
    opened = co_await File::open(env, options.path, how);
  }
  if (!opened) {
    if (opened.error().is(IoError::in_use))
      co_return fail(DeviceError::in_use, "it is mounted, or in use by another process");
    co_return fail(DeviceError::failed, fmt::format("it cannot be opened: {}", opened.error().to_string()));
  }
  file = std::move(*opened);
  // What a killed process had in flight is waited for.
  Result<void> claimed = co_await claim(env, file, {.patience = kLogAfter});
  if (!claimed && claimed.error().is(IoError::in_use)) {
    log(env, LogLevel::warn, "device: waiting for writes of a process that has ended, or that still uses it",
        {{"device", options.path}});
    claimed = co_await claim(env, file);
  }
  if (!claimed) co_return fail(DeviceError::in_use, "it is in use by another process");
  FB_CO_TRY(FileStat stat, co_await file.stat());
  if (stat.directory) co_return fail(DeviceError::not_a_device, "it is a directory");
  if (options.size_bytes != 0 && stat.size_bytes != 0 && stat.size_bytes != options.size_bytes) {
    co_return fail(DeviceError::looks_used,
                   fmt::format("it is there, of {} bytes; --size is for files to be made", stat.size_bytes));
  }
  if (options.size_bytes != 0 && !stat.block_device) {
    Result<void> sized;
    if (stat.size_bytes == 0) {
      sized = co_await file.allocate(0, options.size_bytes);
      if (!sized && sized.error().is(IoError::unsupported))
        sized = co_await file.truncate(options.size_bytes);
    }
    if (sized) sized = co_await file.sync();
    // Its name, too; an earlier attempt may have been killed before that.
    const auto slash = options.path.rfind('/');
    const std::string folder =
        slash == std::string::npos ? "." : options.path.substr(0, std::max<size_t>(slash, 1));
    if (sized) sized = co_await sync_directory(env, folder);
    if (!sized) {
      co_return fail(DeviceError::failed,
                     fmt::format("the file cannot be made so large: {}", sized.error().to_string()));
    }
    FB_CO_TRY(stat, co_await file.stat());
  }
  made.block_device = stat.block_device;
  const auto layout = lay_out_device(stat.size_bytes);
  if (!layout) {
    co_return fail(DeviceError::too_small,
                   fmt::format("it has {} bytes; at least {} are needed", stat.size_bytes, kDeviceBytesMin));
  }
  made.superblock = *layout;
  co_return Result<void>();
}

Task<Result<void>> Maker::look() {
  if (options.force) co_return Result<void>();
  AlignedBytes bytes;
  bytes.resize(kLookBytes);
  const uint64_t size = made.superblock.size_bytes;
  for (const uint64_t offset : {uint64_t{0}, align_down(size / 2, kDeviceBlock), size - kLookBytes}) {
    if (auto read = co_await file.read_exactly(bytes.span(), offset); !read)
      co_return fail(DeviceError::failed, fmt::format("it cannot be read: {}", read.error().to_string()));
    const std::string what = what_stands_there(bytes.span(), offset);
    if (!what.empty())
      co_return fail(DeviceError::looks_used, fmt::format("it holds {}; --force destroys that", what));
  }
  co_return Result<void>();
}

Task<Result<void>> Maker::zero(uint64_t from, uint64_t to) {
  AlignedBytes zeros;
  zeros.resize(kZeroBytes);
  std::memset(zeros.data(), 0, zeros.size());
  uint64_t unsynced = 0;
  while (from < to) {
    const uint64_t length = std::min<uint64_t>(kZeroBytes, to - from);
    FB_CO_CHECK(co_await file.write_all(zeros.span().first(length), from));
    from += length;
    unsynced += length;
    done_bytes += length;
    if (unsynced >= kSyncBytes || from == to) {
      FB_CO_CHECK(co_await file.sync());
      unsynced = 0;
    }
    if (options.on_progress) options.on_progress(done_bytes, total_bytes);
  }
  co_return Result<void>();
}

Task<Result<void>> Maker::write_superblock(uint64_t offset, bool blank) {
  AlignedBytes block;
  block.resize(kDeviceBlock);
  std::memset(block.data(), 0, block.size());
  if (!blank) encode_superblock(made.superblock, block.span());
  co_return co_await file.write_all_durable(block.span(), offset);
}

// The superblocks go first and come last. While one of the old ones stands, nothing else has been touched.
Task<Result<void>> Maker::write() {
  DeviceSuperblock& superblock = made.superblock;
  env.random_bytes(superblock.id);
  using Zero = DeviceMakeOptions::Zero;
  made.zeroed = options.zero == Zero::everything || (options.zero == Zero::as_needed && !made.block_device);
  for (const uint64_t offset : superblock.own_offsets()) FB_CO_CHECK(co_await write_superblock(offset, true));
  const uint64_t first_end = superblock.extents_offset;
  const uint64_t last_begin = superblock.table_offsets[1];
  const uint64_t end = superblock.own_offsets()[1];
  total_bytes = made.zeroed ? end - kDeviceBlock : first_end - kDeviceBlock + end - last_begin;
  if (made.zeroed) {
    FB_CO_CHECK(co_await zero(kDeviceBlock, end));
  } else {
    FB_CO_CHECK(co_await zero(kDeviceBlock, first_end));
    FB_CO_CHECK(co_await zero(last_begin, end));
  }
  const std::string image = encode_table({}, superblock.id, 1);
  AlignedBytes table;
  table.append(image.data(), image.size());
  const auto padded = table.pad();
  for (const uint64_t offset : superblock.table_offsets)
    FB_CO_CHECK(co_await file.write_all_durable(padded, offset));
  for (const uint64_t offset : superblock.own_offsets())
    FB_CO_CHECK(co_await write_superblock(offset, false));
  co_return Result<void>();
}

bool stands_at(std::span<const std::byte> bytes, const Signature& signature) {
  if (signature.offset + signature.bytes.size() > bytes.size()) return false;
  return std::memcmp(bytes.data() + signature.offset, signature.bytes.data(), signature.bytes.size()) == 0;
}

}  // namespace

std::string what_stands_there(std::span<const std::byte> bytes, uint64_t offset) {
  if (offset == 0) {
    for (const Signature& signature : kSignatures) {
      if (stands_at(bytes, signature)) return std::string(signature.what);
    }
  }
  const auto other = std::ranges::find_if(bytes, [](std::byte byte) { return byte != std::byte{0}; });
  if (other == bytes.end()) return {};
  return fmt::format("something that is not zeros, at byte {}",
                     offset + static_cast<uint64_t>(other - bytes.begin()));
}

Task<Result<DeviceMade>> make_device(Env& env, const DeviceMakeOptions& options, std::string& message) {
  Maker maker{.env = env, .options = options, .message = message};
  Result<void> done = co_await maker.open();
  if (done) done = co_await maker.look();
  if (done) {
    done = co_await maker.write();
    if (!done) message = fmt::format("it could not be written: {}", done.error().to_string());
  }
  const Result<void> closed = maker.file.is_open() ? co_await maker.file.close() : Result<void>();
  if (!done) co_return done.error();
  if (!closed) co_return closed.error();
  co_return maker.made;
}

}  // namespace fb::bss
