// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "bss/aligned_bytes.h"
#include "bss/journal/journal_format.h"
#include "client/checkpoint_client.h"
#include "io/file.h"
#include "io/sync.h"

// One record with a version: what CheckpointClient keeps. docs/formats/namespace.md has the bytes.
//
// Two files hold the same record. They are overwritten in place one after the other, so a crash tears at most
// one while the other still has the record before; and either may rot. The first to be overwritten is always
// the one that does not hold the newest that is whole: the other one may have been torn before. Their space
// is allocated before it is needed, so that a full disk does not keep a record from being written.

namespace fb {

class RecordFile {
 public:
  using Record = CheckpointClient::Stored;
  // Makes the files if they are missing. PageError::unsupported for another version, or an IoError.
  static Task<Result<std::unique_ptr<RecordFile>>> open(Env& env, std::string directory,
                                                        const StoreId& store_id);
  // The newest one that is whole. None in a new store, or where neither is.
  const std::optional<Record>& newest() const { return newest_record_; }
  // Room in both files for a record of so many bytes. PageError::full, unavailable: neither may be written
  // beyond what it could hold before.
  Task<Result<void>> reserve(uint64_t bytes);
  uint64_t capacity_bytes() const { return capacity_bytes_; }
  // Durable in both files when it returns. PageError::stale_version for a version below the newest one, or
  // for the newest one with other bytes; the same bytes again are success. full, unavailable: nothing was
  // written. outcome_unknown: the next start finds this one or the one before it.
  Task<Result<void>> write(uint64_t version, std::string_view bytes);
  // How many copies are not what was written last; reads both.
  Task<unsigned> count_damaged();
  Task<Result<void>> close();

 private:
  RecordFile(Env& env, std::string directory, const StoreId& store_id);
  Task<Result<void>> load();
  enum class State : uint8_t { blank, whole, damaged, newer };
  Task<Result<State>> read(File& file, std::optional<Record>& out);
  Task<Result<void>> extend_to(uint64_t bytes);
  std::string path_of(size_t index) const;

  Env& env_;
  std::string directory_;
  StoreId store_id_;
  std::array<File, 2> files_;
  std::optional<Record> newest_record_;
  size_t newest_ = 0;  // the file that holds the newest one, and is overwritten last
  uint64_t capacity_bytes_ = 0;
  AsyncMutex mutex_;
};

}  // namespace fb
