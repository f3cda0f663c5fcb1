// SPDX-License-Identifier: Apache-2.0
#include "s3/request/payload.h"

#include "base/ascii.h"
#include "s3/request/chunked.h"
#include "s3/request/requests.h"

namespace fb::s3 {
namespace {

constexpr std::string_view kContentMd5 = "content-md5";
constexpr std::string_view kContentEncoding = "content-encoding";
constexpr std::string_view kDecodedLength = "x-amz-decoded-content-length";
constexpr std::string_view kTrailer = "x-amz-trailer";
constexpr std::string_view kSdkAlgorithm = "x-amz-sdk-checksum-algorithm";
constexpr std::string_view kAwsChunked = "aws-chunked";

// The fields that say something about the body, found in one pass over the head. A null view or pointer means
// that there is none.
struct Facts {
  std::string_view content_md5;
  std::string_view decoded_length;
  std::string_view trailer;
  std::string_view sdk_algorithm;
  const HeaderField* checksum = nullptr;
  const HeaderField* other_checksum = nullptr;  // of another name than the first
  const HeaderField* repeated = nullptr;        // the second of a name that may stand once
  bool aws_chunked = false;
  bool has_length = false;
};

void take(Facts& facts, std::string_view& value, const HeaderField& field) {
  if (value.data() != nullptr && facts.repeated == nullptr) facts.repeated = &field;
  if (value.data() == nullptr) value = field.value;
}

void take_checksum(Facts& facts, const HeaderField& field) {
  if (facts.checksum == nullptr) {
    facts.checksum = &field;
  } else if (!ascii_iequals(facts.checksum->name, field.name)) {
    if (facts.other_checksum == nullptr) facts.other_checksum = &field;
  } else if (facts.repeated == nullptr) {
    facts.repeated = &field;
  }
}

bool names_aws_chunked(std::string_view codings) {
  while (!codings.empty()) {
    const size_t comma = codings.find(',');
    if (ascii_iequals(ascii_trim(codings.substr(0, comma)), kAwsChunked)) return true;
    codings = comma == codings.npos ? std::string_view() : codings.substr(comma + 1);
  }
  return false;
}

Facts facts_of(const RequestHead& head, PayloadUse use) {
  Facts facts;
  for (const HeaderField& field : head.headers) {
    const std::string_view name = field.name;
    if (name.empty()) continue;
    const char first = ascii_lower(name.front());
    if (first == 'x') {
      if (ascii_iequals(name, kDecodedLength)) take(facts, facts.decoded_length, field);
      if (ascii_iequals(name, kTrailer)) take(facts, facts.trailer, field);
      if (ascii_iequals(name, kSdkAlgorithm)) take(facts, facts.sdk_algorithm, field);
      if (use != PayloadUse::completion && is_checksum_value_header(name)) take_checksum(facts, field);
    } else if (first == 'c') {
      if (ascii_iequals(name, kContentMd5)) take(facts, facts.content_md5, field);
      if (ascii_iequals(name, "content-length")) facts.has_length = true;
      if (ascii_iequals(name, kContentEncoding))
        facts.aws_chunked = facts.aws_chunked || names_aws_chunked(field.value);
    } else if (first == 't' && ascii_iequals(name, "transfer-encoding")) {
      facts.has_length = true;
    }
  }
  return facts;
}

bool is_stored(PayloadUse use) { return use == PayloadUse::object || use == PayloadUse::part; }

// The least that framing adds: the last chunk's header and line end, and around content a chunk's own.
uint64_t framed_size_min(uint64_t size) {
  constexpr uint64_t kLast = 5;
  constexpr uint64_t kChunk = 5;
  const uint64_t least = size == 0 ? kLast : kLast + kChunk;
  return size > UINT64_MAX - least ? UINT64_MAX : size + least;
}

S3Result<void> plan_digest(const Facts& facts, PayloadPlan& plan) {
  if (facts.content_md5.data() == nullptr) return {};
  Md5Digest digest;
  const auto size = base64_decode(facts.content_md5, digest);
  if (!size || *size != digest.size())
    return S3Failure(S3Error::InvalidDigest).with("Content-MD5", facts.content_md5);
  plan.content_md5 = digest;
  return {};
}

S3Result<void> plan_length(const PayloadRequest& request, const Facts& facts, PayloadPlan& plan) {
  const bool framed = is_streaming(request.kind);
  if (facts.aws_chunked && !framed) {
    return invalid_argument(fmt::format("aws-chunked encoding is not supported when x-amz-content-sha256 {}",
                                        request.kind == PayloadKind::hash ? "is the hash of the body"
                                                                          : "UNSIGNED-PAYLOAD is supplied"),
                            "Content-Encoding", kAwsChunked);
  }
  if (is_stored(request.use) && !facts.has_length) return S3Error::MissingContentLength;
  std::optional<uint64_t> decoded;
  if (facts.decoded_length.data() != nullptr) {
    decoded = decoded_content_length(facts.decoded_length);
    if (!decoded) return S3Error::MissingContentLength;
  }
  if (framed) {
    plan.size_bytes = decoded;
    if (!request.content_length) return {};
    if (!decoded) return S3Error::MissingContentLength;
    if (framed_size_min(*decoded) <= *request.content_length) return {};
    return S3Failure(S3Error::IncompleteBody,
                     "You did not provide the number of bytes specified by the Content-Length HTTP header");
  }
  plan.size_bytes = request.content_length ? request.content_length : decoded;
  if (!decoded || decoded == plan.size_bytes) return {};
  return S3Failure(S3Error::InvalidRequest,
                   "x-amz-decoded-content-length differs from Content-Length, and the body is not framed.");
}

S3Result<void> plan_trailer(const PayloadRequest& request, const Facts& facts, PayloadPlan& plan) {
  if (facts.trailer.empty()) return {};
  if (!is_streaming(request.kind) || request.kind == PayloadKind::streaming_signed) {
    return S3Failure(S3Error::InvalidRequest,
                     "A trailer needs one of the STREAMING-...-TRAILER values in x-amz-content-sha256.");
  }
  const std::string_view name = ascii_trim(facts.trailer);
  plan.trailer = checksum_kind_of_header(name);
  plan.announced_trailers = facts.trailer;
  if (plan.trailer) return {};
  if (is_checksum_value_header(name)) {
    S3Failure failure = unknown_checksum(name);
    if (failure.error == S3Error::NotImplemented) return failure;
  }
  return S3Failure(S3Error::InvalidRequest,
                   "The value specified in the x-amz-trailer header is not supported");
}

S3Result<void> plan_checksum(const Facts& facts, PayloadPlan& plan) {
  if (facts.checksum == nullptr) return {};
  for (const HeaderField* field : {facts.checksum, facts.other_checksum}) {
    if (field != nullptr && !checksum_kind_of_header(field->name)) return unknown_checksum(field->name);
  }
  if (facts.other_checksum != nullptr || plan.trailer) return several_checksums();
  const ChecksumKind kind = *checksum_kind_of_header(facts.checksum->name);
  plan.checksum = ChecksumValue::parse(kind, facts.checksum->value);
  if (!plan.checksum) return invalid_header_value(checksum_header(kind));
  return {};
}

// The algorithm that the client has sent a checksum of, in whatever place.
std::optional<ChecksumKind> sent_kind(const PayloadPlan& plan) {
  return plan.checksum ? std::optional(plan.checksum->kind()) : plan.trailer;
}

S3Result<void> check_sdk_algorithm(const PayloadRequest& request, const Facts& facts,
                                   const PayloadPlan& plan) {
  if (facts.sdk_algorithm.empty()) return {};
  std::optional<ChecksumKind> sent = sent_kind(plan);
  if (request.use == PayloadUse::completion && !sent) {
    FB_TRY(const auto of_object, parse_object_checksum(request.head));
    if (of_object) sent = of_object->kind;
  }
  if (!sent) {
    return S3Failure(S3Error::InvalidRequest,
                     "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or "
                     "x-amz-trailer headers were found.");
  }
  if (checksum_kind_of_name(facts.sdk_algorithm) != sent) return invalid_header_value(kSdkAlgorithm);
  return {};
}

S3Result<void> check_upload(const PayloadRequest& request, const PayloadPlan& plan) {
  if (request.use != PayloadUse::part || !request.upload.kind) return {};
  const std::optional<ChecksumKind> sent = sent_kind(plan);
  if (sent == request.upload.kind) return {};
  if (sent) return checksum_mismatch(lower_name(*request.upload.kind), lower_name(*sent));
  if (request.upload.type == ChecksumType::full_object) return {};
  return checksum_mismatch(lower_name(*request.upload.kind), "null");
}

void choose_computed(const PayloadRequest& request, PayloadPlan& plan) {
  plan.computed = sent_kind(plan);
  if (!is_stored(request.use)) return;
  if (request.use == PayloadUse::object) {
    if (!plan.computed) plan.computed = ChecksumKind::crc64nvme;
  } else if (request.upload.kind) {
    plan.computed = request.upload.kind;
  } else {
    plan.with_crc64nvme = plan.computed != ChecksumKind::crc64nvme;
  }
}

}  // namespace

S3Result<PayloadPlan> plan_payload(const PayloadRequest& request) {
  const Facts facts = facts_of(request.head, request.use);
  PayloadPlan plan{.kind = request.kind};
  if (facts.repeated != nullptr) return repeated_header(*facts.repeated);
  FB_CHECK(plan_digest(facts, plan));
  FB_CHECK(plan_length(request, facts, plan));
  FB_CHECK(plan_trailer(request, facts, plan));
  FB_CHECK(plan_checksum(facts, plan));
  FB_CHECK(check_sdk_algorithm(request, facts, plan));
  FB_CHECK(check_upload(request, plan));
  if (request.use == PayloadUse::deletion && !plan.content_md5 && !sent_kind(plan)) {
    return S3Failure(S3Error::InvalidRequest,
                     "Missing required header for this request: Content-MD5 OR x-amz-checksum-*");
  }
  if (is_stored(request.use) && plan.size_bytes)
    FB_CHECK(check_body_size(*plan.size_bytes, kSinglePutSizeMax));
  choose_computed(request, plan);
  return plan;
}

}  // namespace fb::s3
