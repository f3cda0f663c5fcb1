// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/etag_text.h"
#include "base/result.h"
#include "client/types.h"

// The values that the namespace stores under keys: records of objects, multipart uploads, single parts and
// client tokens. The bytes are specified in docs/formats/record.md: a version byte, must-understand bits and
// tagged fields, so that later versions can add fields which this one skips, or must refuse. All fields that
// S3 and the later engines need are reserved there.
//
// Decoding makes views into the bytes, which must stay alive; it validates everything and never trusts a
// length.

namespace fb {

enum class RecordError {
  malformed,    // not a record, or cut short
  unsupported,  // written by a newer version with something that must be understood
};
std::string_view to_string(RecordError code);
inline const ErrorDomain& error_domain(RecordError) {
  static constexpr ErrorDomain kDomain{"record",
                                       [](int code) { return to_string(static_cast<RecordError>(code)); }};
  return kDomain;
}

// S3's ETag: the MD5 of the content, or "md5 of the parts' md5s"-N for a multipart object.
struct RecordEtag {
  std::array<uint8_t, 16> md5{};
  uint16_t part_count = 0;  // 0: a single put
  bool operator==(const RecordEtag&) const = default;
  // Lower-case hex, "-N" if part_count is set, without quotes.
  std::string text() const;
  static constexpr size_t kTextSizeMax = kEtagTextSizeMax;
  // Writes text() into `out` (kTextSizeMax bytes); returns the size written.
  size_t write_text(char* out) const;
};

enum class RecordChecksumAlgorithm : uint8_t {
  none = 0,
  crc32 = 1,
  crc32c = 2,
  crc64nvme = 3,
  sha1 = 4,
  sha256 = 5
};

// A checksum as S3 stores and returns it.
struct RecordChecksum {
  RecordChecksumAlgorithm algorithm = RecordChecksumAlgorithm::none;
  bool composite = false;  // the checksum of the parts' checksums, shown with "-N"
  uint8_t size = 0;        // bytes used of value
  std::array<uint8_t, 32> value{};
  bool operator==(const RecordChecksum&) const = default;
};

// The place of content. Blocks of one blob: block i holds bytes [i * block_size, (i + 1) * block_size) of it.
// An object of the cloud bucket is read and verified in blocks of that size, too.
struct Locator {
  enum class Kind : uint8_t { none = 0, inline_bytes = 1, blob = 2, manifest = 3, cloud = 4 };
  Kind kind = Kind::none;  // none: no content (0 bytes)
  BlobId blob;             // blob, manifest, cloud
  uint64_t length_bytes = 0;
  uint8_t block_size_log2 = 20;    // 2^20: 1 MiB
  std::string_view inline_data{};  // inline_bytes
  // cloud: the blob_checksum() of each block, as u64; if `sums` is empty, a blob of this store has them.
  std::string_view sums{};
  BlobId sums_blob{};
  uint32_t block_count() const {
    const uint64_t block_bytes = uint64_t{1} << block_size_log2;
    return static_cast<uint32_t>((length_bytes + block_bytes - 1) / block_bytes);
  }
};

inline constexpr size_t kCloudSumBytes = sizeof(uint64_t);
// Bounded so that the checksums fit into one block of a blob.
inline constexpr uint64_t kCloudObjectSizeMax =
    uint64_t{kBlobBlockSizeMax} / kCloudSumBytes * kBlobBlockSizeMax;

struct RecordPart {
  uint16_t number = 0;  // 1 to 10000, ascending
  Locator content;
  std::array<uint8_t, 16> md5{};
  RecordChecksum checksum;
};

struct ObjectRecord {
  uint64_t size_bytes = 0;
  UnixTime last_modified;
  RecordEtag etag;
  RecordChecksum checksum;
  std::string_view metadata{};  // system headers and user metadata, encoded by s3/response/object_metadata.h
  std::string_view owner{};     // canonical user id; empty: the bucket's owner
  std::string_view storage_class{};  // empty: STANDARD
  std::string_view upload_id{};      // multipart object: so that a repeated Complete is recognised
  Locator content;                   // single put; Kind::none if `parts` is not empty
  std::vector<RecordPart> parts;     // multipart: the part table, in order

  std::string encode() const;
  void encode_to(std::string& out) const;  // appends; no other allocation
  static Result<ObjectRecord> decode(std::string_view bytes);
};

struct UploadRecord {
  UnixTime initiated;
  RecordChecksumAlgorithm checksum_algorithm = RecordChecksumAlgorithm::none;
  bool checksum_composite = false;
  std::string_view metadata{};
  std::string_view owner{};
  std::string_view storage_class{};

  std::string encode() const;
  static Result<UploadRecord> decode(std::string_view bytes);
};

struct PartRecord {
  uint64_t size_bytes = 0;
  UnixTime last_modified;
  std::array<uint8_t, 16> md5{};
  RecordChecksum checksum;                          // by the upload's algorithm, or else the client's own
  std::optional<std::array<uint8_t, 8>> crc64nvme;  // beside it, if the upload has no algorithm
  Locator content;

  std::string encode() const;
  static Result<PartRecord> decode(std::string_view bytes);
};

// States that a request with a client token has been carried out.
struct ClientTokenRecord {
  std::array<uint8_t, 32> fingerprint{};  // SHA-256 of the request's parameters, as src/s3 computes it
  UnixTime expires;                       // from then on the token counts as absent

  std::string encode() const;
  static Result<ClientTokenRecord> decode(std::string_view bytes);
};

// Every blob a record of any kind names, with its block count (1 for an object of the cloud bucket);
// `visit(const BlobId&, uint32_t block_count)`. Used by the engine for garbage and by mark and sweep.
// RecordError::malformed if the bytes are no record.
Result<void> for_each_blob(std::string_view record,
                           void (*visit)(void* context, const BlobId& blob, uint32_t block_count),
                           void* context);
// Visits the blobs of one locator.
void visit_locator(const Locator& locator, void (*visit)(void*, const BlobId&, uint32_t), void* context);
// The fields of an object record that a listing shows. Other fields are skipped, unless they must be
// understood.
struct ObjectSummary {
  uint64_t size_bytes = 0;
  UnixTime last_modified;
  RecordEtag etag;
  RecordChecksumAlgorithm checksum_algorithm = RecordChecksumAlgorithm::none;
  bool checksum_composite = false;

  static Result<ObjectSummary> decode(std::string_view bytes);
};
// The ETag of an object record, without decoding the rest; for conditions. Nothing for other kinds.
std::optional<RecordEtag> etag_of(std::string_view record);
// The size of an object record; for a bucket's byte count. Nothing for other kinds.
std::optional<uint64_t> object_size_of(std::string_view record);

}  // namespace fb
