// SPDX-License-Identifier: Apache-2.0
#include "nss/checkpoint_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/byte_codec.h"
#include "base/checksum.h"
#include "client/namespace_client.h"
#include "io/log.h"
#include "nss/page_file_log.h"

namespace fb {
namespace {

constexpr uint64_t kMagic = 0x54504b43534e4246;  // "FBNSCKPT"
constexpr uint32_t kVersion = 2;
constexpr uint64_t kCapacityMin = 64 * kKiB;
constexpr uint64_t kBodyBytesMax = 1 * kGiB;

struct Head {
  uint64_t magic = kMagic;
  uint32_t version = kVersion;
  uint32_t reserved = 0;
  StoreId store_id{};
  uint64_t body_bytes = 0;
  uint64_t body_checksum = 0;
  uint64_t checksum = 0;  // of the head, with this field 0
};
static_assert(sizeof(Head) == 56);

uint64_t checksum_of(Head head) {
  head.checksum = 0;
  return xxh3(std::as_bytes(std::span(&head, 1)));
}

}  // namespace

void encode_checkpoint(std::string& out, const Checkpoint& checkpoint) {
  ByteWriter writer(out);
  for (const uint64_t value : {checkpoint.number, checkpoint.epoch, checkpoint.generation,
                               checkpoint.position, checkpoint.sequence, checkpoint.next_page_id}) {
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

Result<Checkpoint> decode_checkpoint(std::string_view bytes) {
  ByteReader reader(bytes);
  Checkpoint out;
  for (uint64_t* value :
       {&out.number, &out.epoch, &out.generation, &out.position, &out.sequence, &out.next_page_id}) {
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

CheckpointFile::CheckpointFile(Env& env, std::string directory, const StoreId& store_id)
    : env_(env), directory_(std::move(directory)), store_id_(store_id) {}

Task<Result<std::unique_ptr<CheckpointFile>>> CheckpointFile::open(Env& env, std::string directory,
                                                                   const StoreId& store_id) {
  std::unique_ptr<CheckpointFile> self(new CheckpointFile(env, std::move(directory), store_id));
  const Result<void> loaded = co_await self->load();
  if (!loaded) {
    (void)co_await self->close();
    co_return loaded.error();
  }
  co_return self;
}

Task<Result<void>> CheckpointFile::load() {
  std::array<State, 2> states{};
  std::array<std::optional<Checkpoint>, 2> found;
  uint64_t capacity = UINT64_MAX;
  for (size_t i = 0; i < files_.size(); ++i) {
    FB_CO_TRY(files_[i],
              co_await File::open(
                  env_, fmt::format("{}/checkpoint-{}", directory_, i),
                  {.write = true, .create = true, .direct = true, .role = FileRole::snapshot, .mode = 0600}));
    // What a killed process has written may be there to be read, and not be durable.
    FB_CO_CHECK(co_await files_[i].sync());
    FB_CO_TRY(states[i], co_await read(files_[i], found[i]));
    FB_CO_TRY(const FileStat stat, co_await files_[i].stat());
    capacity = std::min(capacity, stat.size_bytes);
  }
  FB_CO_CHECK(co_await sync_directory(env_, directory_));
  capacity_bytes_ = align_down(capacity, kDirectIoAlignment);
  for (size_t i = 0; i < files_.size(); ++i) {
    const std::string name = fmt::format("{}/checkpoint-{}", directory_, i);
    if (states[i] == State::newer) {
      log(env_, LogLevel::error, "namespace: a checkpoint of another version of FractalBits",
          {{"file", name}});
      co_return NamespaceError::unsupported;
    }
    if (states[i] == State::damaged) {
      log(env_, LogLevel::warn, "namespace: a checkpoint is damaged, or was being written", {{"file", name}});
    }
    if (!found[i] || (found_ && found[i]->number <= found_->number)) continue;
    found_ = std::move(found[i]);
    newest_ = i;
  }
  co_return Result<void>();
}

Task<Result<CheckpointFile::State>> CheckpointFile::read(File& file, std::optional<Checkpoint>& out) {
  FB_CO_TRY(const FileStat stat, co_await file.stat());
  if (stat.size_bytes < kDirectIoAlignment) co_return State::blank;
  AlignedBytes bytes;
  bytes.resize(kDirectIoAlignment);
  if (!co_await file.read_exactly(bytes.span(), 0)) co_return State::damaged;
  Head head;
  std::memcpy(&head, bytes.data(), sizeof(head));
  if (std::ranges::all_of(bytes.span(), [](std::byte byte) { return byte == std::byte{0}; })) {
    co_return State::blank;
  }
  if (head.magic != kMagic || head.checksum != checksum_of(head)) co_return State::damaged;
  if (head.version != kVersion) co_return State::newer;
  const uint64_t whole = sizeof(head) + head.body_bytes;
  if (head.store_id != store_id_ || head.body_bytes > kBodyBytesMax || whole > stat.size_bytes) {
    co_return State::damaged;
  }
  bytes.resize(align_up(whole, kDirectIoAlignment));
  if (!co_await file.read_exactly(bytes.span(), 0)) co_return State::damaged;
  const std::span<const std::byte> body = bytes.span().subspan(sizeof(head), head.body_bytes);
  if (xxh3(body) != head.body_checksum) co_return State::damaged;
  Result<Checkpoint> decoded = decode_checkpoint({reinterpret_cast<const char*>(body.data()), body.size()});
  if (!decoded) co_return State::damaged;
  out = std::move(*decoded);
  co_return State::whole;
}

Task<Result<void>> CheckpointFile::reserve(uint64_t bytes) {
  const uint64_t wanted = align_up(std::max(bytes, kCapacityMin), kDirectIoAlignment);
  if (wanted <= capacity_bytes_) co_return Result<void>();
  for (File& file : files_) {
    FB_CO_TRY(const FileStat stat, co_await file.stat());
    FB_CO_CHECK(co_await extend_with_zeros(file, align_down(stat.size_bytes, kDirectIoAlignment), wanted));
  }
  capacity_bytes_ = wanted;
  co_return Result<void>();
}

Task<Result<void>> CheckpointFile::write(const Checkpoint& checkpoint) {
  std::string body;
  encode_checkpoint(body, checkpoint);
  FB_CO_CHECK(co_await reserve(sizeof(Head) + body.size()));
  Head head{.store_id = store_id_,
            .body_bytes = body.size(),
            .body_checksum = xxh3(std::as_bytes(std::span(body)))};
  head.checksum = checksum_of(head);
  AlignedBytes bytes;
  bytes.append(&head, sizeof(head));
  bytes.append(body.data(), body.size());
  for (int i = 0; i < 2; ++i) {
    const size_t other = 1 - newest_;
    FB_CO_CHECK(co_await files_[other].write_all_durable(bytes.pad(), 0));
    newest_ = other;
  }
  co_return Result<void>();
}

Task<Result<void>> CheckpointFile::close() {
  Result<void> result;
  for (File& file : files_) {
    if (!file.is_open()) continue;
    const Result<void> closed = co_await file.close();
    if (!closed) result = closed;
  }
  co_return result;
}

}  // namespace fb
