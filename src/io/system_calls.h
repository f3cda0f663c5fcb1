// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>
#include <sys/stat.h>

#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "io/endpoint.h"
#include "io/io_request.h"

// System calls that the real environments share. All answer as an IoRequest does: a count, a handle or
// -errno.

namespace fb {

// Performs any operation on files or names by blocking calls.
int64_t run_file_operation(IoRequest& request);

// Like fstat(2): 0, or -1 and errno. ThreadSanitizer watches fstat(2) itself and does not see the ring open
// and close: it would mistake a file for another thread's socket that had the same number before.
int file_status(int handle, struct stat& status);

socklen_t to_socket_address(const Endpoint& endpoint, sockaddr_storage& out);
Endpoint from_socket_address(const sockaddr_storage& address);
Endpoint peer_of(int socket);

// A TCP socket for a connection to `endpoint`, with TCP_NODELAY.
int64_t make_socket(const Endpoint& endpoint, bool nonblocking);

// Lets this process open as many files and sockets as the system allows it to: shells commonly start programs
// with room for 1,024. Returns the new limit; 0: not known.
uint64_t raise_open_files_limit();

// The next signal of `signal_fd`, which does not block; -EAGAIN if none is pending.
int64_t read_signal(int signal_fd);

// The endpoints this process listens on. All cores listen on the same one by SO_REUSEPORT, which would also
// let another process of the same user in silently; so the first of our sockets on an endpoint is bound
// without it first. Used by all cores, rarely, under a lock.
class ListenRegistry {
 public:
  // A listening socket, or -EADDRINUSE; `bound` is the endpoint with its port.
  int64_t open(const Endpoint& endpoint, bool nonblocking, Endpoint& bound);
  void closed(const Endpoint& bound);

 private:
  std::mutex mutex_;
  std::vector<std::pair<Endpoint, unsigned>> counts_;
};

}  // namespace fb
