// SPDX-License-Identifier: Apache-2.0
#include "server/store_at_rest.h"

#include <fmt/format.h>

namespace fb {
namespace {

constexpr size_t kStoreFileBytesMax = 4096;

std::unexpected<StoreAtRest::Problem> damaged(std::string_view what, const Error& error) {
  return std::unexpected(StoreAtRest::Problem{
      .message = fmt::format("{} ({}); the lines above say why", what, error.to_string()), .damaged = true});
}

}  // namespace

Task<std::expected<std::unique_ptr<StoreAtRest>, StoreAtRest::Problem>> StoreAtRest::open(
    Env& env, const Options& options) {
  // Opening would make a store if there is none.
  if (!co_await read_small_file(env, options.data_dir + "/STORE", kStoreFileBytesMax)) {
    co_return std::unexpected(
        Problem{fmt::format("{} holds no store; name the --data-dir of the server", options.data_dir)});
  }
  auto directory = co_await DataDirectory::open(env, options.data_dir);
  if (!directory)
    co_return std::unexpected(Problem{directory.error() + "; of one that runs ask with --mgmt-url"});
  auto store = std::make_unique<StoreAtRest>();
  store->directory_ = std::move(*directory);
  const auto opened = co_await store->open_engines(env, options);
  if (opened) co_return store;
  co_await store->close();
  co_return std::unexpected(opened.error());
}

Task<std::expected<void, StoreAtRest::Problem>> StoreAtRest::open_engines(Env& env, const Options& options) {
  auto place = co_await StorePlace::open(env, *directory_, options.device);
  if (!place) co_return std::unexpected(Problem{place.error()});
  place_ = std::move(*place);
  bss::MetadataStore::Options stores{.directory = place_->namespace_path(),
                                     .store_id = directory_->store_id()};
  options.tuning.apply(stores);
  auto metadata = co_await bss::MetadataStore::open(env, stores);
  if (!metadata) co_return damaged("the namespace cannot be opened", metadata.error());
  metadata_ = std::move(*metadata);
  auto partition =
      co_await Partition::open(env, {.memory_bytes = options.memory_bytes}, metadata_->clients());
  if (!partition) co_return damaged("the namespace cannot be opened", partition.error());
  partition_ = std::move(*partition);
  bss::BlobStoreOptions blobs{
      .directory = place_->blobs_path(), .incarnation = partition_->incarnation(), .cache_bytes = 0};
  options.tuning.apply(blobs);
  auto store = co_await bss::BlobStore::open(env, blobs);
  if (!store) co_return damaged("the blobs cannot be opened", store.error());
  store_ = std::move(*store);
  blobs_ = std::make_unique<bss::BlobFront>(env, *store_);
  if (auto opened = co_await blobs_->open(); !opened)
    co_return damaged("the blobs cannot be read", opened.error());
  partition_->use_blobs(*blobs_);
  co_return std::expected<void, Problem>();
}

Task<void> StoreAtRest::close() {
  if (blobs_) (void)co_await blobs_->close();
  if (partition_) (void)co_await partition_->close();
  if (metadata_) (void)co_await metadata_->close();
  if (place_) (void)co_await place_->close();
  co_await directory_->close();
}

}  // namespace fb
