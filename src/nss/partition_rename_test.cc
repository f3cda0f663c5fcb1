// SPDX-License-Identifier: Apache-2.0
// Renames of keys and of prefixes through a front: errors, conditions, what moves and what stays, what goes
// with them in the same record.
#include <gtest/gtest.h>
#include <set>

#include "nss/nss_test_world.h"

namespace fb {
namespace {

using Names = std::vector<std::string>;
using Rename = NamespaceClient::RenameRequest;

class PartitionRename : public testing::Test {
 protected:
  // What happens in one process on a new bucket; the tree is whole before and after a restart.
  void run(const std::function<Task<void>(Session&)>& act) {
    session([&](Session& session) -> Task<void> {
      CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
      co_await act(session);
      co_await session.verify();
    });
    session([&](Session& session) -> Task<void> {
      co_await session.verify();
      before_restart_.swap(after_restart_);
      after_restart_ = co_await contents(session);
      EXPECT_EQ(before_restart_, after_restart_);
    });
  }
  void session(const std::function<Task<void>(Session&)>& act) {
    world_.run([&](Env& env) -> Task<void> {
      Session session(env);
      CO_CHECK_OK(co_await session.open(blobs_));
      co_await act(session);
      after_restart_ = co_await contents(session);
      CO_CHECK_OK(co_await session.close());
    });
    if (HasFailure()) ADD_FAILURE() << world_.log();
  }
  static Task<std::map<std::string, std::string>> contents(Session& session) {
    std::map<std::string, std::string> found;
    for (const Space space : {Space::objects, Space::versions, Space::uploads, Space::parts, Space::tokens}) {
      const auto page =
          co_await session.front->list({}, {.bucket = kBucket, .space = space, .entries_max = 10'000});
      if (!page) continue;
      for (const ListEntry& entry : page->entries) {
        std::string key(1, static_cast<char>('0' + static_cast<int>(space)));
        found[key.append(entry.key)] = fmt::format("{} {}", entry.version.value, entry.record);
      }
    }
    co_return found;
  }
  static Task<Names> names(Session& session, Space space = Space::objects) {
    const auto page = co_await session.front->list({}, {.bucket = kBucket, .space = space});
    Names out;
    if (page) {
      for (const ListEntry& entry : page->entries) out.emplace_back(entry.key);
    }
    co_return out;
  }
  static Task<void> put_all(Session& session, const Names& names, Space space = Space::objects) {
    for (const std::string& name : names) {
      const std::string record = inline_object(name);
      CO_CHECK_OK(
          co_await session.front->apply({}, kBucket, {.space = space, .key = name, .record = record}));
    }
  }
  static Task<Result<void>> move(Session& session, std::string_view from, std::string_view to,
                                 bool prefix = true) {
    co_return co_await session.front->rename(
        {}, {.bucket = kBucket, .source = from, .destination = to, .prefix = prefix});
  }
  static Task<std::string> content(Session& session, std::string_view key) {
    const auto found = co_await session.front->get({}, kBucket, Space::objects, key);
    if (!found) co_return found.error().to_string();
    const auto record = ObjectRecord::decode(found->record);
    co_return record ? std::string(record->content.inline_data) : "no record";
  }
  World world_;
  FakeBlobs blobs_;
  std::map<std::string, std::string> before_restart_, after_restart_;
};

#define EXPECT_REFUSED(code, ...)                                                                            \
  do {                                                                                                       \
    const Result<void> fb_made = (__VA_ARGS__);                                                              \
    EXPECT_FALSE(fb_made) << #__VA_ARGS__;                                                                   \
    if (!fb_made) EXPECT_TRUE(fb_made.error().is(code)) << #__VA_ARGS__ ": " << fb_made.error().to_string(); \
  } while (false)

TEST_F(PartitionRename, AKeyTakesItsValueAndVersionAlong) {
  run([&](Session& session) -> Task<void> {
    const std::string record = inline_object("one");
    const auto put = co_await session.put("a", record);
    CO_CHECK_OK(put);
    CO_CHECK_OK(co_await move(session, "a", "b/c", false));
    const auto found = co_await session.front->get({}, kBucket, Space::objects, "b/c");
    CO_CHECK_OK(found);
    EXPECT_EQ(found->version, put->version);
    EXPECT_EQ(found->record, record);
    EXPECT_EQ(co_await names(session), (Names{"b/c"}));
    // Its neighbours, above and below, stay.
    co_await put_all(session, {"b", "b/", "b/c/d", "b/c/"});
    CO_CHECK_OK(co_await move(session, "b/c", "a", false));
    EXPECT_EQ(co_await names(session), (Names{"a", "b", "b/", "b/c/", "b/c/d"}));
    const auto statistics = co_await session.front->tree_statistics({}, kBucket);
    EXPECT_EQ(statistics->objects, 5u);
    EXPECT_EQ(statistics->bytes, 3u + 1 + 2 + 4 + 5);
  });
}

TEST_F(PartitionRename, ErrorsOfAKey) {
  run([&](Session& session) -> Task<void> {
    EXPECT_REFUSED(NamespaceError::not_found, co_await move(session, "a", "b", false));
    co_await put_all(session, {"a/b", "k"});
    EXPECT_REFUSED(NamespaceError::not_found, co_await move(session, "a", "b", false));
    EXPECT_REFUSED(NamespaceError::not_found, co_await move(session, "a/", "b", false));
    EXPECT_REFUSED(NamespaceError::rename_into_itself, co_await move(session, "k", "k", false));
    const std::string longest(1024, 'x');
    EXPECT_REFUSED(NamespaceError::key_too_long, co_await move(session, "k", longest + "x", false));
    EXPECT_REFUSED(NamespaceError::not_found, co_await move(session, longest + "x", "k", false));
    CO_CHECK_OK(co_await move(session, "k", longest, false));
    CO_CHECK_OK(co_await move(session, longest, "k2", false));
    EXPECT_EQ(co_await names(session), (Names{"a/b", "k2"}));
    EXPECT_REFUSED(NamespaceError::no_such_tree,
                   co_await session.front->rename({}, {.bucket = {99}, .source = "a", .destination = "b"}));
  });
}

TEST_F(PartitionRename, ConditionsOfSourceAndDestination) {
  run([&](Session& session) -> Task<void> {
    const std::string etag(32, '0');
    using Kind = Condition::Kind;
    Version version_a;
    Version version_b;
    const auto fill = [&]() -> Task<void> {
      const std::string record_a = inline_object("a");
      const std::string record_b = inline_object("b");
      version_a = (co_await session.put("a", record_a))->version;
      version_b = (co_await session.put("b", record_b))->version;
      (void)co_await session.erase("free");
    };
    const auto rename = [&](std::string_view to, Condition source,
                            Condition destination) -> Task<Result<void>> {
      co_return co_await session.front->rename({}, {.bucket = kBucket,
                                                    .source = "a",
                                                    .destination = to,
                                                    .source_condition = source,
                                                    .destination_condition = destination});
    };
    struct Case {
      Condition condition;
      bool holds;
    };
    co_await fill();
    const auto source_cases = [&] {
      return std::vector<Case>{{{.kind = Kind::must_exist}, true},
                               {{.kind = Kind::version_is, .version = version_a}, true},
                               {{.kind = Kind::etag_is, .etag = etag}, true},
                               {{.kind = Kind::etag_is_not, .etag = "1"}, true},
                               {{.kind = Kind::must_not_exist}, false},
                               {{.kind = Kind::version_is, .version = version_b}, false},
                               {{.kind = Kind::etag_is, .etag = "1"}, false},
                               {{.kind = Kind::etag_is_not, .etag = etag}, false}};
    };
    for (size_t i = 0; i < source_cases().size(); ++i) {
      const Case now = source_cases()[i];
      const auto done = co_await rename("free", now.condition, {});
      EXPECT_EQ(done.has_value(), now.holds) << i;
      if (!done) EXPECT_TRUE(done.error().is(NamespaceError::precondition_failed)) << i;
      EXPECT_EQ(co_await content(session, now.holds ? "free" : "a"), "a") << i;
      co_await fill();
    }
    // The destination is there.
    const auto there_cases = [&] {
      return std::vector<Case>{{{.kind = Kind::must_exist}, true},
                               {{.kind = Kind::version_is, .version = version_b}, true},
                               {{.kind = Kind::etag_is, .etag = etag}, true},
                               {{.kind = Kind::etag_is_not, .etag = "1"}, true},
                               {{.kind = Kind::must_not_exist}, false},
                               {{.kind = Kind::version_is, .version = version_a}, false},
                               {{.kind = Kind::etag_is, .etag = "1"}, false},
                               {{.kind = Kind::etag_is_not, .etag = etag}, false}};
    };
    for (size_t i = 0; i < there_cases().size(); ++i) {
      const Case now = there_cases()[i];
      const auto done = co_await rename("b", {}, now.condition);
      EXPECT_EQ(done.has_value(), now.holds) << i;
      if (!done) EXPECT_TRUE(done.error().is(NamespaceError::precondition_failed)) << i;
      EXPECT_EQ(co_await content(session, "b"), now.holds ? "a" : "b") << i;
      EXPECT_EQ((co_await names(session)).size(), now.holds ? 1u : 2u);
      co_await fill();
    }
    // It is not there: what wants it does not hold either.
    const Case absent_cases[] = {{{.kind = Kind::must_not_exist}, true},
                                 {{.kind = Kind::etag_is_not, .etag = etag}, true},
                                 {{.kind = Kind::must_exist}, false},
                                 {{.kind = Kind::version_is, .version = version_b}, false},
                                 {{.kind = Kind::etag_is, .etag = etag}, false}};
    for (const Case& now : absent_cases) {
      const auto done = co_await rename("free", {}, now.condition);
      EXPECT_EQ(done.has_value(), now.holds);
      if (!done) EXPECT_TRUE(done.error().is(NamespaceError::precondition_failed));
      co_await fill();
    }
    // A source that is not there is not_found, whatever else does not hold.
    (void)co_await session.erase("a");
    EXPECT_REFUSED(NamespaceError::not_found, co_await rename("b", {.kind = Kind::etag_is, .etag = etag},
                                                              {.kind = Kind::must_not_exist}));
    const auto statistics = co_await session.front->tree_statistics({}, kBucket);
    EXPECT_EQ(statistics->objects, 1u);
    EXPECT_EQ(statistics->bytes, 1u);
  });
}

TEST_F(PartitionRename, APrefixTakesWhatIsBeneathAndTheValueAtItsSlash) {
  run([&](Session& session) -> Task<void> {
    co_await put_all(session, {"dir", "dir/", "dir/a", "dir/sub/b", "dir-x", "dir0", "other/c"});
    co_await put_all(session, {"dir", "dir/a", "dir/a/1"}, Space::versions);
    CO_CHECK_OK(co_await move(session, "dir/", "new/place/"));
    EXPECT_EQ(co_await names(session),
              (Names{"dir", "dir-x", "dir0", "new/place/", "new/place/a", "new/place/sub/b", "other/c"}));
    EXPECT_EQ(co_await names(session, Space::versions), (Names{"dir", "new/place/a", "new/place/a/1"}));
    EXPECT_EQ(co_await content(session, "new/place/sub/b"), "dir/sub/b");
    // Back again, beneath what there was, and under a key that is a prefix.
    CO_CHECK_OK(co_await move(session, "new/", "dir/"));
    CO_CHECK_OK(co_await move(session, "dir/place/", "other/c/"));
    EXPECT_EQ(co_await names(session),
              (Names{"dir", "dir-x", "dir0", "other/c", "other/c/", "other/c/a", "other/c/sub/b"}));
    const auto statistics = co_await session.front->tree_statistics({}, kBucket);
    EXPECT_EQ(statistics->objects, 7u);
  });
}

TEST_F(PartitionRename, ErrorsOfAPrefix) {
  run([&](Session& session) -> Task<void> {
    EXPECT_REFUSED(NamespaceError::not_found, co_await move(session, "a/", "b/"));
    co_await put_all(session, {"a", "a/1", "b/", "c/x/1", "cc", "z"});
    EXPECT_REFUSED(NamespaceError::not_found, co_await move(session, "z/", "y/"));
    EXPECT_REFUSED(NamespaceError::not_found, co_await move(session, "a/1/", "y/"));
    EXPECT_REFUSED(NamespaceError::destination_occupied,
                   co_await move(session, "a/", "b/"));  // a lone marker
    EXPECT_REFUSED(NamespaceError::destination_occupied, co_await move(session, "a/", "c/"));
    EXPECT_REFUSED(NamespaceError::destination_occupied, co_await move(session, "a/", "c/x/"));
    EXPECT_REFUSED(NamespaceError::rename_into_itself, co_await move(session, "a/", "a/"));
    EXPECT_REFUSED(NamespaceError::rename_into_itself, co_await move(session, "a/", "a/b/"));
    // Up into its own parent's name: that is occupied by itself.
    EXPECT_REFUSED(NamespaceError::destination_occupied, co_await move(session, "c/x/", "c/"));
    EXPECT_EQ(co_await names(session), (Names{"a", "a/1", "b/", "c/x/1", "cc", "z"}));
    // Versions alone are no directory, but what they occupy is.
    co_await put_all(session, {"v/1"}, Space::versions);
    EXPECT_REFUSED(NamespaceError::not_found, co_await move(session, "v/", "w/"));
  });
}

TEST_F(PartitionRename, AKeyOf1024BytesFitsAndOneMoreDoesNot) {
  run([&](Session& session) -> Task<void> {
    // The longest beneath is 24 bytes; a longer one was there, so that the bounds above are too high.
    const std::string longest = "d/" + std::string(24, 'l');
    co_await put_all(session, {"d/a", "d/" + std::string(900, 'g'), longest});
    CO_CHECK_OK(co_await session.erase("d/" + std::string(900, 'g')));
    const std::string exact = std::string(999, 'e') + "/";
    EXPECT_REFUSED(NamespaceError::key_too_long, co_await move(session, "d/", "e" + exact));
    EXPECT_EQ((co_await names(session)).size(), 2u);
    CO_CHECK_OK(co_await move(session, "d/", exact));
    EXPECT_EQ(co_await content(session, exact + std::string(24, 'l')), longest);
    CO_CHECK_OK(co_await move(session, exact, "d/"));
    // The same with a tree of many pages, whose deepest key is far down.
    Names many;
    for (int i = 0; i < 500; ++i) many.push_back("big/" + std::to_string(i) + std::string(100, 'x'));
    many.push_back("big/250" + std::string(100, 'x') + std::string(20, 'y'));
    co_await put_all(session, many);
    const std::string room(1024 - 123 - 1, 'r');
    EXPECT_REFUSED(NamespaceError::key_too_long, co_await move(session, "big/", room + "r/"));
    CO_CHECK_OK(co_await move(session, "big/", room + "/"));
    CO_CHECK_OK(co_await session.front->get({}, kBucket, Space::objects,
                                            room + "/250" + std::string(100, 'x') + std::string(20, 'y')));
    EXPECT_REFUSED(NamespaceError::key_too_long, co_await move(session, room + "/", std::string(1025, 'd')));
    // Names of the largest size themselves.
    const std::string widest(1023, 'w');
    co_await put_all(session, {"m/"});
    CO_CHECK_OK(co_await move(session, "m/", widest + "/"));
    EXPECT_REFUSED(
        NamespaceError::key_too_long,
        co_await session.front->rename(
            {}, {.bucket = kBucket, .source = widest + "/", .destination = widest + "w/", .prefix = true}));
    CO_CHECK_OK(co_await move(session, widest + "/", "m/"));
  });
}

TEST_F(PartitionRename, ChangesThatGoWithIt) {
  run([&](Session& session) -> Task<void> {
    co_await put_all(session, {"a/1", "k"});
    const std::string token = UploadRecord().encode();
    const Mutation once[] = {{.space = Space::tokens,
                              .key = "token-1",
                              .record = token,
                              .condition = {.kind = Condition::Kind::must_not_exist}}};
    CO_CHECK_OK(co_await session.front->rename(
        {}, {.bucket = kBucket, .source = "a/", .destination = "b/", .prefix = true, .with = once}));
    EXPECT_EQ(co_await names(session), (Names{"b/1", "k"}));
    EXPECT_EQ(co_await names(session, Space::tokens), (Names{"token-1"}));
    // The token is there: nothing happens, for a prefix and for a key.
    EXPECT_REFUSED(
        NamespaceError::precondition_failed,
        co_await session.front->rename(
            {}, {.bucket = kBucket, .source = "b/", .destination = "c/", .prefix = true, .with = once}));
    EXPECT_REFUSED(NamespaceError::precondition_failed,
                   co_await session.front->rename(
                       {}, {.bucket = kBucket, .source = "k", .destination = "l", .with = once}));
    EXPECT_EQ(co_await names(session), (Names{"b/1", "k"}));
    // The rename is refused: no token.
    const Mutation again[] = {{.space = Space::tokens,
                               .key = "token-2",
                               .record = token,
                               .condition = {.kind = Condition::Kind::must_not_exist}}};
    EXPECT_REFUSED(
        NamespaceError::not_found,
        co_await session.front->rename(
            {}, {.bucket = kBucket, .source = "x/", .destination = "c/", .prefix = true, .with = again}));
    EXPECT_REFUSED(NamespaceError::not_found,
                   co_await session.front->rename(
                       {}, {.bucket = kBucket, .source = "x", .destination = "c", .with = again}));
    EXPECT_EQ(co_await names(session, Space::tokens), (Names{"token-1"}));
    // With a key, a token's replacement, an old token's end and the directory's marker.
    const std::string marker = inline_object("");
    const Mutation several[] = {{.kind = Mutation::Kind::erase, .space = Space::tokens, .key = "token-1"},
                                {.space = Space::tokens, .key = "token-2", .record = token},
                                {.key = "marker/", .record = marker}};
    CO_CHECK_OK(co_await session.front->rename(
        {}, {.bucket = kBucket, .source = "k", .destination = "l", .with = several}));
    EXPECT_EQ(co_await names(session), (Names{"b/1", "l", "marker/"}));
    EXPECT_EQ(co_await names(session, Space::tokens), (Names{"token-2"}));
    const auto statistics = co_await session.front->tree_statistics({}, kBucket);
    EXPECT_EQ(statistics->objects, 3u);
    EXPECT_EQ(statistics->bytes, 4u);
  });
}

// A change of what moves, or of where it goes, would have no order: refused, and nothing happens.
TEST_F(PartitionRename, ChangesThatGoWithItMustNotTouchWhatMoves) {
  run([&](Session& session) -> Task<void> {
    co_await put_all(session, {"a/1", "a/2", "k", "l"});
    const std::string record = inline_object("x");
    const auto with = [&](std::string_view key, Mutation::Kind kind = Mutation::Kind::put) {
      return Mutation{
          .kind = kind, .key = key, .record = kind == Mutation::Kind::put ? record : std::string_view()};
    };
    for (const std::string key : {"a/1", "a/3", "a/", "b/1", "b/"}) {
      for (const auto kind : {Mutation::Kind::put, Mutation::Kind::erase}) {
        const Mutation change = with(key, kind);
        EXPECT_REFUSED(NamespaceError::unsupported,
                       co_await session.front->rename({}, {.bucket = kBucket,
                                                           .source = "a/",
                                                           .destination = "b/",
                                                           .prefix = true,
                                                           .with = {&change, 1}}));
      }
    }
    for (const std::string key : {"k", "m"}) {
      const Mutation change = with(key);
      EXPECT_REFUSED(NamespaceError::unsupported,
                     co_await session.front->rename(
                         {}, {.bucket = kBucket, .source = "k", .destination = "m", .with = {&change, 1}}));
    }
    const std::string too_long(1025, 'x');
    for (const Space space : {Space::objects, Space::tokens}) {
      const Mutation change{.space = space, .key = too_long, .record = record};
      EXPECT_REFUSED(NamespaceError::key_too_long,
                     co_await session.front->rename(
                         {}, {.bucket = kBucket, .source = "k", .destination = "m", .with = {&change, 1}}));
    }
    EXPECT_EQ(co_await names(session), (Names{"a/1", "a/2", "k", "l"}));
  });
}

TEST_F(PartitionRename, AReplacedDestinationIsFreed) {
  run([&](Session& session) -> Task<void> {
    BlobId ids[4];
    for (BlobId& id : ids) blobs_.write(id = blobs_.new_blob(), 3);
    const auto named = [&](int i) { return object_naming(ids[i], 3 * kMiB, static_cast<uint8_t>(i)); };
    const std::string records[] = {named(0), named(1)};
    CO_CHECK_OK(co_await session.put("a", records[0]));
    CO_CHECK_OK(co_await session.put("b", records[1]));
    {
      const auto reader = co_await session.front->get({}, kBucket, Space::objects, "b");
      CO_CHECK_OK(reader);
      CO_CHECK_OK(co_await move(session, "a", "b", false));
      (void)co_await sleep_for(session.env, Duration::seconds(1));
      EXPECT_TRUE(blobs_.live.contains({ids[1], 2}));  // it is being read
    }
    (void)co_await sleep_for(session.env, Duration::seconds(1));
    EXPECT_FALSE(blobs_.live.contains({ids[1], 0}));
    EXPECT_TRUE(blobs_.live.contains({ids[0], 2}));
    EXPECT_EQ((co_await session.front->tree_statistics({}, kBucket))->objects, 1u);
    EXPECT_EQ((co_await session.front->tree_statistics({}, kBucket))->bytes, 3 * kMiB);
    // Records too large for a page: what they name goes with their own blob.
    ObjectRecord large;
    const std::string metadata(20'000, 'm');
    large.metadata = metadata;
    large.size_bytes = 3 * kMiB;
    large.content = {.kind = Locator::Kind::blob, .blob = ids[2], .length_bytes = 3 * kMiB};
    const std::string large_record = large.encode();
    CO_CHECK_OK(co_await session.put("c", large_record));
    large.content.blob = ids[3];
    const std::string other_record = large.encode();
    CO_CHECK_OK(co_await session.put("d", other_record));
    CO_CHECK_OK(co_await move(session, "c", "d", false));
    (void)co_await sleep_for(session.env, Duration::seconds(1));
    {
      const auto found = co_await session.front->get({}, kBucket, Space::objects, "d");
      CO_CHECK_OK(found);
      EXPECT_EQ(found->record, large_record);
    }
    EXPECT_EQ(blobs_.live.size(), 3u + 3u + 1u);
    EXPECT_TRUE(blobs_.live.contains({ids[2], 0}));
    CO_CHECK_OK(co_await move(session, "b", "d", false));
    (void)co_await sleep_for(session.env, Duration::seconds(1));
    EXPECT_EQ(blobs_.live.size(), 3u);
  });
}

TEST_F(PartitionRename, UploadsKeepTheKeyTheyBeganWith) {
  run([&](Session& session) -> Task<void> {
    co_await put_all(session, {"dir/a"});
    const std::string upload = UploadRecord().encode();
    const BlobId blob = blobs_.new_blob();
    blobs_.write(blob);
    const PartRecord part{.size_bytes = 5,
                          .content = {.kind = Locator::Kind::blob, .blob = blob, .length_bytes = 5}};
    const std::string part_record = part.encode();
    const std::string upload_key = std::string("dir/big") + '\0' + "id";
    const Mutation begun[] = {{.space = Space::uploads, .key = upload_key, .record = upload},
                              {.space = Space::parts, .key = "id1", .record = part_record}};
    CO_CHECK_OK(co_await session.front->commit({}, kBucket, begun));
    CO_CHECK_OK(co_await move(session, "dir/", "moved/"));
    EXPECT_EQ(co_await names(session, Space::uploads), (Names{upload_key}));
    const std::string object = object_naming(blob, 5);
    const Mutation completed[] = {{.kind = Mutation::Kind::erase,
                                   .space = Space::uploads,
                                   .key = upload_key,
                                   .condition = {.kind = Condition::Kind::must_exist}},
                                  {.kind = Mutation::Kind::erase_prefix, .space = Space::parts, .key = "id"},
                                  {.key = "dir/big", .record = object}};
    CO_CHECK_OK(co_await session.front->commit({}, kBucket, completed));
    EXPECT_EQ(co_await names(session), (Names{"dir/big", "moved/a"}));
    (void)co_await sleep_for(session.env, Duration::seconds(1));
    EXPECT_EQ(blobs_.live, (std::set<BlobKey>{{blob, 0}}));
    EXPECT_EQ((co_await session.front->tree_statistics({}, kBucket))->uploads, 0u);
  });
}

TEST_F(PartitionRename, ATreeOfManyPagesMovesInOneRecordAndComesBackAfterKills) {
  Names members;
  for (int i = 0; i < 3000; ++i) members.push_back(std::to_string(i) + "/" + std::to_string(i * 7919));
  world_.node.start([&](Env& env) -> Task<void> {
    Session session(env);
    CO_CHECK_OK(co_await session.open(blobs_));
    CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
    const std::string record = inline_object(std::string(400, 'r'));
    Names keys;
    std::vector<Mutation> puts;
    for (const std::string& member : members) keys.push_back("photos/2026/" + member);
    for (const std::string& key : keys) puts.push_back({.key = key, .record = record});
    for (const auto& put : co_await session.front->apply_each({}, kBucket, puts)) CO_CHECK_OK(put);
    const uint64_t before = session.partition->journal_buffer().tail();
    for (int i = 0; i < 5; ++i) {
      const std::string from = i % 2 == 0 ? "photos/" : "archive/old/pictures/";
      const std::string to = i % 2 == 0 ? "archive/old/pictures/" : "photos/";
      CO_CHECK_OK(co_await move(session, from, to));
    }
    // Whatever lies beneath, a rename is small.
    EXPECT_LT(session.partition->journal_buffer().tail() - before, 5 * 2000u);
    co_await session.verify();
    (void)co_await sleep_for(env, Duration::seconds(100'000));
  });
  world_.simulation.run_for(Duration::seconds(2000));
  world_.node.crash(sim::CrashKind::power_loss);
  session([&](Session& session) -> Task<void> {
    co_await session.verify();
    const auto page = co_await session.front->list(
        {}, {.bucket = kBucket, .prefix = "archive/old/pictures/2026/", .entries_max = 10'000});
    CO_CHECK_OK(page);
    EXPECT_EQ(page->entries.size(), members.size());
    EXPECT_EQ((co_await session.front->tree_statistics({}, kBucket))->objects, members.size());
  });
}

// What lies detached, and what the sweep has not marked yet, moves about while it marks.
TEST_F(PartitionRename, WhileTheSweepMarksNoBlobIsLost) {
  uint64_t renamed_while_marking = 0;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    World world(seed);
    FakeBlobs blobs;
    EngineOptions options = small_options();
    options.sweep_blobs_max = 100;  // several passes
    bool written = false;
    std::set<BlobKey> named;
    world.node.start([&](Env& env) -> Task<void> {
      Session session(env);
      CO_CHECK_OK(co_await session.open(blobs, options));
      CO_CHECK_OK(co_await session.front->create_tree({}, kBucket));
      std::vector<std::string> keys;
      std::vector<std::string> records;
      const std::string metadata(800, 'm');  // so that the pages do not all stay in memory
      std::vector<Mutation> puts;
      for (int i = 0; i < 1500; ++i) {
        const BlobId id = blobs.new_blob();
        blobs.write(id);
        named.insert({id, 0});
        ObjectRecord record;
        record.metadata = metadata;
        record.size_bytes = 100;
        record.content = {.kind = Locator::Kind::blob, .blob = id, .length_bytes = 100};
        keys.push_back("d" + std::to_string(i % 6) + "/" + std::to_string(i));
        records.push_back(record.encode());
        if (i % 5 == 0) blobs.write(blobs.new_blob());  // what nobody names
      }
      for (size_t i = 0; i < keys.size(); ++i) puts.push_back({.key = keys[i], .record = records[i]});
      for (const auto& put : co_await session.front->apply_each({}, kBucket, puts)) CO_CHECK_OK(put);
      written = true;
      (void)co_await sleep_for(env, Duration::seconds(1000));
    });
    ASSERT_TRUE(world.simulation.run_until([&] { return written; }, Duration::seconds(100)));
    world.node.crash(sim::CrashKind::kill);
    world.run([&](Env& env) -> Task<void> {
      Session session(env);
      CO_CHECK_OK(co_await session.open(blobs, options));
      for (int i = 0; i < 200; ++i) {
        const std::string from = (i % 2 == 0 ? "d" : "a") + std::to_string(i / 2 % 6) + "/";
        const std::string to = (i % 2 == 0 ? "a" : "d") + std::to_string(i / 2 % 6) + "/";
        if (i % 3 != 0) {
          renamed_while_marking += session.partition->sweeping();
          const auto moved = co_await move(session, from, to);
          CO_CHECK(moved || moved.error().is(NamespaceError::not_found) ||
                   moved.error().is(NamespaceError::destination_occupied));
        } else {
          const std::string key = std::to_string(i % 6 + 6 * (i % 240));
          const auto moved = co_await move(session, from + key, to + key, false);
          CO_CHECK(moved || moved.error().is(NamespaceError::not_found));
        }
      }
      while (!session.partition->statistics().sweep_done)
        (void)co_await sleep_for(env, Duration::milliseconds(10));
      EXPECT_EQ(blobs.live, named);
      EXPECT_EQ(session.partition->statistics().swept_blobs, 300u);
      co_await session.verify();
      CO_CHECK_OK(co_await session.close());
    });
    ASSERT_FALSE(HasFailure()) << "seed " << seed << "\n" << world.log();
  }
  EXPECT_GT(renamed_while_marking, 20u);
}

}  // namespace
}  // namespace fb
