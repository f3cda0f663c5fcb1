// SPDX-License-Identifier: Apache-2.0
#include "nss/namespace_front.h"

#include "io/call_on.h"

namespace fb {
namespace {

constexpr unsigned kEngineCore = 0;
constexpr size_t kDiscardBatchMax = 512;

Task<Result<void>> answer(NamespaceError code) { co_return code; }

}  // namespace

NamespaceFront::NamespaceFront(Env& env, NamespaceEngine& engine)
    : env_(env),
      engine_(engine),
      local_(env.core() == kEngineCore),
      incarnation_(engine.incarnation()),
      scope_(env) {}

NamespaceFront::~NamespaceFront() { FB_ASSERT(closed_ || env_.abandoned()); }

Task<std::unique_ptr<NamespaceFront>> NamespaceFront::open(Env& env, NamespaceEngine& engine) {
  std::unique_ptr<NamespaceFront> front(new NamespaceFront(env, engine));
  co_await call_on(env, kEngineCore, [&](Env&) { return engine.add_front(*front); });
  co_return front;
}

Task<void> NamespaceFront::close() {
  FB_ASSERT(pins_.empty(), pins_.size());
  co_await scope_.join();
  co_await call_on(env_, kEngineCore, [&](Env&) { return engine_.remove_front(*this); });
  closed_ = true;
}

ReadPin NamespaceFront::pin() {
  const uint64_t epoch = engine_.read_epoch();
  if (pins_.empty() || pins_.back().epoch != epoch) pins_.push_back({epoch, 0});
  ++pins_.back().count;
  return ReadPin(*this, epoch);
}

void NamespaceFront::unpin(uint64_t epoch) {
  auto found = pins_.end();
  do {
    FB_ASSERT(found != pins_.begin(), epoch);
    --found;
  } while (found->epoch != epoch);
  --found->count;
  while (!pins_.empty() && pins_.front().count == 0) pins_.pop_front();
}

Task<Result<Found>> NamespaceFront::get(const CallContext& context, BucketId bucket, Space space,
                                        std::string_view key) {
  if (local()) return engine_.get(context, bucket, space, key, pin());
  return get_remote(context, bucket, space, key);
}

Task<Result<Found>> NamespaceFront::get_remote(CallContext context, BucketId bucket, Space space,
                                               std::string_view key) {
  ReadPin held = pin();
  Result<Found> found = co_await call_on(
      env_, kEngineCore, [&](Env&) { return engine_.get(context, bucket, space, key, ReadPin()); });
  if (found) found->pin = std::move(held);
  co_return found;
}

Task<Result<MutationResult>> NamespaceFront::apply(const CallContext& context, BucketId bucket,
                                                   const Mutation& mutation) {
  if (local()) return engine_.apply(context, bucket, mutation);
  return call_on(env_, kEngineCore, [this, context, bucket, mutation](Env&) {
    return engine_.apply(context, bucket, mutation);
  });
}

Task<Result<std::vector<MutationResult>>> NamespaceFront::commit(const CallContext& context, BucketId bucket,
                                                                 std::span<const Mutation> mutations) {
  if (local()) return engine_.commit(context, bucket, mutations);
  return call_on(env_, kEngineCore, [this, context, bucket, mutations](Env&) {
    return engine_.commit(context, bucket, mutations);
  });
}

Task<Result<ListPage>> NamespaceFront::list(const CallContext& context, const ListRequest& request) {
  if (local()) return engine_.list(context, request);
  return call_on(env_, kEngineCore,
                 [this, context, request](Env&) { return engine_.list(context, request); });
}

Task<Result<void>> NamespaceFront::rename(const CallContext&, const RenameRequest&) {
  return answer(NamespaceError::unsupported);
}

Task<Result<void>> NamespaceFront::create_tree(const CallContext& context, BucketId bucket) {
  return call_on(env_, kEngineCore,
                 [this, context, bucket](Env&) { return engine_.create_tree(context, bucket); });
}

Task<Result<void>> NamespaceFront::drop_tree(const CallContext& context, BucketId bucket) {
  return call_on(env_, kEngineCore,
                 [this, context, bucket](Env&) { return engine_.drop_tree(context, bucket); });
}

Task<Result<TreeStatistics>> NamespaceFront::tree_statistics(const CallContext& context, BucketId bucket) {
  return call_on(env_, kEngineCore,
                 [this, context, bucket](Env&) { return engine_.tree_statistics(context, bucket); });
}

Task<Result<uint64_t>> NamespaceFront::next_unique_number(const CallContext& context) {
  return call_on(env_, kEngineCore, [this, context](Env&) { return engine_.next_unique_number(context); });
}

Task<Result<std::vector<BucketId>>> NamespaceFront::trees(const CallContext& context) {
  return call_on(env_, kEngineCore, [this, context](Env&) { return engine_.trees(context); });
}

void NamespaceFront::discard_blob(BlobId blob, uint32_t block_count) {
  FB_ASSERT(!closed_);
  const Garbage garbage{blob, block_count};
  if (local()) return engine_.discard({&garbage, 1});
  discards_.push_back(garbage);
  if (!std::exchange(sending_discards_, true)) scope_.spawn(&send_discards, this);
}

Task<void> NamespaceFront::send_discards(NamespaceFront* self) {
  while (!self->discards_.empty()) {
    const std::vector<Garbage> batch = std::exchange(self->discards_, {});
    co_await call_on(self->env_, kEngineCore, [&](Env&) -> Task<void> {
      for (size_t i = 0; i < batch.size(); i += kDiscardBatchMax) {
        self->engine_.discard(std::span(batch).subspan(i, std::min(kDiscardBatchMax, batch.size() - i)));
      }
      co_return;
    });
  }
  self->sending_discards_ = false;
}

}  // namespace fb
