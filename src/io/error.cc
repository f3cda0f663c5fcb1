// SPDX-License-Identifier: Apache-2.0
#include "io/error.h"

#include <cerrno>

namespace fb {

std::string_view to_string(IoError code) {
  switch (code) {
    case IoError::failed:
      return "failed";
    case IoError::not_found:
      return "not_found";
    case IoError::exists:
      return "exists";
    case IoError::no_space:
      return "no_space";
    case IoError::media:
      return "media";
    case IoError::end_of_file:
      return "end_of_file";
    case IoError::connection_lost:
      return "connection_lost";
    case IoError::refused:
      return "refused";
    case IoError::timed_out:
      return "timed_out";
    case IoError::cancelled:
      return "cancelled";
    case IoError::in_use:
      return "in_use";
    case IoError::permission:
      return "permission";
    case IoError::unsupported:
      return "unsupported";
    case IoError::limit:
      return "limit";
  }
  return "unknown";
}

Error io_error(int os_errno, std::source_location where) {
  const auto make = [&](IoError code) { return Error(code, os_errno, where); };
  switch (os_errno) {
    case ENOENT:
      return make(IoError::not_found);
    case EEXIST:
      return make(IoError::exists);
    case ENOSPC:
    case EDQUOT:
      return make(IoError::no_space);
    case EIO:
      return make(IoError::media);
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN:
    case ECONNABORTED:
      return make(IoError::connection_lost);
    case ECONNREFUSED:
      return make(IoError::refused);
    case ETIMEDOUT:
      return make(IoError::timed_out);
    case ECANCELED:
      return make(IoError::cancelled);
    case EADDRINUSE:
    case EBUSY:
    case EWOULDBLOCK:
      return make(IoError::in_use);
    case EACCES:
    case EPERM:
      return make(IoError::permission);
    case EOPNOTSUPP:
    case ENOSYS:
      return make(IoError::unsupported);
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return make(IoError::limit);
    default:
      return make(IoError::failed);
  }
}

}  // namespace fb
