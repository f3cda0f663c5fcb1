// SPDX-License-Identifier: Apache-2.0
#include "client/blob_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "client/blob_checksum.h"
#include "io/runtime.h"

namespace fb {
namespace {

// Places are shards. Each answers as it is told and keeps the blobs stored in it.
class Places final : public BlobClient {
 public:
  std::map<uint16_t, BlobError> broken;
  std::map<BlobId, std::string> stored;
  std::vector<BlobId> asked;
  uint16_t places = 4;
  std::optional<uint64_t> size_asked;

  BlobId new_blob() override {
    ++names_;
    return {.shard = static_cast<uint16_t>(names_ % places), .incarnation = {1}, .number = names_};
  }
  BlobId new_blob_of(uint64_t size_bytes) override {
    size_asked = size_bytes;
    return new_blob();
  }
  Task<Result<void>> put(const CallContext&, const BlobWrite& write) override {
    asked.push_back(write.id);
    const std::span<const std::byte> bytes(write.buffer.data(), write.length);
    EXPECT_EQ(write.checksum, blob_checksum(bytes));
    const auto at = broken.find(write.id.shard);
    if (at != broken.end()) co_return at->second;
    stored[write.id].assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    co_return Result<void>();
  }
  Task<Result<BlobData>> get(const CallContext&, BlobKey, uint32_t, uint32_t) override {
    co_return BlobError::not_found;
  }
  Task<Result<void>> erase(const CallContext&, std::span<const BlobExtent>) override {
    co_return Result<void>();
  }
  Task<Result<BlobPage>> enumerate(const CallContext&, uint16_t, uint64_t) override { co_return BlobPage(); }
  uint16_t shard_count() const override { return places; }
  Task<Result<BlobSpace>> space(const CallContext&) override { co_return BlobSpace(); }

 private:
  uint64_t names_ = 0;
};

class Discarded final : public UnnamedBlobs {
 public:
  std::vector<BlobId> blobs;
  void discard_blob(BlobId blob, uint32_t block_count) override {
    EXPECT_EQ(block_count, 1U);
    blobs.push_back(blob);
  }
};

struct Writing {
  Places places;
  Discarded discarded;

  Result<BlobId> put(std::string_view content) {
    Result<BlobId> outcome = BlobError::unavailable;
    EXPECT_TRUE(run_cores({.cores = 1}, [&](Env& env) -> Task<void> {
                  Buffer buffer = co_await env.buffers().allocate(content.size());
                  std::memcpy(buffer.data(), content.data(), content.size());
                  BlobWriter writer(places, discarded);
                  outcome =
                      co_await writer.put_whole({}, std::move(buffer), static_cast<uint32_t>(content.size()));
                }).has_value());
    return outcome;
  }
};

TEST(BlobWriter, StoresUnderOneName) {
  Writing writing;
  const Result<BlobId> blob = writing.put("content");
  ASSERT_TRUE(blob);
  EXPECT_EQ(writing.places.stored.at(*blob), "content");
  EXPECT_EQ(writing.places.asked.size(), 1U);
  EXPECT_TRUE(writing.discarded.blobs.empty());
}

TEST(BlobWriter, GoesOnWhereThereIsRoom) {
  Writing writing;
  writing.places.broken = {{1, BlobError::full}, {2, BlobError::full}};
  const Result<BlobId> blob = writing.put("content");
  ASSERT_TRUE(blob);
  EXPECT_EQ(blob->shard, 3);
  EXPECT_EQ(writing.places.stored.size(), 1U);
  EXPECT_TRUE(writing.discarded.blobs.empty()) << "a place that is full has taken nothing";
}

TEST(BlobWriter, GivesUpIfAllIsFull) {
  Writing writing;
  for (uint16_t place = 0; place < 4; ++place) writing.places.broken[place] = BlobError::full;
  const Result<BlobId> blob = writing.put("content");
  ASSERT_FALSE(blob);
  EXPECT_TRUE(blob.error().is(BlobError::full));
  EXPECT_EQ(writing.places.asked.size(), BlobWriter::kPlacesTriedMax);
  EXPECT_TRUE(writing.discarded.blobs.empty());
  std::ranges::sort(writing.places.asked);
  EXPECT_EQ(std::ranges::adjacent_find(writing.places.asked), writing.places.asked.end())
      << "a name was used twice";
}

// The blob may have been stored all the same. A try in another place would leave it behind.
TEST(BlobWriter, DiscardsWhatMayBeThere) {
  Writing writing;
  writing.places.broken = {{1, BlobError::full}, {2, BlobError::outcome_unknown}};
  const Result<BlobId> blob = writing.put("content");
  ASSERT_FALSE(blob);
  EXPECT_TRUE(blob.error().is(BlobError::outcome_unknown));
  ASSERT_EQ(writing.places.asked.size(), 2U);
  EXPECT_EQ(writing.discarded.blobs, std::vector<BlobId>{writing.places.asked.back()});
}

TEST(BlobWriter, LargeContentIsAnnouncedByItsSize) {
  Places places;
  Discarded discarded;
  BlobWriter writer(places, discarded);
  (void)writer.begin(std::nullopt);
  (void)writer.begin(kBlobBlockSizeMax);
  EXPECT_FALSE(places.size_asked);
  (void)writer.begin(kBlobBlockSizeMax + 1);
  EXPECT_EQ(places.size_asked, kBlobBlockSizeMax + 1);
}

}  // namespace
}  // namespace fb
