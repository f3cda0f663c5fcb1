// SPDX-License-Identifier: Apache-2.0
// Listings over trees of many small pages: every mistake that others made (each a test), any delimiter
// against a model, keys of every kind, and listings while keys come, go and are renamed.
#include <gtest/gtest.h>
#include <algorithm>
#include <random>
#include <set>

#include "nss/nss_test_world.h"

namespace fb {
namespace {

using Names = std::vector<std::string>;

// Every page one after the other; common prefixes end in '*'.
Task<Names> list_all(NamespaceClient& front, ListRequest request) {
  Names out;
  std::string after;
  request.bucket = kBucket;
  for (int pages = 0; pages < 100'000; ++pages) {
    request.start_after = after;
    const auto page = co_await front.list({}, request);
    if (!page) {
      ADD_FAILURE() << page.error().to_string();
      co_return out;
    }
    EXPECT_LE(page->entries.size(), request.entries_max);
    for (const ListEntry& entry : page->entries)
      out.push_back(std::string(entry.key) + (entry.common_prefix ? "*" : ""));
    if (!page->truncated) co_return out;
    if (page->entries.empty()) break;
    after = page->entries.back().key;
    request.start_past_prefix = page->entries.back().common_prefix;
  }
  ADD_FAILURE() << "the listing does not end";
  co_return out;
}

Names expected_names(const std::set<std::string>& keys, const std::string& prefix,
                     const std::string& delimiter) {
  Names out;
  for (auto key = keys.lower_bound(prefix); key != keys.end() && key->starts_with(prefix); ++key) {
    const size_t found = delimiter.empty() ? std::string::npos : key->find(delimiter, prefix.size());
    const std::string item =
        found == std::string::npos ? *key : key->substr(0, found + delimiter.size()) + "*";
    if (out.empty() || out.back() != item) out.push_back(item);
  }
  return out;
}

// Keys of any bytes: those of objects must be UTF-8.
constexpr Space kBytes = Space::tokens;

Task<void> change_keys(Session& session, const Names& names, Mutation::Kind kind, const std::string& record,
                       Space space = Space::objects) {
  for (size_t begin = 0; begin < names.size(); begin += 200) {
    std::vector<Mutation> mutations;
    for (size_t i = begin; i < std::min(names.size(), begin + 200); ++i) {
      mutations.push_back({.kind = kind, .space = space, .key = names[i]});
      if (kind == Mutation::Kind::put) mutations.back().record = record;
    }
    for (const auto& made : co_await session.front->apply_each({}, kBucket, mutations)) CO_CHECK_OK(made);
  }
}

class PartitionList : public testing::Test {
 protected:
  // A new bucket with these keys, and what is asked of it. Afterwards the tree is whole.
  void with_keys(const Names& names, const std::function<Task<void>(Session&)>& ask,
                 size_t content_bytes = 300, Space space = Space::objects) {
    keys_ = {names.begin(), names.end()};
    const std::string record = inline_object(std::string(content_bytes, 'c'));
    World world;
    FakeBlobs blobs;
    world.run([&](Env& env) -> Task<void> {
      Session session(env);
      CO_CHECK_OK(co_await session.open(blobs));
      CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
      co_await change_keys(session, names, Mutation::Kind::put, record, space);
      co_await ask(session);
      co_await session.verify();
      pages_ = session.partition->statistics().pages;
      CO_CHECK_OK(co_await session.close());
    });
  }
  Names expected(const std::string& prefix, const std::string& delimiter) const {
    return expected_names(keys_, prefix, delimiter);
  }
  std::set<std::string> keys_;
  uint64_t pages_ = 0;
};

TEST_F(PartitionList, DeepTreesGiveTheirKeys) {
  std::string deep;
  for (int i = 0; i < 200; ++i) deep += "d/";
  with_keys({deep + "key"}, [&](Session& session) -> Task<void> {
    NamespaceClient& front = *session.front;
    EXPECT_EQ(co_await list_all(front, {.entries_max = 10}), (Names{deep + "key"}));
    EXPECT_EQ(co_await list_all(front, {.delimiter = "/", .entries_max = 10}), (Names{"d/*"}));
    EXPECT_EQ(co_await list_all(front, {.prefix = deep, .delimiter = "/"}), (Names{deep + "key"}));
    for (int i = 0; i < 200; i += 37) {
      const std::string prefix = deep.substr(0, static_cast<size_t>(2 * i));
      EXPECT_EQ(co_await list_all(front, {.prefix = prefix, .delimiter = "/"}), (Names{prefix + "d/*"}));
    }
  });
}

TEST_F(PartitionList, APrefixIsGivenOnceHoweverManyKeysItHolds) {
  Names names = {"e"};
  for (int i = 0; i < 5000; ++i) names.push_back("dir/" + std::to_string(i));
  with_keys(names, [&](Session& session) -> Task<void> {
    const uint64_t loads = session.partition->statistics().page_loads;
    for (const uint32_t size : {1u, 2u, 1000u}) {
      EXPECT_EQ(co_await list_all(*session.front, {.delimiter = "/", .entries_max = size}),
                (Names{"dir/*", "e"}));
    }
    // It is passed over by one descent, not walked through.
    EXPECT_LT(session.partition->statistics().page_loads - loads, 40u);
  });
}

TEST_F(PartitionList, NoSyntheticDirectoryKeys) {
  with_keys({"a/b"}, [&](Session& session) -> Task<void> {
    EXPECT_EQ(co_await list_all(*session.front, {}), (Names{"a/b"}));
    EXPECT_EQ(co_await list_all(*session.front, {.prefix = "a/"}), (Names{"a/b"}));
    EXPECT_EQ(co_await list_all(*session.front, {.prefix = "a"}), (Names{"a/b"}));
    EXPECT_EQ(co_await list_all(*session.front, {.prefix = "a/b/"}), Names());
  });
}

TEST_F(PartitionList, NoPhantomPrefixAfterItsLastKeyIsGone) {
  Names beneath;
  for (int i = 0; i < 600; ++i) beneath.push_back("a/" + std::to_string(i) + "/" + std::string(50, 'x'));
  Names names = beneath;
  names.push_back("c");
  with_keys(names, [&](Session& session) -> Task<void> {
    EXPECT_EQ(co_await list_all(*session.front, {.delimiter = "/"}), (Names{"a/*", "c"}));
    co_await change_keys(session, beneath, Mutation::Kind::erase, {});
    EXPECT_EQ(co_await list_all(*session.front, {.delimiter = "/"}), (Names{"c"}));
    EXPECT_EQ(co_await list_all(*session.front, {.prefix = "a"}), Names());
  });
}

TEST_F(PartitionList, AKeyIsNotHiddenByLongerOnes) {
  with_keys({"a", "a/", "a/b", "a-b", "a0"}, [&](Session& session) -> Task<void> {
    NamespaceClient& front = *session.front;
    // By bytes, not by component.
    EXPECT_EQ(co_await list_all(front, {.entries_max = 1}), (Names{"a", "a-b", "a/", "a/b", "a0"}));
    EXPECT_EQ(co_await list_all(front, {.delimiter = "/", .entries_max = 1}),
              (Names{"a", "a-b", "a/*", "a0"}));
    EXPECT_EQ(co_await list_all(front, {.prefix = "a/", .delimiter = "/", .entries_max = 1}),
              (Names{"a/", "a/b"}));
  });
}

TEST_F(PartitionList, APageThatEndsAtACommonPrefixNeitherRepeatsNorDropsIt) {
  Names names;
  for (int i = 0; i < 100; ++i) {
    for (int member = 0; member < 5; ++member)
      names.push_back("d" + std::to_string(100 + i) + "/" + std::to_string(member));
    names.push_back("d" + std::to_string(100 + i));
    names.push_back("d" + std::to_string(100 + i) + "0");
  }
  with_keys(names, [&](Session& session) -> Task<void> {
    for (uint32_t size = 1; size < 12; ++size) {
      EXPECT_EQ(co_await list_all(*session.front, {.delimiter = "/", .entries_max = size}), expected("", "/"))
          << size;
    }
  });
}

TEST_F(PartitionList, StartAfterInsideACommonPrefix) {
  with_keys({"a/1", "a/3", "b"}, [&](Session& session) -> Task<void> {
    const auto names = [&](ListRequest request) -> Task<Names> {
      request.bucket = kBucket;
      const auto page = co_await session.front->list({}, request);
      Names out;
      for (const ListEntry& entry : page->entries) out.emplace_back(entry.key);
      co_return out;
    };
    EXPECT_EQ(co_await names({.delimiter = "/", .start_after = "a/1"}), (Names{"a/", "b"}));
    EXPECT_EQ(co_await names({.delimiter = "/", .start_after = "a/3"}), (Names{"b"}));
    EXPECT_EQ(co_await names({.delimiter = "/", .start_after = "a/"}), (Names{"a/", "b"}));
    EXPECT_EQ(co_await names({.delimiter = "/", .start_after = "a/", .start_past_prefix = true}),
              (Names{"b"}));
    EXPECT_EQ(co_await names({.start_after = "a", .start_past_prefix = true}), (Names{"b"}));
    EXPECT_EQ(co_await names({.prefix = "a/", .start_after = "a", .start_past_prefix = true}), Names());
    EXPECT_EQ(co_await names({.prefix = "a/", .start_after = "a/2"}), (Names{"a/3"}));
    EXPECT_EQ(co_await names({.prefix = "a/", .start_after = "Z"}), (Names{"a/1", "a/3"}));
    EXPECT_EQ(co_await names({.prefix = "a/", .start_after = "b"}), Names());
    EXPECT_EQ(co_await names({.start_after = "zzz"}), Names());
  });
}

TEST_F(PartitionList, OtherSpacesAndBucketsDoNotShow) {
  with_keys({"k"}, [&](Session& session) -> Task<void> {
    const std::string record = UploadRecord().encode();
    for (const Space space : {Space::versions, Space::uploads, Space::parts, Space::tokens})
      co_await change_keys(session, {"a", "k", "\xce\xa9"}, Mutation::Kind::put, record, space);
    CO_CHECK_OK(co_await session.front->create_tree({}, BucketId{9}));
    const std::string object = inline_object("x");
    CO_CHECK_OK(co_await session.front->apply({}, BucketId{9}, {.key = "other", .record = object}));
    EXPECT_EQ(co_await list_all(*session.front, {}), (Names{"k"}));
    EXPECT_EQ(co_await list_all(*session.front, {.space = Space::uploads, .entries_max = 1}),
              (Names{"a", "k", "\xce\xa9"}));
    EXPECT_EQ(co_await list_all(*session.front, {.space = Space::tokens, .prefix = "\xce"}),
              (Names{"\xce\xa9"}));
    EXPECT_TRUE(
        (co_await session.front->list({}, {.bucket = {10}})).error().is(NamespaceError::no_such_tree));
  });
}

TEST_F(PartitionList, BytesOf255EmptyPagesAndLimits) {
  with_keys(
      {"a", "\xff", "\xff\xff", "\xff\xff/x", std::string(1024, '\xff')},
      [&](Session& session) -> Task<void> {
        NamespaceClient& front = *session.front;
        for (const std::string delimiter : {"", "\xff", "\xff\xff", "/", "\xff/"}) {
          for (const std::string prefix : {"", "\xff", "\xff\xff", "\xff\xff/"}) {
            for (const uint32_t size : {1u, 2u, 1000u}) {
              EXPECT_EQ(co_await list_all(
                            front,
                            {.space = kBytes, .prefix = prefix, .delimiter = delimiter, .entries_max = size}),
                        expected(prefix, delimiter));
            }
          }
        }
        const auto none = co_await front.list({}, {.bucket = kBucket, .space = kBytes, .entries_max = 0});
        EXPECT_TRUE(none->entries.empty());
        EXPECT_FALSE(none->truncated);
        const std::string longer(1500, '\xff');
        EXPECT_EQ(co_await list_all(front, {.space = kBytes, .prefix = longer}), Names());
        const auto behind =
            co_await front.list({}, {.bucket = kBucket, .space = kBytes, .start_after = longer});
        EXPECT_TRUE(behind->entries.empty());
      },
      300, kBytes);
}

TEST_F(PartitionList, RecordsAndVersionsComeWithTheirKeys) {
  Names names;
  for (int i = 0; i < 400; ++i) names.push_back("k" + std::to_string(i));
  with_keys(names, [&](Session& session) -> Task<void> {
    std::map<std::string, Version> versions;
    for (const std::string& name : names) {
      // Some are too large for a page.
      const std::string record = inline_object(name + std::string(name.ends_with("7") ? 5000 : 20, '.'));
      const auto put = co_await session.put(name, record);
      CO_CHECK_OK(put);
      versions[name] = put->version;
    }
    const auto page = co_await session.front->list({}, {.bucket = kBucket});
    CO_CHECK_OK(page);
    EXPECT_EQ(page->entries.size(), names.size());
    for (const ListEntry& entry : page->entries) {
      EXPECT_EQ(entry.version, versions[std::string(entry.key)]);
      const auto decoded = ObjectRecord::decode(entry.record);
      CO_CHECK_OK(decoded);
      EXPECT_EQ(decoded->content.inline_data,
                std::string(entry.key) + std::string(entry.key.ends_with("7") ? 5000 : 20, '.'));
    }
    const auto bare = co_await session.front->list({}, {.bucket = kBucket, .with_records = false});
    CO_CHECK(bare->entries.size() == names.size());
    EXPECT_TRUE(bare->entries[7].record.empty());
    EXPECT_EQ(bare->entries[7].version, versions[std::string(bare->entries[7].key)]);
  });
}

Task<void> expect_listings(Session& session, const std::set<std::string>& keys, const Names& delimiters,
                           const Names& prefixes, std::initializer_list<uint32_t> sizes) {
  for (const std::string& delimiter : delimiters) {
    for (const std::string& prefix : prefixes) {
      const Names expected = expected_names(keys, prefix, delimiter);
      for (const uint32_t size : sizes) {
        const Names found = co_await list_all(*session.front, {.space = kBytes,
                                                               .prefix = prefix,
                                                               .delimiter = delimiter,
                                                               .entries_max = size,
                                                               .with_records = false});
        EXPECT_TRUE(found == expected) << "prefix '" << prefix << "' delimiter '" << delimiter << "' size "
                                       << size << ": " << found.size() << " for " << expected.size();
      }
    }
  }
}

TEST_F(PartitionList, RandomKeysAndDelimitersAgreeWithAModel) {
  std::mt19937_64 random(5);
  with_keys({}, [&](Session& session) -> Task<void> {
    for (int round = 0; round < 8; ++round) {
      Names added;
      Names gone;
      for (int i = 0; i < 150; ++i) {
        std::string key;
        for (uint64_t size = 1 + random() % 7; size > 0; --size) key.push_back("ab/\xff-"[random() % 5]);
        added.push_back(key);
        keys_.insert(key);
      }
      const std::string record = inline_object(std::string(100 + random() % 800, 'r'));
      co_await change_keys(session, added, Mutation::Kind::put, record, kBytes);
      std::ranges::sample(keys_, std::back_inserter(gone), 40, random);
      for (const std::string& key : gone) keys_.erase(key);
      co_await change_keys(session, gone, Mutation::Kind::erase, {}, kBytes);
      co_await expect_listings(session, keys_, {"", "/", "a", "//", "ab", "/a"},
                               {"", "a", "a/", "/", "\xff", "ab/-"}, {1u, 3u, 1000u});
    }
  });
  EXPECT_GT(pages_, 10u);
}

// Keys as applications make them, and such as none does; so many that their pages come and go.
Names all_kinds_of_keys(std::mt19937_64& random) {
  std::set<std::string> keys;
  const auto hex = [&](size_t digits) {
    std::string out;
    for (; digits > 0; --digits) out.push_back("0123456789abcdef"[random() % 16]);
    return out;
  };
  for (int byte = 0; byte < 256; ++byte) {  // of every byte value, also as a prefix of others
    const char c = static_cast<char>(byte);
    keys.insert(std::string(1, c));
    keys.insert(std::string(2, c));
    keys.insert(std::string("mid") + c + "dle");
    keys.insert(std::string("mid") + c);
  }
  std::string nested;
  for (int i = 0; i < 1024; ++i) {  // each a prefix of the next one
    nested.push_back(static_cast<char>(i % 3 == 2 ? '/' : 'a' + i % 7));
    if (i % 5 == 0) keys.insert(nested);
  }
  for (int i = 0; i < 60; ++i) {  // of the largest size, that differ at the beginning, the middle, the end
    std::string longest(1024, 'l');
    longest[random() % longest.size()] = static_cast<char>(random());
    longest[1023] = static_cast<char>('a' + i % 26);
    keys.insert(longest);
  }
  for (int i = 0; i < 400; ++i) {
    keys.insert(hex(8) + "-" + hex(4) + "-4" + hex(3) + "-a" + hex(3) + "-" + hex(12));
    keys.insert("logs/2026/" + std::to_string(10 + i % 3) + "/" + std::to_string(10 + i % 20) + "/host-" +
                std::to_string(i % 7) + "/" + hex(6) + ".log.gz");
    keys.insert("https://example.org/a/b?q=" + hex(5) + "&page=" + std::to_string(i) + "#%20");
    keys.insert("\xd0\x94\xd0\xbe\xd0\xba/\xe6\x96\x87\xe4\xbb\xb6" + std::to_string(i % 50) +
                "/\xf0\x9f\x93\xa6" + hex(3));
    std::string noise;
    for (uint64_t size = 1 + random() % 40; size > 0; --size) noise.push_back(static_cast<char>(random()));
    keys.insert(noise);
  }
  return {keys.begin(), keys.end()};
}

TEST_F(PartitionList, KeysOfAllKindsOverManyPages) {
  std::mt19937_64 random(11);
  Names names = all_kinds_of_keys(random);
  std::ranges::shuffle(names, random);
  with_keys(
      names,
      [&](Session& session) -> Task<void> {
        co_await expect_listings(
            session, keys_, {"", "/", "-", "\xd0\xbe", std::string(1, '\0'), "\xff"},
            {"", "logs/2026/1", "mid", "a", "https://example.org/a/b?q=", "\xd0\x94", std::string(1000, 'l')},
            {7u, 1000u});
        co_await expect_listings(session, keys_, {"", "/"}, {"logs/", "mid"}, {1u, 3u});
        // Again without every second key, whose pages are joined.
        Names gone;
        for (size_t i = 0; i < names.size(); i += 2) gone.push_back(names[i]);
        for (const std::string& key : gone) keys_.erase(key);
        co_await change_keys(session, gone, Mutation::Kind::erase, {}, kBytes);
        co_await expect_listings(session, keys_, {"", "/"}, {"", "logs/"}, {50u});
        EXPECT_GT(session.partition->statistics().evictions, 100u);
      },
      900, kBytes);
  EXPECT_GT(pages_, 400u);
}

// --- while others change the tree ---

struct Race {
  std::set<std::string> stable;  // never touched
  Names coming_and_going;
  std::atomic<int> writing{0};
  std::atomic<bool> ready{false};
  Partition* partition = nullptr;
  int listings = 0;
};

std::string race_key(uint64_t i, bool stable) {
  // Both kinds side by side, so that they share pages, and some in folders of their own.
  return "k" + std::to_string(i % 13) + "/" + std::to_string(i) + (stable ? "-stays" : "-moves");
}

Task<void> race_writer(NamespaceClient* front, Race* race, uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    std::vector<Mutation> mutations;
    std::vector<std::string> records;
    records.reserve(8);
    std::set<size_t> chosen;
    while (chosen.size() < 8) chosen.insert(random() % race->coming_and_going.size());
    for (const size_t i : chosen) {
      records.push_back(inline_object(std::string(random() % 900, 'w')));
      mutations.push_back({.key = race->coming_and_going[i], .record = records.back()});
      if (random() % 2 == 0) {
        mutations.back().kind = Mutation::Kind::erase;
        mutations.back().record = {};
      }
    }
    CO_CHECK_OK(co_await front->commit({}, kBucket, mutations));
  }
  race->writing.fetch_sub(1);
}

// All that stays is there, once; nothing that was never there; in order.
Task<void> race_lister(Env* env, NamespaceClient* front, Race* race, uint32_t page_size,
                       std::string delimiter) {
  const std::set<std::string> possible(race->coming_and_going.begin(), race->coming_and_going.end());
  const Names must = expected_names(race->stable, "", delimiter);
  while (race->writing.load() > 0) {
    const Names found = co_await list_all(
        *front, {.delimiter = delimiter, .entries_max = page_size, .with_records = page_size > 100});
    CO_CHECK(std::ranges::is_sorted(found));
    CO_CHECK(std::ranges::adjacent_find(found) == found.end());
    CO_CHECK(std::ranges::includes(found, must));
    if (delimiter.empty()) {
      CO_CHECK(std::ranges::all_of(
          found, [&](const auto& key) { return race->stable.contains(key) || possible.contains(key); }));
    }
    ++race->listings;
    // A listing of pages in memory suspends nowhere.
    (void)co_await sleep_for(*env, Duration::microseconds(200));
  }
}

TEST_F(PartitionList, WhileWritersChangeWhatLiesBetween) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    World world(seed, 2);
    FakeBlobs blobs;
    Race race;
    Names stable;
    for (uint64_t i = 0; i < 700; ++i) {
      stable.push_back(race_key(i, true));
      race.coming_and_going.push_back(race_key(i, false));
    }
    race.stable = {stable.begin(), stable.end()};
    world.run([&](Env& env) -> Task<void> {
      if (env.core() != 0) {
        while (!race.ready.load()) (void)co_await sleep_for(env, Duration::milliseconds(1));
        auto front = co_await PartitionFront::open(env, *race.partition);
        co_await race_writer(front.get(), &race, seed * 7);
        co_await front->close();
        race.ready.store(false);
        co_return;
      }
      Session session(env);
      CO_CHECK_OK(co_await session.open(blobs));
      CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
      co_await change_keys(session, stable, Mutation::Kind::put, inline_object(std::string(900, 's')));
      race.partition = session.partition;
      race.writing.store(3);
      race.ready.store(true);
      Scope scope(env);
      scope.spawn(&race_writer, session.front.get(), &race, seed);
      scope.spawn(&race_writer, session.front.get(), &race, seed + 100);
      scope.spawn(&race_lister, &env, session.front.get(), &race, 3u, std::string());
      scope.spawn(&race_lister, &env, session.front.get(), &race, 64u, std::string("/"));
      scope.spawn(&race_lister, &env, session.front.get(), &race, 1000u, std::string());
      scope.spawn(&race_lister, &env, session.front.get(), &race, 1u, std::string("-stays"));
      co_await scope.join();
      while (race.ready.load()) (void)co_await sleep_for(env, Duration::milliseconds(1));
      EXPECT_GT(session.partition->statistics().evictions, 50u);
      co_await session.verify();
      CO_CHECK_OK(co_await session.close());
    });
    EXPECT_GT(race.listings, 10);
    ASSERT_FALSE(HasFailure()) << "seed " << seed << "\n" << world.log();
  }
}

// One answer is wholly before or wholly after each rename: the members of a directory are in one place.
Task<void> rename_back_and_forth(NamespaceClient* front, Race* race, int count) {
  for (int i = 0; i < count; ++i) {
    const bool there = i % 2 == 0;
    CO_CHECK_OK(co_await front->rename({}, {.bucket = kBucket,
                                            .source = there ? "m/here/" : "b/there/far/",
                                            .destination = there ? "b/there/far/" : "m/here/",
                                            .prefix = true}));
  }
  race->writing.fetch_sub(1);
}

Task<void> list_in_one_answer(Env* env, NamespaceClient* front, Race* race, std::set<std::string> members) {
  while (race->writing.load() > 0) {
    const auto page =
        co_await front->list({}, {.bucket = kBucket, .entries_max = 10'000, .with_records = false});
    CO_CHECK_OK(page);
    std::set<std::string> found;
    std::set<std::string> places;
    for (const ListEntry& entry : page->entries) {
      const size_t at = entry.key.rfind('/');
      if (entry.key.starts_with("k")) continue;
      places.emplace(entry.key.substr(0, at + 1));
      CO_CHECK(found.emplace(entry.key.substr(at + 1)).second);
    }
    CO_CHECK(found == members);
    CO_CHECK(places.size() == 1);
    ++race->listings;
    (void)co_await sleep_for(*env, Duration::microseconds(200));
  }
}

TEST_F(PartitionList, OneAnswerIsBeforeOrAfterARename) {
  Names names;
  std::set<std::string> members;
  for (int i = 0; i < 900; ++i) {
    members.insert("member-" + std::to_string(i));
    names.push_back("m/here/member-" + std::to_string(i));
  }
  Race race;
  for (uint64_t i = 0; i < 300; ++i) {
    names.push_back(race_key(i, true));
    race.coming_and_going.push_back(race_key(i, false));
  }
  with_keys(
      names,
      [&](Session& session) -> Task<void> {
        race.writing.store(2);
        Scope scope(session.env);
        scope.spawn(&rename_back_and_forth, session.front.get(), &race, 60);
        scope.spawn(&race_writer, session.front.get(), &race, 5);
        scope.spawn(&list_in_one_answer, &session.env, session.front.get(), &race, members);
        scope.spawn(&list_in_one_answer, &session.env, session.front.get(), &race, members);
        co_await scope.join();
        EXPECT_EQ((co_await list_all(*session.front, {.prefix = "m/here/", .with_records = false})).size(),
                  900u);
      },
      700);
  EXPECT_GT(race.listings, 4);
}

}  // namespace
}  // namespace fb
