// SPDX-License-Identifier: Apache-2.0
#include "s3/auth/sigv4.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "s3/auth/signer.h"
#include "s3/test_request.h"
#include "s3/time.h"

namespace fb::s3 {
namespace {

// The examples of AWS's documentation ("Authenticating Requests (AWS Signature Version 4)" for S3): keys,
// requests and signatures are theirs.
constexpr std::string_view kAccessKey = "AKIAIOSFODNN7EXAMPLE";
constexpr std::string_view kSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
constexpr SigningIdentity kIdentity{.access_key = kAccessKey, .secret = kSecret, .region = "us-east-1"};
constexpr int64_t kTime = 1369353600;  // 2013-05-24

constexpr std::string_view kGetObject =
    "GET /test.txt\n"
    "Host: examplebucket.s3.amazonaws.com\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
    "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
    "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41\n"
    "Range: bytes=0-9\n"
    "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
    "x-amz-date: 20130524T000000Z";
constexpr std::string_view kPutObject =
    "PUT /test%24file.text\n"
    "Host: examplebucket.s3.amazonaws.com\n"
    "Date: Fri, 24 May 2013 00:00:00 GMT\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
    "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,"
    "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd\n"
    "x-amz-date: 20130524T000000Z\n"
    "x-amz-storage-class: REDUCED_REDUNDANCY\n"
    "x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
constexpr std::string_view kGetLifecycle =
    "GET /?lifecycle\n"
    "Host: examplebucket.s3.amazonaws.com\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
    "SignedHeaders=host;x-amz-content-sha256;x-amz-date,"
    "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543\n"
    "x-amz-date: 20130524T000000Z\n"
    "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr std::string_view kListObjects =
    "GET /?max-keys=2&prefix=J\n"
    "Host: examplebucket.s3.amazonaws.com\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
    "SignedHeaders=host;x-amz-content-sha256;x-amz-date,"
    "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7\n"
    "x-amz-date: 20130524T000000Z\n"
    "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr std::string_view kPresigned =
    "GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404\n"
    "Host: examplebucket.s3.amazonaws.com";

Result<void> check(const RequestHead& head, int64_t now = kTime, std::string_view host = {}) {
  FB_TRY(const AuthRequest auth, parse_auth(head));
  return verify(head, auth, SigningKey(kSecret, auth.credential), now, host);
}
Result<void> check(std::string_view text, int64_t now = kTime) {
  TestRequest request(text);
  return check(request.head(), now);
}

std::string replaced(std::string_view text, std::string_view what, std::string_view by) {
  std::string result(text);
  const size_t at = result.find(what);
  EXPECT_NE(at, result.npos) << what;
  return result.replace(at, what.size(), by);
}

void expect_error(const Result<void>& result, AuthError error, std::string_view note = "") {
  ASSERT_FALSE(result) << note << " passed instead of " << to_string(error);
  EXPECT_TRUE(result.error().is(error))
      << note << ": " << result.error().to_string() << " instead of " << to_string(error);
}

TEST(SigV4, PublishedExamples) {
  for (const std::string_view text : {kGetObject, kPutObject, kGetLifecycle, kListObjects, kPresigned}) {
    const auto result = check(text);
    EXPECT_TRUE(result) << result.error().to_string() << "\n" << text;
  }
}

TEST(SigV4, ClaimsAreParsed) {
  TestRequest get(kGetObject);
  const auto header = parse_auth(get.head());
  ASSERT_TRUE(header);
  EXPECT_EQ(header->kind, AuthKind::header);
  EXPECT_EQ(header->payload, PayloadKind::hash);
  EXPECT_EQ(hex_encode(header->body_sha256), kEmptySha256Hex);
  EXPECT_EQ(header->credential.access_key(), kAccessKey);
  EXPECT_EQ(header->credential.date(), "20130524");
  EXPECT_EQ(header->credential.region(), "us-east-1");
  EXPECT_EQ(header->credential.scope(), "20130524/us-east-1/s3/aws4_request");
  EXPECT_EQ(header->time_seconds, kTime);

  TestRequest url(kPresigned);
  const auto presigned = parse_auth(url.head());
  ASSERT_TRUE(presigned);
  EXPECT_EQ(presigned->kind, AuthKind::presigned);
  EXPECT_EQ(presigned->payload, PayloadKind::unsigned_payload);
  EXPECT_EQ(presigned->credential.access_key(), kAccessKey);
  EXPECT_EQ(presigned->expires_seconds, 86400);

  TestRequest nobody("GET /test.txt\nHost: h");
  const auto anonymous = parse_auth(nobody.head());
  ASSERT_TRUE(anonymous);
  EXPECT_EQ(anonymous->kind, AuthKind::anonymous);
}

TEST(SigV4, WhatTheSignatureLeavesOfAQuery) {
  const std::string own =
      "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20130524%2Fr%2Fs3%2Faws4_request"
      "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=60&%58-Amz-SignedHeaders=host&X-Amz-Signature=s";
  const auto left_of = [](const std::string& query) {
    const std::string text = "GET /k?" + query + "\nHost: h";
    TestRequest request{std::string_view(text)};
    const auto auth = parse_auth(request.head());
    EXPECT_TRUE(auth) << query;
    return auth ? std::string(auth->other_query) : "refused";
  };
  EXPECT_EQ(left_of(own), "");
  EXPECT_EQ(left_of("&&" + own + "&&"), "");
  EXPECT_EQ(left_of("partNumber=1&uploadId=x&" + own), "partNumber=1&uploadId=x");
  EXPECT_EQ(left_of("&&uploads&" + own + "&"), "uploads");
  EXPECT_EQ(left_of("uploads=&" + own), "uploads=");
  EXPECT_EQ(left_of(own + "&x-id=GetObject&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD"), "x-id=GetObject");
  EXPECT_EQ(left_of("a=1&" + own + "&x-amz-acl=private"), "a=1&" + own + "&x-amz-acl=private")
      << "between others they stay";
  EXPECT_EQ(left_of("list-type=2&prefix=a"), "list-type=2&prefix=a");
  EXPECT_EQ(left_of(""), "");
  const std::string version_2 = "versionId=&AWSAccessKeyId=a&Expires=1&Signature=s";
  EXPECT_EQ(left_of(version_2), version_2);
}

TEST(SigV4, ExplainsWhatItSigned) {
  TestRequest request(kListObjects);
  const auto auth = parse_auth(request.head());
  ASSERT_TRUE(auth);
  const auto details = explain_signature(request.head(), *auth);
  ASSERT_TRUE(details);
  EXPECT_EQ(details->canonical_request,
            "GET\n/\nmax-keys=2&prefix=J\nhost:examplebucket.s3.amazonaws.com\n"
            "x-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
            "x-amz-date:20130524T000000Z\n\nhost;x-amz-content-sha256;x-amz-date\n"
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(details->string_to_sign,
            "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n"
            "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7");
}

std::string canonical_of(std::string_view text, std::string_view signed_headers, std::string_view host = {}) {
  TestRequest request(text);
  std::string canonical;
  const auto hash = hash_canonical_request({.head = request.head(),
                                            .query = request.head().query,
                                            .signed_headers = signed_headers,
                                            .payload_hash = "HASH",
                                            .host = host},
                                           &canonical);
  if (!hash) return std::string(hash.error().domain().code_name(hash.error().code()));
  EXPECT_EQ(sha256(canonical), *hash);
  return canonical;
}

TEST(SigV4, CanonicalHeaders) {
  EXPECT_EQ(canonical_of(
                "GET /\nHOST:h:8080\nX-Amz-Meta-A:  one   two \t three  \nx-amz-meta-a: four\nX-Amz-Meta-B:",
                "host;x-amz-meta-a;x-amz-meta-b;x-amz-meta-c"),
            "GET\n/\n\nhost:h:8080\nx-amz-meta-a:one two three,four\nx-amz-meta-b:\nx-amz-meta-c:\n\n"
            "host;x-amz-meta-a;x-amz-meta-b;x-amz-meta-c\nHASH");
  EXPECT_EQ(canonical_of("GET /\nHost: inner:1", "host", "outer.example"),
            "GET\n/\n\nhost:outer.example\n\nhost\nHASH");
}

TEST(SigV4, CanonicalPath) {
  const auto path = [](std::string_view target) {
    const std::string text = canonical_of("GET " + std::string(target) + "\nHost: h", "host");
    return text.substr(4, text.find('\n', 4) - 4);
  };
  EXPECT_EQ(path("/a/../b//c/./d/"), "/a/../b//c/./d/");
  EXPECT_EQ(path("/a b+c*~%7e%2A"), "/a%20b%2Bc%2A~~%2A");
  EXPECT_EQ(path("/%c3%A9\xc3\xa9"), "/%C3%A9%C3%A9");
  EXPECT_EQ(path("/a%2fb"), "/a/b");
  EXPECT_EQ(path("/%2520"), "/%2520");
  EXPECT_EQ(path(""), "/");
  EXPECT_EQ(canonical_of("GET /%zz\nHost: h", "host"), "uri_malformed");
  // Long enough to leave the writer's buffer many times, with escapes across every boundary.
  for (size_t shift = 0; shift < 4; ++shift) {
    std::string raw(1 + shift, '/');
    std::string encoded = raw;
    for (int i = 0; i < 3000; ++i) {
      raw += "%e2%82%ac";
      encoded += "%E2%82%AC";
    }
    EXPECT_EQ(path(raw), encoded);
  }
}

TEST(SigV4, CanonicalQuery) {
  const auto query = [](std::string_view raw) {
    const std::string text = canonical_of("GET /?" + std::string(raw) + "\nHost: h", "host");
    if (!text.starts_with("GET\n")) return text;
    return text.substr(6, text.find('\n', 6) - 6);
  };
  EXPECT_EQ(query("prefix=a/b&delete&marker="), "delete=&marker=&prefix=a%2Fb");
  EXPECT_EQ(query("b=2&a=2&a=1&a"), "a=&a=1&a=2&b=2");
  EXPECT_EQ(query("B=1&a=2&A=3"), "A=3&B=1&a=2");
  EXPECT_EQ(query("a-b=1&a=2"), "a=2&a-b=1");
  EXPECT_EQ(query("a%3D=1&a=2&ab=3"), "a=2&a%3D=1&ab=3");
  EXPECT_EQ(query("%c3%a9=x&z=1&%7a=0&~=t"), "%C3%A9=x&z=0&z=1&~=t");
  EXPECT_EQ(query("k=a+b&k=a%20a&k=%2b"), "k=%2B&k=a%20a&k=a%20b");
  EXPECT_EQ(query("a=1=2&&x"), "a=1%3D2&x=");
  EXPECT_EQ(query("X-Amz-Signature=0"), "X-Amz-Signature=0");  // left out of presigned requests only
  EXPECT_EQ(query("a=%2"), "uri_malformed");
  std::string many;
  for (size_t i = 0; i < kQueryItemsMax; ++i) many += "a&";
  EXPECT_EQ(query(many).size(), kQueryItemsMax * 3 - 1);
  EXPECT_EQ(query(many + "a"), "too_many_query_items");
}

TEST(SigV4, AnythingChangedIsRefused) {
  const std::pair<std::string_view, std::string_view> changes[] = {
      {"GET", "PUT"},
      {"/test.txt", "/test.txx"},
      {"/test.txt", "/test.txt?acl"},
      {"bytes=0-9", "bytes=0-8"},
      {"Host: examplebucket", "Host: otherbucket"},
      {"e3b0c", "e3b0d"},
      {"us-east-1", "eu-west-1"},
      {"=f0e8", "=f0e9"},
      {"bdb41", "bdb4"},
      {"bdb41", "bdb411"}};
  for (const auto& [what, by] : changes) {
    expect_error(check(replaced(kGetObject, what, by)), AuthError::signature_mismatch, by);
  }
  const std::pair<std::string_view, std::string_view> url_changes[] = {
      {"GET", "PUT"},           {"/test.txt", "/test.txx"}, {"86400", "86401"},
      {"?X-Amz", "?acl&X-Amz"}, {"=aeee", "=aeef"},         {"Host: e", "Host: f"}};
  for (const auto& [what, by] : url_changes) {
    expect_error(check(replaced(kPresigned, what, by)), AuthError::signature_mismatch, by);
  }
  TestRequest request(kGetObject);
  const auto auth = parse_auth(request.head());
  expect_error(verify(request.head(), *auth, SigningKey("another secret", auth->credential), kTime),
               AuthError::signature_mismatch);
}

TEST(SigV4, SpellingThatMeansTheSamePasses) {
  EXPECT_TRUE(check(replaced(kGetObject, "/test.txt", "/t%65st.txt")));
  EXPECT_TRUE(check(replaced(kPutObject, "%24", "$")));
  EXPECT_TRUE(check(replaced(kGetObject, "Range: ", "RANGE:   ")));
  EXPECT_TRUE(check(replaced(kListObjects, "max-keys=2&prefix=J", "prefix=%4A&max-keys=2")));
  EXPECT_TRUE(check(replaced(kGetObject, ",SignedHeaders", ", SignedHeaders")));
  EXPECT_TRUE(check(replaced(kPresigned, "X-Amz-SignedHeaders", "X%2DAmz-SignedHeaders")));
  EXPECT_TRUE(check(std::string(kGetObject) + "\nUser-Agent: not signed"));
}

TEST(SigV4, Times) {
  EXPECT_TRUE(check(kGetObject, kTime + kClockSkewSecondsMax));
  EXPECT_TRUE(check(kGetObject, kTime - kClockSkewSecondsMax));
  expect_error(check(kGetObject, kTime + kClockSkewSecondsMax + 1), AuthError::time_skewed);
  expect_error(check(kGetObject, kTime - kClockSkewSecondsMax - 1), AuthError::time_skewed);
  EXPECT_TRUE(check(kPresigned, kTime + 86400));
  EXPECT_TRUE(check(kPresigned, kTime - kClockSkewSecondsMax));
  expect_error(check(kPresigned, kTime + 86401), AuthError::expired);
  expect_error(check(kPresigned, kTime - kClockSkewSecondsMax - 1), AuthError::not_yet_valid);
}

TEST(SigV4, DateHeaderMayStandIn) {
  // Without x-amz-date the string to sign takes its time from Date, in either of its forms.
  for (const std::string_view date :
       {"Fri, 24 May 2013 00:00:00 GMT", "20130524T000000Z", "Friday, 24-May-13 00:00:00 GMT"}) {
    const std::string unsigned_text =
        "GET /k\nHost: h\nDate: " + std::string(date) + "\nx-amz-content-sha256: UNSIGNED-PAYLOAD";
    TestRequest request(unsigned_text);
    std::string canonical_headers = "date;host;x-amz-content-sha256";
    const auto hash = hash_canonical_request({.head = request.head(),
                                              .query = "",
                                              .signed_headers = canonical_headers,
                                              .payload_hash = "UNSIGNED-PAYLOAD"});
    const SigningKey key(kSecret, "20130524", "r");
    const StringToSign text(kTime, "20130524/r/s3/aws4_request", *hash);
    const std::string authorization =
        "AWS4-HMAC-SHA256 Credential=k/20130524/r/s3/aws4_request, SignedHeaders=" + canonical_headers +
        ", Signature=" + hex_encode(key.sign(text.text()));
    request.add("Authorization", authorization);
    const auto result = check(request.head());
    EXPECT_TRUE(result) << result.error().to_string();
  }
}

TEST(SigV4, MalformedAuthorizationHeaders) {
  const auto with = [](std::string_view authorization) {
    return check(
        "GET /\nHost: h\nx-amz-date: 20130524T000000Z\nx-amz-content-sha256: "
        "UNSIGNED-PAYLOAD\nAuthorization: " +
        std::string(authorization));
  };
  const std::string credential = "Credential=AK/20130524/r/s3/aws4_request";
  const std::string_view headers = "SignedHeaders=host;x-amz-content-sha256;x-amz-date";
  const std::string signature = "Signature=" + std::string(64, '0');
  const auto join = [](std::string_view a, std::string_view b, std::string_view c) {
    return "AWS4-HMAC-SHA256 " + std::string(a) + "," + std::string(b) + "," + std::string(c);
  };
  expect_error(with(join(credential, headers, signature)), AuthError::signature_mismatch);
  for (const std::string_view bad :
       {"Credential=AK/20130524/r/s3/aws4_reques", "Credential=AK/20130524/r/ec2/aws4_request",
        "Credential=AK/2013052/r/s3/aws4_request", "Credential=AK/2013o524/r/s3/aws4_request",
        "Credential=/20130524/r/s3/aws4_request", "Credential=20130524/r/s3/aws4_request",
        "Credential=AK/20130525/r/s3/aws4_request", "Credential=", "Credential",
        "credential=AK/20130524/r/s3/aws4_request", ""}) {
    expect_error(with(join(bad, headers, signature)), AuthError::header_malformed, bad);
  }
  for (const std::string_view bad : {"SignedHeaders=", "SignedHeaders=host;", "SignedHeaders=;host",
                                     "SignedHeaders=Host", "SignedHeaders=ho st"}) {
    expect_error(with(join(credential, bad, signature)), AuthError::header_malformed, bad);
  }
  expect_error(with("AWS4-HMAC-SHA256 " + credential), AuthError::header_malformed);
  expect_error(with("AWS4-HMAC-SHA256"), AuthError::header_malformed);
  expect_error(with("AWS4-HMAC-SHA256Credential=x"), AuthError::header_malformed);
  expect_error(with(join(credential, headers, signature) + ",Extra=1"), AuthError::header_malformed);
  expect_error(with(join(credential, headers, signature) + "," + signature), AuthError::header_malformed);
  expect_error(with(join(credential, headers, signature) + "\nAuthorization: AWS4-HMAC-SHA256 x"),
               AuthError::header_malformed);
  expect_error(
      with(join("Credential=" + std::string(kCredentialLengthMax, 'A') + "/20130524/r/s3/aws4_request",
                headers, signature)),
      AuthError::header_malformed);
  std::string many = "SignedHeaders=host";
  for (size_t i = 0; i < kSignedHeadersMax; ++i) many += ";a";
  expect_error(with(join(credential, many, signature)), AuthError::header_malformed);
  expect_error(with("AWS4-ECDSA-P256-SHA256 Credential=x"), AuthError::mechanism_unsupported);
  expect_error(with("Basic dXNlcjpwYXNz"), AuthError::type_unsupported);
  expect_error(with(""), AuthError::type_unsupported);
}

TEST(SigV4, HeadersThatMustBeThere) {
  expect_error(check(replaced(kGetLifecycle, "x-amz-date: 20130524T000000Z\n", "")), AuthError::date_missing);
  expect_error(check(replaced(kGetLifecycle, "x-amz-date: 2013", "x-amz-date: 2o13")),
               AuthError::date_missing);
  expect_error(check(std::string(kGetLifecycle) + "\nX-Amz-Date: 20130524T000000Z"), AuthError::date_missing);
  expect_error(check(replaced(kGetLifecycle, "\nx-amz-content-sha256: e3b0", "\nx-other: ")),
               AuthError::content_sha256_missing);
  expect_error(check(replaced(kGetLifecycle, "x-amz-content-sha256: e3b0", "x-amz-content-sha256: e3b")),
               AuthError::content_sha256_invalid);
  expect_error(check(std::string(kGetLifecycle) + "\nx-amz-content-sha256: UNSIGNED-PAYLOAD"),
               AuthError::content_sha256_invalid);
}

TEST(SigV4, HeadersThatMustBeSigned) {
  expect_error(check(std::string(kGetObject) + "\nx-amz-acl: public-read"), AuthError::headers_not_signed);
  expect_error(check(std::string(kPresigned) + "\nX-Amz-Acl: public-read"), AuthError::headers_not_signed);
  expect_error(check(replaced(kGetObject, "=host;range", "=range")), AuthError::headers_not_signed);
  expect_error(check(replaced(kPresigned, "SignedHeaders=host", "SignedHeaders=range")),
               AuthError::headers_not_signed);
}

TEST(SigV4, PayloadKinds) {
  const auto kind_of = [](std::string_view value) -> Result<PayloadKind> {
    const std::string text = "PUT /\nHost: h\nx-amz-content-sha256: " + std::string(value) +
                             "\nx-amz-date: 20130524T000000Z\nAuthorization: AWS4-HMAC-SHA256 "
                             "Credential=a/20130524/r/s3/aws4_request,SignedHeaders=host,Signature=0";
    TestRequest request(text);
    FB_TRY(const AuthRequest auth, parse_auth(request.head()));
    return auth.payload;
  };
  EXPECT_EQ(kind_of("UNSIGNED-PAYLOAD").value(), PayloadKind::unsigned_payload);
  EXPECT_EQ(kind_of(kEmptySha256Hex).value(), PayloadKind::hash);
  EXPECT_EQ(kind_of("STREAMING-AWS4-HMAC-SHA256-PAYLOAD").value(), PayloadKind::streaming_signed);
  EXPECT_EQ(kind_of("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER").value(),
            PayloadKind::streaming_signed_trailer);
  EXPECT_EQ(kind_of("STREAMING-UNSIGNED-PAYLOAD-TRAILER").value(), PayloadKind::streaming_unsigned_trailer);
  for (const std::string_view bad : {"", "unsigned-payload", "STREAMING-UNSIGNED-PAYLOAD", "0123",
                                     "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "required"}) {
    const auto kind = kind_of(bad);
    ASSERT_FALSE(kind) << bad;
    EXPECT_TRUE(kind.error().is(AuthError::content_sha256_invalid)) << bad;
  }
  // An anonymous body cannot have signed chunks.
  TestRequest anonymous("PUT /\nHost: h\nx-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
  EXPECT_TRUE(parse_auth(anonymous.head()).error().is(AuthError::content_sha256_invalid));
  TestRequest trailer("PUT /\nHost: h\nx-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER");
  EXPECT_EQ(parse_auth(trailer.head())->payload, PayloadKind::streaming_unsigned_trailer);
}

TEST(SigV4, MalformedPresignedQueries) {
  for (const std::string_view part : {"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires",
                                      "X-Amz-SignedHeaders", "X-Amz-Signature"}) {
    expect_error(check(replaced(kPresigned, part, "other")), AuthError::query_malformed, part);
    const std::string twice = std::string(part) + "=1&" + std::string(part);
    expect_error(check(replaced(kPresigned, part, twice)), AuthError::query_malformed, part);
  }
  using enum AuthError;
  const std::tuple<std::string_view, std::string_view, AuthError> changes[] = {
      {"=AWS4-HMAC-SHA256", "=AWS4-ECDSA-P256-SHA256", query_algorithm},
      {"=86400", "=0", expires_negative},
      {"=86400", "=-1", expires_negative},
      {"=86400", "=604801", expires_too_long},
      {"=86400", "=1x", expires_no_number},
      {"=86400", "=", query_malformed},
      {"=86400", "=99999999999999999999", expires_too_long},
      {"=86400", "=+1", expires_no_number},
      {"%2Fs3%2F", "%2Fsqs%2F", query_credential},
      {"%2Fs3%2F", "%2Fs3%2", query_credential},
      {"=20130524T", "=2013", query_date},
      {"=20130524T", "=20130525T", query_credential},
      {"Headers=host", "Headers=Host", query_malformed},
      {"Headers=host", "Headers=host%3", query_malformed}};
  for (const auto& [what, by, error] : changes)
    expect_error(check(replaced(kPresigned, what, by)), error, by);
  expect_error(check(std::string(kPresigned) + "\nAuthorization: AWS4-HMAC-SHA256 x"),
               AuthError::more_than_one_mechanism);
}

TEST(SigV4, HostOverride) {
  const std::string text =
      replaced(kGetObject, "Host: examplebucket.s3.amazonaws.com", "Host: 10.0.0.1:8080");
  TestRequest request(text);
  expect_error(check(request.head()), AuthError::signature_mismatch);
  EXPECT_TRUE(check(request.head(), kTime, "examplebucket.s3.amazonaws.com"));
}

TEST(SigV4, CacheNeedsTheSameSecretAndIsBounded) {
  SigningKeyCache cache(4);
  TestRequest request(kGetObject);
  const RequestHead& head = request.head();
  const auto auth = parse_auth(head);
  ASSERT_TRUE(auth);
  EXPECT_FALSE(authenticate(head, *auth, "wrong", kTime, cache));
  EXPECT_EQ(cache.find(auth->credential, "wrong"), nullptr);
  EXPECT_TRUE(authenticate(head, *auth, kSecret, kTime, cache));
  EXPECT_NE(cache.find(auth->credential, kSecret), nullptr);
  EXPECT_TRUE(authenticate(head, *auth, kSecret, kTime, cache));
  EXPECT_EQ(cache.find(auth->credential, "rotated"), nullptr);
  EXPECT_FALSE(authenticate(head, *auth, "rotated", kTime, cache));

  for (int i = 0; i < 100; ++i) {
    const auto other = Credential::parse("AK" + std::to_string(i) + "/20130524/r/s3/aws4_request");
    cache.insert(*other, "s", SigningKey("s", *other));
    EXPECT_NE(cache.find(*other, "s"), nullptr);
  }
  EXPECT_EQ(cache.find(auth->credential, kSecret), nullptr);
}

TEST(SigV4, SignerAgreesWithTheExamples) {
  for (const std::string_view text : {kGetObject, kPutObject, kGetLifecycle, kListObjects}) {
    TestRequest request(text);
    const std::string sent(request.head().header("authorization"));
    const auto authorization = sign_request(request.head(), kIdentity);
    ASSERT_TRUE(authorization);
    EXPECT_EQ(*authorization, sent);
  }
  TestRequest plain("GET /test.txt\nHost: examplebucket.s3.amazonaws.com");
  TestRequest presigned(kPresigned);
  EXPECT_EQ(presign(plain.head(), kIdentity, {.time_seconds = kTime, .expires_seconds = 86400}).value(),
            presigned.head().target);
}

TEST(SigV4, SignedRequestsVerify) {
  for (const std::string_view target :
       {"/", "/b/k", "/b/k%20x?partNumber=1&uploadId=a%2Bb", "/b?list-type=2&prefix=%C3%A9&x"}) {
    const std::string text =
        "PUT " + std::string(target) +
        "\nhost: h:1\nx-amz-date: 20130524T000000Z\nx-amz-content-sha256: UNSIGNED-PAYLOAD"
        "\nuser-agent: changes\nx-amz-meta-a:  b   c \nx-amz-meta-a: d";
    TestRequest request(text);
    const auto authorization = sign_request(request.head(), kIdentity);
    ASSERT_TRUE(authorization);
    request.add("Authorization", *authorization);
    EXPECT_TRUE(check(request.head())) << target;

    const std::string plain_text = "DELETE " + std::string(target) + "\nHost: h:1\nx-amz-meta-a: b";
    TestRequest url(plain_text);
    const auto signed_target = presign(url.head(), kIdentity, {.time_seconds = kTime, .expires_seconds = 1});
    ASSERT_TRUE(signed_target);
    url.set_target(*signed_target);
    EXPECT_TRUE(check(url.head(), kTime + 1)) << *signed_target;
    expect_error(check(url.head(), kTime + 2), AuthError::expired);
  }
  TestRequest incomplete("GET /\nHost: h");
  EXPECT_FALSE(sign_request(incomplete.head(), kIdentity));
}

}  // namespace
}  // namespace fb::s3
