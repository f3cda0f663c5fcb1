// SPDX-License-Identifier: Apache-2.0
// Parts that are put while their upload completes, as S3 makes these commits: a part puts its upload's record
// anew, so that Complete, which is conditional on the version it has read, takes over exactly the parts it
// has listed. What loses the race is freed while the process runs, without a sweep.
#include "nss/partition_workload.h"

#include <gtest/gtest.h>

namespace fb {
namespace {

constexpr int kUploads = 40;
constexpr int kPartNumbers = 4;

struct Race {
  World world;
  FakeBlobs blobs;
  Partition* partition = nullptr;
  std::string upload;  // under way
  bool over = false;
  unsigned writing = 0;
  uint64_t acknowledged = 0, refused = 0, completed = 0, tries = 0;

  explicit Race(uint64_t seed) : world(seed, 2) {}
};

// One part after the other, of whichever upload is under way.
Task<void> put_parts(Race* race, Session* session, uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::string upload_record = UploadRecord().encode();
  while (!race->over && !testing::Test::HasFailure()) {
    (void)co_await sleep_for(session->env, Duration::microseconds(random() % 700));
    const std::string upload = race->upload;
    const BlobId blob = race->blobs.new_blob();
    race->blobs.write(blob);
    const std::string key = upload + std::to_string(random() % kPartNumbers);
    const std::string record =
        PartRecord{.size_bytes = 5, .content = {.kind = Locator::Kind::blob, .blob = blob, .length_bytes = 5}}
            .encode();
    const Mutation mutations[] = {{.space = Space::uploads,
                                   .key = upload,
                                   .record = upload_record,
                                   .condition = {.kind = Condition::Kind::must_exist}},
                                  {.space = Space::parts, .key = key, .record = record}};
    const auto put = co_await session->front->commit({}, kBucket, mutations);
    if (!put) session->front->discard_blob(blob, 1);
    if (!put) CO_CHECK(put.error().is(NamespaceError::not_found));
    ++(put ? race->acknowledged : race->refused);
  }
  --race->writing;
}

// Until no part came between what was read and the commit.
Task<void> complete(Race* race, Session* session, std::string object_key) {
  for (bool done = false; !done && !testing::Test::HasFailure();) {
    ++race->tries;
    Version version;
    {
      const auto found = co_await session->front->get({}, kBucket, Space::uploads, race->upload);
      CO_CHECK_OK(found);
      version = found->version;
    }
    const auto parts = co_await session->front->list(
        {}, {.bucket = kBucket, .space = Space::parts, .prefix = race->upload, .entries_max = 100});
    CO_CHECK_OK(parts);
    ObjectRecord object;
    for (const ListEntry& entry : parts->entries) {
      // Some are left out.
      if (entry.key.ends_with('0')) continue;
      const auto part = PartRecord::decode(entry.record);
      CO_CHECK_OK(part);
      object.size_bytes += part->size_bytes;
      object.parts.push_back(
          {.number = static_cast<uint16_t>(object.parts.size() + 1), .content = part->content});
    }
    if (object.parts.empty()) {
      (void)co_await sleep_for(session->env, Duration::milliseconds(1));
      continue;
    }
    const std::string record = object.encode();
    const Mutation mutations[] = {
        {.kind = Mutation::Kind::erase,
         .space = Space::uploads,
         .key = race->upload,
         .condition = {.kind = Condition::Kind::version_is, .version = version}},
        {.kind = Mutation::Kind::erase_prefix, .space = Space::parts, .key = race->upload},
        {.key = object_key, .record = record}};
    const auto made = co_await session->front->commit({}, kBucket, mutations);
    done = made.has_value();
    if (!done) CO_CHECK(made.error().is(NamespaceError::precondition_failed));
  }
  ++race->completed;
}

Task<void> begin_upload(Race* race, Session* session, int number) {
  const std::string upload = fmt::format("upload-{:03}.", number);
  const std::string record = UploadRecord().encode();
  CO_CHECK_OK(co_await session->front->apply({}, kBucket,
                                             {.space = Space::uploads, .key = upload, .record = record}));
  race->upload = upload;
}

TEST(PartitionUpload, PartsPutWhileTheirUploadCompletesLeakNothing) {
  uint64_t refused = 0;
  uint64_t tries = 0;
  uint64_t completed = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Race race(seed);
    race.world.run([&](Env& env) -> Task<void> {
      Session session(env);
      if (env.core() != 0) {
        while (race.partition == nullptr) (void)co_await sleep_for(env, Duration::milliseconds(1));
        session.front = co_await PartitionFront::open(env, *race.partition);
        {
          Scope writers(env);
          for (uint64_t i = 0; i < 2; ++i) writers.spawn(&put_parts, &race, &session, 100 * seed + i);
          co_await writers.join();
        }
        co_await session.front->close();
        co_return;
      }
      CO_CHECK_OK(co_await session.open(race.blobs));
      CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
      co_await begin_upload(&race, &session, 0);
      race.writing = 3;
      race.partition = session.partition;
      Scope writers(env);
      writers.spawn(&put_parts, &race, &session, 100 * seed + 2);
      for (int i = 1; i <= kUploads; ++i) {
        (void)co_await sleep_for(env, Duration::milliseconds(3));
        co_await complete(&race, &session, "object-" + std::to_string(i));
        if (i < kUploads) co_await begin_upload(&race, &session, i);
      }
      race.over = true;
      co_await writers.join();
      while (race.writing != 0) (void)co_await sleep_for(env, Duration::milliseconds(1));
      (void)co_await sleep_for(env, Duration::seconds(1));
      co_await check_blobs(session, race.blobs, false);
      EXPECT_EQ(session.partition->statistics().swept_blobs, 0u);
      CO_CHECK_OK(co_await session.close());
    });
    ASSERT_FALSE(HasFailure()) << "seed " << seed << "\n" << race.world.log();
    refused += race.refused;
    tries += race.tries;
    completed += race.completed;
  }
  GTEST_LOG_(INFO) << fmt::format("{} uploads completed in {} tries; {} parts came too late", completed,
                                  tries, refused);
  EXPECT_GT(tries, completed + 20);
  EXPECT_GT(refused, 20u);
}

}  // namespace
}  // namespace fb
