// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "io/file.h"
#include "nss/aligned_bytes.h"
#include "nss/change.h"
#include "nss/entry_map.h"
#include "nss/journal_format.h"

// The namespace in one file; docs/formats/snapshot.md. Written from beginning to end under another name, then
// synced, renamed and made durable, so that a crash leaves the old one or the new one. Blocks, each with a
// checksum seeded with the store and the block's number; the last one says how much there is, so that a cut
// file is noticed.

namespace fb {

inline constexpr uint32_t kSnapshotVersion = 1;

struct SnapshotSummary {
  uint64_t sequence_begun = 0;  // every frame up to this one is in it
  uint64_t sequence_ended = 0;  // and perhaps some of those up to this one
  uint64_t epoch = 0;
  uint64_t trees = 0;
  uint64_t entries = 0;
  uint64_t garbage = 0;
};

class SnapshotWriter {
 public:
  static constexpr size_t kBlockBytes = 256 * kKiB;

  SnapshotWriter(Env& env, std::string path, const StoreId& store_id, uint64_t sequence_begun)
      : env_(env), path_(std::move(path)), store_id_(store_id) {
    summary_.sequence_begun = sequence_begun;
  }
  Task<Result<void>> open();
  // These only fill a block in memory; where block_full(), flush() before the next.
  void add_tree(BucketId bucket);
  void add_entry(const Entry& entry);
  void add_garbage(const Garbage& garbage);
  bool block_full() const { return block_.size() >= kBlockBytes; }
  Task<Result<void>> flush();
  // Everything is written: makes it the snapshot.
  Task<Result<void>> finish(uint64_t sequence_ended, uint64_t epoch);
  // Must be called in the end, after finish() or instead of it; a file cut short stays as reserved space.
  Task<void> close();
  const SnapshotSummary& summary() const { return summary_; }

 private:
  Task<Result<void>> write_block();
  std::string new_path() const { return path_ + ".new"; }
  Env& env_;
  std::string path_;
  StoreId store_id_;
  File file_;
  AlignedBytes block_;
  std::string scratch_;
  uint64_t offset_ = 0;
  uint64_t block_number_ = 0;
  SnapshotSummary summary_;
};

// Allocates what the next snapshot will be written into, the file `path` + ".new", so that a full disk does
// not keep it from being written. Nothing is done where the file system cannot allocate.
Task<Result<void>> reserve_snapshot_space(Env& env, const std::string& path, uint64_t size_bytes);

// What is in a snapshot, given to callbacks in the order it was written.
struct SnapshotVisitor {
  std::function<void(BucketId)> tree;
  std::function<void(TreeKey, Version, std::string_view record)> entry;  // of the tree named last
  std::function<void(const Garbage&)> garbage;
};
// IoError::not_found where there is none; NamespaceError::damaged or unsupported with a line in the log.
Task<Result<SnapshotSummary>> read_snapshot(Env& env, const std::string& path, const StoreId& store_id,
                                            const SnapshotVisitor& visitor);

}  // namespace fb
