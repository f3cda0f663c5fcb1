// SPDX-License-Identifier: Apache-2.0
#include "api/object_source.h"

#include <algorithm>
#include <cstring>

namespace fb::api {

ObjectSource::ObjectSource(Services services, const ObjectRecord& record, uint64_t offset, uint64_t length,
                           ReadPin pin)
    : services_(services),
      reader_(services),
      cursor_(record, offset, length),
      reading_(std::move(pin), cursor_),
      length_(length) {}

Task<S3Result<size_t>> ObjectSource::fill(std::span<std::byte> into) {
  size_t filled = 0;
  while (filled < into.size()) {
    if (!piece_) {
      piece_ = cursor_.next();
      come_to(reading_, piece_);
      if (!piece_) break;
      consumed_ = 0;
      inline_rest_ = piece_->inline_data;
      if (inline_rest_.empty()) {
        // The caller holds a buffer already: what is read here is given back before the next one is asked
        // for.
        data_ = {};
        FB_CO_TRY(data_, co_await reader_.read(*piece_));
      }
    }
    const std::byte* bytes =
        inline_rest_.empty() ? data_.bytes().data() : reinterpret_cast<const std::byte*>(inline_rest_.data());
    const size_t count = std::min<size_t>(piece_->length - consumed_, into.size() - filled);
    std::memcpy(into.data() + filled, bytes + consumed_, count);
    services_.env.stats().bytes_copied += count;
    filled += count;
    consumed_ += count;
    if (consumed_ == piece_->length) {
      piece_.reset();
      data_ = {};
    }
  }
  co_return filled;
}

}  // namespace fb::api
