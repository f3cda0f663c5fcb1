// SPDX-License-Identifier: Apache-2.0
// Tests what claims (io/claim.h) rely on: a flock belongs to the open file description, and a request in
// flight holds a reference to that description. Closing the last descriptor, as the end of a process does,
// does not free the lock before the request has ended. A request that waits for room in a pipe stands for a
// write that the device has not ended.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <liburing.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

namespace fb {
namespace {

constexpr size_t kPieceBytes = 4096;

void fill(int pipe, const std::array<char, kPieceBytes>& bytes) {
  const int flags = ::fcntl(pipe, F_GETFL);
  ::fcntl(pipe, F_SETFL, flags | O_NONBLOCK);
  while (::write(pipe, bytes.data(), bytes.size()) > 0) {
  }
  ::fcntl(pipe, F_SETFL, flags);
}

bool can_lock(int file) { return ::flock(file, LOCK_EX | LOCK_NB) == 0; }

TEST(RequestLock, AFileStaysLockedUntilItsLastRequestHasEnded) {
  io_uring ring{};
  if (io_uring_queue_init(4, &ring, 0) != 0) GTEST_SKIP() << "io_uring is refused here";
  const std::string path = "fb_request_lock_" + std::to_string(::getpid());
  ::unlink(path.c_str());
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::array<char, kPieceBytes> bytes{};
  const int writer = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(writer, 0);
  ASSERT_TRUE(can_lock(writer));
  fill(writer, bytes);
  io_uring_sqe* const request = io_uring_get_sqe(&ring);
  io_uring_prep_write(request, writer, bytes.data(), bytes.size(), 0);
  ASSERT_EQ(io_uring_submit(&ring), 1);
  io_uring_cqe* ended = nullptr;
  ASSERT_EQ(io_uring_peek_cqe(&ring, &ended), -EAGAIN);

  const int next = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(next, 0);
  ::close(writer);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(can_lock(next));
  EXPECT_EQ(errno, EWOULDBLOCK);

  // The pipe has room now: the write goes on and ends, and the lock with it.
  ASSERT_GT(::read(next, bytes.data(), bytes.size()), 0);
  ASSERT_EQ(io_uring_wait_cqe(&ring, &ended), 0);
  EXPECT_EQ(ended->res, static_cast<int>(kPieceBytes));
  io_uring_cqe_seen(&ring, ended);
  bool free = false;
  for (int tries = 0; tries < 1'000 && !free; ++tries) {
    free = can_lock(next);
    if (!free) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_TRUE(free);
  ::close(next);
  ::unlink(path.c_str());
  io_uring_queue_exit(&ring);
}

}  // namespace
}  // namespace fb
