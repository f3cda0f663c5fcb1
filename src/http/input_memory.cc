// SPDX-License-Identifier: Apache-2.0
#include "http/input_memory.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/poison.h"

namespace fb {

InputArray InputArrays::take(size_t size_bytes_min) {
  const auto fits = [&](const InputArray& array) { return array.size_bytes() >= size_bytes_min; };
  const auto found = std::ranges::find_if(free_, fits);
  if (found == free_.end()) return InputArray(std::max(size_bytes_min, kArrayBytesMin));
  InputArray array = std::move(*found);
  free_.erase(found);
  unpoison_memory(array.span().data(), array.size_bytes());
  return array;
}

void InputArrays::give_back(InputArray array) {
  if (!array || array.size_bytes() > kKeptBytesMax || free_.size() == kKeptMax) return;
  poison_memory(array.span().data(), array.size_bytes());
  free_.push_back(std::move(array));
}

ReceivedBytes& ReceivedBytes::operator=(ReceivedBytes&& other) noexcept {
  pooled_ = std::move(other.pooled_);
  array_ = std::move(other.array_);
  bytes_ = std::exchange(other.bytes_, {});
  is_pooled_ = std::exchange(other.is_pooled_, false);
  return *this;
}

std::span<std::byte> ReceivedBytes::room() const {
  if (!array_) return {};
  return array_.span().subspan(static_cast<size_t>(bytes_.data() - array_.span().data()) + bytes_.size());
}

InputArray ReceivedBytes::move_to(InputArray array) {
  FB_ASSERT(array.size_bytes() >= bytes_.size(), array.size_bytes(), bytes_.size());
  std::memcpy(array.span().data(), bytes_.data(), bytes_.size());
  const size_t count = bytes_.size();
  InputArray old = drop();
  array_ = std::move(array);
  bytes_ = array_.span().first(count);
  return old;
}

void ReceivedBytes::keep_only(std::span<std::byte> rest) {
  FB_ASSERT(rest.data() >= bytes_.data());
  FB_ASSERT(rest.data() + rest.size() <= bytes_.data() + bytes_.size());
  poison_memory(bytes_.data(), static_cast<size_t>(rest.data() - bytes_.data()));
  bytes_ = rest;
}

InputArray ReceivedBytes::drop() {
  bytes_ = {};
  is_pooled_ = false;
  pooled_.reset();
  return std::exchange(array_, InputArray());
}

void HeldHead::hold(ReceivedBytes&& received, size_t head_size) {
  FB_ASSERT(!held());
  FB_ASSERT(head_size > 0);
  FB_ASSERT(head_size <= received.bytes().size(), head_size, received.bytes().size());
  received_ = std::move(received);
  head_size_ = head_size;
  if constexpr (kPoisoning) fingerprint_ = fingerprint();
}

bool HeldHead::contains(std::string_view view) const {
  return view.data() >= received_.text().data() &&
         view.data() + view.size() <= received_.text().data() + head_size_;
}

ReceivedBytes HeldHead::end() {
  FB_ASSERT(held());
  if constexpr (kPoisoning) FB_ASSERT(fingerprint_ == fingerprint());
  head_size_ = 0;
  return std::move(received_);
}

uint64_t HeldHead::fingerprint() const { return xxh3(received_.bytes().first(head_size_)); }

}  // namespace fb
