// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "io/io_request.h"

namespace fb {

// Requests that wait for something other than the kernel, first in first out, chained by IoRequest::next.
class RequestList {
 public:
  bool empty() const { return first_ == nullptr; }

  void push(IoRequest& request) {
    request.next = nullptr;
    (last_ == nullptr ? first_ : last_->next) = &request;
    last_ = &request;
  }

  IoRequest& pop() {
    FB_ASSERT(first_ != nullptr);
    IoRequest& request = *first_;
    first_ = request.next;
    if (first_ == nullptr) last_ = nullptr;
    return request;
  }

  // True if it was in the list.
  bool remove(const IoRequest& request) {
    IoRequest* previous = nullptr;
    for (IoRequest* at = first_; at != nullptr; previous = at, at = at->next) {
      if (at != &request) continue;
      (previous == nullptr ? first_ : previous->next) = at->next;
      if (last_ == at) last_ = previous;
      return true;
    }
    return false;
  }

 private:
  IoRequest* first_ = nullptr;
  IoRequest* last_ = nullptr;
};

}  // namespace fb
