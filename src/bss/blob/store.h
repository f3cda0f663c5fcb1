// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "bss/blob/shard.h"
#include "client/blob_client.h"

namespace fb::bss {

class BlobFront;

// What the cores of one process share about one store: options, superblock, and which core owns which shard.
// Made on one core before the fronts; outlives them.
class BlobStore {
 public:
  // Opens the store in options.directory or makes one there. An unreadable or foreign superblock, and a store
  // of another version, are refused with the reason in the log.
  static Task<Result<std::unique_ptr<BlobStore>>> open(Env& env, BlobStoreOptions options);

  const BlobStoreOptions& options() const { return options_; }
  const Superblock& superblock() const { return superblock_; }
  // Shards are dealt to the cores of this start, whatever their number was before.
  unsigned core_of(uint32_t shard) const { return shard % core_count_; }
  unsigned core_count() const { return core_count_; }

  // A front says where it is when it is made, and again, null, when it is destroyed. Between opening the last
  // front and closing the first one nothing changes, and every core may ask.
  void set_front(unsigned core, BlobFront* front);
  BlobFront& front(unsigned core) const { return *fronts_[core]; }
  // The owner's: from now on other cores may read the shard, and not any more.
  void publish(uint32_t number, Shard& shard) { shards_[number].store(&shard, std::memory_order_release); }
  void retract(uint32_t number) { shards_[number].store(nullptr, std::memory_order_relaxed); }
  // Any core's; null if it is not open yet.
  Shard* shard_to_read(uint32_t number) const { return shards_[number].load(std::memory_order_acquire); }

 private:
  BlobStore(BlobStoreOptions options, unsigned core_count)
      : options_(std::move(options)), core_count_(core_count), fronts_(core_count, nullptr) {}
  static Task<Result<void>> create(Env& env, const BlobStoreOptions& options, const std::string& path);

  BlobStoreOptions options_;
  Superblock superblock_;
  unsigned core_count_;
  std::vector<BlobFront*> fronts_;           // by core; does not change once every front is open
  std::vector<std::atomic<Shard*>> shards_;  // by number, for all cores; null until it is open
};

// The engine on one core: the shards that the core owns, a cache of what the core reads, and the way to the
// other cores' shards: puts and erases go there as messages, reads do not. Life: construct and open() on
// every core; then, when all are open, use; when no core makes calls any more, close() on every core; destroy
// when all are closed. A put is durable when it returns; see docs/blobs.md for the rest.
class BlobFront final : public BlobClient {
 public:
  BlobFront(Env& env, BlobStore& store);
  ~BlobFront() override;

  Task<Result<void>> open();
  // Waits for what is under way and writes the checkpoints.
  Task<Result<void>> close();

  BlobId new_blob() override;
  BlobId new_blob_of(uint64_t size_bytes) override;
  Task<Result<void>> put(const CallContext& context, const BlobWrite& write) override;
  Task<Result<BlobData>> get(const CallContext& context, BlobKey key, uint32_t offset,
                             uint32_t length) override;
  bool get_cached(BlobKey key, uint32_t offset, uint32_t length, BlobData* out) override;
  Task<Result<void>> erase(const CallContext& context, std::span<const BlobExtent> extents) override;
  Task<Result<BlobPage>> enumerate(const CallContext& context, uint16_t shard, uint64_t cursor) override;
  uint16_t shard_count() const override { return static_cast<uint16_t>(store_.superblock().shard_count); }
  Task<Result<BlobSpace>> space(const CallContext& context) override;

  // This core's shards, one after the other, at once. stop_scrub() ends it, and those that come by the clock.
  Task<ScrubReport> scrub();
  void stop_scrub();

  const BlobStats& stats() const { return stats_; }
  BlobUsage usage_here() const;
  // This core's shards only.
  uint64_t blob_count() const;
  bool verify();

 private:
  struct PutArguments {
    BlobKey key;
    std::span<std::byte> padded;
    std::byte* table;  // null: none is needed
    uint32_t length;
    uint64_t checksum;
    Instant deadline;
  };
  BlobId new_blob_in(uint16_t shard);
  uint16_t shard_for_new_blob();
  bool has_room_for(const Shard& first, uint64_t size_bytes) const;
  bool ours(const BlobId& id) const {
    return id.volume == store_.superblock().volume && id.shard < store_.superblock().shard_count;
  }
  Shard& shard(uint32_t number) { return *shards_[number]; }
  Task<Result<void>> put_here(PutArguments arguments);
  Task<Result<void>> erase_here(std::span<const BlobExtent> extents);
  BlobSpace space_here() const;
  static Task<void> open_shard(Shard& shard, std::optional<Error>* error);
  static Task<void> finish_shard(Shard& shard, std::optional<Error>* error);

  Env& env_;
  BlobStore& store_;
  BlobStats stats_;
  BufferPool pool_;
  BlobCache cache_;
  Semaphore scrub_turn_;
  Semaphore compaction_turn_;
  CoreContext context_;
  std::vector<std::unique_ptr<Shard>> shards_;  // by number; null where another core owns it
  std::vector<Shard*> own_;
  std::vector<uint16_t> others_;  // shards of other cores
  Shard* current_ = nullptr;      // takes new blobs
  uint64_t current_sealed_ = 0;   // as it was when it was chosen
  size_t current_other_ = 0;      // of others_, where all own shards refuse
  uint64_t last_blob_number_ = 0;
  Scope workers_;
  bool open_ = false;
};

}  // namespace fb::bss
