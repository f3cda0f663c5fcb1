// SPDX-License-Identifier: Apache-2.0
#include "io/stream.h"

#include <algorithm>
#include <cerrno>
#include <limits>

namespace fb {
namespace {

constexpr size_t kVectorsMax = 1024;              // IOV_MAX
constexpr size_t kReceiveBytesMax = 1024 * kMiB;  // per operation

VoidAwaiter close_handle(Env& env, int32_t handle) {
  return VoidAwaiter(env, IoLimits{}, [&](IoRequest& request) {
    request.kind = IoKind::close;
    request.handle = handle;
  });
}

}  // namespace

std::span<iovec> skip_vectors(std::span<iovec> vectors, size_t count) {
  while (!vectors.empty() && vectors.front().iov_len <= count) {
    count -= vectors.front().iov_len;
    vectors = vectors.subspan(1);
  }
  if (!vectors.empty()) {
    vectors.front().iov_base = static_cast<std::byte*>(vectors.front().iov_base) + count;
    vectors.front().iov_len -= count;
  }
  return vectors;
}

PooledBytes::PooledBytes(Env& env, std::byte* data, size_t size, uint32_t id)
    : env_(&env), data_(data), size_(size), id_(id) {
  ++env.stats().receive_buffers;
}

PooledBytes::PooledBytes(PooledBytes&& other) noexcept
    : env_(std::exchange(other.env_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      id_(other.id_),
      memory_(std::move(other.memory_)) {}

PooledBytes& PooledBytes::operator=(PooledBytes&& other) noexcept {
  if (this != &other) {
    reset();
    env_ = std::exchange(other.env_, nullptr);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    id_ = other.id_;
    memory_ = std::move(other.memory_);
  }
  return *this;
}

void PooledBytes::reset() {
  data_ = nullptr;
  size_ = 0;
  memory_.reset();
  if (env_ == nullptr) return;
  Env& env = *std::exchange(env_, nullptr);
  if (env.abandoned()) return;
  --env.stats().receive_buffers;
  env.release_pooled(id_);
}

Socket::Socket(Socket&& other) noexcept
    : env_(other.env_), handle_(std::exchange(other.handle_, -1)), peer_(other.peer_) {}

Socket::~Socket() { FB_ASSERT(handle_ < 0 || env_->abandoned(), handle_); }

Task<Result<Socket>> Socket::connect(Env& env, Endpoint endpoint, IoLimits limits) {
  FB_CO_TRY(const size_t handle, co_await CountAwaiter(env, limits, [&](IoRequest& request) {
              request.kind = IoKind::connect;
              request.endpoint = &endpoint;
            }));
  co_return Socket(env, static_cast<int32_t>(handle), endpoint);
}

CountAwaiter Socket::receive_operation(std::span<std::byte> into, IoLimits limits) {
  FB_ASSERT(handle_ >= 0);
  FB_ASSERT(!into.empty());
  return CountAwaiter(*env_, limits, [&](IoRequest& request) {
    request.kind = IoKind::receive;
    request.handle = handle_;
    request.data = into.data();
    request.length = std::min<size_t>(into.size(), kReceiveBytesMax);
  });
}

PooledAwaiter Socket::receive_pooled_operation(IoLimits limits) {
  FB_ASSERT(handle_ >= 0);
  return PooledAwaiter(*env_, limits, [&](IoRequest& request) {
    request.kind = IoKind::receive_pooled;
    request.handle = handle_;
    request.length = kPooledBytesSize;
  });
}

CountAwaiter Socket::send_operation(std::span<const iovec> vectors, IoLimits limits) {
  FB_ASSERT(handle_ >= 0);
  return CountAwaiter(*env_, limits, [&](IoRequest& request) {
    request.kind = IoKind::send;
    request.handle = handle_;
    request.vectors = vectors.data();
    request.vector_count = static_cast<uint32_t>(std::min(vectors.size(), kVectorsMax));
  });
}

Task<Result<size_t>> Socket::receive(std::span<std::byte> into, IoLimits limits) {
  co_return co_await receive_operation(into, limits);
}

Task<Result<PooledBytes>> Socket::receive_pooled(IoLimits limits) {
  co_return co_await receive_pooled_operation(limits);
}

Task<Result<void>> Socket::send_all(std::span<iovec> vectors, IoLimits limits) {
  vectors = skip_vectors(vectors, 0);
  while (!vectors.empty()) {
    FB_CO_TRY(const size_t sent, co_await send_operation(vectors, limits));
    vectors = skip_vectors(vectors, sent);
  }
  co_return Result<void>();
}

Task<Result<void>> Socket::shutdown() {
  FB_ASSERT(handle_ >= 0);
  co_return co_await VoidAwaiter(*env_, IoLimits{}, [&](IoRequest& request) {
    request.kind = IoKind::shutdown;
    request.handle = handle_;
  });
}

Task<Result<void>> Socket::finish_sending(IoLimits limits) {
  FB_ASSERT(handle_ >= 0);
  co_return co_await VoidAwaiter(*env_, limits, [&](IoRequest& request) {
    request.kind = IoKind::finish_sending;
    request.handle = handle_;
  });
}

Task<Result<void>> Socket::close() {
  if (handle_ < 0) co_return Result<void>();
  co_return co_await close_handle(*env_, std::exchange(handle_, -1));
}

Listener::Listener(Listener&& other) noexcept
    : env_(other.env_), handle_(std::exchange(other.handle_, -1)), endpoint_(other.endpoint_) {}

Listener& Listener::operator=(Listener&& other) noexcept {
  FB_ASSERT(handle_ < 0 || env_->abandoned(), handle_);
  env_ = other.env_;
  handle_ = std::exchange(other.handle_, -1);
  endpoint_ = other.endpoint_;
  return *this;
}

Listener::~Listener() { FB_ASSERT(handle_ < 0 || env_->abandoned(), handle_); }

Task<Result<Listener>> Listener::open(Env& env, Endpoint endpoint) {
  Endpoint bound = endpoint;
  FB_CO_TRY(const size_t handle, co_await CountAwaiter(env, IoLimits{}, [&](IoRequest& request) {
              request.kind = IoKind::listen;
              request.endpoint = &endpoint;
              request.out = &bound;
            }));
  Listener listener;
  listener.env_ = &env;
  listener.handle_ = static_cast<int32_t>(handle);
  listener.endpoint_ = bound;
  co_return listener;
}

Task<Result<Socket>> Listener::accept(IoLimits limits) {
  FB_ASSERT(handle_ >= 0);
  Endpoint peer;
  FB_CO_TRY(const size_t handle, co_await CountAwaiter(*env_, limits, [&](IoRequest& request) {
              request.kind = IoKind::accept;
              request.handle = handle_;
              request.out = &peer;
            }));
  co_return Socket(*env_, static_cast<int32_t>(handle), peer);
}

Task<Result<void>> Listener::close() {
  if (handle_ < 0) co_return Result<void>();
  co_return co_await close_handle(*env_, std::exchange(handle_, -1));
}

}  // namespace fb
