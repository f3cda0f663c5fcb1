// SPDX-License-Identifier: Apache-2.0
#include "bss/metadata_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/log.h"

namespace fb::bss {

MetadataStore::MetadataStore(Env& env, Options options)
    : env_(env), options_(std::move(options)), scrub_turn_(env), scope_(env) {}

MetadataStore::~MetadataStore() { FB_ASSERT(closed_ || env_.abandoned()); }

std::string MetadataStore::path_of(std::string_view name) const {
  return fmt::format("{}/{}", options_.directory, name);
}

Task<Result<std::unique_ptr<MetadataStore>>> MetadataStore::open(Env& env, Options options) {
  std::unique_ptr<MetadataStore> store(new MetadataStore(env, std::move(options)));
  const Result<void> opened = co_await store->open_volumes();
  if (!opened) {
    (void)co_await store->close();
    co_return opened.error();
  }
  store->scope_.spawn(&MetadataStore::run_scrubber, store.get());
  co_return store;
}

Task<Result<void>> MetadataStore::open_volumes() {
  FB_CO_CHECK(co_await ensure_directory(env_, options_.directory));
  FB_CO_CHECK(co_await ensure_directory(env_, path_of("journal")));
  FB_CO_CHECK(co_await ensure_directory(env_, path_of("pages")));
  if (options_.journal_bytes_max == 0) {
    FB_CO_TRY(const FileSystemSpace disk, co_await file_system_space(env_, options_.directory));
    options_.journal_bytes_max =
        std::clamp(align_down(disk.total_bytes / kJournalShareOfDisk, options_.journal_segment_bytes),
                   kJournalSegmentsMin * options_.journal_segment_bytes, kJournalBytesMax);
  }
  FB_CO_TRY(record_, co_await RecordFile::open(env_, options_.directory, options_.store_id));
  FB_CO_TRY(journal_, co_await JournalFile::open(env_, {.directory = path_of("journal"),
                                                        .store_id = options_.store_id,
                                                        .segment_bytes = options_.journal_segment_bytes,
                                                        .size_bytes_max = options_.journal_bytes_max,
                                                        .durability = options_.durability}));
  FB_CO_TRY(pages_, co_await PageFile::open(env_, {.directory = path_of("pages"),
                                                   .store_id = options_.store_id,
                                                   .slot_bytes = options_.page_bytes,
                                                   .log_bytes = options_.page_log_bytes,
                                                   .growth_bytes = options_.page_growth_bytes,
                                                   .size_bytes_max = options_.page_store_bytes_max,
                                                   .reserve_pages = options_.reserve_pages,
                                                   .durability = options_.durability}));
  co_return Result<void>();
}

Task<Result<void>> MetadataStore::close() {
  FB_ASSERT(!closed_);
  stop_scrub();
  co_await scope_.join();
  Result<void> result;
  for (const Result<void>& closed : {journal_ ? co_await journal_->close() : Result<void>(),
                                     pages_ ? co_await pages_->close() : Result<void>(),
                                     record_ ? co_await record_->close() : Result<void>()}) {
    if (result && !closed) result = closed;
  }
  closed_ = true;
  co_return result;
}

Task<Result<std::optional<CheckpointClient::Stored>>> MetadataStore::read_checkpoint(const CallContext&) {
  co_return record_->newest();
}

Task<Result<void>> MetadataStore::write_checkpoint(const CallContext&, uint64_t epoch, uint64_t version,
                                                   std::string_view bytes) {
  if (epoch < pages_->sealed_epoch()) co_return PageError::sealed;
  co_return co_await record_->write(version, bytes);
}

Task<Result<void>> MetadataStore::reserve_checkpoint(const CallContext&, uint64_t bytes) {
  co_return co_await record_->reserve(bytes);
}

}  // namespace fb::bss
