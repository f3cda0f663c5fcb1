// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "client/namespace_client.h"

// Renames for tests, made of commits, in front of an engine that has none of its own. All of a rename is one
// commit, held to the versions that were read; a directory may hold a few hundred keys.

namespace fb::api {

class RenamingNames final : public NamespaceClient {
 public:
  explicit RenamingNames(NamespaceClient& names) : names_(names) {}

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
  Task<Result<void>> create_tree(const CallContext& context, BucketId bucket) override {
    return names_.create_tree(context, bucket);
  }
  Task<Result<void>> drop_tree(const CallContext& context, BucketId bucket) override {
    return names_.drop_tree(context, bucket);
  }
  Task<Result<TreeStatistics>> tree_statistics(const CallContext& context, BucketId bucket) override {
    return names_.tree_statistics(context, bucket);
  }
  Task<Result<uint64_t>> next_unique_number(const CallContext& context) override {
    return names_.next_unique_number(context);
  }
  Incarnation incarnation() const override { return names_.incarnation(); }
  void discard_blob(BlobId blob, uint32_t block_count) override { names_.discard_blob(blob, block_count); }

  Task<Result<void>> rename(const CallContext& context, const RenameRequest& request) override {
    return request.prefix ? rename_directory(context, request) : rename_key(context, request);
  }

 private:
  Task<Result<void>> rename_key(const CallContext& context, const RenameRequest& request) {
    if (request.source == request.destination) co_return NamespaceError::rename_into_itself;
    for (;;) {
      FB_CO_TRY(const Found found,
                co_await names_.get(context, request.bucket, Space::objects, request.source));
      const bool held = request.source_condition.kind != Condition::Kind::none;
      std::vector<Mutation> mutations(request.with.begin(), request.with.end());
      mutations.push_back({.kind = Mutation::Kind::erase,
                           .key = request.source,
                           .condition = held ? request.source_condition : is(found.version)});
      mutations.push_back(
          {.key = request.destination, .record = found.record, .condition = request.destination_condition});
      const auto done = co_await names_.commit(context, request.bucket, mutations);
      if (done) co_return Result<void>();
      const auto now = co_await names_.get(context, request.bucket, Space::objects, request.source);
      const bool overwritten = now && now->version != found.version;
      if (held || !overwritten) co_return done.error();
    }
  }

  Task<Result<void>> rename_directory(const CallContext& context, const RenameRequest& request) {
    if (request.destination.starts_with(request.source)) co_return NamespaceError::rename_into_itself;
    FB_CO_TRY(const ListPage page,
              co_await names_.list(context, {.bucket = request.bucket, .prefix = request.source}));
    if (page.entries.empty()) co_return NamespaceError::not_found;
    FB_CO_TRY(const ListPage there,
              co_await names_.list(
                  context, {.bucket = request.bucket, .prefix = request.destination, .entries_max = 1}));
    if (!there.entries.empty()) co_return NamespaceError::destination_occupied;
    std::vector<std::string> moved;
    for (const ListEntry& entry : page.entries) {
      moved.push_back(std::string(request.destination) + entry.key.substr(request.source.size()));
      if (moved.back().size() > kKeySizeMax) co_return NamespaceError::key_too_long;
    }
    std::vector<Mutation> mutations(request.with.begin(), request.with.end());
    for (size_t i = 0; i < moved.size(); ++i) {
      mutations.push_back({.kind = Mutation::Kind::erase,
                           .key = page.entries[i].key,
                           .condition = is(page.entries[i].version)});
      mutations.push_back({.key = moved[i],
                           .record = page.entries[i].record,
                           .condition = {.kind = Condition::Kind::must_not_exist}});
    }
    FB_CO_TRY(const auto done, co_await names_.commit(context, request.bucket, mutations));
    FB_ASSERT(done.size() == mutations.size());
    co_return Result<void>();
  }

  static Condition is(Version version) { return {.kind = Condition::Kind::version_is, .version = version}; }

  NamespaceClient& names_;
};

}  // namespace fb::api
