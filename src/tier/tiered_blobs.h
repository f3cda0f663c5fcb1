// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "client/blob_client.h"
#include "tier/guard.h"

namespace fb::tier {

// All blobs of a store, local ones and objects of the cloud bucket, as the namespace frees and counts them:
// the local shards, and the cloud bucket as one more. Reads and writes are those of the local store; cloud
// objects go through CloudStore. Used on core 0.
class TieredBlobs final : public BlobClient {
 public:
  TieredBlobs(BlobClient& local, CloudRequests& requests, Guard& guard, TierShared& shared);

  BlobId new_blob() override { return local_.new_blob(); }
  BlobId new_blob_of(uint64_t size_bytes) override { return local_.new_blob_of(size_bytes); }
  Task<Result<void>> put(const CallContext& context, const BlobWrite& write) override {
    return local_.put(context, write);
  }
  Task<Result<BlobData>> get(const CallContext& context, BlobKey key, uint32_t offset,
                             uint32_t length) override {
    return local_.get(context, key, offset, length);
  }
  // Erases local blobs first: the cloud holds up only its own.
  Task<Result<void>> erase(const CallContext& context, std::span<const BlobExtent> extents) override;
  // The shard of the cloud bucket is listed when the cloud answers: until then this waits, unless stop() has
  // been called. Empty if the bucket is not ours.
  Task<Result<BlobPage>> enumerate(const CallContext& context, uint16_t shard, uint64_t cursor) override;
  uint16_t shard_count() const override { return static_cast<uint16_t>(local_.shard_count() + 1); }
  Task<Result<BlobSpace>> space(const CallContext& context) override { return local_.space(context); }

  // Aborts unfinished multipart uploads of incarnations before `current`: nothing can name them.
  Task<Result<void>> abort_uploads_before(Incarnation current);

  void stop() { stop_.cancel(); }

 private:
  Task<Result<void>> erase_in_cloud(std::span<const BlobExtent> extents);
  static Task<void> erase_one(TieredBlobs* self, BlobId id, Semaphore::Units turn, uint64_t* failures);
  Task<Result<BlobPage>> list_page(uint64_t cursor);

  BlobClient& local_;
  CloudRequests& requests_;
  Guard& guard_;
  TierShared& shared_;
  std::string store_prefix_;
  CancelSource stop_;
  // The positions of walks over the bucket: the cloud's own tokens, by the cursors returned for them.
  std::map<uint64_t, std::string> positions_;
  uint64_t last_cursor_ = 0;
};

}  // namespace fb::tier
