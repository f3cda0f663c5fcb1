// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <liburing.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "base/units.h"
#include "io/io_request.h"

namespace fb {

// A second io_uring for reads and writes of data files on devices with poll queues: completions are not
// announced by interrupts but looked for (IORING_SETUP_IOPOLL), so while any is in flight the loop turns
// without waiting.
class PolledRing {
 public:
  // Larger operations go by the other ring: the kernel may have to split them for the device, and it polls
  // only for whole ones (with Linux 6.1 a polled read of 1 MiB was seen never to end).
  static constexpr size_t kBytesMax = 64 * kKiB;
  // `setup_flags` is IORING_SETUP_IOPOLL; tests pass 0 to have the same path without the device.
  static Result<std::unique_ptr<PolledRing>> create(unsigned setup_flags, std::span<std::byte> arena);
  ~PolledRing();
  PolledRing(const PolledRing&) = delete;
  PolledRing& operator=(const PolledRing&) = delete;

  // False if the queue is full for now.
  bool start(IoRequest& request);
  bool busy() const { return in_flight_ > 0; }
  // Submits, looks once for completions, and hands them over: each request's result is in the second
  // argument.
  void look(const std::function<void(IoRequest&, int)>& completed);

 private:
  static constexpr unsigned kEntries = 256;
  PolledRing() = default;
  bool registered(const IoRequest& request) const;

  io_uring ring_{};
  bool made_ = false;
  std::span<std::byte> arena_;  // empty if it could not be registered
  unsigned in_flight_ = 0;
};

// Whether the device of `file`, opened by `path` for direct I/O, can be polled: it has poll queues, and a
// write and a read of a nameless scratch file beside it succeed on a polled ring. Otherwise `reason` says why
// not.
bool probe_polling(int file, const std::string& path, std::string& reason);

}  // namespace fb
