// SPDX-License-Identifier: Apache-2.0
#include "rss/embedded_registry.h"

#include <gtest/gtest.h>

#include <map>

#include "client/doubtful_names.h"
#include "client/outcome.h"
#include "nss/nss_test_world.h"
#include "rss/bucket_record.h"

namespace fb {
namespace {

// One core of a node: its view of the namespace and its registry.
struct Core {
  explicit Core(Env& env_in) : env(env_in) {}
  Task<Result<void>> open(Partition& engine, EmbeddedRegistryGroup& group) {
    front = co_await PartitionFront::open(env, engine);
    std::vector<KeyInfo> keys;
    keys.push_back({.access_key = "AK", .owner = "me"});
    auto opened = co_await EmbeddedRegistry::open(
        env, group, *front, [this](const CallContext& context) { return front->trees(context); },
        std::move(keys));
    if (opened) {
      registry = std::move(*opened);
      co_return Result<void>();
    }
    co_await front->close();
    co_return opened.error();
  }
  Task<void> close() {
    co_await registry->close();
    co_await front->close();
  }
  Task<Result<MutationResult>> put(BucketId bucket, std::string_view key) {
    const std::string record = inline_object(key);
    co_return co_await front->apply({}, bucket, {.key = key, .record = record});
  }
  Env& env;
  std::unique_ptr<PartitionFront> front;
  std::unique_ptr<EmbeddedRegistry> registry;
};

// Core 0, with the engine that all cores share.
struct Node : Core {
  Node(Env& env_in, EmbeddedRegistryGroup& group_in) : Core(env_in), group(group_in) {}
  Task<Result<void>> open(FakeBlobs& blobs) {
    FB_CO_CHECK(co_await engine.open(env));
    engine.partition->start_background(blobs);
    co_return co_await Core::open(*engine.partition, group);
  }
  Task<Result<void>> close() {
    co_await Core::close();
    co_return co_await engine.close();
  }
  EmbeddedRegistryGroup& group;
  Engine engine;
};

std::string names_of(const Result<std::vector<BucketInfo>>& listed) {
  std::string names;
  for (const BucketInfo& bucket : *listed) names += bucket.name + " ";
  return names;
}

// Expects exactly the trees of the buckets listed, and the system tree.
Task<void> expect_no_leftovers(Core& core) {
  const auto trees = co_await core.front->trees({});
  const auto buckets = co_await core.registry->list_buckets({});
  CO_CHECK_OK(trees);
  CO_CHECK_OK(buckets);
  std::set<BucketId> expected{kSystemTree};
  for (const BucketInfo& bucket : *buckets) expected.insert(bucket.id);
  EXPECT_EQ(std::set<BucketId>(trees->begin(), trees->end()), expected);
  const auto records =
      co_await core.front->list({}, {.bucket = kSystemTree, .space = Space::system, .prefix = "bucket/"});
  CO_CHECK_OK(records);
  EXPECT_EQ(records->entries.size(), buckets->size());
}

TEST(BucketRecord, RoundTripAndRefusals) {
  const BucketInfo bucket{.name = "b", .id = {7}, .created = {123456789}, .owner = "me"};
  const std::string bytes = encode_bucket(bucket);
  const auto decoded = decode_bucket("b", bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->id, bucket.id);
  EXPECT_EQ(decoded->created, bucket.created);
  EXPECT_EQ(decoded->owner, "me");
  for (size_t size = 0; size < 10; ++size) EXPECT_FALSE(decode_bucket("b", bytes.substr(0, size)));
  std::string newer = bytes;
  newer[0] = 9;
  EXPECT_FALSE(decode_bucket("b", newer));
}

TEST(EmbeddedRegistry, CreateFindListDeleteRecreateAndRestart) {
  World world;
  FakeBlobs blobs;
  BucketId first_id;
  BucketId second_id;
  world.run([&](Env& env) -> Task<void> {
    EmbeddedRegistryGroup group(1);
    Node node(env, group);
    CO_CHECK_OK(co_await node.open(blobs));
    EmbeddedRegistry& registry = *node.registry;
    EXPECT_EQ(registry.cached_bucket("bucket-a"), nullptr);
    EXPECT_TRUE((co_await registry.find_bucket({}, "bucket-a")).error().is(RootError::no_such_bucket));
    EXPECT_TRUE((co_await registry.delete_bucket({}, "bucket-a")).error().is(RootError::no_such_bucket));
    const auto made = co_await registry.create_bucket({}, "bucket-a", "me");
    CO_CHECK_OK(made);
    first_id = made->id;
    EXPECT_EQ(made->owner, "me");
    EXPECT_TRUE((co_await registry.create_bucket({}, "bucket-a", "me")).error().is(RootError::bucket_exists));
    CO_CHECK(registry.cached_bucket("bucket-a") != nullptr);
    EXPECT_EQ(registry.cached_bucket("bucket-a")->id, first_id);
    CO_CHECK_OK(co_await node.put(first_id, "key"));
    EXPECT_TRUE((co_await registry.delete_bucket({}, "bucket-a")).error().is(RootError::bucket_not_empty));
    CO_CHECK(registry.cached_bucket("bucket-a") != nullptr);
    CO_CHECK_OK(co_await node.front->apply({}, first_id, {.kind = Mutation::Kind::erase, .key = "key"}));
    CO_CHECK_OK(co_await registry.delete_bucket({}, "bucket-a"));
    EXPECT_EQ(registry.cached_bucket("bucket-a"), nullptr);
    EXPECT_TRUE((co_await node.put(first_id, "key")).error().is(NamespaceError::no_such_tree));
    const auto again = co_await registry.create_bucket({}, "bucket-a", "you");
    CO_CHECK_OK(again);
    second_id = again->id;
    EXPECT_NE(first_id, second_id);  // a holder of the old id finds nothing of the new bucket
    for (const char* name : {"bucket-c", "bucket-b"})
      CO_CHECK_OK(co_await registry.create_bucket({}, name, "me"));
    EXPECT_EQ(names_of(co_await registry.list_buckets({})), "bucket-a bucket-b bucket-c ");
    CO_CHECK_OK(co_await registry.find_key({}, "AK"));
    EXPECT_TRUE((co_await registry.find_key({}, "BK")).error().is(RootError::no_such_key));
    CO_CHECK_OK(co_await node.close());
  });
  world.run([&](Env& env) -> Task<void> {
    EmbeddedRegistryGroup group(1);
    Node node(env, group);
    CO_CHECK_OK(co_await node.open(blobs));
    EXPECT_EQ(names_of(co_await node.registry->list_buckets({})), "bucket-a bucket-b bucket-c ");
    const auto found = co_await node.registry->find_bucket({}, "bucket-a");
    CO_CHECK_OK(found);
    EXPECT_EQ(found->id, second_id);
    EXPECT_EQ(found->owner, "you");
    co_await expect_no_leftovers(node);
    CO_CHECK_OK(co_await node.close());
  });
}

TEST(EmbeddedRegistry, TheNumberOfBucketsIsLimited) {
  World world;
  FakeBlobs blobs;
  world.run([&](Env& env) -> Task<void> {
    EmbeddedRegistryGroup group(1, 2);
    Node node(env, group);
    CO_CHECK_OK(co_await node.open(blobs));
    for (const char* name : {"bucket-a", "bucket-b"})
      CO_CHECK_OK(co_await node.registry->create_bucket({}, name, "me"));
    EXPECT_TRUE((co_await node.registry->create_bucket({}, "bucket-c", "me")).error().is(RootError::limit));
    EXPECT_TRUE(
        (co_await node.registry->create_bucket({}, "bucket-a", "me")).error().is(RootError::bucket_exists));
    CO_CHECK_OK(co_await node.registry->delete_bucket({}, "bucket-a"));
    CO_CHECK_OK(co_await node.registry->create_bucket({}, "bucket-c", "me"));
    co_await expect_no_leftovers(node);
    CO_CHECK_OK(co_await node.close());
  });
}

// Each waits for the disk between the look at the limit and the bucket.
TEST(EmbeddedRegistry, CreationsAtOnceKeepToTheLimit) {
  World world;
  FakeBlobs blobs;
  world.run([&](Env& env) -> Task<void> {
    EmbeddedRegistryGroup group(1, 2);
    Node node(env, group);
    CO_CHECK_OK(co_await node.open(blobs));
    unsigned made = 0;
    const auto create = [&](const char* name) -> Task<bool> {
      const auto created = co_await node.registry->create_bucket({}, name, "me");
      if (!created) EXPECT_TRUE(created.error().is(RootError::limit)) << created.error().to_string();
      made += created.has_value();
      co_return created.has_value();
    };
    (void)co_await when_all([&] { return create("bucket-a"); }, [&] { return create("bucket-b"); },
                            [&] { return create("bucket-c"); }, [&] { return create("bucket-d"); });
    EXPECT_EQ(made, 2U);
    CO_CHECK_OK(co_await node.close());
  });
}

// The front end refuses such names; if it fails to, still none of them becomes a bucket.
TEST(EmbeddedRegistry, NamesThatNoBucketCanHaveAreRefused) {
  using std::string_literals::operator""s;
  World world;
  FakeBlobs blobs;
  world.run([&](Env& env) -> Task<void> {
    EmbeddedRegistryGroup group(1);
    Node node(env, group);
    CO_CHECK_OK(co_await node.open(blobs));
    for (const std::string& name :
         {""s, "ab"s, "Bucket"s, "buck\0t"s, "\xff\xfe\xfd"s, "a/b"s, std::string(64, 'b')}) {
      const auto made = co_await node.registry->create_bucket({}, name, "me");
      EXPECT_TRUE(made.error().is(RootError::name_invalid)) << name;
      const std::string key = "bucket/" + name;
      const auto put = co_await node.front->apply({}, kSystemTree,
                                                  {.space = Space::system, .key = key, .record = "record"});
      EXPECT_TRUE(put.error().is(NamespaceError::key_invalid)) << name;
    }
    co_await expect_no_leftovers(node);
    CO_CHECK_OK(co_await node.close());
  });
}

// For each name: the last acknowledged state, and whether a change was begun since.
struct BucketModel {
  bool exists = false;
  bool in_doubt = false;
};

Task<void> create_and_delete(Node& node, std::map<std::string, BucketModel>& model) {
  for (int i = 0; i < 12; ++i) {
    const std::string name = "bucket" + std::to_string(i % 4);
    BucketModel& bucket = model[name];
    bucket.in_doubt = true;
    if (bucket.exists) {
      const auto deleted = co_await node.registry->delete_bucket({}, name);
      CO_CHECK_OK(deleted);
    } else {
      const auto made = co_await node.registry->create_bucket({}, name, "me");
      CO_CHECK_OK(made);
    }
    bucket.exists = !bucket.exists;
    bucket.in_doubt = false;
  }
}

Task<void> expect_buckets(Node& node, std::map<std::string, BucketModel>& model) {
  for (auto& [name, bucket] : model) {
    const auto found = co_await node.registry->find_bucket({}, name);
    if (!bucket.in_doubt) EXPECT_EQ(found.has_value(), bucket.exists) << name;
    bucket = {.exists = found.has_value()};
    // The bucket is whole: its tree takes objects, and the name can be made and deleted again.
    if (!found) continue;
    CO_CHECK_OK(co_await node.put(found->id, "key"));
    CO_CHECK_OK(co_await node.front->apply({}, found->id, {.kind = Mutation::Kind::erase, .key = "key"}));
  }
  co_await expect_no_leftovers(node);
}

TEST(EmbeddedRegistry, CrashesAtEveryChangeOfTheDiskLeaveBucketsWholeOrGone) {
  uint64_t crashes = 0;
  for (const sim::CrashKind kind : {sim::CrashKind::power_loss, sim::CrashKind::kill}) {
    for (const auto point : {sim::SimNode::CrashPoint::io_before, sim::SimNode::CrashPoint::io_after}) {
      bool crashed = true;
      for (uint64_t n = 1; crashed; ++n) {
        ASSERT_LT(n, 400u);
        World world(n);
        FakeBlobs blobs;
        std::map<std::string, BucketModel> model;
        world.node.crash_at(point, n, kind);
        for (int boot = 0; boot < 3; ++boot) {
          world.run([&](Env& env) -> Task<void> {
            EmbeddedRegistryGroup group(1);
            Node node(env, group);
            CO_CHECK_OK(co_await node.open(blobs));
            co_await expect_buckets(node, model);
            co_await create_and_delete(node, model);
            CO_CHECK_OK(co_await node.close());
          });
          if (boot == 0) crashed = world.node.crashed();
          world.node.forget_planned_crash();
          ASSERT_FALSE(HasFailure()) << "n " << n << " boot " << boot << "\n" << world.log();
        }
        crashes += crashed ? 1 : 0;
      }
    }
  }
  EXPECT_GT(crashes, 100u);
}

// The cores of a node with more than one; core 0 opens first and closes last.
struct Shared {
  explicit Shared(unsigned cores) : group(cores), cores_left(cores - 1) {}
  EmbeddedRegistryGroup group;
  Partition* engine = nullptr;
  unsigned cores_left;
  FakeBlobs blobs;
};

Task<void> run_cores_of(Env& env, Shared& shared, std::function<Task<void>(Core&)> work) {
  if (env.core() != 0) {
    while (shared.engine == nullptr) (void)co_await sleep_for(env, Duration::milliseconds(1));
    Core core(env);
    CO_CHECK_OK(co_await core.open(*shared.engine, shared.group));
    co_await work(core);
    co_await core.close();
    --shared.cores_left;
    co_return;
  }
  Node node(env, shared.group);
  CO_CHECK_OK(co_await node.open(shared.blobs));
  shared.engine = node.engine.partition.get();
  co_await work(node);
  while (shared.cores_left > 0) (void)co_await sleep_for(env, Duration::milliseconds(1));
  co_await expect_no_leftovers(node);
  CO_CHECK_OK(co_await node.close());
}

// A namespace that takes long to drop one tree.
class SlowDrops final : public ForwardedNames {
 public:
  SlowDrops(Env& env, NamespaceClient& names) : ForwardedNames(names), env_(env) {}
  BucketId slow{UINT64_MAX};
  Duration delay = Duration::seconds(30);

  Task<Result<void>> drop_tree(const CallContext& context, BucketId bucket) override {
    if (bucket == slow) (void)co_await sleep_for(env_, delay);
    co_return co_await names_.drop_tree(context, bucket);
  }

 private:
  Env& env_;
};

// A slow change of one bucket does not hold up others; a second change of the same name waits no longer than
// its deadline.
TEST(EmbeddedRegistry, ASlowDeletionHoldsUpNoOtherBucket) {
  World world;
  FakeBlobs blobs;
  world.run([&](Env& env) -> Task<void> {
    Engine engine;
    CO_CHECK_OK(co_await engine.open(env));
    engine.partition->start_background(blobs);
    auto front = co_await PartitionFront::open(env, *engine.partition);
    SlowDrops names(env, *front);
    EmbeddedRegistryGroup group(1);
    auto opened = co_await EmbeddedRegistry::open(
        env, group, names, [&](const CallContext& context) { return front->trees(context); }, {});
    CO_CHECK_OK(opened);
    EmbeddedRegistry& registry = **opened;
    const auto made = co_await registry.create_bucket({}, "slow", "me");
    CO_CHECK_OK(made);
    names.slow = made->id;
    const auto [deleted, beside] = co_await when_all(
        [&]() -> Task<Result<void>> { co_return co_await registry.delete_bucket({}, "slow"); },
        [&]() -> Task<bool> {
          co_await yield(env);
          const Instant before = env.now();
          EXPECT_TRUE(co_await registry.create_bucket({}, "other", "me"));
          EXPECT_TRUE(co_await registry.delete_bucket({}, "other"));
          EXPECT_LT(env.now() - before, Duration::seconds(1));
          const auto again =
              co_await registry.create_bucket({.deadline = env.now() + Duration::seconds(2)}, "slow", "me");
          EXPECT_TRUE(!again && again.error().is(RootError::timed_out));
          EXPECT_LT(env.now() - before, Duration::seconds(4));
          co_return true;
        });
    CO_CHECK_OK(deleted);
    CO_CHECK_OK(co_await registry.create_bucket({}, "slow", "me"));
    co_await registry.close();
    co_await front->close();
    CO_CHECK_OK(co_await engine.close());
  });
}

// --- outcomes that are not known ---

// Waits until every change that its caller gave up on has been settled.
Task<void> wait_settled(Env& env) { (void)co_await sleep_for(env, Duration::seconds(10)); }

// Every operation of the drive takes longer than a caller waits. When the drive goes on, repeated requests
// are answered, caches, records and trees agree, and the next process finds the same.
TEST(EmbeddedRegistry, WhatASlowDriveLeavesUnknownIsSettled) {
  uint64_t refused = 0, not_done = 0, made_after_all = 0, deleted_after_all = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    World world(seed);
    FakeBlobs blobs;
    std::string names;
    world.run([&](Env& env) -> Task<void> {
      EmbeddedRegistryGroup group(1);
      Node node(env, group);
      CO_CHECK_OK(co_await node.open(blobs));
      sim::DiskFaults& faults = world.node.disk().faults();
      for (int i = 0; i < 6; ++i) {
        const std::string name = "bucket" + std::to_string(env.random() % 3);
        const bool there = node.registry->cached_bucket(name) != nullptr;
        faults.stall_max = Duration::seconds(5);
        faults.stall_ppm = 1'000'000;
        const CallContext patience{
            .deadline = env.now() + Duration::milliseconds(static_cast<int64_t>(1 + env.random() % 300))};
        Result<void> done;
        if (there) {
          done = co_await node.registry->delete_bucket(patience, name);
        } else if (const auto made = co_await node.registry->create_bucket(patience, name, "me"); !made) {
          done = made.error();
        }
        refused += !done;
        if (env.random() % 2 == 0) faults.stall_ppm = 0;
        // The request is repeated with enough time.
        const bool repeated = env.random() % 3 == 0;
        if (repeated) {
          const CallContext again{.deadline = env.now() + Duration::seconds(60)};
          if (there) {
            const auto deleted = co_await node.registry->delete_bucket(again, name);
            CO_CHECK(deleted || deleted.error().is(RootError::no_such_bucket));
            EXPECT_EQ(node.registry->cached_bucket(name), nullptr);
          } else {
            const auto made = co_await node.registry->create_bucket(again, name, "me");
            CO_CHECK(made || made.error().is(RootError::bucket_exists));
            EXPECT_NE(node.registry->cached_bucket(name), nullptr);
          }
        }
        faults.stall_ppm = 0;
        co_await wait_settled(env);
        const bool there_now = node.registry->cached_bucket(name) != nullptr;
        made_after_all += !done && !there && there_now;
        deleted_after_all += !done && there && !there_now;
        // Conversely: an acknowledged change is made, and one whose error says that it was not made is not. A
        // repeated call may have made it.
        if (done) EXPECT_NE(there, there_now);
        if (!done && !repeated && outcome_of(done.error()) != Outcome::unknown) {
          ++not_done;
          EXPECT_EQ(there, there_now) << done.error().to_string();
        }
        co_await expect_no_leftovers(node);
      }
      names = names_of(co_await node.registry->list_buckets({}));
      CO_CHECK_OK(co_await node.close());
    });
    world.run([&](Env& env) -> Task<void> {
      EmbeddedRegistryGroup group(1);
      Node node(env, group);
      CO_CHECK_OK(co_await node.open(blobs));
      EXPECT_EQ(names_of(co_await node.registry->list_buckets({})), names);
      co_await expect_no_leftovers(node);
      CO_CHECK_OK(co_await node.close());
    });
    ASSERT_FALSE(HasFailure()) << "seed " << seed << "\n" << world.log();
  }
  EXPECT_GT(refused, 60u);
  EXPECT_GT(not_done, 5u);
  EXPECT_GT(made_after_all, 5u);
  EXPECT_GT(deleted_after_all, 5u);
}

// A registry whose namespace leaves outcomes unknown.
struct DoubtfulNode {
  explicit DoubtfulNode(Env& env_in) : env(env_in), group(1) {}
  Task<Result<void>> open(FakeBlobs& blobs) {
    FB_CO_CHECK(co_await engine.open(env));
    engine.partition->start_background(blobs);
    core.front = co_await PartitionFront::open(env, *engine.partition);
    names = std::make_unique<DoubtfulNames>(*core.front);
    FB_CO_TRY(core.registry,
              co_await EmbeddedRegistry::open(
                  env, group, *names,
                  [this](const CallContext& context) { return core.front->trees(context); }, {}));
    co_return Result<void>();
  }
  Task<Result<void>> close() {
    co_await core.close();
    co_return co_await engine.close();
  }
  Env& env;
  EmbeddedRegistryGroup group;
  Engine engine;
  Core core{env};
  std::unique_ptr<DoubtfulNames> names;
};

// The n-th change of a bucket's life, and some behind it, are made, but their outcome is not known.
TEST(EmbeddedRegistry, AnyChangeMayBeUnknown) {
  for (const uint64_t count : {1u, 2u, 5u}) {
    for (uint64_t n = 1; n <= 7; ++n) {
      World world(n);
      FakeBlobs blobs;
      world.run([&](Env& env) -> Task<void> {
        DoubtfulNode node(env);
        CO_CHECK_OK(co_await node.open(blobs));
        EmbeddedRegistry& registry = *node.core.registry;
        node.names->doubt(n, count);
        const auto bounds = [&] { return CallContext{.deadline = env.now() + Duration::seconds(60)}; };
        for (int i = 0; i < 2; ++i) {
          auto made = co_await registry.create_bucket(bounds(), "bucket", "me");
          for (int tries = 0; !made && tries < 8; ++tries) {
            CO_CHECK(made.error().is(RootError::unavailable));
            made = co_await registry.create_bucket(bounds(), "bucket", "me");
          }
          CO_CHECK_OK(made);
          CO_CHECK(registry.cached_bucket("bucket") != nullptr);
          EXPECT_EQ(registry.cached_bucket("bucket")->id, made->id);
          const auto again = co_await registry.create_bucket(bounds(), "bucket", "me");
          EXPECT_TRUE(!again && again.error().is(RootError::bucket_exists));
          co_await wait_settled(env);
          co_await expect_no_leftovers(node.core);
          CO_CHECK_OK(co_await registry.delete_bucket(bounds(), "bucket"));
          EXPECT_EQ(registry.cached_bucket("bucket"), nullptr);
          co_await wait_settled(env);
          co_await expect_no_leftovers(node.core);
        }
        EXPECT_GT(node.names->doubted(), 0u);
        CO_CHECK_OK(co_await node.close());
      });
      ASSERT_FALSE(HasFailure()) << "n " << n << " count " << count << "\n" << world.log();
    }
  }
}

// A bucket whose tree is gone, and a record that no cache knows: the next request for the name repairs both.
TEST(EmbeddedRegistry, AHalfDeletedBucketAndAnUnknownRecordAreFound) {
  World world;
  FakeBlobs blobs;
  world.run([&](Env& env) -> Task<void> {
    EmbeddedRegistryGroup group(1);
    Node node(env, group);
    CO_CHECK_OK(co_await node.open(blobs));
    const auto made = co_await node.registry->create_bucket({}, "half-gone", "me");
    CO_CHECK_OK(made);
    CO_CHECK_OK(co_await node.front->drop_tree({}, made->id));
    const auto anew = co_await node.registry->create_bucket({}, "half-gone", "me");
    CO_CHECK_OK(anew);
    EXPECT_NE(anew->id, made->id);
    CO_CHECK_OK(co_await node.put(anew->id, "key"));

    const BucketInfo bucket{
        .name = "unknown", .id = {anew->id.value + 1000}, .created = env.wall_clock(), .owner = "you"};
    CO_CHECK_OK(co_await node.front->create_tree({}, bucket.id));
    const std::string record = encode_bucket(bucket);
    CO_CHECK_OK(co_await node.front->apply(
        {}, kSystemTree, {.space = Space::system, .key = "bucket/unknown", .record = record}));
    const auto again = co_await node.registry->create_bucket({}, "unknown", "me");
    EXPECT_TRUE(!again && again.error().is(RootError::bucket_exists));
    const auto found = co_await node.registry->find_bucket({}, "unknown");
    CO_CHECK_OK(found);
    EXPECT_EQ(found->id, bucket.id);
    EXPECT_EQ(found->owner, "you");
    co_await expect_no_leftovers(node);
    CO_CHECK_OK(co_await node.close());
  });
}

// An answered change is seen by every core that is asked later, whichever core made it.
TEST(EmbeddedRegistry, EveryCoreSeesEveryAnsweredChange) {
  constexpr unsigned kCores = 3;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    World world(seed, kCores);
    Shared shared(kCores);
    // By name; a change takes the name out of sight until it is answered.
    std::map<std::string, std::pair<bool, BucketId>> answered;
    uint64_t checks = 0;
    world.run([&](Env& env) -> Task<void> {
      return run_cores_of(env, shared, [&](Core& core) -> Task<void> {
        const std::string mine = "core" + std::to_string(core.env.core());
        for (int i = 0; i < 40; ++i) {
          for (const auto& [name, state] : answered) {
            const BucketInfo* cached = core.registry->cached_bucket(name);
            CO_CHECK((cached != nullptr) == state.first);
            if (cached != nullptr) CO_CHECK(cached->id == state.second);
            ++checks;
          }
          answered.erase(mine);
          if (i % 2 == 0) {
            const auto made = co_await core.registry->create_bucket({}, mine, "me");
            CO_CHECK_OK(made);
            answered[mine] = {true, made->id};
          } else {
            CO_CHECK_OK(co_await core.registry->delete_bucket({}, mine));
            answered[mine] = {false, {}};
          }
        }
      });
    });
    ASSERT_FALSE(HasFailure()) << "seed " << seed << "\n" << world.log();
    EXPECT_GT(checks, 20u);
  }
}

// All cores put objects while one deletes and makes the bucket again and again. Acknowledged objects stay
// until somebody erases them, so a deletion that succeeds found no object and loses none.
TEST(EmbeddedRegistry, PutsRacingWithDeletionLoseNothing) {
  constexpr unsigned kCores = 3;
  uint64_t refused_puts = 0;
  uint64_t refused_deletions = 0;
  uint64_t deletions = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    World world(seed, kCores);
    Shared shared(kCores);
    world.run([&](Env& env) -> Task<void> {
      return run_cores_of(env, shared, [&](Core& core) -> Task<void> {
        const bool deletes = core.env.core() == 1;
        for (int i = 0; i < 30; ++i) {
          if (deletes) {
            const auto made = co_await core.registry->create_bucket({}, "bucket-b", "me");
            if (!made) CO_CHECK(made.error().is(RootError::bucket_exists));
            const auto deleted = co_await core.registry->delete_bucket({}, "bucket-b");
            if (!deleted) CO_CHECK(deleted.error().is(RootError::bucket_not_empty));
            ++(deleted ? deletions : refused_deletions);
            continue;
          }
          const auto found = co_await core.registry->find_bucket({}, "bucket-b");
          if (!found) {
            CO_CHECK(found.error().is(RootError::no_such_bucket));
            (void)co_await sleep_for(core.env, Duration::microseconds(50));
            continue;
          }
          const std::string key = "key" + std::to_string(core.env.core());
          const auto put = co_await core.put(found->id, key);
          if (!put) {
            CO_CHECK(put.error().is(NamespaceError::no_such_tree));
            ++refused_puts;
            continue;
          }
          {
            const auto stored = co_await core.front->get({}, found->id, Space::objects, key);
            CO_CHECK_OK(stored);
            CO_CHECK(stored->version == put->version);
          }
          const BucketInfo* cached = core.registry->cached_bucket("bucket-b");
          CO_CHECK(cached != nullptr);
          CO_CHECK(cached->id == found->id);
          CO_CHECK_OK(co_await core.front->apply({}, found->id, {.kind = Mutation::Kind::erase, .key = key}));
        }
      });
    });
    ASSERT_FALSE(HasFailure()) << "seed " << seed << "\n" << world.log();
  }
  // All three happened.
  EXPECT_GT(refused_puts, 0u);
  EXPECT_GT(refused_deletions, 0u);
  EXPECT_GT(deletions, 0u);
}

}  // namespace
}  // namespace fb
