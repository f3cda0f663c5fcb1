// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <cstring>

namespace fb {

std::string Error::to_string() const {
  std::string text = fmt::format("{}.{}", domain_->name, domain_->code_name(code_));
  if (os_errno_ != 0) {
    char buffer[128];
    text += fmt::format(" (errno {}, {})", os_errno_, strerror_r(os_errno_, buffer, sizeof(buffer)));
  }
  return text + fmt::format(" at {}:{}", file_, line_);
}

}  // namespace fb
