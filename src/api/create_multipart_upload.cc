// SPDX-License-Identifier: Apache-2.0
#include "api/object_response.h"
#include "api/operations.h"
#include "api/request_body.h"
#include "api/upload.h"

namespace fb::api {

Task<S3Result<void>> create_multipart_upload(Call& call) {
  FB_CO_TRY(const s3::CreateMultipartUploadRequest request,
            s3::parse_create_multipart_upload(parse_context(call)));
  UploadRecord record{
      .initiated = call.services.env.wall_clock(), .metadata = request.metadata, .owner = call.owner};
  if (request.checksum_kind) {
    record.checksum_algorithm = to_record(*request.checksum_kind);
    record.checksum_composite = request.checksum_type == s3::ChecksumType::composite;
    call.exchange.headers().add("x-amz-checksum-algorithm", s3::checksum_name(*request.checksum_kind));
    call.exchange.headers().add("x-amz-checksum-type", s3::to_string(request.checksum_type));
  }
  const std::string upload_id = make_upload_id(call.services.env, record.initiated);
  const std::string key = upload_key(request.key, upload_id);
  const std::string bytes = record.encode();
  FB_CO_CHECK(
      as_s3(co_await call.services.names.apply(call.context(), call.bucket,
                                               {.kind = Mutation::Kind::put,
                                                .space = Space::uploads,
                                                .key = key,
                                                .record = bytes,
                                                .condition = {.kind = Condition::Kind::must_not_exist}})));
  std::string document;
  s3::write_initiate_multipart_upload_result(request.bucket, request.key, upload_id, document);
  co_return co_await respond_xml(call, 200, std::move(document));
}

}  // namespace fb::api
