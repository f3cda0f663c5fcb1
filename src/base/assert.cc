// SPDX-License-Identifier: Apache-2.0
#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace fb {

void assertion_failed(const char* expression, const char* file, int line, const std::string& values) {
  std::fprintf(stderr, "assertion failed: %s at %s:%d%s\n", expression, file, line, values.c_str());
  std::fflush(stderr);
  std::abort();
}

}  // namespace fb
