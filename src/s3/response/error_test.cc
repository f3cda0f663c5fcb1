// SPDX-License-Identifier: Apache-2.0
#include "s3/response/error.h"

#include <gtest/gtest.h>

#include <pugixml.hpp>

#include <set>

namespace fb::s3 {
namespace {

TEST(S3Error, TableIsComplete) {
  std::set<std::string_view> codes;
  for (int i = 0; i < kS3ErrorCount; ++i) {
    const S3ErrorInfo& entry = info(static_cast<S3Error>(i));
    EXPECT_TRUE(codes.insert(entry.code).second) << entry.code;
    EXPECT_GE(entry.status, 304) << entry.code;
    EXPECT_LT(entry.status, 600) << entry.code;
    EXPECT_FALSE(entry.message.empty()) << entry.code;
  }
  EXPECT_EQ(to_string(S3Error::NoSuchKey), "NoSuchKey");
  EXPECT_EQ(info(S3Error::InsufficientStorage).status, 507);
  EXPECT_EQ(info(S3Error::MissingContentLength).status, 411);
  EXPECT_EQ(info(S3Error::InvalidRange).status, 416);
}

TEST(S3Error, TravelsAsError) {
  const Result<int> result = S3Error::SlowDown;
  EXPECT_TRUE(result.error().is(S3Error::SlowDown));
  EXPECT_NE(result.error().to_string().find("s3.SlowDown"), std::string::npos);
  EXPECT_EQ(to_failure(result.error()).error, S3Error::SlowDown);
}

TEST(S3Error, FailuresTravelThroughTry) {
  const auto inner = [](bool fail) -> S3Result<int> {
    if (fail) return invalid_argument("No.", "max-keys", "x");
    return 1;
  };
  const auto outer = [&](bool fail) -> S3Result<std::string> {
    FB_TRY(const int value, inner(fail));
    return std::to_string(value);
  };
  EXPECT_EQ(outer(false).value(), "1");
  const auto failed = outer(true);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().status(), 400);
  EXPECT_EQ(failed.error().elements.size(), 2U);
}

TEST(S3Error, BodyIsWellFormedForHostileNames) {
  const std::string hostile("/b/<k>&\"'\x01\x00\xFF\xC3\xA9]]>\r\n", 19);
  std::string body;
  append_error_xml(S3Failure(S3Error::NoSuchKey).with("Key", hostile), hostile, "id-1", "host-1", body);
  pugi::xml_document document;
  ASSERT_TRUE(document.load_string(body.c_str())) << body;
  const pugi::xml_node error = document.child("Error");
  EXPECT_STREQ(error.child_value("Code"), "NoSuchKey");
  EXPECT_STREQ(error.child_value("Message"), "The specified key does not exist.");
  EXPECT_STREQ(error.child_value("RequestId"), "id-1");
  EXPECT_STREQ(error.child_value("HostId"), "host-1");
  EXPECT_STREQ(error.child_value("Key"), error.child_value("Resource"));
  EXPECT_STREQ(error.child_value("Key"), "/b/<k>&\"'\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xC3\xA9]]>\r\n");
}

TEST(Error, ADocumentRepeatsOnlySoMuchOfARequest) {
  const std::string path = "/bucket/" + std::string(16'000, '&');
  std::string body;
  append_error_xml(S3Failure(S3Error::NoSuchKey).with("Key", path), path, "id", "host", body);
  EXPECT_LT(body.size(), 11'000u);
  EXPECT_NE(body.find("...</Key>"), std::string::npos);
  EXPECT_NE(body.find("...</Resource>"), std::string::npos);

  S3Failure many(S3Error::SignatureDoesNotMatch, path);
  for (int i = 0; i < 20; ++i) many = std::move(many).with("Element", std::string(8000, 'x'));
  body.clear();
  append_error_xml(many, path, "id", "host", body);
  EXPECT_LT(body.size(), 22'000u);

  const std::string key(1024, 'k');
  body.clear();
  append_error_xml(S3Failure(S3Error::NoSuchKey).with("Key", key), "/b/" + key, "id", "host", body);
  EXPECT_NE(body.find("<Key>" + key + "</Key><Resource>/b/" + key + "</Resource>"), std::string::npos);

  // Cut between characters.
  std::string cyrillic;
  for (int i = 0; i < 5000; ++i) cyrillic += "\xd0\xb6";
  body.clear();
  append_error_xml(S3Failure(S3Error::NoSuchKey).with("Key", cyrillic), "/", "id", "host", body);
  EXPECT_EQ(body.find("\xef\xbf\xbd"), std::string::npos);
}

}  // namespace
}  // namespace fb::s3
