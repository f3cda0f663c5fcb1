// SPDX-License-Identifier: Apache-2.0
#include "api/store_part.h"

#include <array>

namespace fb::api {

Task<S3Result<void>> store_part(Call& call, std::string_view object_key, std::string_view upload_id,
                                const OpenUpload& open, uint32_t number, const PartRecord& part,
                                StoredContent& content) {
  const std::string upload = upload_key(object_key, upload_id);
  const std::string key = part_key(upload_id, static_cast<uint16_t>(number));
  const std::string bytes = part.encode();
  const std::array mutations = {
      Mutation{.kind = Mutation::Kind::put,
               .space = Space::uploads,
               .key = upload,
               .record = open.found.record,
               .condition = {.kind = Condition::Kind::must_exist}},
      Mutation{.kind = Mutation::Kind::put, .space = Space::parts, .key = key, .record = bytes},
  };
  const auto done = co_await call.services.names.commit(call.context(), call.bucket, mutations);
  content.settle(done);
  if (!done) {
    if (done.error().is(NamespaceError::precondition_failed) || done.error().is(NamespaceError::not_found)) {
      co_return S3Failure(S3Error::NoSuchUpload).with("UploadId", upload_id);
    }
    co_return to_failure(done.error());
  }
  co_return S3Result<void>();
}

}  // namespace fb::api
