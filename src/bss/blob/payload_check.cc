// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/payload_check.h"

#include <algorithm>
#include <cstring>

#include "io/error.h"
#include "io/scope.h"

namespace fb::bss {

PayloadExtent pieces_of(uint32_t payload, uint32_t offset, uint32_t length) {
  if (piece_count(payload) == 0) return {.begin = 0, .end = payload};
  return {.begin = static_cast<uint32_t>(align_down(offset, kPieceBytes)),
          .end = static_cast<uint32_t>(
              std::min<uint64_t>(align_up(uint64_t{offset} + length, kPieceBytes), payload))};
}

Task<Verdict> read_extent(CoreContext& core, const CallContext& context, Segment& segment,
                          const IndexEntry& entry, PayloadExtent extent, Buffer& buffer) {
  const IoLimits limits{.deadline = context.deadline, .cancel = context.cancel};
  const uint32_t length = entry.length();
  const auto bytes = buffer.span(0, extent.blocks_bytes());
  const bool whole = extent.begin == 0 && extent.end == length;
  const uint64_t table_block = entry.offset_bytes() + stored_bytes(length) - kBlockBytes;
  Result<size_t> count = size_t{0};
  Result<size_t> table_count = kBlockBytes;
  Buffer table;
  if (whole) {
    count = co_await segment.file.read_on(core.env, bytes, entry.offset_bytes(), limits);
  } else {
    table = co_await core.pool.allocate(kBlockBytes);
    co_await when_all(
        [&]() -> Task<void> {
          count = co_await segment.file.read_on(core.env, bytes, entry.offset_bytes() + extent.begin, limits);
        },
        [&]() -> Task<void> {
          table_count =
              co_await segment.file.read_on(core.env, table.span(0, kBlockBytes), table_block, limits);
        });
  }
  for (const Result<size_t>* each : {&count, &table_count}) {
    const bool ended =
        !*each && (each->error().is(IoError::timed_out) || each->error().is(IoError::cancelled));
    if (ended) co_return Verdict::timed_out;
  }
  const bool read = count && *count == bytes.size();
  if (whole && !read) co_return Verdict::unreadable;
  if (whole)
    co_return blob_checksum(bytes.first(length)) == entry.checksum ? Verdict::intact : Verdict::damaged;
  if (!table_count || *table_count != kBlockBytes) co_return Verdict::table_damaged;
  PieceSums sums{};
  std::memcpy(sums.data(), table.data() + piece_table_offset(length) % kBlockBytes,
              piece_table_bytes(length));
  const auto expected = std::span(sums).first(piece_count(length));
  if (checksum_of_pieces(expected, length) != entry.checksum) co_return Verdict::table_damaged;
  if (!read) co_return Verdict::unreadable;
  for (uint32_t at = extent.begin; at < extent.end; at += kPieceBytes) {
    const auto piece = bytes.subspan(at - extent.begin, std::min(kPieceBytes, extent.end - at));
    if (xxh3(piece) != expected[at / kPieceBytes]) co_return Verdict::damaged;
  }
  co_return Verdict::intact;
}

Task<Verdict> check_payload(BufferPool& pool, Segment& segment, uint64_t offset, uint32_t length,
                            uint64_t checksum) {
  const Buffer buffer = co_await pool.allocate(payload_bytes(length));
  const auto bytes = buffer.span(0, payload_bytes(length));
  if (!co_await segment.file.read_exactly(bytes, offset)) co_return Verdict::unreadable;
  const auto payload = bytes.first(length);
  PieceSums sums;
  const auto expected = piece_checksums(payload, sums);
  if (expected.empty()) co_return xxh3(payload) == checksum ? Verdict::intact : Verdict::damaged;
  if (checksum_of_pieces(expected, length) != checksum) co_return Verdict::damaged;
  Buffer own;
  const std::byte* table = bytes.data() + piece_table_offset(length);
  if (!piece_table_fits_behind(length)) {
    own = co_await pool.allocate(kBlockBytes);
    if (!co_await segment.file.read_exactly(own.span(0, kBlockBytes), offset + payload_bytes(length)))
      co_return Verdict::unreadable;
    table = own.data();
  }
  const bool same = std::memcmp(table, expected.data(), expected.size_bytes()) == 0;
  co_return same ? Verdict::intact : Verdict::table_damaged;
}

Verdict judge_payload(std::span<std::byte> stored, const DescriptorEntry& entry) {
  const auto payload = stored.first(entry.length);
  PieceSums sums;
  const auto expected = piece_checksums(payload, sums);
  if (expected.empty()) return xxh3(payload) == entry.checksum ? Verdict::intact : Verdict::damaged;
  if (checksum_of_pieces(expected, entry.length) != entry.checksum) return Verdict::damaged;
  const uint64_t blocks = payload_bytes(entry.length);
  finish_payload(stored.first(blocks), entry.length, expected, stored.subspan(blocks));
  return Verdict::intact;
}

}  // namespace fb::bss
