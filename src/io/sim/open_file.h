// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "io/sim/sim_file.h"

namespace fb::sim {

// An open file description: a handle refers to it, and so does every operation in flight that goes through
// it, even one that has outlived its process. Its lock ends with the last of them, as the kernel's flock
// does.
class OpenFile {
 public:
  enum class Lock : uint8_t { none, shared, exclusive };

  OpenFile(std::shared_ptr<SimFile> file_in, bool direct_in, bool writable_in)
      : file(std::move(file_in)), direct(direct_in), writable(writable_in) {}
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { unlock(); }

  const std::shared_ptr<SimFile> file;
  const bool direct;
  const bool writable;

  // False if another description's lock is in the way; this description then loses the lock it had.
  bool lock(Lock wanted);
  void unlock();

 private:
  Lock lock_ = Lock::none;
};
using OpenFilePtr = std::shared_ptr<OpenFile>;

}  // namespace fb::sim
