// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/call.h"
#include "api/store_limits.h"
#include "api/stored_content.h"
#include "client/record.h"
#include "s3/checksum/checksum.h"
#include "s3/request/condition.h"
#include "s3/request/copy_source.h"

namespace fb::api {

// The object that a copy reads: its record, and the pin that keeps its blobs. The record's views lead into
// `found`, so this does not move.
struct SourceObject {
  SourceObject() = default;
  SourceObject(const SourceObject&) = delete;
  BucketId bucket;
  Found found;
  ObjectRecord record;
};

// Finds the source and evaluates x-amz-copy-source-if-*. Every key has its own owner's rights on all buckets
// today; the source's bucket is looked up like any other.
Task<S3Result<void>> open_source(Call& call, const s3::CopySource& source,
                                 const s3::ReadConditions& conditions, SourceObject& out);

// Stores a copy of bytes [offset, offset + length) of the source and hashes them on the way; or has the cloud
// copy what is whole there, where the source's record has all the hashes.
struct CopiedContent {
  StoredContent content;
  std::array<uint8_t, 16> md5{};
  RecordChecksum checksum;
};
struct CopyWish {
  uint64_t offset = 0;
  uint64_t length = 0;
  std::optional<s3::ChecksumKind> checksum_kind;
  uint32_t inline_sums_max = kInlineSumsOfObject;
};
// The source's pin is given up: its record stays, its content may go.
Task<S3Result<CopiedContent>> copy_content(Call& call, SourceObject& source, const CopyWish& wish);

}  // namespace fb::api
