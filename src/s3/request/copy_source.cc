// SPDX-License-Identifier: Apache-2.0
#include "s3/request/copy_source.h"

#include "base/bucket_name.h"
#include "s3/request/route.h"
#include "s3/uri.h"

namespace fb::s3 {
namespace {

constexpr std::string_view kVersionMark = "?versionId=";

}  // namespace

S3Result<CopySource> parse_copy_source(std::string_view text) {
  const auto invalid = [](std::string_view what, std::string_view value) {
    return invalid_argument(fmt::format("Invalid copy source {}", what), "x-amz-copy-source", value);
  };
  std::string_view names = text;
  if (const size_t mark = names.rfind(kVersionMark); mark != std::string_view::npos) {
    const std::string_view version = names.substr(mark + kVersionMark.size());
    if (version.empty())
      return invalid_argument("Version id cannot be the empty string", "x-amz-copy-source", text);
    if (version != "null") return not_implemented(fmt::format("Copying the version {}", version));
    names = names.substr(0, mark);
  }
  const auto decoded = decode_query(names);
  if (!decoded) return invalid("encoding", text);
  std::string_view rest = *decoded;
  if (rest.starts_with("arn:")) return not_implemented("A copy source named by ARN");
  if (rest.starts_with('/')) rest.remove_prefix(1);
  const size_t slash = rest.find('/');
  CopySource source{std::string(rest.substr(0, slash)), {}};
  if (!is_valid_bucket_name(source.bucket)) return invalid("bucket name", text);
  if (slash != std::string_view::npos) source.key = rest.substr(slash + 1);
  if (source.key.empty() || !is_within_bucket(source.key)) return invalid("object key", source.key);
  FB_CHECK(check_key(source.key));
  return source;
}

}  // namespace fb::s3
