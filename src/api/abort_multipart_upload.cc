// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "api/object_response.h"
#include "api/operations.h"
#include "api/upload.h"

namespace fb::api {

Task<S3Result<void>> abort_multipart_upload(Call& call) {
  FB_CO_TRY(const s3::AbortMultipartUploadRequest request,
            s3::parse_abort_multipart_upload(parse_context(call)));
  OpenUpload upload;
  FB_CO_CHECK(co_await open_upload(call, request.key, request.upload_id, upload));
  const std::string key = upload_key(request.key, request.upload_id);
  const std::array mutations = {
      Mutation{.kind = Mutation::Kind::erase,
               .space = Space::uploads,
               .key = key,
               .condition = {.kind = Condition::Kind::must_exist}},
      Mutation{.kind = Mutation::Kind::erase_prefix, .space = Space::parts, .key = request.upload_id},
  };
  const auto done = co_await call.services.names.commit(call.context(), call.bucket, mutations);
  if (!done) {
    if (done.error().is(NamespaceError::precondition_failed) || done.error().is(NamespaceError::not_found)) {
      co_return S3Failure(S3Error::NoSuchUpload).with("UploadId", request.upload_id);
    }
    co_return to_failure(done.error());
  }
  co_return co_await respond_empty(call, 204);
}

}  // namespace fb::api
