// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"

// Bytes of a device; docs/formats/device.md. Encoding and checking only.
//
//     0           64 KiB                                                              size
//     +-----------+---------+---------------------------------------+---------+-----------+
//     | superblock| table   | extents of one size                   | table   | superblock|
//     |  copy 1   |  copy 1 |                                       |  copy 2 |  copy 2   |
//     +-----------+---------+---------------------------------------+---------+-----------+

namespace fb::bss {

enum class DeviceError {
  not_formatted,  // no superblock
  damaged,        // no copy of superblock or table is whole
  other_version,
  not_a_device,  // neither a block device nor a file
  in_use,        // by another process, or mounted
  looks_used,    // there is something on it
  too_small,
  failed,  // the system refused; the log says why
};
std::string_view to_string(DeviceError code);
inline const ErrorDomain& error_domain(DeviceError) {
  static constexpr ErrorDomain kDomain{"device",
                                       [](int code) { return to_string(static_cast<DeviceError>(code)); }};
  return kDomain;
}

using DeviceId = std::array<std::byte, 16>;

inline constexpr uint32_t kDeviceVersion = 1;
inline constexpr uint64_t kDeviceBlock = kDirectIoAlignment;
inline constexpr uint64_t kDeviceEdge = 64 * kKiB;  // before and behind which the tables stand
inline constexpr uint64_t kDeviceBytesMin = 16 * kMiB;
inline constexpr uint64_t kExtentBytesMin = 64 * kKiB;
inline constexpr uint64_t kExtentBytesMax = 4 * kMiB;
inline constexpr uint64_t kExtentsMax = uint64_t{1} << 32;
inline constexpr size_t kNameBytesMax = 255;
inline constexpr size_t kSmallFileBytesMax = 4096;

struct DeviceSuperblock {
  DeviceId id{};
  uint64_t size_bytes = 0;
  uint64_t extent_bytes = 0;
  uint64_t extent_count = 0;
  uint64_t extents_offset = 0;
  uint64_t table_bytes = 0;  // of each copy, at most
  std::array<uint64_t, 2> table_offsets{};

  std::array<uint64_t, 2> own_offsets() const { return {0, size_bytes - kDeviceBlock}; }
  bool operator==(const DeviceSuperblock&) const = default;
};
// Where things stand on a device of so many bytes; nothing where it is too small.
std::optional<DeviceSuperblock> lay_out_device(uint64_t size_bytes);

// Fills one block.
void encode_superblock(const DeviceSuperblock& superblock, std::span<std::byte> block);
enum class SuperblockState { valid, blank, damaged, other_version, not_ours };
SuperblockState parse_superblock(std::span<const std::byte> block, DeviceSuperblock& out);

// Extents that follow each other.
struct ExtentRun {
  uint32_t first = 0;
  uint32_t count = 0;
  bool operator==(const ExtentRun&) const = default;
};

struct TableEntry {
  enum class Kind : uint8_t { directory = 1, file = 2, small_file = 3 };
  Kind kind = Kind::directory;
  uint64_t size_bytes = 0;
  std::vector<ExtentRun> runs;  // file
  std::string contents;         // small_file
  bool operator==(const TableEntry&) const = default;
};
// By name, with "/" between folders and none before.
using DeviceTable = std::map<std::string, TableEntry>;

inline constexpr size_t kTableHeadBytes = 80;
// What an entry takes of a table.
size_t table_entry_bytes(const std::string& name, const TableEntry& entry);

struct TableHead {
  uint64_t number = 0;  // grows by one with each table written
  uint64_t body_bytes = 0;
};
// The table as it is written: head and body.
std::string encode_table(const DeviceTable& table, const DeviceId& id, uint64_t number);
// How much is to be read, out of the first block.
std::optional<TableHead> parse_table_head(std::span<const std::byte> block,
                                          const DeviceSuperblock& superblock);
// So many entries and nothing else. Nothing where they make no sense: names that repeat, extents twice or
// beyond the end.
std::optional<DeviceTable> parse_entries(std::span<const std::byte> body, uint32_t count,
                                         const DeviceSuperblock& superblock);
// Head and entries. Nothing where either is not whole, or makes no sense.
std::optional<DeviceTable> parse_table(std::span<const std::byte> image, const DeviceSuperblock& superblock);

}  // namespace fb::bss
