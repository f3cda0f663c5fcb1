// SPDX-License-Identifier: Apache-2.0
#include "s3/request_checks.h"

#include "s3/query_values.h"

namespace fb::s3 {

S3Result<void> check_write(const ParseContext& context) {
  FB_CHECK(check_unsupported_headers(context.head, context.account_id));
  if (const std::string_view name = find_write_condition(context.head); !name.empty()) {
    return S3Failure(S3Error::NotImplemented,
                     fmt::format("Conditional writes ({}) are not implemented here.", name))
        .with("Header", name);
  }
  return check_version_id(context.route.query);
}

}  // namespace fb::s3
