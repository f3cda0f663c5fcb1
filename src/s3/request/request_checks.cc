// SPDX-License-Identifier: Apache-2.0
#include "s3/request/request_checks.h"

namespace fb::s3 {

S3Result<void> check_write(const ParseContext& context) {
  if (const std::string_view name = find_write_condition(context.head); !name.empty()) {
    return unsupported_condition(name, "this operation takes no conditions");
  }
  return {};
}

}  // namespace fb::s3
