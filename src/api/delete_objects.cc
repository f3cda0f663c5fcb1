// SPDX-License-Identifier: Apache-2.0
// DeleteObjects: up to 1000 keys in one journal record. What one key is refused for does not touch the
// others.

#include "api/object_response.h"
#include "api/operations.h"
#include "api/request_body.h"

namespace fb::api {

Task<S3Result<void>> delete_objects(Call& call) {
  FB_CO_TRY(const s3::DeleteObjectsRequest request, s3::parse_delete_objects(parse_context(call)));
  FB_CO_TRY(const std::string text,
            co_await read_small_body(call, {.content_md5 = request.content_md5, .checksum = request.checksum},
                                     s3::kDeleteBodySizeMax));
  FB_CO_TRY(const s3::DeleteBody body, s3::parse_delete_body(text));
  std::vector<Mutation> mutations;
  std::vector<s3::DeletedKey> keys;
  mutations.reserve(body.items.size());
  keys.reserve(body.items.size());
  for (const s3::DeleteItem& item : body.items) {
    keys.push_back(
        {.key = item.key, .version_id = item.version_id, .failure = item.refusal ? &*item.refusal : nullptr});
    if (!item.refusal)
      mutations.push_back({.kind = Mutation::Kind::erase, .space = Space::objects, .key = item.key});
  }
  static_assert(s3::kDeleteKeysMax <= kCommitMutationsMax);
  if (!mutations.empty()) {
    FB_CO_TRY(const auto done,
              as_s3(co_await call.services.names.commit(call.context(), call.bucket, mutations)));
    FB_ASSERT(done.size() == mutations.size(), done.size(), mutations.size());
  }
  std::string document;
  s3::write_delete_result(body.quiet, keys, document);
  co_return co_await respond_xml(call, 200, std::move(document));
}

}  // namespace fb::api
