// SPDX-License-Identifier: Apache-2.0
#include "io/uring/uring_env.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "io/error.h"

namespace fb {
namespace {

// user_data: an IoRequest's address, whose low bits are zero, or one of these.
constexpr uint64_t kTagMask = 7;
constexpr uint64_t kIgnored = 1;     // a cancellation was handled
constexpr uint64_t kWoken = 2;       // another core woke this one
constexpr uint64_t kWakeFailed = 3;  // with the other core's number above the tag

// IoRequest::env_word of this environment.
constexpr size_t kPhase = 0;
constexpr size_t kCancelled = 1;   // cancellation was requested
constexpr size_t kConnecting = 2;  // the socket of a connect
constexpr size_t kSpare = 3;       // the spare buffer of a pooled receive

// Phases of receive_pooled.
constexpr uint64_t kFromRing = 0;   // the kernel picks a buffer
constexpr uint64_t kPolling = 1;    // there was none: waiting until the socket has data
constexpr uint64_t kIntoSpare = 2;  // receiving into a spare buffer

// A drive idles while it waits for the end of a turn to get its next reads, or while the core works off a
// whole queue of ended reads. So at most kReadsPerSubmission reads go out at a time and kReadsPerTurn are
// handed out a turn: other work, new requests among it, has its turn in between.
constexpr unsigned kReadsPerSubmission = 8;
constexpr int kReadsPerTurn = 16;

constexpr size_t kRegisteredBytesMin = 1 * kMiB;   // less is not worth registering
constexpr size_t kFixedBufferBytesMax = 1 * kGiB;  // the kernel's bound for one buffer
constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

}  // namespace

UringEnv::UringEnv(const Options& options, LoopShared& shared, const UringOptions& uring_options)
    : LoopEnv(options, shared),
      uring_options_(uring_options),
      scratch_(std::make_unique<SubmissionScratch[]>(kSubmissionEntries)) {}

Result<std::unique_ptr<UringEnv>> UringEnv::create(const Options& options, LoopShared& shared,
                                                   const UringOptions& uring_options) {
  std::unique_ptr<UringEnv> env(new UringEnv(options, shared, uring_options));
  FB_CHECK(env->set_up());
  return env;
}

UringEnv::~UringEnv() {
  if (ring_made_) io_uring_queue_exit(&ring_);
}

Result<void> UringEnv::make_ring() {
  constexpr unsigned kCommon = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL;
  constexpr unsigned kCooperative = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
  constexpr unsigned kDeferred = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  int result = 0;
  // Completions are worked on when this thread asks for them, if the kernel can do that (6.1, 5.19).
  for (const unsigned flags : {kCommon | kCooperative | kDeferred, kCommon | kCooperative}) {
    io_uring_params params{};
    params.flags = flags;
    params.cq_entries = kCompletionEntries;
    result = io_uring_queue_init_params(kSubmissionEntries, &ring_, &params);
    if (result != -EINVAL) break;
  }
  if (result < 0) return io_error(-result);
  ring_made_ = true;
  constexpr unsigned kNeeded = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_SUBMIT_STABLE |
                               IORING_FEAT_FAST_POLL | IORING_FEAT_CQE_SKIP;
  if ((ring_.features & kNeeded) != kNeeded) return IoError::unsupported;
  FB_ASSERT(ring_.sq.ring_entries <= kSubmissionEntries, ring_.sq.ring_entries);
  return {};
}

Result<void> UringEnv::set_up() {
  FB_CHECK(make_ring());
  io_uring_probe* probe = io_uring_get_probe_ring(&ring_);
  const bool can_message = probe != nullptr && io_uring_opcode_supported(probe, IORING_OP_MSG_RING) != 0;
  io_uring_free_probe(probe);
  if (!can_message) return IoError::unsupported;
  FB_CHECK(receive_buffers_.register_with(ring_));
  register_arena();
  io_uring_register_ring_fd(&ring_);  // saves a look-up per call; old kernels refuse it and go without
  return {};
}

// Registers as much of the arena as the locked-memory limit allows, by halves.
void UringEnv::register_arena() {
  const std::span<std::byte> arena = buffers().arena();
  size_t bytes = arena.size();
  for (; bytes >= kRegisteredBytesMin; bytes = align_down(bytes / 2, kBufferSizeMax)) {
    std::vector<iovec> vectors;
    for (size_t at = 0; at < bytes; at += kFixedBufferBytesMax) {
      vectors.push_back(
          {.iov_base = arena.data() + at, .iov_len = std::min(bytes - at, kFixedBufferBytesMax)});
    }
    if (io_uring_register_buffers(&ring_, vectors.data(), static_cast<unsigned>(vectors.size())) == 0) break;
  }
  if (bytes >= kRegisteredBytesMin) {
    registered_begin_ = arena.data();
    registered_bytes_ = bytes;
  }
  if (registered_bytes_ < arena.size()) {
    add_notice(fmt::format(
        "{} of {} MiB of each core's I/O buffers are registered with the kernel: the limit of locked "
        "memory (ulimit -l) allows no more; disk I/O costs a little more CPU",
        registered_bytes_ / kMiB, arena.size() / kMiB));
  }
}

bool UringEnv::registered(const std::byte* data, uint64_t length) const {
  const auto offset = reinterpret_cast<uintptr_t>(data) - reinterpret_cast<uintptr_t>(registered_begin_);
  if (offset >= registered_bytes_) return false;
  return offset + length <= registered_bytes_ &&
         offset / kFixedBufferBytesMax == (offset + length - 1) / kFixedBufferBytesMax;
}

// ---- submission

io_uring_sqe* UringEnv::next_submission() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  if (sqe != nullptr) [[likely]]
    return sqe;
  ++stats_.io_enters;
  io_uring_submit(&ring_);  // -EBUSY or -EAGAIN leave the queue full, and the caller waits for the next turn
  return io_uring_get_sqe(&ring_);
}

bool UringEnv::start(IoRequest& request) {
  if (polled(request)) [[unlikely]]
    return polled_ring_->start(request);
  io_uring_sqe* sqe = next_submission();
  if (sqe == nullptr) [[unlikely]]
    return false;
  prepare(request, *sqe);
  sqe->user_data = reinterpret_cast<uintptr_t>(&request);
  if (request.kind == IoKind::read && ++reads_prepared_ == kReadsPerSubmission) {
    reads_prepared_ = 0;
    ++stats_.io_enters;
    io_uring_submit(&ring_);  // if it is refused, the turn's end tries again
  }
  return true;
}

void UringEnv::start_or_wait(IoRequest& request) {
  if (!backlog_.empty() || !start(request)) [[unlikely]]
    backlog_.push(request);
}

void UringEnv::submit(IoRequest& request) {
  static_assert(alignof(IoRequest) > kTagMask);
  switch (request.kind) {
    case IoKind::truncate:
    case IoKind::stat:
    case IoKind::list_directory:
    case IoKind::lock:
    case IoKind::statfs:  // these have no opcode or are answered from memory
      return complete(request, run_file_operation(request));
    case IoKind::listen:
      return complete(request, open_listener(request, false));
    case IoKind::shutdown:
    case IoKind::finish_sending: {
      const int how = request.kind == IoKind::shutdown ? SHUT_RDWR : SHUT_WR;
      const int result = ::shutdown(request.handle, how);
      return complete(request, result < 0 ? -errno : 0);
    }
    case IoKind::connect:
      return start_connect(request);
    case IoKind::resolve:
      if (const int64_t begun = begin_look_up(request); begun < 0) return complete(request, begun);
      break;
    case IoKind::close:
      forget_listener(request.handle);
      break;
    case IoKind::wait_signal:
      FB_ASSERT(core() == 0, core());
      request.handle = shared().signal_fd;
      break;
    default:
      break;
  }
  start_or_wait(request);
}

void UringEnv::start_connect(IoRequest& request) {
  const int64_t socket = make_socket(*request.endpoint, false);
  if (socket < 0) return complete(request, socket);
  request.env_word[kConnecting] = static_cast<uint64_t>(socket);
  start_or_wait(request);
}

void UringEnv::prepare(IoRequest& request, io_uring_sqe& sqe) {
  switch (request.kind) {
    case IoKind::read:
      return prepare_read(request, sqe);
    case IoKind::write:
      return prepare_write(request, sqe);
    case IoKind::writev:
      return io_uring_prep_writev2(&sqe, request.handle, request.vectors, request.vector_count,
                                   request.offset,
                                   (request.flags & IoRequest::kDurable) != 0 ? RWF_DSYNC : 0);
    case IoKind::receive:
      io_uring_prep_recv(&sqe, request.handle, request.data, request.length, 0);
      if (!socket_has_data(request.handle)) sqe.ioprio |= IORING_RECVSEND_POLL_FIRST;
      return;
    case IoKind::receive_pooled:
      return prepare_receive_pooled(request, sqe);
    case IoKind::send:
      return prepare_send(request, sqe);
    case IoKind::accept:
      return io_uring_prep_accept(&sqe, request.handle, nullptr, nullptr, SOCK_CLOEXEC);
    case IoKind::connect: {
      SubmissionScratch& scratch = scratch_of(sqe);
      scratch.address = {};
      const socklen_t length = to_socket_address(*request.endpoint, scratch.address);
      const auto socket = static_cast<int>(request.env_word[kConnecting]);
      return io_uring_prep_connect(&sqe, socket, reinterpret_cast<sockaddr*>(&scratch.address), length);
    }
    case IoKind::wait_signal:
    case IoKind::resolve:
      return io_uring_prep_poll_add(&sqe, request.handle, POLLIN);
    default:
      return prepare_file(request, sqe);
  }
}

void UringEnv::prepare_file(IoRequest& request, io_uring_sqe& sqe) {
  const auto offset = static_cast<off_t>(request.offset);
  const auto length = static_cast<off_t>(request.length);
  constexpr mode_t kDirectoryMode = 0700;
  switch (request.kind) {
    case IoKind::open:
      return io_uring_prep_openat(&sqe, AT_FDCWD, request.path, static_cast<int>(request.flags),
                                  static_cast<mode_t>(request.length));
    case IoKind::close:
      return io_uring_prep_close(&sqe, request.handle);
    case IoKind::sync: {
      const bool full = (request.flags & IoRequest::kFullSync) != 0;
      return io_uring_prep_fsync(&sqe, request.handle, full ? 0 : IORING_FSYNC_DATASYNC);
    }
    case IoKind::allocate:
      return io_uring_prep_fallocate(&sqe, request.handle, 0, offset, length);
    case IoKind::rename:
      return io_uring_prep_renameat(&sqe, AT_FDCWD, request.path, AT_FDCWD, request.path2, 0);
    case IoKind::unlink:
      return io_uring_prep_unlinkat(&sqe, AT_FDCWD, request.path, 0);
    case IoKind::make_directory:
      return io_uring_prep_mkdirat(&sqe, AT_FDCWD, request.path, kDirectoryMode);
    default:
      FB_UNREACHABLE();
  }
}

void UringEnv::prepare_read(IoRequest& request, io_uring_sqe& sqe) {
  const auto length = static_cast<unsigned>(request.length);
  if (registered(request.data, length)) {
    const auto index = static_cast<size_t>(request.data - registered_begin_) / kFixedBufferBytesMax;
    return io_uring_prep_read_fixed(&sqe, request.handle, request.data, length, request.offset,
                                    static_cast<int>(index));
  }
  io_uring_prep_read(&sqe, request.handle, request.data, length, request.offset);
}

void UringEnv::prepare_write(IoRequest& request, io_uring_sqe& sqe) {
  const auto length = static_cast<unsigned>(request.length);
  if (registered(request.data, length)) {
    const auto index = static_cast<size_t>(request.data - registered_begin_) / kFixedBufferBytesMax;
    io_uring_prep_write_fixed(&sqe, request.handle, request.data, length, request.offset,
                              static_cast<int>(index));
  } else {
    io_uring_prep_write(&sqe, request.handle, request.data, length, request.offset);
  }
  if ((request.flags & IoRequest::kDurable) != 0) sqe.rw_flags = RWF_DSYNC;
}

void UringEnv::prepare_receive_pooled(IoRequest& request, io_uring_sqe& sqe) {
  switch (request.env_word[kPhase]) {
    case kFromRing:
      io_uring_prep_recv(&sqe, request.handle, nullptr, kPooledBytesSize, 0);
      sqe.flags |= IOSQE_BUFFER_SELECT;
      sqe.buf_group = ReceiveBuffers::kGroup;
      if (!socket_has_data(request.handle)) sqe.ioprio |= IORING_RECVSEND_POLL_FIRST;
      return;
    case kPolling:
      return io_uring_prep_poll_add(&sqe, request.handle, POLLIN);
    case kIntoSpare: {
      std::byte* memory = receive_buffers_.data(static_cast<uint32_t>(request.env_word[kSpare]));
      return io_uring_prep_recv(&sqe, request.handle, memory, kPooledBytesSize, 0);
    }
    default:
      FB_UNREACHABLE();
  }
}

void UringEnv::prepare_send(IoRequest& request, io_uring_sqe& sqe) {
  if (request.vector_count == 1) {
    return io_uring_prep_send(&sqe, request.handle, request.vectors->iov_base, request.vectors->iov_len,
                              MSG_NOSIGNAL);
  }
  SubmissionScratch& scratch = scratch_of(sqe);
  scratch.message = {};
  scratch.message.msg_iov = const_cast<iovec*>(request.vectors);
  scratch.message.msg_iovlen = request.vector_count;
  io_uring_prep_sendmsg(&sqe, request.handle, &scratch.message, MSG_NOSIGNAL);
}

void UringEnv::cancel(IoRequest& request) {
  if (request.state != IoRequest::State::in_flight) return;
  request.env_word[kCancelled] = 1;
  if (backlog_.remove(request) ||
      (request.kind == IoKind::receive_pooled && buffer_waiters_.remove(request))) {
    return finish(request, -ECANCELED);
  }
  if (!polled(request)) send_cancel(request);  // a polled one cannot be, and ends soon
}

void UringEnv::send_cancel(IoRequest& request) {
  io_uring_sqe* sqe = next_submission();
  if (sqe == nullptr) return unsent_cancels_.push_back(&request);
  io_uring_prep_cancel(sqe, &request, 0);
  sqe->user_data = kIgnored;
}

void UringEnv::wake(unsigned core) { send_wake(core); }

void UringEnv::send_wake(unsigned core) {
  io_uring_sqe* sqe = next_submission();
  if (sqe == nullptr) return unsent_wakes_.push_back(core);
  io_uring_prep_msg_ring(sqe, static_cast<UringEnv&>(env_of(core)).ring_.ring_fd, 0, kWoken, 0);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  sqe->user_data = (uint64_t{core} << 3) | kWakeFailed;
}

void UringEnv::flush_backlog() {
  if (!unsent_wakes_.empty()) [[unlikely]] {
    for (const unsigned core : std::exchange(unsent_wakes_, {})) send_wake(core);
  }
  if (!unsent_cancels_.empty()) [[unlikely]] {
    for (IoRequest* request : std::exchange(unsent_cancels_, {})) send_cancel(*request);
  }
  while (!backlog_.empty()) {
    IoRequest& request = backlog_.pop();
    if (start(request)) continue;
    // The request goes back to its place: the front.
    RequestList rest = std::exchange(backlog_, {});
    backlog_.push(request);
    while (!rest.empty()) backlog_.push(rest.pop());
    return;
  }
}

// ---- the kernel

void UringEnv::visit_kernel(bool may_wait, Instant wait_until) {
  flush_backlog();
  const bool polling = polled_ring_ != nullptr && polled_ring_->busy();
  if (polling) look_at_polled();
  reads_prepared_ = 0;
  if (may_wait && !polling && backlog_.empty() && ended_reads_.empty()) {
    __kernel_timespec wait{};
    __kernel_timespec* wait_limit = nullptr;
    if (!wait_until.is_never()) {
      const int64_t wait_ns = std::max<int64_t>(0, wait_until.ns - now().ns);
      wait = {.tv_sec = wait_ns / kNanosecondsPerSecond, .tv_nsec = wait_ns % kNanosecondsPerSecond};
      wait_limit = &wait;
    }
    io_uring_cqe* first = nullptr;
    ++stats_.io_enters;
    const int result = io_uring_submit_and_wait_timeout(&ring_, &first, 1, wait_limit, nullptr);
    // EBUSY: completions must be taken before more is submitted; EAGAIN: short of memory; both pass with a
    // next turn.
    FB_ASSERT(result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY || result == -EAGAIN,
              result);
  } else {
    const unsigned kernel_flags = IO_URING_READ_ONCE(*ring_.sq.kflags);
    const bool has_work = (kernel_flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
    if (has_work || io_uring_sq_ready(&ring_) != 0) {
      ++stats_.io_enters;
      const int result = io_uring_submit_and_get_events(&ring_);
      FB_ASSERT(result >= 0 || result == -EINTR || result == -EBUSY || result == -EAGAIN, result);
    }
  }
  take_completions();
}

void UringEnv::take_completions() {
  unsigned head = 0;
  unsigned count = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    on_completion(*cqe);
    ++count;
  }
  io_uring_cq_advance(&ring_, count);
  for (int i = 0; i < kReadsPerTurn && !ended_reads_.empty(); ++i) {
    IoRequest& request = ended_reads_.pop();
    finish(request, request.result);
  }
}

// ---- completion

void UringEnv::on_completion(const io_uring_cqe& cqe) {
  if ((cqe.user_data & kTagMask) != 0) [[unlikely]] {
    if ((cqe.user_data & kTagMask) == kWakeFailed) send_wake(static_cast<unsigned>(cqe.user_data >> 3));
    return;
  }
  IoRequest& request = *reinterpret_cast<IoRequest*>(cqe.user_data);
  const int result = cqe.res;
  if (request.kind == IoKind::receive_pooled) return on_receive_pooled(request, cqe);
  if (result < 0 && begin_again(request, result)) [[unlikely]]
    return;
  switch (request.kind) {
    case IoKind::read:
      request.result = result;
      return ended_reads_.push(request);
    case IoKind::receive:
      note_socket_has_data(request.handle, (cqe.flags & IORING_CQE_F_SOCK_NONEMPTY) != 0);
      return finish(request, result);
    case IoKind::open:
      request.direct_granted = result >= 0 && (request.flags & O_DIRECT) != 0;
      if (request.direct_granted && request.role == FileRole::data) decide_polling(request, result);
      return finish(request, result);
    case IoKind::accept:
      return finish(request, accept_result(request, result));
    case IoKind::connect:
      return finish(request, connect_result(request, result));
    case IoKind::wait_signal: {
      const int64_t signal = result < 0 ? result : read_signal(request.handle);
      if (signal == -EAGAIN && request.env_word[kCancelled] == 0) return start_or_wait(request);
      return finish(request, signal);
    }
    default:
      return finish(request, result);
  }
}

// Errors that only ask for another try. True if that try is under way.
bool UringEnv::begin_again(IoRequest& request, int result) {
  if (request.env_word[kCancelled] != 0) return false;
  if (request.kind == IoKind::open && result == -EINVAL && (request.flags & O_DIRECT) != 0) {
    request.flags &= ~static_cast<uint32_t>(O_DIRECT);
    start_or_wait(request);
    return true;
  }
  const bool passing = result == -EINTR || (result == -EAGAIN && request.kind != IoKind::lock) ||
                       (result == -ECONNABORTED && request.kind == IoKind::accept);
  if (passing && request.kind != IoKind::close && request.kind != IoKind::connect) {
    start_or_wait(request);
    return true;
  }
  return false;
}

int64_t UringEnv::accept_result(IoRequest& request, int result) {
  if (result < 0) return result;
  note_socket_has_data(result, true);
  *static_cast<Endpoint*>(request.out) = peer_of(result);
  return result;
}

int64_t UringEnv::connect_result(const IoRequest& request, int result) {
  const auto socket = static_cast<int32_t>(request.env_word[kConnecting]);
  if (result < 0) {
    ::close(socket);
    return result;
  }
  note_socket_has_data(socket, false);
  return socket;
}

void UringEnv::on_receive_pooled(IoRequest& request, const io_uring_cqe& cqe) {
  const int result = cqe.res;
  const bool cancelled = request.env_word[kCancelled] != 0;
  switch (request.env_word[kPhase]) {
    case kFromRing:
      if (result == -ENOBUFS && !cancelled) {
        request.env_word[kPhase] = kPolling;
        return start_or_wait(request);
      }
      note_socket_has_data(request.handle, (cqe.flags & IORING_CQE_F_SOCK_NONEMPTY) != 0);
      if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
        const uint32_t id = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
        receive_buffers_.taken(id);
        if (result > 0) {
          request.pooled_id = id;
          request.pooled_data = receive_buffers_.data(id);
        } else {
          receive_buffers_.give_back(id);
        }
      }
      break;
    case kPolling:
      if (result >= 0 && !cancelled) return receive_into_spare(request);
      break;
    case kIntoSpare:
      if (result > 0) {
        request.pooled_id = static_cast<uint32_t>(request.env_word[kSpare]);
        request.pooled_data = receive_buffers_.data(request.pooled_id);
      } else {
        release_pooled(static_cast<uint32_t>(request.env_word[kSpare]));
      }
      break;
    default:
      FB_UNREACHABLE();
  }
  if ((result == -EINTR || result == -EAGAIN) && !cancelled) {
    request.env_word[kPhase] = kFromRing;
    return start_or_wait(request);
  }
  finish(request,
         cancelled && result >= 0 && request.pooled_data == nullptr && result != 0 ? -ECANCELED : result);
}

// The socket has data, and the ring had no buffer a moment ago.
void UringEnv::receive_into_spare(IoRequest& request) {
  if (receive_buffers_.ring_has_buffers()) {
    request.env_word[kPhase] = kFromRing;
    note_socket_has_data(request.handle, true);
    return start_or_wait(request);
  }
  const std::optional<uint32_t> spare = receive_buffers_.take_spare();
  if (!spare) return buffer_waiters_.push(request);
  request.env_word[kPhase] = kIntoSpare;
  request.env_word[kSpare] = *spare;
  start_or_wait(request);
}

void UringEnv::release_pooled(uint32_t pooled_id) {
  receive_buffers_.give_back(pooled_id);
  if (!buffer_waiters_.empty()) [[unlikely]]
    receive_into_spare(buffer_waiters_.pop());
}

void UringEnv::note_socket_has_data(int32_t handle, bool has_data) {
  const auto index = static_cast<size_t>(handle);
  if (index >= socket_has_data_.size()) [[unlikely]]
    socket_has_data_.resize(index * 2 + 64, 1);
  socket_has_data_[index] = has_data ? 1 : 0;
}

bool UringEnv::socket_has_data(int32_t handle) const {
  const auto index = static_cast<size_t>(handle);
  return index >= socket_has_data_.size() || socket_has_data_[index] != 0;
}

// ---- polled I/O

bool UringEnv::polled(const IoRequest& request) const {
  if (polled_handles_.empty()) [[likely]]
    return false;
  if (request.kind != IoKind::read && request.kind != IoKind::write) return false;
  if (request.length > PolledRing::kBytesMax) return false;
  return std::ranges::find(polled_handles_, request.handle) != polled_handles_.end();
}

void UringEnv::decide_polling(const IoRequest& opened, int32_t handle) {
  if (uring_options_.poll == IoPoll::off) return;
  struct stat status{};
  if (file_status(handle, status) != 0) return;
  auto known = std::ranges::find(polled_devices_, status.st_dev, &std::pair<dev_t, bool>::first);
  if (known == polled_devices_.end()) {
    std::string reason;
    bool can = uring_options_.probe(handle, opened.path, reason);
    if (can && polled_ring_ == nullptr) {
      const std::span<std::byte> arena = buffers().arena().first(registered_bytes_);
      auto ring = PolledRing::create(uring_options_.polled_setup_flags, arena);
      can = ring.has_value();
      if (ring) {
        polled_ring_ = std::move(*ring);
      } else {
        reason = ring.error().to_string();
      }
    }
    if (!shared().told_of_polling.exchange(true)) {
      tell(can ? std::string("data files are read and written by polling (io.poll)")
               : fmt::format("polled I/O is not used for data files: {}", reason));
    }
    known = polled_devices_.insert(polled_devices_.end(), {status.st_dev, can});
  }
  if (known->second) polled_handles_.push_back(handle);
}

void UringEnv::look_at_polled() {
  ++stats_.io_enters;
  polled_ring_->look([this](IoRequest& request, int result) {
    if (result == -EOPNOTSUPP) {  // the file system cannot poll after all: everything goes by the first ring
      std::erase(polled_handles_, request.handle);
      for (auto& device : polled_devices_) device.second = false;
      return start_or_wait(request);
    }
    if (result < 0 && begin_again(request, result)) return;
    finish(request, result);
  });
}

void UringEnv::finish(IoRequest& request, int64_t result) {
  if (request.kind == IoKind::resolve) [[unlikely]]
    result = end_look_up(request, result);
  if (!unsent_cancels_.empty()) [[unlikely]]
    std::erase(unsent_cancels_, &request);
  complete(request, result);
}

}  // namespace fb
