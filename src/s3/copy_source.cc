// SPDX-License-Identifier: Apache-2.0
#include "s3/copy_source.h"

#include "base/bucket_name.h"
#include "s3/route.h"
#include "s3/uri.h"

namespace fb::s3 {
namespace {

constexpr std::string_view kVersionMark = "?versionId=";

}  // namespace

S3Result<CopySource> parse_copy_source(std::string_view text) {
  const auto malformed = [&] {
    return invalid_argument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
                            "x-amz-copy-source", text);
  };
  std::string_view names = text;
  if (const size_t mark = names.rfind(kVersionMark); mark != std::string_view::npos) {
    const std::string_view version = names.substr(mark + kVersionMark.size());
    if (!version.empty() && version != "null") return not_implemented("Copying a version");
    names = names.substr(0, mark);
  }
  auto decoded = decode_path(names);
  if (!decoded) return malformed();
  std::string_view rest = *decoded;
  if (rest.starts_with("arn:")) return not_implemented("A copy source named by ARN");
  if (rest.starts_with('/')) rest.remove_prefix(1);
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos || slash + 1 == rest.size()) return malformed();
  CopySource source{std::string(rest.substr(0, slash)), std::string(rest.substr(slash + 1))};
  if (!is_valid_bucket_name(source.bucket)) {
    return S3Failure(S3Error::InvalidBucketName).with("BucketName", source.bucket);
  }
  FB_CHECK(check_key(source.key));
  return source;
}

}  // namespace fb::s3
