// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/request_head.h"

// Requests for tests and fuzz targets, from text (which must outlive them) such as
//
//   GET /test.txt?a=b
//   Host: examplebucket.s3.amazonaws.com
//   Range: bytes=0-9

namespace fb::s3 {

class TestRequest {
 public:
  explicit TestRequest(std::string&&) = delete;  // would be gone before the request is
  explicit TestRequest(const char* text) : TestRequest(std::string_view(text)) {}
  explicit TestRequest(std::string_view text) {
    std::string_view line = take_line(text);
    const size_t space = line.find(' ');
    head_.method = line.substr(0, space);
    head_.target = space == line.npos ? std::string_view() : line.substr(space + 1);
    split_target();
    while (!text.empty()) {
      line = take_line(text);
      const size_t colon = line.find(':');
      if (colon != line.npos) add(line.substr(0, colon), ascii_trim(line.substr(colon + 1)));
    }
  }
  TestRequest(const TestRequest&) = delete;
  TestRequest& operator=(const TestRequest&) = delete;

  const RequestHead& head() {
    head_.headers = fields_;
    return head_;
  }
  // `name` and `value` must outlive the request, here and below.
  void add(std::string_view name, std::string_view value) { fields_.push_back({name, value}); }
  void set_target(std::string_view target) {
    head_.target = target;
    split_target();
  }
  std::vector<HeaderField>& fields() { return fields_; }

 private:
  static std::string_view take_line(std::string_view& text) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
    return line;
  }
  void split_target() {
    const size_t question = head_.target.find('?');
    head_.path = head_.target.substr(0, question);
    head_.query = question == head_.target.npos ? std::string_view() : head_.target.substr(question + 1);
  }

  RequestHead head_;
  std::vector<HeaderField> fields_;
};

}  // namespace fb::s3
