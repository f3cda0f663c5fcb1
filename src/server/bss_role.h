// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "bss/blob/store.h"
#include "bss/metadata_store.h"
#include "server/data_directory.h"
#include "server/settings.h"
#include "server/store_place.h"

namespace fb {

// This machine's storage: the blobs, and the pages and the journal of the namespace.
//
//   open_place()   core 0    the directory or the device
//   open()         core 0    the pages and the journal
//   open_blobs()   core 0    for the incarnation under which this process writes
//   start()        each core its part of the blobs
//   stop()         each core ends long work
//   close()        each core when nobody uses its part any more
//   release()      each core when all cores have closed
//   close_store()  core 0    last
//
// Each of the last four may be called after a start that failed half-way.
class BssRole {
 public:
  // `settings` outlives it.
  explicit BssRole(const ServerSettings& settings);

  Task<ConfigResult<void>> open_place(Env& env, const DataDirectory& directory);
  Task<ConfigResult<void>> open(Env& env);
  Task<ConfigResult<void>> open_blobs(Env& env, Incarnation incarnation);
  Task<ConfigResult<void>> start(Env& env);
  void stop(Env& env);
  Task<void> close(Env& env);
  void release(Env& env);
  Task<void> close_store(Env& env);

  // The blobs of the calling core, from start() to release().
  bss::BlobFront& blobs(Env& env) { return *fronts_[env.core()]; }
  bool started(Env& env) const { return fronts_[env.core()] != nullptr; }
  // Valid from open() on.
  bss::MetadataStore& metadata() { return *metadata_; }
  const std::string& path() const { return place_->path(); }
  std::string namespace_path() const { return place_->namespace_path(); }
  const bss::Device* device() const { return place_->device(); }
  Durability durability() const { return durability_; }  // in effect

 private:
  Task<void> choose_durability(Env& env);

  const ServerSettings& settings_;
  std::optional<StorePlace> place_;
  StoreId store_id_{};
  std::unique_ptr<bss::MetadataStore> metadata_;
  std::unique_ptr<bss::BlobStore> store_;
  Durability durability_ = Durability::strict;
  std::vector<std::unique_ptr<bss::BlobFront>> fronts_;  // by core; made and destroyed there
};

}  // namespace fb
