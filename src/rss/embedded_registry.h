// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/namespace_client.h"
#include "client/root_client.h"
#include "io/env.h"
#include "io/scope.h"
#include "io/sync.h"

// The root service of one node: buckets live in the system tree of the local namespace, keys come from the
// configuration. One EmbeddedRegistry a core, all of one EmbeddedRegistryGroup; each holds every bucket in a
// cache of its own, so that the hot path is one look-up in a hash table.
//
// Creating: first a number for the tree (the version of a record that is put for this), then the tree, then
// the record under "bucket/NAME", on condition that there is none. Only the record makes a bucket; a tree
// without one, which a crash may leave, is cleared away at start. Deleting: the tree goes first, and only if
// it is empty; the namespace decides that in one step, so that a put racing with it either makes the deletion
// fail or finds no tree. Then the record. A record without a tree, which a crash may leave, is removed at
// start. Changes are made on core 0, those of one name one after the other, and reach every core's cache
// before they are answered. A change of one name never waits for a change of another: the namespace may need
// long for either.
//
// A change whose outcome is not known (the drive took longer than the caller waits), or that got half way, is
// settled in the background: a creation reads the record back and drops the tree that no record names; a
// deletion drops the tree and erases the record, again until both are done. The name stays claimed until
// then, so a repeated request waits, and finds the outcome. If the namespace takes no more changes
// (unavailable), the name is given up, and the next start finds out. Otherwise caches and records agree
// whenever no claim is held.

namespace fb {

class EmbeddedRegistry;

// State that the cores' registries share. Its owner starts the cores; it outlives them.
class EmbeddedRegistryGroup {
 public:
  explicit EmbeddedRegistryGroup(unsigned core_count, size_t buckets_max = kBucketsMax)
      : buckets_max_(buckets_max), members_(core_count) {}

 private:
  friend class EmbeddedRegistry;
  const size_t buckets_max_;
  std::vector<EmbeddedRegistry*> members_;  // by core; changed on core 0 only
};

class EmbeddedRegistry final : public RootClient {
 public:
  // Every tree of the namespace; asked on core 0 at start (PartitionFront::trees).
  using TreeLister = std::function<Task<Result<std::vector<BucketId>>>(const CallContext&)>;

  // Called on core 0 first, which also clears away the leftovers of a crash; then on the others.
  static Task<Result<std::unique_ptr<EmbeddedRegistry>>> open(Env& env, EmbeddedRegistryGroup& group,
                                                              NamespaceClient& names, TreeLister trees,
                                                              std::vector<KeyInfo> keys);
  ~EmbeddedRegistry() override;
  // Called on the other cores before core 0.
  Task<void> close();

  const BucketInfo* cached_bucket(std::string_view name) override;
  Task<Result<BucketInfo>> find_bucket(const CallContext& context, std::string_view name) override;
  Task<Result<BucketInfo>> create_bucket(const CallContext& context, std::string_view name,
                                         std::string_view owner) override;
  Task<Result<void>> delete_bucket(const CallContext& context, std::string_view name) override;
  Task<Result<std::vector<BucketInfo>>> list_buckets(const CallContext& context) override;
  const KeyInfo* cached_key(std::string_view access_key) override;
  Task<Result<KeyInfo>> find_key(const CallContext& context, std::string_view access_key) override;

 private:
  struct NameHash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
  };
  template <class T>
  using ByName = std::unordered_map<std::string, T, NameHash, std::equal_to<>>;

  EmbeddedRegistry(Env& env, EmbeddedRegistryGroup& group, NamespaceClient& names, std::vector<KeyInfo> keys);
  Task<Result<void>> load();
  Task<Result<void>> clear_leftovers(const TreeLister& trees);
  // The right to change a name, once nobody else has it; before the caller's deadline. On core 0.
  class NameClaim;
  class Creation;
  Task<Result<NameClaim>> claim(CallContext context, std::string name);
  Task<Result<BucketInfo>> create_here(CallContext context, std::string name, std::string owner);
  Task<Result<BucketId>> new_bucket_id(const CallContext& context);
  Task<Result<BucketInfo>> make_bucket(const CallContext& context, NameClaim claimed, std::string owner);
  Task<Result<void>> delete_here(CallContext context, std::string name);
  // A change that may take longer than its caller waits: embedded_registry.cc.
  struct Unsettled;
  std::shared_ptr<Unsettled> begin_to_settle(Unsettled change);
  Task<void> wait_settled(const CallContext& context, const Unsettled& change);
  static Task<void> settle(EmbeddedRegistry* self, std::shared_ptr<Unsettled> change);
  Task<Result<void>> end_creation(const CallContext& context, Unsettled& change);
  Task<Result<void>> end_deletion(const CallContext& context, Unsettled& change);
  // Tells every core's cache the bucket, or that there is none.
  Task<void> tell_all(const std::string& name, const BucketInfo* bucket);
  std::vector<BucketInfo> all_buckets() const;
  void learn(const std::string& name, const BucketInfo* bucket);

  Env& env_;
  EmbeddedRegistryGroup& group_;
  NamespaceClient& names_;
  ByName<BucketInfo> buckets_;
  ByName<KeyInfo> keys_;
  // Used on core 0 only.
  std::set<std::string> claimed_;  // names that are being changed
  size_t creations_ = 0;           // under way
  Scope settling_;
  CancelSource stop_sleeps_;
  bool stopping_ = false;
  // Held while caches are told, or a new one is filled: for a message to each core and its answer.
  AsyncMutex caches_mutex_;
  bool closed_ = false;
};

}  // namespace fb
