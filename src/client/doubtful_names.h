// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "client/namespace_client.h"

// For tests of code that uses a namespace.

namespace fb {

// Hands every call on. A test overrides the calls that it wants to behave differently.
class ForwardedNames : public NamespaceClient {
 public:
  explicit ForwardedNames(NamespaceClient& names) : names_(names) {}

  Task<Result<Found>> get(const CallContext& context, BucketId bucket, Space space,
                          std::string_view key) override {
    return names_.get(context, bucket, space, key);
  }
  Task<Result<MutationResult>> apply(const CallContext& context, BucketId bucket,
                                     const Mutation& mutation) override {
    return names_.apply(context, bucket, mutation);
  }
  Task<Result<std::vector<MutationResult>>> commit(const CallContext& context, BucketId bucket,
                                                   std::span<const Mutation> mutations) override {
    return names_.commit(context, bucket, mutations);
  }
  Task<std::vector<Result<MutationResult>>> apply_each(const CallContext& context, BucketId bucket,
                                                       std::span<const Mutation> mutations) override {
    return names_.apply_each(context, bucket, mutations);
  }
  Task<Result<ListPage>> list(const CallContext& context, const ListRequest& request) override {
    return names_.list(context, request);
  }
  Task<Result<void>> rename(const CallContext& context, const RenameRequest& request) override {
    return names_.rename(context, request);
  }
  Task<Result<void>> create_tree(const CallContext& context, BucketId bucket) override {
    return names_.create_tree(context, bucket);
  }
  Task<Result<void>> drop_tree(const CallContext& context, BucketId bucket) override {
    return names_.drop_tree(context, bucket);
  }
  Task<Result<TreeStatistics>> tree_statistics(const CallContext& context, BucketId bucket) override {
    return names_.tree_statistics(context, bucket);
  }

 protected:
  NamespaceClient& names_;
};

// Makes every change, and answers the doubted ones with outcome_unknown.
class DoubtfulNames final : public ForwardedNames {
 public:
  using ForwardedNames::ForwardedNames;

  // Doubts the n-th change from now on, and the `count` - 1 behind it. Refusals are passed on and not
  // counted.
  void doubt(uint64_t n, uint64_t count = 1) {
    first_ = changes_ + n;
    end_ = first_ + count;
  }
  uint64_t doubted() const { return doubted_; }

  Task<Result<MutationResult>> apply(const CallContext& context, BucketId bucket,
                                     const Mutation& mutation) override {
    co_return answer(co_await names_.apply(context, bucket, mutation));
  }
  Task<Result<std::vector<MutationResult>>> commit(const CallContext& context, BucketId bucket,
                                                   std::span<const Mutation> mutations) override {
    co_return answer(co_await names_.commit(context, bucket, mutations));
  }
  Task<std::vector<Result<MutationResult>>> apply_each(const CallContext& context, BucketId bucket,
                                                       std::span<const Mutation> mutations) override {
    auto results = co_await names_.apply_each(context, bucket, mutations);
    for (Result<MutationResult>& result : results) result = answer(std::move(result));
    co_return results;
  }
  Task<Result<void>> rename(const CallContext& context, const RenameRequest& request) override {
    co_return answer(co_await names_.rename(context, request));
  }
  Task<Result<void>> create_tree(const CallContext& context, BucketId bucket) override {
    co_return answer(co_await names_.create_tree(context, bucket));
  }
  Task<Result<void>> drop_tree(const CallContext& context, BucketId bucket) override {
    co_return answer(co_await names_.drop_tree(context, bucket));
  }

 private:
  template <class Value>
  Result<Value> answer(Result<Value> made) {
    if (!made) return made;
    ++changes_;
    if (changes_ < first_ || changes_ >= end_) return made;
    ++doubted_;
    return NamespaceError::outcome_unknown;
  }

  uint64_t changes_ = 0, first_ = 0, end_ = 0, doubted_ = 0;
};

}  // namespace fb
