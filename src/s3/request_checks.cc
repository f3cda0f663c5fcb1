// SPDX-License-Identifier: Apache-2.0
#include "s3/request_checks.h"

#include "s3/query_values.h"

namespace fb::s3 {

S3Result<void> check_write(const ParseContext& context) {
  FB_CHECK(check_unsupported_headers(context.head, context.account_id));
  if (const std::string_view name = find_write_condition(context.head); !name.empty()) {
    return unsupported_condition(name, "this operation takes no conditions");
  }
  return check_version_id(context.route.query);
}

S3Result<WriteCondition> check_conditional_write(const ParseContext& context) {
  FB_CHECK(check_unsupported_headers(context.head, context.account_id));
  FB_TRY(const WriteCondition condition, WriteCondition::of_request(context.head));
  FB_CHECK(check_version_id(context.route.query));
  return condition;
}

}  // namespace fb::s3
