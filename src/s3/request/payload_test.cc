// SPDX-License-Identifier: Apache-2.0
// All combinations of what a head can say about its body, against the table of docs/payloads.md, written down
// here once more as conditions on the combination.
#include "s3/request/payload.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "s3/request/requests.h"

namespace fb::s3 {
namespace {

constexpr uint64_t kContent = 10;  // bytes of content
constexpr uint64_t kFramed = 60;   // and with some framing around them

enum class Length : uint8_t { content_length, chunked, none };
enum class Decoded : uint8_t { none, right, wrong, malformed };
enum class Trailer : uint8_t { none, crc32, sha256, sha512, two, no_checksum };
enum class Sum : uint8_t { none, crc32, sha256, malformed, two, sha512, unknown };
enum class Sdk : uint8_t { none, crc32, sha256, unknown };
enum class Coding : uint8_t { none, gzip, aws_chunked };
enum class Md5Header : uint8_t { none, good, malformed };

constexpr std::array kForms = {PayloadKind::unsigned_payload, PayloadKind::hash,
                               PayloadKind::streaming_signed, PayloadKind::streaming_signed_trailer,
                               PayloadKind::streaming_unsigned_trailer};

struct Use {
  PayloadUse use;
  UploadChecksum upload{};
};
const std::vector<Use> kUses = {
    {PayloadUse::object},
    {PayloadUse::part},
    {PayloadUse::part, {ChecksumKind::crc32, ChecksumType::composite}},
    {PayloadUse::part, {ChecksumKind::crc32, ChecksumType::full_object}},
    {PayloadUse::part, {ChecksumKind::sha256, ChecksumType::composite}},
    {PayloadUse::part, {ChecksumKind::crc64nvme, ChecksumType::full_object}},
    {PayloadUse::document},
    {PayloadUse::deletion},
    {PayloadUse::completion},
};

struct Combination {
  Use use;
  PayloadKind form;
  Coding coding;
  Length length;
  Decoded decoded;
  Trailer trailer;
  Sum sum;
  Sdk sdk;
  Md5Header md5;

  bool framed() const { return is_streaming(form); }
  bool stored() const { return use.use == PayloadUse::object || use.use == PayloadUse::part; }
  bool trailer_form() const { return framed() && form != PayloadKind::streaming_signed; }
  std::optional<uint64_t> content_length() const {
    if (length == Length::chunked) return std::nullopt;
    if (length == Length::none) return 0;
    return framed() ? kFramed : kContent;
  }
  std::optional<uint64_t> decoded_length() const {
    if (decoded == Decoded::right) return kContent;
    if (decoded == Decoded::wrong) return framed() ? kFramed : kContent + 1;
    return std::nullopt;
  }
  // A checksum header of Complete is the object's.
  bool has_sum() const { return sum != Sum::none && use.use != PayloadUse::completion; }
  // Of the body; of Complete's object where it matters for the SDK's header.
  std::optional<ChecksumKind> sent() const {
    if (trailer == Trailer::crc32) return ChecksumKind::crc32;
    if (trailer == Trailer::sha256) return ChecksumKind::sha256;
    if (!has_sum()) return std::nullopt;
    return sum == Sum::crc32 ? ChecksumKind::crc32 : ChecksumKind::sha256;
  }
};

std::vector<HeaderField> headers_of(const Combination& c) {
  static constexpr std::string_view kSha256 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
  std::vector<HeaderField> headers = {{"Host", "h"}};
  if (c.coding == Coding::gzip) headers.push_back({"Content-Encoding", "gzip"});
  if (c.coding == Coding::aws_chunked) headers.push_back({"Content-Encoding", "gzip, AWS-Chunked"});
  if (c.length == Length::content_length) headers.push_back({"Content-Length", c.framed() ? "60" : "10"});
  if (c.length == Length::chunked) headers.push_back({"Transfer-Encoding", "chunked"});
  const std::string_view name = "x-amz-decoded-content-length";
  if (c.decoded == Decoded::right) headers.push_back({name, "10"});
  if (c.decoded == Decoded::wrong) headers.push_back({name, c.framed() ? "60" : "11"});
  if (c.decoded == Decoded::malformed) headers.push_back({name, "1x"});
  constexpr std::string_view kTrailers[] = {"",
                                            "x-amz-checksum-crc32",
                                            "X-Amz-Checksum-Sha256",
                                            "x-amz-checksum-sha512",
                                            "x-amz-checksum-crc32,x-amz-checksum-sha1",
                                            "x-amz-meta-a"};
  if (c.trailer != Trailer::none) headers.push_back({"x-amz-trailer", kTrailers[int(c.trailer)]});
  if (c.sum == Sum::crc32 || c.sum == Sum::two) headers.push_back({"x-amz-checksum-crc32", "AAAAAA=="});
  if (c.sum == Sum::sha256 || c.sum == Sum::two) headers.push_back({"X-Amz-Checksum-Sha256", kSha256});
  if (c.sum == Sum::malformed) headers.push_back({"x-amz-checksum-sha256", "AAAA"});
  if (c.sum == Sum::sha512) headers.push_back({"x-amz-checksum-sha512", "AAAA"});
  if (c.sum == Sum::unknown) headers.push_back({"x-amz-checksum-md9", "AAAA"});
  if (c.sdk == Sdk::crc32) headers.push_back({"x-amz-sdk-checksum-algorithm", "CRC32"});
  if (c.sdk == Sdk::sha256) headers.push_back({"x-amz-sdk-checksum-algorithm", "sha256"});
  if (c.sdk == Sdk::unknown) headers.push_back({"x-amz-sdk-checksum-algorithm", "MD9"});
  if (c.md5 == Md5Header::good) headers.push_back({"Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="});
  if (c.md5 == Md5Header::malformed) headers.push_back({"Content-MD5", "1B2M"});
  return headers;
}

struct Rule {
  int number;  // in docs/payloads.md
  S3Error error;
  std::string_view message;  // what it contains
  std::function<bool(const Combination&)> holds;
};

// The first that holds gives the answer. 1 (a field twice) and 19 (over 5 GiB) have tests of their own.
const std::vector<Rule> kRules = {
    {2, S3Error::InvalidDigest, "", [](auto& c) { return c.md5 == Md5Header::malformed; }},
    {3, S3Error::InvalidArgument, "aws-chunked encoding is not supported",
     [](auto& c) { return c.coding == Coding::aws_chunked && !c.framed(); }},
    {4, S3Error::MissingContentLength, "", [](auto& c) { return c.stored() && c.length == Length::none; }},
    {5, S3Error::MissingContentLength, "", [](auto& c) { return c.decoded == Decoded::malformed; }},
    {6, S3Error::MissingContentLength, "",
     [](auto& c) { return c.framed() && c.length != Length::chunked && c.decoded == Decoded::none; }},
    {7, S3Error::IncompleteBody, "You did not provide the number of bytes",
     [](auto& c) {
       return c.framed() && c.content_length() && *c.decoded_length() + 10 > *c.content_length();
     }},
    {8, S3Error::InvalidRequest, "differs from Content-Length",
     [](auto& c) {
       return !c.framed() && c.content_length() && c.decoded_length() &&
              c.decoded_length() != c.content_length();
     }},
    {9, S3Error::InvalidRequest, "A trailer needs",
     [](auto& c) { return c.trailer != Trailer::none && !c.trailer_form(); }},
    {10, S3Error::NotImplemented, "sha512", [](auto& c) { return c.trailer == Trailer::sha512; }},
    {10, S3Error::InvalidRequest, "The value specified in the x-amz-trailer header is not supported",
     [](auto& c) { return c.trailer == Trailer::two || c.trailer == Trailer::no_checksum; }},
    {11, S3Error::NotImplemented, "sha512", [](auto& c) { return c.has_sum() && c.sum == Sum::sha512; }},
    {11, S3Error::InvalidRequest, "The algorithm type you specified",
     [](auto& c) { return c.has_sum() && c.sum == Sum::unknown; }},
    {12, S3Error::InvalidRequest, "Expecting a single x-amz-checksum- header",
     [](auto& c) { return c.has_sum() && (c.sum == Sum::two || c.trailer != Trailer::none); }},
    {13, S3Error::InvalidRequest, "Value for x-amz-checksum-sha256 header is invalid.",
     [](auto& c) { return c.has_sum() && c.sum == Sum::malformed; }},
    {14, S3Error::InvalidRequest, "but no corresponding",
     [](auto& c) {
       const bool of_object = c.use.use == PayloadUse::completion && c.sum != Sum::none;
       return c.sdk != Sdk::none && !c.sent() && !of_object;
     }},
    {15, S3Error::InvalidRequest, "Value for x-amz-sdk-checksum-algorithm header is invalid.",
     [](auto& c) {
       auto sent = c.sent();
       if (!sent && c.sum != Sum::none)
         sent = c.sum == Sum::crc32 ? ChecksumKind::crc32 : ChecksumKind::sha256;
       return c.sdk != Sdk::none && sent != (c.sdk == Sdk::crc32    ? std::optional(ChecksumKind::crc32)
                                             : c.sdk == Sdk::sha256 ? std::optional(ChecksumKind::sha256)
                                                                    : std::nullopt);
     }},
    {16, S3Error::InvalidRequest, "Checksum Type mismatch occurred",
     [](auto& c) { return c.use.upload.kind && c.sent() && c.sent() != c.use.upload.kind; }},
    {17, S3Error::InvalidRequest, "actual checksum Type: null",
     [](auto& c) { return c.use.upload.kind && c.use.upload.type == ChecksumType::composite && !c.sent(); }},
    {18, S3Error::InvalidRequest, "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
     [](auto& c) { return c.use.use == PayloadUse::deletion && c.md5 == Md5Header::none && !c.sent(); }},
};

// What an accepted combination is to become.
void check_accepted(const Combination& c, const PayloadPlan& plan) {
  EXPECT_EQ(plan.kind, c.form);
  const bool sized_by_length = !c.framed() && c.length != Length::chunked;
  EXPECT_EQ(plan.size_bytes, sized_by_length ? c.content_length() : c.decoded_length());
  EXPECT_EQ(plan.content_md5.has_value(), c.md5 == Md5Header::good);
  EXPECT_EQ(plan.trailer.has_value(), c.trailer != Trailer::none);
  EXPECT_EQ(plan.checksum.has_value(), c.has_sum());
  std::optional<ChecksumKind> computed = c.sent();
  if (!computed && c.use.use == PayloadUse::part) computed = c.use.upload.kind;
  if (!computed && c.use.use == PayloadUse::object) computed = ChecksumKind::crc64nvme;
  EXPECT_EQ(plan.computed, computed);
  EXPECT_EQ(plan.with_crc64nvme, c.use.use == PayloadUse::part && !c.use.upload.kind);
}

S3Result<PayloadPlan> plan_of(const Use& use, PayloadKind form, std::optional<uint64_t> content_length,
                              const std::vector<HeaderField>& headers) {
  RequestHead head;
  head.headers = headers;
  return plan_payload(
      {.head = head, .kind = form, .content_length = content_length, .use = use.use, .upload = use.upload});
}

// The number of the rule that was applied; 0: accepted.
int check(const Combination& c) {
  const auto plan = plan_of(c.use, c.form, c.content_length(), headers_of(c));
  for (const Rule& rule : kRules) {
    if (!rule.holds(c)) continue;
    const bool as_said = !plan && plan.error().error == rule.error &&
                         plan.error().text().find(rule.message) != std::string_view::npos;
    EXPECT_TRUE(as_said) << "rule " << rule.number << ", got "
                         << (plan ? "a plan" : plan.error().code().data());
    return rule.number;
  }
  EXPECT_TRUE(plan) << plan.error().text();
  if (plan) check_accepted(c, *plan);
  return 0;
}

template <class T, class F>
void for_all(T last, F&& f) {
  for (int i = 0; i <= static_cast<int>(last) && !testing::Test::HasFailure(); ++i) f(static_cast<T>(i));
}

// Complete's checksum of the object is parsed before its body is looked at, and refused there.
bool reachable(const Combination& c) { return c.use.use != PayloadUse::completion || c.sum <= Sum::sha256; }

TEST(Payload, EveryCombinationGetsTheAnswerOfTheTable) {
  std::array<int, 20> applied{};
  Combination c{};
  const auto over_checksums = [&] {
    for_all(Trailer::no_checksum, [&](Trailer trailer) {
      c.trailer = trailer;
      for_all(Sum::unknown, [&](Sum sum) {
        c.sum = sum;
        if (!reachable(c)) return;
        for_all(Sdk::unknown, [&](Sdk sdk) {
          c.sdk = sdk;
          for_all(Md5Header::malformed, [&](Md5Header md5) {
            c.md5 = md5;
            ++applied[check(c)];
            if (testing::Test::HasFailure()) {
              for (const HeaderField& field : headers_of(c))
                ADD_FAILURE() << field.name << ": " << field.value;
            }
          });
        });
      });
    });
  };
  for (const Use& use : kUses) {
    c.use = use;
    for (const PayloadKind form : kForms) {
      c.form = form;
      for_all(Coding::aws_chunked, [&](Coding coding) {
        c.coding = coding;
        for_all(Length::none, [&](Length length) {
          c.length = length;
          for_all(Decoded::malformed, [&](Decoded decoded) {
            c.decoded = decoded;
            over_checksums();
          });
        });
      });
    }
  }
  for (const Rule& rule : kRules) EXPECT_GT(applied[rule.number], 0) << "rule " << rule.number;
  EXPECT_GT(applied[0], 1000);
}

// Rule 1.
TEST(Payload, AFieldThatMayStandOnceIsRefusedTwice) {
  const std::vector<HeaderField> once = {
      {"Content-Length", "60"},
      {"x-amz-decoded-content-length", "10"},
      {"x-amz-trailer", "x-amz-checksum-crc32"},
      {"x-amz-sdk-checksum-algorithm", "CRC32"},
      {"Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="},
  };
  EXPECT_TRUE(plan_of({PayloadUse::object}, PayloadKind::streaming_unsigned_trailer, 60, once));
  for (size_t i = 1; i < once.size(); ++i) {
    std::vector<HeaderField> twice = once;
    twice.push_back(once[i]);
    const auto plan = plan_of({PayloadUse::object}, PayloadKind::streaming_unsigned_trailer, 60, twice);
    ASSERT_FALSE(plan) << once[i].name;
    EXPECT_EQ(plan.error().error, S3Error::InvalidArgument) << once[i].name;
    EXPECT_EQ(plan.error().text(), "Only one value may be specified.");
  }
  const std::vector<HeaderField> sums = {
      {"Content-Length", "10"}, {"x-amz-checksum-crc32", "AAAAAA=="}, {"X-Amz-Checksum-CRC32", "AAAAAQ=="}};
  const auto plan = plan_of({PayloadUse::part}, PayloadKind::hash, 10, sums);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().error, S3Error::InvalidArgument);
}

// Rule 19.
TEST(Payload, SizesAreBounded) {
  const std::vector<HeaderField> headers = {{"Content-Length", "1"}};
  for (const PayloadUse use : {PayloadUse::object, PayloadUse::part}) {
    EXPECT_TRUE(plan_of({use}, PayloadKind::hash, kSinglePutSizeMax, headers));
    const auto plan = plan_of({use}, PayloadKind::hash, kSinglePutSizeMax + 1, headers);
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().error, S3Error::EntityTooLarge);
  }
  const std::vector<HeaderField> framed = {{"Transfer-Encoding", "chunked"},
                                           {"x-amz-decoded-content-length", "18446744073709551615"}};
  const auto plan = plan_of({PayloadUse::object}, PayloadKind::streaming_signed, std::nullopt, framed);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().error, S3Error::EntityTooLarge);
}

// The least framing there is passes, of content and of none.
TEST(Payload, FramingNeedsItsBytes) {
  const auto fits = [](std::string_view decoded, uint64_t content_length) {
    const std::vector<HeaderField> headers = {{"Content-Length", "1"},
                                              {"x-amz-decoded-content-length", decoded}};
    return plan_of({PayloadUse::object}, PayloadKind::streaming_unsigned_trailer, content_length, headers)
        .has_value();
  };
  EXPECT_TRUE(fits("0", std::string_view("0\r\n\r\n").size()));
  EXPECT_FALSE(fits("0", 4));
  EXPECT_TRUE(fits("1", std::string_view("1\r\na\r\n0\r\n\r\n").size()));
  EXPECT_FALSE(fits("1", 10));
}

}  // namespace
}  // namespace fb::s3
