// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <memory>
#include <span>

#include "io/endpoint.h"
#include "io/io_awaiter.h"

namespace fb {

// Received bytes in memory of the environment (a provided buffer of io_uring), or in the heap if they were
// decoded first: held only as long as needed.
class PooledBytes {
 public:
  PooledBytes() = default;
  PooledBytes(Env& env, std::byte* data, size_t size, uint32_t id);
  PooledBytes(std::unique_ptr<std::byte[]> memory, size_t size)
      : data_(memory.get()), size_(size), memory_(std::move(memory)) {}
  PooledBytes(PooledBytes&& other) noexcept;
  PooledBytes& operator=(PooledBytes&& other) noexcept;
  ~PooledBytes() { reset(); }
  void reset();
  // Empty at the end of the stream.
  std::span<std::byte> bytes() const { return {data_, size_}; }

 private:
  Env* env_ = nullptr;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  uint32_t id_ = 0;
  std::unique_ptr<std::byte[]> memory_;
};

// A pooled receive hands over more than a count.
class PooledAwaiter : public IoAwaiter {
 public:
  using IoAwaiter::IoAwaiter;
  Result<PooledBytes> await_resume() const {
    FB_TRY(const int64_t count, take_result());
    if (request_.pooled_data == nullptr) return PooledBytes();
    return PooledBytes(*request_.env, request_.pooled_data, static_cast<size_t>(count), request_.pooled_id);
  }
};

// A reliable ordered stream of bytes in both directions: a TCP socket, or TLS over one
// (src/http/tls_stream.h). One receive and one send may be in flight at a time. Must be closed with `co_await
// close()`.
class Stream {
 public:
  virtual ~Stream() = default;
  // At least one byte, or 0 at the end of the stream.
  virtual Task<Result<size_t>> receive(std::span<std::byte> into, IoLimits limits) = 0;
  // Receives into memory of the environment: an idle connection holds no buffer. At most kPooledBytesSize
  // bytes.
  virtual Task<Result<PooledBytes>> receive_pooled(IoLimits limits) = 0;
  // Sends everything, in order; the vectors may be changed. `limits.deadline` bounds each piece the kernel
  // accepts.
  virtual Task<Result<void>> send_all(std::span<iovec> vectors, IoLimits limits) = 0;
  // Nothing more will be sent: the peer reads the bytes sent so far, then the end. Receiving goes on.
  virtual Task<Result<void>> finish_sending(IoLimits limits) = 0;
  virtual Task<Result<void>> close() = 0;
  virtual Endpoint peer() const = 0;
  virtual Env& env() const = 0;
};

// Takes `count` bytes off the front of the vectors, and empty ones with them: the rest after a short send.
std::span<iovec> skip_vectors(std::span<iovec> vectors, size_t count);

inline constexpr size_t kPooledBytesSize = 16 * kKiB;

class Socket final : public Stream {
 public:
  Socket(Env& env, int32_t handle, Endpoint peer) : env_(&env), handle_(handle), peer_(peer) {}
  Socket(Socket&& other) noexcept;
  ~Socket() override;

  static Task<Result<Socket>> connect(Env& env, Endpoint endpoint, IoLimits limits = {});

  Task<Result<size_t>> receive(std::span<std::byte> into, IoLimits limits) override;
  Task<Result<PooledBytes>> receive_pooled(IoLimits limits) override;
  Task<Result<void>> send_all(std::span<iovec> vectors, IoLimits limits) override;
  // Single operations, awaited without a coroutine in between: for the path of every request. A send may be
  // short.
  CountAwaiter receive_operation(std::span<std::byte> into, IoLimits limits);
  PooledAwaiter receive_pooled_operation(IoLimits limits);
  CountAwaiter send_operation(std::span<const iovec> vectors, IoLimits limits);
  Task<Result<void>> shutdown();
  Task<Result<void>> finish_sending(IoLimits limits) override;
  Task<Result<void>> close() override;
  Endpoint peer() const override { return peer_; }
  Env& env() const override { return *env_; }

 private:
  Env* env_;
  int32_t handle_;
  Endpoint peer_;
};

// A listening socket of one core; every core opens its own on the same endpoint (SO_REUSEPORT).
class Listener {
 public:
  Listener() = default;
  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&& other) noexcept;
  ~Listener();

  // IoError::in_use if another process listens there. Port 0 picks a free one: see endpoint().
  static Task<Result<Listener>> open(Env& env, Endpoint endpoint);
  Task<Result<Socket>> accept(IoLimits limits);
  Endpoint endpoint() const { return endpoint_; }
  Task<Result<void>> close();

 private:
  Env* env_ = nullptr;
  int32_t handle_ = -1;
  Endpoint endpoint_;
};

}  // namespace fb
