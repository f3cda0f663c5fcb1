// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "io/env.h"

namespace fb {

// Pauses between attempts of one request: each twice as long as the one before up to `pause_max`, of which a
// random share between half and all is waited, so that clients that failed together do not come back
// together.
class Retry {
 public:
  struct Options {
    Duration pause_min = Duration::milliseconds(100);
    Duration pause_max = Duration::seconds(5);
  };
  Retry(Env& env, Instant deadline, const Options& options)
      : env_(env), deadline_(deadline), options_(options), pause_(options.pause_min) {}
  Retry(Env& env, Instant deadline) : Retry(env, deadline, Options()) {}

  // Waits; false, at once, if the pause would end after the deadline, and if `cancel` fires.
  Task<bool> wait(CancelToken cancel = nullptr) {
    const int64_t half = pause_.ns / 2;
    const Duration pause{half + static_cast<int64_t>(env_.random() % static_cast<uint64_t>(half + 1))};
    pause_ = std::min(options_.pause_max, pause_ * 2);
    if (env_.now() + pause >= deadline_) co_return false;
    co_return (co_await sleep_for(env_, pause, cancel)).has_value();
  }

 private:
  Env& env_;
  Instant deadline_;
  Options options_;
  Duration pause_;
};

}  // namespace fb
