// SPDX-License-Identifier: Apache-2.0
#include "bss/page/page_file.h"

#include <gtest/gtest.h>

#include "base/checksum.h"
#include "bss/page/page_file_test_world.h"
#include "io/sim/thinning.h"

namespace fb {
namespace {

Task<Result<void>> put(Env& env, PageFile& store, uint64_t id, Lsn version, uint64_t epoch = 1) {
  PageClient::Page page = co_await make_page(env, {id}, version, store.page_length_max());
  co_return co_await store.write_page({}, epoch, {id}, std::move(page));
}

Task<void> expect_page(PageFile& store, uint64_t id, Lsn version) {
  const Result<PageClient::Page> page = co_await store.read_page({}, {id});
  CO_CHECK_OK(page);
  EXPECT_EQ(page->version, version) << id;
  EXPECT_TRUE(page_is_right({id}, *page, store.page_length_max())) << id;
}

TEST(PageFile, WritesReadsErasesAndOpensAgain) {
  World world;
  world.run([](Env& env) -> Task<void> {
    auto opened = co_await PageFile::open(env, small_pages());
    CO_CHECK_OK(opened);
    PageFile& store = **opened;
    EXPECT_EQ(store.page_length_max(), 4096U - 64U);
    EXPECT_TRUE((co_await store.read_page({}, {1})).error().is(PageError::not_found));
    CO_CHECK_OK(co_await put(env, store, 1, {1, 10}));
    CO_CHECK_OK(co_await put(env, store, 1, {1, 11}));
    EXPECT_TRUE((co_await put(env, store, 1, {1, 10})).error().is(PageError::stale_version));
    CO_CHECK_OK(co_await put(env, store, 1, {1, 11}));  // the same again
    CO_CHECK_OK(co_await put(env, store, kPageIdMax, {2, 3}));
    EXPECT_TRUE(
        (co_await store.erase_page({}, 1, {kPageIdMax}, {2, 2})).error().is(PageError::stale_version));
    CO_CHECK_OK(co_await put(env, store, 3, {1, 12}));
    CO_CHECK_OK(co_await store.erase_page({}, 1, {3}, {1, 13}));
    CO_CHECK_OK(co_await store.erase_page({}, 1, {3}, {1, 13}));
    co_await expect_page(store, 1, {1, 11});
    CancelSource cancelled;
    cancelled.cancel();
    EXPECT_TRUE((co_await store.read_page({.cancel = &cancelled}, {1})).error().is(PageError::timed_out));
    EXPECT_TRUE((co_await store.write_page({.deadline = env.now()}, 1, {1}, {.version = {9, 9}}))
                    .error()
                    .is(PageError::timed_out));
    CO_CHECK_OK(co_await store.close());
  });
  world.run([](Env& env) -> Task<void> {
    auto opened = co_await PageFile::open(env, small_pages());
    CO_CHECK_OK(opened);
    PageFile& store = **opened;
    EXPECT_EQ(store.stats().changes_replayed, 0U);
    EXPECT_EQ(store.page_count(), 2U);
    co_await expect_page(store, 1, {1, 11});
    co_await expect_page(store, kPageIdMax, {2, 3});
    EXPECT_TRUE((co_await store.read_page({}, {3})).error().is(PageError::not_found));
    const auto space = co_await store.space({});
    CO_CHECK_OK(space);
    EXPECT_EQ(space->used, 2U);
    EXPECT_EQ(space->reserved, 4U);
    EXPECT_GT(space->available, 1000U);
    CO_CHECK_OK(co_await store.close());
  });
}

TEST(PageFile, AnEpochThatIsSealedWritesNothingMore) {
  World world;
  world.run([&](Env& env) -> Task<void> {
    auto opened = co_await PageFile::open(env, small_pages());
    CO_CHECK_OK(opened);
    PageFile& store = **opened;
    CO_CHECK_OK(co_await store.seal({}, 4));
    CO_CHECK_OK(co_await store.seal({}, 4));
    EXPECT_TRUE((co_await store.seal({}, 3)).error().is(PageError::sealed));
    EXPECT_TRUE((co_await put(env, store, 1, {9, 1}, 3)).error().is(PageError::sealed));
    // What counts is the writer's epoch: the page may be as old as it likes.
    CO_CHECK_OK(co_await put(env, store, 1, {2, 1}, 4));
    EXPECT_TRUE((co_await store.erase_page({}, 3, {1}, {9, 1})).error().is(PageError::sealed));
    CO_CHECK_OK(co_await store.seal({}, 5));
    co_await die(world, env, sim::CrashKind::power_loss);
  });
  for (int life = 0; life < 2; ++life) {
    world.run([](Env& env) -> Task<void> {
      auto opened = co_await PageFile::open(env, small_pages());
      CO_CHECK_OK(opened);
      EXPECT_EQ((*opened)->sealed_epoch(), 5U);
      EXPECT_TRUE((co_await put(env, **opened, 1, {9, 1}, 4)).error().is(PageError::sealed));
      CO_CHECK_OK(co_await (*opened)->close());
    });
  }
}

// A write that was admitted before a seal and comes to the log behind it.
TEST(PageFile, ASealOvertakesAWriteThatIsUnderWay) {
  int overtaken = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    World world(seed);
    world.run([&](Env& env) -> Task<void> {
      auto opened = co_await PageFile::open(env, small_pages());
      CO_CHECK_OK(opened);
      PageFile& store = **opened;
      CO_CHECK_OK(co_await store.seal({}, 4));
      auto [written, sealed] =
          co_await when_all([&]() -> Task<Result<void>> { co_return co_await put(env, store, 2, {4, 2}, 4); },
                            [&]() -> Task<Result<void>> { co_return co_await store.seal({}, 5); });
      CO_CHECK_OK(sealed);
      if (!written) EXPECT_TRUE(written.error().is(PageError::sealed));
      overtaken += !written;
      EXPECT_EQ((co_await store.read_page({}, {2})).has_value(), written.has_value());
      EXPECT_TRUE(store.verify());
      CO_CHECK_OK(co_await store.close());
    });
  }
  EXPECT_GT(overtaken, 0);
}

TEST(PageFile, ManyChangesOfOnePageAtOnceEndWithTheNewest) {
  World world;
  world.run([](Env& env) -> Task<void> {
    auto opened = co_await PageFile::open(env, small_pages());
    CO_CHECK_OK(opened);
    PageFile& store = **opened;
    struct Run {
      static Task<void> one(Env* env, PageFile* store, uint64_t position) {
        const Result<void> written = co_await put(*env, *store, 7, {1, position});
        if (!written) EXPECT_TRUE(written.error().is(PageError::stale_version));
      }
    };
    Scope scope(env);
    for (uint64_t i = 0; i < 40; ++i) scope.spawn(&Run::one, &env, &store, 1 + i * 17 % 40);
    co_await scope.join();
    co_await expect_page(store, 7, {1, 40});
    EXPECT_TRUE(store.verify());
    CO_CHECK_OK(co_await store.close());
  });
}

TEST(PageFile, ABatchSharesItsWrites) {
  World world;
  world.run([](Env& env) -> Task<void> {
    PageFile::Options options = small_pages();
    options.growth_bytes = 4 * kMiB;
    auto opened = co_await PageFile::open(env, options);
    CO_CHECK_OK(opened);
    PageFile& store = **opened;
    CO_CHECK_OK(co_await put(env, store, 1000, {1, 1}));
    const uint64_t before = env.stats().file_writes;
    std::vector<PageClient::Write> writes;
    for (uint64_t id = 1; id <= 320; ++id) {
      PageClient::Page page = co_await make_page(env, {id}, {1, id}, store.page_length_max());
      writes.push_back({.id = {id}, .page = std::move(page), .result = {}});
    }
    CO_CHECK_OK(co_await store.write_pages({}, 1, writes));
    // Five times a run of slots, or two where the slots wrap, and a group in two copies.
    EXPECT_LE(env.stats().file_writes - before, 5U * 4U);
    writes.clear();
    for (uint64_t id = 1; id <= 320; ++id) co_await expect_page(store, id, {1, id});
    CO_CHECK_OK(co_await store.close());
  });
}

// Random work of several clients over several lives, with growth and table checkpoints.
TEST(PageFile, AgreesWithAModel) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    World world(seed);
    PageModel model;
    std::mt19937_64 random(seed);
    for (uint64_t life = 1; life <= 4; ++life) {
      world.run([&](Env& env) -> Task<void> {
        auto opened = co_await PageFile::open(env, small_pages());
        CO_CHECK_OK(opened);
        co_await settle_pages(**opened, model, false);
        PageWorkload workload{.env = env, .store = **opened, .model = model, .random = random, .epoch = life};
        co_await workload.run(400);
        EXPECT_EQ(workload.failed, 0U);
        co_await settle_pages(**opened, model, false);
        EXPECT_GT((*opened)->stats().tables, 2U);
        EXPECT_EQ((*opened)->stats().damaged, 0U);
        if (life % 2 == 0) CO_CHECK_OK(co_await (*opened)->close());
        if (life % 2 == 1) co_await die(world, env, sim::CrashKind::kill);
      });
      for (const std::string& problem : model.problems) ADD_FAILURE() << seed << ": " << problem;
      if (testing::Test::HasFailure()) return;
    }
  }
}

// --- a full disk ---

Task<uint64_t> fill_up(Env& env, PageFile& store, uint64_t& next_id) {
  uint64_t written = 0;
  for (;; ++next_id, ++written) {
    const Result<void> done = co_await put(env, store, next_id, {1, next_id});
    if (done) continue;
    EXPECT_TRUE(done.error().is(PageError::full)) << done.error().to_string();
    co_return written;
  }
}

TEST(PageFile, AFullDiskRefusesNewPagesAndServesTheRest) {
  World world;
  uint64_t next_id = 1;
  world.run([&](Env& env) -> Task<void> {
    auto opened = co_await PageFile::open(env, small_pages());
    CO_CHECK_OK(opened);
    PageFile& store = **opened;
    world.node.disk().set_capacity(world.node.disk().used_bytes() + 1 * kMiB + 12 * kKiB);
    EXPECT_GT(co_await fill_up(env, store, next_id), 200U);
    world.node.disk().set_capacity(world.node.disk().used_bytes());  // to the last block
    const auto space = co_await store.space({});
    EXPECT_EQ(space->available, 0U);
    EXPECT_EQ(space->reserved, 4U);
    // Pages that exist are written again, many times the reserve at once, and tables with them.
    for (uint64_t round = 1; round <= 40; ++round) {
      std::vector<PageClient::Write> writes;
      for (uint64_t id = 1; id <= 100; ++id) {
        PageClient::Page page = co_await make_page(env, {id}, {2, round}, store.page_length_max());
        writes.push_back({.id = {id}, .page = std::move(page), .result = {}});
      }
      CO_CHECK_OK(co_await store.write_pages({}, 1, writes));
    }
    EXPECT_GT(store.stats().tables, 3U);
    CO_CHECK_OK(co_await store.checkpoint());
    for (uint64_t id = 1; id <= 100; ++id) co_await expect_page(store, id, {2, 40});
    // A batch of both kinds: the new ones are refused.
    std::vector<PageClient::Write> both;
    for (const uint64_t id : {next_id, uint64_t{5}}) {
      PageClient::Page page = co_await make_page(env, {id}, {3, 1}, store.page_length_max());
      both.push_back({.id = {id}, .page = std::move(page), .result = {}});
    }
    EXPECT_TRUE((co_await store.write_pages({}, 1, both)).error().is(PageError::full));
    EXPECT_TRUE(both[0].result.error().is(PageError::full));
    EXPECT_TRUE(both[1].result.has_value());
    CO_CHECK_OK(co_await store.close());
  });
}

TEST(PageFile, AFullDiskOpensErasesAndTakesPagesAgain) {
  World world;
  uint64_t next_id = 1;
  world.run([&](Env& env) -> Task<void> {
    auto opened = co_await PageFile::open(env, small_pages());
    CO_CHECK_OK(opened);
    world.node.disk().set_capacity(world.node.disk().used_bytes() + 1 * kMiB);
    co_await fill_up(env, **opened, next_id);
    world.node.disk().set_capacity(world.node.disk().used_bytes());
    co_await die(world, env, sim::CrashKind::power_loss);
  });
  ASSERT_TRUE(world.node.crashed());
  world.run([&](Env& env) -> Task<void> {
    auto opened = co_await PageFile::open(env, small_pages());
    CO_CHECK_OK(opened);
    PageFile& store = **opened;
    EXPECT_EQ(store.page_count(), next_id - 1);
    EXPECT_TRUE((co_await put(env, store, next_id, {1, 1})).error().is(PageError::full));
    std::vector<PageClient::Erase> erases;
    for (uint64_t id = 1; id < next_id; ++id)
      erases.push_back({.id = {id}, .version = {1, id}, .result = {}});
    CO_CHECK_OK(co_await store.erase_pages({}, 1, erases));
    EXPECT_EQ(store.page_count(), 0U);
    const uint64_t before = next_id;
    EXPECT_EQ(co_await fill_up(env, store, next_id), before - 1);
    // Space comes back: so do writes, without a restart.
    world.node.disk().set_capacity(1 * kGiB);
    (void)co_await sleep_for(env, Duration::seconds(2));
    CO_CHECK_OK(co_await put(env, store, next_id, {1, next_id}));
    CO_CHECK_OK(co_await store.close());
  });
}

TEST(PageFile, TheSizeLimitIsKept) {
  World world;
  world.run([&](Env& env) -> Task<void> {
    PageFile::Options options = small_pages();
    options.size_bytes_max = 50 * 4096;
    auto opened = co_await PageFile::open(env, options);
    CO_CHECK_OK(opened);
    uint64_t next_id = 1;
    EXPECT_EQ(co_await fill_up(env, **opened, next_id), 46U);
    CO_CHECK_OK(co_await put(env, **opened, 1, {2, 1}));
    CO_CHECK_OK(co_await (*opened)->close());
  });
}

// --- stores that are not ours ---

Task<void> expect_refused(Env& env, const PageFile::Options& options, PageError code) {
  const auto opened = co_await PageFile::open(env, options);
  CO_CHECK(!opened);
  EXPECT_TRUE(opened.error().is(code)) << opened.error().to_string();
}

TEST(PageFile, AForeignOrNewerStoreIsRefused) {
  World world;
  world.run([](Env& env) -> Task<void> {
    auto opened = co_await PageFile::open(env, small_pages());
    CO_CHECK_OK(opened);
    CO_CHECK_OK(co_await put(env, **opened, 1, {1, 1}));
    CO_CHECK_OK(co_await (*opened)->close());
    co_await expect_refused(env, small_pages({6}), PageError::unavailable);
    // Another slot size is the store's own affair.
    PageFile::Options larger = small_pages();
    larger.slot_bytes = 8 * kKiB;
    opened = co_await PageFile::open(env, larger);
    CO_CHECK_OK(opened);
    EXPECT_EQ((*opened)->page_length_max(), 4096U - 64U);
    co_await expect_page(**opened, 1, {1, 1});
    CO_CHECK_OK(co_await (*opened)->close());
  });
  EXPECT_NE(world.log().find("another store"), std::string::npos) << world.log();
  world.run([](Env& env) -> Task<void> {
    PageSuperblock superblock;
    superblock.slot_bytes = 4096;
    superblock.store_id = small_pages().store_id;
    superblock.log_bytes = small_pages().log_bytes;
    superblock.version = kPageStoreVersion + 1;
    const std::string path = "/p/superblock";
    CO_CHECK_OK(
        co_await replace_small_file(env, path, encode_page_superblock(superblock), 0600, FileRole::other));
    co_await expect_refused(env, small_pages(), PageError::unavailable);
    CO_CHECK_OK(co_await replace_small_file(
        env, path, "something else that is here, and long enough to be it", 0600, FileRole::other));
    co_await expect_refused(env, small_pages(), PageError::damaged);
    CO_CHECK_OK(co_await remove_file(env, path));
    co_await expect_refused(env, small_pages(), PageError::damaged);
  });
  EXPECT_NE(world.log().find("another version"), std::string::npos) << world.log();
  EXPECT_NE(world.log().find("pages without a superblock"), std::string::npos) << world.log();
}

// --- bytes ---

TEST(PageFileFormat, ASlotPassesOnlyAsItWasAndWhereItWas) {
  AlignedBytes slot(4096);
  slot.resize(4096);
  std::memset(slot.data(), 0xab, slot.size());
  seal_slot(slot.span(), 77, 12, {5}, {3, 4}, 1000);
  SlotTrailer trailer;
  ASSERT_TRUE(read_slot(slot.span(), 77, 12, trailer));
  EXPECT_EQ(trailer.id, 5U);
  EXPECT_EQ(trailer.epoch, 3U);
  EXPECT_EQ(trailer.position, 4U);
  EXPECT_EQ(trailer.length, 1000U);
  EXPECT_EQ(slot.data()[1000], std::byte{0});
  EXPECT_FALSE(read_slot(slot.span(), 77, 13, trailer));
  EXPECT_FALSE(read_slot(slot.span(), 78, 12, trailer));
  for (size_t at = 0; at < slot.size(); ++at) {
    slot.data()[at] ^= std::byte{0x10};
    EXPECT_FALSE(read_slot(slot.span(), 77, 12, trailer)) << at;
    slot.data()[at] ^= std::byte{0x10};
  }
}

// Opens the store with single bits flipped all over its files: what is wrong is refused or reported, and what
// is served is right; logs and tables stand twice, so a flip in them costs nothing at all.
TEST(PageFile, BitFlipsAreReportedOrHarmless) {
  // An orderly end; a crash; a crash before the first checkpoint.
  enum class Life : uint8_t { ended, crashed, young };
  for (const Life life : {Life::ended, Life::crashed, Life::young}) {
    World world(3);
    PageModel model;
    std::mt19937_64 random(3);
    world.run([&](Env& env) -> Task<void> {
      auto opened = co_await PageFile::open(env, small_pages());
      CO_CHECK_OK(opened);
      PageWorkload workload{.env = env, .store = **opened, .model = model, .random = random};
      // So that the logs of both tables are there, and not empty.
      if (life != Life::young) {
        co_await workload.run(150);
        CO_CHECK_OK(co_await (*opened)->checkpoint());
      }
      for (int i = 0; i < 12; ++i) co_await workload.write_some(1);
      if (life == Life::young) EXPECT_EQ((*opened)->stats().tables, 2U);
      if (life == Life::ended) CO_CHECK_OK(co_await (*opened)->close());
      if (life != Life::ended) co_await die(world, env, sim::CrashKind::power_loss);
    });
    uint64_t damaged = 0;
    uint64_t second_table = 0;
    uint64_t second_copy = 0;
    for (const char* name : {"superblock", "table-0", "table-1", "log-0", "log-1", "pages"}) {
      const std::string path = std::string("/p/") + name;
      for (uint64_t at = 0;; at += (at < 200 ? 5 : 1511) * sim::kSeedThinning) {
        const bool is_page = name == std::string_view("pages");
        if (is_page && at > 60 * 4096) break;
        std::string contents;
        bool past_end = false;
        // A copy of the store is opened, since opening changes it.
        World copy(at + 1);
        for (const char* each : {"superblock", "table-0", "table-1", "log-0", "log-1", "pages"}) {
          const auto from = world.node.disk().find(std::string("/p/") + each);
          ASSERT_NE(from, nullptr);
          std::string bytes(from->size(), '\0');
          from->read(0, std::as_writable_bytes(std::span(bytes)));
          if (each == std::string_view(name)) {
            past_end = at >= bytes.size();
            if (!past_end) bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
          }
          copy.run([&](Env& env) -> Task<void> {
            CO_CHECK_OK(co_await ensure_directory(env, "/p"));
            CO_CHECK_OK(
                co_await replace_small_file(env, std::string("/p/") + each, bytes, 0600, FileRole::other));
          });
        }
        if (past_end) break;
        PageModel found = model;
        copy.run([&](Env& env) -> Task<void> {
          auto opened = co_await PageFile::open(env, small_pages());
          if (!opened) {
            EXPECT_STREQ(name, "superblock") << at << " " << opened.error().to_string() << copy.log();
            co_return;
          }
          co_await settle_pages(**opened, found, is_page);
          second_table += (*opened)->stats().tables_damaged;
          second_copy += (*opened)->stats().log_copies_damaged;
          CO_CHECK_OK(co_await (*opened)->close());
        });
        damaged += found.damaged;
        EXPECT_LE(found.damaged, 1U);
        for (const std::string& problem : found.problems) {
          ADD_FAILURE() << name << " at " << at << ": " << problem << "\n" << copy.log();
        }
        if (testing::Test::HasFailure()) return;
      }
    }
    EXPECT_GT(damaged, 10U / sim::kSeedThinning);
    // A first table is only a head: another one is taken without a word.
    if (life != Life::young) EXPECT_GT(second_table, 0U);
    if (life != Life::ended) EXPECT_GT(second_copy, 0U);
  }
}

}  // namespace
}  // namespace fb
