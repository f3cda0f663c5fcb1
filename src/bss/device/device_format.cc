// SPDX-License-Identifier: Apache-2.0
#include "bss/device/device_format.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"
#include "base/byte_codec.h"
#include "base/checksum.h"

namespace fb::bss {
namespace {

constexpr uint64_t kSuperblockMagic = 0x3130435645444246;  // "FBDEVC01"
constexpr uint64_t kTableMagic = 0x31304c4254444246;       // "FBDTBL01"
// Of the table, for each extent: an entry's name, its numbers, one run.
constexpr uint64_t kTableBytesPerExtent = 96;
constexpr uint64_t kTableBytesBase = 256 * kKiB;
constexpr uint64_t kExtentsWanted = 4096;  // at least, where extents need not be smaller than the least

struct SuperblockImage {
  uint64_t checksum;  // of the rest of the block
  uint64_t magic;
  uint32_t version;
  uint32_t block_bytes;
  DeviceId id;
  uint64_t size_bytes;
  uint64_t extent_bytes;
  uint64_t extent_count;
  uint64_t extents_offset;
  uint64_t table_bytes;
  uint64_t table_offsets[2];
};
static_assert(sizeof(SuperblockImage) == 96);

struct TableHeadImage {
  uint64_t checksum;  // of the rest of the head
  uint64_t magic;
  uint32_t version;
  uint32_t entry_count;
  DeviceId id;
  uint64_t number;
  uint64_t body_bytes;
  uint64_t body_checksum;
  uint64_t reserved[2];
};
static_assert(sizeof(TableHeadImage) == kTableHeadBytes);

template <class Image>
uint64_t checksum_of(const Image& image) {
  return xxh3(std::as_bytes(std::span(&image, 1)).subspan(sizeof(uint64_t)));
}

bool all_zero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

void encode_entry(ByteWriter& writer, const std::string& name, const TableEntry& entry) {
  writer.u8(static_cast<uint8_t>(entry.kind));
  writer.u8(static_cast<uint8_t>(name.size()));
  writer.fixed(name.data(), name.size());
  writer.u64(entry.size_bytes);
  if (entry.kind == TableEntry::Kind::small_file) {
    writer.fixed(entry.contents.data(), entry.contents.size());
    return;
  }
  writer.u32(static_cast<uint32_t>(entry.runs.size()));
  for (const ExtentRun& run : entry.runs) {
    writer.u32(run.first);
    writer.u32(run.count);
  }
}

bool decode_entry(ByteReader& reader, std::string& name, TableEntry& out) {
  const uint8_t kind = reader.u8();
  if (kind < 1 || kind > 3) return false;
  out.kind = static_cast<TableEntry::Kind>(kind);
  name.resize(reader.u8());
  reader.fixed_bytes(name.data(), name.size());
  out.size_bytes = reader.u64();
  if (!reader.ok() || name.empty() || name.front() == '/' || name.back() == '/') return false;
  if (out.kind == TableEntry::Kind::small_file) {
    if (out.size_bytes > kSmallFileBytesMax || out.size_bytes > reader.remaining()) return false;
    out.contents.resize(out.size_bytes);
    reader.fixed_bytes(out.contents.data(), out.contents.size());
    return reader.ok();
  }
  const uint32_t runs = reader.u32();
  if (!reader.ok() || runs > reader.remaining() / sizeof(ExtentRun)) return false;
  out.runs.resize(runs);
  for (ExtentRun& run : out.runs) {
    run.first = reader.u32();
    run.count = reader.u32();
  }
  const bool is_directory = out.kind == TableEntry::Kind::directory;
  return reader.ok() && !(is_directory && (runs != 0 || out.size_bytes != 0));
}

// Each extent belongs to one file, and every file has as many as its size needs.
bool extents_fit(const DeviceTable& table, const DeviceSuperblock& superblock) {
  std::vector<bool> taken(superblock.extent_count);
  for (const auto& [name, entry] : table) {
    uint64_t count = 0;
    for (const ExtentRun& run : entry.runs) {
      if (run.count == 0 || uint64_t{run.first} + run.count > superblock.extent_count) return false;
      for (uint64_t at = run.first; at < uint64_t{run.first} + run.count; ++at) {
        if (taken[at]) return false;
        taken[at] = true;
      }
      count += run.count;
    }
    const bool is_file = entry.kind == TableEntry::Kind::file;
    if (is_file && entry.size_bytes > count * superblock.extent_bytes) return false;
  }
  return true;
}

}  // namespace

std::string_view to_string(DeviceError code) {
  switch (code) {
    case DeviceError::not_formatted:
      return "not_formatted";
    case DeviceError::damaged:
      return "damaged";
    case DeviceError::other_version:
      return "other_version";
    case DeviceError::not_a_device:
      return "not_a_device";
    case DeviceError::in_use:
      return "in_use";
    case DeviceError::looks_used:
      return "looks_used";
    case DeviceError::too_small:
      return "too_small";
    case DeviceError::failed:
      return "failed";
  }
  return "unknown";
}

std::optional<DeviceSuperblock> lay_out_device(uint64_t size_bytes) {
  const uint64_t size = align_down(size_bytes, kDeviceBlock);
  if (size < kDeviceBytesMin) return std::nullopt;
  DeviceSuperblock out{.size_bytes = size};
  out.extent_bytes = std::clamp(std::bit_floor(size / kExtentsWanted), kExtentBytesMin, kExtentBytesMax);
  out.table_bytes =
      align_up(kTableBytesBase + size / out.extent_bytes * kTableBytesPerExtent, kExtentBytesMin);
  out.table_offsets = {kDeviceEdge, size - kDeviceEdge - out.table_bytes};
  out.extents_offset = align_up(kDeviceEdge + out.table_bytes, out.extent_bytes);
  out.extent_count = std::min((out.table_offsets[1] - out.extents_offset) / out.extent_bytes, kExtentsMax);
  return out;
}

void encode_superblock(const DeviceSuperblock& superblock, std::span<std::byte> block) {
  FB_ASSERT(block.size() == kDeviceBlock, block.size());
  SuperblockImage image{.checksum = 0,
                        .magic = kSuperblockMagic,
                        .version = kDeviceVersion,
                        .block_bytes = kDeviceBlock,
                        .id = superblock.id,
                        .size_bytes = superblock.size_bytes,
                        .extent_bytes = superblock.extent_bytes,
                        .extent_count = superblock.extent_count,
                        .extents_offset = superblock.extents_offset,
                        .table_bytes = superblock.table_bytes,
                        .table_offsets = {superblock.table_offsets[0], superblock.table_offsets[1]}};
  image.checksum = checksum_of(image);
  std::ranges::fill(block, std::byte{0});
  std::memcpy(block.data(), &image, sizeof(image));
}

SuperblockState parse_superblock(std::span<const std::byte> block, DeviceSuperblock& out) {
  SuperblockImage image;
  FB_ASSERT(block.size() >= sizeof(image), block.size());
  if (all_zero(block)) return SuperblockState::blank;
  std::memcpy(&image, block.data(), sizeof(image));
  if (image.magic != kSuperblockMagic) return SuperblockState::not_ours;
  if (image.checksum != checksum_of(image)) return SuperblockState::damaged;
  if (image.version != kDeviceVersion || image.block_bytes != kDeviceBlock)
    return SuperblockState::other_version;
  DeviceSuperblock found{.id = image.id,
                         .size_bytes = image.size_bytes,
                         .extent_bytes = image.extent_bytes,
                         .extent_count = image.extent_count,
                         .extents_offset = image.extents_offset,
                         .table_bytes = image.table_bytes,
                         .table_offsets = {image.table_offsets[0], image.table_offsets[1]}};
  // Nothing is free in the layout of a version: what its size does not give is damage.
  std::optional<DeviceSuperblock> expected = lay_out_device(found.size_bytes);
  if (!expected) return SuperblockState::damaged;
  expected->id = found.id;
  if (found != *expected) return SuperblockState::damaged;
  out = found;
  return SuperblockState::valid;
}

size_t table_entry_bytes(const std::string& name, const TableEntry& entry) {
  const size_t fixed = 2 + name.size() + sizeof(uint64_t);
  if (entry.kind == TableEntry::Kind::small_file) return fixed + entry.contents.size();
  return fixed + sizeof(uint32_t) + entry.runs.size() * sizeof(ExtentRun);
}

std::string encode_table(const DeviceTable& table, const DeviceId& id, uint64_t number) {
  std::string image(kTableHeadBytes, '\0');
  ByteWriter writer(image);
  for (const auto& [name, entry] : table) encode_entry(writer, name, entry);
  const auto body = std::as_bytes(std::span(image)).subspan(kTableHeadBytes);
  TableHeadImage head{.checksum = 0,
                      .magic = kTableMagic,
                      .version = kDeviceVersion,
                      .entry_count = static_cast<uint32_t>(table.size()),
                      .id = id,
                      .number = number,
                      .body_bytes = body.size(),
                      .body_checksum = xxh3(body),
                      .reserved = {}};
  head.checksum = checksum_of(head);
  std::memcpy(image.data(), &head, sizeof(head));
  return image;
}

static std::optional<TableHeadImage> intact_head(std::span<const std::byte> bytes,
                                                 const DeviceSuperblock& superblock) {
  TableHeadImage image;
  if (bytes.size() < sizeof(image)) return std::nullopt;
  std::memcpy(&image, bytes.data(), sizeof(image));
  const bool intact = image.magic == kTableMagic && image.checksum == checksum_of(image) &&
                      image.version == kDeviceVersion && image.id == superblock.id &&
                      image.body_bytes <= superblock.table_bytes - kTableHeadBytes;
  if (!intact) return std::nullopt;
  return image;
}

std::optional<TableHead> parse_table_head(std::span<const std::byte> block,
                                          const DeviceSuperblock& superblock) {
  const auto image = intact_head(block, superblock);
  if (!image) return std::nullopt;
  return TableHead{.number = image->number, .body_bytes = image->body_bytes};
}

std::optional<DeviceTable> parse_table(std::span<const std::byte> bytes, const DeviceSuperblock& superblock) {
  const auto head = intact_head(bytes, superblock);
  if (!head || bytes.size() < kTableHeadBytes + head->body_bytes) return std::nullopt;
  const auto body = bytes.subspan(kTableHeadBytes, head->body_bytes);
  if (xxh3(body) != head->body_checksum) return std::nullopt;
  return parse_entries(body, head->entry_count, superblock);
}

std::optional<DeviceTable> parse_entries(std::span<const std::byte> body, uint32_t count,
                                         const DeviceSuperblock& superblock) {
  ByteReader reader({reinterpret_cast<const char*>(body.data()), body.size()});
  DeviceTable table;
  for (uint32_t i = 0; i < count; ++i) {
    std::string name;
    TableEntry entry;
    if (!decode_entry(reader, name, entry)) return std::nullopt;
    if (!table.emplace(std::move(name), std::move(entry)).second) return std::nullopt;
  }
  if (reader.remaining() != 0 || !extents_fit(table, superblock)) return std::nullopt;
  return table;
}

}  // namespace fb::bss
