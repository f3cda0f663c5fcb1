// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/units.h"
#include "client/types.h"

// The checksum of a blob's block. Up to kPieceBytes it is XXH3-64 of the payload. Longer payloads have a
// checksum for each piece of kPieceBytes (the last piece is the rest). The checksum of such a payload is the
// checksum of its pieces' checksums, seeded with the length. So a reader that has it and the pieces'
// checksums can verify a part without reading the rest.

namespace fb {

inline constexpr uint32_t kPieceBytes = 64 * kKiB;
inline constexpr uint32_t kPiecesMax = kBlobBlockSizeMax / kPieceBytes;
using PieceSums = std::array<uint64_t, kPiecesMax>;

// 0: the payload is one piece, and has no piece checksums.
constexpr uint32_t piece_count(uint32_t length) {
  return length <= kPieceBytes ? 0 : (length + kPieceBytes - 1) / kPieceBytes;
}

// The checksums of the pieces of a payload of more than one piece; the result views `sums`.
std::span<const uint64_t> piece_checksums(std::span<const std::byte> payload, PieceSums& sums);
uint64_t checksum_of_pieces(std::span<const uint64_t> sums, uint32_t length);

uint64_t blob_checksum(std::span<const std::byte> payload);

}  // namespace fb
