// SPDX-License-Identifier: Apache-2.0
#include "rss/embedded_registry.h"

#include <algorithm>
#include <set>

#include "client/tree_key.h"
#include "io/call_on.h"
#include "io/log.h"
#include "rss/bucket_record.h"

namespace fb {
namespace {

constexpr unsigned kOwnerCore = 0;

std::string key_of(std::string_view bucket) {
  std::string key(kBucketKeyPrefix);
  key += bucket;
  return key;
}

Error from_names(const Error& error) {
  if (error.is(NamespaceError::timed_out)) return RootError::timed_out;
  if (error.is(NamespaceError::full)) return RootError::full;
  if (error.is(NamespaceError::damaged)) return RootError::damaged;
  return RootError::unavailable;
}

constexpr Duration kClaimPoll = Duration::milliseconds(2);
constexpr Duration kClearTimeout = Duration::seconds(10);

}  // namespace

class EmbeddedRegistry::NameClaim {
 public:
  NameClaim(EmbeddedRegistry& owner, std::string name) : owner_(&owner), name_(std::move(name)) {
    owner_->claimed_.insert(name_);
  }
  NameClaim(NameClaim&& other) noexcept
      : owner_(std::exchange(other.owner_, nullptr)), name_(std::move(other.name_)) {}
  ~NameClaim() {
    if (owner_ != nullptr && !detail::teardown_in_progress) owner_->claimed_.erase(name_);
  }

 private:
  EmbeddedRegistry* owner_;
  std::string name_;
};

EmbeddedRegistry::EmbeddedRegistry(Env& env, EmbeddedRegistryGroup& group, NamespaceClient& names,
                                   std::vector<KeyInfo> keys)
    : env_(env), group_(group), names_(names), caches_mutex_(env) {
  for (KeyInfo& key : keys) {
    std::string name = key.access_key;
    keys_.insert_or_assign(std::move(name), std::move(key));
  }
}

EmbeddedRegistry::~EmbeddedRegistry() { FB_ASSERT(closed_ || env_.abandoned()); }

Task<Result<std::unique_ptr<EmbeddedRegistry>>> EmbeddedRegistry::open(Env& env, EmbeddedRegistryGroup& group,
                                                                       NamespaceClient& names,
                                                                       TreeLister trees,
                                                                       std::vector<KeyInfo> keys) {
  std::unique_ptr<EmbeddedRegistry> registry(new EmbeddedRegistry(env, group, names, std::move(keys)));
  registry->closed_ = true;  // nothing to close where loading fails
  if (env.core() == kOwnerCore) {
    FB_CO_CHECK(co_await registry->load());
    if (trees) FB_CO_CHECK(co_await registry->clear_leftovers(trees));
    group.members_[kOwnerCore] = registry.get();
  } else {
    // Under the lock until the copy is in place, so that nothing is left out or learned too late.
    co_await call_on(env, kOwnerCore, [&](Env& there) -> Task<void> {
      EmbeddedRegistry& owner = *group.members_[kOwnerCore];
      const auto held = co_await owner.caches_mutex_.acquire();
      const std::vector<BucketInfo> buckets = owner.all_buckets();
      co_await call_on(there, env.core(), [&](Env&) -> Task<void> {
        for (const BucketInfo& bucket : buckets) registry->learn(bucket.name, &bucket);
        co_return;
      });
      group.members_[env.core()] = registry.get();
    });
  }
  registry->closed_ = false;
  co_return registry;
}

Task<void> EmbeddedRegistry::close() {
  co_await call_on(env_, kOwnerCore, [&](Env&) -> Task<void> {
    EmbeddedRegistry& owner = *group_.members_[kOwnerCore];
    const auto held = co_await owner.caches_mutex_.acquire();
    group_.members_[env_.core()] = nullptr;
  });
  closed_ = true;
}

Task<Result<void>> EmbeddedRegistry::load() {
  ListRequest request{.bucket = kSystemTree, .space = Space::system, .prefix = kBucketKeyPrefix};
  std::string after;
  while (true) {
    request.start_after = after;
    const auto page = co_await names_.list({}, request);
    if (!page) co_return from_names(page.error());
    for (const ListEntry& entry : page->entries) {
      const std::string name(entry.key.substr(kBucketKeyPrefix.size()));
      auto bucket = decode_bucket(name, entry.record);
      if (!bucket) {
        log(env_, LogLevel::error, "registry: the record of a bucket is damaged or of a newer version",
            {{"bucket", name}});
        co_return RootError::damaged;
      }
      buckets_.insert_or_assign(name, std::move(*bucket));
    }
    if (!page->truncated) co_return Result<void>();
    after = page->entries.back().key;
  }
}

// Trees that no bucket names, and buckets whose tree is gone: a crash stood between two steps.
Task<Result<void>> EmbeddedRegistry::clear_leftovers(const TreeLister& trees) {
  const auto listed = co_await trees({});
  if (!listed) co_return from_names(listed.error());
  std::set<BucketId> unnamed(listed->begin(), listed->end());
  const std::set<BucketId> existing = unnamed;
  unnamed.erase(kSystemTree);
  std::vector<std::string> treeless;
  for (const auto& [name, bucket] : buckets_) {
    unnamed.erase(bucket.id);
    if (!existing.contains(bucket.id)) treeless.push_back(name);
  }
  for (const BucketId tree : unnamed) {
    const Result<void> dropped = co_await names_.drop_tree({}, tree);
    if (!dropped) {
      log(env_, LogLevel::error, "registry: a tree without a bucket could not be cleared away",
          {{"tree", tree.value}, {"error", dropped.error().to_string()}});
    }
  }
  std::ranges::sort(treeless);
  for (const std::string& name : treeless) {
    const std::string key = key_of(name);
    const auto erased = co_await names_.apply(
        {}, kSystemTree, {.kind = Mutation::Kind::erase, .space = Space::system, .key = key});
    if (!erased) co_return from_names(erased.error());
    buckets_.erase(name);
  }
  co_return Result<void>();
}

void EmbeddedRegistry::learn(const std::string& name, const BucketInfo* bucket) {
  if (bucket == nullptr) {
    buckets_.erase(name);
  } else {
    buckets_.insert_or_assign(name, *bucket);
  }
}

Task<void> EmbeddedRegistry::tell_all(const std::string& name, const BucketInfo* bucket) {
  const auto held = co_await caches_mutex_.acquire();
  for (unsigned core = 0; core < group_.members_.size(); ++core) {
    EmbeddedRegistry* member = group_.members_[core];
    if (member == nullptr) continue;
    co_await call_on(env_, core, [&](Env&) -> Task<void> {
      member->learn(name, bucket);
      co_return;
    });
  }
}

const BucketInfo* EmbeddedRegistry::cached_bucket(std::string_view name) {
  const auto found = buckets_.find(name);
  return found == buckets_.end() ? nullptr : &found->second;
}

Task<Result<BucketInfo>> EmbeddedRegistry::find_bucket(const CallContext&, std::string_view name) {
  const BucketInfo* bucket = cached_bucket(name);
  if (bucket == nullptr) co_return RootError::no_such_bucket;
  co_return *bucket;
}

Task<Result<BucketInfo>> EmbeddedRegistry::create_bucket(const CallContext& context, std::string_view name,
                                                         std::string_view owner) {
  co_return co_await call_on(env_, kOwnerCore, [&](Env&) {
    return group_.members_[kOwnerCore]->create_here(context, std::string(name), std::string(owner));
  });
}

Task<Result<EmbeddedRegistry::NameClaim>> EmbeddedRegistry::claim(CallContext context, std::string name) {
  while (claimed_.contains(name)) {
    if (context.deadline <= env_.now()) co_return RootError::timed_out;
    (void)co_await sleep_for(env_, kClaimPoll);
  }
  co_return NameClaim(*this, std::move(name));
}

Task<Result<BucketInfo>> EmbeddedRegistry::create_here(CallContext context, std::string name,
                                                       std::string owner) {
  if (!is_valid_bucket_name(name)) co_return RootError::name_invalid;
  FB_CO_TRY(const NameClaim claimed, co_await claim(context, name));
  if (buckets_.contains(name)) co_return RootError::bucket_exists;
  if (buckets_.size() + creations_ >= group_.buckets_max_) co_return RootError::limit;
  ++creations_;
  auto made = co_await make_bucket(context, name, std::move(owner));
  --creations_;
  co_return made;
}

Task<Result<BucketInfo>> EmbeddedRegistry::make_bucket(const CallContext& context, const std::string& name,
                                                       std::string owner) {
  const auto number = co_await names_.next_unique_number(context);
  if (!number) co_return from_names(number.error());
  const BucketInfo bucket{.name = name, .id = {*number}, .created = env_.wall_clock(), .owner = owner};
  const Result<void> made = co_await names_.create_tree(context, bucket.id);
  if (!made) co_return from_names(made.error());
  const std::string key = key_of(name);
  const std::string record = encode_bucket(bucket);
  const auto put = co_await names_.apply(context, kSystemTree,
                                         {.kind = Mutation::Kind::put,
                                          .space = Space::system,
                                          .key = key,
                                          .record = record,
                                          .condition = {.kind = Condition::Kind::must_not_exist}});
  if (!put) {
    // If it is unknown whether the record is there, the tree stays: the next start finds out.
    if (!put.error().is(NamespaceError::outcome_unknown))
      (void)co_await names_.drop_tree({.deadline = env_.now() + kClearTimeout}, bucket.id);
    co_return from_names(put.error());
  }
  co_await tell_all(name, &bucket);
  co_return bucket;
}

Task<Result<void>> EmbeddedRegistry::delete_bucket(const CallContext& context, std::string_view name) {
  co_return co_await call_on(env_, kOwnerCore, [&](Env&) {
    return group_.members_[kOwnerCore]->delete_here(context, std::string(name));
  });
}

Task<Result<void>> EmbeddedRegistry::delete_here(CallContext context, std::string name) {
  FB_CO_TRY(const NameClaim claimed, co_await claim(context, name));
  const BucketInfo* bucket = cached_bucket(name);
  if (bucket == nullptr) co_return RootError::no_such_bucket;
  const Result<void> dropped = co_await names_.drop_tree(context, bucket->id);
  if (!dropped && dropped.error().is(NamespaceError::tree_not_empty)) co_return RootError::bucket_not_empty;
  // Gone already: an earlier deletion was cut short between its two steps.
  if (!dropped && !dropped.error().is(NamespaceError::no_such_tree)) co_return from_names(dropped.error());
  const std::string key = key_of(name);
  const auto erased = co_await names_.apply(
      context, kSystemTree, {.kind = Mutation::Kind::erase, .space = Space::system, .key = key});
  if (!erased) co_return from_names(erased.error());
  co_await tell_all(name, nullptr);
  co_return Result<void>();
}

std::vector<BucketInfo> EmbeddedRegistry::all_buckets() const {
  std::vector<BucketInfo> buckets;
  buckets.reserve(buckets_.size());
  for (const auto& [name, bucket] : buckets_) buckets.push_back(bucket);
  std::ranges::sort(buckets, {}, &BucketInfo::name);
  return buckets;
}

Task<Result<std::vector<BucketInfo>>> EmbeddedRegistry::list_buckets(const CallContext&) {
  co_return all_buckets();
}

const KeyInfo* EmbeddedRegistry::cached_key(std::string_view access_key) {
  const auto found = keys_.find(access_key);
  return found == keys_.end() ? nullptr : &found->second;
}

Task<Result<KeyInfo>> EmbeddedRegistry::find_key(const CallContext&, std::string_view access_key) {
  const KeyInfo* key = cached_key(access_key);
  if (key == nullptr) co_return RootError::no_such_key;
  co_return *key;
}

}  // namespace fb
