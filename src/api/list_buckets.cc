// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "api/object_response.h"
#include "api/operations.h"

namespace fb::api {

Task<S3Result<void>> list_buckets(Call& call) {
  FB_CO_TRY(const s3::ListBucketsRequest request, s3::parse_list_buckets(parse_context(call)));
  FB_CO_TRY(const std::vector<BucketInfo> buckets, as_s3(co_await call.roots.list_buckets(call.context())));
  std::vector<s3::BucketEntry> entries;
  std::optional<s3::ListPosition> next;
  const bool here = request.region.empty() || request.region == call.options.region;
  for (const BucketInfo& bucket : buckets) {
    if (!here) break;
    if (!bucket.name.starts_with(request.prefix) || bucket.name <= request.position.after) continue;
    if (entries.size() == request.max_buckets) {
      next = s3::ListPosition{.after = std::string(entries.back().name)};
      break;
    }
    entries.push_back({.name = bucket.name, .created_ms = bucket.created.milliseconds()});
  }
  std::string document;
  s3::write_list_buckets(request, shown_owner(call), entries, next, document);
  co_return co_await respond_xml(call, 200, std::move(document));
}

}  // namespace fb::api
