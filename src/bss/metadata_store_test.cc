// SPDX-License-Identifier: Apache-2.0
#include "bss/metadata_store.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "bss/device/device_test_world.h"
#include "bss/page/page_file_test_world.h"
#include "bss/test_world.h"

namespace fb::bss {
namespace {

MetadataStore::Options options_in(std::string directory) {
  return {.directory = std::move(directory),
          .store_id = {3},
          .page_bytes = 4 * kKiB,
          .page_growth_bytes = 64 * kKiB,
          .page_log_bytes = 2 * kPageLogGroupBytesMax,
          .reserve_pages = 4,
          .journal_segment_bytes = 64 * kKiB,
          .journal_bytes_max = 512 * kKiB};
}

constexpr uint64_t kPages = 40;
constexpr uint64_t kFrames = 25;

Task<void> fill(Env& env, MetadataStore& store) {
  const MetadataClients clients = store.clients();
  CO_CHECK_OK(co_await clients.journal.seal({}, 1));
  CO_CHECK_OK(co_await clients.pages.seal({}, 1));
  for (uint64_t id = 1; id <= kPages; ++id) {
    PageClient::Page page = co_await make_page(env, {id}, {1, id}, clients.pages.page_length_max());
    CO_CHECK_OK(co_await clients.pages.write_page({}, 1, {id}, std::move(page)));
  }
  for (uint64_t i = 0; i < kFrames; ++i) {
    const std::string frame(100 + i * 50, 'f');
    CO_CHECK_OK(co_await clients.journal.append({}, std::as_bytes(std::span(frame))));
  }
  CO_CHECK_OK(co_await clients.checkpoints.write_checkpoint({}, 1, 7, "where it begins"));
}

// Of a file as the engine has it open: one byte is another one.
Task<void> flip(Env& env, const std::string& path, uint64_t offset) {
  auto file = co_await File::open(env, path, {.write = true, .direct = true});
  CO_CHECK_OK(file);
  AlignedBytes block;
  block.resize(kDirectIoAlignment);
  const uint64_t begin = align_down(offset, kDirectIoAlignment);
  CO_CHECK_OK(co_await file->read_exactly(block.span(), begin));
  block.data()[offset - begin] ^= std::byte{1};
  CO_CHECK_OK(co_await file->write_all_durable(block.span(), begin));
  CO_CHECK_OK(co_await file->close());
}

// In folders and on a device.
class Metadata : public testing::TestWithParam<bool> {
 protected:
  void run(World& world, const std::function<Task<void>(Env&, MetadataStore&, const std::string&)>& body,
           Duration scrub_period = {}) {
    world.run([&](Env& env) -> Task<void> {
      std::unique_ptr<Device> device;
      std::string directory = "/ns";
      if (GetParam()) {
        auto opened = co_await open_or_make_device(env);
        CO_CHECK_OK(opened);
        device = std::move(*opened);
        directory = device->path() + directory;
      }
      MetadataStore::Options options = options_in(directory);
      options.scrub_period = scrub_period;
      auto store = co_await MetadataStore::open(env, options);
      CO_CHECK_OK(store);
      co_await body(env, **store, directory);
      CO_CHECK_OK(co_await (*store)->close());
      if (device) CO_CHECK_OK(co_await device->close());
    });
  }
};
INSTANTIATE_TEST_SUITE_P(Places, Metadata, testing::Bool(),
                         [](const auto& info) { return info.param ? "device" : "folders"; });

TEST_P(Metadata, WhatWasWrittenIsThereInTheNextProcess) {
  World world;
  run(world, [](Env& env, MetadataStore& store, const std::string&) -> Task<void> {
    const auto none = co_await store.read_checkpoint({});
    CO_CHECK_OK(none);
    EXPECT_FALSE(*none);
    co_await fill(env, store);
  });
  run(world, [](Env&, MetadataStore& store, const std::string&) -> Task<void> {
    const auto found = co_await store.read_checkpoint({});
    CO_CHECK_OK(found);
    CO_CHECK(*found);
    EXPECT_EQ((*found)->version, 7u);
    EXPECT_EQ((*found)->bytes, "where it begins");
    EXPECT_EQ(store.clients().pages.page_count(), kPages);
    EXPECT_EQ(store.clients().journal.bounds().next_sequence, kFrames + 1);
  });
}

TEST_P(Metadata, AnOlderEpochWritesNoCheckpoint) {
  World world;
  run(world, [](Env& env, MetadataStore& store, const std::string&) -> Task<void> {
    co_await fill(env, store);
    CO_CHECK_OK(co_await store.pages().seal({}, 4));
    EXPECT_TRUE((co_await store.write_checkpoint({}, 3, 8, "late")).error().is(PageError::sealed));
    EXPECT_EQ((*co_await store.read_checkpoint({}))->version, 7u);
    CO_CHECK_OK(co_await store.write_checkpoint({}, 4, 8, "new"));
    EXPECT_EQ((*co_await store.read_checkpoint({}))->bytes, "new");
    // A writer that has not heard the answer may write the same record again, but no other one under its
    // version.
    CO_CHECK_OK(co_await store.write_checkpoint({}, 4, 8, "new"));
    EXPECT_TRUE((co_await store.write_checkpoint({}, 4, 8, "other")).error().is(PageError::stale_version));
    EXPECT_TRUE((co_await store.write_checkpoint({}, 4, 7, "older")).error().is(PageError::stale_version));
    EXPECT_EQ((*co_await store.read_checkpoint({}))->bytes, "new");
    CO_CHECK_OK(co_await store.reserve_checkpoint({}, 300'000));
    EXPECT_GE(store.checkpoint_bytes_reserved(), 300'000u);
  });
}

TEST_P(Metadata, TheScrubberFindsWhatIsNotAsItWasWritten) {
  World world;
  run(world, [](Env& env, MetadataStore& store, const std::string& directory) -> Task<void> {
    co_await fill(env, store);
    ScrubReport report = co_await store.scrub();
    EXPECT_TRUE(report.sound() && report.whole);
    EXPECT_EQ(report.pages, kPages);
    EXPECT_EQ(report.frames, kFrames);
    co_await flip(env, directory + "/pages/pages", 3 * 4096 + 100);
    report = co_await store.scrub();
    EXPECT_EQ(report.pages_damaged, 1u);
    EXPECT_FALSE(report.sound());
    co_await flip(env, directory + "/checkpoint-1", 60);
    report = co_await store.scrub();
    EXPECT_EQ(report.checkpoints_damaged, 1u);
    // A byte of a frame in the middle of the first segment.
    const auto names = co_await list_directory(env, directory + "/journal");
    CO_CHECK_OK(names);
    co_await flip(env, directory + "/journal/" + names->front(), 6 * 4096 + 60);
    report = co_await store.scrub();
    EXPECT_EQ(report.frames_damaged, 1u);
    EXPECT_EQ(report.frames, kFrames);  // the others were read all the same
    EXPECT_EQ(store.stats().scrubs, 4u);
    EXPECT_EQ(store.stats().scrub_damaged, 6u);  // one, two, three
    // Put right again, for the journal's own checks at the end.
    co_await flip(env, directory + "/journal/" + names->front(), 6 * 4096 + 60);
  });
}

TEST_P(Metadata, TheScrubberComesOnceAPeriod) {
  World world;
  for (int life = 0; life < 2; ++life) {
    run(
        world,
        [&](Env& env, MetadataStore& store, const std::string&) -> Task<void> {
          if (life == 0) co_await fill(env, store);
          (void)co_await sleep_for(env, Duration::minutes(12));
          EXPECT_EQ(store.stats().scrubs, 0u);
          (void)co_await sleep_for(env, Duration::minutes(12));
          EXPECT_EQ(store.stats().scrubs, 1u);
          EXPECT_EQ(store.stats().scrub_pages, kPages);
        },
        Duration::minutes(20));
  }
}

}  // namespace
}  // namespace fb::bss
