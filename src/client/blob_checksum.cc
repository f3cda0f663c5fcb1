// SPDX-License-Identifier: Apache-2.0
#include "client/blob_checksum.h"

#include <algorithm>

#include "base/assert.h"
#include "base/checksum.h"

namespace fb {

std::span<const uint64_t> piece_checksums(std::span<const std::byte> payload, PieceSums& sums) {
  FB_ASSERT(payload.size() <= kBlobBlockSizeMax, payload.size());
  const uint32_t count = piece_count(static_cast<uint32_t>(payload.size()));
  for (uint32_t piece = 0; piece < count; ++piece) {
    const size_t at = size_t{piece} * kPieceBytes;
    sums[piece] = xxh3(payload.subspan(at, std::min<size_t>(kPieceBytes, payload.size() - at)));
  }
  return std::span(sums).first(count);
}

uint64_t checksum_of_pieces(std::span<const uint64_t> sums, uint32_t length) {
  return xxh3(std::as_bytes(sums), length);
}

uint64_t blob_checksum(std::span<const std::byte> payload) {
  if (payload.size() <= kPieceBytes) return xxh3(payload);
  PieceSums sums;
  return checksum_of_pieces(piece_checksums(payload, sums), static_cast<uint32_t>(payload.size()));
}

}  // namespace fb
