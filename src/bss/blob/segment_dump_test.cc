// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/segment_dump.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "bss/blob/test_store.h"
#include "io/sim/simulation.h"

namespace fb::bss {
namespace {

// A segment as a store leaves it, 8-byte aligned.
struct Image {
  std::vector<uint64_t> words;
  std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(words)); }
};

Image make_segment(Model& model) {
  sim::Simulation simulation(5);
  sim::SimNode& node = simulation.add_node({.name = "node"});
  std::mt19937_64 random(5);
  node.start([&](Env& env) -> Task<void> {
    BlobStoreOptions options{.directory = "/blobs", .incarnation = {9}};
    options.shard_count = 1;
    options.segment_bytes = 4 * kMiB;
    options.capacity_bytes = 64 * kMiB;
    auto store = co_await BlobStore::open(env, options);
    CO_ASSERT_OK(store);
    BlobFront front(env, **store);
    CO_ASSERT_OK(co_await front.open());
    Workload workload{.env = env, .client = front, .model = model, .random = random};
    workload.large_max = 200'000;
    co_await workload.run(90, 4);
    CO_ASSERT_OK(co_await front.close());
  });
  EXPECT_TRUE(simulation.run_until([&] { return !node.running(); }, Duration::minutes(10)));
  const auto file = node.disk().find("/blobs/shard-0000/segment-00000000");
  Image image;
  if (file == nullptr) return image;
  image.words.resize(file->size() / sizeof(uint64_t));
  file->read(0, image.bytes());
  return image;
}

std::string dumped(Image& image, SegmentDump& dump) {
  std::string text;
  dump = dump_segment(image.bytes(), [&](std::string_view line) { text += std::string(line) + "\n"; });
  return text;
}

size_t count(std::string_view text, std::string_view part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(SegmentDump, SaysWhatWasPut) {
  Model model;
  Image image = make_segment(model);
  ASSERT_FALSE(image.words.empty());
  SegmentDump dump;
  const std::string text = dumped(image, dump);
  EXPECT_TRUE(dump.intact()) << text;
  EXPECT_EQ(dump.entries, count(text, ": intact\n") + count(text, "tombstone")) << text;
  EXPECT_EQ(count(text, "header "), 2U);
  for (const auto& [key, bytes] : model.live)
    EXPECT_EQ(
        count(text, fmt::format("number {} block {}, {} bytes", key.id.number, key.block, bytes.size())), 1U);
}

TEST(SegmentDump, WhatIsDamagedIsShownAndTheRestIsRead) {
  Model model;
  const Image whole = make_segment(model);
  SegmentDump before;
  Image image = whole;
  const std::string text = dumped(image, before);
  const auto offset_of = [&](std::string_view what) {
    const size_t line = text.rfind('\n', text.find(what));
    return std::stoul(text.substr(line + 1, 10));
  };
  SegmentDump dump;
  // A payload.
  image.bytes()[offset_of("put ")] ^= std::byte{1};
  EXPECT_EQ(count(dumped(image, dump), ": damaged\n"), 1U);
  EXPECT_EQ(dump.payloads_damaged, 1U);
  EXPECT_EQ(dump.entries, before.entries);
  // A descriptor.
  image = whole;
  image.bytes()[kSegmentDataOffset + 100] ^= std::byte{1};
  dumped(image, dump);
  EXPECT_EQ(dump.batches, before.batches - 1);
  EXPECT_GT(dump.unknown_bytes, 0U);
  // One header, then both: descriptors are still shown, and their payloads tell that they are right.
  image = whole;
  image.bytes()[20] ^= std::byte{1};
  dumped(image, dump);
  EXPECT_EQ(dump.headers_damaged, 1U);
  EXPECT_EQ(dump.entries, before.entries);
  image.bytes()[kBlockBytes + 20] ^= std::byte{1};
  EXPECT_EQ(count(dumped(image, dump), "(not verified)"), before.batches);
  EXPECT_EQ(dump.headers_damaged, 2U);
  EXPECT_EQ(dump.entries, before.entries);
  EXPECT_EQ(dump.payloads_damaged, 0U);
}

TEST(SegmentDump, AnyBytesWillDo) {
  Model model;
  const Image whole = make_segment(model);
  std::mt19937_64 random(1);
  SegmentDump dump;
  for (int round = 0; round < 60; ++round) {
    Image image = whole;
    for (uint64_t flips = random() % 2000; flips > 0; --flips)
      image.bytes()[random() % (2 * kMiB)] ^= std::byte(1 << (random() % 8));
    image.words.resize(random() % (image.words.size() + 1));
    (void)dumped(image, dump);
  }
  Image nothing;
  EXPECT_EQ(count(dumped(nothing, dump), "damaged"), 2U);
}

}  // namespace
}  // namespace fb::bss
