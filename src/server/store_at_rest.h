// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>

#include "bss/blob/store.h"
#include "bss/metadata_store.h"
#include "nss/partition_front.h"
#include "server/data_directory.h"
#include "server/store_place.h"
#include "server/store_tuning.h"

namespace fb {

// The store of a stopped server, opened as a start opens it, with the records of its journal redone. On one
// core.
class StoreAtRest {
 public:
  struct Options {
    std::string data_dir;
    std::string device;         // empty: none
    uint64_t memory_bytes = 0;  // for the namespace's pages
    StoreTuning tuning{};       // as in the server's settings
  };
  struct Problem {
    std::string message;
    bool damaged = false;  // false: there is no store, or it is in use
  };
  static Task<std::expected<std::unique_ptr<StoreAtRest>, Problem>> open(Env& env, const Options& options);
  Task<void> close();

  // The path of its files, for file_system_space().
  const std::string& path() const { return place_->path(); }
  const std::array<uint8_t, 16>& store_id() const { return directory_->store_id(); }
  bss::MetadataStore& metadata() { return *metadata_; }
  Partition& partition() { return *partition_; }
  bss::BlobFront& blobs() { return *blobs_; }

 private:
  Task<std::expected<void, Problem>> open_engines(Env& env, const Options& options);

  std::optional<DataDirectory> directory_;
  std::optional<StorePlace> place_;
  std::unique_ptr<bss::MetadataStore> metadata_;
  std::unique_ptr<Partition> partition_;
  std::unique_ptr<bss::BlobStore> store_;
  std::unique_ptr<bss::BlobFront> blobs_;
};

}  // namespace fb
