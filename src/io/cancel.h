// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/assert.h"
#include "io/teardown.h"

namespace fb {

class CancelSource;

// Called once when the source it is registered with is cancelled. Intrusive: lives in the waiter, no
// allocation.
class CancelCallback {
 public:
  using Function = void (*)(CancelCallback&);
  explicit CancelCallback(Function function) : function_(function) {}
  CancelCallback(const CancelCallback&) = delete;
  CancelCallback& operator=(const CancelCallback&) = delete;
  ~CancelCallback() { unregister(); }
  void unregister();

 private:
  friend class CancelSource;
  Function function_;
  CancelSource* source_ = nullptr;
  CancelCallback* previous_ = nullptr;
  CancelCallback* next_ = nullptr;
};

// Cancels the operations that were started with its token. One core only. An I/O in flight is cancelled and
// then still awaited, because the kernel owns its buffer until it completes; the waiter sees
// IoError::cancelled.
class CancelSource {
 public:
  CancelSource() = default;
  CancelSource(const CancelSource&) = delete;
  CancelSource& operator=(const CancelSource&) = delete;
  ~CancelSource() {
    FB_ASSERT(first_ == nullptr || detail::teardown_in_progress);
    while (first_ != nullptr) first_->unregister();
  }

  bool cancelled() const { return cancelled_; }
  void cancel() {
    cancelled_ = true;
    while (first_ != nullptr) {
      CancelCallback& callback = *first_;
      callback.unregister();
      callback.function_(callback);
    }
  }
  void register_callback(CancelCallback& callback) {
    FB_ASSERT(!cancelled_);
    FB_ASSERT(callback.source_ == nullptr);
    callback.source_ = this;
    callback.next_ = first_;
    callback.previous_ = nullptr;
    if (first_ != nullptr) first_->previous_ = &callback;
    first_ = &callback;
  }

 private:
  friend class CancelCallback;
  CancelCallback* first_ = nullptr;
  bool cancelled_ = false;
};

inline void CancelCallback::unregister() {
  if (source_ == nullptr) return;
  if (previous_ != nullptr) {
    previous_->next_ = next_;
  } else {
    source_->first_ = next_;
  }
  if (next_ != nullptr) next_->previous_ = previous_;
  source_ = nullptr;
  previous_ = nullptr;
  next_ = nullptr;
}

// The form in which a source is passed down: a pointer that may be null ("cannot be cancelled").
using CancelToken = CancelSource*;

}  // namespace fb
