// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "io/file.h"
#include "nss/aligned_bytes.h"
#include "nss/commit_record.h"
#include "nss/journal_format.h"

// Where the namespace's state begins: what a start reads first. docs/formats/namespace.md has the bytes.
//
// Two files hold the same checkpoint. They are overwritten in place one after the other, so a crash tears at
// most one while the other still has the checkpoint before, whose journal is kept until both are written; and
// either may rot. The first to be overwritten is always the one that does not hold the newest that is whole:
// the other one may have been torn before. Their space is allocated before it is needed, so that a full disk
// does not keep a checkpoint from being written.

namespace fb {

struct CheckpointTree {
  BucketId bucket;
  PageId root;
  CountChange counts;  // of the commits of generations below the checkpoint's
};

struct Checkpoint {
  uint64_t number = 0;      // grows by one
  uint64_t epoch = 0;       // in which it was written
  uint64_t generation = 0;  // commits of this one on are not in the counts
  uint64_t position = 0;    // replay begins here, at a record's first byte
  uint64_t sequence = 1;    // of the frame that holds it
  uint64_t next_page_id = 1;
  bool clean = false;  // the process ended in order: no blob of it is without a name
  std::vector<CheckpointTree> trees;
  std::vector<Garbage> ledger;  // of what stands before `position`, and perhaps after it
  // Pages that have left their trees and are not erased from the store yet. Records behind `position` may
  // name them still; they are passed over.
  std::vector<PageId> retired;
};

void encode_checkpoint(std::string& out, const Checkpoint& checkpoint);
// NamespaceError::damaged.
Result<Checkpoint> decode_checkpoint(std::string_view bytes);

class CheckpointFile {
 public:
  // Makes the files where they are missing. NamespaceError::unsupported for another version, or an IoError.
  static Task<Result<std::unique_ptr<CheckpointFile>>> open(Env& env, std::string directory,
                                                            const StoreId& store_id);
  // The newest one that is whole. None in a new store, or where neither is: the journal knows which.
  const std::optional<Checkpoint>& found() const { return found_; }
  // Room in both files for a checkpoint of so many bytes.
  Task<Result<void>> reserve(uint64_t bytes);
  uint64_t capacity_bytes() const { return capacity_bytes_; }
  // Durable in both when it returns.
  Task<Result<void>> write(const Checkpoint& checkpoint);
  Task<Result<void>> close();

 private:
  CheckpointFile(Env& env, std::string directory, const StoreId& store_id);
  Task<Result<void>> load();
  enum class State : uint8_t { blank, whole, damaged, newer };
  Task<Result<State>> read(File& file, std::optional<Checkpoint>& out);

  Env& env_;
  std::string directory_;
  StoreId store_id_;
  std::array<File, 2> files_;
  std::optional<Checkpoint> found_;
  size_t newest_ = 0;  // the file that holds the newest one, and is overwritten last
  uint64_t capacity_bytes_ = 0;
};

}  // namespace fb
