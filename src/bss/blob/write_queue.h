// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/result.h"
#include "base/time.h"
#include "bss/blob/format.h"
#include "io/env.h"

namespace fb::bss {

// Coroutines that wait for several writes at once.
struct WriteGroup {
  size_t remaining = 0;
  std::coroutine_handle<> waiter;
  bool await_ready() const noexcept { return remaining == 0; }
  void await_suspend(std::coroutine_handle<> handle) noexcept { waiter = handle; }
  void await_resume() const noexcept {}
};

// One put, erase or move on its way to disk. Lives in the waiting coroutine's frame.
struct WriteOp {
  EntryKind kind = EntryKind::put;
  uint32_t block = 0;
  uint32_t length = 0;
  uint32_t incarnation = 0;
  uint64_t number = 0;
  uint64_t checksum = 0;
  std::byte* data = nullptr;   // whole blocks, finished by finish_payload()
  std::byte* table = nullptr;  // the block with the pieces' checksums, if they need one
  uint64_t place = 0;          // put, copy: where it is being written; before that, of a copy, where it was
  uint64_t other_generation = 0;
  uint64_t source_place = 0;            // copy
  Instant deadline = Instant::never();  // put: while no batch has taken it
  bool move = false;                    // compaction's: a copy, or a tombstone that is still needed
  std::optional<Error> error;
  WriteGroup* group = nullptr;
  WriteOp* next = nullptr;

  uint64_t stored() const { return kind == EntryKind::tombstone ? 0 : stored_bytes(length); }
  bool has_own_table() const { return stored() > payload_bytes(length); }
};

// Ends an operation: its waiter runs when all of its group have ended.
void finish_op(Env& env, WriteOp& op, std::optional<Error> error);

// Operations in the order in which they came, linked through themselves.
class WriteQueue {
 public:
  bool empty() const { return first_ == nullptr; }
  size_t size() const { return size_; }
  uint64_t stored() const { return stored_; }
  WriteOp* front() const { return first_; }
  void push(WriteOp& op);
  void push_front(WriteOp& op);
  WriteOp& pop();
  // Takes out the operations whose deadline has come, as a list.
  WriteOp* take_expired(Instant now);

 private:
  void count(const WriteOp& op) { ++size_, stored_ += op.stored(); }
  WriteOp* first_ = nullptr;
  WriteOp* last_ = nullptr;
  size_t size_ = 0;
  uint64_t stored_ = 0;
};

// The operations of one shard that wait for a batch, by kind. The shard owns it; the batch writer fills and
// empties it, and the workers that make room look at what waits there.
struct WriteQueues {
  WriteQueue puts;
  WriteQueue erases;
  WriteQueue moves;

  WriteQueue& of(const WriteOp& op) {
    if (op.move) return moves;
    return op.kind == EntryKind::put ? puts : erases;
  }
  bool empty() const { return puts.empty() && erases.empty() && moves.empty(); }
};

}  // namespace fb::bss
