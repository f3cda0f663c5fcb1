// SPDX-License-Identifier: Apache-2.0
#include "io/uring/polled_ring.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/units.h"
#include "io/error.h"
#include "io/system_calls.h"

namespace fb {
namespace {

constexpr int kProbeLooksMax = 1'000'000;  // per probe; a device answers within a few thousand

// True if the block device or, for a partition, its disk has poll queues.
bool has_poll_queues(dev_t device) {
  for (const char* parent : {"", "../"}) {
    const std::string path =
        fmt::format("/sys/dev/block/{}:{}/{}queue/io_poll", major(device), minor(device), parent);
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    char value = '0';
    const bool read_one = ::read(file, &value, 1) == 1;
    ::close(file);
    return read_one && value == '1';
  }
  return false;
}

// One operation on a ring of its own, to its end.
int run_polled(PolledRing& ring, IoRequest& request) {
  if (!ring.start(request)) return -EBUSY;
  int result = -ETIMEDOUT;
  for (int looks = 0; ring.busy() && looks < kProbeLooksMax; ++looks) {
    ring.look([&](IoRequest&, int value) { result = value; });
  }
  return result;
}

bool probe_scratch_file(int scratch) {
  Result<std::unique_ptr<PolledRing>> ring = PolledRing::create(IORING_SETUP_IOPOLL, {});
  if (!ring) return false;
  const std::unique_ptr<void, decltype(&std::free)> memory(
      std::aligned_alloc(kDirectIoAlignment, kDirectIoAlignment), &std::free);
  std::memset(memory.get(), 0, kDirectIoAlignment);
  for (const IoKind kind : {IoKind::write, IoKind::read}) {
    IoRequest request;
    request.kind = kind;
    request.handle = scratch;
    request.data = static_cast<std::byte*>(memory.get());
    request.length = kDirectIoAlignment;
    if (run_polled(**ring, request) != static_cast<int>(kDirectIoAlignment)) return false;
  }
  return true;
}

}  // namespace

bool probe_polling(int file, const std::string& path, std::string& reason) {
  struct stat status{};
  if (file_status(file, status) != 0 ||
      !has_poll_queues(S_ISBLK(status.st_mode) ? status.st_rdev : status.st_dev)) {
    reason = "its device has no poll queues (queue/io_poll in /sys/block)";
    return false;
  }
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int scratch = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
  const bool works = scratch >= 0 && probe_scratch_file(scratch);
  if (scratch >= 0) ::close(scratch);
  if (!works) reason = "a polled write and read of a scratch file failed";
  return works;
}

Result<std::unique_ptr<PolledRing>> PolledRing::create(unsigned setup_flags, std::span<std::byte> arena) {
  std::unique_ptr<PolledRing> polled(new PolledRing());
  io_uring_params params{};
  params.flags = setup_flags | IORING_SETUP_SINGLE_ISSUER;
  if (const int result = io_uring_queue_init_params(kEntries, &polled->ring_, &params); result < 0) {
    return io_error(-result);
  }
  polled->made_ = true;
  const iovec vector{.iov_base = arena.data(), .iov_len = arena.size()};
  if (!arena.empty() && io_uring_register_buffers(&polled->ring_, &vector, 1) == 0) polled->arena_ = arena;
  return polled;
}

PolledRing::~PolledRing() {
  if (made_) io_uring_queue_exit(&ring_);
}

bool PolledRing::registered(const IoRequest& request) const {
  const auto offset = reinterpret_cast<uintptr_t>(request.data) - reinterpret_cast<uintptr_t>(arena_.data());
  return offset < arena_.size() && offset + request.length <= arena_.size();
}

bool PolledRing::start(IoRequest& request) {
  FB_ASSERT(request.kind == IoKind::read || request.kind == IoKind::write, request.kind);
  if (in_flight_ == kEntries) return false;
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  if (sqe == nullptr) return false;
  const auto length = static_cast<unsigned>(request.length);
  const bool fixed = registered(request);
  if (request.kind == IoKind::read) {
    if (fixed) {
      io_uring_prep_read_fixed(sqe, request.handle, request.data, length, request.offset, 0);
    } else {
      io_uring_prep_read(sqe, request.handle, request.data, length, request.offset);
    }
  } else {
    if (fixed) {
      io_uring_prep_write_fixed(sqe, request.handle, request.data, length, request.offset, 0);
    } else {
      io_uring_prep_write(sqe, request.handle, request.data, length, request.offset);
    }
    if ((request.flags & IoRequest::kDurable) != 0) sqe->rw_flags = RWF_DSYNC;
  }
  io_uring_sqe_set_data(sqe, &request);
  ++in_flight_;
  return true;
}

void PolledRing::look(const std::function<void(IoRequest&, int)>& completed) {
  const int result = io_uring_submit_and_get_events(&ring_);
  FB_ASSERT(result >= 0 || result == -EINTR || result == -EBUSY || result == -EAGAIN, result);
  unsigned head = 0;
  unsigned count = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    ++count;
    --in_flight_;
    completed(*static_cast<IoRequest*>(io_uring_cqe_get_data(cqe)), cqe->res);
  }
  io_uring_cq_advance(&ring_, count);
}

}  // namespace fb
