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
  sealed,       // a higher epoch has taken the journal over
  wrong_end,    // append not at the exact end, with other bytes
  trimmed,      // read below the trimmed end
  missing,      // read at or beyond the end
  damaged,      // bytes that were durable fail their checksum
  full,         // the bound on the journal's size; trim first
  unavailable,  // closing, or a write failed before: this frame was not taken
  timed_out,    // the deadline passed before the frame was taken
  outcome_unknown,
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
    uint64_t next_sequence = 1;   // the sequence that the next append gets
    uint64_t epoch = 0;
    uint64_t size_bytes = 0;
    uint64_t size_bytes_max = 0;
  };
  virtual Bounds bounds() const = 0;
  virtual size_t frame_size_max() const = 0;
  // The step by which the journal grows and shrinks.
  virtual uint64_t segment_bytes() const = 0;
  // Bytes written by append() since it was opened, frame overhead included.
  virtual uint64_t written_bytes() const = 0;
  // Callable on any core: how much can certainly be written, without the room that recovery needs.
  virtual uint64_t room_bytes() const = 0;
  // No more room can be made at present: the disk is full, or the journal is at its bound.
  virtual bool low() const = 0;
  // The handler is called if only trimming would make room. Null removes the handler.
  virtual void set_low_handler(std::function<void()> handler) = 0;

  // Takes the journal over for `epoch`, which must be above every earlier one: durable when it returns.
  // JournalError::full: not done for lack of room. After outcome_unknown the same call again tells.
  virtual Task<Result<void>> seal(const CallContext& context, uint64_t epoch) = 0;
  // Takes one frame, behind all that were taken before, and returns its sequence. It waits for room only, and
  // copies the payload. Calls that wait at the same time are taken in any order.
  virtual Task<Result<uint64_t>> submit(const CallContext& context, std::span<const std::byte> payload) = 0;
  // Waits until that frame, and so every one before it, is durable. Frames become durable in order, though
  // several may be on their way at the same time. JournalError::outcome_unknown: the frame may be durable or
  // not; the next open() tells.
  virtual Task<Result<void>> wait_durable(uint64_t sequence) = 0;
  // submit() and wait_durable().
  Task<Result<uint64_t>> append(const CallContext& context, std::span<const std::byte> payload);
  // The payloads of frames from `sequence` on, oldest first, as many as fit well, at least one.
  struct Frame {
    uint64_t sequence = 0;
    uint64_t epoch = 0;
    std::string payload;
  };
  virtual Task<Result<std::vector<Frame>>> read(const CallContext& context, uint64_t sequence) = 0;
  // Frames below `sequence` are no longer needed. Durable when it returns. After outcome_unknown some of them
  // may be gone; trimming again is always right.
  virtual Task<Result<void>> trim(const CallContext& context, uint64_t sequence) = 0;
};

}  // namespace fb
