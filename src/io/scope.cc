// SPDX-License-Identifier: Apache-2.0
#include "io/scope.h"

namespace fb {

Scope::~Scope() {
  FB_ASSERT(count_ == 0 || env_.abandoned(), count_);
  while (first_ != nullptr) {
    Child* child = std::exchange(first_, first_->next);
    delete child;
  }
}

void Scope::link(Child* child) {
  child->next = first_;
  if (first_ != nullptr) first_->previous = child;
  first_ = child;
  ++count_;
}

// Called at the child's final suspension; the frame is suspended, so it may be destroyed here.
void Scope::child_done(void* argument) {
  Child* child = static_cast<Child*>(argument);
  Scope& scope = *child->scope;
  if (child->previous != nullptr) {
    child->previous->next = child->next;
  } else {
    scope.first_ = child->next;
  }
  if (child->next != nullptr) child->next->previous = child->previous;
  delete child;
  --scope.count_;
  if (scope.count_ == 0 && scope.joiner_) scope.env_.schedule(std::exchange(scope.joiner_, {}));
}

}  // namespace fb
