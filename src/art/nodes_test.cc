// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "art/node16.h"
#include "art/node256.h"
#include "art/node4.h"
#include "art/node48.h"
#include "art/range_node.h"

namespace fb::art {
namespace {

struct Kind {
  const char* name;
  uint32_t capacity;
  uint16_t (*find)(const std::byte*, uint8_t);
  ChildSlot (*next)(const std::byte*, uint32_t);
  void (*insert)(std::byte*, uint8_t, uint16_t);
  void (*erase)(std::byte*, uint8_t);
};
constexpr Kind kKinds[] = {
    {"node4", node4::kCapacity, node4::find, node4::next, node4::insert, node4::erase},
    {"node16", node16::kCapacity, node16::find, node16::next, node16::insert, node16::erase},
    {"node48", node48::kCapacity, node48::find, node48::next, node48::insert, node48::erase},
    {"node256", node256::kCapacity, node256::find, node256::next, node256::insert, node256::erase},
};

void expect_equal(const Kind& kind, const std::byte* node, const std::map<uint32_t, uint16_t>& model) {
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const uint16_t slot = kind.find(node, static_cast<uint8_t>(byte));
    const auto at = model.find(byte);
    ASSERT_EQ(slot != 0, at != model.end()) << kind.name << " " << byte;
    if (slot != 0) ASSERT_EQ(load16(node + slot), at->second);
    const ChildSlot next = kind.next(node, byte);
    const auto after = model.lower_bound(byte);
    ASSERT_EQ(next.slot != 0, after != model.end());
    if (next.slot != 0) ASSERT_EQ(next.byte, after->first);
  }
  ASSERT_EQ(kind.next(node, 256).slot, 0);
}

TEST(Nodes, AreMapsOfBytes) {
  std::mt19937_64 random(9);
  for (const Kind& kind : kKinds) {
    std::vector<std::byte> node(1024);
    std::map<uint32_t, uint16_t> model;
    for (uint32_t i = 0; i < 3000; ++i) {
      // Zero and 255 come often: a wrong node mistakes unused places and signs for them.
      const uint32_t byte = random() % 4 == 0 ? random() % 2 * 255 : random() % 256;
      if (model.contains(byte)) {
        kind.erase(node.data(), static_cast<uint8_t>(byte));
        model.erase(byte);
      } else if (model.size() < kind.capacity) {
        const auto child = static_cast<uint16_t>(1 + random() % 65535);
        kind.insert(node.data(), static_cast<uint8_t>(byte), child);
        model[byte] = child;
      }
      if (i % 8 == 0) expect_equal(kind, node.data(), model);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(Nodes, RangesHoldAllBytes) {
  std::vector<std::byte> node(range_node::fixed_bytes(3));
  const uint8_t firsts[] = {0, 'm', 0xf0};
  for (uint32_t i = 0; i < 3; ++i) range_node::store(node.data(), 3, i, {firsts[i], 1, 0, i + 1});
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const uint32_t expected = byte < 'm' ? 0 : byte < 0xf0 ? 1 : 2;
    EXPECT_EQ(range_node::find(node.data(), 3, static_cast<uint8_t>(byte)), expected);
  }
  std::string packed;
  range_node::pack(packed, {7, 8, 9, 10});
  const auto entry = range_node::unpack(packed, 0);
  EXPECT_EQ(entry.first, 7);
  EXPECT_EQ(entry.bound, 8);
  EXPECT_EQ(entry.flags, 9);
  EXPECT_EQ(entry.word, 10u);
}

}  // namespace
}  // namespace fb::art
