// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "nss/nss_test_world.h"

// A workload of everything the namespace does, and what it must be found to have done after a crash: each
// client knows its part of the tree as it was acknowledged, and the one change that is under way.

namespace fb {

using Tree = std::map<std::string, std::string>;  // space byte and key -> record

inline std::string in_space(Space space, std::string_view key) {
  return std::string(1, static_cast<char>(space)) + std::string(key);
}

// Keys that get a record, or lose it.
using TreeChange = std::vector<std::pair<std::string, std::optional<std::string>>>;

inline void apply_change(Tree& tree, const TreeChange& change) {
  for (const auto& [key, record] : change) {
    if (record) {
      tree[key] = *record;
    } else {
      tree.erase(key);
    }
  }
}

// What one client knows of its part: all keys beneath `c<number>` in all spaces, and a bucket of its own.
struct Area {
  unsigned number = 0;
  unsigned width = 3;  // names a folder
  Tree known;
  std::optional<TreeChange> pending;  // the change under way
  uint64_t uploads_begun = 0;
  uint64_t thin_percent = 0;  // of the keys that are filled in go again

  uint64_t buckets_made = 0;

  // Ids are never used again.
  BucketId bucket() const { return {100 + number + 10 * buckets_made}; }
  std::string root() const { return "c" + std::to_string(number) + "/"; }
  std::string upload_id(uint64_t upload) const {
    return "c" + std::to_string(number) + "-upload-" + std::to_string(upload) + ".";
  }
};
inline const std::string kBucketThere = "bucket";  // no key: space bytes are below 8

struct Counters {
  uint64_t crashes = 0, renames = 0, prefix_renames = 0, completes = 0, aborts = 0, buckets = 0,
           seen_pending = 0, seen_known = 0, checkpoints = 0, ends = 0;
  void add(const Counters& other) {
    for (uint64_t Counters::* field :
         {&Counters::crashes, &Counters::renames, &Counters::prefix_renames, &Counters::completes,
          &Counters::aborts, &Counters::buckets, &Counters::seen_pending, &Counters::seen_known,
          &Counters::checkpoints, &Counters::ends}) {
      this->*field += other.*field;
    }
  }
};

// One client: a random change after the other, each held against what the model says.
class Client {
 public:
  Client(Session& session, FakeBlobs& blobs, Area& area, Counters& counters, uint64_t seed)
      : session_(session), blobs_(blobs), area_(area), counters_(counters), random_(seed) {}

  // Many keys at once, so that the tree has many pages.
  Task<void> fill(int count) {
    TreeChange change;
    std::vector<Mutation> puts;
    std::set<std::string> keys;
    while (keys.size() < static_cast<size_t>(count)) keys.insert(random_key());
    for (const std::string& key : keys)
      change.emplace_back(
          in_space(Space::objects, key),
          random_() % 10 == 0 ? new_record() : inline_object(std::string(500 + random_() % 400, '.')));
    for (const auto& [key, record] : change)
      puts.push_back({.key = std::string_view(key).substr(1), .record = *record});
    for (const auto& made : co_await session_.front->apply_each({}, kBucket, puts)) CO_CHECK_OK(made);
    apply_change(area_.known, change);
  }
  // Erases objects, many in one commit, so that pages stay sparse.
  Task<void> thin_out(uint64_t percent) {
    std::vector<std::string> keys;
    for (const auto& [key, record] : area_.known) {
      if (key.starts_with(static_cast<char>(Space::objects)) && random_() % 100 < percent)
        keys.push_back(key.substr(1));
    }
    std::ranges::shuffle(keys, random_);
    for (size_t i = 0; i < keys.size(); i += 20) {
      std::vector<Mutation> erases;
      TreeChange change;
      for (const std::string& key : std::span(keys).subspan(i, std::min<size_t>(20, keys.size() - i))) {
        erases.push_back({.kind = Mutation::Kind::erase, .key = key});
        change.emplace_back(in_space(Space::objects, key), std::nullopt);
      }
      begins(std::move(change));
      ends(co_await commit(erases));
    }
  }
  Task<void> work(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      const uint64_t kind = random_() % 20;
      if (kind < 6) {
        co_await put();
      } else if (kind < 8) {
        co_await erase();
      } else if (kind < 10) {
        co_await rename_key();
      } else if (kind < 14) {
        co_await rename_prefix();
      } else if (kind < 17) {
        co_await upload();
      } else if (kind < 18) {
        co_await several();
      } else if (kind < 19) {
        co_await bucket_life();
      } else if (session_.partition != nullptr) {
        counters_.checkpoints +=
            (co_await session_.partition->take_checkpoint(random_() % 2 == 0)).has_value();
      }
    }
  }

 private:
  std::string random_key() {
    std::string key = area_.root();
    for (uint64_t depth = random_() % 3; depth > 0; --depth) key += folder();
    if (random_() % 6 != 0 || key == area_.root())
      key += "x" + std::to_string(random_() % (area_.width * area_.width));
    if (random_() % 12 == 0) key += std::string(200 + random_() % 600, 'l');
    return key;
  }
  std::string random_directory() {
    std::string key = area_.root();
    for (uint64_t depth = 1 + random_() % 2; depth > 0; --depth) key += folder();
    return key;
  }
  std::string folder() { return "f" + std::to_string(random_() % area_.width) + "/"; }
  BlobId new_blob() {
    const BlobId id = blobs_.new_blob();
    blobs_.write(id, 2);
    return id;
  }
  // Inline, in a blob, or too large for a page and in a blob as well.
  std::string new_record() {
    const uint64_t kind = random_() % 10;
    if (kind < 4) return inline_object(std::to_string(random_()) + std::string(random_() % 700, '.'));
    ObjectRecord record;
    const std::string metadata(kind < 8 ? random_() % 500 : 2000 + random_() % 3000, 'm');
    record.metadata = metadata;
    record.size_bytes = kMiB + 1 + random_() % 1000;
    record.content = {.kind = Locator::Kind::blob, .blob = new_blob(), .length_bytes = record.size_bytes};
    return record.encode();
  }
  void begins(TreeChange change) { area_.pending = std::move(change); }
  void ends(const Result<void>& made) {
    ++counters_.ends;
    if (made) {
      apply_change(area_.known, *area_.pending);
      area_.pending.reset();
      return;
    }
    ADD_FAILURE() << "a change was refused: " << made.error().to_string();
  }
  Task<Result<void>> commit(std::span<const Mutation> mutations) {
    FB_CO_CHECK(co_await session_.front->commit({}, kBucket, mutations));
    co_return Result<void>();
  }
  std::optional<std::string> any_object() {
    auto found = area_.known.lower_bound(in_space(Space::objects, random_key()));
    if (found == area_.known.end() || !found->first.starts_with(static_cast<char>(Space::objects)))
      found = area_.known.lower_bound(in_space(Space::objects, {}));
    if (found == area_.known.end() || !found->first.starts_with(static_cast<char>(Space::objects)))
      return std::nullopt;
    return found->first.substr(1);
  }

  Task<void> put() {
    const std::string key = random_key();
    const std::string record = new_record();
    const Space space = random_() % 8 == 0 ? Space::versions : Space::objects;
    begins({{in_space(space, key), record}});
    const Mutation mutation{.space = space, .key = key, .record = record};
    ends(co_await commit({&mutation, 1}));
  }
  Task<void> erase() {
    const std::optional<std::string> key = any_object();
    if (!key) co_return;
    begins({{in_space(Space::objects, *key), std::nullopt}});
    const Mutation mutation{.kind = Mutation::Kind::erase, .key = *key};
    ends(co_await commit({&mutation, 1}));
  }
  Task<void> several() {
    std::vector<std::string> keys;
    std::vector<std::string> records;
    std::vector<Mutation> mutations;
    keys.reserve(3);
    records.reserve(3);
    TreeChange change;
    for (int i = 0; i < 3; ++i) {
      keys.push_back(random_key());
      records.push_back(inline_object(std::to_string(random_())));
      const bool erases = random_() % 3 == 0;
      mutations.push_back({.kind = erases ? Mutation::Kind::erase : Mutation::Kind::put, .key = keys.back()});
      change.emplace_back(in_space(Space::objects, keys.back()), std::nullopt);
      if (erases) continue;
      mutations.back().record = records.back();
      change.back().second = records.back();
    }
    begins(std::move(change));
    ends(co_await commit(mutations));
  }

  Task<void> rename_key() {
    const std::optional<std::string> from = any_object();
    const std::string to = random_key();
    if (!from || *from == to) co_return;
    const std::string token = area_.root() + "token";
    const std::string token_record = UploadRecord{.initiated = UnixTime()}.encode();
    const Mutation with[] = {{.space = Space::tokens, .key = token, .record = token_record}};
    begins({{in_space(Space::objects, to), area_.known[in_space(Space::objects, *from)]},
            {in_space(Space::objects, *from), std::nullopt},
            {in_space(Space::tokens, token), token_record}});
    ends(co_await session_.front->rename(
        {}, {.bucket = kBucket, .source = *from, .destination = to, .with = with}));
    ++counters_.renames;
  }
  Task<void> rename_prefix() {
    std::string from = random_directory();
    std::string to = random_directory();
    // Where many are occupied, one that is there goes to a new one.
    if (const auto object = any_object(); object && random_() % 2 == 0) {
      const size_t slash = object->find('/', area_.root().size());
      if (slash != std::string::npos) from = object->substr(0, slash + 1);
      to += "n" + std::to_string(random_() % 1000) + "/";
    }
    if (to.starts_with(from) || !any_beneath(Space::objects, from)) co_return;
    const bool occupied = any_beneath(Space::objects, to) ||
                          (any_beneath(Space::versions, to) && any_beneath(Space::versions, from));
    size_t longest = 0;
    TreeChange change;
    for (const Space space : {Space::objects, Space::versions}) {
      const std::string prefix = in_space(space, from);
      for (auto key = area_.known.lower_bound(prefix);
           key != area_.known.end() && key->first.starts_with(prefix); ++key) {
        change.emplace_back(key->first, std::nullopt);
        change.emplace_back(in_space(space, to) + key->first.substr(prefix.size()), key->second);
        longest = std::max(longest, change.back().first.size() - 1);
      }
    }
    const bool possible = !occupied && longest <= kKeySizeMax;
    if (possible) begins(std::move(change));
    const auto renamed = co_await session_.front->rename(
        {}, {.bucket = kBucket, .source = from, .destination = to, .prefix = true});
    if (possible) {
      ends(renamed);
      ++counters_.prefix_renames;
    } else {
      CO_CHECK(!renamed);
      EXPECT_TRUE(
          renamed.error().is(occupied ? NamespaceError::destination_occupied : NamespaceError::key_too_long))
          << renamed.error().to_string();
    }
  }
  bool any_beneath(Space space, const std::string& prefix) const {
    const auto found = area_.known.lower_bound(in_space(space, prefix));
    return found != area_.known.end() && found->first.starts_with(in_space(space, prefix));
  }

  // Begins an upload, adds parts, completes or aborts one; each in a commit as S3 makes them.
  Task<void> upload() {
    const auto space = std::string(1, static_cast<char>(Space::uploads));
    std::vector<std::string> open;
    for (const auto& [key, record] : area_.known) {
      if (key.starts_with(space)) open.push_back(key.substr(1));
    }
    if (open.empty() || random_() % 4 == 0) {
      const std::string key = area_.upload_id(++area_.uploads_begun);
      const std::string record = UploadRecord().encode();
      begins({{in_space(Space::uploads, key), record}});
      const Mutation mutation{.space = Space::uploads, .key = key, .record = record};
      co_return ends(co_await commit({&mutation, 1}));
    }
    const std::string upload = open[random_() % open.size()];
    std::vector<std::pair<std::string, std::string>> parts;
    for (const auto& [key, record] : area_.known) {
      if (key.starts_with(in_space(Space::parts, upload))) parts.emplace_back(key, record);
    }
    if (parts.size() < 2 || random_() % 3 == 0) co_return co_await put_part(upload);
    co_await end_upload(upload, parts, random_() % 3 != 0);
  }
  Task<void> put_part(const std::string& upload) {
    const std::string key = upload + std::to_string(random_() % 4);
    const BlobId blob = new_blob();
    const std::string record =
        PartRecord{.size_bytes = 2 * kMiB,
                   .content = {.kind = Locator::Kind::blob, .blob = blob, .length_bytes = 2 * kMiB}}
            .encode();
    begins({{in_space(Space::parts, key), record}});
    const Mutation mutations[] = {{.kind = Mutation::Kind::check,
                                   .space = Space::uploads,
                                   .key = upload,
                                   .condition = {.kind = Condition::Kind::must_exist}},
                                  {.space = Space::parts, .key = key, .record = record}};
    ends(co_await commit(mutations));
  }
  Task<void> end_upload(const std::string& upload,
                        const std::vector<std::pair<std::string, std::string>>& parts, bool completes) {
    TreeChange change = {{in_space(Space::uploads, upload), std::nullopt}};
    ObjectRecord object;
    for (const auto& [key, record] : parts) {
      change.emplace_back(key, std::nullopt);
      const auto part = PartRecord::decode(record);
      CO_CHECK_OK(part);
      // The last one is left out: what nothing takes over is freed.
      if (key == parts.back().first) continue;
      object.size_bytes += part->size_bytes;
      object.parts.push_back(
          {.number = static_cast<uint16_t>(object.parts.size() + 1), .content = part->content});
    }
    const std::string record = object.encode();
    const std::string key = random_key();
    std::vector<Mutation> mutations = {
        {.kind = Mutation::Kind::erase,
         .space = Space::uploads,
         .key = upload,
         .condition = {.kind = Condition::Kind::must_exist}},
        {.kind = Mutation::Kind::erase_prefix, .space = Space::parts, .key = upload}};
    if (completes) {
      mutations.push_back({.key = key, .record = record});
      change.emplace_back(in_space(Space::objects, key), record);
    }
    begins(std::move(change));
    ends(co_await commit(mutations));
    ++(completes ? counters_.completes : counters_.aborts);
  }

  Task<void> bucket_life() {
    const std::string in_bucket = kBucketThere + "/key";
    const std::string record = inline_object("in a bucket");
    ++counters_.buckets;
    if (!area_.known.contains(kBucketThere)) {
      ++area_.buckets_made;
      begins({{kBucketThere, ""}});
      co_return ends(co_await session_.front->create_tree({}, area_.bucket()));
    }
    const bool there = area_.known.contains(in_bucket);
    if (random_() % 2 == 0) {
      begins({{in_bucket, there ? std::nullopt : std::optional(record)}});
      const Mutation mutation{.kind = there ? Mutation::Kind::erase : Mutation::Kind::put,
                              .key = "key",
                              .record = there ? std::string_view() : record};
      const auto made = co_await session_.front->apply({}, area_.bucket(), mutation);
      co_return ends(made ? Result<void>() : Result<void>(made.error()));
    }
    if (there) {
      const auto dropped = co_await session_.front->drop_tree({}, area_.bucket());
      EXPECT_TRUE(!dropped && dropped.error().is(NamespaceError::tree_not_empty));
      co_return;
    }
    begins({{kBucketThere, std::nullopt}});
    ends(co_await session_.front->drop_tree({}, area_.bucket()));
  }

  Session& session_;
  FakeBlobs& blobs_;
  Area& area_;
  Counters& counters_;
  std::mt19937_64 random_;
};

inline Task<void> run_client(Session* session, FakeBlobs* blobs, Area* area, Counters* counters,
                             uint64_t seed, int steps, int fills) {
  Client client(*session, *blobs, *area, *counters, seed);
  if (fills > 0) co_await client.fill(fills);
  if (fills > 0) co_await client.thin_out(area->thin_percent);
  co_await client.work(steps);
}

inline Task<Tree> look(Session& session, const Area& area) {
  Tree found;
  const std::string other = "c" + std::to_string(area.number) + "-";
  for (const Space space : {Space::objects, Space::versions, Space::uploads, Space::parts, Space::tokens}) {
    const bool named_by_upload = space == Space::uploads || space == Space::parts;
    std::string after;
    for (bool more = true; more;) {
      const auto page = co_await session.front->list({}, {.bucket = kBucket,
                                                          .space = space,
                                                          .prefix = named_by_upload ? other : area.root(),
                                                          .start_after = after,
                                                          .entries_max = 10'000});
      if (!page) {
        if (!page.error().is(NamespaceError::no_such_tree)) ADD_FAILURE() << page.error().to_string();
        break;
      }
      for (const ListEntry& entry : page->entries) found[in_space(space, entry.key)] = entry.record;
      more = page->truncated;
      if (more) after = page->entries.back().key;
    }
  }
  const auto page = co_await session.front->list({}, {.bucket = area.bucket()});
  if (page) {
    found[kBucketThere] = "";
    for (const ListEntry& entry : page->entries)
      found[fmt::format("{}/{}", kBucketThere, entry.key)] = entry.record;
  }
  co_return found;
}

inline std::string difference(const Tree& found, const Tree& known) {
  std::string text;
  const auto add = [&text](std::string_view what, const std::string& key) {
    if (text.size() < 2000)
      text += fmt::format("  {} space {} {}\n", what, static_cast<int>(key[0]), key.substr(1, 60));
  };
  for (const auto& [key, record] : found) {
    const auto expected = known.find(key);
    if (expected == known.end()) add("is there", key);
    if (expected != known.end() && expected->second != record) add("is another", key);
  }
  for (const auto& [key, record] : known) {
    if (!found.contains(key)) add("is gone", key);
  }
  return text;
}

// As acknowledged, or with the change whole that was under way; from then on that is what was seen.
inline Task<void> check_area(Session& session, Area& area, Counters& counters) {
  Tree found = co_await look(session, area);
  bool as_pending = false;
  if (found != area.known && area.pending) {
    apply_change(area.known, *area.pending);
    as_pending = true;
  }
  EXPECT_TRUE(found == area.known) << (as_pending ? "after" : "without") << " a change that was under way\n"
                                   << difference(found, area.known);
  ++(as_pending ? counters.seen_pending : counters.seen_known);
  area.known = std::move(found);
  area.pending.reset();
}

// After an orderly stop the store holds the pages of the trees and no other, but for those that the
// background has retired since the start, which a checkpoint erases.
inline Task<void> check_pages(Session& session) {
  constexpr int kTriesMax = 5;
  uint64_t in_trees = 0;
  uint64_t stored = 0;
  for (int tries = 0; tries == 0 || (in_trees != stored && tries < kTriesMax); ++tries) {
    if (tries != 0) CO_CHECK_OK(co_await session.partition->take_checkpoint(true));
    const auto report = co_await session.partition->verify();
    CO_CHECK_OK(report);
    in_trees = report->pages;
    stored = session.engine.stores->pages().page_count();
  }
  EXPECT_EQ(in_trees, stored);
}

// Everything that ends by itself has ended: what is there is what is named.
inline Task<void> check_blobs(Session& session, FakeBlobs& blobs, bool in_use) {
  for (int waited = 0;; ++waited) {
    CO_CHECK(waited < 10'000);
    (void)co_await sleep_for(session.env, Duration::milliseconds(10));
    const Partition::Statistics statistics = session.partition->statistics();
    if (statistics.sweep_done && statistics.ledger_blobs == 0 && waited > 2) break;
  }
  const auto report = co_await session.partition->verify(in_use);
  CO_CHECK_OK(report);
  for (const std::string& problem : report->problems) ADD_FAILURE() << problem;
  std::set<BlobKey> named;
  for (const auto& [id, block_count] : report->named) {
    for (uint32_t block = 0; block < block_count; ++block) named.insert({id, block});
  }
  std::vector<BlobKey> lost;
  std::vector<BlobKey> leaked;
  std::ranges::set_difference(named, blobs.live, std::back_inserter(lost));
  std::ranges::set_difference(blobs.live, named, std::back_inserter(leaked));
  EXPECT_EQ(lost.size(), 0u);
  EXPECT_EQ(leaked.size(), 0u);
}

inline constexpr unsigned kClients = 3;

// One machine over several processes.
struct CrashRun {
  explicit CrashRun(uint64_t seed_in, bool power_loss_protection = false)
      : world(seed_in, 2, power_loss_protection), seed(seed_in) {
    if (power_loss_protection) options.stores.durability = Durability::plp;
    options.stores.journal_segment_bytes = 64 * kKiB;
    options.stores.journal_bytes_max = 512 * kKiB;
    options.sweep_blobs_max = 20;
    for (unsigned i = 0; i < kClients; ++i) areas[i].number = i;
  }
  // One process: `steps` changes of each client, the last of which works on the other core. With `settles` it
  // waits for the background before; with `after_clean` the process before has ended in order.
  void boot(int steps, bool settles, bool after_clean = false) {
    ++boots;
    shared = {};
    world.run([&, steps, settles, after_clean](Env& env) -> Task<void> {
      if (env.core() != 0) co_return co_await work_beside(env, steps);
      Session session(env);
      const auto opened = co_await session.open(blobs, options);
      if (!opened) shared.gone = true;
      CO_CHECK_OK(opened);
      (void)co_await session.front->create_tree({}, kBucket);
      co_await session.verify(awaits_walk);
      if (after_clean) co_await check_pages(session);
      for (Area& area : areas) co_await check_area(session, area, counters);
      if (settles) co_await check_blobs(session, blobs, awaits_walk);
      shared.partition = session.partition;
      Scope clients(env);
      for (unsigned i = 0; i + 1 < kClients; ++i)
        clients.spawn(&run_client, &session, &blobs, &areas[i], &counters, seed_of(i), steps, fills);
      co_await clients.join();
      while (!shared.done) (void)co_await sleep_for(env, Duration::milliseconds(1));
      // None may be due: the process before may have come to its end with it.
      for (int waited = 0; awaits_walk && waited < 300; ++waited) {
        if (session.partition->statistics().compact_walks != 0) break;
        (void)co_await sleep_for(env, Duration::milliseconds(10));
      }
      if (checks_again) {
        co_await session.verify();
        for (Area& area : areas) co_await check_area(session, area, counters);
      }
      statistics = session.partition->statistics();
      CO_CHECK_OK(co_await session.close());
    });
  }
  Task<void> work_beside(Env& env, int steps) {
    while (shared.partition == nullptr && !shared.gone)
      (void)co_await sleep_for(env, Duration::milliseconds(1));
    if (shared.gone) co_return;
    Session session(env);
    session.front = co_await PartitionFront::open(env, *shared.partition);
    session.front->use_blobs(blobs);
    co_await run_client(&session, &blobs, &areas[kClients - 1], &counters, seed_of(kClients - 1), steps,
                        fills);
    co_await session.front->close();
    shared.done = true;
  }
  uint64_t seed_of(unsigned client) const { return seed * 1000 + boots * 10 + client; }
  struct Shared {
    Partition* partition = nullptr;
    bool done = false;
    bool gone = false;
  } shared;
  World world;
  FakeBlobs blobs;
  EngineOptions options = small_options();
  Area areas[kClients];
  Counters counters;
  uint64_t seed;
  uint64_t boots = 0;
  int fills = 0;              // keys of each client, before anything else
  bool checks_again = false;  // at the end, too
  bool awaits_walk = false;   // of compaction
  Partition::Statistics statistics;
};

// The crash comes at the n-th change, in the second process again, while it recovers perhaps. False where no
// process came so far.
inline bool crash_at(CrashRun& run, uint64_t n, int steps, Counters& total) {
  for (int boot = 0; boot < 2; ++boot) {
    const auto parity = (n + run.seed + static_cast<uint64_t>(boot)) % 2;
    run.world.node.crash_at(
        parity == 0 ? sim::SimNode::CrashPoint::io_before : sim::SimNode::CrashPoint::io_after, n,
        (n + run.seed) % 3 == 0 ? sim::CrashKind::kill : sim::CrashKind::power_loss);
    run.boot(steps, boot == 1 && n % 4 == 0);
    run.counters.crashes += run.world.node.crashed();
  }
  run.world.node.forget_planned_crash();
  run.boot(10, true);
  run.boot(0, true, true);
  EXPECT_FALSE(testing::Test::HasFailure()) << "n " << n << " seed " << run.seed << "\n" << run.world.log();
  total.add(run.counters);
  return run.counters.crashes != 0;
}

}  // namespace fb
