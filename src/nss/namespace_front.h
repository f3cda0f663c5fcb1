// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "nss/namespace_engine.h"

namespace fb {

// The namespace as one core sees it. On core 0 calls go straight to the engine; on others they travel there
// and back as one message each way. Counts this core's reads under way by epoch, so that the engine knows
// when nobody can hold a record that named a blob any more.
class NamespaceFront final : public NamespaceClient, public ReadPin::Owner {
 public:
  static Task<std::unique_ptr<NamespaceFront>> open(Env& env, NamespaceEngine& engine);
  ~NamespaceFront() override;
  // On every core before the engine closes; all pins must have been given back.
  Task<void> close();

  Task<Result<Found>> get(const CallContext& context, BucketId bucket, Space space,
                          std::string_view key) override;
  Task<Result<MutationResult>> apply(const CallContext& context, BucketId bucket,
                                     const Mutation& mutation) override;
  Task<Result<std::vector<MutationResult>>> commit(const CallContext& context, BucketId bucket,
                                                   std::span<const Mutation> mutations) override;
  Task<Result<ListPage>> list(const CallContext& context, const ListRequest& request) override;
  Task<Result<void>> rename(const CallContext& context, const RenameRequest& request) override;
  Task<Result<void>> create_tree(const CallContext& context, BucketId bucket) override;
  Task<Result<void>> drop_tree(const CallContext& context, BucketId bucket) override;
  Task<Result<TreeStatistics>> tree_statistics(const CallContext& context, BucketId bucket) override;
  Task<Result<uint64_t>> next_unique_number(const CallContext& context) override;
  Incarnation incarnation() const override { return incarnation_; }
  void discard_blob(BlobId blob, uint32_t block_count) override;

  // Every tree, by id: for the root service, which clears away trees of buckets that were never made.
  Task<Result<std::vector<BucketId>>> trees(const CallContext& context);

  unsigned core() const { return env_.core(); }
  void unpin(uint64_t epoch) override;
  // UINT64_MAX where no read is under way.
  uint64_t oldest_read_epoch() const { return pins_.empty() ? UINT64_MAX : pins_.front().epoch; }

 private:
  struct Pins {
    uint64_t epoch;
    uint64_t count;
  };
  NamespaceFront(Env& env, NamespaceEngine& engine);
  bool local() const { return local_; }
  ReadPin pin();
  Task<Result<Found>> get_remote(CallContext context, BucketId bucket, Space space, std::string_view key);
  static Task<void> send_discards(NamespaceFront* self);

  Env& env_;
  NamespaceEngine& engine_;
  const bool local_;
  const Incarnation incarnation_;
  std::deque<Pins> pins_;  // ascending by epoch
  std::vector<Garbage> discards_;
  bool sending_discards_ = false;
  Scope scope_;
  bool closed_ = false;
};

}  // namespace fb
