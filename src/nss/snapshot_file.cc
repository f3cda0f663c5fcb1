// SPDX-License-Identifier: Apache-2.0
#include "nss/snapshot_file.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "base/byte_codec.h"
#include "io/log.h"

namespace fb {
namespace {

enum class ItemKind : uint8_t { tree = 1, entry = 2, garbage = 3, end = 4 };

struct BlockHeader {
  std::array<char, 4> magic{'F', 'B', 'S', 'N'};
  uint32_t version = kSnapshotVersion;
  uint64_t checksum = 0;  // XXH3 of the block with this field 0
  uint64_t number = 0;
  uint32_t size_bytes = 0;  // header and items, without padding
  uint32_t reserved = 0;
};
static_assert(sizeof(BlockHeader) == 32);
constexpr size_t kItemSizeMax = 32 + kTreeKeySizeMax + kRecordSizeMax;
constexpr size_t kBlockSizeMax = sizeof(BlockHeader) + SnapshotWriter::kBlockBytes + kItemSizeMax;

uint64_t block_checksum(std::span<std::byte> block, const StoreId& store_id, uint64_t number) {
  std::memset(block.data() + offsetof(BlockHeader, checksum), 0, sizeof(uint64_t));
  const uint64_t seed = XXH3_64bits(store_id.data(), store_id.size()) ^ (number * 0x9e3779b97f4a7c15ull);
  return XXH3_64bits_withSeed(block.data(), block.size(), seed);
}

struct ReadState {
  SnapshotSummary counted;
  SnapshotSummary stated;
  bool in_tree = false;
  bool ended = false;
};

bool read_end(ByteReader& reader, ReadState& state) {
  state.ended = true;
  for (uint64_t* field : {&state.stated.sequence_begun, &state.stated.sequence_ended, &state.stated.epoch,
                          &state.stated.trees, &state.stated.entries, &state.stated.garbage}) {
    *field = reader.varint();
  }
  return reader.ok();
}

bool read_item(ByteReader& reader, const SnapshotVisitor& visitor, ReadState& state) {
  const auto kind = static_cast<ItemKind>(reader.u8());
  if (!reader.ok() || state.ended) return false;
  switch (kind) {
    case ItemKind::tree: {
      const BucketId bucket{reader.varint()};
      if (!reader.ok()) return false;
      ++state.counted.trees;
      state.in_tree = true;
      visitor.tree(bucket);
      return true;
    }
    case ItemKind::entry: {
      const uint8_t space = reader.u8();
      const Version version{reader.varint()};
      const std::string_view path = reader.sized();
      const std::string_view record = reader.sized();
      if (!reader.ok() || !state.in_tree || path.size() > kTreeKeySizeMax || record.size() > kRecordSizeMax)
        return false;
      ++state.counted.entries;
      visitor.entry({static_cast<Space>(space), path}, version, record);
      return true;
    }
    case ItemKind::garbage: {
      Garbage garbage;
      reader.fixed_bytes(&garbage.id, sizeof(garbage.id));
      garbage.block_count = static_cast<uint32_t>(reader.varint());
      if (!reader.ok()) return false;
      ++state.counted.garbage;
      visitor.garbage(garbage);
      return true;
    }
    case ItemKind::end:
      return read_end(reader, state);
  }
  return false;
}

Error refuse(Env& env, const std::string& path, uint64_t offset, std::string_view what, NamespaceError code) {
  log(env, LogLevel::error, fmt::format("snapshot: {}", what), {{"file", path}, {"offset", offset}});
  return code;
}

// Reads the block at `offset` whole into `block`.
Task<Result<void>> read_block(File& file, const std::string& path, uint64_t offset, uint64_t number,
                              const StoreId& store_id, AlignedBytes& block) {
  Env& env = file.env();
  block.resize(kDirectIoAlignment);
  BlockHeader header;
  const Result<void> head_read = co_await file.read_exactly(block.span(), offset);
  if (!head_read)
    co_return refuse(env, path, offset, "it is cut short or unreadable", NamespaceError::damaged);
  std::memcpy(&header, block.data(), sizeof(header));
  if (header.magic != BlockHeader().magic) {
    co_return refuse(env, path, offset, "this is not a snapshot of FractalBits, or damaged",
                     NamespaceError::damaged);
  }
  if (header.size_bytes < sizeof(BlockHeader) || header.size_bytes > kBlockSizeMax) {
    co_return refuse(env, path, offset, "a block's length is damaged", NamespaceError::damaged);
  }
  const size_t padded = align_up(header.size_bytes, kDirectIoAlignment);
  block.resize(padded);
  if (padded > kDirectIoAlignment) {
    const auto rest = block.span().subspan(kDirectIoAlignment);
    const Result<void> rest_read = co_await file.read_exactly(rest, offset + kDirectIoAlignment);
    if (!rest_read)
      co_return refuse(env, path, offset, "it is cut short or unreadable", NamespaceError::damaged);
  }
  const std::span<const std::byte> padding = block.span().subspan(header.size_bytes);
  if (std::ranges::any_of(padding, [](std::byte byte) { return byte != std::byte{}; })) {
    co_return refuse(env, path, offset, "a block's padding is damaged", NamespaceError::damaged);
  }
  block.resize(header.size_bytes);
  if (block_checksum(block.span(), store_id, number) != header.checksum || header.number != number) {
    co_return refuse(env, path, offset, "a block is damaged, or of another store", NamespaceError::damaged);
  }
  if (header.version != kSnapshotVersion) {
    co_return refuse(env, path, offset, "it is of another version of the format than this program reads",
                     NamespaceError::unsupported);
  }
  co_return Result<void>();
}

Task<Result<SnapshotSummary>> read_blocks(File& file, const std::string& path, const StoreId& store_id,
                                          const SnapshotVisitor& visitor) {
  AlignedBytes block;
  ReadState state;
  uint64_t offset = 0;
  for (uint64_t number = 0; !state.ended; ++number) {
    FB_CO_CHECK(co_await read_block(file, path, offset, number, store_id, block));
    ByteReader reader(block.text().substr(sizeof(BlockHeader)));
    while (!reader.at_end()) {
      if (read_item(reader, visitor, state)) continue;
      co_return refuse(file.env(), path, offset, "an item is malformed", NamespaceError::damaged);
    }
    offset += align_up(block.size(), kDirectIoAlignment);
  }
  const bool complete = state.stated.trees == state.counted.trees &&
                        state.stated.entries == state.counted.entries &&
                        state.stated.garbage == state.counted.garbage;
  if (!complete)
    co_return refuse(file.env(), path, offset, "something is missing from it", NamespaceError::damaged);
  co_return state.stated;
}

// Not truncated: what was allocated for it stays its own.
OpenOptions new_file_options() {
  return {.write = true, .create = true, .direct = true, .role = FileRole::snapshot, .mode = 0600};
}

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

Task<Result<void>> SnapshotWriter::open() {
  FB_CO_TRY(file_, co_await File::open(env_, new_path(), new_file_options()));
  block_.resize(sizeof(BlockHeader));
  co_return Result<void>();
}

void SnapshotWriter::add_tree(BucketId bucket) {
  scratch_.clear();
  ByteWriter writer(scratch_);
  writer.u8(static_cast<uint8_t>(ItemKind::tree));
  writer.varint(bucket.value);
  block_.append(scratch_.data(), scratch_.size());
  ++summary_.trees;
}

void SnapshotWriter::add_entry(const Entry& entry) {
  scratch_.clear();
  ByteWriter writer(scratch_);
  writer.u8(static_cast<uint8_t>(ItemKind::entry));
  writer.u8(static_cast<uint8_t>(entry.space()));
  writer.varint(entry.version().value);
  writer.sized(entry.path());
  writer.sized(entry.record());
  block_.append(scratch_.data(), scratch_.size());
  ++summary_.entries;
}

void SnapshotWriter::add_garbage(const Garbage& garbage) {
  scratch_.clear();
  ByteWriter writer(scratch_);
  writer.u8(static_cast<uint8_t>(ItemKind::garbage));
  writer.fixed(&garbage.id, sizeof(garbage.id));
  writer.varint(garbage.block_count);
  block_.append(scratch_.data(), scratch_.size());
  ++summary_.garbage;
}

Task<Result<void>> SnapshotWriter::write_block() {
  BlockHeader header;
  header.number = block_number_++;
  header.size_bytes = static_cast<uint32_t>(block_.size());
  std::memcpy(block_.data(), &header, sizeof(header));
  header.checksum = block_checksum(block_.span(), store_id_, header.number);
  std::memcpy(block_.data(), &header, sizeof(header));
  const std::span<const std::byte> padded = block_.pad();
  FB_CO_CHECK(co_await file_.write_all(padded, offset_));
  offset_ += padded.size();
  block_.clear();
  block_.resize(sizeof(BlockHeader));
  co_return Result<void>();
}

Task<Result<void>> SnapshotWriter::flush() { co_return co_await write_block(); }

Task<Result<void>> SnapshotWriter::finish(uint64_t sequence_ended, uint64_t epoch) {
  summary_.sequence_ended = sequence_ended;
  summary_.epoch = epoch;
  scratch_.clear();
  ByteWriter writer(scratch_);
  writer.u8(static_cast<uint8_t>(ItemKind::end));
  for (const uint64_t field : {summary_.sequence_begun, summary_.sequence_ended, summary_.epoch,
                               summary_.trees, summary_.entries, summary_.garbage}) {
    writer.varint(field);
  }
  block_.append(scratch_.data(), scratch_.size());
  FB_CO_CHECK(co_await write_block());
  FB_CO_CHECK(co_await file_.truncate(offset_));
  FB_CO_CHECK(co_await file_.sync());
  FB_CO_CHECK(co_await file_.close());
  FB_CO_CHECK(co_await rename_file(env_, new_path(), path_));
  co_return co_await sync_directory(env_, folder_of(path_));
}

Task<void> SnapshotWriter::close() {
  if (file_.is_open()) (void)co_await file_.close();
}

Task<Result<void>> reserve_snapshot_space(Env& env, const std::string& path, uint64_t size_bytes) {
  FB_CO_TRY(File file, co_await File::open(env, path + ".new", new_file_options()));
  Result<void> allocated = co_await file.allocate(0, size_bytes);
  if (!allocated && allocated.error().is(IoError::unsupported)) allocated = {};
  FB_CO_CHECK(co_await file.close());
  co_return allocated;
}

Task<Result<SnapshotSummary>> read_snapshot(Env& env, const std::string& path, const StoreId& store_id,
                                            const SnapshotVisitor& visitor) {
  FB_CO_TRY(File file, co_await File::open(env, path, {.direct = true, .role = FileRole::snapshot}));
  const Result<SnapshotSummary> summary = co_await read_blocks(file, path, store_id, visitor);
  FB_CO_CHECK(co_await file.close());
  co_return summary;
}

}  // namespace fb
