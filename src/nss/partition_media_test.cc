// SPDX-License-Identifier: Apache-2.0
// Media that lie: sectors of pages that rot, writes that are lost or go elsewhere, single bits flipped all
// over the store's files. Never wrong bytes; every loss is NamespaceError::damaged to who asks for it, or
// refused at the start; all else is intact.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "io/sim/thinning.h"

#include "nss/nss_test_world.h"

namespace fb {
namespace {

using Model = std::map<std::string, std::string>;  // key -> record

EngineOptions media_options() {
  EngineOptions options = small_options();
  options.memory_bytes = 512 * kKiB;
  options.stores.journal_segment_bytes = 64 * kKiB;
  options.stores.journal_bytes_max = 512 * kKiB;
  return options;
}

// One client that knows all there is.
class MediaClient {
 public:
  MediaClient(Session& session, Model& model, std::mt19937_64& random)
      : session_(session), model_(model), random_(random) {}

  std::string random_key() {
    std::string key;
    for (uint64_t depth = random_() % 3; depth > 0; --depth) key += folder();
    return key + "k" + std::to_string(random_() % 200);
  }
  std::string folder() { return "f" + std::to_string(random_() % 8) + "/"; }

  Task<void> fill(int count) {
    std::vector<Mutation> puts;
    for (int i = 0; i < count; ++i)
      model_[random_key()] = inline_object(std::string(600 + random_() % 300, 'f'));
    for (const auto& [key, record] : model_) puts.push_back({.key = key, .record = record});
    for (const auto& put : co_await session_.front->apply_each({}, kBucket, puts)) CO_CHECK_OK(put);
  }

  Task<void> work(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      const uint64_t kind = random_() % 16;
      if (kind < 5) {
        co_await put();
      } else if (kind < 8) {
        co_await erase();
      } else if (kind < 9) {
        co_await rename();
      } else if (kind < 10) {
        co_await list();
      } else {
        co_await get(random_key());
      }
    }
  }

  // Every key; how many are said to be lost.
  Task<void> read_all() {
    Model all = model_;
    for (const auto& [key, record] : all) co_await get(key);
    for (int i = 0; i < 100; ++i) co_await get(random_key());
  }

  uint64_t damaged = 0;  // answers that said so
  uint64_t done = 0;

 private:
  // Nothing else may go wrong.
  template <class T>
  bool ok(const Result<T>& made) {
    if (made) {
      ++done;
      return true;
    }
    EXPECT_TRUE(made.error().is(NamespaceError::damaged)) << made.error().to_string();
    ++damaged;
    return false;
  }
  Task<void> put() {
    const std::string key = random_key();
    const std::string record = inline_object(std::to_string(random_()) + std::string(random_() % 800, '.'));
    if (ok(co_await session_.put(key, record))) model_[key] = record;
  }
  Task<void> erase() {
    const auto found = model_.lower_bound(random_key());
    if (found == model_.end()) co_return;
    const std::string key = found->first;
    if (ok(co_await session_.erase(key))) model_.erase(key);
  }
  Task<void> get(const std::string& key) {
    const auto found = co_await session_.front->get({}, kBucket, Space::objects, key);
    const auto expected = model_.find(key);
    if (!found && found.error().is(NamespaceError::not_found)) {
      EXPECT_TRUE(expected == model_.end()) << key << " is gone";
      co_return;
    }
    if (!ok(found)) co_return;
    EXPECT_TRUE(expected != model_.end()) << key << " is back";
    if (expected != model_.end()) EXPECT_TRUE(found->record == expected->second) << key << " has wrong bytes";
  }
  Task<void> rename() {
    const std::string from = folder();
    std::string to = folder();
    if (random_() % 2 == 0) to = "n" + std::to_string(random_() % 100) + "/" + to;
    const auto beneath = [&](const std::string& prefix) {
      const auto found = model_.lower_bound(prefix);
      return found != model_.end() && found->first.starts_with(prefix);
    };
    if (!beneath(from) || beneath(to) || from == to) co_return;
    const auto renamed = co_await session_.front->rename(
        {}, {.bucket = kBucket, .source = from, .destination = to, .prefix = true});
    if (!ok(renamed)) co_return;
    Model after;
    for (const auto& [key, record] : model_)
      after[key.starts_with(from) ? to + key.substr(from.size()) : key] = record;
    model_ = std::move(after);
  }
  // A page of a listing: as it is, or an error.
  Task<void> list() {
    const std::string after = random_key();
    const auto page =
        co_await session_.front->list({}, {.bucket = kBucket, .start_after = after, .entries_max = 50});
    if (!ok(page)) co_return;
    auto expected = model_.upper_bound(after);
    for (const ListEntry& entry : page->entries) {
      CO_CHECK(expected != model_.end());
      EXPECT_EQ(entry.key, expected->first);
      EXPECT_TRUE(entry.record == expected->second) << entry.key << " has wrong bytes";
      ++expected;
    }
    EXPECT_EQ(page->truncated, expected != model_.end());
  }

  Session& session_;
  Model& model_;
  std::mt19937_64& random_;
};

struct MediaRun {
  uint64_t damages = 0;  // made by the disk
  uint64_t damaged = 0;  // answers
  uint64_t done = 0;
  uint64_t refused = 0;
};

// A store that works on a disk with these faults, over clean stops and kills.
void run_media(uint64_t seed, const sim::DiskFaults& faults, MediaRun& total) {
  World world(seed);
  FakeBlobs blobs;
  Model model;
  std::mt19937_64 random(seed);
  const auto boot = [&](bool first, bool faulty, bool clean, int steps) {
    bool ready = false;
    bool refused = false;
    world.node.start([&](Env& env) -> Task<void> {
      Session session(env);
      const auto opened = co_await session.open(blobs, media_options());
      if (!opened) {
        refused = true;
        EXPECT_FALSE(first);
        EXPECT_TRUE(opened.error().is(NamespaceError::damaged) || opened.error().is(PageError::damaged) ||
                    opened.error().is(JournalError::damaged) || opened.error().is(IoError::failed))
            << opened.error().to_string();
        EXPECT_FALSE(world.node.disk().damages().empty());
        co_return;
      }
      MediaClient client(session, model, random);
      if (first) {
        CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
        co_await client.fill(1200);
      }
      if (faulty) world.node.disk().faults() = faults;
      co_await client.work(steps);
      co_await client.read_all();
      total.damaged += client.damaged;
      total.done += client.done;
      ready = true;
      if (!clean) (void)co_await sleep_for(env, Duration::seconds(100'000));
      (void)co_await session.close();
    });
    EXPECT_TRUE(world.simulation.run_until([&] { return !world.node.running() || (ready && !clean); },
                                           Duration::seconds(50'000)))
        << world.node.describe_waiting();
    if (world.node.running())
      world.node.crash(random() % 2 == 0 ? sim::CrashKind::kill : sim::CrashKind::power_loss);
    EXPECT_FALSE(testing::Test::HasFailure()) << "seed " << seed << "\n" << world.log();
    total.refused += refused;
    return !refused && !testing::Test::HasFailure();
  };
  bool going = boot(true, true, seed % 2 == 0, 300);
  going = going && boot(false, true, seed % 3 == 0, 300);
  world.node.disk().faults() = {};
  going = going && boot(false, false, true, 0);
  if (going) (void)boot(false, false, true, 0);
  total.damages += world.node.disk().damages().size();
}

constexpr uint32_t role(FileRole which) { return 1u << static_cast<unsigned>(which); }

TEST(PartitionMedia, PagesThatRotOrWereWrittenElsewhereOrNotAtAll) {
  MediaRun total;
  for (uint64_t seed = 1; seed <= 12 && !HasFailure(); ++seed) {
    run_media(seed,
              {.rot_ppm = seed % 3 != 0 ? 15'000u : 0u,
               .misdirected_write_ppm = seed % 3 != 1 ? 15'000u : 0u,
               .lost_write_ppm = seed % 3 != 2 ? 15'000u : 0u,
               .read_error_ppm = seed % 4 == 0 ? 5'000u : 0u,
               .roles = role(FileRole::data)},
              total);
  }
  GTEST_LOG_(INFO) << fmt::format("{} damages, {} answers said so, {} did not need to, {} starts refused",
                                  total.damages, total.damaged, total.done, total.refused);
  EXPECT_GT(total.damages, 20u);
  EXPECT_GT(total.damaged, 20u);
  // Where a page near the root is lost, so is all beneath; in how many seeds that happens is chance.
  EXPECT_GT(total.done, 3 * total.damaged);
  EXPECT_EQ(total.refused, 0u);
}

TEST(PartitionMedia, JournalsAndCheckpointsThatRot) {
  MediaRun total;
  for (uint64_t seed = 1; seed <= 12 && !HasFailure(); ++seed) {
    run_media(seed, {.rot_ppm = 20'000, .roles = role(FileRole::journal) | role(FileRole::snapshot)}, total);
  }
  GTEST_LOG_(INFO) << fmt::format("{} damages, {} answers said so, {} starts refused", total.damages,
                                  total.damaged, total.refused);
  EXPECT_GT(total.damages, 0u);
  EXPECT_EQ(total.damaged, 0u);
}

// --- every file, bit by bit ---

struct StoredFile {
  std::string path;
  std::string bytes;
};

void collect_files(World& world, const std::string& directory, std::vector<StoredFile>& out) {
  std::vector<std::string> names;
  ASSERT_EQ(world.node.disk().list(directory, names), 0) << directory;
  std::ranges::sort(names);
  for (const std::string& name : names) {
    const std::string path = directory + "/" + name;
    const auto file = world.node.disk().find(path);
    ASSERT_NE(file, nullptr) << path;
    if (file->directory) {
      collect_files(world, path, out);
      continue;
    }
    StoredFile& stored = out.emplace_back(StoredFile{path, std::string(file->size(), '\0')});
    file->read(0, std::as_writable_bytes(std::span(stored.bytes)));
  }
}

struct FlipCounts {
  uint64_t flips = 0, refused = 0, lossless = 0, damaged = 0;
};

// Opens a copy of the store with one bit flipped.
void open_flipped(const std::vector<StoredFile>& files, const FakeBlobs& blobs_then, const Model& model_then,
                  size_t file, size_t at, FlipCounts& counts) {
  World copy(at + 1);
  copy.run([&](Env& env) -> Task<void> {
    for (const char* directory : {"/ns", "/ns/journal", "/ns/pages"})
      CO_CHECK_OK(co_await ensure_directory(env, directory));
    for (size_t i = 0; i < files.size(); ++i) {
      std::string bytes = files[i].bytes;
      if (i == file) bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
      CO_CHECK_OK(co_await replace_small_file(env, files[i].path, bytes, 0600, FileRole::other));
    }
  });
  const std::string& path = files[file].path;
  FakeBlobs blobs = blobs_then;
  Model model = model_then;
  std::mt19937_64 random(at);
  ++counts.flips;
  copy.run([&](Env& env) -> Task<void> {
    Session session(env);
    const auto opened = co_await session.open(blobs, media_options());
    if (!opened) {
      // Pages that are lost are not a reason, nor is a checkpoint that stands twice.
      const bool may = path.find("/journal/") != std::string::npos || path.ends_with("superblock");
      EXPECT_TRUE(may) << opened.error().to_string();
      ++counts.refused;
      co_return;
    }
    MediaClient client(session, model, random);
    co_await client.read_all();
    co_await client.work(5);
    ++(client.damaged == 0 ? counts.lossless : counts.damaged);
    if (!path.ends_with("/pages/pages")) EXPECT_EQ(client.damaged, 0u);
    CO_CHECK_OK(co_await session.close());
  });
  EXPECT_FALSE(testing::Test::HasFailure()) << path << " at " << at << "\n" << copy.log();
}

TEST(PartitionMedia, BitFlipsAreReportedOrHarmless) {
  for (const bool clean : {true, false}) {
    World world(4);
    FakeBlobs blobs;
    Model model;
    std::mt19937_64 random(4);
    bool ready = false;
    world.node.start([&](Env& env) -> Task<void> {
      Session session(env);
      CO_CHECK_OK(co_await session.open(blobs, media_options()));
      CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
      MediaClient client(session, model, random);
      co_await client.fill(150);
      co_await client.work(100);
      CO_CHECK_OK(co_await session.partition->take_checkpoint(true));
      // So that both tables of the page store are there.
      CO_CHECK_OK(co_await session.engine.stores->pages().checkpoint());
      co_await client.work(30);
      ready = true;
      if (!clean) (void)co_await sleep_for(env, Duration::seconds(1000));
      CO_CHECK_OK(co_await session.close());
    });
    ASSERT_TRUE(world.simulation.run_until([&] { return clean ? !world.node.running() : ready; },
                                           Duration::seconds(500)));
    if (!clean) world.node.crash(sim::CrashKind::kill);
    std::vector<StoredFile> files;
    collect_files(world, "/ns", files);
    FlipCounts counts;
    for (size_t i = 0; i < files.size() && !HasFailure(); ++i) {
      const size_t used = files[i].bytes.find_last_not_of('\0');
      if (used == std::string::npos) continue;
      const size_t stride = std::max<size_t>(used / 15, 1);
      for (size_t at = 0; at <= used && !HasFailure();
           at += (at < 100 ? 9 : stride + at % 7) * sim::kThinning)
        open_flipped(files, blobs, model, i, at, counts);
    }
    GTEST_LOG_(INFO) << fmt::format("{} flips: {} starts refused, {} lost nothing, {} said what is lost",
                                    counts.flips, counts.refused, counts.lossless, counts.damaged);
    EXPECT_GT(counts.damaged, 3 / sim::kThinning);
    EXPECT_GT(counts.lossless, 20 / sim::kThinning);
    if (!clean) EXPECT_GT(counts.refused, 3 / sim::kThinning);
  }
}

// A start whose reads of the journal rot from the moment that its stores are open, and one after it. The
// first answer is whether the first one was refused, the second whether the next one was.
std::pair<bool, bool> start_on_rotting_journal(uint64_t seed) {
  EngineOptions options = small_options();
  options.stores.reserve_pages = Partition::reserve_pages(options.memory_bytes, options.stores.page_bytes, 1);
  World world(seed);
  FakeBlobs blobs;
  bool ready = false;
  world.node.start([&](Env& env) -> Task<void> {
    Session session(env);
    CO_CHECK_OK(co_await session.open(blobs));
    CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
    CO_CHECK_OK(co_await session.put("k", inline_object(std::string(800, 'x'))));
    ready = true;
    (void)co_await sleep_for(env, Duration::seconds(1000));
  });
  EXPECT_TRUE(world.simulation.run_until([&] { return ready; }, Duration::seconds(10)));
  world.node.crash(sim::CrashKind::power_loss);
  const auto is_refused = [&](uint32_t rot_ppm) {
    bool refused = true;
    world.run([&](Env& env) -> Task<void> {
      auto stores = co_await bss::MetadataStore::open(env, options.stores);
      if (!stores) {
        EXPECT_TRUE(stores.error().is(JournalError::damaged)) << stores.error().to_string();
        co_return;
      }
      world.node.disk().faults() = {.rot_ppm = rot_ppm, .roles = role(FileRole::journal)};
      auto partition = co_await Partition::open(env, options, (*stores)->clients());
      world.node.disk().faults() = {};
      refused = !partition;
      if (partition) CO_CHECK_OK(co_await (*partition)->close());
      (void)co_await (*stores)->close();
    });
    return refused;
  };
  const bool first = is_refused(1'000'000);
  return {first, is_refused(0)};
}

// The journal's last frame rots between two reads of a start, which says so. The next start must say so, too:
// if it took the frame for a torn tail, what was acknowledged would be gone without a word.
TEST(PartitionMedia, ALastFrameThatRotsDuringAStartIsNoTornTail) {
  unsigned refused = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const auto [first, next] = start_on_rotting_journal(seed);
    if (!first) continue;  // no bit of a frame was hit
    ++refused;
    EXPECT_TRUE(next) << "seed " << seed << ": a frame that was acknowledged is gone";
  }
  EXPECT_GT(refused, 3U);
}

}  // namespace
}  // namespace fb
