// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "io/file.h"

namespace fb {

// Claims: no write of a process that died may land in a file once its successor has read it.
//
// A direct write that the kernel has begun goes on when its process is killed, for as long as the device
// takes. Everything else of a process has ended when its lock files are free: system calls run in its
// threads, and so do the requests that io_uring hands to its workers. Such a write holds a reference to the
// *open file description* that it goes through, and a flock ends with the last reference to its description.
// So a process that writes a file directly holds a flock on the description that it writes through, and takes
// it before it reads the file or changes it in any way. Once the lock is granted, all writes of former
// processes have landed or never will. docs/io.md has the argument in full.
//
// The simulator keeps locks by the same rule and lets writes land up to seconds after their process.

inline constexpr uint32_t kSharedLock = 4;  // IoRequest::flags of IoKind::lock

struct ClaimOptions {
  // Several descriptions of one process may write: each holds a shared lock, after the first has been
  // exclusive.
  bool shared = false;
  // How long a claim waits for writes in flight before it is IoError::in_use.
  Duration patience = Duration::seconds(60);
};
Task<Result<void>> claim(Env& env, const File& file, const ClaimOptions& options = {});

// File::open for direct writing in a folder that this process alone uses: opens, claims, and only then
// truncates. Files of a mount are claimed together with the file or device that the mount lies in.
Task<Result<File>> open_claimed(Env& env, const std::string& path, OpenOptions options);

}  // namespace fb
