// SPDX-License-Identifier: Apache-2.0
#include "server/bss_role.h"

#include <fmt/format.h>

#include "io/call_on.h"
#include "io/log.h"
#include "nss/partition.h"

namespace fb {

BssRole::BssRole(const ServerSettings& settings) : settings_(settings), fronts_(settings.threads) {}

Task<ConfigResult<void>> BssRole::open_place(Env& env, const DataDirectory& directory) {
  auto place = co_await StorePlace::open(env, directory, settings_.device);
  if (!place) co_return std::unexpected(place.error());
  place_ = std::move(*place);
  store_id_ = directory.store_id();
  co_await choose_durability(env);
  co_return ConfigResult<void>();
}

Task<ConfigResult<void>> BssRole::open(Env& env) {
  bss::MetadataStore::Options options{.directory = place_->namespace_path(),
                                      .store_id = store_id_,
                                      .durability = durability_,
                                      .scrub_period = settings_.scrub_period};
  settings_.tuning.apply(options);
  options.reserve_pages =
      Partition::reserve_pages(settings_.namespace_memory_bytes, options.page_bytes, env.core_count());
  auto opened = co_await bss::MetadataStore::open(env, options);
  if (!opened) {
    co_return std::unexpected(
        fmt::format("{}: the namespace could not be opened: {}; the log says where it is damaged",
                    options.directory, opened.error().to_string()));
  }
  metadata_ = std::move(*opened);
  co_return ConfigResult<void>();
}

// The durability is never weaker than the settings ask for, and stricter if the file system cannot keep plp.
Task<void> BssRole::choose_durability(Env& env) {
  durability_ = settings_.durability;
  if (settings_.durability == Durability::strict) co_return;
  const auto space = co_await file_system_space(env, place_->path());
  if (space && space->overwrites_in_place) {
    log(env, LogLevel::warn,
        "durability plp: what is acknowledged is not flushed; a drive without power-loss protection loses "
        "it");
    co_return;
  }
  durability_ = Durability::strict;
  log(env, LogLevel::warn, "durability plp needs ext4, xfs or a block device: strict is used",
      {{"place", place_->path()}});
}

Task<ConfigResult<void>> BssRole::open_blobs(Env& env, Incarnation incarnation) {
  bss::BlobStoreOptions options{.directory = place_->blobs_path(),
                                .durability = durability_,
                                .incarnation = incarnation,
                                .capacity_bytes = settings_.capacity_bytes,
                                .cache_bytes = settings_.cache_bytes / settings_.threads,
                                .scrub_period = settings_.scrub_period};
  settings_.tuning.apply(options);
  auto opened = co_await bss::BlobStore::open(env, options);
  if (!opened) {
    co_return std::unexpected(
        fmt::format("{}: the blob store could not be opened: {}; the log says what is wrong",
                    options.directory, opened.error().to_string()));
  }
  store_ = std::move(*opened);
  co_return ConfigResult<void>();
}

Task<ConfigResult<void>> BssRole::start(Env& env) {
  if (auto attached = co_await place_->attach(env); !attached) co_return attached;
  auto front = std::make_unique<bss::BlobFront>(env, *store_);
  if (auto opened = co_await front->open(); !opened) {
    co_return std::unexpected(fmt::format("{}: the blobs could not be opened: {}; the log says what is wrong",
                                          place_->blobs_path(), opened.error().to_string()));
  }
  fronts_[env.core()] = std::move(front);
  co_return ConfigResult<void>();
}

void BssRole::stop(Env& env) {
  if (started(env)) blobs(env).stop_scrub();
  if (env.core() == 0 && metadata_) metadata_->stop_scrub();
}

Task<void> BssRole::close(Env& env) {
  if (!started(env)) co_return;
  if (auto closed = co_await blobs(env).close(); !closed) {
    log(env, LogLevel::error, "the blobs did not close in order; the next start reads more of them",
        {{"reason", closed.error().to_string()}});
  }
}

void BssRole::release(Env& env) { fronts_[env.core()].reset(); }

Task<void> BssRole::close_store(Env& env) {
  if (metadata_) {
    if (auto closed = co_await metadata_->close(); !closed) {
      log(env, LogLevel::error, "pages and journal did not close in order",
          {{"reason", closed.error().to_string()}});
    }
    metadata_.reset();
  }
  if (!place_) co_return;
  for (unsigned number = env.core_count(); number-- > 1;)
    co_await call_on(env, number, [this](Env& there) { return place_->detach(there); });
  if (auto closed = co_await place_->close(); !closed)
    log(env, LogLevel::error, "the device did not close in order", {{"reason", closed.error().to_string()}});
}

}  // namespace fb
