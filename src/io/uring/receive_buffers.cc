// SPDX-License-Identifier: Apache-2.0
#include "io/uring/receive_buffers.h"

#include <sys/mman.h>

#include <cerrno>

#include "base/poison.h"
#include "io/error.h"

namespace fb {
namespace {

constexpr size_t kMemoryBytes = ReceiveBuffers::kRingBuffers * kPooledBytesSize;
constexpr size_t kRingBytes = ReceiveBuffers::kRingBuffers * sizeof(io_uring_buf);

void* map(size_t bytes) {
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mapped == MAP_FAILED ? nullptr : mapped;
}

}  // namespace

// The io_uring that used both has been closed before.
ReceiveBuffers::~ReceiveBuffers() {
  if (memory_ != nullptr) {
    unpoison_memory(memory_, kMemoryBytes);
    munmap(memory_, kMemoryBytes);
  }
  if (ring_ != nullptr) munmap(ring_, kRingBytes);
}

Result<void> ReceiveBuffers::register_with(io_uring& ring) {
  memory_ = static_cast<std::byte*>(map(kMemoryBytes));
  ring_ = static_cast<io_uring_buf_ring*>(map(kRingBytes));
  if (memory_ == nullptr || ring_ == nullptr) return io_error(ENOMEM);
  poison_memory(memory_, kMemoryBytes);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uintptr_t>(ring_);
  registration.ring_entries = kRingBuffers;
  registration.bgid = kGroup;
  if (const int result = io_uring_register_buf_ring(&ring, &registration, 0); result < 0)
    return io_error(-result);
  io_uring_buf_ring_init(ring_);
  for (uint32_t id = 0; id < kRingBuffers; ++id) {
    io_uring_buf_ring_add(ring_, data(id), kPooledBytesSize, static_cast<uint16_t>(id),
                          io_uring_buf_ring_mask(kRingBuffers), static_cast<int>(id));
  }
  io_uring_buf_ring_advance(ring_, kRingBuffers);
  return {};
}

std::byte* ReceiveBuffers::data(uint32_t id) {
  if (id < kRingBuffers) return memory_ + size_t{id} * kPooledBytesSize;
  return spare_[id - kRingBuffers].get();
}

void ReceiveBuffers::taken(uint32_t id) {
  FB_ASSERT(id < kRingBuffers, id);
  ++out_;
  FB_ASSERT(out_ <= kRingBuffers, out_);
  unpoison_memory(data(id), kPooledBytesSize);
}

std::optional<uint32_t> ReceiveBuffers::take_spare() {
  if (spare_ids_.empty()) {
    if (spare_.size() == kSpareBuffers) return std::nullopt;
    spare_ids_.push_back(kRingBuffers + static_cast<uint32_t>(spare_.size()));
    spare_.emplace_back();
  }
  const uint32_t id = spare_ids_.back();
  spare_ids_.pop_back();
  spare_[id - kRingBuffers] = std::make_unique_for_overwrite<std::byte[]>(kPooledBytesSize);
  return id;
}

bool ReceiveBuffers::give_back(uint32_t id) {
  if (id >= kRingBuffers) {
    FB_ASSERT(id - kRingBuffers < spare_.size() && spare_[id - kRingBuffers] != nullptr, id);
    spare_[id - kRingBuffers].reset();
    spare_ids_.push_back(id);
    return false;
  }
  FB_ASSERT(out_ > 0);
  --out_;
  poison_memory(data(id), kPooledBytesSize);
  io_uring_buf_ring_add(ring_, data(id), kPooledBytesSize, static_cast<uint16_t>(id),
                        io_uring_buf_ring_mask(kRingBuffers), 0);
  io_uring_buf_ring_advance(ring_, 1);
  return true;
}

}  // namespace fb
