// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "io/loop_env.h"
#include "io/portable/file_workers.h"
#include "io/request_list.h"
#include "io/stream.h"

namespace fb {

// The environment for kernels and containers that refuse io_uring: sockets by epoll (edge-triggered, each
// operation is tried first and waits only on EAGAIN), files by a few threads. Everything runs on one thread,
// except that file workers put finished requests into a mailbox and wake the core through its eventfd.
class PortableEnv final : public LoopEnv {
 public:
  static Result<std::unique_ptr<PortableEnv>> create(const Options& options, LoopShared& shared);
  ~PortableEnv() override;

  std::string_view name() const override { return "portable"; }
  void submit(IoRequest& request) override;
  void cancel(IoRequest& request) override;
  void release_pooled(uint32_t pooled_id) override;

 private:
  // Received-but-held buffers of one core; beyond that, receives wait for one to be given back.
  static constexpr uint32_t kPooledBuffers = 512;

  // A handle that epoll watches: at most one operation waits for each direction.
  struct Watched {
    IoRequest* reader = nullptr;
    IoRequest* writer = nullptr;
    bool registered = false;
    bool socket = false;
  };

  PortableEnv(const Options& options, LoopShared& shared);
  void visit_kernel(bool may_wait, Instant wait_until) override;
  void wake(unsigned core) override;

  Watched& watched(int32_t handle);
  // Tries the operation; false if it has to wait for the handle.
  bool attempt(IoRequest& request);
  int64_t call(IoRequest& request);
  int64_t receive_pooled(IoRequest& request);
  int64_t finish_connect(const IoRequest& request);
  int64_t finish_look_up(IoRequest& request, int64_t waited);
  void begin_connect(IoRequest& request);
  void close_socket(IoRequest& request);
  void wait_for(IoRequest& request);
  void on_event(uint32_t events, int32_t handle);
  void retry(IoRequest* request);
  int wait_for_events(bool may_wait, Instant wait_until);
  void complete_files();

  int epoll_fd_ = -1;
  int event_fd_ = -1;
  bool nanosecond_waits_ = true;  // epoll_pwait2 exists
  std::vector<Watched> watched_;
  std::vector<std::unique_ptr<std::byte[]>> pooled_;  // made as they are first needed
  std::vector<uint32_t> pooled_free_;
  RequestList pool_waiters_;
  alignas(64) Mailbox<IoRequest> finished_files_;
  FileWorkers workers_;
};

}  // namespace fb
