// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "bss/blob/scrub.h"
#include "bss/journal/journal_file.h"
#include "bss/page/page_file.h"
#include "bss/record_file.h"
#include "client/checkpoint_client.h"

namespace fb::bss {

// What a blob server keeps for a namespace engine: the metadata volume (versioned pages, and the record that
// a start reads first) and the journal volume. The engine has no state of its own.
//
//     DIRECTORY/pages/            the page store         page_file.h
//     DIRECTORY/checkpoint-{0,1}  the record, twice      record_file.h
//     DIRECTORY/journal/          the journal            journal_file.h
//     DIRECTORY/scrub             when all of it was last read
//
// Owned by one core, where all its clients call it. Opened before the engine, closed after it.
class MetadataStore final : public CheckpointClient {
 public:
  struct Options {
    std::string directory;  // made where missing; its parent is there
    fb::StoreId store_id{};
    Durability durability = Durability::strict;
    uint32_t page_bytes = 16 * kKiB;    // of a new store
    uint64_t page_store_bytes_max = 0;  // 0: what the file system gives
    uint64_t page_growth_bytes = 64 * kMiB;
    uint64_t page_log_bytes = 8 * kMiB;
    uint32_t reserve_pages = 512;  // for what must be written on a full disk
    uint64_t journal_segment_bytes = 16 * kMiB;
    uint64_t journal_bytes_max = 0;  // bounds the replay at a start; 0: by the disk, kJournalShareOfDisk
    // Everything is read once in so long; 0: never.
    Duration scrub_period;
    unsigned scrub_time_percent = 10;
  };
  static constexpr uint64_t kJournalBytesMax = 256 * kMiB;
  static constexpr uint64_t kJournalSegmentsMin = 4;
  static constexpr uint64_t kJournalShareOfDisk = 16;

  // A PageError, a JournalError or an IoError, with a line in the log that names the place.
  static Task<Result<std::unique_ptr<MetadataStore>>> open(Env& env, Options options);
  ~MetadataStore() override;
  // When no client calls any more.
  Task<Result<void>> close();

  MetadataClients clients() { return {*pages_, *journal_, *this}; }
  PageFile& pages() { return *pages_; }
  JournalFile& journal() { return *journal_; }

  Task<Result<std::optional<Stored>>> read_checkpoint(const CallContext& context) override;
  Task<Result<void>> write_checkpoint(const CallContext& context, uint64_t epoch, uint64_t version,
                                      std::string_view bytes) override;
  Task<Result<void>> reserve_checkpoint(const CallContext& context, uint64_t bytes) override;
  uint64_t checkpoint_bytes_reserved() const override { return record_->capacity_bytes(); }

  // Everything, at once.
  Task<ScrubReport> scrub();
  // Ends it, and those that come by the clock.
  void stop_scrub();

  struct Stats {
    uint64_t scrubs = 0;  // that came to their end
    uint64_t scrub_pages = 0, scrub_frames = 0, scrub_bytes = 0, scrub_damaged = 0;
  };
  const Stats& stats() const { return stats_; }

 private:
  MetadataStore(Env& env, Options options);
  Task<Result<void>> open_volumes();
  std::string path_of(std::string_view name) const;

  // metadata_scrub.cc
  static Task<void> run_scrubber(MetadataStore* self);
  Task<void> save_scrub();
  Task<void> scrub_pass(uint64_t from, unsigned percent, ScrubReport& report, bool keeps_place);
  Task<void> scrub_record(ScrubReport& report);
  Task<void> scrub_journal(unsigned percent, ScrubReport& report);
  Task<void> scrub_pages(std::span<const PageClient::Entry> pages, ScrubReport& report);
  Task<void> scrub_pause(Instant since, unsigned percent);

  Env& env_;
  Options options_;
  std::unique_ptr<RecordFile> record_;
  std::unique_ptr<JournalFile> journal_;
  std::unique_ptr<PageFile> pages_;
  Stats stats_;
  ScrubState scrub_;
  bool scrub_stopped_ = false;
  bool closed_ = false;
  AsyncMutex scrub_turn_;
  CancelSource stop_sleeping_;
  Scope scope_;
};

}  // namespace fb::bss
