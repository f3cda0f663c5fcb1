// SPDX-License-Identifier: Apache-2.0
#include "io/portable/file_workers.h"

#include <pthread.h>

#include <algorithm>

#include "io/system_calls.h"

namespace fb {

void FileWorkers::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void FileWorkers::submit(IoRequest& request) {
  while (threads_.size() < kThreads) {
    threads_.emplace_back([this] { work(); });
    pthread_setname_np(threads_.back().native_handle(), "fb-file");
  }
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(&request);
  }
  changed_.notify_one();
}

bool FileWorkers::withdraw(IoRequest& request) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(waiting_, &request);
  if (found == waiting_.end()) return false;
  waiting_.erase(found);
  return true;
}

void FileWorkers::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    IoRequest& request = *waiting_.front();
    waiting_.pop_front();
    lock.unlock();
    request.env_word[0] = static_cast<uint64_t>(run_file_operation(request));
    finished_(request);
    lock.lock();
  }
}

}  // namespace fb
