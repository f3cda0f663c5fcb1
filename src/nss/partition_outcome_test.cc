// SPDX-License-Identifier: Apache-2.0
// What a call answers when a drive takes long, or fails, and when: by its deadline, and whether the change
// was certainly not made, or may have been. What was stored for a change is then freed, or is the
// namespace's.
#include <gtest/gtest.h>

#include "io/sim/thinning.h"
#include "nss/nss_test_world.h"

namespace fb {
namespace {

constexpr Duration kPatience = Duration::milliseconds(200);
constexpr Duration kLittle = Duration::milliseconds(50);  // behind a deadline
constexpr int kKeys = 1500;

std::string key_of(uint64_t n) { return fmt::format("d/{:05}", n % kKeys); }

struct Store {
  explicit Store(uint64_t seed) : world(seed) {}
  World world;
  FakeBlobs blobs;
  uint64_t timed_out = 0, unknown = 0, made = 0;
  Duration latest;
  // A call that was made with kPatience.
  template <class Value>
  void take(Env& env, Instant deadline, const Result<Value>& outcome) {
    latest = std::max(latest, env.now() - deadline);
    timed_out += !outcome && outcome.error().is(NamespaceError::timed_out);
    unknown += !outcome && outcome.error().is(NamespaceError::outcome_unknown);
    made += outcome.has_value();
    if (!outcome) {
      EXPECT_FALSE(outcome.error().is(NamespaceError::unavailable)) << outcome.error().to_string();
    }
  }
};

Task<void> fill(Session& session) {
  const std::string filler = inline_object(std::string(800, '.'));
  std::vector<std::string> keys;
  std::vector<Mutation> puts;
  for (uint64_t i = 0; i < kKeys; ++i) keys.push_back(key_of(i));
  for (const std::string& key : keys) puts.push_back({.key = key, .record = filler});
  for (const auto& put : co_await session.front->apply_each({}, kBucket, puts)) CO_CHECK_OK(put);
}

// One call of each kind, while every operation of the drive takes seconds.
Task<void> call_each(Store& store, Session& session, uint64_t n) {
  Env& env = session.env;
  PartitionFront& front = *session.front;
  const auto bounds = [&] { return CallContext{.deadline = env.now() + kPatience}; };
  CallContext context = bounds();
  const BlobId blob = store.blobs.new_blob();
  store.blobs.write(blob);
  const std::string record = object_naming(blob);
  const std::string key = "new/" + std::to_string(n);
  const auto put = co_await front.apply(context, kBucket, {.key = key, .record = record});
  store.take(env, context.deadline, put);
  if (!put && !put.error().is(NamespaceError::outcome_unknown)) front.discard_blob(blob, 1);
  context = bounds();
  {
    const auto found = co_await front.get(context, kBucket, Space::objects, key_of(n * 7919));
    store.take(env, context.deadline, found);
  }
  context = bounds();
  store.take(env, context.deadline,
             co_await front.list(context, {.bucket = kBucket, .start_after = key_of(n * 104'729)}));
  context = bounds();
  const std::string from = key_of(n * 31);
  store.take(
      env, context.deadline,
      co_await front.rename(context, {.bucket = kBucket, .source = from, .destination = key_of(n * 37)}));
  context = bounds();
  const std::string gone = key_of(n * 41);
  const std::string beside = gone + "+";
  const std::string small = inline_object("small");
  const Mutation mutations[] = {{.kind = Mutation::Kind::erase, .key = gone},
                                {.kind = Mutation::Kind::erase_prefix, .space = Space::parts, .key = "none/"},
                                {.key = beside, .record = small}};
  store.take(env, context.deadline, co_await front.commit(context, kBucket, mutations));
  context = bounds();
  store.take(env, context.deadline, co_await front.create_tree(context, {100 + n}));
  context = bounds();
  store.take(env, context.deadline, co_await front.tree_statistics(context, kBucket));
}

// All that is stored is named, and the other way around.
Task<void> check_blobs(Store& store, Session& session) {
  for (int i = 0; i < 2000; ++i) {
    (void)co_await sleep_for(session.env, Duration::milliseconds(10));
    const Partition::Statistics statistics = session.partition->statistics();
    if (statistics.sweep_done && statistics.ledger_blobs == 0 && i > 10) break;
  }
  const auto report = co_await session.partition->verify();
  CO_CHECK_OK(report);
  for (const std::string& problem : report->problems) ADD_FAILURE() << problem;
  EXPECT_EQ(report->named.size(), store.blobs.live.size());
  for (const auto& [blob, block_count] : report->named)
    EXPECT_TRUE(store.blobs.live.contains({blob, 0})) << "a record names a blob that was freed";
}

TEST(PartitionOutcome, CallsReturnByTheirDeadlineWhileTheDriveIsStuck) {
  uint64_t timed_out = 0, unknown = 0;
  for (uint64_t seed = 1; seed <= 6; seed += sim::kThinning) {
    Store store(seed);
    in_new_bucket(store.world, store.blobs, [&](Session& session) -> Task<void> {
      co_await fill(session);
      sim::DiskFaults& faults = store.world.node.disk().faults();
      for (uint64_t n = 0; n < 8; ++n) {
        faults.stall_ppm = 1'000'000;
        faults.stall_max = Duration::seconds(30);
        co_await call_each(store, session, 10 * seed + n);
        // It recovers now and then.
        faults.stall_ppm = 0;
        if (n % 3 == 2) (void)co_await sleep_for(session.env, Duration::seconds(40));
      }
      (void)co_await sleep_for(session.env, Duration::seconds(40));
      EXPECT_LE(store.latest, kLittle);
      co_await check_blobs(store, session);
    });
    ASSERT_FALSE(HasFailure()) << "seed " << seed << "\n" << store.world.log();
    timed_out += store.timed_out;
    unknown += store.unknown;
  }
  EXPECT_GT(timed_out, 20 / sim::kThinning);
  EXPECT_GT(unknown, 10 / sim::kThinning);
}

// What was answered so is made: the drive goes on, and the object is there with its content.
TEST(PartitionOutcome, AnUnknownChangeIsMadeIfTheDriveGoesOn) {
  Store store(1);
  in_new_bucket(store.world, store.blobs, [&](Session& session) -> Task<void> {
    sim::DiskFaults& faults = store.world.node.disk().faults();
    CO_CHECK_OK(co_await session.put("k", inline_object("old")));
    faults.stall_ppm = 1'000'000;
    faults.stall_max = Duration::seconds(30);
    const BlobId blob = store.blobs.new_blob();
    store.blobs.write(blob);
    const Instant deadline = session.env.now() + kPatience;
    const auto put = co_await session.front->apply({.deadline = deadline}, kBucket,
                                                   {.key = "k", .record = object_naming(blob)});
    CO_CHECK(!put && put.error().is(NamespaceError::outcome_unknown));
    EXPECT_LE(session.env.now() - deadline, kLittle);
    // Nobody is told of it either before it is durable.
    const Instant read_deadline = session.env.now() + kPatience;
    {
      const auto found =
          co_await session.front->get({.deadline = read_deadline}, kBucket, Space::objects, "k");
      CO_CHECK(!found && found.error().is(NamespaceError::timed_out));
      EXPECT_LE(session.env.now() - read_deadline, kLittle);
    }
    faults.stall_ppm = 0;
    {
      const auto found = co_await session.front->get({}, kBucket, Space::objects, "k");
      CO_CHECK_OK(found);
      EXPECT_EQ(found->record, object_naming(blob));
    }
    co_await check_blobs(store, session);
  });
}

// The journal fails: what was under way is unknown, what comes later is certainly not made. The next process
// has one or the other, and nothing is left over.
TEST(PartitionOutcome, AFailedJournalTellsWhatIsUnknownFromWhatIsNotMade) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Store store(seed);
    in_new_bucket(store.world, store.blobs, [&](Session& session) -> Task<void> { co_await fill(session); });
    store.world.run([&](Env& env) -> Task<void> {
      Session session(env);
      CO_CHECK_OK(co_await session.open(store.blobs));
      sim::DiskFaults& faults = store.world.node.disk().faults();
      faults.write_error_ppm = faults.sync_error_ppm = 1'000'000;
      for (int i = 0; i < 3; ++i) {
        const BlobId blob = store.blobs.new_blob();
        store.blobs.write(blob);
        const auto put = co_await session.put("k" + std::to_string(i), object_naming(blob));
        CO_CHECK(!put);
        EXPECT_TRUE(put.error().is(i == 0 ? NamespaceError::outcome_unknown : NamespaceError::unavailable))
            << i << ": " << put.error().to_string();
        if (i != 0) session.front->discard_blob(blob, 1);
      }
      (void)co_await session.close();
    });
    store.world.node.disk().faults() = {};
    in_session(store.world, store.blobs, [&](Session& session) -> Task<void> {
      co_await check_blobs(store, session);
      for (int i = 1; i < 3; ++i) {
        const auto found = co_await session.front->get({}, kBucket, Space::objects, "k" + std::to_string(i));
        CO_CHECK(!found && found.error().is(NamespaceError::not_found));
      }
    });
    ASSERT_FALSE(HasFailure()) << "seed " << seed << "\n" << store.world.log();
  }
}

// An epoch gives 2^40 versions and no more: then puts are refused until the next start, which has another
// one.
TEST(PartitionOutcome, VersionsOfAnEpochAreBounded) {
  Store store(1);
  EngineOptions options = small_options();
  options.first_version = Partition::kVersionCounterEnd - Partition::kVersionsKept - 100;
  Version last;
  in_new_bucket(
      store.world, store.blobs,
      [&](Session& session) -> Task<void> {
        int made = 0;
        Result<MutationResult> put = NamespaceError::unavailable;
        for (;; ++made) {
          put = co_await session.put("k" + std::to_string(made), inline_object("x"));
          if (!put) break;
          EXPECT_GT(put->version, last);
          last = put->version;
        }
        EXPECT_TRUE(put.error().is(NamespaceError::unavailable));
        EXPECT_GT(made, 50);
        EXPECT_LE(made, 100);
        CO_CHECK_OK(co_await session.erase("k0"));
        const auto found = co_await session.front->get({}, kBucket, Space::objects, "k1");
        CO_CHECK_OK(found);
        (void)co_await sleep_for(session.env, Duration::milliseconds(100));
      },
      options);
  EXPECT_NE(store.world.log().find("versions of this epoch are used up"), std::string::npos);
  in_session(store.world, store.blobs, [&](Session& session) -> Task<void> {
    const auto put = co_await session.put("k1", inline_object("y"));
    CO_CHECK_OK(put);
    EXPECT_GT(put->version, last);
    co_await session.verify();
  });
}

// Whether the names fit is open for every page beneath, and there are more pages than frames.
TEST(PartitionOutcome, ARenameNeedsNoMoreFramesThanThereAre) {
  Store store(1);
  in_new_bucket(store.world, store.blobs, [&](Session& session) -> Task<void> {
    for (int i = 0; i < 1200; ++i) {  // three or four of a page, and 192 frames
      std::string key = fmt::format("d/{:05}", i);
      key.resize(1020, static_cast<char>('a' + i % 26));
      CO_CHECK_OK(co_await session.put(key, inline_object("x")));
    }
    const CallContext context{.deadline = session.env.now() + Duration::seconds(60)};
    const auto moved = co_await session.front->rename(
        context, {.bucket = kBucket, .source = "d/", .destination = "dd/", .prefix = true});
    CO_CHECK(!moved);
    EXPECT_TRUE(moved.error().is(NamespaceError::key_too_long)) << moved.error().to_string();
    // Names that do not become longer are not in question.
    CO_CHECK_OK(co_await session.front->rename(
        context, {.bucket = kBucket, .source = "d/", .destination = "e/", .prefix = true}));
    co_await session.verify();
  });
}

}  // namespace
}  // namespace fb
