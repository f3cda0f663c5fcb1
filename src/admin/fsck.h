// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "bss/metadata_store.h"
#include "client/blob_client.h"
#include "nss/partition.h"

namespace fb {

// The findings of a check of a whole store. It checks every invariant of the namespace's trees, their counts,
// the ledger, that each blob a record names is stored, and that pages and journal are as they were written.
struct FsckReport {
  Partition::VerifyReport names;
  bss::ScrubReport metadata;  // all pages, all of the journal, both checkpoints, by their checksums
  uint64_t blocks_stored = 0;
  uint64_t blobs_missing = 0;
  uint64_t blobs_unnamed = 0;  // in a store at rest: garbage, or left by a process that died; freed later
  std::vector<std::string> problems;
  uint64_t cloud_objects = 0;  // named by records
  bool cloud_looked_at = false;
  bool in_use = false;

  bool sound() const { return problems.empty(); }
  // For people; the first word is "sound" if nothing is wrong.
  std::string to_string() const;
};
inline constexpr std::string_view kFsckSound = "sound";

struct FsckScope {
  bool in_use = false;      // others read and write meanwhile
  bool with_cloud = false;  // `blobs` has the objects of the cloud bucket, too
};
// Called on core 0.
Task<Result<FsckReport>> check_store(Partition& partition, bss::MetadataStore& metadata, BlobClient& blobs,
                                     FsckScope scope);

}  // namespace fb
