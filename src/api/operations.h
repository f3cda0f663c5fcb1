// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/call.h"

// One function an operation of S3, each in a file of its name. It sends the response itself; where it returns
// a failure before the response has begun, the caller sends the error document.

namespace fb::api {

Task<S3Result<void>> list_buckets(Call& call);
Task<S3Result<void>> create_bucket(Call& call);
Task<S3Result<void>> delete_bucket(Call& call);
Task<S3Result<void>> head_bucket(Call& call);
Task<S3Result<void>> get_bucket_location(Call& call);
Task<S3Result<void>> list_objects(Call& call);
Task<S3Result<void>> list_objects_v2(Call& call);
Task<S3Result<void>> delete_objects(Call& call);
Task<S3Result<void>> put_object(Call& call);
Task<S3Result<void>> get_object(Call& call);  // and HeadObject
Task<S3Result<void>> delete_object(Call& call);
Task<S3Result<void>> copy_object(Call& call);
Task<S3Result<void>> rename_object(Call& call);  // and directories
Task<S3Result<void>> create_multipart_upload(Call& call);
Task<S3Result<void>> upload_part(Call& call);
Task<S3Result<void>> upload_part_copy(Call& call);
Task<S3Result<void>> complete_multipart_upload(Call& call);
Task<S3Result<void>> abort_multipart_upload(Call& call);
Task<S3Result<void>> list_parts(Call& call);
Task<S3Result<void>> list_multipart_uploads(Call& call);

}  // namespace fb::api
