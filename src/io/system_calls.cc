// SPDX-License-Identifier: Apache-2.0
#include "io/system_calls.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "io/claim.h"

namespace fb {
namespace {

constexpr int kListenBacklog = 4096;
constexpr mode_t kDirectoryMode = 0700;

int64_t answer(int64_t result) { return result < 0 ? -errno : result; }

template <class Call>
int64_t retry(Call&& call) {
  for (;;) {
    const int64_t result = answer(call());
    if (result != -EINTR) return result;
  }
}

int64_t open_file(IoRequest& request) {
  auto flags = static_cast<int>(request.flags);
  const auto mode = static_cast<mode_t>(request.length);
  int64_t handle = retry([&] { return ::open(request.path, flags, mode); });
  if (handle == -EINVAL && (flags & O_DIRECT) != 0) {
    flags &= ~O_DIRECT;
    handle = retry([&] { return ::open(request.path, flags, mode); });
  }
  request.direct_granted = handle >= 0 && (flags & O_DIRECT) != 0;
  return handle;
}

int64_t write_file(const IoRequest& request) {
  const iovec vector{.iov_base = request.data, .iov_len = request.length};
  const int flags = (request.flags & IoRequest::kDurable) != 0 ? RWF_DSYNC : 0;
  return retry(
      [&] { return ::pwritev2(request.handle, &vector, 1, static_cast<off_t>(request.offset), flags); });
}

int64_t write_vectors(const IoRequest& request) {
  const int flags = (request.flags & IoRequest::kDurable) != 0 ? RWF_DSYNC : 0;
  return retry([&] {
    return ::pwritev2(request.handle, request.vectors, static_cast<int>(request.vector_count),
                      static_cast<off_t>(request.offset), flags);
  });
}

// The folder is opened by open(2) and not opendir(3): ThreadSanitizer does not see opendir(3) make its
// descriptor, and would mistake it for another thread's file that had the same number and that the ring has
// closed since.
int64_t read_directory(const IoRequest& request) {
  const int handle = ::open(request.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (handle < 0) return -errno;
  DIR* directory = ::fdopendir(handle);
  if (directory == nullptr) {
    const int error = errno;
    ::close(handle);
    return -error;
  }
  auto& names = *static_cast<std::vector<std::string>*>(request.out);
  int64_t result = 0;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory);
    if (entry == nullptr) {
      result = -errno;
      break;
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(directory);
  return result;
}

int64_t stat_file(const IoRequest& request) {
  struct stat status{};
  const int64_t result = answer(file_status(request.handle, status));
  if (result < 0) return result;
  auto size_bytes = static_cast<uint64_t>(status.st_size);
  const bool block_device = S_ISBLK(status.st_mode);
  if (block_device && ::ioctl(request.handle, BLKGETSIZE64, &size_bytes) != 0) return -errno;
  *static_cast<FileStat*>(request.out) = {
      .size_bytes = size_bytes, .directory = S_ISDIR(status.st_mode), .block_device = block_device};
  return 0;
}

int64_t stat_file_system(const IoRequest& request) {
  struct statfs status{};
  const int64_t result = answer(::statfs(request.path, &status));
  if (result < 0) return result;
  const auto block_bytes = static_cast<uint64_t>(status.f_frsize != 0 ? status.f_frsize : status.f_bsize);
  const auto type = static_cast<uint32_t>(status.f_type);
  *static_cast<FileSystemSpace*>(request.out) = {
      .total_bytes = uint64_t{status.f_blocks} * block_bytes,
      .available_bytes = uint64_t{status.f_bavail} * block_bytes,
      .overwrites_in_place = type == EXT4_SUPER_MAGIC || type == XFS_SUPER_MAGIC};
  return 0;
}

// The kernel accepts at most this much data that it cannot send yet, though its buffer would have room for
// megabytes. So the sends to a client that reads steadily progress steadily, not once in a second.
constexpr int kUnsentBytesMax = 64 * 1024;

int address_family(const Endpoint& endpoint) { return endpoint.is_ipv4() ? AF_INET : AF_INET6; }

int64_t set_option(int socket, int level, int option, int value) {
  return answer(::setsockopt(socket, level, option, &value, sizeof value));
}

// A bound socket, not yet listening.
int64_t bind_socket(const Endpoint& endpoint, bool nonblocking, bool shared_port) {
  const int type = SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0);
  const int64_t made = answer(::socket(address_family(endpoint), type, 0));
  if (made < 0) return made;
  const auto socket = static_cast<int>(made);
  int64_t result = set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  if (result >= 0 && shared_port) result = set_option(socket, SOL_SOCKET, SO_REUSEPORT, 1);
  if (result >= 0 && !endpoint.is_ipv4()) result = set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  // Accepted sockets inherit both.
  if (result >= 0) result = set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  if (result >= 0) result = set_option(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, kUnsentBytesMax);
  if (result >= 0) {
    sockaddr_storage address{};
    const socklen_t length = to_socket_address(endpoint, address);
    result = answer(::bind(socket, reinterpret_cast<const sockaddr*>(&address), length));
  }
  if (result >= 0) return socket;
  ::close(socket);
  return result;
}

}  // namespace

int64_t run_file_operation(IoRequest& request) {
  const int handle = request.handle;
  const auto offset = static_cast<off_t>(request.offset);
  const auto length = static_cast<off_t>(request.length);
  switch (request.kind) {
    case IoKind::open:
      return open_file(request);
    case IoKind::close:
      return answer(::close(handle));
    case IoKind::read:
      return retry([&] { return ::pread(handle, request.data, request.length, offset); });
    case IoKind::write:
      return write_file(request);
    case IoKind::writev:
      return write_vectors(request);
    case IoKind::sync:
      if ((request.flags & IoRequest::kFullSync) != 0) return retry([&] { return ::fsync(handle); });
      return retry([&] { return ::fdatasync(handle); });
    case IoKind::allocate:
      return retry([&] { return ::fallocate(handle, 0, offset, length); });
    case IoKind::truncate:
      return retry([&] { return ::ftruncate(handle, length); });
    case IoKind::stat:
      return stat_file(request);
    case IoKind::rename:
      return answer(::rename(request.path, request.path2));
    case IoKind::unlink:
      return answer(::unlink(request.path));
    case IoKind::make_directory:
      return answer(::mkdir(request.path, kDirectoryMode));
    case IoKind::list_directory:
      return read_directory(request);
    case IoKind::lock:
      return retry([&] {
        return ::flock(handle, ((request.flags & kSharedLock) != 0 ? LOCK_SH : LOCK_EX) | LOCK_NB);
      });
    case IoKind::statfs:
      return stat_file_system(request);
    default:
      FB_UNREACHABLE();
  }
}

int file_status(int handle, struct stat& status) {
  return static_cast<int>(::syscall(SYS_newfstatat, handle, "", &status, AT_EMPTY_PATH));
}

socklen_t to_socket_address(const Endpoint& endpoint, sockaddr_storage& out) {
  if (endpoint.is_ipv4()) {
    auto& ipv4 = reinterpret_cast<sockaddr_in&>(out);
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = htons(endpoint.port);
    std::memcpy(&ipv4.sin_addr, endpoint.address.data() + 12, 4);
    return sizeof(sockaddr_in);
  }
  auto& ipv6 = reinterpret_cast<sockaddr_in6&>(out);
  ipv6.sin6_family = AF_INET6;
  ipv6.sin6_port = htons(endpoint.port);
  std::memcpy(&ipv6.sin6_addr, endpoint.address.data(), 16);
  return sizeof(sockaddr_in6);
}

Endpoint from_socket_address(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& ipv4 = reinterpret_cast<const sockaddr_in&>(address);
    std::array<uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &ipv4.sin_addr, bytes.size());
    return Endpoint::ipv4(bytes[0], bytes[1], bytes[2], bytes[3], ntohs(ipv4.sin_port));
  }
  Endpoint endpoint;
  if (address.ss_family == AF_INET6) {
    const auto& ipv6 = reinterpret_cast<const sockaddr_in6&>(address);
    std::memcpy(endpoint.address.data(), &ipv6.sin6_addr, endpoint.address.size());
    endpoint.port = ntohs(ipv6.sin6_port);
  }
  return endpoint;
}

Endpoint peer_of(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  // A peer that is gone already has no name; the first receive will tell.
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return {};
  return from_socket_address(address);
}

int64_t make_socket(const Endpoint& endpoint, bool nonblocking) {
  const int type = SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0);
  const int64_t socket = answer(::socket(address_family(endpoint), type, 0));
  if (socket >= 0) set_option(static_cast<int>(socket), IPPROTO_TCP, TCP_NODELAY, 1);
  return socket;
}

uint64_t raise_open_files_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  if (limit.rlim_cur >= limit.rlim_max) return limit.rlim_cur;
  const rlim_t before = std::exchange(limit.rlim_cur, limit.rlim_max);
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
}

int64_t read_signal(int signal_fd) {
  signalfd_siginfo info{};
  const int64_t count = retry([&] { return ::read(signal_fd, &info, sizeof info); });
  return count < 0 ? count : info.ssi_signo;
}

int64_t ListenRegistry::open(const Endpoint& endpoint, bool nonblocking, Endpoint& bound) {
  const std::lock_guard lock(mutex_);
  auto known = std::ranges::find(counts_, endpoint, &std::pair<Endpoint, unsigned>::first);
  if (known == counts_.end() && endpoint.port != 0) {
    const int64_t alone = bind_socket(endpoint, nonblocking, false);
    if (alone < 0) return alone;
    ::close(static_cast<int>(alone));
  }
  const int64_t made = bind_socket(endpoint, nonblocking, true);
  if (made < 0) return made;
  const auto socket = static_cast<int>(made);
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  int64_t result = answer(::listen(socket, kListenBacklog));
  if (result >= 0) result = answer(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length));
  if (result < 0) {
    ::close(socket);
    return result;
  }
  bound = from_socket_address(address);
  known = std::ranges::find(counts_, bound, &std::pair<Endpoint, unsigned>::first);
  if (known == counts_.end()) {
    counts_.emplace_back(bound, 1);
  } else {
    ++known->second;
  }
  return socket;
}

void ListenRegistry::closed(const Endpoint& bound) {
  const std::lock_guard lock(mutex_);
  const auto known = std::ranges::find(counts_, bound, &std::pair<Endpoint, unsigned>::first);
  FB_ASSERT(known != counts_.end());
  if (--known->second == 0) counts_.erase(known);
}

}  // namespace fb
