// SPDX-License-Identifier: Apache-2.0
// Starts of the blob engine after more than one thing went wrong: batches that could not be wiped, copies and
// payloads that are not as they were, starts that were refused.
#include <fmt/core.h>

#include "bss/blob/test_store.h"
#include "bss/failed_change_test_world.h"

namespace fb::bss {
namespace {

constexpr uint64_t kSeedsToNotice = 200;
constexpr uint32_t kDataRole = 1U << static_cast<unsigned>(FileRole::data);

using Body = std::function<Task<void>(Env&, BlobFront&)>;

// A start that works, and what the process does then; it ends in order, unless the body ends it.
void live(World& world, uint32_t incarnation, const Body& body, bool compacts = true) {
  world.run([&](Env& env) -> Task<void> {
    auto store = co_await BlobStore::open(env, one_small_shard(incarnation, compacts));
    CO_CHECK_OK(store);
    BlobFront front(env, **store);
    CO_CHECK_OK(co_await front.open());
    EXPECT_TRUE(front.verify());
    co_await body(env, front);
    CO_CHECK_OK(co_await front.close());
  });
}

void remove_checkpoint(World& world) {
  world.run([](Env& env) -> Task<void> {
    CO_CHECK_OK(co_await remove_file(env, std::string("/blobs/shard-0000/") + kCheckpointName));
  });
}

Task<Result<void>> erase_blob(BlobFront& front, const BlobKey& key) {
  const BlobExtent extent{.id = key.id, .block_count = key.block + 1};
  co_return co_await front.erase({}, std::span(&extent, 1));
}

// --- what could not be wiped ---

sim::DiskFaults no_write_works() {
  return {.write_error_ppm = 1'000'000, .failed_writes_do_nothing = true, .roles = kDataRole};
}

Task<void> break_disk_after_failure(World* world, Env* env) {
  while (!world->node.failed_as_planned()) (void)co_await sleep_for(*env, Duration::microseconds(10));
  world->node.disk().faults() = no_write_works();
}

enum class WipedBy : uint8_t { next_start, nobody };

// A put fails though its batch is on the medium, and no wipe works until the process has ended, with a
// checkpoint. What is erased afterwards stays erased, though at last the checkpoint is lost.
void fail_and_lose_checkpoint(uint64_t seed, WipedBy wiped_by) {
  World world(seed);
  BlobKey failed;
  const auto live_on = [&](uint32_t incarnation, const Body& body) { live(world, incarnation, body, false); };
  live_on(1, [&](Env& env, BlobFront& front) -> Task<void> {
    CO_CHECK_OK(co_await put_bytes(env, front, {.id = front.new_blob()}, payload_of(1, 3000)));
    (void)co_await sleep_for(env, Duration::seconds(1));
    failed = {.id = front.new_blob()};
    // A batch is several pieces of memory; zeros and wipes are one.
    world.node.fail_at(IoKind::writev, world.node.changes_of_planned_kind() + 1,
                       sim::SimNode::FailureEffect::made);
    Scope scope(env);
    scope.spawn(&break_disk_after_failure, &world, &env);
    const Result<void> put = co_await put_bytes(env, front, failed, payload_of(2, 3000));
    EXPECT_TRUE(!put && put.error().is(BlobError::outcome_unknown)) << "it is on the medium";
    co_await scope.join();
  });
  world.node.forget_planned_failure();
  world.node.disk().faults() = {};
  if (wiped_by == WipedBy::nobody) world.node.disk().faults() = no_write_works();
  live_on(2, [&](Env& env, BlobFront& front) -> Task<void> {
    world.node.disk().faults() = {};
    EXPECT_TRUE((co_await get_bytes(front, failed, 0, 1)).error().is(BlobError::not_found));
    CO_CHECK_OK(co_await erase_blob(front, failed));
    if (wiped_by == WipedBy::nobody) co_await lose_power(world, env);
    // Another batch, which says what has ended before it.
    CO_CHECK_OK(co_await put_bytes(env, front, {.id = front.new_blob()}, payload_of(3, 3000)));
  });
  remove_checkpoint(world);
  live_on(3, [&](Env&, BlobFront& front) -> Task<void> {
    EXPECT_FALSE(co_await get_bytes(front, failed, 0, 1)) << "came back";
  });
  EXPECT_FALSE(testing::Test::HasFailure()) << "seed " << seed << "\n" << world.log();
}

TEST(BlobRecovery, WhatCouldNotBeWipedIsDoubtedBehindACheckpoint) {
  for (uint64_t seed = 1; seed <= 10 && !HasFailure(); ++seed) {
    fail_and_lose_checkpoint(seed, WipedBy::next_start);
    fail_and_lose_checkpoint(seed, WipedBy::nobody);
  }
}

TEST(BlobRecovery, ADoubtThatACheckpointForgetsIsNoticed) {
  expect_noticed(Safeguard::keep_doubt_over_checkpoint, kSeedsToNotice, [](uint64_t seed) {
    fail_and_lose_checkpoint(seed, seed % 2 == 0 ? WipedBy::next_start : WipedBy::nobody);
  });
}

// --- copies ---

// Nothing acknowledged is lost, whatever a crash leaves of the batches in flight.
Task<void> check_acknowledged(BlobFront& front, const Model& model) {
  for (const auto& [key, bytes] : model.live) {
    const auto got = co_await get_bytes(front, key, 0, static_cast<uint32_t>(bytes.size()));
    EXPECT_TRUE(got && *got == bytes)
        << "lost " << key.id.number << ": " << (got ? "wrong" : got.error().to_string());
  }
  for (const BlobKey& key : model.erased) {
    const auto got = co_await get_bytes(front, key, 0, 1);
    EXPECT_TRUE(!got && got.error().is(BlobError::not_found)) << "came back " << key.id.number;
  }
}

// The power goes while compaction moves blobs, and sectors that were being written cannot be read.
void tear_copies(uint64_t seed) {
  World world(seed);
  Model model;
  std::mt19937_64 random(seed);
  world.node.disk().faults() = {.torn_unreadable_ppm = 1'000'000, .roles = kDataRole};
  world.node.crash_at(sim::SimNode::CrashPoint::io_before, 150 + seed * 37 % 700, sim::CrashKind::power_loss);
  live(world, 1, [&](Env& env, BlobFront& front) -> Task<void> {
    Workload workload{.env = env, .client = front, .model = model, .random = random, .length_max = 9000};
    workload.erase_percent = 47;
    co_await workload.run(900, 6);
  });
  world.node.forget_planned_crash();
  live(world, 2, [&](Env&, BlobFront& front) { return check_acknowledged(front, model); });
  remove_checkpoint(world);
  live(world, 3, [&](Env&, BlobFront& front) { return check_acknowledged(front, model); });
  EXPECT_FALSE(testing::Test::HasFailure()) << "seed " << seed << "\n" << world.log();
}

TEST(BlobRecovery, ACopyThatCannotBeReadTakesNoPlace) {
  for (uint64_t seed = 1; seed <= sim::thinned(100) && !HasFailure(); ++seed) tear_copies(seed);
}

TEST(BlobRecovery, ACopyThatIsBelievedUnreadIsNoticed) {
  expect_noticed(Safeguard::copy_needs_verified_payload, kSeedsToNotice, &tear_copies);
}

// --- a start that is refused ---

// A process is killed; at the next start no sync works, and it gives up what the dead one had written; the
// one after that works, and says what there is. A power loss takes nothing of that.
void refuse_a_start(uint64_t seed) {
  World world(seed);
  Model model;
  std::mt19937_64 random(seed);
  world.node.crash_at(sim::SimNode::CrashPoint::io_before, 10 + seed * 7 % 300, sim::CrashKind::kill);
  live(world, 1, [&](Env& env, BlobFront& front) -> Task<void> {
    Workload workload{.env = env, .client = front, .model = model, .random = random, .length_max = 9000};
    co_await workload.run(300, 6);
  });
  world.node.forget_planned_crash();
  world.node.disk().faults() = {.sync_error_ppm = 1'000'000, .roles = kDataRole};
  world.run([&](Env& env) -> Task<void> {
    auto store = co_await BlobStore::open(env, one_small_shard(2));
    if (!store) co_return;
    BlobFront front(env, **store);
    (void)co_await front.open();
    (void)co_await front.close();
  });
  world.node.disk().faults() = {};
  live(world, 3, [&](Env& env, BlobFront& front) -> Task<void> {
    co_await settle_model(front, model);
    uint64_t wrong = 0;
    co_await check_model(front, model, &wrong);
    co_await lose_power(world, env);
  });
  live(world, 4, [&](Env&, BlobFront& front) -> Task<void> {
    uint64_t wrong = 0;
    co_await check_model(front, model, &wrong);
  });
  EXPECT_FALSE(testing::Test::HasFailure()) << "seed " << seed << "\n" << world.log();
}

TEST(BlobRecovery, AFailedSyncAtAStartTakesNothingThatTheNextOneSays) {
  for (uint64_t seed = 1; seed <= sim::thinned(100) && !HasFailure(); ++seed) refuse_a_start(seed);
}

TEST(BlobRecovery, AFailedSyncThatIsBelievedTheSecondTimeIsNoticed) {
  expect_noticed(Safeguard::rewrite_unproven_batches, kSeedsToNotice, &refuse_a_start);
}

// --- rot in the last batch ---

Task<void> put_one(Env* env, BlobFront* front, BlobKey key) {
  CO_CHECK_OK(co_await put_bytes(*env, *front, key, payload_of(key.id.number, 5000)));
}

// Flips a bit of what a blob holds, wherever it stands.
void rot_content(World& world, const BlobKey& key) {
  const std::string wanted = payload_of(key.id.number, 5000);
  for (uint32_t number = 0; number < 10; ++number) {
    const auto file = world.node.disk().find(fmt::format("/blobs/shard-0000/segment-{:08}", number));
    if (file == nullptr) break;
    std::string bytes(file->size(), '\0');
    file->read(0, std::as_writable_bytes(std::span(bytes)));
    const size_t at = bytes.find(wanted);
    if (at == std::string::npos) continue;
    file->flip_bit(at + 77, 3);
    return;
  }
  ADD_FAILURE() << "not found on the disk";
}

// One payload of the last batch, which nothing proves durable, has rotted: the others of its batch are kept,
// with the checkpoint and without.
TEST(BlobRecovery, ARottenPayloadOfTheLastBatchCostsNoOther) {
  World world(1);
  std::vector<BlobKey> keys;
  live(world, 1, [&](Env& env, BlobFront& front) -> Task<void> {
    {
      Scope scope(env);
      for (int i = 0; i < 9; ++i) {
        keys.push_back({.id = front.new_blob()});
        scope.spawn(&put_one, &env, &front, keys.back());
      }
      co_await scope.join();
    }
    EXPECT_LT(front.stats().batches, 5U);
    co_await lose_power(world, env);
  });
  rot_content(world, keys.back());
  for (uint32_t incarnation = 2; incarnation < 5; ++incarnation) {
    live(world, incarnation, [&](Env&, BlobFront& front) -> Task<void> {
      for (const BlobKey& key : keys) {
        const auto got = co_await get_bytes(front, key, 0, 5000);
        if (key != keys.back()) EXPECT_TRUE(got && *got == payload_of(key.id.number, 5000));
        if (key == keys.back()) EXPECT_FALSE(got);
      }
      EXPECT_EQ(front.stats().torn_entries, incarnation == 2 ? 1U : 0U);
    });
    if (incarnation == 3) remove_checkpoint(world);
  }
  EXPECT_NE(world.log().find("entries are dropped"), std::string::npos) << world.log();
}

}  // namespace
}  // namespace fb::bss
