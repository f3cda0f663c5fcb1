// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/types.h"
#include "io/buffer.h"
#include "io/task.h"

namespace fb {

enum class JournalError {
  sealed,     // a higher epoch has taken the journal over
  wrong_end,  // append elsewhere than at the exact end with other bytes
  trimmed,    // read below what was trimmed
  missing,    // read at or beyond the end
  damaged,    // bytes that were durable fail their checksum
  full,       // the bound on the journal's size; trim first
  unavailable,
  timed_out,
};
std::string_view to_string(JournalError code);
inline const ErrorDomain& error_domain(JournalError) {
  static constexpr ErrorDomain kDomain{"journal",
                                       [](int code) { return to_string(static_cast<JournalError>(code)); }};
  return kDomain;
}

// An append-only sequence of frames, each numbered from 1 without gaps, that one owner (an epoch) writes.
// Recovery tells a torn tail (never acknowledged, dropped) from damage (acknowledged, an error).
class JournalClient {
 public:
  virtual ~JournalClient() = default;

  struct Bounds {
    uint64_t first_sequence = 1;  // the oldest frame that is kept
    uint64_t next_sequence = 1;   // the one the next append gets
    uint64_t epoch = 0;
    uint64_t size_bytes = 0;
    uint64_t size_bytes_max = 0;
  };
  virtual Bounds bounds() const = 0;
  virtual size_t frame_size_max() const = 0;
  // The journal grows and shrinks by so many bytes at a time.
  virtual uint64_t segment_bytes() const = 0;
  // By append() since it was opened, with what frames cost.
  virtual uint64_t written_bytes() const = 0;
  // Any core: how much can be written for certain; what recovery needs is left out.
  virtual uint64_t room_bytes() const = 0;
  // No more room can be had at present: the disk is full, or the journal at its bound.
  virtual bool low() const = 0;
  // Called where trimming would give room back that cannot be had otherwise. Null takes it away.
  virtual void set_low_handler(std::function<void()> handler) = 0;

  // Takes the journal over for `epoch`, which must be above every earlier one: durable when it returns.
  virtual Task<Result<void>> seal(const CallContext& context, uint64_t epoch) = 0;
  // Takes one frame, as the one behind all that were taken before; its sequence. Waits for room only, and
  // copies; calls that wait at the same time are taken in any order.
  virtual Task<Result<uint64_t>> submit(const CallContext& context, std::span<const std::byte> payload) = 0;
  // Until that frame, and so every one before it, is durable. Frames become durable in order, though several
  // may be on their way at the same time.
  virtual Task<Result<void>> wait_durable(uint64_t sequence) = 0;
  // Both.
  Task<Result<uint64_t>> append(const CallContext& context, std::span<const std::byte> payload);
  // The payloads of frames from `sequence` on, oldest first, as many as are convenient: at least one.
  struct Frame {
    uint64_t sequence = 0;
    uint64_t epoch = 0;
    std::string payload;
  };
  virtual Task<Result<std::vector<Frame>>> read(const CallContext& context, uint64_t sequence) = 0;
  // Frames below `sequence` are no longer needed. Durable when it returns.
  virtual Task<Result<void>> trim(const CallContext& context, uint64_t sequence) = 0;
};

}  // namespace fb
