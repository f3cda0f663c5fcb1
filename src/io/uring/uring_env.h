// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <liburing.h>
#include <sys/socket.h>

#include <memory>
#include <vector>

#include "io/loop_env.h"
#include "io/request_list.h"
#include "io/runtime.h"
#include "io/uring/polled_ring.h"
#include "io/uring/receive_buffers.h"

namespace fb {

struct UringOptions {
  IoPoll poll = IoPoll::automatic;
  // Tests simulate a device that can be polled: they replace probe_polling() and the flags of the second
  // ring.
  bool (*probe)(int file, const std::string& path, std::string& reason) = &probe_polling;
  unsigned polled_setup_flags = IORING_SETUP_IOPOLL;
};

// The environment on io_uring: one ring a core, one io_uring_enter a turn, which submits everything new and
// takes everything that has ended; more than one if there are many reads, so that the drive always has some.
// Nothing is allocated for an operation: the kernel's user_data is the IoRequest itself.
//
// An operation passes through: SQE (or the backlog, if the queue is full and the kernel takes no more) ->
// kernel -> CQE -> complete(). Some take a second round: an open that was refused O_DIRECT, an interrupted
// call, and a pooled receive that found no buffer (phases below). A cancelled one takes no further round.
class UringEnv final : public LoopEnv {
 public:
  static Result<std::unique_ptr<UringEnv>> create(const Options& options, LoopShared& shared,
                                                  const UringOptions& uring_options);
  ~UringEnv() override;

  std::string_view name() const override { return "io_uring"; }
  void submit(IoRequest& request) override;
  void cancel(IoRequest& request) override;
  void release_pooled(uint32_t pooled_id) override;

 private:
  // The data that an SQE points to and that the kernel reads while it takes the SQE; reused with the SQE's
  // slot.
  union SubmissionScratch {
    SubmissionScratch() : address{} {}
    sockaddr_storage address;
    msghdr message;
  };
  static constexpr unsigned kSubmissionEntries = 512;
  static constexpr unsigned kCompletionEntries = 8192;

  UringEnv(const Options& options, LoopShared& shared, const UringOptions& uring_options);
  Result<void> set_up();
  Result<void> make_ring();
  void register_arena();
  void visit_kernel(bool may_wait, Instant wait_until) override;
  void wake(unsigned core) override;

  io_uring_sqe* next_submission();
  bool start(IoRequest& request);
  void start_or_wait(IoRequest& request);
  void prepare(IoRequest& request, io_uring_sqe& sqe);
  void prepare_file(IoRequest& request, io_uring_sqe& sqe);
  void prepare_read(IoRequest& request, io_uring_sqe& sqe);
  void prepare_write(IoRequest& request, io_uring_sqe& sqe);
  void prepare_receive_pooled(IoRequest& request, io_uring_sqe& sqe);
  void prepare_send(IoRequest& request, io_uring_sqe& sqe);
  SubmissionScratch& scratch_of(const io_uring_sqe& sqe) {
    return scratch_[static_cast<size_t>(&sqe - ring_.sq.sqes)];
  }
  bool registered(const std::byte* data, uint64_t length) const;

  void start_connect(IoRequest& request);
  void send_wake(unsigned core);
  void send_cancel(IoRequest& request);
  void flush_backlog();
  void take_completions();
  void on_completion(const io_uring_cqe& cqe);
  bool begin_again(IoRequest& request, int result);
  int64_t accept_result(IoRequest& request, int result);
  int64_t connect_result(const IoRequest& request, int result);
  void on_receive_pooled(IoRequest& request, const io_uring_cqe& cqe);
  void receive_into_spare(IoRequest& request);
  void note_socket_has_data(int32_t handle, bool has_data);
  bool socket_has_data(int32_t handle) const;
  void finish(IoRequest& request, int64_t result);
  void decide_polling(const IoRequest& opened, int32_t handle);
  bool polled(const IoRequest& request) const;
  void look_at_polled();

  UringOptions uring_options_;
  io_uring ring_{};
  bool ring_made_ = false;
  unsigned reads_prepared_ = 0;  // since the last submission
  std::unique_ptr<SubmissionScratch[]> scratch_;
  ReceiveBuffers receive_buffers_;
  const std::byte* registered_begin_ = nullptr;
  size_t registered_bytes_ = 0;
  RequestList backlog_;                     // requests that found no SQE
  std::vector<IoRequest*> unsent_cancels_;  // cancellations that found no SQE
  std::vector<unsigned> unsent_wakes_;      // wake-ups of cores that found no SQE
  RequestList ended_reads_;                 // kept for the next turns
  RequestList buffer_waiters_;              // receives for which neither ring nor spare buffer was left
  // By handle: whether the last receive left data in the socket. If it did not, trying at once would be in
  // vain, and the kernel is told to wait first.
  std::vector<uint8_t> socket_has_data_;
  std::unique_ptr<PolledRing> polled_ring_;             // made for the first file that can be polled
  std::vector<int32_t> polled_handles_;                 // few: data files
  std::vector<std::pair<dev_t, bool>> polled_devices_;  // answers of the probe
};

}  // namespace fb
