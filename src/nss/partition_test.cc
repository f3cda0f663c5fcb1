// SPDX-License-Identifier: Apache-2.0
#include "nss/partition.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "nss/nss_test_world.h"

namespace fb {
namespace {

using Model = std::map<std::string, std::pair<uint64_t, std::string>>;

Task<void> expect_model(Session& session, const Model& model) {
  co_await session.verify();
  Model found;
  ListRequest request{.bucket = kBucket, .entries_max = 7};
  std::string after;
  while (true) {
    request.start_after = after;
    const auto page = co_await session.front->list({}, request);
    CO_CHECK_OK(page);
    for (const ListEntry& entry : page->entries)
      found[std::string(entry.key)] = {entry.version.value, std::string(entry.record)};
    if (!page->truncated) break;
    after = page->entries.back().key;
  }
  EXPECT_EQ(found, model);
}

// Whose deadline comes while it waits for room has changed nothing: who asked may free what it was to name.
TEST(Partition, TimedOutMeansThatNothingWasChanged) {
  World world;
  FakeBlobs blobs;
  in_new_bucket(world, blobs, [](Session& session) -> Task<void> {
    const std::string record = inline_object("content");
    const Mutation put{.key = "a", .record = record};
    const CallContext late{.deadline = session.env.now()};
    EXPECT_TRUE((co_await session.front->apply(late, kBucket, put)).error().is(NamespaceError::timed_out));
    EXPECT_TRUE((co_await session.front->rename(late, {.bucket = kBucket, .source = "a", .destination = "b"}))
                    .error()
                    .is(NamespaceError::timed_out));
    EXPECT_TRUE((co_await session.front->get({}, kBucket, Space::objects, "a"))
                    .error()
                    .is(NamespaceError::not_found));
    CO_CHECK_OK(co_await session.front->apply({}, kBucket, put));
    EXPECT_EQ(session.partition->statistics().objects, 1U);
  });
}

TEST(Partition, PutGetEraseConditionsAndRestart) {
  World world;
  FakeBlobs blobs;
  Version version;
  in_session(world, blobs, [&](Session& session) -> Task<void> {
    EXPECT_TRUE((co_await session.front->get({}, kBucket, Space::objects, "a"))
                    .error()
                    .is(NamespaceError::no_such_tree));
    CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
    EXPECT_TRUE((co_await session.front->create_tree({}, kBucket)).error().is(NamespaceError::tree_exists));
    EXPECT_TRUE((co_await session.front->get({}, kBucket, Space::objects, "a"))
                    .error()
                    .is(NamespaceError::not_found));
    const auto first =
        co_await session.put("a", inline_object("one"), {.kind = Condition::Kind::must_not_exist});
    CO_CHECK_OK(first);
    EXPECT_FALSE(first->existed);
    const auto refused =
        co_await session.put("a", inline_object("two"), {.kind = Condition::Kind::must_not_exist});
    EXPECT_TRUE(refused.error().is(NamespaceError::precondition_failed));
    const auto second = co_await session.put(
        "a", inline_object("two"), {.kind = Condition::Kind::version_is, .version = first->version});
    CO_CHECK_OK(second);
    EXPECT_GT(second->version, first->version);
    version = second->version;
    EXPECT_TRUE((co_await session.erase("b", {.kind = Condition::Kind::must_exist}))
                    .error()
                    .is(NamespaceError::not_found));
    EXPECT_TRUE(
        (co_await session.put("a", inline_object("x"), {.kind = Condition::Kind::etag_is, .etag = "00"}))
            .error()
            .is(NamespaceError::precondition_failed));
    const std::string etag(32, '0');
    CO_CHECK_OK(co_await session.put("c", inline_object("x")));
    CO_CHECK_OK(co_await session.erase("c", {.kind = Condition::Kind::etag_is, .etag = etag}));
    const auto statistics = co_await session.front->tree_statistics({}, kBucket);
    EXPECT_EQ(statistics->objects, 1u);
    EXPECT_EQ(statistics->bytes, 3u);
    EXPECT_TRUE((co_await session.front->drop_tree({}, kBucket)).error().is(NamespaceError::tree_not_empty));
    EXPECT_TRUE((co_await session.put(std::string(1025, 'k'), inline_object("x")))
                    .error()
                    .is(NamespaceError::key_too_long));
  });
  in_session(world, blobs, [&](Session& session) -> Task<void> {
    EXPECT_EQ(session.partition->incarnation().value, 2u);
    EXPECT_EQ(session.partition->statistics().replayed_records, 0u);
    {
      const auto found = co_await session.front->get({}, kBucket, Space::objects, "a");
      CO_CHECK_OK(found);
      EXPECT_EQ(found->record, inline_object("two"));
      EXPECT_EQ(found->version, version);
    }
    CO_CHECK_OK(co_await session.erase("a"));
    CO_CHECK_OK(co_await session.front->drop_tree({}, kBucket));
  });
}

// Random changes against a model, with clean stops, kills and power losses between, and checkpoints all the
// while.
TEST(Partition, RandomChangesAgreeWithAModelOverRestarts) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    World world(seed);
    FakeBlobs blobs;
    Model model;
    std::mt19937_64 random(seed);
    uint64_t checkpoints = 0;
    uint64_t last_version = 0;
    for (int round = 0; round < 6; ++round) {
      const bool clean = round % 2 == 0;
      bool done = false;
      world.node.start([&](Env& env) -> Task<void> {
        Session session(env);
        CO_CHECK_OK(co_await session.open(blobs));
        if (round == 0) CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
        co_await expect_model(session, model);
        for (int step = 0; step < 400; ++step) {
          std::vector<Mutation> mutations;
          std::vector<std::string> keys;
          std::vector<std::string> records;
          keys.reserve(4);
          records.reserve(4);
          for (uint64_t i = 0, count = 1 + random() % 3; i < count; ++i) {
            const uint64_t kind = random() % 20;
            std::string key(1, static_cast<char>('a' + random() % 8));
            key += std::to_string(random() % 40);
            keys.push_back(key);
            records.push_back(inline_object(std::string(random() % 3000, 'r')));
            const auto what = kind < 6 ? Mutation::Kind::erase : Mutation::Kind::put;
            mutations.push_back({.kind = what, .key = keys.back()});
            if (what == Mutation::Kind::put) mutations.back().record = records.back();
          }
          const auto results = co_await session.front->commit({}, kBucket, mutations);
          CO_CHECK_OK(results);
          for (size_t i = 0; i < mutations.size(); ++i) {
            const Mutation& mutation = mutations[i];
            const std::string key(mutation.key);
            if (mutation.kind == Mutation::Kind::put) {
              CO_CHECK((*results)[i].version.value > last_version);
              last_version = (*results)[i].version.value;
              model[key] = {last_version, std::string(mutation.record)};
            } else {
              CO_CHECK((*results)[i].existed == (model.erase(key) == 1));
            }
          }
          if (step % 50 == 0) co_await expect_model(session, model);
        }
        checkpoints += session.partition->statistics().checkpoints;
        done = true;
        if (clean) {
          CO_CHECK_OK(co_await session.close());
        } else {
          (void)co_await sleep_for(env, Duration::seconds(1000));
        }
      });
      ASSERT_TRUE(world.simulation.run_until([&] { return clean ? !world.node.running() : done; },
                                             Duration::seconds(3600)));
      ASSERT_FALSE(HasFailure()) << "seed " << seed << "\n" << world.log();
      if (!clean) world.node.crash(round % 4 == 1 ? sim::CrashKind::power_loss : sim::CrashKind::kill);
    }
    EXPECT_GT(checkpoints, 3u);
  }
}

// A start sorts the journal and serves; pages get their changes when they are asked for, or in the
// background.
TEST(Partition, ServesBeforePagesHaveTheirChanges) {
  World world;
  FakeBlobs blobs;
  Model model;
  EngineOptions options = small_options();
  options.memory_bytes = 8 * kMiB;
  options.stores.journal_bytes_max = 64 * kMiB;
  bool done = false;
  const auto key_of = [](uint64_t i) { return fmt::format("folder-{:02}/{:05}", i % 40, i); };
  world.node.start([&](Env& env) -> Task<void> {
    Session session(env);
    CO_CHECK_OK(co_await session.open(blobs, options));
    CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
    for (uint64_t i = 0; i < 3000; ++i) {
      const std::string record = inline_object(std::string(100, static_cast<char>('a' + i % 26)));
      const auto put = co_await session.put(key_of(i % 2000), record);
      CO_CHECK_OK(put);
      model[key_of(i % 2000)] = {put->version.value, record};
    }
    done = true;
    (void)co_await sleep_for(env, Duration::seconds(7200));
  });
  ASSERT_TRUE(world.simulation.run_until([&] { return done; }, Duration::seconds(3600)));
  world.node.crash(sim::CrashKind::power_loss);
  for (const bool asks_at_once : {true, false}) {
    world.run([&](Env& env) -> Task<void> {
      Session session(env);
      CO_CHECK_OK(co_await session.open(blobs, options));
      if (!asks_at_once) {
        EXPECT_EQ(session.partition->statistics().replayed_records, 0u);
        EXPECT_EQ(session.redo_pages, 0u);
        co_await expect_model(session, model);
        CO_CHECK_OK(co_await session.close());
        co_return;
      }
      EXPECT_GT(session.partition->statistics().replayed_records, 3000u);
      EXPECT_GT(session.redo_pages, 50u);
      {
        const auto found = co_await session.front->get({}, kBucket, Space::objects, key_of(7));
        CO_CHECK_OK(found);
        EXPECT_EQ(found->version.value, model[key_of(7)].first);
      }
      // A change of a page that lacks others.
      const std::string record = inline_object("new");
      const auto put = co_await session.put(key_of(1999), record);
      CO_CHECK_OK(put);
      model[key_of(1999)] = {put->version.value, record};
      while (session.partition->statistics().redo_pages != 0)
        (void)co_await sleep_for(env, Duration::milliseconds(1));
      co_await expect_model(session, model);
      // A stop in order leaves nothing to be replayed.
      CO_CHECK_OK(co_await session.close());
    });
  }
}

// One client of the crash test: each key only ever gets larger numbers.
struct CrashModel {
  std::map<std::string, uint64_t> acknowledged;  // key -> number; 0: erased
  std::map<std::string, uint64_t> tried;
};

Task<void> crash_client(Session* session, CrashModel* model, int client, uint64_t base) {
  for (uint64_t i = 1; i <= 40; ++i) {
    const std::string left = "k" + std::to_string(client) + "/" + std::to_string(i % 5);
    const std::string right = left + "'";
    const uint64_t number = base + i;
    model->tried[left] = number;
    const std::string record = inline_object(std::to_string(number) + std::string(1200, '.'));
    const Mutation both[] = {{.key = left, .record = record}, {.key = right, .record = record}};
    const auto result = co_await session->front->commit({}, kBucket, both);
    if (!result) co_return;
    model->acknowledged[left] = number;
  }
}

Task<void> check_crash_model(Session& session, const CrashModel& model) {
  for (const auto& [key, tried] : model.tried) {
    uint64_t numbers[2] = {};
    for (int side = 0; side < 2; ++side) {
      const auto found =
          co_await session.front->get({}, kBucket, Space::objects, key + (side == 0 ? "" : "'"));
      if (!found) continue;
      numbers[side] = std::stoull(std::string(ObjectRecord::decode(found->record)->content.inline_data));
    }
    EXPECT_EQ(numbers[0], numbers[1]) << key;  // all or nothing
    const auto acknowledged = model.acknowledged.find(key);
    if (acknowledged != model.acknowledged.end()) EXPECT_GE(numbers[0], acknowledged->second) << key;
    EXPECT_LE(numbers[0], tried) << key;
  }
}

TEST(Partition, CrashesAtEveryChangeOfTheDiskLoseNothingAcknowledged) {
  EngineOptions options = small_options();
  options.stores.journal_segment_bytes = 64 * kKiB;
  options.stores.journal_bytes_max = 512 * kKiB;
  for (uint64_t n = 1; n < 130; n += 1) {
    World world(n);
    CrashModel model;
    FakeBlobs blobs;
    for (int boot = 0; boot < 3; ++boot) {
      if (boot < 2) {
        world.node.crash_at(
            n % 2 == 0 ? sim::SimNode::CrashPoint::io_before : sim::SimNode::CrashPoint::io_after, n,
            n % 3 == 0 ? sim::CrashKind::kill : sim::CrashKind::power_loss);
      }
      world.run([&](Env& env) -> Task<void> {
        Session session(env);
        CO_CHECK_OK(co_await session.open(blobs, options));
        (void)co_await session.front->create_tree({}, kBucket);
        co_await check_crash_model(session, model);
        Scope clients(env);
        for (int client = 0; client < 4; ++client) {
          clients.spawn(&crash_client, &session, &model, client, static_cast<uint64_t>(boot) * 1000);
        }
        co_await clients.join();
        CO_CHECK_OK(co_await session.close());
      });
      ASSERT_FALSE(HasFailure()) << "n " << n << " boot " << boot << "\n" << world.log();
    }
  }
}

TEST(Partition, ReplacedBlobsAreFreedAfterTheirReaders) {
  World world;
  FakeBlobs blobs;
  in_new_bucket(world, blobs, [&](Session& session) -> Task<void> {
    const BlobId old_blob = blobs.new_blob();
    const BlobId new_blob = blobs.new_blob();
    const BlobId unnamed = blobs.new_blob();
    for (const BlobId& id : {old_blob, new_blob, unnamed}) blobs.write(id);
    CO_CHECK_OK(co_await session.put("a", object_naming(old_blob)));
    {
      const auto reader = co_await session.front->get({}, kBucket, Space::objects, "a");
      CO_CHECK_OK(reader);
      CO_CHECK_OK(co_await session.put("a", object_naming(new_blob)));
      (void)co_await sleep_for(session.env, Duration::seconds(1));
      EXPECT_TRUE(blobs.live.contains({old_blob, 0}));
    }
    session.front->discard_blob(unnamed, 1);
    (void)co_await sleep_for(session.env, Duration::seconds(1));
    EXPECT_EQ(blobs.live, (std::set<BlobKey>{{new_blob, 0}}));
    // Taken over within a commit: not garbage.
    const std::string moved = object_naming(new_blob);
    const Mutation move[] = {{.kind = Mutation::Kind::erase, .key = "a"}, {.key = "b", .record = moved}};
    CO_CHECK_OK(co_await session.front->commit({}, kBucket, move));
    (void)co_await sleep_for(session.env, Duration::seconds(1));
    EXPECT_TRUE(blobs.live.contains({new_blob, 0}));
  });
}

TEST(Partition, SweepFreesOnlyWhatDeadWritersLeft) {
  World world;
  FakeBlobs blobs;
  BlobId named;
  BlobId left_behind;
  bool written = false;
  world.node.start([&](Env& env) -> Task<void> {
    Session session(env);
    CO_CHECK_OK(co_await session.open(blobs));
    CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
    for (int i = 0; i < 40; ++i) {
      named = blobs.new_blob();
      blobs.write(named, 2);
      CO_CHECK_OK(co_await session.put("n" + std::to_string(i), object_naming(named, kMiB + 1)));
    }
    for (int i = 0; i < 9; ++i) blobs.write(left_behind = blobs.new_blob());
    written = true;
    (void)co_await sleep_for(env, Duration::seconds(1000));
  });
  ASSERT_TRUE(world.simulation.run_until([&] { return written; }, Duration::seconds(100)));
  world.node.crash(sim::CrashKind::kill);
  world.run([&](Env& env) -> Task<void> {
    Session session(env);
    EngineOptions options = small_options();
    options.sweep_blobs_max = 15;
    CO_CHECK_OK(co_await session.open(blobs, options));
    // The old blob moves while the sweep may be marking; a new one is not touched.
    const BlobId fresh = blobs.new_blob();
    blobs.write(fresh);
    const std::string moved = object_naming(named, kMiB + 1);
    const Mutation move[] = {{.kind = Mutation::Kind::erase, .key = "n39"}, {.key = "a", .record = moved}};
    CO_CHECK_OK(co_await session.front->commit({}, kBucket, move));
    EXPECT_TRUE(
        (co_await session.put("z", object_naming(left_behind))).error().is(NamespaceError::stale_blob));
    (void)co_await sleep_for(env, Duration::seconds(2));
    EXPECT_TRUE(session.partition->statistics().sweep_done);
    EXPECT_EQ(session.partition->statistics().swept_blobs, 9u);
    EXPECT_EQ(blobs.live.size(), 81u);
    EXPECT_TRUE(blobs.live.contains({named, 1}));
    EXPECT_TRUE(blobs.live.contains({fresh, 0}));
    CO_CHECK_OK(co_await session.close());
  });
}

// Found by crashes during compaction: the checkpoint of the orderly end was still the last one.
TEST(Partition, SweepFollowsACrashBeforeTheFirstCheckpointAfterAnOrderlyEnd) {
  World world;
  FakeBlobs blobs;
  in_new_bucket(world, blobs, [&](Session& session) -> Task<void> {
    (void)co_await sleep_for(session.env, Duration::seconds(1));
  });
  bool written = false;
  world.node.start([&](Env& env) -> Task<void> {
    Session session(env);
    CO_CHECK_OK(co_await session.open(blobs));
    EXPECT_TRUE(session.partition->statistics().sweep_done);
    blobs.write(blobs.new_blob());
    written = true;
    (void)co_await sleep_for(env, Duration::seconds(1000));
  });
  ASSERT_TRUE(world.simulation.run_until([&] { return written; }, Duration::seconds(100)));
  world.node.crash(sim::CrashKind::kill);
  in_session(world, blobs, [&](Session& session) -> Task<void> {
    (void)co_await sleep_for(session.env, Duration::seconds(1));
    EXPECT_TRUE(blobs.live.empty());
  });
}

TEST(Partition, DroppedTreesFreeWhatTheirUploadsNamed) {
  World world;
  FakeBlobs blobs;
  in_new_bucket(world, blobs, [&](Session& session) -> Task<void> {
    const BlobId blob = blobs.new_blob();
    blobs.write(blob);
    PartRecord part{.size_bytes = 5,
                    .content = {.kind = Locator::Kind::blob, .blob = blob, .length_bytes = 5}};
    const std::string upload = UploadRecord().encode();
    const std::string part_bytes = part.encode();
    const Mutation both[] = {{.space = Space::uploads, .key = "u", .record = upload},
                             {.space = Space::parts, .key = "u1", .record = part_bytes}};
    CO_CHECK_OK(co_await session.front->commit({}, kBucket, both));
    EXPECT_EQ((co_await session.front->tree_statistics({}, kBucket))->uploads, 1u);
    CO_CHECK_OK(co_await session.front->drop_tree({}, kBucket));
    (void)co_await sleep_for(session.env, Duration::seconds(1));
    EXPECT_TRUE(blobs.live.empty());
  });
}

// Found end to end: a bucket that was deleted while its upload's parts were being freed, in a loop that let
// nobody else have a turn.
TEST(Partition, ATreeIsDroppedWhileWhatItDetachedIsBeingFreed) {
  World world;
  FakeBlobs blobs;
  in_new_bucket(world, blobs, [&](Session& session) -> Task<void> {
    const BlobId blob = blobs.new_blob();
    blobs.write(blob);
    const PartRecord part{.size_bytes = 5,
                          .content = {.kind = Locator::Kind::blob, .blob = blob, .length_bytes = 5}};
    const std::string record = part.encode();
    CO_CHECK_OK(
        co_await session.front->apply({}, kBucket, {.space = Space::parts, .key = "u1", .record = record}));
    blobs.erase_delay = Duration::milliseconds(50);
    CO_CHECK_OK(co_await session.front->apply(
        {}, kBucket, {.kind = Mutation::Kind::erase_prefix, .space = Space::parts, .key = "u"}));
    (void)co_await sleep_for(session.env, Duration::milliseconds(30));
    CO_CHECK_OK(co_await session.front->drop_tree({}, kBucket));
    // The ledger outlives the bucket.
    (void)co_await sleep_for(session.env, Duration::milliseconds(200));
    EXPECT_TRUE(blobs.live.empty());
  });
}

TEST(Partition, AFullDiskRefusesPutsKeepsErasingAndRecovers) {
  World world;
  FakeBlobs blobs;
  in_new_bucket(world, blobs, [&](Session& session) -> Task<void> {
    (void)co_await sleep_for(session.env, Duration::seconds(1));
    world.node.disk().set_capacity(world.node.disk().used_bytes());
    const std::string record = inline_object(std::string(900, 'x'));
    Result<MutationResult> put(MutationResult{});
    int count = 0;
    while (put) {
      put = co_await session.put("k" + std::to_string(count), record);
      if (put) ++count;
      CO_CHECK(count < 20'000);
    }
    CO_CHECK(count > 0);
    EXPECT_TRUE(put.error().is(NamespaceError::full));
    CO_CHECK_OK(co_await session.front->get({}, kBucket, Space::objects, "k0"));
    CO_CHECK_OK(co_await session.erase("k0"));
    world.node.disk().set_capacity(1 * kGiB);
    (void)co_await sleep_for(session.env, Duration::seconds(3));
    CO_CHECK_OK(co_await session.put("again", record));
  });
}

// A page is divided by what is in it, not by what is to come. No S3 operation makes such a commit.
TEST(Partition, ACommitWithMoreThanAPageTakesIsRefusedAndHarmsNothing) {
  World world;
  FakeBlobs blobs;
  in_new_bucket(world, blobs, [&](Session& session) -> Task<void> {
    Model model;
    std::vector<std::string> keys;
    for (int i = 0; i < 300; ++i) keys.push_back("k" + std::to_string(1000 + i));
    const std::string record = inline_object(std::string(100, 'x'));
    std::vector<Mutation> puts;
    for (const std::string& key : keys) puts.push_back({.key = key, .record = record});
    // Into an empty tree, and where something is.
    for (int round = 0; round < 2; ++round) {
      const auto made = co_await session.front->commit({}, kBucket, puts);
      CO_CHECK(!made);
      EXPECT_TRUE(made.error().is(NamespaceError::record_too_large)) << made.error().to_string();
      co_await expect_model(session, model);
      const auto put = co_await session.put("k1007", record);
      CO_CHECK_OK(put);
      model["k1007"] = {put->version.value, record};
    }
    // As much as a page takes; then there are enough pages for all of it.
    for (size_t i = 0; i < puts.size(); i += 10)
      CO_CHECK_OK(co_await session.front->commit({}, kBucket, std::span(puts).subspan(i, 10)));
    const auto made = co_await session.front->commit({}, kBucket, puts);
    CO_CHECK_OK(made);
    for (size_t i = 0; i < puts.size(); ++i) model[keys[i]] = {(*made)[i].version.value, record};
    co_await expect_model(session, model);
  });
}

// What the ledger, and not only the next sweep, must free.
TEST(Partition, AKeyMayComeUpTwiceInACommit) {
  World world;
  FakeBlobs blobs;
  in_new_bucket(world, blobs, [&](Session& session) -> Task<void> {
    BlobId ids[5];
    for (BlobId& id : ids) blobs.write(id = blobs.new_blob());
    std::string records[5];
    for (int i = 0; i < 5; ++i) records[i] = object_naming(ids[i]);
    CO_CHECK_OK(co_await session.put("a", records[0]));
    // Replaced within the commit, erased by key and by prefix within it; and one taken over by the last.
    const Mutation puts[] = {{.key = "a", .record = records[1]}, {.key = "a", .record = records[2]},
                             {.key = "b", .record = records[3]}, {.kind = Mutation::Kind::erase, .key = "b"},
                             {.key = "c", .record = records[4]}, {.kind = Mutation::Kind::erase, .key = "c"},
                             {.key = "d", .record = records[1]}};
    const auto put = co_await session.front->commit({}, kBucket, puts);
    CO_CHECK_OK(put);
    EXPECT_TRUE((*put)[1].existed);
    EXPECT_TRUE((*put)[3].existed);
    EXPECT_FALSE((*put)[6].existed);
    // What an erased prefix covers moves as a whole, so the same commit cannot touch it.
    const Mutation beneath[] = {{.space = Space::parts, .key = "c/1", .record = records[4]},
                                {.kind = Mutation::Kind::erase_prefix, .space = Space::parts, .key = "c/"}};
    EXPECT_TRUE(
        (co_await session.front->commit({}, kBucket, beneath)).error().is(NamespaceError::unsupported));
    (void)co_await sleep_for(session.env, Duration::seconds(1));
    EXPECT_EQ(blobs.live, (std::set<BlobKey>{{ids[1], 0}, {ids[2], 0}}));
    const Mutation erases[] = {{.kind = Mutation::Kind::erase, .key = "a"},
                               {.kind = Mutation::Kind::erase, .key = "a"},
                               {.kind = Mutation::Kind::erase, .key = "d"}};
    const auto erased = co_await session.front->commit({}, kBucket, erases);
    CO_CHECK_OK(erased);
    EXPECT_TRUE((*erased)[0].existed);
    EXPECT_FALSE((*erased)[1].existed);
    (void)co_await sleep_for(session.env, Duration::seconds(1));
    EXPECT_TRUE(blobs.live.empty());
    co_await session.verify();
  });
}

// Puts until the disk takes no more; the number of keys there are then.
Task<void> fill_disk(Session& session, int& count) {
  const std::string record = inline_object(std::string(900, 'x'));
  for (int refused = 0; refused < 3;) {
    const auto put = co_await session.put("k" + std::to_string(count), record);
    if (put) {
      ++count;
      refused = 0;
      CO_CHECK(count < 5000);
      continue;
    }
    CO_CHECK(put.error().is(NamespaceError::full));
    ++refused;
    (void)co_await sleep_for(session.env, Duration::seconds(2));
  }
}

TEST(Partition, ASmallDiskIsFilledAndEmptiedAgainAndAgain) {
  World world;
  FakeBlobs blobs;
  EngineOptions options = small_options();
  options.stores.journal_segment_bytes = 64 * kKiB;
  options.stores.journal_bytes_max = 512 * kKiB;
  world.node.disk().set_capacity(4 * kMiB);
  int first_count = 0;
  for (int round = 0; round < 5; ++round) {
    int count = 0;
    world.node.start([&](Env& env) -> Task<void> {
      Session session(env);
      CO_CHECK_OK(co_await session.open(blobs, options));
      if (round == 0) CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
      co_await fill_disk(session, count);
      if (round % 2 == 0) CO_CHECK_OK(co_await session.close());
      if (round % 2 != 0) (void)co_await sleep_for(env, Duration::seconds(10'000));
    });
    if (round % 2 == 0) {
      ASSERT_TRUE(world.simulation.run_until([&] { return !world.node.running(); }, Duration::seconds(3600)));
    } else {
      world.simulation.run_for(Duration::seconds(200));
      world.node.crash(round == 1 ? sim::CrashKind::kill : sim::CrashKind::power_loss);
    }
    if (round == 0) first_count = count;
    EXPECT_GT(count, 300);
    // Every other round takes fewer keys, here 1830 and 1247; why is not known.
    EXPECT_GT(count, first_count * 2 / 3);
    world.run([&](Env& env) -> Task<void> {
      Session session(env);
      CO_CHECK_OK(co_await session.open(blobs, options));
      EXPECT_EQ((co_await session.front->tree_statistics({}, kBucket))->objects,
                static_cast<uint64_t>(count));
      for (int i = 0; i < count; ++i) {
        CO_CHECK_OK(co_await session.erase("k" + std::to_string(i)));
      }
      co_await session.verify();
      CO_CHECK_OK(co_await session.close());
    });
    ASSERT_FALSE(HasFailure()) << "round " << round << "\n" << world.log();
  }
}

TEST(Partition, AFailedJournalWriteEndsAnswers) {
  World world;
  FakeBlobs blobs;
  world.run([&](Env& env) -> Task<void> {
    Session session(env);
    CO_CHECK_OK(co_await session.open(blobs));
    CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
    CO_CHECK_OK(co_await session.put("a", inline_object("v")));
    world.node.disk().faults().write_error_ppm = 1'000'000;
    EXPECT_TRUE((co_await session.put("b", inline_object("v"))).error().is(NamespaceError::outcome_unknown));
    EXPECT_TRUE((co_await session.front->get({}, kBucket, Space::objects, "b"))
                    .error()
                    .is(NamespaceError::unavailable));
    world.node.disk().faults().write_error_ppm = 0;
    (void)co_await session.close();
  });
  in_session(world, blobs, [&](Session& session) -> Task<void> {
    CO_CHECK_OK(co_await session.front->get({}, kBucket, Space::objects, "a"));
  });
}

TEST(Partition, OtherCoresReadAndWriteThroughTheirFronts) {
  World world(3, 3);
  FakeBlobs blobs;
  struct Shared {
    Partition* partition = nullptr;
    int done = 0;
  } shared;
  world.run([&](Env& env) -> Task<void> {
    if (env.core() != 0) {
      while (shared.partition == nullptr) (void)co_await sleep_for(env, Duration::milliseconds(1));
      auto front = co_await PartitionFront::open(env, *shared.partition);
      for (int i = 0; i < 50; ++i) {
        const std::string key = std::to_string(env.core()) + "/" + std::to_string(i);
        const std::string record = inline_object(key);
        CO_CHECK_OK(co_await front->apply({}, kBucket, {.key = key, .record = record}));
        const auto found = co_await front->get({}, kBucket, Space::objects, key);
        CO_CHECK_OK(found);
        EXPECT_EQ(found->record, record);
        front->discard_blob(
            {.incarnation = shared.partition->incarnation(), .number = static_cast<uint64_t>(i)}, 1);
      }
      co_await front->close();
      ++shared.done;
      co_return;
    }
    Session session(env);
    CO_CHECK_OK(co_await session.open(blobs));
    CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
    shared.partition = session.partition;
    while (shared.done < 2) (void)co_await sleep_for(env, Duration::milliseconds(1));
    EXPECT_EQ((co_await session.front->tree_statistics({}, kBucket))->objects, 100u);
    CO_CHECK_OK(co_await session.close());
  });
}

}  // namespace
}  // namespace fb
