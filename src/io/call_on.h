// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <coroutine>
#include <optional>
#include <type_traits>

#include "io/scope.h"

namespace fb {

// auto record = co_await call_on(env, owner_core, [&](Env& there) { return table.get(there, key); });
//
// Runs the Task that `function` makes on core `core` and gives its value here. On the caller's own core it
// runs at once, without a message. The caller's frame waits, so the function may read its captures by
// reference; both cores must not change the same thing meanwhile. Messages are queued and delivered in
// batches; delivery orders memory.
template <class Function>
class CallOn {
 public:
  using Value = typename std::invoke_result_t<Function&, Env&>::value_type;

  CallOn(Env& env, unsigned core, Function function)
      : home_(env), core_(core), function_(std::move(function)) {
    message_.owner = this;
  }
  CallOn(const CallOn&) = delete;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) {
    caller_ = caller;
    message_.run = [](CoreMessage& message, Env& there) {
      static_cast<Message&>(message).owner->run_there(there);
    };
    home_.send(core_, message_);
  }
  Value await_resume() {
    if constexpr (!std::is_void_v<Value>) return std::move(*value_);
  }

 private:
  struct Message : CoreMessage {
    CallOn* owner = nullptr;
  };
  static RootTask run(CallOn* self, Env& there) {
    if constexpr (std::is_void_v<Value>) {
      co_await self->function_(there);
    } else {
      self->value_.emplace(co_await self->function_(there));
    }
  }
  void run_there(Env& there) {
    there_ = &there;
    root_ = run(this, there);
    root_.start([](void* self) { static_cast<CallOn*>(self)->finished_there(); }, this);
  }
  void finished_there() {
    root_.destroy();  // the frame belongs to this core
    message_.run = [](CoreMessage& message, Env& here) {
      here.schedule(static_cast<Message&>(message).owner->caller_);
    };
    there_->send(home_.core(), message_);
  }

  Env& home_;
  Env* there_ = nullptr;
  unsigned core_;
  Function function_;
  std::optional<detail::StoredValue<Value>> value_;
  RootTask root_;
  std::coroutine_handle<> caller_;
  Message message_;
};

template <class Function>
Task<typename std::invoke_result_t<Function&, Env&>::value_type> call_on(Env& env, unsigned core,
                                                                         Function function) {
  if (core == env.core()) co_return co_await function(env);
  co_return co_await CallOn<Function>(env, core, std::move(function));
}

}  // namespace fb
