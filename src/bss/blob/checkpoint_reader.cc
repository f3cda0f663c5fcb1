// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/checkpoint_reader.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "base/assert.h"
#include "bss/blob/checkpointer.h"
#include "io/error.h"

namespace fb::bss {
namespace {

constexpr size_t kCheckpointReadBytes = kMiB;

// Fills the index while it reads; what it read counts only where the whole body's checksum agrees.
Task<bool> load_body(const ShardContext& context, BlobIndex& index, File& file, Checkpoint& checkpoint) {
  const CheckpointHeader& header = checkpoint.header;
  const uint64_t table_bytes = uint64_t{header.segment_count} * sizeof(CheckpointSegment);
  if (header.entry_count > UINT32_MAX || header.segment_count > IndexEntry::kSegmentNumberMax + 1 ||
      header.body_bytes != table_bytes + header.entry_count * sizeof(IndexEntry))
    co_return false;
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), &XXH3_freeState);
  XXH3_64bits_reset(state.get());
  const Buffer buffer = co_await context.pool().allocate(kCheckpointReadBytes);
  const Result<FileStat> stat = co_await file.stat();
  if (!stat || stat->size_bytes < kBlockBytes + header.body_bytes) co_return false;
  index.reserve(header.entry_count);
  std::string pending;  // bytes of a record that spans two reads
  uint64_t consumed = 0;
  for (uint64_t at = 0; at < header.body_bytes; at += kCheckpointReadBytes) {
    const uint64_t length = std::min<uint64_t>(kCheckpointReadBytes, header.body_bytes - at);
    const auto bytes = buffer.span(0, align_up(length, kBlockBytes));
    if (!co_await file.read_exactly(bytes, kBlockBytes + at)) co_return false;
    XXH3_64bits_update(state.get(), bytes.data(), length);
    pending.append(reinterpret_cast<const char*>(bytes.data()), length);
    size_t used = 0;
    for (;;) {
      const bool in_table = consumed < table_bytes;
      const size_t size = in_table ? sizeof(CheckpointSegment) : sizeof(IndexEntry);
      if (pending.size() - used < size) break;
      if (in_table) {
        std::memcpy(&checkpoint.segments.emplace_back(), pending.data() + used, size);
      } else {
        IndexEntry entry;
        std::memcpy(&entry, pending.data() + used, size);
        entry.place = entry.location();
        if (entry.length() == 0 || index.find(entry.number, entry.incarnation, entry.block)) co_return false;
        index.insert(entry);
      }
      used += size;
      consumed += size;
    }
    pending.erase(0, used);
  }
  co_return XXH3_64bits_digest(state.get()) == header.body_checksum;
}

}  // namespace

Task<Result<std::optional<Checkpoint>>> load_checkpoint(const ShardContext& context, BlobIndex& index) {
  FB_ASSERT(index.size() == 0, index.size());
  Result<File> opened = co_await File::open(context.env(), context.path(kCheckpointName),
                                            {.direct = true, .role = FileRole::snapshot});
  if (!opened) {
    if (opened.error().is(IoError::not_found)) co_return std::optional<Checkpoint>();
    co_return opened.error();
  }
  File file = std::move(*opened);
  std::optional<Checkpoint> checkpoint;
  {
    const Buffer block = co_await context.pool().allocate(kBlockBytes);
    if (co_await file.read_exactly(block.span(0, kBlockBytes), 0)) {
      if (const auto header = parse_checkpoint_header(block.span(0, kBlockBytes),
                                                      context.superblock().store_id, context.number())) {
        checkpoint = Checkpoint{.header = *header, .segments = {}};
      }
    }
  }
  if (checkpoint && !co_await load_body(context, index, file, *checkpoint)) {
    index.clear();
    checkpoint.reset();
  }
  FB_CO_CHECK(co_await file.close());
  co_return checkpoint;
}

}  // namespace fb::bss
