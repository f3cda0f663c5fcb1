// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "io/stream.h"

// The memory that requests are received into, as types that pass it on:
//
//   ReceivedBytes   a head that is not whole yet: it may move as it grows
//        |  hold()
//   HeldHead        a head that a handler works with: nothing can move, change or free it
//        |  end()
//   ReceivedBytes   bytes behind the request, which begin the next one
//
// A handler keeps views of the head (the key, the query, header values) until its request has ended, however
// long the body takes. Therefore the step to HeldHead takes the memory away from everything that could move
// it, and the framing of a chunked body is received into an InputArray of its own.

namespace fb {

// Memory of one size for as long as it lives.
class InputArray {
 public:
  InputArray() = default;
  explicit InputArray(size_t size_bytes)
      : bytes_(std::make_unique_for_overwrite<std::byte[]>(size_bytes)), size_bytes_(size_bytes) {}
  InputArray(InputArray&& other) noexcept
      : bytes_(std::move(other.bytes_)), size_bytes_(std::exchange(other.size_bytes_, 0)) {}
  InputArray& operator=(InputArray&& other) noexcept {
    bytes_ = std::move(other.bytes_);
    size_bytes_ = std::exchange(other.size_bytes_, 0);
    return *this;
  }

  explicit operator bool() const { return bytes_ != nullptr; }
  size_t size_bytes() const { return size_bytes_; }
  std::span<std::byte> span() const { return {bytes_.get(), size_bytes_}; }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  size_t size_bytes_ = 0;
};

// Arrays kept for reuse, so that a connection whose heads come in pieces allocates nothing in the steady
// state.
class InputArrays {
 public:
  // The smallest array; it suffices for nearly every head.
  static constexpr size_t kArrayBytesMin = 4 * kKiB;

  InputArray take(size_t size_bytes_min);
  void give_back(InputArray array);

 private:
  static constexpr size_t kKeptMax = 2;
  static constexpr size_t kKeptBytesMax = 32 * kKiB;  // size of one array
  std::vector<InputArray> free_;
};

// Received bytes that no request has claimed yet, and the memory that they lie in.
class ReceivedBytes {
 public:
  ReceivedBytes() = default;
  explicit ReceivedBytes(PooledBytes pooled) : pooled_(std::move(pooled)), bytes_(pooled_.bytes()) {
    is_pooled_ = true;
  }
  explicit ReceivedBytes(InputArray array) : array_(std::move(array)), bytes_(array_.span()) {}
  ReceivedBytes(ReceivedBytes&& other) noexcept { *this = std::move(other); }
  ReceivedBytes& operator=(ReceivedBytes&& other) noexcept;

  bool empty() const { return bytes_.empty(); }
  std::span<std::byte> bytes() const { return bytes_; }
  std::string_view text() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }
  // In memory of the environment, which must not be held while a client is waited for.
  bool is_pooled() const { return is_pooled_; }

  // The free room behind the bytes, for receiving more without moving them.
  std::span<std::byte> room() const;
  void add_received(size_t count) { bytes_ = {bytes_.data(), bytes_.size() + count}; }
  size_t array_bytes() const { return array_.size_bytes(); }
  // Moves the bytes to the front of another array. Returns the array that they lay in, if it was one.
  [[nodiscard]] InputArray move_to(InputArray array);
  // Drops all bytes but `rest`, a part of them.
  void keep_only(std::span<std::byte> rest);
  // Gives the memory up. Returns the array if it is one.
  InputArray drop();

 private:
  PooledBytes pooled_;
  InputArray array_;
  std::span<std::byte> bytes_;
  bool is_pooled_ = false;
};

// The head of the request in progress, and the bytes that came with it. From hold() to end() they stay as
// they are: there is no operation that moves, frees, changes or extends them. Sanitizer builds prove it by a
// checksum.
class HeldHead {
 public:
  HeldHead() = default;
  HeldHead(const HeldHead&) = delete;

  void hold(ReceivedBytes&& received, size_t head_size);
  bool held() const { return head_size_ != 0; }
  bool contains(std::string_view view) const;
  // The bytes behind the head that came with it.
  std::span<std::byte> behind() const { return received_.bytes().subspan(head_size_); }
  // The request has ended and nobody looks at its head any more.
  ReceivedBytes end();

 private:
  uint64_t fingerprint() const;

  ReceivedBytes received_;
  size_t head_size_ = 0;
  uint64_t fingerprint_ = 0;  // in sanitizer builds
};

}  // namespace fb
