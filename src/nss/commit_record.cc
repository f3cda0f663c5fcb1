// SPDX-License-Identifier: Apache-2.0
#include "nss/commit_record.h"

#include "base/byte_codec.h"

namespace fb {
namespace {

constexpr size_t kGarbageBytesMin = sizeof(BlobId) + 1;

uint64_t zigzag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}
int64_t unzigzag(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

}  // namespace

void encode_commit_head(std::string& out, BucketId bucket, uint64_t generation, const CountChange& counts,
                        std::span<const Garbage> garbage) {
  ByteWriter writer(out);
  writer.varint(bucket.value);
  writer.varint(generation);
  writer.varint(zigzag(counts.objects));
  writer.varint(zigzag(counts.bytes));
  writer.varint(zigzag(counts.uploads));
  writer.varint(garbage.size());
  for (const Garbage& item : garbage) {
    writer.fixed(&item.id, sizeof(item.id));
    writer.varint(item.block_count);
  }
}

Result<void> decode_commit_head(std::string_view& body, CommitHead& out) {
  ByteReader whole(body);
  const std::string_view head = whole.sized();
  if (!whole.ok()) return JournalError::damaged;
  body = whole.bytes(whole.remaining());
  ByteReader reader(head);
  out.bucket = {reader.varint()};
  out.generation = reader.varint();
  out.counts.objects = unzigzag(reader.varint());
  out.counts.bytes = unzigzag(reader.varint());
  out.counts.uploads = unzigzag(reader.varint());
  const uint64_t count = reader.varint();
  out.garbage.clear();
  if (count > reader.remaining() / kGarbageBytesMin) return JournalError::damaged;
  out.garbage.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    Garbage item;
    reader.fixed_bytes(&item.id, sizeof(item.id));
    const uint64_t blocks = reader.varint();
    if (blocks > uint64_t{kBlockNumberMax} + 1) return JournalError::damaged;
    item.block_count = static_cast<uint32_t>(blocks);
    out.garbage.push_back(item);
  }
  if (!reader.ok() || !reader.at_end()) return JournalError::damaged;
  return {};
}

void encode_tree_made(std::string& out, BucketId bucket, PageId root, std::string_view change) {
  ByteWriter writer(out);
  writer.varint(bucket.value);
  writer.varint(root.value);
  writer.bytes(change);
}

void encode_tree_dropped(std::string& out, BucketId bucket, std::string_view change) {
  ByteWriter writer(out);
  writer.varint(bucket.value);
  writer.bytes(change);
}

Result<TreeHead> decode_tree_head(JournalRecordKind kind, std::string_view& body) {
  ByteReader reader(body);
  TreeHead head{.bucket = {reader.varint()}, .root = {}};
  if (kind == JournalRecordKind::tree_made) head.root = {reader.varint()};
  if (!reader.ok()) return JournalError::damaged;
  body = reader.bytes(reader.remaining());
  return head;
}

Task<Result<void>> CommitJournal::reserve(const CallContext& context, uint64_t bytes) {
  while (credit_.bytes() < bytes) {
    FB_CO_TRY(JournalPort::Reservation more, co_await port_.reserve(context, bytes - credit_.bytes()));
    credit_.add(std::move(more));
  }
  co_return Result<void>();
}

void CommitJournal::set_head(BucketId bucket, uint64_t generation, const CountChange& counts,
                             std::span<const Garbage> garbage) {
  head_.clear();
  encode_commit_head(head_, bucket, generation, counts, garbage);
}

Lsn CommitJournal::append_decided(std::string_view change) {
  body_.clear();
  ByteWriter writer(body_);
  writer.sized(head_);
  writer.bytes(change);
  return append(JournalRecordKind::commit, body_);
}

Lsn CommitJournal::append(JournalRecordKind kind, std::string_view body) {
  return port_.append(credit_, kind, std::as_bytes(std::span(body)));
}

}  // namespace fb
