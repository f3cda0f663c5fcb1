// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/cloud_client.h"
#include "io/scope.h"
#include "io/sync.h"
#include "s3/checksum/checksum.h"
#include "s3/checksum/hash.h"
#include "tier/cloud_requests.h"
#include "tier/upload_budget.h"

namespace fb::tier {

// One object on its way into the cloud: cut into pieces of kUploadPieceBytes, of which one is received while
// up to kPiecesInFlightMax are sent. A piece is held until it has been acknowledged, so that it can be sent
// again, and takes its memory from the budget of the core.
//
//   received -> [PutObject]                                              up to one piece
//            -> [CreateMultipartUpload] -> [UploadPart] ... -> [Complete]   more
//            -> HeadObject: size and checksum -> done
//
// After a failure, a begun upload is aborted (if that fails, the sweep does it), and the caller frees an
// object that may be there (`may_exist`).
class CloudUpload {
 public:
  CloudUpload(CloudRequests& requests, UploadBudget& budget, std::string key, bool checksums);

  struct Outcome {
    Result<void> result;
    bool may_exist = false;
  };
  Task<Outcome> run(CloudSource& source, const CloudClient::StoreOptions& options);

  uint64_t length_bytes() const { return length_; }
  const std::vector<uint64_t>& sums() const { return sums_; }

 private:
  struct Piece {
    uint32_t number = 1;
    uint64_t bytes = 0;
    std::vector<Buffer> buffers;
    std::vector<iovec> vectors;
    std::string sha256;
    std::string crc32c;
    Semaphore::Units memory;
    Semaphore::Units turn;
  };
  struct Sent {
    std::string etag;
    std::string crc32c;
  };

  Task<Result<void>> receive(CloudSource& source, Piece& piece);
  Task<Result<void>> send_pieces(CloudSource& source, const CloudClient::StoreOptions& options);
  uint64_t memory_of_next(std::optional<uint64_t> size_bytes) const;
  Task<Result<void>> put(const Piece& piece);
  Task<Result<void>> create();
  static Task<void> send_piece(CloudUpload* self, Piece piece);
  Task<Result<void>> complete();
  Task<Result<void>> verify();
  Task<void> abort();
  void fail(const Error& error);

  CloudRequests& requests_;
  UploadBudget& budget_;
  std::string key_;
  bool checksums_;
  Semaphore turns_;
  CancelSource cancel_;
  std::optional<Error> error_;  // the first one
  std::string upload_id_;
  std::map<uint32_t, Sent> sent_;
  uint64_t length_ = 0;
  std::vector<uint64_t> sums_;
  std::optional<s3::ChecksumValue> crc_;  // of all pieces
  bool may_exist_ = false;
};

// Checks that the object under `key` has that size and, if the cloud knows one, that CRC32C (base64; empty:
// not compared). BlobError::unavailable if not.
Task<Result<void>> verify_object(CloudRequests& requests, std::string_view key, uint64_t length_bytes,
                                 std::string_view crc32c);

}  // namespace fb::tier
