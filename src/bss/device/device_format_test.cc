// SPDX-License-Identifier: Apache-2.0
#include "bss/device/device_format.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "bss/device/device_make.h"

namespace fb::bss {
namespace {

DeviceSuperblock layout_of(uint64_t size_bytes) {
  auto layout = lay_out_device(size_bytes);
  EXPECT_TRUE(layout);
  layout->id.fill(std::byte{7});
  return *layout;
}

TEST(DeviceFormat, NothingOverlapsAtAnySize) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    const uint64_t size = kDeviceBytesMin + random() % (uint64_t{1} << (24 + i % 24));
    const auto layout = lay_out_device(size);
    ASSERT_TRUE(layout) << size;
    EXPECT_GE(layout->table_offsets[0], kDeviceBlock);
    EXPECT_LE(layout->table_offsets[0] + layout->table_bytes, layout->extents_offset);
    EXPECT_LE(layout->extents_offset + layout->extent_count * layout->extent_bytes, layout->table_offsets[1]);
    EXPECT_LE(layout->table_offsets[1] + layout->table_bytes, layout->own_offsets()[1]);
    EXPECT_LE(layout->own_offsets()[1] + kDeviceBlock, size);
    EXPECT_GE(layout->extent_count * layout->extent_bytes, size / 2) << size;
    EXPECT_EQ(layout->extents_offset % layout->extent_bytes, 0u);
  }
  EXPECT_FALSE(lay_out_device(kDeviceBytesMin - 1));
}

TEST(DeviceFormat, EveryChangedBitOfASuperblockIsNoticed) {
  const DeviceSuperblock superblock = layout_of(64 * kMiB);
  std::vector<std::byte> block(kDeviceBlock);
  encode_superblock(superblock, block);
  DeviceSuperblock read;
  ASSERT_EQ(parse_superblock(block, read), SuperblockState::valid);
  EXPECT_EQ(read, superblock);
  for (size_t bit = 0; bit < 96 * 8; ++bit) {
    auto changed = block;
    changed[bit / 8] ^= std::byte(1 << (bit % 8));
    EXPECT_NE(parse_superblock(changed, read), SuperblockState::valid) << bit;
  }
  EXPECT_EQ(parse_superblock(std::vector<std::byte>(kDeviceBlock), read), SuperblockState::blank);
}

DeviceTable some_table() {
  DeviceTable table;
  table["blobs"] = {.kind = TableEntry::Kind::directory};
  table["blobs/superblock"] = {.kind = TableEntry::Kind::small_file, .size_bytes = 5, .contents = "hello"};
  table["blobs/segment"] = {
      .kind = TableEntry::Kind::file, .size_bytes = 3 * 64 * kKiB - 4096, .runs = {{2, 2}, {9, 1}}};
  return table;
}

TEST(DeviceFormat, EveryChangedBitOfATableIsNoticed) {
  const DeviceSuperblock superblock = layout_of(kDeviceBytesMin);
  const DeviceTable table = some_table();
  std::string image = encode_table(table, superblock.id, 3);
  size_t bytes = kTableHeadBytes;
  for (const auto& [name, entry] : table) bytes += table_entry_bytes(name, entry);
  EXPECT_EQ(image.size(), bytes);
  const auto parse = [&] { return parse_table(std::as_bytes(std::span(image)), superblock); };
  ASSERT_EQ(parse(), table);
  EXPECT_EQ(parse_table_head(std::as_bytes(std::span(image)), superblock)->number, 3u);
  for (size_t bit = 0; bit < image.size() * 8; ++bit) {
    image[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    EXPECT_FALSE(parse()) << bit;
    image[bit / 8] ^= static_cast<char>(1 << (bit % 8));
  }
}

// Intact, and yet impossible.
TEST(DeviceFormat, TablesThatMakeNoSenseAreRefused) {
  const DeviceSuperblock superblock = layout_of(kDeviceBytesMin);
  const auto refused = [&](const DeviceTable& table) {
    const std::string image = encode_table(table, superblock.id, 1);
    return !parse_table(std::as_bytes(std::span(image)), superblock);
  };
  DeviceTable table = some_table();
  EXPECT_FALSE(refused(table));
  table["twice"] = {.kind = TableEntry::Kind::file, .size_bytes = 4096, .runs = {{3, 1}}};
  EXPECT_TRUE(refused(table));
  table["twice"].runs = {{static_cast<uint32_t>(superblock.extent_count), 1}};
  EXPECT_TRUE(refused(table));
  table["twice"].runs = {{UINT32_MAX, UINT32_MAX}};
  EXPECT_TRUE(refused(table));
  table["twice"].runs = {};
  EXPECT_TRUE(refused(table));  // its size needs one
  table["twice"].size_bytes = 0;
  EXPECT_FALSE(refused(table));
  const std::string image = encode_table(table, superblock.id, 1);
  DeviceSuperblock other = superblock;
  other.id.fill(std::byte{8});
  EXPECT_FALSE(parse_table(std::as_bytes(std::span(image)), other));
}

TEST(DeviceMake, WhatStandsThereIsNamed) {
  std::vector<std::byte> bytes(kMiB);
  EXPECT_EQ(what_stands_there(bytes, 0), "");
  const auto with = [&](size_t offset, std::string_view text) {
    auto copy = bytes;
    std::memcpy(copy.data() + offset, text.data(), text.size());
    return what_stands_there(copy, 0);
  };
  EXPECT_EQ(with(1080, "\x53\xef"), "a file system (ext2, ext3 or ext4)");
  EXPECT_EQ(with(0, "XFSB"), "a file system (XFS)");
  EXPECT_EQ(with(512, "EFI PART"), "a partition table (GPT)");
  EXPECT_EQ(with(510, "\x55\xaa"), "a partition table (MBR) or boot sector");
  EXPECT_EQ(with(512, "LABELONE"), "a physical volume (LVM)");
  EXPECT_EQ(with(kMiB - 1, "x"), "something that is not zeros, at byte 1048575");
  DeviceSuperblock superblock = layout_of(kDeviceBytesMin);
  encode_superblock(superblock, std::span(bytes).first(kDeviceBlock));
  EXPECT_EQ(what_stands_there(bytes, 0), "a device of FractalBits");
  EXPECT_EQ(what_stands_there(std::vector<std::byte>(4096, std::byte{1}), 8192),
            "something that is not zeros, at byte 8192");
}

}  // namespace
}  // namespace fb::bss
