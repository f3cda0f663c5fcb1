// SPDX-License-Identifier: Apache-2.0
// A device's superblock and table from any bytes, and the entries of a table without the checksums before
// them. What is taken for a table is written and read again as the same one.
#include <algorithm>
#include <cstring>
#include <vector>

#include "base/assert.h"
#include "bss/device/device_format.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fb::bss;
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  std::vector<std::byte> block(kDeviceBlock);
  std::memcpy(block.data(), bytes.data(), std::min(bytes.size(), block.size()));
  DeviceSuperblock superblock;
  (void)parse_superblock(block, superblock);
  superblock = *lay_out_device(kDeviceBytesMin);
  (void)parse_table(bytes, superblock);
  const auto table = parse_entries(bytes, data[0], superblock);
  if (!table) return 0;
  size_t entries = 0;
  for (const auto& [name, entry] : *table) entries += table_entry_bytes(name, entry);
  FB_ASSERT(entries == bytes.size(), entries, bytes.size());
  const std::string image = encode_table(*table, superblock.id, 1);
  FB_ASSERT(parse_table(std::as_bytes(std::span(image)), superblock) == table);
  return 0;
}
