// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "io/io_request.h"

namespace fb {

// Threads that run the blocking file operations of one core in the portable environment. They start with the
// first operation. `finished` is called on a worker with the request, whose result is in env_word[0].
class FileWorkers {
 public:
  static constexpr size_t kThreads = 4;

  explicit FileWorkers(std::function<void(IoRequest&)> finished) : finished_(std::move(finished)) {}
  ~FileWorkers() { stop(); }

  void submit(IoRequest& request);
  // True if the request had not begun: it is then withdrawn.
  bool withdraw(IoRequest& request);
  // Returns when no worker runs any more, so that `finished` is not called again.
  void stop();

 private:
  void work();

  std::function<void(IoRequest&)> finished_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<IoRequest*> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace fb
