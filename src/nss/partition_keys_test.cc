// SPDX-License-Identifier: Apache-2.0
// Keys that no request can have named: the namespace does not take them, whatever its callers do, and a check
// of the store names those that are there all the same.
#include <gtest/gtest.h>

#include "base/safeguard.h"
#include "nss/nss_test_world.h"

namespace fb {
namespace {

using std::string_literals::operator""s;

const std::vector<std::string> kInvalidKeys = {""s, "\0"s, "a\0b"s, "\xff"s, "dir/\xc3"s, "\xed\xa0\x80/x"s};

bool is_invalid(const Error& error) { return error.is(NamespaceError::key_invalid); }

Task<void> expect_empty(Session& session) {
  for (const Space space : {Space::objects, Space::uploads}) {
    const auto page = co_await session.front->list({}, {.bucket = kBucket, .space = space});
    CO_CHECK_OK(page);
    EXPECT_TRUE(page->entries.empty());
  }
}

TEST(PartitionKeys, InvalidOnesAreRefusedByEveryChange) {
  World world;
  FakeBlobs blobs;
  in_new_bucket(world, blobs, [](Session& session) -> Task<void> {
    NamespaceClient& front = *session.front;
    const std::string record = inline_object("x");
    const std::string upload_record = UploadRecord().encode();
    for (const std::string& key : kInvalidKeys) {
      EXPECT_TRUE(is_invalid((co_await session.put(key, record)).error())) << key;
      const std::array both = {Mutation{.key = "good", .record = record},
                               Mutation{.key = key, .record = record}};
      EXPECT_TRUE(is_invalid((co_await front.commit({}, kBucket, both)).error())) << key;
      const auto each = co_await front.apply_each({}, kBucket, std::span(both).subspan(1));
      EXPECT_TRUE(is_invalid(each.front().error())) << key;
      const std::string upload = key + '\0' + std::string(32, 'a');
      const Mutation begin{.space = Space::uploads, .key = upload, .record = upload_record};
      // An object's key ends at the first NUL.
      const bool is_key = fault_of_key(key.substr(0, key.find('\0'))) == KeyFault::none;
      if (!is_key) EXPECT_TRUE(is_invalid((co_await front.apply({}, kBucket, begin)).error())) << key;
      // Erasing one that is not there is no harm.
      CO_CHECK_OK(co_await session.erase(key));
    }
    co_await expect_empty(session);
    CO_CHECK_OK(co_await session.put("a", record));
    CO_CHECK_OK(co_await session.put("d/a", record));
    for (const std::string& key : kInvalidKeys) {
      if (key.empty()) continue;
      EXPECT_TRUE(is_invalid(
          (co_await front.rename({}, {.bucket = kBucket, .source = "a", .destination = key})).error()));
      const std::string folder = key + "/";
      EXPECT_TRUE(
          is_invalid((co_await front.rename(
                          {}, {.bucket = kBucket, .source = "d/", .destination = folder, .prefix = true}))
                         .error()));
      const std::array with = {Mutation{.key = key, .record = record}};
      EXPECT_TRUE(is_invalid(
          (co_await front.rename({}, {.bucket = kBucket, .source = "a", .destination = "b", .with = with}))
              .error()));
    }
    CO_CHECK_OK(co_await front.get({}, kBucket, Space::objects, "a"));
    CO_CHECK_OK(co_await front.get({}, kBucket, Space::objects, "d/a"));
  });
}

TEST(PartitionKeys, ACheckNamesInvalidOnesAndTheyCanBeRemoved) {
  if (!kSafeguardsSwitchable) GTEST_SKIP() << "the namespace does not take such keys";
  World world;
  FakeBlobs blobs;
  in_new_bucket(world, blobs, [](Session& session) -> Task<void> {
    const std::string record = inline_object("x");
    const std::string upload = "\xff"s + '\0' + std::string(32, 'a');
    const std::string upload_record = UploadRecord().encode();
    std::vector<std::string> planted(kInvalidKeys.begin() + 1, kInvalidKeys.end());
    {
      const SafeguardLeftOut left_out(Safeguard::refuse_invalid_keys);
      for (const std::string& key : planted) CO_CHECK_OK(co_await session.put(key, record));
      CO_CHECK_OK(co_await session.front->apply(
          {}, kBucket, {.space = Space::uploads, .key = upload, .record = upload_record}));
    }
    CO_CHECK_OK(co_await session.put("good", record));
    const auto report = co_await session.partition->verify(false);
    CO_CHECK_OK(report);
    EXPECT_EQ(report->problems.size(), planted.size() + 1);
    for (const std::string& problem : report->problems)
      EXPECT_NE(problem.find("no request can have named it"), std::string::npos) << problem;
    // A good name mends one, and the others go.
    CO_CHECK_OK(co_await session.front->rename(
        {}, {.bucket = kBucket, .source = planted.back(), .destination = "mended"}));
    planted.pop_back();
    for (const std::string& key : planted) CO_CHECK_OK(co_await session.erase(key));
    CO_CHECK_OK(co_await session.front->apply(
        {}, kBucket, {.kind = Mutation::Kind::erase, .space = Space::uploads, .key = upload}));
    co_await session.verify();
  });
}

}  // namespace
}  // namespace fb
