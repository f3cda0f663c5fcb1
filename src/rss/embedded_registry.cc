// SPDX-License-Identifier: Apache-2.0
#include "rss/embedded_registry.h"

#include <algorithm>
#include <set>

#include "client/outcome.h"
#include "client/record_format.h"
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

// The error of a change that was not made, or of a read.
Error from_names(const Error& error) {
  if (error.is(NamespaceError::timed_out)) return RootError::timed_out;
  if (error.is(NamespaceError::full)) return RootError::full;
  if (error.is(NamespaceError::damaged)) return RootError::damaged;
  return RootError::unavailable;
}

bool may_be_made(const Error& error) { return outcome_of(error) == Outcome::unknown; }

constexpr Duration kClaimPoll = Duration::milliseconds(2);
constexpr Duration kSettleTimeout = Duration::seconds(2);  // per try
constexpr Duration kSettlePauseMin = Duration::milliseconds(10);
constexpr Duration kSettlePauseMax = Duration::seconds(2);

// For a call on another core: a cancellation works on its own core only.
CallContext elsewhere(const CallContext& context) {
  return {.deadline = context.deadline, .trace_id = context.trace_id};
}

// The answer to a change that ended with `error`, if trying again cannot help. A namespace that takes no more
// changes leaves the change to the next start.
std::optional<Error> final_failure(const Error& error, bool deletes) {
  if (error.is(NamespaceError::unavailable)) return RootError::unavailable;
  if (error.is(NamespaceError::tree_not_empty))
    return Error(deletes ? RootError::bucket_not_empty : RootError::damaged);
  if (error.is(NamespaceError::damaged) || error.is(RootError::damaged)) return RootError::damaged;
  return std::nullopt;
}

}  // namespace

class EmbeddedRegistry::NameClaim {
 public:
  NameClaim(EmbeddedRegistry& owner, std::string name) : owner_(&owner), name_(std::move(name)) {
    owner_->claimed_.insert(name_);
  }
  NameClaim(NameClaim&& other) noexcept
      : owner_(std::exchange(other.owner_, nullptr)), name_(std::move(other.name_)) {}
  NameClaim& operator=(NameClaim&&) = delete;
  const std::string& name() const { return name_; }
  ~NameClaim() {
    if (owner_ != nullptr && !detail::teardown_in_progress) owner_->claimed_.erase(name_);
  }

 private:
  EmbeddedRegistry* owner_;
  std::string name_;
};

// Counts a creation under way against the limit.
class EmbeddedRegistry::Creation {
 public:
  explicit Creation(size_t& count) : count_(count) { ++count_; }
  Creation(const Creation&) = delete;
  ~Creation() {
    if (!detail::teardown_in_progress) --count_;
  }

 private:
  size_t& count_;
};

struct EmbeddedRegistry::Unsettled {
  std::optional<NameClaim> claimed;  // held until it is settled
  BucketId tree;
  bool deletes = false;
  bool record_in_doubt = false;        // creation: there may be a record, of this tree or of another one
  bool tree_gone = false;              // deletion: the tree is durably gone
  std::optional<BucketInfo> bucket{};  // creation: the bucket that the record names
  std::optional<Error> failed{};       // set: settling failed, and the change stays as it is
  bool settled() const { return !claimed.has_value(); }
};

EmbeddedRegistry::EmbeddedRegistry(Env& env, EmbeddedRegistryGroup& group, NamespaceClient& names,
                                   std::vector<KeyInfo> keys)
    : env_(env), group_(group), names_(names), settling_(env), caches_mutex_(env) {
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
  registry->closed_ = true;  // nothing to close if loading fails
  if (env.core() == kOwnerCore) {
    FB_CO_CHECK(co_await registry->load());
    if (trees) FB_CO_CHECK(co_await registry->clear_leftovers(trees));
    group.members_[kOwnerCore] = registry.get();
  } else {
    // The lock is held until the copy is in place, so that no change is left out or learned too late.
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
  stopping_ = true;
  stop_sleeps_.cancel();
  co_await settling_.join();
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

// Removes trees that no bucket names, and buckets whose tree is gone: a crash came between two steps.
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
    return group_.members_[kOwnerCore]->create_here(elsewhere(context), std::string(name),
                                                    std::string(owner));
  });
}

Task<Result<EmbeddedRegistry::NameClaim>> EmbeddedRegistry::claim(CallContext context, std::string name) {
  while (claimed_.contains(name)) {
    if (stopping_) co_return RootError::unavailable;
    if (context.deadline <= env_.now()) co_return RootError::timed_out;
    (void)co_await sleep_for(env_, kClaimPoll);
  }
  co_return NameClaim(*this, std::move(name));
}

Task<Result<BucketInfo>> EmbeddedRegistry::create_here(CallContext context, std::string name,
                                                       std::string owner) {
  if (!is_valid_bucket_name(name)) co_return RootError::name_invalid;
  for (;;) {
    FB_CO_TRY(NameClaim claimed, co_await claim(context, name));
    const BucketInfo* known = cached_bucket(name);
    if (known == nullptr) co_return co_await make_bucket(context, std::move(claimed), std::move(owner));
    // A bucket whose tree is gone is an unfinished deletion.
    const BucketId tree = known->id;
    const auto looked = co_await names_.tree_statistics(context, tree);
    if (looked || !looked.error().is(NamespaceError::no_such_tree)) co_return RootError::bucket_exists;
    (void)begin_to_settle({.claimed = std::move(claimed), .tree = tree, .deletes = true, .tree_gone = true});
  }
}

// A version is given out only once. A number lost in an error does no harm.
Task<Result<BucketId>> EmbeddedRegistry::new_bucket_id(const CallContext& context) {
  std::string record;
  const RecordWriter writer(record, RecordKind::number);
  const auto put = co_await names_.apply(
      context, kSystemTree,
      {.kind = Mutation::Kind::put, .space = Space::system, .key = kNumberKey, .record = record});
  if (!put) co_return from_names(put.error());
  co_return BucketId{put->version.value};
}

Task<Result<BucketInfo>> EmbeddedRegistry::make_bucket(const CallContext& context, NameClaim claimed,
                                                       std::string owner) {
  if (buckets_.size() + creations_ >= group_.buckets_max_) co_return RootError::limit;
  std::optional<Creation> counted(creations_);  // before anything suspends: others are counted against it
  FB_CO_TRY(const BucketId id, co_await new_bucket_id(context));
  const BucketInfo bucket{.name = claimed.name(), .id = id, .created = env_.wall_clock(), .owner = owner};
  const Result<void> made = co_await names_.create_tree(context, bucket.id);
  if (!made) {  // without a record there is no bucket, whether the tree was made or not
    counted.reset();
    if (may_be_made(made.error())) (void)begin_to_settle({.claimed = std::move(claimed), .tree = bucket.id});
    co_return from_names(made.error());
  }
  const std::string key = key_of(bucket.name);
  const std::string record = encode_bucket(bucket);
  const auto put = co_await names_.apply(context, kSystemTree,
                                         {.kind = Mutation::Kind::put,
                                          .space = Space::system,
                                          .key = key,
                                          .record = record,
                                          .condition = {.kind = Condition::Kind::must_not_exist}});
  if (put) {
    co_await tell_all(bucket.name, &bucket);
    co_return bucket;
  }
  counted.reset();  // settle() counts it
  // After a failed condition the record is another bucket's.
  const bool in_doubt = may_be_made(put.error()) || put.error().is(NamespaceError::precondition_failed);
  const std::shared_ptr<Unsettled> change =
      begin_to_settle({.claimed = std::move(claimed), .tree = bucket.id, .record_in_doubt = in_doubt});
  co_await wait_settled(context, *change);
  if (change->bucket && change->bucket->id == bucket.id) co_return bucket;
  if (change->bucket) co_return RootError::bucket_exists;
  if (may_be_made(put.error()) && change->record_in_doubt) co_return RootError::outcome_unknown;
  if (change->failed) co_return *change->failed;
  co_return from_names(put.error());
}

Task<Result<void>> EmbeddedRegistry::delete_bucket(const CallContext& context, std::string_view name) {
  co_return co_await call_on(env_, kOwnerCore, [&](Env&) {
    return group_.members_[kOwnerCore]->delete_here(elsewhere(context), std::string(name));
  });
}

Task<Result<void>> EmbeddedRegistry::delete_here(CallContext context, std::string name) {
  FB_CO_TRY(NameClaim claimed, co_await claim(context, name));
  const BucketInfo* bucket = cached_bucket(name);
  if (bucket == nullptr) co_return RootError::no_such_bucket;
  const BucketId tree = bucket->id;
  const Result<void> dropped = co_await names_.drop_tree(context, tree);
  if (!dropped && dropped.error().is(NamespaceError::tree_not_empty)) co_return RootError::bucket_not_empty;
  const bool gone = dropped || dropped.error().is(NamespaceError::no_such_tree);
  if (!gone && !may_be_made(dropped.error())) co_return from_names(dropped.error());
  const std::shared_ptr<Unsettled> change =
      begin_to_settle({.claimed = std::move(claimed), .tree = tree, .deletes = true, .tree_gone = gone});
  co_await wait_settled(context, *change);
  // The bucket is gone with its tree: the record that may be left is erased before the name is free again, or
  // at the next start.
  if (change->tree_gone) co_return Result<void>();
  if (change->failed && !change->failed->is(RootError::unavailable)) co_return *change->failed;
  co_return RootError::outcome_unknown;
}

std::shared_ptr<EmbeddedRegistry::Unsettled> EmbeddedRegistry::begin_to_settle(Unsettled change) {
  auto kept = std::make_shared<Unsettled>(std::move(change));
  settling_.spawn(&settle, this, kept);
  return kept;
}

Task<void> EmbeddedRegistry::wait_settled(const CallContext& context, const Unsettled& change) {
  while (!change.settled() && !stopping_ && !is_over(context, env_.now()))
    (void)co_await sleep_for(env_, kClaimPoll);
}

// Tries until the change is finished, or the process ends: then the next start finishes it. A creation counts
// as a bucket until then.
Task<void> EmbeddedRegistry::settle(EmbeddedRegistry* self, std::shared_ptr<Unsettled> change) {
  self->creations_ += change->deletes ? 0 : 1;
  Duration pause = kSettlePauseMin;
  while (!self->stopping_) {
    const CallContext context{.deadline = self->env_.now() + kSettleTimeout};
    Result<void> ended;
    if (change->deletes) {
      ended = co_await self->end_deletion(context, *change);
    } else {
      ended = co_await self->end_creation(context, *change);
    }
    if (ended) break;
    change->failed = final_failure(ended.error(), change->deletes);
    if (change->failed || pause == kSettlePauseMin) {
      log(self->env_, LogLevel::warn,
          change->failed ? "registry: a change of a bucket could not be brought to its end"
                         : "registry: a change of a bucket is not at its end yet, trying again",
          {{"bucket", change->claimed->name()}, {"error", ended.error().to_string()}});
    }
    if (change->failed) break;
    (void)co_await sleep_for(self->env_, pause, &self->stop_sleeps_);
    pause = std::min(pause * 2, kSettlePauseMax);
  }
  self->creations_ -= change->deletes ? 0 : 1;
  change->claimed.reset();
}

// Finds out which record has the name, and drops the tree that was made for it if it is another one.
Task<Result<void>> EmbeddedRegistry::end_creation(const CallContext& context, Unsettled& change) {
  const std::string& name = change.claimed->name();
  if (change.record_in_doubt) {
    const std::string key = key_of(name);
    std::optional<BucketInfo> known;
    {
      const auto found = co_await names_.get(context, kSystemTree, Space::system, key);
      if (!found && !found.error().is(NamespaceError::not_found)) co_return found.error();
      if (found) {
        auto bucket = decode_bucket(name, found->record);
        if (!bucket) co_return RootError::damaged;
        known = std::move(*bucket);
      }
    }
    if (known) co_await tell_all(name, &*known);
    change.bucket = std::move(known);  // from here on its creator may answer: every core knows the bucket
    change.record_in_doubt = false;
  }
  if (change.bucket && change.bucket->id == change.tree) co_return Result<void>();
  const Result<void> dropped = co_await names_.drop_tree(context, change.tree);
  if (!dropped && !dropped.error().is(NamespaceError::no_such_tree)) co_return dropped.error();
  co_return Result<void>();
}

// Once the tree is durably gone, no core knows the bucket any more; then the record is erased.
Task<Result<void>> EmbeddedRegistry::end_deletion(const CallContext& context, Unsettled& change) {
  const std::string& name = change.claimed->name();
  if (!change.tree_gone) {
    const Result<void> dropped = co_await names_.drop_tree(context, change.tree);
    if (!dropped && !dropped.error().is(NamespaceError::no_such_tree)) co_return dropped.error();
  }
  co_await tell_all(name, nullptr);
  change.tree_gone = true;
  const std::string key = key_of(name);
  FB_CO_CHECK(co_await names_.apply(context, kSystemTree,
                                    {.kind = Mutation::Kind::erase, .space = Space::system, .key = key}));
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
