// SPDX-License-Identifier: Apache-2.0
#include "io/portable/portable_env.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

#include "base/poison.h"
#include "io/error.h"

namespace fb {
namespace {

constexpr int kEventsPerTurn = 256;
constexpr int64_t kNanosecondsPerMillisecond = 1'000'000;
constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

bool is_file_operation(IoKind kind) { return kind < IoKind::listen && kind != IoKind::close; }

bool waits_to_write(IoKind kind) { return kind == IoKind::send || kind == IoKind::connect; }

// The handle that a waiting request waits for.
int32_t handle_of(const IoRequest& request) {
  return request.kind == IoKind::connect ? static_cast<int32_t>(request.env_word[1]) : request.handle;
}

int64_t socket_answer(ssize_t result) { return result < 0 ? -errno : result; }

}  // namespace

PortableEnv::PortableEnv(const Options& options, LoopShared& shared)
    : LoopEnv(options, shared), workers_([this](IoRequest& request) {
        if (!finished_files_.push(request)) return;
        const uint64_t one = 1;
        FB_ASSERT(::write(event_fd_, &one, sizeof one) == sizeof one || errno == EAGAIN, errno);
      }) {}

Result<std::unique_ptr<PortableEnv>> PortableEnv::create(const Options& options, LoopShared& shared) {
  std::unique_ptr<PortableEnv> env(new PortableEnv(options, shared));
  env->epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
  if (env->epoll_fd_ < 0) return io_error(errno);
  env->event_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (env->event_fd_ < 0) return io_error(errno);
  epoll_event event{.events = EPOLLIN, .data = {.fd = env->event_fd_}};
  if (::epoll_ctl(env->epoll_fd_, EPOLL_CTL_ADD, env->event_fd_, &event) != 0) return io_error(errno);
  return env;
}

PortableEnv::~PortableEnv() {
  workers_.stop();  // they write to event_fd_
  if (epoll_fd_ >= 0) ::close(epoll_fd_);
  if (event_fd_ >= 0) ::close(event_fd_);
}

void PortableEnv::wake(unsigned core) {
  const uint64_t one = 1;
  const int target = static_cast<PortableEnv&>(env_of(core)).event_fd_;
  ++stats_.io_enters;
  FB_ASSERT(::write(target, &one, sizeof one) == sizeof one || errno == EAGAIN, errno);
}

PortableEnv::Watched& PortableEnv::watched(int32_t handle) {
  FB_ASSERT(handle >= 0, handle);
  const auto index = static_cast<size_t>(handle);
  if (index >= watched_.size()) watched_.resize(index + 64);
  return watched_[index];
}

void PortableEnv::submit(IoRequest& request) {
  if (is_file_operation(request.kind)) return workers_.submit(request);
  switch (request.kind) {
    case IoKind::close:
      if (watched(request.handle).socket) return close_socket(request);
      return workers_.submit(request);
    case IoKind::listen: {
      const int64_t handle = open_listener(request, true);
      if (handle >= 0) watched(static_cast<int32_t>(handle)).socket = true;
      return complete(request, handle);
    }
    case IoKind::shutdown:
      return complete(request, socket_answer(::shutdown(request.handle, SHUT_RDWR)));
    case IoKind::finish_sending:
      return complete(request, socket_answer(::shutdown(request.handle, SHUT_WR)));
    case IoKind::connect:
      return begin_connect(request);
    case IoKind::resolve:
      if (const int64_t begun = begin_look_up(request); begun < 0) return complete(request, begun);
      return wait_for(request);
    case IoKind::wait_signal:
      FB_ASSERT(core() == 0, core());
      request.handle = shared().signal_fd;
      break;
    default:
      break;
  }
  if (!attempt(request)) wait_for(request);
}

void PortableEnv::close_socket(IoRequest& request) {
  Watched& socket = watched(request.handle);
  FB_ASSERT(socket.reader == nullptr, request.handle);
  FB_ASSERT(socket.writer == nullptr, request.handle);
  socket = {};
  forget_listener(request.handle);
  complete(request, socket_answer(::close(request.handle)));
}

void PortableEnv::begin_connect(IoRequest& request) {
  const int64_t made = make_socket(*request.endpoint, true);
  if (made < 0) return complete(request, made);
  const auto handle = static_cast<int32_t>(made);
  request.env_word[1] = static_cast<uint64_t>(handle);
  sockaddr_storage address{};
  const socklen_t length = to_socket_address(*request.endpoint, address);
  ++stats_.io_enters;
  if (::connect(handle, reinterpret_cast<const sockaddr*>(&address), length) != 0 && errno != EINPROGRESS) {
    const int64_t result = -errno;
    ::close(handle);
    return complete(request, result);
  }
  watched(handle).socket = true;
  wait_for(request);
}

int64_t PortableEnv::finish_connect(const IoRequest& request) {
  const int32_t handle = handle_of(request);
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(handle, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error == 0) return handle;
  watched(handle) = {};
  ::close(handle);
  return -error;
}

// The look-up's thread may keep the handle open after this.
int64_t PortableEnv::finish_look_up(IoRequest& request, int64_t waited) {
  FB_ASSERT(::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, request.handle, nullptr) == 0, request.handle, errno);
  watched(request.handle) = {};
  return end_look_up(request, waited);
}

int64_t PortableEnv::receive_pooled(IoRequest& request) {
  FB_ASSERT(!pooled_free_.empty());
  const uint32_t id = pooled_free_.back();
  std::byte* memory = pooled_[id].get();
  unpoison_memory(memory, kPooledBytesSize);
  const int64_t count = socket_answer(::recv(request.handle, memory, kPooledBytesSize, MSG_DONTWAIT));
  if (count > 0) {
    pooled_free_.pop_back();
    request.pooled_data = memory;
    request.pooled_id = id;
  } else {
    poison_memory(memory, kPooledBytesSize);
  }
  return count;
}

int64_t PortableEnv::call(IoRequest& request) {
  ++stats_.io_enters;
  switch (request.kind) {
    case IoKind::accept: {
      const int64_t handle =
          socket_answer(::accept4(request.handle, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (handle >= 0) {
        watched(static_cast<int32_t>(handle)) = {.socket = true};
        *static_cast<Endpoint*>(request.out) = peer_of(static_cast<int>(handle));
      }
      return handle;
    }
    case IoKind::receive:
      return socket_answer(::recv(request.handle, request.data, request.length, MSG_DONTWAIT));
    case IoKind::receive_pooled:
      return receive_pooled(request);
    case IoKind::send: {
      msghdr message{};
      message.msg_iov = const_cast<iovec*>(request.vectors);
      message.msg_iovlen = request.vector_count;
      return socket_answer(::sendmsg(request.handle, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
    }
    case IoKind::connect:
      return finish_connect(request);
    case IoKind::wait_signal:
      return read_signal(request.handle);
    case IoKind::resolve: {
      uint64_t count = 0;
      const int64_t result = socket_answer(::read(request.handle, &count, sizeof count));
      return result < 0 ? result : finish_look_up(request, 0);
    }
    default:
      FB_UNREACHABLE();
  }
}

bool PortableEnv::attempt(IoRequest& request) {
  if (request.kind == IoKind::receive_pooled && pooled_free_.empty()) {
    if (pooled_.size() == kPooledBuffers) {
      pool_waiters_.push(request);
      return true;  // it waits, though for a buffer
    }
    pooled_.push_back(std::make_unique_for_overwrite<std::byte[]>(kPooledBytesSize));
    pooled_free_.push_back(static_cast<uint32_t>(pooled_.size() - 1));
  }
  for (;;) {
    const int64_t result = call(request);
    if (result == -EINTR || (result == -ECONNABORTED && request.kind == IoKind::accept)) continue;
    if (result == -EAGAIN) return false;
    complete(request, result);
    return true;
  }
}

void PortableEnv::wait_for(IoRequest& request) {
  const int32_t handle = handle_of(request);
  Watched& entry = watched(handle);
  IoRequest*& slot = waits_to_write(request.kind) ? entry.writer : entry.reader;
  FB_ASSERT(slot == nullptr, handle, request.kind);  // one operation in each direction at a time
  slot = &request;
  if (entry.registered) return;
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.fd = handle}};
  FB_ASSERT(::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, handle, &event) == 0, handle, errno);
  entry.registered = true;
}

void PortableEnv::retry(IoRequest* request) {
  if (request != nullptr && !attempt(*request)) wait_for(*request);
}

void PortableEnv::on_event(uint32_t events, int32_t handle) {
  if (handle == event_fd_) {
    uint64_t count = 0;
    FB_ASSERT(::read(event_fd_, &count, sizeof count) == sizeof count || errno == EAGAIN, errno);
    return;
  }
  // The vector may grow in between: look the entry up each time.
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
    retry(std::exchange(watched(handle).reader, nullptr));
  }
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
    retry(std::exchange(watched(handle).writer, nullptr));
  }
}

void PortableEnv::complete_files() {
  IoRequest* request = finished_files_.take_all();
  while (request != nullptr) {
    IoRequest* next = request->next;
    complete(*request, static_cast<int64_t>(request->env_word[0]));
    request = next;
  }
}

int PortableEnv::wait_for_events(bool may_wait, Instant wait_until) {
  std::array<epoll_event, kEventsPerTurn> events;
  const int64_t wait_ns = may_wait ? std::max<int64_t>(0, wait_until.ns - now().ns) : 0;
  const bool forever = may_wait && wait_until.is_never();
  ++stats_.io_enters;
  int count = -1;
  if (nanosecond_waits_) {
    const timespec wait{.tv_sec = wait_ns / kNanosecondsPerSecond,
                        .tv_nsec = wait_ns % kNanosecondsPerSecond};
    count = ::epoll_pwait2(epoll_fd_, events.data(), kEventsPerTurn, forever ? nullptr : &wait, nullptr);
    if (count < 0 && (errno == ENOSYS || errno == EPERM)) nanosecond_waits_ = false;
  }
  if (!nanosecond_waits_) {
    const int64_t wait_ms = (wait_ns + kNanosecondsPerMillisecond - 1) / kNanosecondsPerMillisecond;
    const int timeout = forever ? -1 : static_cast<int>(std::min<int64_t>(wait_ms, INT32_MAX));
    count = ::epoll_wait(epoll_fd_, events.data(), kEventsPerTurn, timeout);
  }
  FB_ASSERT(count >= 0 || errno == EINTR, errno);
  for (int index = 0; index < count; ++index) {
    on_event(events[static_cast<size_t>(index)].events, events[static_cast<size_t>(index)].data.fd);
  }
  return count;
}

void PortableEnv::visit_kernel(bool may_wait, Instant wait_until) {
  // The workers' mailbox needs its asleep mark too, or their completions would find nobody to wake.
  const bool wait = may_wait && finished_files_.sleep();
  wait_for_events(wait, wait_until);
  complete_files();
}

void PortableEnv::cancel(IoRequest& request) {
  if (request.state != IoRequest::State::in_flight) return;
  if (is_file_operation(request.kind) || request.kind == IoKind::close) {
    if (workers_.withdraw(request)) complete(request, -ECANCELED);
    return;
  }
  if (request.kind == IoKind::receive_pooled && pool_waiters_.remove(request))
    return complete(request, -ECANCELED);
  Watched& entry = watched(handle_of(request));
  IoRequest*& slot = waits_to_write(request.kind) ? entry.writer : entry.reader;
  if (slot != &request) return;
  slot = nullptr;
  if (request.kind == IoKind::connect) {
    const int32_t handle = handle_of(request);
    watched(handle) = {};
    ::close(handle);
  }
  complete(request, request.kind == IoKind::resolve ? finish_look_up(request, -ECANCELED) : -ECANCELED);
}

void PortableEnv::release_pooled(uint32_t pooled_id) {
  FB_ASSERT(pooled_id < pooled_.size(), pooled_id, pooled_.size());
  poison_memory(pooled_[pooled_id].get(), kPooledBytesSize);
  pooled_free_.push_back(pooled_id);
  while (!pool_waiters_.empty() && !pooled_free_.empty()) {
    IoRequest& request = pool_waiters_.pop();
    if (!attempt(request)) wait_for(request);
  }
}

}  // namespace fb
