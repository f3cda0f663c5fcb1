// SPDX-License-Identifier: Apache-2.0
// Calls that begin anew over and over, because renames come between: they end
// by their deadlines, and get right answers once they are let alone.
#include <gtest/gtest.h>

#include "io/sim/thinning.h"
#include "nss/nss_test_world.h"

namespace fb {
namespace {

constexpr Duration kPatience = Duration::milliseconds(100);
constexpr Duration kLittle = Duration::milliseconds(50);  // behind a deadline
constexpr int kKeys = 3000;
constexpr int kParts = 400;
constexpr int kRenamers = 8;
constexpr BucketId kOther{8};

struct Story {
  explicit Story(uint64_t seed) : world(seed, 2) {}
  World world;
  FakeBlobs blobs;
  Partition* partition = nullptr;
  bool stop = false;
  unsigned renaming = 0;
  uint64_t renamed = 0, made = 0, timed_out = 0;
  Duration latest;
  template <class Value>
  void take(Env& env, Instant deadline, const Result<Value>& outcome) {
    latest = std::max(latest, env.now() - deadline);
    made += outcome.has_value();
    if (outcome) return;
    timed_out += outcome.error().is(NamespaceError::timed_out);
    EXPECT_TRUE(outcome.error().is(NamespaceError::timed_out) ||
                outcome.error().is(NamespaceError::outcome_unknown))
        << outcome.error().to_string();
  }
};

Task<void> rename_on(Story* story, PartitionFront* front, int number) {
  std::string from = fmt::format("r{}/", number);
  std::string to = fmt::format("s{}/", number);
  while (!story->stop && !testing::Test::HasFailure()) {
    CO_CHECK_OK(
        co_await front->rename({}, {.bucket = kBucket, .source = from, .destination = to, .prefix = true}));
    std::swap(from, to);
    ++story->renamed;
  }
}

Task<void> rename_beside(Env& env, Story& story) {
  while (story.partition == nullptr) (void)co_await sleep_for(env, Duration::milliseconds(1));
  auto front = co_await PartitionFront::open(env, *story.partition);
  front->use_blobs(story.blobs);
  {
    Scope scope(env);
    for (int i = 0; i < kRenamers; ++i) scope.spawn(&rename_on, &story, front.get(), i);
    co_await scope.join();
  }
  co_await front->close();
  story.partition = nullptr;
}

Task<void> fill(Session& session) {
  const std::string record = inline_object(std::string(800, '.'));
  const std::string small = inline_object("part");
  std::vector<std::string> keys;
  for (int i = 0; i < kKeys; ++i) keys.push_back(fmt::format("d/{:05}", i));
  for (int i = 0; i < kRenamers; ++i) keys.push_back(fmt::format("r{}/x", i));
  std::vector<Mutation> puts;
  for (const std::string& key : keys) puts.push_back({.key = key, .record = record});
  for (const auto& put : co_await session.front->apply_each({}, kBucket, puts)) CO_CHECK_OK(put);
}

Task<void> fill_parts(Session& session, int upload) {
  const std::string record = PartRecord().encode();
  std::vector<std::string> keys;
  for (int i = 0; i < kParts; ++i) keys.push_back(fmt::format("u{}/{:04}", upload, i));
  std::vector<Mutation> puts;
  for (const std::string& key : keys) puts.push_back({.space = Space::parts, .key = key, .record = record});
  for (const auto& put : co_await session.front->apply_each({}, kBucket, puts)) CO_CHECK_OK(put);
}

Task<void> call_each(Story& story, Session& session, int round) {
  Env& env = session.env;
  PartitionFront& front = *session.front;
  const auto bounds = [&] { return CallContext{.deadline = env.now() + kPatience}; };
  CallContext context = bounds();
  {
    const auto page = co_await front.list(context, {.bucket = kBucket, .prefix = "d/", .entries_max = kKeys});
    if (page) EXPECT_EQ(page->entries.size(), static_cast<size_t>(kKeys));
    story.take(env, context.deadline, page);
  }
  context = bounds();
  {
    const auto found =
        co_await front.get(context, kBucket, Space::objects, fmt::format("d/{:05}", round * 997 % kKeys));
    story.take(env, context.deadline, found);
  }
  // Looks at all parts before it takes one over, as a Complete does.
  const std::string upload = fmt::format("u{}/", round);
  const std::string object = inline_object("made of parts");
  const Mutation complete[] = {{.kind = Mutation::Kind::erase_prefix, .space = Space::parts, .key = upload},
                               {.key = "done", .record = object}};
  context = bounds();
  story.take(env, context.deadline, co_await front.commit(context, kBucket, complete));
  context = bounds();
  story.take(env, context.deadline,
             co_await front.apply(context, kBucket,
                                  {.key = fmt::format("d/{:05}", round * 1009 % kKeys), .record = object}));
  CO_CHECK_OK(co_await front.create_tree({}, kOther));
  context = bounds();
  const auto dropped = co_await front.drop_tree(context, kOther);
  story.take(env, context.deadline, dropped);
  if (!dropped) (void)co_await front.drop_tree({}, kOther);
}

TEST(PartitionRestart, CallsThatBeginAnewEndByTheirDeadlines) {
  uint64_t renamed = 0, timed_out = 0, made = 0;
  for (uint64_t seed = 1; seed <= 4; seed += sim::kThinning) {
    Story story(seed);
    story.world.run([&](Env& env) -> Task<void> {
      if (env.core() != 0) co_return co_await rename_beside(env, story);
      Session session(env);
      CO_CHECK_OK(co_await session.open(story.blobs));
      CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
      co_await fill(session);
      for (int round = 0; round < 4; ++round) co_await fill_parts(session, round);
      story.partition = session.partition;
      for (int round = 0; round < 4; ++round) co_await call_each(story, session, round);
      story.stop = true;
      while (story.partition != nullptr) (void)co_await sleep_for(env, Duration::milliseconds(1));
      const auto page =
          co_await session.front->list({}, {.bucket = kBucket, .prefix = "d/", .entries_max = kKeys});
      CO_CHECK_OK(page);
      EXPECT_EQ(page->entries.size(), static_cast<size_t>(kKeys));
      co_await session.verify();
      CO_CHECK_OK(co_await session.close());
    });
    ASSERT_FALSE(HasFailure()) << "seed " << seed << "\n" << story.world.log();
    EXPECT_LE(story.latest, kLittle);
    renamed += story.renamed;
    timed_out += story.timed_out;
    made += story.made;
  }
  GTEST_LOG_(INFO) << fmt::format("{} renames, {} calls made, {} timed out", renamed, made, timed_out);
  EXPECT_GT(renamed, 200u);
  EXPECT_GT(timed_out, 0u);
  EXPECT_GT(made, 0u);
}

}  // namespace
}  // namespace fb
