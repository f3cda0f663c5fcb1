// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nss/nss_test_world.h"

// For tests: what is appended while the journal is full does not become durable.

namespace fb {

// A journal that is full as long as the test says.
class FullJournal final : public JournalClient {
 public:
  explicit FullJournal(JournalClient& journal) : journal_(journal) {}
  bool full = false;
  Bounds bounds() const override { return journal_.bounds(); }
  size_t frame_size_max() const override { return journal_.frame_size_max(); }
  uint64_t segment_bytes() const override { return journal_.segment_bytes(); }
  uint64_t written_bytes() const override { return journal_.written_bytes(); }
  uint64_t room_bytes() const override { return journal_.room_bytes(); }
  bool low() const override { return journal_.low(); }
  void set_low_handler(std::function<void()> handler) override {
    journal_.set_low_handler(std::move(handler));
  }
  Task<Result<void>> seal(const CallContext& context, uint64_t epoch) override {
    return journal_.seal(context, epoch);
  }
  Task<Result<uint64_t>> submit(const CallContext& context, std::span<const std::byte> payload) override {
    if (full) co_return JournalError::full;
    co_return co_await journal_.submit(context, payload);
  }
  Task<Result<void>> wait_durable(uint64_t sequence) override { return journal_.wait_durable(sequence); }
  Task<Result<std::vector<Frame>>> read(const CallContext& context, uint64_t sequence) override {
    return journal_.read(context, sequence);
  }
  Task<Result<void>> trim(const CallContext& context, uint64_t sequence) override {
    return journal_.trim(context, sequence);
  }

 private:
  JournalClient& journal_;
};

inline Task<Result<void>> open_over_full_journal(Session& session, FakeBlobs& blobs,
                                                 const EngineOptions& options,
                                                 std::unique_ptr<FullJournal>& journal) {
  bss::MetadataStore::Options with = options.stores;
  with.reserve_pages =
      Partition::reserve_pages(options.memory_bytes, with.page_bytes, session.env.core_count());
  FB_CO_TRY(session.engine.stores, co_await bss::MetadataStore::open(session.env, with));
  const MetadataClients clients = session.engine.stores->clients();
  journal = std::make_unique<FullJournal>(clients.journal);
  FB_CO_TRY(session.engine.partition,
            co_await Partition::open(
                session.env, options,
                {.pages = clients.pages, .journal = *journal, .checkpoints = clients.checkpoints}));
  session.partition = session.engine.partition.get();
  session.front = co_await PartitionFront::open(session.env, *session.partition);
  session.front->use_blobs(blobs);
  blobs.env = &session.env;
  blobs.incarnation = session.partition->incarnation();
  session.partition->start_background(blobs);
  co_return Result<void>();
}

}  // namespace fb
