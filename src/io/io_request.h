// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <coroutine>
#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "io/cancel.h"
#include "io/endpoint.h"
#include "io/timer_queue.h"

namespace fb {

class Env;

// The use of a file. It decides nothing about the bytes, but lets statistics, the simulator's faults and its
// left-out flushes name a kind of file.
enum class FileRole : uint8_t { data, journal, snapshot, other };

enum class IoKind : uint8_t {
  // files; `handle` is a file, or unused if `path` names it
  open,      // path, flags of open(2), mode in length -> handle; direct_granted says whether O_DIRECT was
             // accepted
  close,     // also sockets
  read,      // data, length, offset -> bytes (short only at end of file)
  write,     // data, length, offset; kDurable -> bytes
  writev,    // vectors, vector_count, offset; kDurable -> bytes
  sync,      // fdatasync of a file, or fsync of a directory handle
  allocate,  // offset, length: reserves blocks and sets the size (fallocate)
  truncate,  // length: the new size
  stat,      // -> *stat
  rename,    // path -> path2, replacing; durable only after sync of the directory
  unlink,    // path
  make_directory,  // path
  list_directory,  // path -> *names; for start-up and rare work: may block the core
  lock,            // exclusive lock of a file for the life of the handle (flock), in_use if held elsewhere
  statfs,          // path -> *space
  // sockets
  listen,          // endpoint -> handle; SO_REUSEPORT
  accept,          // -> handle, *endpoint of the peer
  connect,         // endpoint -> handle
  receive,         // data, length -> bytes, 0 at the end of the stream
  receive_pooled,  // -> bytes in a buffer of the environment, pooled_data and pooled_id; given back by
                   // release_pooled
  send,            // vectors, vector_count -> bytes (may be short)
  shutdown,        // both directions
  finish_sending,  // the peer reads to the end; receiving goes on
  resolve,         // path (a host), length (the port) -> *addresses
  // process
  wait_signal,  // -> the number of a signal among SIGTERM, SIGINT, SIGHUP; core 0 only
};

struct FileStat {
  uint64_t size_bytes = 0;  // also for a block device
  bool directory = false;
  bool block_device = false;
};

struct FileSystemSpace {
  uint64_t total_bytes = 0;
  uint64_t available_bytes = 0;
  // A block that was written stays where it is when it is written again (ext4, xfs): Durability::plp needs
  // that.
  bool overwrites_in_place = false;
};

// One operation, from submission to completion. Lives in the awaiting coroutine's frame (see io_awaiter.h),
// never moves, and must be completed before it is destroyed, except when a simulated process is torn down.
struct IoRequest {
  static constexpr uint32_t kDurable = 1;   // write: on stable media when complete (RWF_DSYNC)
  static constexpr uint32_t kFullSync = 2;  // sync: fsync, as directories need it; otherwise fdatasync

  IoRequest() : timer(&IoRequest::on_timer), on_cancel(&IoRequest::on_cancelled) {}
  IoRequest(const IoRequest&) = delete;
  IoRequest& operator=(const IoRequest&) = delete;
  ~IoRequest();

  IoKind kind = IoKind::close;
  FileRole role = FileRole::other;
  uint32_t flags = 0;
  int32_t handle = -1;
  uint64_t length = 0;
  uint64_t offset = 0;
  std::byte* data = nullptr;
  const iovec* vectors = nullptr;
  uint32_t vector_count = 0;
  const char* path = nullptr;
  const char* path2 = nullptr;
  void* out = nullptr;  // FileStat*, FileSystemSpace*, std::vector<std::string>*, Endpoint*,
                        // std::vector<Endpoint>* by kind
  const Endpoint* endpoint = nullptr;

  // Results: bytes, a handle, or -errno.
  int64_t result = 0;
  bool direct_granted = false;
  std::byte* pooled_data = nullptr;
  uint32_t pooled_id = 0;

  // Waiting.
  Env* env = nullptr;
  std::coroutine_handle<> waiter;
  Instant deadline = Instant::never();
  CancelToken cancel = nullptr;
  Timer timer;
  CancelCallback on_cancel;
  bool timed_out = false;
  enum class State : uint8_t { idle, in_flight, done } state = State::idle;

  // For the environment alone.
  uint64_t env_word[4] = {};
  IoRequest* next = nullptr;

 private:
  static void on_timer(Timer& timer);
  static void on_cancelled(CancelCallback& callback);
};

}  // namespace fb
