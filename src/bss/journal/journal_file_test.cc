// SPDX-License-Identifier: Apache-2.0
#include "bss/journal/journal_file.h"

#include <gtest/gtest.h>

#include "bss/test_world.h"
#include "io/sim/thinning.h"

namespace fb {
namespace {

JournalFile::Options options(StoreId store_id = {9}) {
  return {.directory = "/j", .store_id = store_id, .segment_bytes = 64 * kKiB, .size_bytes_max = 1 * kMiB};
}

std::string payload(uint64_t sequence) {
  return std::to_string(sequence) + std::string(sequence * 37 % 5000, 'x');
}

Task<Result<std::unique_ptr<JournalFile>>> open_journal(Env& env,
                                                        const JournalFile::Options& with = options()) {
  (void)co_await make_directory(env, with.directory);
  (void)co_await sync_directory(env, "/");
  co_return co_await JournalFile::open(env, with);
}

Task<Result<std::vector<JournalClient::Frame>>> read_all(JournalFile& journal) {
  std::vector<JournalClient::Frame> all;
  for (uint64_t next = journal.bounds().first_sequence; next < journal.bounds().next_sequence;) {
    FB_CO_TRY(std::vector<JournalClient::Frame> some, co_await journal.read({}, next));
    FB_ASSERT(!some.empty());
    for (auto& frame : some) all.push_back(std::move(frame));
    next = all.back().sequence + 1;
  }
  co_return all;
}

Task<void> append_one(JournalFile* journal, uint64_t* acknowledged) {
  const std::string bytes = payload(journal->last_sequence() + 1);
  const auto appended = co_await journal->append({}, std::as_bytes(std::span(bytes)));
  if (appended) *acknowledged = std::max(*acknowledged, *appended);
}

// Appends in parallel bursts; trims as it goes where asked.
Task<void> fill(Env& env, JournalFile& journal, uint64_t count, uint64_t& acknowledged, bool trims = false) {
  for (uint64_t done = 0; done < count; done += 8) {
    Scope scope(env);
    for (int i = 0; i < 8; ++i) {
      // The payload depends on the sequence, so it is enqueued at once.
      const std::string bytes = payload(journal.last_sequence() + 1);
      if (!journal.has_room(bytes.size())) CO_CHECK_OK(co_await journal.wait_for_room({}, bytes.size()));
      const uint64_t sequence = journal.enqueue(payload(journal.last_sequence() + 1));
      const Result<void> durable = i == 7 ? co_await journal.durable(sequence) : Result<void>();
      if (i == 7 && durable) acknowledged = sequence;
    }
    co_await scope.join();
    if (trims && done % 32 == 0)
      CO_CHECK_OK(co_await journal.trim({}, acknowledged > 20 ? acknowledged - 20 : 1));
  }
}

Task<void> expect_content(JournalFile& journal, uint64_t at_least) {
  const auto frames = co_await read_all(journal);
  CO_CHECK_OK(frames);
  EXPECT_GE(journal.bounds().next_sequence, at_least + 1);
  uint64_t next = journal.bounds().first_sequence;
  for (const auto& frame : *frames) {
    CO_CHECK(frame.sequence == next);
    CO_CHECK(frame.payload == payload(next));
    ++next;
  }
  EXPECT_EQ(next, journal.bounds().next_sequence);
}

TEST(JournalFile, KeepsWhatWasAppendedOverRestartsTrimsAndRecycling) {
  World world;
  uint64_t acknowledged = 0;
  for (int round = 0; round < 6; ++round) {
    world.run([&](Env& env) -> Task<void> {
      auto journal = co_await open_journal(env);
      CO_CHECK_OK(journal);
      EXPECT_EQ((*journal)->bounds().next_sequence, acknowledged + 1);
      EXPECT_EQ((*journal)->bounds().epoch, static_cast<uint64_t>(round));
      CO_CHECK_OK(co_await (*journal)->seal({}, static_cast<uint64_t>(round + 1)));
      EXPECT_FALSE(co_await (*journal)->seal({}, static_cast<uint64_t>(round)));
      co_await expect_content(**journal, acknowledged);
      co_await fill(env, **journal, 120, acknowledged, true);
      co_await expect_content(**journal, acknowledged);
      EXPECT_TRUE((co_await (*journal)->read({}, acknowledged + 1)).error().is(JournalError::missing));
      if (round > 1) EXPECT_TRUE((co_await (*journal)->read({}, 1)).error().is(JournalError::trimmed));
      CO_CHECK_OK(co_await (*journal)->close());
    });
  }
}

TEST(JournalFile, GroupCommitSharesWrites) {
  World world;
  world.run([&](Env& env) -> Task<void> {
    auto opened = co_await open_journal(env);
    CO_CHECK_OK(opened);
    JournalFile& journal = **opened;
    const uint64_t before = env.stats().file_durable_writes;
    Scope scope(env);
    uint64_t acknowledged = 0;
    for (int i = 0; i < 64; ++i) scope.spawn(&append_one, &journal, &acknowledged);
    co_await scope.join();
    EXPECT_EQ(acknowledged, 64u);
    if (env.stats().file_durable_writes != 0) EXPECT_LE(env.stats().file_durable_writes - before, 6u);
    CO_CHECK_OK(co_await journal.close());
  });
}

TEST(JournalFile, CrashAtEveryChangeKeepsWhatWasAcknowledged) {
  for (const sim::CrashKind kind : {sim::CrashKind::power_loss, sim::CrashKind::kill}) {
    for (uint64_t n = 1; n < 160; n += sim::kThinning) {
      World world(n);
      uint64_t acknowledged = 0;
      world.node.crash_at(
          n % 2 == 0 ? sim::SimNode::CrashPoint::io_before : sim::SimNode::CrashPoint::io_after, n, kind);
      world.run([&](Env& env) -> Task<void> {
        auto journal = co_await open_journal(env);
        if (!journal) co_return;
        (void)co_await (*journal)->seal({}, 1);
        co_await fill(env, **journal, 200, acknowledged, true);
        (void)co_await (*journal)->close();
      });
      for (int again = 0; again < 2; ++again) {
        world.run([&](Env& env) -> Task<void> {
          auto journal = co_await open_journal(env);
          if (!journal) ADD_FAILURE() << "n=" << n << " " << world.log();
          CO_CHECK_OK(journal);
          co_await expect_content(**journal, acknowledged);
          co_await fill(env, **journal, 16, acknowledged);
          CO_CHECK_OK(co_await (*journal)->close());
        });
      }
      if (testing::Test::HasFailure()) return;
    }
  }
}

// One of several that append at the same time, each as soon as its last frame is durable.
Task<void> append_in_turns(Env* env, JournalFile* journal, uint64_t seed, uint64_t count,
                           uint64_t* acknowledged) {
  for (uint64_t i = 0; i < count; ++i) {
    (void)co_await sleep_for(*env, Duration::microseconds(static_cast<int64_t>((seed * 37 + i * 61) % 90)));
    // The payload depends on the sequence, so it is enqueued at once.
    while (!journal->has_room(5100)) {
      if (!co_await journal->wait_for_room({}, 5100)) co_return;
    }
    const uint64_t sequence = journal->enqueue(payload(journal->last_sequence() + 1));
    if (!co_await journal->durable(sequence)) co_return;
    *acknowledged = std::max(*acknowledged, sequence);
  }
}

// Writes in flight end, tear and vanish in any order: what was acknowledged stays, and what was not leaves
// nothing behind that a later start takes for its own.
TEST(JournalFile, CrashWithWritesInFlightKeepsWhatWasAcknowledged) {
  const auto append_all = [](Env& env, JournalFile& journal, uint64_t count,
                             uint64_t& acknowledged) -> Task<void> {
    Scope scope(env);
    for (uint64_t i = 0; i < 9; ++i) scope.spawn(&append_in_turns, &env, &journal, i, count, &acknowledged);
    co_await scope.join();
  };
  JournalFile::Options roomy = options();
  roomy.size_bytes_max = 8 * kMiB;  // nobody trims
  for (const sim::CrashKind kind : {sim::CrashKind::power_loss, sim::CrashKind::kill}) {
    for (uint64_t n = 1; n < 400; ++n) {
      World world(n);
      uint64_t acknowledged = 0;
      for (uint64_t life = 0; life < 4; ++life) {
        if (life < 3)
          world.node.crash_at(
              n % 2 == 0 ? sim::SimNode::CrashPoint::io_before : sim::SimNode::CrashPoint::io_after,
              life == 0 ? n : 1 + (n * 7 + life * 13) % 45, kind);
        world.run([&](Env& env) -> Task<void> {
          auto journal = co_await open_journal(env, roomy);
          if (!journal) ADD_FAILURE() << "n=" << n << " life " << life << " " << world.log();
          CO_CHECK_OK(journal);
          co_await expect_content(**journal, acknowledged);
          if (!co_await (*journal)->seal({}, (*journal)->bounds().epoch + 1)) co_return;
          co_await append_all(env, **journal, life == 3 ? 2 : 12, acknowledged);
          (void)co_await (*journal)->close();
        });
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

TEST(JournalFile, AForeignJournalIsRefused) {
  World world;
  world.run([&](Env& env) -> Task<void> {
    auto journal = co_await open_journal(env);
    CO_CHECK_OK(journal);
    CO_CHECK_OK(co_await (*journal)->close());
    const auto foreign = co_await open_journal(env, options({8}));
    CO_CHECK(!foreign);
    EXPECT_TRUE(foreign.error().is(JournalError::damaged));
  });
  EXPECT_NE(world.log().find("another store"), std::string::npos) << world.log();
}

// Opens the journal with each byte of its first segment's used part flipped in one bit, and sparser ones of
// the rest. `tail_from`: the byte from which the newest group may be taken for a torn one.
void flip_every_byte(World& world, uint64_t acknowledged, uint64_t used_bytes, uint64_t tail_from,
                     uint64_t& refused, uint64_t& dropped) {
  const std::string path = "/j/0000000000000001.journal";
  world.run([&](Env& env) -> Task<void> {
    auto file = co_await File::open(env, path, {.write = true});
    CO_CHECK_OK(file);
    for (uint64_t at = 0; at < 64 * kKiB; at += (at < used_bytes ? 1 : 509) * sim::kThinning) {
      std::byte original{};
      CO_CHECK_OK(co_await file->read_exactly({&original, 1}, at));
      const std::byte flipped = original ^ std::byte(1 << (at * 5 % 8));
      CO_CHECK_OK(co_await file->write_all({&flipped, 1}, at));
      auto journal = co_await JournalFile::open(env, options());
      if (journal) {
        const uint64_t last = (*journal)->bounds().next_sequence - 1;
        if (last < acknowledged) ++dropped;
        if (at < tail_from) EXPECT_EQ(last, acknowledged) << at;
        co_await expect_content(**journal, 0);
        CO_CHECK_OK(co_await (*journal)->close());
      } else {
        ++refused;
        CO_CHECK(journal.error().is(JournalError::damaged));
        const std::string& line = world.simulation.log().back();
        EXPECT_NE(line.find(path), std::string::npos) << line;
        EXPECT_NE(line.find("offset"), std::string::npos) << line;
      }
      CO_CHECK_OK(co_await file->write_all({&original, 1}, at));
    }
    CO_CHECK_OK(co_await file->close());
  });
}

// A flipped bit anywhere in what was closed cleanly, or killed while idle, is refused or changes nothing;
// never other frames, never fewer. Killed right after a write, the newest group may be dropped as torn.
TEST(JournalFile, BitFlipsAreDetectedOrHarmless) {
  enum class End { closed, killed_idle, killed_at_once };
  for (const End end : {End::closed, End::killed_idle, End::killed_at_once}) {
    World world;
    uint64_t acknowledged = 0;
    bool ready = false;
    world.node.start([&](Env& env) -> Task<void> {
      auto journal = co_await open_journal(env);
      CO_CHECK_OK(journal);
      while (!(*journal)->has_room(100)) (void)co_await sleep_for(env, Duration::seconds(1));
      (void)co_await sleep_for(env, Duration::seconds(1));
      for (int i = 0; i < 3; ++i) co_await append_one(journal->get(), &acknowledged);
      if (end == End::killed_idle) (void)co_await sleep_for(env, Duration::seconds(1));
      if (end == End::closed) CO_CHECK_OK(co_await (*journal)->close());
      ready = true;
      if (end != End::closed) (void)co_await sleep_for(env, Duration::seconds(1000));
    });
    ASSERT_TRUE(world.simulation.run_until([&] { return end == End::closed ? !world.node.running() : ready; },
                                           Duration::seconds(100)));
    if (end != End::closed) world.node.crash(sim::CrashKind::kill);
    ASSERT_EQ(acknowledged, 3u);
    // The header, three groups of one block each, the mark.
    const uint64_t tail_from = end == End::killed_at_once ? 3 * kJournalBlock : 64 * kKiB;
    uint64_t refused = 0;
    uint64_t dropped = 0;
    flip_every_byte(world, acknowledged, 5 * kJournalBlock, tail_from, refused, dropped);
    if (HasFailure()) return;
    EXPECT_GT(refused, 150u / sim::kThinning);
    EXPECT_EQ(dropped > 0, end == End::killed_at_once);
  }
}

// Blocks that the device cannot read, of the first of two segments or of the one that is ready ahead.
class JournalUnreadable : public testing::Test {
 protected:
  static constexpr const char* kFirst = "/j/0000000000000001.journal";

  // Frames of one block each; `count` of them, each in a group of its own, and a mark at the end.
  void write(uint64_t count) {
    world_.run([&](Env& env) -> Task<void> {
      auto journal = co_await open_journal(env);
      CO_CHECK_OK(journal);
      for (uint64_t i = 0; i < count; ++i) {
        const std::string bytes = std::to_string(i + 1);
        CO_CHECK_OK(co_await (*journal)->append({}, std::as_bytes(std::span(bytes))));
      }
      CO_CHECK_OK(co_await (*journal)->close());
    });
  }
  void lose_block(const char* path, uint64_t block) {
    const auto file = world_.node.disk().find(path);
    ASSERT_NE(file, nullptr);
    file->make_unreadable(block * kJournalBlock / sim::kSectorSize + 3);
  }
  // The first sequence and the next one, 0 if it is refused; and how many blocks it says are unreadable.
  struct Found {
    uint64_t first = 0, next = 0, unreadable = 0;
  };
  Found open() {
    Found found;
    world_.run([&](Env& env) -> Task<void> {
      auto journal = co_await open_journal(env);
      if (!journal) {
        EXPECT_TRUE(journal.error().is(JournalError::damaged));
        co_return;
      }
      found = {(*journal)->bounds().first_sequence, (*journal)->bounds().next_sequence,
               (*journal)->unreadable_blocks()};
      const auto frames = co_await read_all(**journal);
      CO_CHECK_OK(frames);
      EXPECT_EQ(frames->size(), found.next - found.first);
      CO_CHECK_OK(co_await (*journal)->close());
    });
    return found;
  }
  World world_;
};

TEST_F(JournalUnreadable, InTheUnusedTailItIsWipedAndReadableAgain) {
  write(3);
  lose_block(kFirst, 14);
  lose_block("/j/0000000000000002.journal", 5);
  const Found found = open();
  EXPECT_EQ(found.first, 1U);
  EXPECT_EQ(found.next, 4U);
  EXPECT_EQ(found.unreadable, 2U);
  EXPECT_EQ(open().unreadable, 0U);
}

TEST_F(JournalUnreadable, WhatALaterGroupProvesIsDamageUnlessItWasGivenUp) {
  write(5);
  lose_block(kFirst, 3);  // frame 3
  const Found found = open();
  // An owner that needs frames up to 3 sees that they are not there.
  EXPECT_EQ(found.first, 4U);
  EXPECT_EQ(found.next, 6U);
}

TEST_F(JournalUnreadable, BehindTheFirstSegmentWhatIsProvenIsNeeded) {
  write(30);
  ASSERT_EQ(open().next, 31U);
  lose_block("/j/0000000000000002.journal", 1);
  EXPECT_EQ(open().next, 0U);
}

TEST_F(JournalUnreadable, AHeaderIsNeeded) {
  write(3);
  lose_block(kFirst, 0);
  EXPECT_EQ(open().next, 0U);
}

TEST(JournalFile, AFullDiskRefusesWhatDoesNotFitAndRecovers) {
  World world;
  world.run([&](Env& env) -> Task<void> {
    auto opened = co_await open_journal(env);
    CO_CHECK_OK(opened);
    JournalFile& journal = **opened;
    (void)co_await sleep_for(env, Duration::seconds(1));
    world.node.disk().set_capacity(world.node.disk().used_bytes());
    const std::string bytes(3000, 'p');
    Result<uint64_t> appended(uint64_t{0});
    int count = 0;
    while (appended) {
      appended = co_await journal.append({}, std::as_bytes(std::span(bytes)));
      if (appended) ++count;
      CO_CHECK(count < 200);
    }
    EXPECT_TRUE(appended.error().is(JournalError::full));
    EXPECT_TRUE(journal.low());
    EXPECT_FALSE(journal.has_room(bytes.size()));
    EXPECT_LT(journal.room_bytes(), bytes.size() + kJournalBlock);
    world.node.disk().set_capacity(1 * kGiB);
    (void)co_await sleep_for(env, Duration::seconds(2));
    CO_CHECK_OK(co_await journal.append({}, std::as_bytes(std::span(bytes))));
    CO_CHECK_OK(co_await journal.close());
  });
}

// Found by the simulator: a store killed again and again while its journal was at the limit came up with it
// there, the first change waited for room, and nobody knew that a trim was wanted.
TEST(JournalFile, OneThatIsOpenedAtItsLimitAsksToBeTrimmed) {
  World world;
  JournalFile::Options small = options();
  small.size_bytes_max = 4 * small.segment_bytes;
  for (int life = 0; life < 2; ++life) {
    world.run([&](Env& env) -> Task<void> {
      auto opened = co_await open_journal(env, small);
      CO_CHECK_OK(opened);
      JournalFile& journal = **opened;
      CO_CHECK_OK(co_await journal.seal({}, static_cast<uint64_t>(life) + 1));
      const std::string bytes(3000, 'p');
      if (life == 0) {
        while (journal.has_room(bytes.size())) {
          const uint64_t sequence = journal.enqueue(bytes);
          CO_CHECK_OK(co_await journal.durable(sequence));
          (void)co_await sleep_for(env, Duration::milliseconds(1));
        }
      } else {
        (void)co_await sleep_for(env, Duration::seconds(1));
        CO_CHECK(!journal.has_room(bytes.size()));
        bool asked = false;
        journal.set_low_handler([&] { asked = true; });
        co_await when_all(
            [&]() -> Task<void> { CO_CHECK_OK(co_await journal.wait_for_room({}, bytes.size())); },
            [&]() -> Task<void> {
              (void)co_await sleep_for(env, Duration::milliseconds(1));
              CO_CHECK(asked);
              CO_CHECK_OK(co_await journal.trim({}, journal.last_sequence()));
            });
      }
      CO_CHECK_OK(co_await journal.close());
    });
  }
}

}  // namespace
}  // namespace fb
