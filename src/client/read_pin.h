// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "client/types.h"
#include "io/teardown.h"

// How a read keeps the blobs that its record names from being freed.
//
// A ReadPin keeps everything that was named when the read began. It costs next to nothing, and it holds up
// the freeing of all garbage: so it is only for reads as short as calls within this process. A read that may
// last as long as a client likes is a LongRead. It begins as a pin. When garbage has waited for it for
// kReadEpochMax, the namespace asks it for the blobs that it still needs, keeps just these, and frees the
// rest; as the read advances, they become fewer.

namespace fb {

class LongRead;

// How long garbage waits for a long read before only the blobs that it still needs are kept.
inline constexpr Duration kReadEpochMax = Duration::seconds(2);

// While it lives, no blob that the record it came with names is freed. Held on the core that made the read.
// Cheap.
class ReadPin {
 public:
  class Owner {
   public:
    virtual void unpin(uint64_t epoch) = 0;
    // From now on the owner may ask this read, which began with one of its pins, for the blobs it needs.
    virtual void begin_long(LongRead& read) = 0;
    virtual void end_long(LongRead& read) = 0;
    // A blob that the read named is no longer needed.
    virtual void unname(const BlobId& blob) = 0;

   protected:
    ~Owner() = default;
  };
  ReadPin() = default;
  ReadPin(Owner& owner, uint64_t epoch) : owner_(&owner), epoch_(epoch) {}
  ReadPin(ReadPin&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), epoch_(other.epoch_) {}
  ReadPin& operator=(ReadPin&& other) noexcept {
    reset();
    owner_ = std::exchange(other.owner_, nullptr);
    epoch_ = other.epoch_;
    return *this;
  }
  ~ReadPin() { reset(); }
  void reset() {
    Owner* owner = std::exchange(owner_, nullptr);
    if (owner != nullptr && !detail::teardown_in_progress) owner->unpin(epoch_);
  }
  uint64_t epoch() const { return epoch_; }

 private:
  friend class LongRead;
  Owner* owner_ = nullptr;
  uint64_t epoch_ = 0;
};

// A read that may last. Stays on one core and at one address, by which it is known. No allocation, unless it
// is asked for its blobs.
class LongRead {
 public:
  // Names the blobs still needed, beginning with the one that is being read, in the order of reading. Called
  // between two turns of the reading coroutine.
  class Needs {
   public:
    virtual void name_blobs(std::vector<BlobId>& out) const = 0;

   protected:
    ~Needs() = default;
  };

  // `needs` must outlive this.
  LongRead(ReadPin pin, const Needs& needs) : pin_(std::move(pin)), owner_(pin_.owner_), needs_(&needs) {
    if (owner_ != nullptr) owner_->begin_long(*this);
  }
  LongRead(const LongRead&) = delete;
  ~LongRead() { release(); }

  // The read has come to this blob: the blobs before it are no longer needed.
  void come_to(const BlobId& blob) {
    if (narrowed_) drop_before(blob);
  }
  // Nothing is needed any more: all content still to be sent is in memory.
  void release();

  // --- for the owner ---
  bool narrowed() const { return narrowed_; }
  uint64_t epoch() const { return pin_.epoch(); }
  // Gives the pin up for the blobs that are still needed, which the owner keeps before anything else happens.
  const std::vector<BlobId>& narrow();
  LongRead* previous = nullptr;
  LongRead* next = nullptr;

 private:
  void drop_before(const BlobId& blob);

  ReadPin pin_;
  ReadPin::Owner* owner_;
  const Needs* needs_;
  bool narrowed_ = false;
  std::vector<BlobId> blobs_;  // named, from first_ on
  size_t first_ = 0;
};

}  // namespace fb
