// SPDX-License-Identifier: Apache-2.0
#include "tier/tiered_blobs.h"

#include <fmt/format.h>

#include "io/log.h"
#include "io/scope.h"
#include "s3/request/xml_body.h"
#include "s3/uri.h"
#include "tier/keys.h"

namespace fb::tier {
namespace {

constexpr uint64_t kErasesInFlightMax = 8;
constexpr size_t kWalksMax = 16;  // beyond, the oldest walk has to begin again

std::string encoded(std::string_view text) { return s3::uri_encode(text, s3::Slash::encode); }

}  // namespace

TieredBlobs::TieredBlobs(BlobClient& local, CloudRequests& requests, Guard& guard, TierShared& shared)
    : local_(local),
      requests_(requests),
      guard_(guard),
      shared_(shared),
      store_prefix_(store_prefix(requests.options().prefix, requests.options().store_id)) {}

Task<Result<void>> TieredBlobs::erase(const CallContext& context, std::span<const BlobExtent> extents) {
  std::vector<BlobExtent> here;
  std::vector<BlobExtent> there;
  for (const BlobExtent& extent : extents) (is_cloud(extent.id) ? there : here).push_back(extent);
  if (!here.empty()) FB_CO_CHECK(co_await local_.erase(context, here));
  if (!there.empty()) FB_CO_CHECK(co_await erase_in_cloud(there));
  co_return Result<void>();
}

// An object that cannot be deleted does not hold up others. If as many have failed as are deleted at a time,
// the cloud counts as out of reach, and the rest is left for another call.
Task<Result<void>> TieredBlobs::erase_in_cloud(std::span<const BlobExtent> extents) {
  Env& env = requests_.env();
  uint64_t failures = 0;
  Semaphore turns(env, kErasesInFlightMax);
  Scope scope(env);
  Result<void> outcome;
  for (const BlobExtent& extent : extents) {
    outcome = stop_.cancelled() ? Result<void>(BlobError::unavailable) : Result<void>();
    if (outcome) outcome = co_await guard_.check_before_delete();
    if (!outcome) break;
    Semaphore::Units turn = co_await turns.acquire();
    if (failures >= kErasesInFlightMax) break;
    scope.spawn(&TieredBlobs::erase_one, this, extent.id, std::move(turn), &failures);
  }
  co_await scope.join();
  if (outcome && failures != 0) outcome = BlobError::unavailable;
  co_return outcome;
}

Task<void> TieredBlobs::erase_one(TieredBlobs* self, BlobId id, Semaphore::Units, uint64_t* failures) {
  const std::string key = object_key(self->store_prefix_, id);
  const auto answer = co_await self->requests_.call({.method = "DELETE", .key = key}, &self->stop_);
  const bool gone = answer && (answer->ok() || answer->code == "NoSuchKey");
  if (gone) {
    ++self->requests_.stats().deleted_objects;
  } else {
    ++*failures;
  }
}

Task<Result<BlobPage>> TieredBlobs::list_page(uint64_t cursor) {
  std::string query = "list-type=2&prefix=" + encoded(store_prefix_);
  if (cursor != 0) {
    const auto position = positions_.find(cursor);
    if (position == positions_.end()) co_return BlobError::unavailable;
    query = fmt::format("continuation-token={}&{}", encoded(position->second), query);
  }
  FB_CO_TRY(const CloudAnswer answer,
            co_await requests_.call({.method = "GET", .query = std::move(query)}, &stop_));
  if (!answer.ok()) co_return BlobError::unavailable;
  auto listed = s3::parse_list_result(answer.body);
  if (!listed) co_return BlobError::unavailable;
  BlobPage page;
  for (const s3::ListedKeys::Item& item : listed->items) {
    if (const auto id = parse_object_key(store_prefix_, item.key)) page.keys.push_back({*id, 0});
  }
  positions_.erase(cursor);
  if (!listed->truncated) co_return page;
  if (listed->next_token.empty()) co_return BlobError::unavailable;
  if (positions_.size() >= kWalksMax) positions_.erase(positions_.begin());
  page.next_cursor = ++last_cursor_;
  positions_[page.next_cursor] = std::move(listed->next_token);
  co_return page;
}

Task<Result<BlobPage>> TieredBlobs::enumerate(const CallContext& context, uint16_t shard, uint64_t cursor) {
  if (shard != local_.shard_count()) co_return co_await local_.enumerate(context, shard, cursor);
  while (!stop_.cancelled()) {
    const GuardState guard = shared_.guard.load();
    if (guard == GuardState::mismatch) co_return BlobPage();
    if (guard == GuardState::good) {
      auto page = co_await list_page(cursor);
      if (page) co_return std::move(*page);
      if (cursor != 0 && !positions_.contains(cursor)) co_return BlobError::unavailable;
    }
    (void)co_await sleep_for(requests_.env(), kGuardRetry, &stop_);
  }
  co_return BlobError::unavailable;
}

Task<Result<void>> TieredBlobs::abort_uploads_before(Incarnation current) {
  std::string key_marker;
  std::string id_marker;
  for (;;) {
    std::string query = fmt::format("prefix={}&uploads=", encoded(store_prefix_));
    if (!key_marker.empty()) {
      query = fmt::format("key-marker={}&prefix={}&upload-id-marker={}&uploads=", encoded(key_marker),
                          encoded(store_prefix_), encoded(id_marker));
    }
    FB_CO_TRY(const CloudAnswer answer, co_await requests_.call({.method = "GET", .query = query}, &stop_));
    if (answer.not_offered()) co_return Result<void>();
    if (!answer.ok()) co_return BlobError::unavailable;
    const auto listed = s3::parse_list_uploads_result(answer.body);
    if (!listed) co_return BlobError::unavailable;
    for (const s3::ListedKeys::Item& item : listed->items) {
      const auto id = parse_object_key(store_prefix_, item.key);
      const bool dead = id && id->incarnation < current;
      // The check of this process has ended before, so an upload under its key is a leftover.
      if (!dead && item.key != check_key(store_prefix_)) continue;
      FB_CO_CHECK(co_await guard_.check_before_delete());
      FB_CO_CHECK(co_await requests_.call(
          {.method = "DELETE", .key = item.key, .query = "uploadId=" + encoded(item.upload_id)}, &stop_));
      log(requests_.env(), LogLevel::info, "tier: an upload that a process left unfinished was aborted",
          {{"key", item.key}});
    }
    if (!listed->truncated || listed->next_key.empty()) co_return Result<void>();
    key_marker = listed->next_key;
    id_marker = listed->next_upload_id;
  }
}

}  // namespace fb::tier
