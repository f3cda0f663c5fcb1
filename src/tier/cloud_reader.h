// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "client/cloud_client.h"
#include "tier/cloud_requests.h"

namespace fb::tier {

// A range of one cloud object: one GET, read block by block, each verified before it is returned. If the
// connection breaks, or a block is damaged, another GET goes on from that block.
class CloudRangeReader final : public CloudReader {
 public:
  // `sums` in the local store are read through `blobs`.
  CloudRangeReader(CloudRequests& requests, BlobClient& blobs, std::string key, const Locator& content,
                   uint64_t offset, uint64_t length);
  ~CloudRangeReader() override;

  Task<Result<BlobData>> next() override;
  Task<void> close() override;

 private:
  enum class Fault : uint8_t { none, gone, broken, damaged };
  uint64_t blocks_begin() const { return align_down(offset_, kBlobBlockSizeMax); }
  Task<Result<void>> load_sums();
  uint64_t sum_of(uint64_t block) const;
  Task<Fault> read_block(Buffer& buffer, uint64_t block_begin, uint32_t block_length);
  Task<Fault> connect(uint64_t from);

  CloudRequests& requests_;
  BlobClient& blobs_;
  std::string key_;
  const Locator content_;
  uint64_t offset_;  // of the next byte to return
  uint64_t end_;
  std::string loaded_sums_;
  uint64_t first_sum_ = 0;  // the block of the first loaded checksum
  std::unique_ptr<OutboundConnection> connection_;
};

}  // namespace fb::tier
