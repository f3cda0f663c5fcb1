// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "io/env.h"
#include "s3/response/error.h"

namespace fb::api {

using s3::S3Result;

// A stream of content to be stored: a request's body, or another object.
class ContentSource {
 public:
  virtual ~ContentSource() = default;
  // Fills `into`; fewer bytes only at the end of the content, where the next call gives 0.
  virtual Task<S3Result<size_t>> fill(std::span<std::byte> into) = 0;
  // Bytes that fill() gives without waiting for a client; SIZE_MAX where it waits for none.
  virtual size_t at_hand() const { return SIZE_MAX; }
  // Waits until some are.
  virtual Task<S3Result<void>> await_some() { co_return S3Result<void>(); }
  // For content that a client sends: how much memory of which use waits for it.
  virtual void hold(uint64_t, BufferUse) {}
  // Makes a fill() that waits for a client fail.
  virtual void stop() {}
  // The size, if it is known beforehand.
  virtual std::optional<uint64_t> size_bytes() const = 0;
};

}  // namespace fb::api
