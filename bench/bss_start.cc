// SPDX-License-Identifier: Apache-2.0
// Start of a store with many blobs: from descriptors alone, then from the checkpoint that this left. Ten
// million blobs of 4 KiB are 41 GB, so the segments are made here: real headers and descriptors at their
// places, of batches of 16 puts as durable puts make them, and holes where the payloads would be. A start
// reads no payloads but those of the last batches, and these are tombstones.
#include <fcntl.h>
#include <unistd.h>

#include "bss/blob/format.h"
#include "bss_load.h"

namespace fb::bench {
namespace {

constexpr uint32_t kShards = 16;
constexpr size_t kPutsPerBatch = 16;
constexpr uint64_t kSegmentBytes = 64 * kMiB;
constexpr uint64_t kStartCapacityBytes = 256 * kGiB;

struct alignas(bss::kBlockBytes) Block {
  std::byte bytes[bss::kSegmentDataOffset]{};
};

class SegmentMaker {
 public:
  SegmentMaker(const std::string& folder, const bss::Superblock& superblock, uint32_t shard)
      : folder_(folder), superblock_(superblock), shard_(shard) {}
  ~SegmentMaker() { close_segment(); }

  void put_all(uint64_t count) {
    while (count > 0) {
      const size_t batch = std::min<uint64_t>(count, kPutsPerBatch);
      append(batch, bss::EntryKind::put);
      count -= batch;
    }
    append(1, bss::EntryKind::tombstone);  // says that all before it was durable
  }

 private:
  void append(size_t entries, bss::EntryKind kind) {
    const bool put = kind == bss::EntryKind::put;
    const uint64_t bytes = bss::kBlockBytes + (put ? entries * bss::kBlockBytes : 0);
    if (file_ < 0 || end_ + bytes > kSegmentBytes) open_segment();
    Block block;
    const auto descriptor = std::span(block.bytes).first(bss::kBlockBytes);
    for (size_t i = 0; i < entries; ++i) {
      const uint64_t number = ++number_;
      bss::descriptor_entries(descriptor)[i] = {.number = number,
                                                .checksum = mix(number),
                                                .incarnation = 1,
                                                .length = put ? kSmallBytes : 0,
                                                .payload_block = static_cast<uint32_t>(1 + i),
                                                .kind = kind};
    }
    const bss::DescriptorPlace place{.shard = shard_,
                                     .generation = generation_,
                                     .nonce = generation_,
                                     .offset = end_,
                                     .segment_bytes = kSegmentBytes};
    ++sequence_;
    bss::finish_descriptor(place, sequence_, sequence_ - 1, entries, bytes, descriptor);
    write(descriptor, end_);
    end_ += bytes;
  }
  void open_segment() {
    close_segment();
    const std::string path = fmt::format("{}/shard-{:04}/segment-{:08}", folder_, shard_, generation_);
    file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file_ < 0 || ::ftruncate(file_, kSegmentBytes) != 0) give_up("no segment " + path);
    Block block;
    bss::encode_segment_header({.store_id = superblock_.store_id,
                                .shard = shard_,
                                .segment = static_cast<uint32_t>(generation_),
                                .segment_bytes = kSegmentBytes,
                                .generation = generation_ + 1,
                                .nonce = generation_ + 1},
                               block.bytes);
    ++generation_;
    write(block.bytes, 0);
    end_ = bss::kSegmentDataOffset;
  }
  void write(std::span<const std::byte> bytes, uint64_t offset) const {
    if (::pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(offset)) !=
        static_cast<ssize_t>(bytes.size()))
      give_up("a segment cannot be written");
  }
  void close_segment() {
    if (file_ < 0) return;
    if (::fsync(file_) != 0) give_up("a segment cannot be synced");
    ::close(std::exchange(file_, -1));
  }

  const std::string& folder_;
  const bss::Superblock& superblock_;
  const uint32_t shard_;
  int file_ = -1;
  uint64_t end_ = 0;
  uint64_t generation_ = 0;
  uint64_t sequence_ = 0;
  uint64_t number_ = 0;
};

}  // namespace

void measure_start(const Settings& settings) {
  const std::string directory = settings.directory + "/blobs";
  std::filesystem::remove_all(directory);
  const bss::BlobStoreOptions options{.directory = directory,
                                      .incarnation = {2},
                                      .shard_count = kShards,
                                      .segment_bytes = kSegmentBytes,
                                      .capacity_bytes = kStartCapacityBytes,
                                      .cache_bytes = 0};
  const uint64_t per_shard = settings.start_blobs / kShards;
  for (const std::string_view what : {"made", "from descriptors alone", "from its checkpoint"}) {
    const auto ran = run_cores({.cores = 1}, [&](Env& env) -> Task<void> {
      const double begun = wall_now();
      const double cpu = cpu_seconds();
      auto store = co_await bss::BlobStore::open(env, options);
      if (!store) give_up("the store was not opened: " + store.error().to_string());
      if (what == "made") {
        for (uint32_t shard = 0; shard < kShards; ++shard)
          SegmentMaker(directory, (*store)->superblock(), shard).put_all(per_shard);
        co_return;
      }
      bss::BlobFront front(env, **store);
      if (!co_await front.open()) give_up("the store was not opened");
      const double seconds = wall_now() - begun;
      const bool lost = front.stats().checkpoints_lost != 0;
      if (front.blob_count() != per_shard * kShards) give_up("not all blobs were found");
      if (lost != (what == "from descriptors alone")) give_up("not started as it was meant to");
      const std::string name = fmt::format("start with {} blobs, {}", front.blob_count(), what);
      print_figure(name, seconds, "s", {}, lost ? "target at most 60" : "target at most 3");
      print_figure(name + ": CPU time", cpu_seconds() - cpu, "s");
      print_figure(
          name + ": memory of a blob",
          static_cast<double>(front.usage_here().index_bytes) / static_cast<double>(front.blob_count()),
          "bytes", {}, "target at most 32");
      if (!co_await front.close()) give_up("the store was not closed");
    });
    if (!ran) give_up("no environment: " + ran.error().to_string());
  }
  std::filesystem::remove_all(directory);
}

}  // namespace fb::bench
