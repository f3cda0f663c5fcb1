// SPDX-License-Identifier: Apache-2.0
// A partition on real cores: each has a front, and all change, read, list and rename the same trees at once,
// in little memory and with checkpoints all the while. Run it under ThreadSanitizer.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <random>
#include <set>

#include "io/runtime.h"
#include "nss/nss_test_world.h"

namespace fb {
namespace {

constexpr unsigned kCores = 3;
constexpr int kRounds = 4000;
constexpr uint64_t kOwnKeys = 1500;
constexpr unsigned kTasks = 10;  // side by side on a core
constexpr unsigned kFolders = 4;
constexpr unsigned kMembers = 25;
constexpr unsigned kPlaces = 3;

// Which blobs there are is for the test to know; these only notice what is freed. Core 0's.
class NoticedBlobs final : public BlobClient {
 public:
  std::set<BlobId> erased;
  BlobId new_blob() override { return {}; }
  Task<Result<void>> put(const CallContext&, const BlobWrite&) override { co_return BlobError::unavailable; }
  Task<Result<BlobData>> get(const CallContext&, BlobKey, uint32_t, uint32_t) override {
    co_return BlobError::unavailable;
  }
  Task<Result<void>> erase(const CallContext&, std::span<const BlobExtent> extents) override {
    for (const BlobExtent& extent : extents) erased.insert(extent.id);
    co_return Result<void>();
  }
  Task<Result<BlobPage>> enumerate(const CallContext&, uint16_t, uint64_t) override { co_return BlobPage(); }
  uint16_t shard_count() const override { return 4; }
  Task<Result<BlobSpace>> space(const CallContext&) override { co_return BlobSpace(); }
};

std::string folder_name(unsigned folder, unsigned place) {
  static constexpr const char* kNames[kPlaces] = {"s/here/", "s/there/and/further/", "s/z/"};
  return std::string(kNames[place]) + "folder-" + std::to_string(folder) + "/";
}

// What is counted up: the number is the object's content.
std::string counter(uint64_t value) { return inline_object(std::to_string(value)); }
std::optional<uint64_t> value_of(std::string_view record) {
  const auto decoded = ObjectRecord::decode(record);
  if (!decoded || decoded->content.inline_data.empty()) return std::nullopt;
  return std::stoull(std::string(decoded->content.inline_data));
}

struct SharedRun {
  std::string directory;
  std::atomic<Partition*> partition{nullptr};
  std::atomic<unsigned> working{kCores};
  std::atomic<unsigned> open{kCores - 1};
  std::atomic<uint64_t> failures{0}, renames{0}, listings{0}, increments{0}, lost_races{0}, reads{0},
      trees{0};
  // Of each core: what it knows to be there, and blobs that it has made.
  std::map<std::string, std::pair<uint64_t, BlobId>> own[kCores];
  std::set<BlobId> made[kCores];

  void check(bool ok, const char* what) {
    if (!ok && failures.fetch_add(1) < 20) GTEST_LOG_(ERROR) << "failed: " << what;
  }
};

// One of several tasks of a core. Its own keys only it writes.
class Worker {
 public:
  Worker(Env& env, SharedRun& run, PartitionFront& front, unsigned task)
      : env_(env), run_(run), front_(front), random_(env.core() * 100 + task), task_(task) {}

  Task<void> work() {
    for (int round = 0; round < kRounds / static_cast<int>(kTasks); ++round) {
      const uint64_t kind = random_() % 32;
      if (kind < 12) {
        co_await put_own();
      } else if (kind < 16) {
        co_await erase_own();
      } else if (kind < 22) {
        co_await count_up();
      } else if (kind < 26) {
        co_await read_any();
      } else if (kind < 28) {
        co_await rename_folder();
      } else if (kind < 31) {
        co_await list_folders();
      } else {
        co_await tree_life();
      }
      if (round % 8 == 0) co_await yield(env_);
    }
  }

 private:
  void check(bool ok, const char* what) { run_.check(ok, what); }
  std::string own_key(unsigned core, unsigned task) {
    return "own/" + std::to_string(random_() % (kOwnKeys / kTasks)) + "/core" + std::to_string(core) + "." +
           std::to_string(task);
  }
  Task<void> put_own() {
    auto& own = run_.own[env_.core()];
    const std::string key = own_key(env_.core(), task_);
    const uint64_t value = ++last_;
    ObjectRecord record;
    const std::string metadata = std::to_string(value) + " " + std::string(400 + random_() % 400, 'm');
    record.metadata = metadata;
    record.size_bytes = 10;
    const BlobId blob{.shard = static_cast<uint16_t>(random_() % 4),
                      .incarnation = run_.partition.load()->incarnation(),
                      .number = (uint64_t{env_.core()} << 48) + (uint64_t{task_} << 40) + value};
    record.content = {.kind = Locator::Kind::blob, .blob = blob, .length_bytes = 10};
    const std::string bytes = record.encode();
    run_.made[env_.core()].insert(blob);
    const auto put = co_await front_.apply({}, kBucket, {.key = key, .record = bytes});
    check(put.has_value(), "a put");
    if (put) check(put->existed == own.contains(key), "whether the key was there");
    own[key] = {value, blob};
  }
  Task<void> erase_own() {
    auto& own = run_.own[env_.core()];
    const std::string key = own_key(env_.core(), task_);
    const bool there = own.erase(key) == 1;
    const auto erased = co_await front_.apply({}, kBucket, {.kind = Mutation::Kind::erase, .key = key});
    check(erased && erased->existed == there, "an erase");
    const auto found = co_await front_.get({}, kBucket, Space::objects, key);
    check(!found && found.error().is(NamespaceError::not_found), "what was erased is gone");
  }
  // Counts a member up wherever its folder is at the moment, if nobody else does meanwhile: never lost, never
  // doubled.
  Task<void> count_up() {
    const auto folder = static_cast<unsigned>(random_() % kFolders);
    const std::string member = "m" + std::to_string(random_() % kMembers);
    for (unsigned place = 0; place < kPlaces; ++place) {
      const std::string key = folder_name(folder, place) + member;
      auto found = co_await front_.get({}, kBucket, Space::objects, key);
      if (!found) {
        check(found.error().is(NamespaceError::not_found), "a counter's read");
        continue;
      }
      const auto value = value_of(found->record);
      check(value.has_value(), "a counter's value");
      const std::string next = counter(value.value_or(0) + 1);
      const auto put = co_await front_.apply(
          {}, kBucket,
          {.key = key,
           .record = next,
           .condition = {.kind = Condition::Kind::version_is, .version = found->version}});
      if (put) {
        run_.increments.fetch_add(1);
        co_return;
      }
      check(put.error().is(NamespaceError::precondition_failed) || put.error().is(NamespaceError::not_found),
            "a compare and swap");
      run_.lost_races.fetch_add(1);
    }
  }
  // What is read of another core's key never goes back.
  Task<void> read_any() {
    const std::string key =
        own_key(static_cast<unsigned>(random_() % kCores), static_cast<unsigned>(random_() % kTasks));
    const auto found = co_await front_.get({}, kBucket, Space::objects, key);
    check(found || found.error().is(NamespaceError::not_found), "a read");
    if (!found) co_return;
    const auto record = ObjectRecord::decode(found->record);
    check(record.has_value(), "a record");
    if (!record) co_return;
    const uint64_t value = std::stoull(std::string(record->metadata));
    check(value >= seen_[key], "a value goes back");
    seen_[key] = value;
    run_.reads.fetch_add(1);
  }
  Task<void> rename_folder() {
    const auto folder = static_cast<unsigned>(random_() % kFolders);
    const auto from = static_cast<unsigned>(random_() % kPlaces);
    const unsigned to = (from + 1 + static_cast<unsigned>(random_() % 2)) % kPlaces;
    const std::string source = folder_name(folder, from);
    const std::string destination = folder_name(folder, to);
    const std::string token = UploadRecord().encode();
    const std::string token_key = "t" + std::to_string(random_() % 50);
    const Mutation with[] = {{.space = Space::tokens, .key = token_key, .record = token}};
    const auto renamed = co_await front_.rename(
        {}, {.bucket = kBucket, .source = source, .destination = destination, .prefix = true, .with = with});
    check(renamed || renamed.error().is(NamespaceError::not_found), "a rename");
    if (renamed) run_.renames.fetch_add(1);
  }
  // Every member exactly once, wherever it is.
  Task<void> list_folders() {
    const auto page = co_await front_.list({}, {.bucket = kBucket, .prefix = "s/", .with_records = false});
    check(page.has_value(), "a listing");
    if (!page) co_return;
    std::set<std::string> members;
    for (const ListEntry& entry : page->entries) members.emplace(entry.key.substr(entry.key.find("folder-")));
    check(members.size() == kFolders * kMembers && page->entries.size() == members.size(),
          "a listing has every member once");
    const auto roots = co_await front_.list({}, {.bucket = kBucket, .delimiter = "/"});
    check(roots && roots->entries.size() == 2, "a listing of common prefixes");
    run_.listings.fetch_add(1);
  }
  Task<void> tree_life() {
    const std::string record = inline_object("x");
    const auto number =
        co_await front_.apply({}, kSystemTree, {.space = Space::system, .key = "number", .record = record});
    check(number.has_value(), "a number");
    if (!number) co_return;
    const BucketId bucket{number->version.value};
    check((co_await front_.create_tree({}, bucket)).has_value(), "a bucket is made");
    check((co_await front_.apply({}, bucket, {.key = "k", .record = record})).has_value(), "a put into it");
    const auto refused = co_await front_.drop_tree({}, bucket);
    check(!refused && refused.error().is(NamespaceError::tree_not_empty), "it is not empty");
    check((co_await front_.apply({}, bucket, {.kind = Mutation::Kind::erase, .key = "k"})).has_value(),
          "an erase in it");
    check((co_await front_.drop_tree({}, bucket)).has_value(), "its end");
    run_.trees.fetch_add(1);
  }

  Env& env_;
  SharedRun& run_;
  PartitionFront& front_;
  std::mt19937_64 random_;
  unsigned task_;
  std::map<std::string, uint64_t> seen_;
  uint64_t last_ = 0;
};

Task<void> run_worker(Env* env, SharedRun* run, PartitionFront* front, unsigned task) {
  Worker worker(*env, *run, *front, task);
  co_await worker.work();
}

Task<void> run_workers(Env& env, SharedRun& run, PartitionFront& front) {
  Scope scope(env);
  for (unsigned task = 0; task < kTasks; ++task) scope.spawn(&run_worker, &env, &run, &front, task);
  co_await scope.join();
  run.working.fetch_sub(1);
}

Task<void> run_checkpoints(Env* env, SharedRun* run, Partition* partition) {
  for (int i = 0; run->working.load() > 0; ++i) {
    run->check((co_await partition->take_checkpoint(i % 2 == 0)).has_value(), "a checkpoint");
    (void)co_await sleep_for(*env, Duration::milliseconds(20));
  }
}

EngineOptions threads_options(const SharedRun& run) {
  EngineOptions options = small_options();
  options.stores.directory = run.directory;
  options.memory_bytes = 0;  // the least there is
  options.stores.journal_segment_bytes = 1 * kMiB;
  options.stores.journal_bytes_max = 8 * kMiB;
  options.checkpoint_tick = Duration::milliseconds(5);
  options.compact_erased_min = 20;
  options.compact_erased_share = 100;
  options.compact_tick = Duration::milliseconds(2);
  options.compact_delay = Duration::milliseconds(10);
  return options;
}

// What all cores say they have put is there, and nothing else; after the end, and after a restart.
Task<void> check_all(SharedRun& run, Partition& partition, PartitionFront& front) {
  const auto report = co_await partition.verify();
  CO_CHECK_OK(report);
  for (const std::string& problem : report->problems) ADD_FAILURE() << problem;
  EXPECT_EQ(report->trees, 2u);
  uint64_t objects = kFolders * kMembers;
  for (const auto& own : run.own) objects += own.size();
  EXPECT_EQ((co_await front.tree_statistics({}, kBucket))->objects, objects);
  std::set<BlobId> named;
  for (const auto& own : run.own) {
    for (const auto& [key, expected] : own) {
      const auto found = co_await front.get({}, kBucket, Space::objects, key);
      CO_CHECK_OK(found);
      EXPECT_EQ(std::stoull(std::string(ObjectRecord::decode(found->record)->metadata)), expected.first);
      named.insert(expected.second);
    }
  }
  EXPECT_EQ(report->named.size(), named.size());
  for (const auto& [blob, block_count] : report->named) EXPECT_TRUE(named.contains(blob));
  const auto members = co_await front.list({}, {.bucket = kBucket, .prefix = "s/"});
  CO_CHECK_OK(members);
  EXPECT_EQ(members->entries.size(), kFolders * kMembers);
  uint64_t sum = 0;
  for (const ListEntry& entry : members->entries) sum += value_of(entry.record).value_or(0);
  EXPECT_EQ(sum, run.increments.load());
}

Task<void> run_first(Env& env, SharedRun& run) {
  NoticedBlobs blobs;
  Engine engine;
  CO_CHECK_OK(co_await engine.open(env, threads_options(run)));
  Partition& partition = *engine.partition;
  auto front = co_await PartitionFront::open(env, partition);
  front->use_blobs(blobs);
  partition.start_background(blobs);
  CO_CHECK_OK(co_await front->create_tree({}, kBucket));
  const std::string zero = counter(0);
  for (unsigned folder = 0; folder < kFolders; ++folder) {
    for (unsigned member = 0; member < kMembers; ++member) {
      const std::string key = folder_name(folder, 0) + "m" + std::to_string(member);
      CO_CHECK_OK(co_await front->apply({}, kBucket, {.key = key, .record = zero}));
    }
  }
  const std::string record = inline_object("stays");
  CO_CHECK_OK(co_await front->apply({}, kBucket, {.key = "own/first", .record = record}));
  run.partition.store(&partition);
  Scope scope(env);
  scope.spawn(&run_checkpoints, &env, &run, &partition);
  co_await run_workers(env, run, *front);
  co_await scope.join();
  while (run.open.load() > 0) (void)co_await sleep_for(env, Duration::milliseconds(1));
  CO_CHECK_OK(co_await front->apply({}, kBucket, {.kind = Mutation::Kind::erase, .key = "own/first"}));
  co_await check_all(run, partition, *front);
  // What was replaced or erased is freed, nothing else.
  (void)co_await sleep_for(env, Duration::milliseconds(300));
  std::set<BlobId> gone;
  for (unsigned core = 0; core < kCores; ++core) {
    gone.insert(run.made[core].begin(), run.made[core].end());
  }
  for (const auto& own : run.own) {
    for (const auto& [key, expected] : own) gone.erase(expected.second);
  }
  EXPECT_TRUE(blobs.erased == gone) << blobs.erased.size() << " are erased, not " << gone.size();
  EXPECT_GT(partition.statistics().evictions, 100u);
  EXPECT_GT(partition.statistics().checkpoints, 3u);
  const Partition::Statistics statistics = partition.statistics();
  GTEST_LOG_(INFO) << fmt::format("{} walks of compaction, {} pages looked at, {} joined, {} divided",
                                  statistics.compact_walks, statistics.compact_looks,
                                  statistics.compact_joined, statistics.compact_split);
  EXPECT_GT(statistics.compact_walks, 0u);
  co_await front->close();
  CO_CHECK_OK(co_await engine.close());
}

Task<void> run_beside(Env& env, SharedRun& run) {
  while (run.partition.load() == nullptr) (void)co_await sleep_for(env, Duration::milliseconds(1));
  auto front = co_await PartitionFront::open(env, *run.partition.load());
  co_await run_workers(env, run, *front);
  while (run.working.load() > 0) (void)co_await sleep_for(env, Duration::milliseconds(1));
  co_await front->close();
  run.open.fetch_sub(1);
}

TEST(PartitionThreads, EverythingAtOnceInLittleMemory) {
  SharedRun run;
  run.directory = testing::TempDir() + "partition_XXXXXX";
  ASSERT_NE(mkdtemp(run.directory.data()), nullptr);
  const auto ran = run_cores({.cores = kCores}, [&](Env& env) {
    return env.core() == 0 ? run_first(env, run) : run_beside(env, run);
  });
  ASSERT_TRUE(ran);
  EXPECT_EQ(run.failures.load(), 0u);
  EXPECT_GT(run.renames.load(), 0u);
  EXPECT_GT(run.listings.load(), 0u);
  EXPECT_GT(run.increments.load(), 0u);
  EXPECT_GT(run.reads.load(), 0u);
  EXPECT_GT(run.trees.load(), 0u);
  GTEST_LOG_(INFO) << fmt::format("{} increments, {} lost races, {} renames, {} listings, {} buckets",
                                  run.increments.load(), run.lost_races.load(), run.renames.load(),
                                  run.listings.load(), run.trees.load());
  ASSERT_TRUE(run_cores({.cores = 1}, [&](Env& env) -> Task<void> {
    NoticedBlobs blobs;
    Engine engine;
    CO_CHECK_OK(co_await engine.open(env, threads_options(run)));
    auto front = co_await PartitionFront::open(env, *engine.partition);
    front->use_blobs(blobs);
    co_await check_all(run, *engine.partition, *front);
    co_await front->close();
    CO_CHECK_OK(co_await engine.close());
  }));
  std::filesystem::remove_all(run.directory);
}

}  // namespace
}  // namespace fb
