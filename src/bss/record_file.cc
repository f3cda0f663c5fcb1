// SPDX-License-Identifier: Apache-2.0
#include "bss/record_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/checksum.h"
#include "bss/page/page_file_log.h"
#include "io/claim.h"
#include "io/log.h"

namespace fb {
namespace {

constexpr uint64_t kMagic = 0x54504b43534e4246;  // "FBNSCKPT"
constexpr uint32_t kVersion = 2;
constexpr uint64_t kCapacityMin = 64 * kKiB;
constexpr uint64_t kBodyBytesMax = 1 * kGiB;
constexpr uint64_t kVersionBytes = sizeof(uint64_t);  // the body begins with the record's version

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

// The error of a change that was given up before the record was touched.
Error not_done(const Error& error) {
  const bool no_space = error.is(IoError::no_space);
  return {no_space ? PageError::full : PageError::unavailable, error.os_errno()};
}

uint64_t checksum_of(Head head) {
  head.checksum = 0;
  return xxh3(std::as_bytes(std::span(&head, 1)));
}

}  // namespace

RecordFile::RecordFile(Env& env, std::string directory, const StoreId& store_id)
    : env_(env), directory_(std::move(directory)), store_id_(store_id), mutex_(env) {}

std::string RecordFile::path_of(size_t index) const {
  return fmt::format("{}/checkpoint-{}", directory_, index);
}

Task<Result<std::unique_ptr<RecordFile>>> RecordFile::open(Env& env, std::string directory,
                                                           const StoreId& store_id) {
  std::unique_ptr<RecordFile> self(new RecordFile(env, std::move(directory), store_id));
  const Result<void> loaded = co_await self->load();
  if (!loaded) {
    (void)co_await self->close();
    co_return loaded.error();
  }
  co_return self;
}

Task<Result<void>> RecordFile::load() {
  std::array<State, 2> states{};
  std::array<std::optional<Record>, 2> found;
  uint64_t capacity = UINT64_MAX;
  for (size_t i = 0; i < files_.size(); ++i) {
    FB_CO_TRY(files_[i],
              co_await open_claimed(
                  env_, path_of(i),
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
    if (states[i] == State::newer) {
      log(env_, LogLevel::error, "metadata store: a checkpoint of another version of FractalBits",
          {{"file", path_of(i)}});
      co_return PageError::unsupported;
    }
    if (states[i] == State::damaged) {
      log(env_, LogLevel::warn, "metadata store: a checkpoint is damaged, or was being written",
          {{"file", path_of(i)}});
    }
    if (!found[i] || (newest_record_ && found[i]->version <= newest_record_->version)) continue;
    newest_record_ = std::move(found[i]);
    newest_ = i;
  }
  co_return Result<void>();
}

Task<Result<RecordFile::State>> RecordFile::read(File& file, std::optional<Record>& out) {
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
  if (head.store_id != store_id_ || head.body_bytes < kVersionBytes || head.body_bytes > kBodyBytesMax ||
      whole > stat.size_bytes) {
    co_return State::damaged;
  }
  bytes.resize(align_up(whole, kDirectIoAlignment));
  if (!co_await file.read_exactly(bytes.span(), 0)) co_return State::damaged;
  const std::span<const std::byte> body = bytes.span().subspan(sizeof(head), head.body_bytes);
  if (xxh3(body) != head.body_checksum) co_return State::damaged;
  Record record;
  std::memcpy(&record.version, body.data(), kVersionBytes);
  record.bytes.assign(reinterpret_cast<const char*>(body.data()) + kVersionBytes,
                      body.size() - kVersionBytes);
  out = std::move(record);
  co_return State::whole;
}

Task<Result<void>> RecordFile::reserve(uint64_t bytes) {
  const auto held = co_await mutex_.acquire();
  const Result<void> extended = co_await extend_to(sizeof(Head) + kVersionBytes + bytes);
  if (!extended) co_return not_done(extended.error());
  co_return Result<void>();
}

Task<Result<void>> RecordFile::extend_to(uint64_t bytes) {
  const uint64_t wanted = align_up(std::max(bytes, kCapacityMin), kDirectIoAlignment);
  if (wanted <= capacity_bytes_) co_return Result<void>();
  for (File& file : files_) {
    FB_CO_TRY(const FileStat stat, co_await file.stat());
    FB_CO_CHECK(co_await extend_with_zeros(file, align_down(stat.size_bytes, kDirectIoAlignment), wanted));
  }
  capacity_bytes_ = wanted;
  co_return Result<void>();
}

Task<Result<void>> RecordFile::write(uint64_t version, std::string_view text) {
  const auto held = co_await mutex_.acquire();
  // Writing the newest record again is allowed: its second copy may have failed.
  if (newest_record_ && version < newest_record_->version) co_return PageError::stale_version;
  if (newest_record_ && version == newest_record_->version && text != newest_record_->bytes)
    co_return PageError::stale_version;
  std::string body(reinterpret_cast<const char*>(&version), kVersionBytes);
  body += text;
  const Result<void> extended = co_await extend_to(sizeof(Head) + body.size());
  if (!extended) co_return not_done(extended.error());
  Head head{.store_id = store_id_,
            .body_bytes = body.size(),
            .body_checksum = xxh3(std::as_bytes(std::span(body)))};
  head.checksum = checksum_of(head);
  AlignedBytes bytes;
  bytes.append(&head, sizeof(head));
  bytes.append(body.data(), body.size());
  for (int i = 0; i < 2; ++i) {
    const size_t other = 1 - newest_;
    const Result<void> written = co_await files_[other].write_all_durable(bytes.pad(), 0);
    if (!written) co_return Error(PageError::outcome_unknown, written.error().os_errno());
    newest_ = other;
    // From the first copy on: a start would find it, whether or not the second one can be written.
    newest_record_ = Record{.version = version, .bytes = std::string(text)};
  }
  co_return Result<void>();
}

Task<unsigned> RecordFile::count_damaged() {
  const auto held = co_await mutex_.acquire();
  unsigned damaged = 0;
  for (size_t i = 0; i < files_.size() && newest_record_; ++i) {
    std::optional<Record> found;
    const Result<State> state = co_await read(files_[i], found);
    const bool intact = state && *state == State::whole && found->version == newest_record_->version &&
                        found->bytes == newest_record_->bytes;
    if (intact) continue;
    ++damaged;
    log(env_, LogLevel::error, "metadata store: a copy of the checkpoint is damaged", {{"file", path_of(i)}});
  }
  co_return damaged;
}

Task<Result<void>> RecordFile::close() {
  Result<void> result;
  for (File& file : files_) {
    if (!file.is_open()) continue;
    const Result<void> closed = co_await file.close();
    if (!closed) result = closed;
  }
  co_return result;
}

}  // namespace fb
