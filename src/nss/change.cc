// SPDX-License-Identifier: Apache-2.0
#include "nss/change.h"

#include "base/byte_codec.h"

namespace fb {
namespace {

constexpr size_t kGarbageSizeMin = 17;

Result<void> read_mutations(ByteReader& reader, Change& out) {
  const uint64_t count = reader.varint();
  if (count > kCommitMutationsMax) return NamespaceError::damaged;
  out.mutations.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    const uint8_t kind = reader.u8();
    const uint8_t space = reader.u8();
    if (kind > static_cast<uint8_t>(Mutation::Kind::check) || space > static_cast<uint8_t>(Space::system)) {
      return NamespaceError::damaged;
    }
    Mutation mutation{.kind = static_cast<Mutation::Kind>(kind), .space = static_cast<Space>(space)};
    mutation.key = reader.sized();
    if (mutation.kind == Mutation::Kind::put) mutation.record = reader.sized();
    if (!reader.ok() || mutation.key.size() > kTreeKeySizeMax || mutation.record.size() > kRecordSizeMax) {
      return NamespaceError::damaged;
    }
    out.mutations.push_back(mutation);
  }
  return {};
}

}  // namespace

void encode_change(std::string& out, ChangeKind kind, BucketId bucket, std::span<const Mutation> mutations,
                   std::span<const Garbage> garbage) {
  ByteWriter writer(out);
  writer.u8(kChangeVersion);
  writer.u8(static_cast<uint8_t>(kind));
  writer.varint(bucket.value);
  writer.varint(mutations.size());
  for (const Mutation& mutation : mutations) {
    writer.u8(static_cast<uint8_t>(mutation.kind));
    writer.u8(static_cast<uint8_t>(mutation.space));
    writer.sized(mutation.key);
    if (mutation.kind == Mutation::Kind::put) writer.sized(mutation.record);
  }
  writer.varint(garbage.size());
  for (const Garbage& item : garbage) {
    writer.fixed(&item.id, sizeof(item.id));
    writer.varint(item.block_count);
  }
}

Result<void> decode_change(std::string_view bytes, Change& out) {
  out.mutations.clear();
  out.garbage.clear();
  ByteReader reader(bytes);
  const uint8_t version = reader.u8();
  const uint8_t kind = reader.u8();
  if (!reader.ok()) return NamespaceError::damaged;
  if (version != kChangeVersion || kind > static_cast<uint8_t>(ChangeKind::discard))
    return NamespaceError::unsupported;
  if (kind == 0) return NamespaceError::damaged;
  out.kind = static_cast<ChangeKind>(kind);
  out.bucket.value = reader.varint();
  FB_CHECK(read_mutations(reader, out));
  const uint64_t garbage_count = reader.varint();
  if (garbage_count > reader.remaining() / kGarbageSizeMin) return NamespaceError::damaged;
  out.garbage.resize(garbage_count);
  for (Garbage& item : out.garbage) {
    reader.fixed_bytes(&item.id, sizeof(item.id));
    item.block_count = static_cast<uint32_t>(reader.varint());
  }
  if (!reader.ok() || !reader.at_end()) return NamespaceError::damaged;
  return {};
}

}  // namespace fb
