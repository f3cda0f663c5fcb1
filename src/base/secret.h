// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace fb {

// A string that must not reach logs: it has no formatter and no stream operator, and its bytes are wiped at
// its end.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  Secret(const Secret&) = default;
  Secret(Secret&&) = default;
  Secret& operator=(const Secret&) = default;
  Secret& operator=(Secret&&) = default;
  ~Secret() {
    volatile char* bytes = value_.data();
    for (size_t i = 0; i < value_.size(); ++i) bytes[i] = 0;
  }
  bool empty() const { return value_.empty(); }
  // The only way to the bytes: for computing signatures and for the one place that shows a new key to its
  // owner.
  std::string_view reveal() const { return value_; }

 private:
  std::string value_;
};

}  // namespace fb
