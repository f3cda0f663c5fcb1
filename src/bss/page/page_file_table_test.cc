// SPDX-License-Identifier: Apache-2.0
#include "bss/page/page_file_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace fb {
namespace {

struct Expected {
  Lsn version;
  uint32_t slot;
  auto operator<=>(const Expected&) const = default;
};

std::map<uint64_t, Expected> contents(const PageTable& table) {
  std::map<uint64_t, Expected> found;
  std::vector<PageClient::Entry> listed;
  for (size_t i = 0; i < PageTable::kPartitionCount; ++i) table.list(i, listed);
  for (const auto& [id, version] : listed) found[id.value] = {version, table.find(id).value()};
  EXPECT_EQ(found.size(), listed.size());
  return found;
}

PageTable load_of(const PageTable::Snapshot& snapshot) {
  PageTable table;
  table.prepare_load(snapshot.slot_count, snapshot.page_count);
  for (uint32_t i = 0; i < snapshot.chunks.size(); ++i) {
    EXPECT_TRUE(table.load(i, *snapshot.chunks[i], snapshot.epochs));
  }
  return table;
}

TEST(PageTable, AgreesWithAMapAndSnapshotsStandStill) {
  std::mt19937_64 random(7);
  PageTable table;
  std::map<uint64_t, Expected> model;
  std::map<uint64_t, Expected> model_then;
  PageTable::Snapshot then;
  for (int step = 0; step < 60'000; ++step) {
    if (table.free_count() == 0) table.grow(table.slot_count() + 700);
    const PageId id{1 + random() % 9'000};
    if (random() % 3 == 0) {
      table.erase(id);
      model.erase(id.value);
    } else {
      std::vector<uint32_t> slots;
      table.take(1, slots);
      ASSERT_EQ(slots.size(), 1U);
      const Lsn version{1 + random() % 5, random()};
      ASSERT_TRUE(table.add_epoch(version.epoch));
      table.put(id, version, slots[0]);
      model[id.value] = {version, slots[0]};
    }
    if (step == 30'000) {
      then = table.snapshot();
      model_then = model;
    }
  }
  EXPECT_TRUE(table.verify());
  EXPECT_EQ(contents(table), model);
  const PageTable loaded = load_of(then);
  EXPECT_TRUE(loaded.verify());
  EXPECT_EQ(contents(loaded), model_then);
}

TEST(PageTable, SlotsAreTakenSideBySideAndGivenBack) {
  PageTable table;
  table.grow(1'000);
  std::vector<uint32_t> slots;
  table.take(100, slots);
  for (size_t i = 1; i < slots.size(); ++i) EXPECT_EQ(slots[i], slots[i - 1] + 1);
  EXPECT_EQ(table.free_count(), 900U);
  EXPECT_FALSE(table.claim(slots[3]));
  table.give_back(slots[3]);
  EXPECT_TRUE(table.claim(slots[3]));
  EXPECT_FALSE(table.claim(1'000));
  table.take(2'000, slots);
  EXPECT_EQ(slots.size(), 1'000U);
  EXPECT_EQ(table.free_count(), 0U);
}

TEST(PageTable, RefusesWhatContradictsItself) {
  TableChunk chunk;
  chunk.slots[3] = {.id_and_epoch = 9, .position = 1};
  const uint64_t epochs[] = {4};
  const auto loads = [&](uint32_t slot_count) {
    PageTable table;
    table.prepare_load(slot_count, 1);
    return table.load(0, chunk, epochs);
  };
  EXPECT_TRUE(loads(4));
  EXPECT_FALSE(loads(3));
  chunk.slots[2] = chunk.slots[3];
  EXPECT_FALSE(loads(4));
  chunk.slots[2] = {.id_and_epoch = 8 | uint64_t{1} << TableSlot::kEpochShift, .position = 1};
  EXPECT_FALSE(loads(4));
  chunk.slots[2] = {.id_and_epoch = 0, .position = 0};
  EXPECT_TRUE(loads(4));
  chunk.slots[2] = {.id_and_epoch = uint64_t{0} << TableSlot::kEpochShift, .position = 5};
  EXPECT_TRUE(loads(4));
}

TEST(PageTable, TwentyFourBytesAPageAtMost) {
  for (const uint32_t pages : {300'000U, 400'000U, 500'000U}) {
    PageTable table;
    ASSERT_TRUE(table.add_epoch(1));
    table.grow(pages);
    std::vector<uint32_t> slots;
    table.take(pages, slots);
    for (uint32_t i = 0; i < pages; ++i) table.put({i + 1}, {1, i}, slots[i]);
    EXPECT_LE(table.memory_bytes(), uint64_t{pages} * 24) << pages;
    EXPECT_LE(load_of(table.snapshot()).memory_bytes(), uint64_t{pages} * 24) << pages;
  }
}

}  // namespace
}  // namespace fb
