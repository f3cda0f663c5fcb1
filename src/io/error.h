// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"

namespace fb {

enum class IoError {
  failed,           // the system refused or failed; the errno says how
  not_found,        // ENOENT
  exists,           // EEXIST
  no_space,         // ENOSPC, EDQUOT
  media,            // EIO: the device reports the data unreadable or the write failed
  end_of_file,      // fewer bytes than asked for, but all were needed
  connection_lost,  // the peer closed or reset
  refused,          // connection refused
  timed_out,        // the deadline passed
  cancelled,        // the CancelSource fired
  in_use,           // address in use, or a lock held by another process
  permission,       // EACCES, EPERM
  unsupported,      // this environment or file system cannot
  limit,            // a stated bound (buffers, descriptors) is reached
};

std::string_view to_string(IoError code);

inline const ErrorDomain& error_domain(IoError) {
  static constexpr ErrorDomain kDomain{"io", [](int code) { return to_string(static_cast<IoError>(code)); }};
  return kDomain;
}

// The IoError for a positive errno, which the Error keeps.
Error io_error(int os_errno, std::source_location where = std::source_location::current());

}  // namespace fb
