// SPDX-License-Identifier: Apache-2.0
// Changes. Each is planned (conditions, what becomes garbage, capacity), given to the journal and made in the
// map, all in one turn; only then does its caller wait for durability.
#include <algorithm>

#include "client/record.h"
#include "nss/namespace_engine.h"

namespace fb {
namespace {

constexpr size_t kFrameOverhead = 64;
constexpr size_t kMutationOverhead = 2 + 2 * 5;  // kind, space, two lengths
constexpr size_t kGarbageBytes = sizeof(BlobId) + 5;
constexpr size_t kEraseBatch = 512;  // keys of a dropped tree in one frame

void collect(void* out, const BlobId& id, uint32_t block_count) {
  static_cast<std::vector<Garbage>*>(out)->push_back({id, block_count});
}

void sort_unique(std::vector<Garbage>& items) {
  if (items.size() < 2) return;
  std::ranges::sort(items);
  const auto rest = std::ranges::unique(items, {}, &Garbage::id);
  items.erase(rest.begin(), rest.end());
}

bool contains(const std::vector<Garbage>& sorted, const BlobId& id) {
  const auto found = std::ranges::lower_bound(sorted, id, {}, &Garbage::id);
  return found != sorted.end() && found->id == id;
}

size_t memory_of(const Mutation& mutation) {
  return Entry::memory_bytes(mutation.key.size(), mutation.record.size()) + EntryMap::kNodeBytesPerEntry;
}

bool etag_equals(const Entry& entry, std::string_view etag) {
  const std::optional<RecordEtag> stored = etag_of(entry.record());
  char text[RecordEtag::kTextSizeMax];
  return stored && std::string_view(text, stored->write_text(text)) == etag;
}

bool holds(const Condition& condition, const Entry* existing) {
  switch (condition.kind) {
    case Condition::Kind::none:
      return true;
    case Condition::Kind::must_not_exist:
      return existing == nullptr;
    case Condition::Kind::must_exist:
      return existing != nullptr;
    case Condition::Kind::version_is:
      return existing != nullptr && existing->version() == condition.version;
    case Condition::Kind::etag_is:
      return existing != nullptr && etag_equals(*existing, condition.etag);
    case Condition::Kind::etag_is_not:
      return existing == nullptr || !etag_equals(*existing, condition.etag);
  }
  return false;
}

// Where the key is absent, a condition that wants something there answers not_found.
NamespaceError refusal(const Condition& condition, const Entry* existing) {
  const bool wants_it = condition.kind != Condition::Kind::must_not_exist;
  return existing == nullptr && wants_it ? NamespaceError::not_found : NamespaceError::precondition_failed;
}

}  // namespace

Result<void> NamespaceEngine::check_limits(std::span<const Mutation> mutations) const {
  if (mutations.size() > kCommitMutationsMax) return NamespaceError::record_too_large;
  for (const Mutation& mutation : mutations) {
    const size_t key_max = mutation.space == Space::objects ? kKeySizeMax : kTreeKeySizeMax;
    if (mutation.key.size() > key_max) return NamespaceError::key_too_long;
    if (mutation.record.size() > kRecordSizeMax) return NamespaceError::record_too_large;
  }
  return {};
}

Result<void> NamespaceEngine::check_condition(const Tree& tree, const Mutation& mutation,
                                              const Entry* existing) {
  if (mutation.condition.kind == Condition::Kind::none) return {};
  const uint64_t seen = existing == nullptr ? tree.last_erase : sequence_of(existing->version());
  if (holds(mutation.condition, existing)) return {};
  plan_.seen = seen;
  return refusal(mutation.condition, existing);
}

// Which mutations a later one of the same commit undoes: what such a put names is garbage from the start.
// Only where something is put, since erasing twice is harmless.
void NamespaceEngine::plan_repetitions(std::span<const Mutation> mutations) {
  plan_.superseded.assign(mutations.size(), 0);
  const auto is_put = [](const Mutation& mutation) { return mutation.kind == Mutation::Kind::put; };
  if (mutations.size() < 2 || std::ranges::none_of(mutations, is_put)) return;
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < mutations.size(); ++i) {
    const Mutation::Kind kind = mutations[i].kind;
    if (is_put(mutations[i]) || kind == Mutation::Kind::erase) order.push_back(i);
    if (kind != Mutation::Kind::erase_prefix) continue;
    for (uint32_t earlier = 0; earlier < i; ++earlier) {
      const Mutation& put = mutations[earlier];
      const bool undone =
          is_put(put) && put.space == mutations[i].space && put.key.starts_with(mutations[i].key);
      if (undone) plan_.superseded[earlier] = 1;
    }
  }
  const auto key_of = [&](uint32_t i) { return TreeKey{mutations[i].space, mutations[i].key}; };
  std::ranges::sort(order, [&](uint32_t a, uint32_t b) {
    const int by_key = compare(key_of(a), key_of(b));
    return by_key != 0 ? by_key < 0 : a < b;
  });
  for (size_t i = 1; i < order.size(); ++i) {
    if (compare(key_of(order[i - 1]), key_of(order[i])) == 0) plan_.superseded[order[i - 1]] = 1;
  }
}

Result<void> NamespaceEngine::plan_mutation(const Tree& tree, const Mutation& mutation, bool superseded) {
  const bool whole_prefix = mutation.kind == Mutation::Kind::erase_prefix;
  EntryMap::Iterator next;
  const Entry* existing = nullptr;
  if (whole_prefix) {
    next = tree.map.lower_bound({mutation.space, mutation.key});
    const bool any =
        !next.at_end() && next->space() == mutation.space && next->path().starts_with(mutation.key);
    existing = any ? &*next : nullptr;
  } else {
    existing = tree.map.find({mutation.space, mutation.key});
  }
  FB_CHECK(check_condition(tree, mutation, existing));
  if (mutation.kind == Mutation::Kind::check) return {};
  if (mutation.kind == Mutation::Kind::put) {
    plan_.frees_only = false;
    // Only what names blobs in a way this version can account for is stored.
    std::vector<Garbage>& named = superseded ? plan_.superseded_named : plan_.named;
    if (!for_each_blob(mutation.record, &collect, &named)) return NamespaceError::unsupported;
  }
  // The last mutation of the key accounts for what was there.
  if (superseded) return {};
  if (mutation.kind == Mutation::Kind::put) {
    plan_.bytes_added += static_cast<int64_t>(memory_of(mutation));
    if (existing == nullptr) ++plan_.keys_added;
  }
  while (existing != nullptr) {
    if (!for_each_blob(existing->record(), &collect, &plan_.released)) return NamespaceError::damaged;
    plan_.bytes_added -= static_cast<int64_t>(existing->memory_bytes() + EntryMap::kNodeBytesPerEntry);
    if (mutation.kind != Mutation::Kind::put) --plan_.keys_added;
    if (!whole_prefix) break;
    next.next();
    const bool more =
        !next.at_end() && next->space() == mutation.space && next->path().starts_with(mutation.key);
    existing = more ? &*next : nullptr;
  }
  return {};
}

// Released blobs that no put of the commit takes over; and no put may name one that is neither ours nor taken
// over.
Result<void> NamespaceEngine::plan_garbage() {
  sort_unique(plan_.released);
  sort_unique(plan_.named);
  for (const auto* named : {&plan_.named, &plan_.superseded_named}) {
    for (const Garbage& item : *named) {
      if (item.id.incarnation != incarnation_ && !contains(plan_.released, item.id))
        return NamespaceError::stale_blob;
    }
  }
  if (!plan_.superseded_named.empty()) {
    plan_.released.insert(plan_.released.end(), plan_.superseded_named.begin(), plan_.superseded_named.end());
    sort_unique(plan_.released);
  }
  for (const Garbage& item : plan_.released) {
    if (!contains(plan_.named, item.id)) plan_.garbage.push_back(item);
  }
  return {};
}

Result<void> NamespaceEngine::plan_commit(const Tree& tree, std::span<const Mutation> mutations) {
  plan_.seen = 0;
  plan_.frees_only = true;
  plan_.released.clear();
  plan_.named.clear();
  plan_.superseded_named.clear();
  plan_.garbage.clear();
  plan_.keys_added = 0;
  plan_.bytes_added = 0;
  plan_repetitions(mutations);
  for (size_t i = 0; i < mutations.size(); ++i) {
    FB_CHECK(plan_mutation(tree, mutations[i], plan_.superseded[i] != 0));
  }
  FB_CHECK(plan_garbage());
  const bool too_many =
      plan_.keys_added > 0 && keys_ + static_cast<uint64_t>(plan_.keys_added) > options_.keys_max;
  const bool too_large = plan_.bytes_added > 0 &&
                         memory_bytes_ + static_cast<uint64_t>(plan_.bytes_added) > options_.memory_bytes_max;
  if (!plan_.frees_only && (too_many || too_large)) return NamespaceError::full;
  return {};
}

Task<Result<void>> NamespaceEngine::commit_into(const CallContext& context, BucketId bucket,
                                                std::span<const Mutation> mutations,
                                                std::span<MutationResult> results) {
  FB_CO_CHECK(check_limits(mutations));
  uint64_t sequence = 0;
  while (true) {
    FB_CO_CHECK(usable(context));
    Tree* tree = find_tree(bucket);
    Result<void> planned = NamespaceError::no_such_tree;
    if (tree == nullptr) {
      plan_.seen = last_drop_;
    } else {
      planned = plan_commit(*tree, mutations);
    }
    if (!planned) {
      if (!co_await journal_->durable(plan_.seen)) co_return NamespaceError::unavailable;
      co_return planned;
    }
    if (!plan_.frees_only && !reserve_covers(plan_.bytes_added)) {
      FB_CO_CHECK(co_await wait_for_reserve(context));
      continue;
    }
    size_t frame_bytes = kFrameOverhead + plan_.garbage.size() * kGarbageBytes;
    for (const Mutation& mutation : mutations) {
      frame_bytes += kMutationOverhead + mutation.key.size() + mutation.record.size();
    }
    if (frame_bytes > journal_->frame_size_max()) co_return NamespaceError::record_too_large;
    const bool use_reserve = plan_.frees_only;
    if (!journal_->has_room(frame_bytes, use_reserve)) {
      const Result<void> room = co_await journal_->wait_for_room(context, frame_bytes, use_reserve);
      if (!room) co_return from_journal(room.error());
      continue;  // everything may have changed meanwhile
    }
    frame_.clear();
    encode_change(frame_, ChangeKind::commit, bucket, mutations, plan_.garbage);
    FB_ASSERT(frame_.size() <= frame_bytes, frame_.size(), frame_bytes);
    sequence = journal_->enqueue(frame_);
    for (size_t i = 0; i < mutations.size(); ++i) {
      results[i] = make_change(*tree, mutations[i], version_at(sequence, i), sequence);
    }
    if (sweeping_) {
      for (const Garbage& item : plan_.named) {
        if (marks(item.id)) marked_.insert(item.id);
      }
    }
    finish_change(ChangeKind::commit, plan_.garbage);
    break;
  }
  if (!co_await journal_->durable(sequence)) co_return NamespaceError::unavailable;
  co_return Result<void>();
}

// What every change brings with it: the ledger, and perhaps a snapshot.
void NamespaceEngine::finish_change(ChangeKind kind, std::span<const Garbage> garbage) {
  for (const Garbage& item : garbage) {
    if (kind == ChangeKind::freed) {
      ledger_.erase(item.id);
      continue;
    }
    ledger_[item.id] = item.block_count;
    if (sweeping_ && marks(item.id)) marked_.insert(item.id);
  }
  if (kind != ChangeKind::freed && !garbage.empty()) ledger_grew_.notify_all();
  const bool grow = reserve_wanted();
  if (!snapshot_pending_ && journal_->bounds().size_bytes >= options_.snapshot_journal_bytes) {
    snapshot_pending_ = true;
    snapshot_wanted_.notify_all();
  } else if (grow) {
    snapshot_wanted_.notify_all();
  }
}

void NamespaceEngine::count(Tree& tree, const Entry& entry, int sign) {
  const auto step = static_cast<uint64_t>(static_cast<int64_t>(sign));
  keys_ += step;
  memory_bytes_ += step * (entry.memory_bytes() + EntryMap::kNodeBytesPerEntry);
  if (entry.space() == Space::uploads) tree.statistics.uploads += step;
  if (entry.space() != Space::objects) return;
  tree.statistics.objects += step;
  tree.statistics.bytes += step * object_size_of(entry.record()).value_or(0);
}

void NamespaceEngine::put_entry(Tree& tree, Entry* entry) {
  count(tree, *entry, 1);
  Entry* replaced = tree.map.put(entry);
  if (replaced == nullptr) return;
  count(tree, *replaced, -1);
  Entry::free(replaced);
}

bool NamespaceEngine::remove_entry(Tree& tree, TreeKey key) {
  Entry* removed = tree.map.remove(key);
  if (removed == nullptr) return false;
  count(tree, *removed, -1);
  Entry::free(removed);
  return true;
}

// Those older than `below`; the number removed.
size_t NamespaceEngine::remove_prefix(Tree& tree, Space space, std::string_view prefix, Version below) {
  size_t removed = 0;
  std::string key(prefix);
  auto next = tree.map.lower_bound({space, key});
  while (!next.at_end() && next->space() == space && next->path().starts_with(prefix)) {
    if (next->version() >= below) {
      next.next();
      continue;
    }
    key = next->path();
    remove_entry(tree, {space, key});
    ++removed;
    next = tree.map.lower_bound({space, key});
  }
  return removed;
}

MutationResult NamespaceEngine::make_change(Tree& tree, const Mutation& mutation, Version version,
                                            uint64_t sequence) {
  MutationResult result;
  switch (mutation.kind) {
    case Mutation::Kind::check:
      return result;
    case Mutation::Kind::put:
      result.existed = tree.map.find({mutation.space, mutation.key}) != nullptr;
      result.version = version;
      put_entry(tree, Entry::make({mutation.space, mutation.key}, version, mutation.record));
      break;
    case Mutation::Kind::erase:
      result.existed = remove_entry(tree, {mutation.space, mutation.key});
      tree.last_erase = sequence;
      break;
    case Mutation::Kind::erase_prefix:
      result.existed = remove_prefix(tree, mutation.space, mutation.key, version) != 0;
      tree.last_erase = sequence;
      break;
  }
  tree.last_change = sequence;
  return result;
}

Task<Result<MutationResult>> NamespaceEngine::apply(CallContext context, BucketId bucket, Mutation mutation) {
  MutationResult result;
  FB_CO_CHECK(co_await commit_into(context, bucket, {&mutation, 1}, {&result, 1}));
  co_return result;
}

Task<Result<std::vector<MutationResult>>> NamespaceEngine::commit(CallContext context, BucketId bucket,
                                                                  std::span<const Mutation> mutations) {
  std::vector<MutationResult> results(mutations.size());
  FB_CO_CHECK(co_await commit_into(context, bucket, mutations, results));
  co_return results;
}

// A change without mutations, into the journal; not yet durable when it returns.
Task<Result<void>> NamespaceEngine::write_change(const CallContext& context, ChangeKind kind, BucketId bucket,
                                                 bool frees_only, std::span<const Garbage> garbage,
                                                 uint64_t& sequence) {
  const size_t frame_bytes = kFrameOverhead + garbage.size() * kGarbageBytes;
  FB_ASSERT(frame_bytes <= journal_->frame_size_max(), frame_bytes);
  if (!journal_->has_room(frame_bytes, frees_only)) {
    const Result<void> room = co_await journal_->wait_for_room(context, frame_bytes, frees_only);
    if (!room) co_return from_journal(room.error());
  }
  frame_.clear();
  encode_change(frame_, kind, bucket, {}, garbage);
  sequence = journal_->enqueue(frame_);
  co_return Result<void>();
}

Task<Result<void>> NamespaceEngine::create_tree(CallContext context, BucketId bucket) {
  FB_CO_CHECK(usable(context));
  if (const Tree* tree = find_tree(bucket); tree != nullptr) {
    if (!co_await journal_->durable(tree->last_change)) co_return NamespaceError::unavailable;
    co_return NamespaceError::tree_exists;
  }
  uint64_t sequence = 0;
  FB_CO_CHECK(co_await write_change(context, ChangeKind::create_tree, bucket, false, {}, sequence));
  Tree& tree = make_tree(bucket);
  tree.last_change = std::max(tree.last_change, sequence);
  finish_change(ChangeKind::create_tree, {});
  if (!co_await journal_->durable(sequence)) co_return NamespaceError::unavailable;
  co_return Result<void>();
}

void NamespaceEngine::clear_tree(Tree& tree) {
  for (auto i = tree.map.begin(); !i.at_end(); i.next()) count(tree, *i, -1);
  tree.map.clear();
}

// What uploads and parts named becomes garbage, in frames of bounded size.
Task<Result<void>> NamespaceEngine::erase_uploads(const CallContext& context, BucketId bucket) {
  while (true) {
    const Tree* tree = find_tree(bucket);
    if (tree == nullptr) co_return NamespaceError::no_such_tree;
    std::vector<Mutation> mutations;
    std::vector<std::string> keys;
    keys.reserve(kEraseBatch);
    for (auto i = tree->map.lower_bound({Space::uploads, {}}); !i.at_end() && keys.size() < kEraseBatch;
         i.next()) {
      keys.emplace_back(i->path());
      mutations.push_back({.kind = Mutation::Kind::erase, .space = i->space(), .key = keys.back()});
    }
    if (mutations.empty()) co_return Result<void>();
    std::vector<MutationResult> results(mutations.size());
    FB_CO_CHECK(co_await commit_into(context, bucket, mutations, results));
  }
}

Task<Result<void>> NamespaceEngine::drop_tree(CallContext context, BucketId bucket) {
  uint64_t sequence = 0;
  while (true) {
    FB_CO_CHECK(usable(context));
    Tree* tree = find_tree(bucket);
    if (tree == nullptr) {
      if (!co_await journal_->durable(last_drop_)) co_return NamespaceError::unavailable;
      co_return NamespaceError::no_such_tree;
    }
    const auto first = tree->map.begin();
    if (!first.at_end() && first->space() < Space::uploads) {
      if (!co_await journal_->durable(tree->last_change)) co_return NamespaceError::unavailable;
      co_return NamespaceError::tree_not_empty;
    }
    if (!first.at_end()) {
      FB_CO_CHECK(co_await erase_uploads(context, bucket));
      continue;
    }
    if (!journal_->has_room(kFrameOverhead, true)) {
      const Result<void> room = co_await journal_->wait_for_room(context, kFrameOverhead, true);
      if (!room) co_return from_journal(room.error());
      continue;
    }
    frame_.clear();
    encode_change(frame_, ChangeKind::drop_tree, bucket, {}, {});
    sequence = journal_->enqueue(frame_);
    trees_.erase(bucket.value);
    last_drop_ = sequence;
    finish_change(ChangeKind::drop_tree, {});
    break;
  }
  if (!co_await journal_->durable(sequence)) co_return NamespaceError::unavailable;
  co_return Result<void>();
}

Task<Result<uint64_t>> NamespaceEngine::next_unique_number(CallContext context) {
  FB_CO_CHECK(usable(context));
  uint64_t sequence = 0;
  FB_CO_CHECK(co_await write_change(context, ChangeKind::number, {}, false, {}, sequence));
  if (!co_await journal_->durable(sequence)) co_return NamespaceError::unavailable;
  co_return sequence;
}

// Into the ledger at once. Where the journal has no room it is not written down: then a crash leaves it to
// the sweep.
void NamespaceEngine::discard(std::span<const Garbage> garbage) {
  FB_ASSERT(env_.core() == 0, env_.core());
  if (closing_ || journal_->failed()) return;
  if (journal_->has_room(kFrameOverhead + garbage.size() * kGarbageBytes, true)) {
    frame_.clear();
    encode_change(frame_, ChangeKind::discard, {}, {}, garbage);
    (void)journal_->enqueue(frame_);
  }
  finish_change(ChangeKind::discard, garbage);
}

}  // namespace fb
