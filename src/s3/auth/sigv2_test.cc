// SPDX-License-Identifier: Apache-2.0
#include "s3/auth/sigv2.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "s3/auth/request_auth.h"
#include "s3/test_request.h"
#include "s3/time.h"

namespace fb::s3 {
namespace {

// The examples of AWS's documentation ("Signing and authenticating REST requests"): keys, requests and
// signatures are theirs.
constexpr std::string_view kSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
constexpr int64_t kDay = 1175024202;  // 2007-03-27T19:36:42Z
const std::vector<std::string> kDomains = {"s3.amazonaws.com"};

Result<VerifiedRequest> check(const RequestHead& head, int64_t now, std::string_view external = {}) {
  FB_TRY(const AuthRequest auth, parse_auth(head));
  if (auth.kind == AuthKind::anonymous) return AuthError::type_unsupported;
  SigningKeyCache cache(4);
  return authenticate_request(head, auth, kSecret, now, cache, {kDomains, external});
}
Result<VerifiedRequest> check(std::string_view text, int64_t now) {
  TestRequest request(text);
  return check(request.head(), now);
}

void expect_error(const Result<VerifiedRequest>& result, AuthError error, std::string_view note = "") {
  ASSERT_FALSE(result) << note << " passed instead of " << to_string(error);
  EXPECT_TRUE(result.error().is(error))
      << note << ": " << result.error().to_string() << " instead of " << to_string(error);
}

std::string with_key(std::string_view text, std::string_view signature) {
  return std::string(text) + "\nAuthorization: AWS AKIAIOSFODNN7EXAMPLE:" + std::string(signature);
}

TEST(SigV2, PublishedExamples) {
  const std::tuple<std::string_view, std::string_view, int64_t> examples[] = {
      {"GET /photos/puppy.jpg\nHost: johnsmith.s3.amazonaws.com\nDate: Tue, 27 Mar 2007 19:36:42 +0000",
       "bWq2s1WEIj+Ydj0vQ697zp+IXMU=", kDay},
      {"PUT /photos/puppy.jpg\nContent-Type: image/jpeg\nContent-Length: 94328\nHost: "
       "johnsmith.s3.amazonaws.com\n"
       "Date: Tue, 27 Mar 2007 21:15:45 +0000",
       "MyyxeRY7whkBe+bq8fHCL/2kKUg=", kDay + 5943},
      {"GET /?prefix=photos&max-keys=50&marker=puppy\nUser-Agent: Mozilla/5.0\nHost: "
       "johnsmith.s3.amazonaws.com\n"
       "Date: Tue, 27 Mar 2007 19:42:41 +0000",
       "htDYFYduRNen8P9ZfE/s9SuKy0U=", kDay + 359},
      {"GET /?acl\nHost: johnsmith.s3.amazonaws.com\nDate: Tue, 27 Mar 2007 19:44:46 +0000",
       "c2WLPFtWHVgbEmeEG93a4cG37dM=", kDay + 484},
      {"GET /\nHost: s3.amazonaws.com\nDate: Wed, 28 Mar 2007 01:29:59 +0000",
       "qGdzdERIC03wnaRNKh6OqZehG9s=", kDay + 21197},
      {"GET /dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re\nHost: s3.amazonaws.com\n"
       "Date: Wed, 28 Mar 2007 01:49:49 +0000",
       "DNEZGsoieTZ92F3bUfSPQcbGmlM=", kDay + 22387}};
  for (const auto& [text, signature, now] : examples) {
    const auto result = check(with_key(text, signature), now);
    EXPECT_TRUE(result) << result.error().to_string() << "\n" << text;
  }
  const auto url = check(
      "GET /photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D"
      "&Expires=1175139620\nHost: johnsmith.s3.amazonaws.com",
      1175139620);
  EXPECT_TRUE(url);
}

// The bucket of this example is the host itself, which is no form that route() knows.
TEST(SigV2, PublishedUpload) {
  TestRequest request(
      "PUT /db-backup.dat.gz\nHost: static.johnsmith.net:8080\nDate: Tue, 27 Mar 2007 21:06:08 +0000\n"
      "x-amz-acl: public-read\ncontent-type: application/x-download\nContent-MD5: 4gJE4saaMU4BqNR0kLY+lw==\n"
      "X-Amz-Meta-ReviewedBy: joe@johnsmith.net\nX-Amz-Meta-ReviewedBy: jane@johnsmith.net\n"
      "X-Amz-Meta-FileChecksum: 0x02661779\nX-Amz-Meta-ChecksumAlgorithm: crc32\n"
      "Content-Disposition: attachment; filename=database.dat\nContent-Encoding: gzip\nContent-Length: "
      "5913339\n"
      "Authorization: AWS AKIAIOSFODNN7EXAMPLE:ilyl83RwaSoYIEdixDQcA4OnAnc=");
  const auto auth = parse_auth(request.head());
  ASSERT_TRUE(auth);
  EXPECT_TRUE(verify_v2(request.head(), *auth, kSecret, kDay + 5366, "static.johnsmith.net"));
  EXPECT_FALSE(verify_v2(request.head(), *auth, kSecret, kDay + 5366, "static.johnsmith.org"));
  EXPECT_FALSE(verify_v2(request.head(), *auth, kSecret, kDay + 5366, std::nullopt));
}

// Requests signed as they are, for what the examples do not show.
class SigV2Signed : public testing::Test {
 protected:
  // `text` without authorization; the check of it signed, with `change` made afterwards.
  Result<VerifiedRequest> sign_and_check(const std::string& text, const std::string& from = {},
                                         const std::string& to = {}, int64_t now = kDay) {
    std::string request = with_key(text, signature_of(with_key(text, "x"), now));
    if (!from.empty()) {
      const size_t at = request.find(from);
      EXPECT_NE(at, std::string::npos) << from;
      request.replace(at, from.size(), to);
    }
    return check(request, now);
  }
  // The same with an URL that holds `query`.
  Result<VerifiedRequest> presign_and_check(const std::string& method, const std::string& query,
                                            const std::string& headers = {}, const std::string& added = {},
                                            int64_t expires = kDay + 60, int64_t now = kDay) {
    const std::string claims = "AWSAccessKeyId=AK&Expires=" + std::to_string(expires) + "&Signature=";
    const std::string line = method + " /bucket/key?" + query + (query.empty() ? "" : "&") + claims;
    const std::string host = "\nHost: s3.amazonaws.com" + headers;
    const std::string signature = signature_of(line + "x" + host, now);
    std::string encoded;
    for (const char c : signature) encoded += c == '+' ? "%2B" : c == '/' ? "%2F" : std::string(1, c);
    return check(line + encoded + added + host, now);
  }

 private:
  static std::string signature_of(const std::string& text, int64_t) {
    TestRequest request{std::string_view(text)};
    const auto auth = parse_auth(request.head());
    EXPECT_TRUE(auth) << text;
    if (!auth) return "";
    const auto to_sign =
        string_to_sign_v2(request.head(), *auth, bucket_of_host(request.head().header("host"), kDomains));
    return to_sign ? signature_v2(kSecret, *to_sign) : "";
  }
};

const std::string kPut =
    "PUT /bucket/key?uploads&x-other=1\nHost: s3.amazonaws.com\nDate: Tue, 27 Mar 2007 19:36:42 GMT\n"
    "Content-Type: text/plain\nContent-MD5: abc\nx-amz-meta-a: 1\nRange: bytes=0-1";

TEST_F(SigV2Signed, WhatIsSignedCannotBeChanged) {
  EXPECT_TRUE(sign_and_check(kPut));
  const std::pair<const char*, const char*> changes[] = {{"PUT ", "GET "},
                                                         {"/key", "/keys"},
                                                         {"/bucket", "/Bucket"},
                                                         {"?uploads", "?acl"},
                                                         {"?uploads", "?"},
                                                         {"?uploads", "?uploads=1"},
                                                         {"text/plain", "text/html"},
                                                         {": abc", ": abd"},
                                                         {"-a: 1", "-a: 2"},
                                                         {"-meta-a", "-meta-b"},
                                                         {"Host: ", "Host: victim."},
                                                         {"19:36:42", "19:36:43"},
                                                         {"Range", "x-amz-acl"},
                                                         {"x-other", "versionId"},
                                                         {"x-other", "x-amz-meta-b"}};
  for (const auto& [from, to] : changes)
    expect_error(sign_and_check(kPut, from, to), AuthError::signature_mismatch, to);
  EXPECT_TRUE(sign_and_check(kPut, "?uploads", "?%75ploads")) << "another spelling of the same";
  EXPECT_TRUE(sign_and_check(kPut, "?uploads", "?uploads=")) << "and another";
  EXPECT_TRUE(sign_and_check(kPut, "x-other", "prefix")) << "prefixes are not signed";
}

// AWS's SDKs sign a slash behind a bucket alone and rclone does not; nor does it sign the '=' of an empty
// item.
TEST_F(SigV2Signed, FormsOfTheResource) {
  const auto verifies = [](const std::string& path, const std::string& resource) {
    const std::string date = "Tue, 27 Mar 2007 19:36:42 UTC";
    const std::string signature = signature_v2(kSecret, "GET\n\n\n" + date + "\n" + resource);
    const std::string text =
        "GET " + path + "\nHost: s3.amazonaws.com\nDate: " + date + "\nAuthorization: AWS AK:" + signature;
    return check(text, kDay).has_value();
  };
  for (const std::string path : {"/bucket", "/bucket/"}) {
    EXPECT_TRUE(verifies(path + "?uploads", "/bucket/?uploads"));
    EXPECT_TRUE(verifies(path + "?uploads", "/bucket?uploads"));
    EXPECT_TRUE(verifies(path, "/bucket"));
    EXPECT_FALSE(verifies(path, "/bucket//"));
    EXPECT_FALSE(verifies(path, "/other"));
  }
  EXPECT_TRUE(verifies("/bucket/key?uploads=", "/bucket/key?uploads=")) << "boto";
  EXPECT_TRUE(verifies("/bucket/key?uploads=", "/bucket/key?uploads")) << "rclone";
  EXPECT_FALSE(verifies("/bucket/key?uploads", "/bucket/key?uploads="));
  EXPECT_FALSE(verifies("/bucket/key?uploadId=x", "/bucket/key?uploadId"));
  EXPECT_TRUE(verifies("/bucket?versioning=", "/bucket?versioning"));
  EXPECT_FALSE(verifies("/bucket/key", "/bucket/key/"));
  EXPECT_FALSE(verifies("/bucket/key/", "/bucket/key"));
  EXPECT_FALSE(verifies("/bucket//", "/bucket/"));
  EXPECT_TRUE(verifies("/", "/"));
}

TEST_F(SigV2Signed, DatesAndTimes) {
  const std::string amz = "GET /b/k\nHost: h\nDate: Tue, 27 Mar 2007 10:00:00 GMT\nx-amz-date: ";
  EXPECT_TRUE(sign_and_check(amz + "Tue, 27 Mar 2007 19:36:42 +0000"));
  EXPECT_TRUE(sign_and_check(amz + "20070327T193642Z"));
  expect_error(sign_and_check(amz + "yesterday"), AuthError::date_missing);
  expect_error(check(with_key("GET /b/k\nHost: h", "x"), kDay), AuthError::date_missing);
  EXPECT_TRUE(sign_and_check(kPut, "", "", kDay + 900));
  expect_error(sign_and_check(kPut, "", "", kDay + 901), AuthError::time_skewed);
  expect_error(sign_and_check(kPut, "", "", kDay - 901), AuthError::time_skewed);
}

TEST_F(SigV2Signed, ExpiryHasBounds) {
  EXPECT_TRUE(presign_and_check("GET", ""));
  EXPECT_TRUE(presign_and_check("GET", "", "", "", kDay));
  expect_error(presign_and_check("GET", "", "", "", kDay - 1), AuthError::expired);
  EXPECT_TRUE(presign_and_check("GET", "", "", "", kDay + kPresignedSecondsMax));
  expect_error(presign_and_check("GET", "", "", "", kDay + kPresignedSecondsMax + kClockSkewSecondsMax + 1),
               AuthError::expires_too_late);
  for (const char* bad : {"", "-1", "+1", "1x", "9999999999999", "0x1", "1e9", "%31x"})
    expect_error(
        check("GET /b/k?AWSAccessKeyId=AK&Signature=x&Expires=" + std::string(bad) + "\nHost: h", kDay),
        AuthError::expires_malformed_v2, bad);
}

TEST_F(SigV2Signed, ItemsOnce) {
  EXPECT_TRUE(presign_and_check("GET", "versionId=1"));
  for (const char* again : {"&versionId=2", "&Expires=2175139620", "&AWSAccessKeyId=AK", "&Signature=x"})
    expect_error(presign_and_check("GET", "versionId=1", "", again), AuthError::query_malformed, again);
  expect_error(presign_and_check("GET", "", "", "&X-Amz-Signature=x"), AuthError::more_than_one_mechanism);
  expect_error(
      check("GET /b/k?AWSAccessKeyId=AK&Expires=1&Signature=x\nHost: h\nAuthorization: AWS AK:x", kDay),
      AuthError::more_than_one_mechanism);
  expect_error(check("GET /b/k?AWSAccessKeyId=AK&Expires=1\nHost: h", kDay), AuthError::query_incomplete_v2);
}

TEST_F(SigV2Signed, AmzItemsOfTheQueryCountAsHeaders) {
  const std::string query = "x-amz-meta-a=1%202&content-type=text%2Fplain";
  EXPECT_TRUE(presign_and_check("PUT", query));
  EXPECT_TRUE(presign_and_check("PUT", query, "\nx-amz-meta-a: 1 2")) << "both, and the same";
  EXPECT_TRUE(presign_and_check("PUT", query, "\nContent-Type: text/html")) << "the header counts";
  for (const char* added : {"&x-amz-meta-b=1", "&x-amz-meta-a=1%202", "&X-AMZ-ACL=private", "&x-amz-acl"})
    expect_error(presign_and_check("PUT", query, "", added), AuthError::signature_mismatch, added);
  EXPECT_TRUE(presign_and_check("PUT", query, "", "&content-type=text%2Fhtml")) << "the first one counts";
  expect_error(presign_and_check("PUT", "", "", "&content-type=text%2Fhtml"), AuthError::signature_mismatch);
}

// One string to sign must not be that of two requests.
TEST_F(SigV2Signed, NothingReadsAsSomethingElse) {
  EXPECT_TRUE(presign_and_check("GET", "response-content-disposition=a%26b.txt"));
  for (const char* query :
       {"partNumber=1%26uploadId%3Dx", "partNumber=1%26uploads", "response-expires=1%26versionId=2",
        "acl=1%0A2", "x-amz-meta-a=1%0Ax-amz-meta-b:2", "x-amz-meta-a:1%0Ax=2", "x-amz-meta-a%3A1=2",
        "content-type=a%0A1", "x-amz-meta-a=%00"})
    expect_error(presign_and_check("PUT", query), AuthError::query_malformed, query);
}

TEST_F(SigV2Signed, SubResourcesThatItDoesNotCover) {
  for (const char* query : {"renameObject", "attributes", "legal-hold", "%72enameObject"})
    expect_error(presign_and_check("PUT", query), AuthError::item_not_signed, query);
  EXPECT_TRUE(presign_and_check("GET", "list-type=2"));
}

TEST_F(SigV2Signed, Payloads) {
  EXPECT_TRUE(presign_and_check("PUT", "", "\nx-amz-content-sha256: UNSIGNED-PAYLOAD"));
  for (const PayloadKind kind : {PayloadKind::streaming_signed, PayloadKind::streaming_signed_trailer,
                                 PayloadKind::streaming_unsigned_trailer}) {
    const std::string text = "PUT /b/k?AWSAccessKeyId=AK&Expires=1175024262&Signature=x\nHost: h\n";
    expect_error(check(text + "x-amz-content-sha256: " + std::string(payload_text(kind)), kDay),
                 AuthError::streaming_needs_v4);
  }
  TestRequest hashed{
      std::string_view("PUT /b/k?AWSAccessKeyId=AK&Expires=1175024262&Signature=x\n"
                       "x-amz-content-sha256: "
                       "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")};
  EXPECT_EQ(parse_auth(hashed.head())->payload, PayloadKind::hash);
}

TEST_F(SigV2Signed, MalformedHeaders) {
  const std::string date = "GET /b/k\nHost: h\nDate: Tue, 27 Mar 2007 19:36:42 GMT\nAuthorization: ";
  for (const char* bad : {"AWS AK", "AWS :x", "AWS A K:x", "AWS A/K:x", "AWS A:K:x"})
    expect_error(check(date + bad, kDay), AuthError::header_malformed, bad);
  for (const char* wrong : {"AWS AK:", "AWS AK:x", "AWS AK:bWq2s1WEIj+Ydj0vQ697zp+IXMU="})
    expect_error(check(date + wrong, kDay), AuthError::signature_mismatch, wrong);
  for (const char* other : {"AWS ", "AWSAK:x"})
    expect_error(check(date + other, kDay), AuthError::type_unsupported, other);
}

TEST_F(SigV2Signed, TokensAreRefused) {
  expect_error(sign_and_check(kPut + "\nx-amz-security-token: t"), AuthError::token_unknown);
  expect_error(presign_and_check("GET", "x-amz-security-token=t"), AuthError::token_unknown);
}

TEST(SigV2, HmacSha1OfRfc2202) {
  const auto mac = [](std::string_view key, std::string_view text) {
    return hex_encode(hmac_sha1(as_bytes(key), as_bytes(text)));
  };
  EXPECT_EQ(mac(std::string(20, '\x0b'), "Hi There"), "b617318655057264e28bc0b6fb378c8ef146be00");
  EXPECT_EQ(mac("Jefe", "what do ya want for nothing?"), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
  EXPECT_EQ(mac(std::string(80, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First"),
            "aa4ae5e15272d00e95705637ce8a3b55ed402112");
}

}  // namespace
}  // namespace fb::s3
