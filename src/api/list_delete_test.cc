// SPDX-License-Identifier: Apache-2.0
// Buckets, lists and deletions.
#include <gtest/gtest.h>
#include <algorithm>
#include <set>

#include "api/api_test_world.h"
#include "s3/uri.h"

namespace fb::api {
namespace {

using Names = std::vector<std::string>;

std::string decoded(const std::string& text) { return s3::decode_query(text).value_or("?"); }

TEST(ApiBuckets, Life) {
  run_world([](TestServer& server) -> Task<void> {
    EXPECT_EQ((co_await server.call("GET", "/")).elements("Name"), Names());
    const Reply made = co_await server.call("PUT", "/b-one");
    EXPECT_EQ(made.status, 200);
    EXPECT_EQ(made.header("location"), "/b-one");
    EXPECT_EQ((co_await server.call("PUT", "/b-one")).status, 200) << "one's own bucket again";
    const std::string location =
        "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></"
        "CreateBucketConfiguration>";
    EXPECT_EQ((co_await server.call("PUT", "/b-two", "", location)).status, 200);
    EXPECT_EQ((co_await server.call("PUT", "/b-three", "", "<x>")).code(), "MalformedXML");
    for (const std::string bad : {"/ab", "/A-B", "/a_b", "/1.2.3.4", "/-ab", "/a..b"})
      EXPECT_EQ((co_await server.call("PUT", bad)).code(), "InvalidBucketName") << bad;
    const Reply all = co_await server.call("GET", "/");
    EXPECT_EQ(all.elements("Name"), (Names{"b-one", "b-two"}));
    EXPECT_EQ(all.element("DisplayName"), "tester");
    EXPECT_EQ(all.element("ID"), kOwner);
    const Reply page = co_await server.call("GET", "/", "max-buckets=1");
    EXPECT_EQ(page.elements("Name"), Names{"b-one"});
    const Reply next = co_await server.call(
        "GET", "/", "max-buckets=1&continuation-token=" + page.element("ContinuationToken"));
    EXPECT_EQ(next.elements("Name"), Names{"b-two"});
    EXPECT_EQ(next.element("ContinuationToken"), "");
    EXPECT_EQ((co_await server.call("GET", "/", "prefix=b-t")).elements("Name"), Names{"b-two"});
    const Reply head = co_await server.call("HEAD", "/b-one");
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.header("x-amz-bucket-region"), "us-east-1");
    const Reply missing = co_await server.call("HEAD", "/nowhere");
    EXPECT_EQ(missing.status, 404);
    EXPECT_EQ(missing.body, "");
    EXPECT_EQ((co_await server.call("GET", "/b-one", "location")).status, 200);
    EXPECT_EQ((co_await server.call("GET", "/nowhere", "location")).code(), "NoSuchBucket");
    (void)co_await server.call("PUT", "/b-one/key", "", "x");
    EXPECT_EQ((co_await server.call("DELETE", "/b-one")).code(), "BucketNotEmpty");
    (void)co_await server.call("DELETE", "/b-one/key");
    EXPECT_EQ((co_await server.call("DELETE", "/b-one")).status, 204);
    EXPECT_EQ((co_await server.call("DELETE", "/b-one")).code(), "NoSuchBucket");
    EXPECT_EQ((co_await server.call("GET", "/b-one/key")).code(), "NoSuchBucket");
    EXPECT_EQ((co_await server.call("PUT", "/b-one/key", "", "x")).code(), "NoSuchBucket");
    const Headers owner = {{"x-amz-expected-bucket-owner", "999999999999"}};
    EXPECT_EQ((co_await server.call("GET", "/b-two", "", "", owner)).code(), "AccessDenied");
    co_await server.check_blobs();
  });
}

Names names_of(const Reply& reply) {
  Names out = reply.elements("Key");
  for (const std::string& prefixes : reply.elements("CommonPrefixes")) {
    Reply inner{.body = prefixes};
    out.push_back(inner.element("Prefix"));
  }
  for (std::string& name : out) name = decoded(name);
  std::ranges::sort(out);
  return out;
}

// Walks through all pages both ways and compares with what a plain loop over the keys gives.
Task<void> check_list(TestServer& server, const Names& keys, std::string prefix, std::string delimiter) {
  std::set<std::string> expected;
  for (const std::string& key : keys) {
    if (!key.starts_with(prefix)) continue;
    const size_t at = delimiter.empty() ? std::string::npos : key.find(delimiter, prefix.size());
    expected.insert(at == std::string::npos ? key : key.substr(0, at + delimiter.size()));
  }
  const Names wanted(expected.begin(), expected.end());
  for (const int page_size : {1, 2, 3, 1000}) {
    for (const bool v2 : {true, false}) {
      Names seen;
      std::string more;
      for (int page = 0; page < 100; ++page) {
        const std::string query = (v2 ? "list-type=2&" : "") + std::string("encoding-type=url&max-keys=") +
                                  std::to_string(page_size) +
                                  "&prefix=" + s3::uri_encode(prefix, s3::Slash::encode) +
                                  "&delimiter=" + s3::uri_encode(delimiter, s3::Slash::encode) + more;
        const Reply reply = co_await server.call("GET", "/bucket", query);
        EXPECT_EQ(reply.status, 200) << reply.body;
        const Names found = names_of(reply);
        EXPECT_LE(found.size(), static_cast<size_t>(page_size));
        if (v2) EXPECT_EQ(reply.element("KeyCount"), std::to_string(found.size()));
        seen.insert(seen.end(), found.begin(), found.end());
        if (reply.element("IsTruncated") != "true") break;
        if (v2) {
          more = "&continuation-token=" +
                 s3::uri_encode(reply.element("NextContinuationToken"), s3::Slash::encode);
        } else {
          const std::string marker = delimiter.empty() ? s3::uri_encode(found.back(), s3::Slash::encode)
                                                       : reply.element("NextMarker");
          more = "&marker=" + marker;
        }
      }
      EXPECT_EQ(seen, wanted) << "prefix " << prefix << " delimiter " << delimiter << " page " << page_size
                              << v2;
    }
  }
}

TEST(ApiLists, AgainstAPlainLoop) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    const Names keys = {"a",
                        "a-b",
                        "a/",
                        "a/b",
                        "a/b/c",
                        "a/b/d",
                        "a/c",
                        "a0",
                        "b+c d",
                        "b%c",
                        "b,c:d",
                        "b//",
                        "b//c",
                        "c||d",
                        "c||e||f",
                        "\xe2\x82\xac/x",
                        "\xe2\x82\xac/y",
                        "z/z/z/z",
                        "z&<>\"'"};
    for (const std::string& key : keys) {
      const Reply put =
          co_await server.call("PUT", "/bucket/" + s3::uri_encode(key, s3::Slash::keep), "", "x");
      EXPECT_EQ(put.status, 200) << put.body;
    }
    for (const std::string prefix : {"", "a", "a/", "a/b", "b", "c", "z/", "none", "\xe2\x82\xac"}) {
      for (const std::string delimiter : {"", "/", "||", "b", "//"})
        co_await check_list(server, keys, prefix, delimiter);
    }
    const Reply none = co_await server.call("GET", "/bucket", "list-type=2&max-keys=0");
    EXPECT_EQ(none.element("IsTruncated"), "false");
    EXPECT_EQ(none.elements("Key").size(), 0U);
    const Reply after = co_await server.call("GET", "/bucket", "list-type=2&start-after=a%2Fb&max-keys=1");
    EXPECT_EQ(after.element("Key"), "a/b/c");
    EXPECT_EQ(after.element("StartAfter"), "a/b");
    EXPECT_EQ(after.elements("Owner").size(), 0U);
    const Reply owner = co_await server.call("GET", "/bucket", "list-type=2&fetch-owner=true&max-keys=1");
    EXPECT_EQ(owner.element("DisplayName"), "tester");
    const Reply raw = co_await server.call("GET", "/bucket", "prefix=z%26");
    EXPECT_EQ(raw.element("Key"), "z&amp;&lt;&gt;&quot;&apos;");
    EXPECT_EQ((co_await server.call("GET", "/bucket", "list-type=2&continuation-token=x")).code(),
              "InvalidArgument");
    EXPECT_EQ((co_await server.call("GET", "/bucket", "max-keys=-1")).code(), "InvalidArgument");
  });
}

TEST(ApiDelete, SeveralAtOnce) {
  run_world([](TestServer& server) -> Task<void> {
    co_await server.make_bucket();
    for (const std::string key : {"a", "b", "c", "d"})
      (void)co_await server.call("PUT", "/bucket/" + key, "", key);
    const auto erase = [&](std::string body, Headers headers = {}) -> Task<Reply> {
      if (headers.empty()) headers = {{"Content-MD5", base64_md5(body)}};
      co_return co_await server.call("POST", "/bucket", "delete", body, headers);
    };
    const auto object = [](std::string key, std::string more = {}) {
      return "<Object><Key>" + key + "</Key>" + more + "</Object>";
    };
    const std::string one = "<Delete>" + object("a") + "</Delete>";
    const std::string before = co_await server.state();
    EXPECT_EQ((co_await server.call("POST", "/bucket", "delete", one)).code(), "InvalidRequest");
    EXPECT_EQ((co_await erase(one, {{"Content-MD5", base64_md5("x")}})).code(), "BadDigest");
    EXPECT_EQ((co_await erase(one, {{"x-amz-checksum-crc32", checksum_base64(s3::ChecksumKind::crc32, "x")}}))
                  .code(),
              "BadDigest");
    EXPECT_EQ((co_await erase("<Delete>")).code(), "MalformedXML");
    EXPECT_EQ((co_await erase("<Delete></Delete>")).code(), "MalformedXML");
    std::string many = "<Delete>";
    for (int i = 0; i < 1001; ++i) many += object("k" + std::to_string(i));
    EXPECT_EQ((co_await erase(many + "</Delete>")).code(), "MalformedXML");
    EXPECT_EQ(co_await server.state(), before);
    // The same key twice, one that is missing, one too long, a version.
    const Reply mixed = co_await erase(
        "<Delete>" + object("a") + object("a") + object("none") + object(std::string(1025, 'k')) +
        object("b", "<VersionId>v</VersionId>") + object("c", "<VersionId>null</VersionId>") + "</Delete>");
    EXPECT_EQ(mixed.status, 200) << mixed.body;
    EXPECT_EQ(mixed.elements("Deleted").size(), 4U) << mixed.body;
    EXPECT_EQ(mixed.elements("Error").size(), 2U) << mixed.body;
    EXPECT_EQ((co_await server.call("GET", "/bucket", "")).elements("Key"), (Names{"b", "d"}));
    const std::string quiet = "<Delete><Quiet>true</Quiet>" + object("b") + object("none") + "</Delete>";
    for (const auto kind : {s3::ChecksumKind::crc32, s3::ChecksumKind::crc64nvme, s3::ChecksumKind::sha256}) {
      const Reply reply =
          co_await erase(quiet, {{std::string(s3::checksum_header(kind)), checksum_base64(kind, quiet)}});
      EXPECT_EQ(reply.status, 200) << reply.body;
      EXPECT_EQ(reply.elements("Deleted").size(), 0U);
    }
    many = "<Delete>";
    for (int i = 0; i < 999; ++i) many += object("k" + std::to_string(i));
    EXPECT_EQ((co_await erase(many + object("d") + "</Delete>")).elements("Deleted").size(), 1000U);
    EXPECT_EQ((co_await server.call("DELETE", "/bucket/none")).status, 204);
    EXPECT_EQ((co_await server.call("DELETE", "/nowhere/none")).code(), "NoSuchBucket");
    EXPECT_EQ((co_await server.call("DELETE", "/bucket/d", "versionId=x")).status, 501);
    co_await server.check_blobs();
    EXPECT_EQ(server.blobs.blob_count(), 0U);
  });
}

}  // namespace
}  // namespace fb::api
