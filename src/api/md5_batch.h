// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <coroutine>
#include <vector>

#include "io/env.h"
#include "s3/checksum/md5_lanes.h"

namespace fb::api {

// The MD5s of bodies that came to one core in the same turn of its loop, computed together: `co_await
// batch.digest(bytes)` goes on in the next pass over what is ready, when all of this one have handed theirs
// in. The bytes must stay until then. One core's.
class Md5Batch {
 public:
  // Larger bodies are hashed as they arrive: one of them would hold up the others.
  static constexpr size_t kBytesMax = 64 * kKiB;

  explicit Md5Batch(Env& env) : env_(env) {}

  // The first that waits is resumed by the loop, and does the work for all.
  class Awaiter {
   public:
    Awaiter(Md5Batch& batch, s3::Bytes bytes) : batch_(batch), message_{.bytes = bytes} {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter);
    s3::Md5Digest await_resume();

   private:
    friend class Md5Batch;
    Md5Batch& batch_;
    s3::Md5Message message_;
    std::coroutine_handle<> waiter_;
    bool leads_ = false;
  };
  Awaiter digest(s3::Bytes bytes) { return {*this, bytes}; }

 private:
  void run();

  Env& env_;
  std::vector<Awaiter*> waiting_;
  std::vector<s3::Md5Message> messages_;  // kept for its memory
};

}  // namespace fb::api
