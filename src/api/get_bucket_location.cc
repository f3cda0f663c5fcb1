// SPDX-License-Identifier: Apache-2.0
#include "api/object_response.h"
#include "api/operations.h"

namespace fb::api {

Task<S3Result<void>> get_bucket_location(Call& call) {
  FB_CO_CHECK(s3::parse_bucket_request(parse_context(call)));
  std::string document;
  s3::write_bucket_location(document);
  co_return co_await respond_xml(call, 200, std::move(document));
}

}  // namespace fb::api
