// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/byte_codec.h"
#include "s3/request/query_values.h"
#include "s3/request/requests.h"
#include "s3/time.h"

namespace fb::s3 {
namespace {

constexpr std::string_view kSourceHeader = "x-amz-rename-source";
constexpr std::string_view kTokenHeader = "x-amz-client-token";

enum class Compares : uint8_t { etags, times };
struct ConditionHeader {
  std::string_view name;
  Compares compares;
};
constexpr ConditionHeader kConditionHeaders[] = {
    {"if-match", Compares::etags},
    {"if-none-match", Compares::etags},
    {"if-modified-since", Compares::times},
    {"if-unmodified-since", Compares::times},
    {"x-amz-rename-source-if-match", Compares::etags},
    {"x-amz-rename-source-if-none-match", Compares::etags},
    {"x-amz-rename-source-if-modified-since", Compares::times},
    {"x-amz-rename-source-if-unmodified-since", Compares::times},
};
// Of directory buckets, for deletions.
constexpr std::string_view kForeignHeaders[] = {"x-amz-if-match-size", "x-amz-if-match-last-modified-time"};

S3Result<std::string> parse_rename_source(const RequestHead& head) {
  std::string_view text = head.header(kSourceHeader);
  if (text.empty()) return invalid_argument("The header must name the object to rename.", kSourceHeader, "");
  if (text.starts_with('/')) text.remove_prefix(1);
  auto source = decode_path(text);
  if (!source) {
    return invalid_argument("The header must hold a key, percent-encoded as UTF-8.", kSourceHeader, text);
  }
  FB_CHECK(check_key(*source));
  if (!is_within_bucket(*source)) return S3Error::InvalidURI;
  return std::move(*source);
}

S3Result<void> check_names(std::string_view source, std::string_view destination) {
  if (source.ends_with('/') != destination.ends_with('/')) {
    return S3Failure(S3Error::InvalidRequest,
                     "To rename a directory, end both names with '/'; to rename an object, neither.");
  }
  if (source == destination) {
    return S3Failure(S3Error::InvalidRequest, "The source and the destination are the same.");
  }
  if (source.ends_with('/') && destination.starts_with(source)) {
    return S3Failure(S3Error::InvalidRequest, "A directory cannot be renamed into itself.");
  }
  return {};
}

// A condition that cannot be understood must not be taken for one that holds.
S3Result<void> check_conditions(const ParseContext& context, bool directory) {
  for (const HeaderField& field : context.head.headers) {
    for (const ConditionHeader& header : kConditionHeaders) {
      if (!ascii_iequals(field.name, header.name)) continue;
      const bool wants_it_free = header.name == "if-none-match";
      if (wants_it_free && field.value != "*") {
        return unsupported_condition("If-None-Match", "a rename takes no other value than *");
      }
      if (directory && !wants_it_free) {
        return unsupported_condition(
            header.name, "a directory takes If-None-Match: * alone, which it has to fulfil anyway");
      }
      if (header.compares == Compares::times && !parse_http_date(field.value, context.now_seconds)) {
        return invalid_argument("The value is not a date.", header.name, field.value);
      }
    }
    for (std::string_view name : kForeignHeaders) {
      if (ascii_iequals(field.name, name))
        return unsupported_condition(name, "a rename takes ETags and times");
    }
  }
  return {};
}

S3Result<std::string_view> parse_client_token(const RequestHead& head) {
  const std::string_view token = head.header(kTokenHeader);
  const bool printable = std::ranges::all_of(token, [](char c) { return c >= 33 && c <= 126; });
  if (!printable || token.size() > kClientTokenSizeMax) {
    return invalid_argument("A client token has at most 64 printable ASCII characters without spaces.",
                            kTokenHeader, token);
  }
  return token;
}

Sha256Digest fingerprint_of(const RequestHead& head, const RenameObjectRequest& request) {
  std::string parameters;
  ByteWriter writer(parameters);
  const auto add = [&](std::string_view text) {
    writer.u32(static_cast<uint32_t>(text.size()));
    writer.bytes(text);
  };
  add(request.key);
  add(request.source);
  for (const ConditionHeader& header : kConditionHeaders) {
    for (const HeaderField& field : head.headers) {
      if (!ascii_iequals(field.name, header.name)) continue;
      add(header.name);
      add(field.value);
    }
  }
  return sha256(parameters);
}

}  // namespace

S3Result<RenameObjectRequest> parse_rename_object(const ParseContext& context) {
  RenameObjectRequest request;
  request.bucket = context.route.bucket;
  request.key = context.route.key;
  FB_TRY(request.source, parse_rename_source(context.head));
  FB_CHECK(check_names(request.source, request.key));
  request.directory = request.key.ends_with('/');
  FB_CHECK(check_conditions(context, request.directory));
  if (!request.directory) {
    request.source_conditions = ReadConditions::of_rename_source(context.head, context.now_seconds);
    request.destination_conditions = ReadConditions::of_rename_destination(context.head, context.now_seconds);
  }
  FB_TRY(request.client_token, parse_client_token(context.head));
  if (!request.client_token.empty()) request.fingerprint = fingerprint_of(context.head, request);
  return request;
}

}  // namespace fb::s3
