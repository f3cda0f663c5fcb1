// SPDX-License-Identifier: Apache-2.0
#include "io/io_request.h"

#include <cstddef>
#include <type_traits>

#include "io/env.h"

namespace fb {
namespace {

static_assert(std::is_standard_layout_v<IoRequest>);

// The request that a timer or callback is part of.
IoRequest& request_of(void* member, size_t offset) {
  return *reinterpret_cast<IoRequest*>(static_cast<std::byte*>(member) - offset);
}

}  // namespace

IoRequest::~IoRequest() { FB_ASSERT(state != State::in_flight || env->abandoned(), kind); }

void IoRequest::on_timer(Timer& timer) {
  IoRequest& request = request_of(&timer, offsetof(IoRequest, timer));
  request.timed_out = true;
  request.env->cancel(request);
}

void IoRequest::on_cancelled(CancelCallback& callback) {
  IoRequest& request = request_of(&callback, offsetof(IoRequest, on_cancel));
  request.timed_out = false;
  request.env->cancel(request);
}

}  // namespace fb
