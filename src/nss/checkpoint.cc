// SPDX-License-Identifier: Apache-2.0
#include "nss/checkpoint.h"

#include "base/byte_codec.h"
#include "client/namespace_client.h"

namespace fb {

void encode_checkpoint(std::string& out, const Checkpoint& checkpoint) {
  ByteWriter writer(out);
  for (const uint64_t value : {checkpoint.epoch, checkpoint.generation, checkpoint.position,
                               checkpoint.sequence, checkpoint.next_page_id}) {
    writer.u64(value);
  }
  writer.u8(checkpoint.clean ? 1 : 0);
  writer.u32(static_cast<uint32_t>(checkpoint.trees.size()));
  writer.u64(checkpoint.ledger.size());
  writer.u64(checkpoint.retired.size());
  for (const CheckpointTree& tree : checkpoint.trees) {
    writer.u64(tree.bucket.value);
    writer.u64(tree.root.value);
    writer.u64(static_cast<uint64_t>(tree.counts.objects));
    writer.u64(static_cast<uint64_t>(tree.counts.bytes));
    writer.u64(static_cast<uint64_t>(tree.counts.uploads));
  }
  for (const Garbage& item : checkpoint.ledger) {
    writer.fixed(&item.id, sizeof(item.id));
    writer.u32(item.block_count);
  }
  for (const PageId id : checkpoint.retired) writer.u64(id.value);
}

Result<Checkpoint> decode_checkpoint(uint64_t number, std::string_view bytes) {
  ByteReader reader(bytes);
  Checkpoint out{.number = number};
  for (uint64_t* value : {&out.epoch, &out.generation, &out.position, &out.sequence, &out.next_page_id}) {
    *value = reader.u64();
  }
  const uint8_t clean = reader.u8();
  const uint32_t trees = reader.u32();
  const uint64_t ledger = reader.u64();
  const uint64_t retired = reader.u64();
  constexpr uint64_t kTreeBytes = 40;
  constexpr uint64_t kGarbageBytes = 20;
  // Each bound by what is there, so that the sum cannot overflow.
  const uint64_t rest = reader.remaining();
  if (!reader.ok() || clean > 1 || trees > rest / kTreeBytes || ledger > rest / kGarbageBytes ||
      retired > rest / 8 || trees * kTreeBytes + ledger * kGarbageBytes + retired * 8 != rest) {
    return NamespaceError::damaged;
  }
  out.clean = clean == 1;
  out.trees.resize(trees);
  for (CheckpointTree& tree : out.trees) {
    tree.bucket.value = reader.u64();
    tree.root.value = reader.u64();
    tree.counts.objects = static_cast<int64_t>(reader.u64());
    tree.counts.bytes = static_cast<int64_t>(reader.u64());
    tree.counts.uploads = static_cast<int64_t>(reader.u64());
  }
  out.ledger.resize(ledger);
  for (Garbage& item : out.ledger) {
    reader.fixed_bytes(&item.id, sizeof(item.id));
    item.block_count = reader.u32();
  }
  out.retired.resize(retired);
  for (PageId& id : out.retired) id.value = reader.u64();
  return out;
}

}  // namespace fb
