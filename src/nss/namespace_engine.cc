// SPDX-License-Identifier: Apache-2.0
#include "nss/namespace_engine.h"

#include <algorithm>

#include "client/record.h"

namespace fb {

NamespaceEngine::NamespaceEngine(Env& env, const Options& options)
    : env_(env),
      options_(options),
      fronts_mutex_(env),
      background_ended_(env),
      snapshot_wanted_(env),
      ledger_grew_(env),
      snapshot_mutex_(env),
      reserve_grew_(env) {}

NamespaceEngine::~NamespaceEngine() { FB_ASSERT(!open_ || env_.abandoned()); }

NamespaceEngine::Tree* NamespaceEngine::find_tree(BucketId bucket) {
  const auto found = trees_.find(bucket.value);
  return found == trees_.end() ? nullptr : found->second.get();
}

NamespaceEngine::Tree& NamespaceEngine::make_tree(BucketId bucket) {
  std::unique_ptr<Tree>& tree = trees_[bucket.value];
  if (tree == nullptr) tree = std::make_unique<Tree>();
  return *tree;
}

std::vector<uint64_t> NamespaceEngine::tree_ids() const {
  std::vector<uint64_t> ids;
  ids.reserve(trees_.size());
  for (const auto& [id, tree] : trees_) ids.push_back(id);
  std::ranges::sort(ids);
  return ids;
}

Result<void> NamespaceEngine::usable(const CallContext& context) const {
  FB_ASSERT(env_.core() == 0, env_.core());
  if (closing_ || journal_->failed()) return NamespaceError::unavailable;
  if (context.deadline <= env_.now()) return NamespaceError::timed_out;
  return {};
}

Error NamespaceEngine::from_journal(const Error& error) {
  if (error.is(JournalError::full)) return NamespaceError::full;
  if (error.is(JournalError::timed_out)) return NamespaceError::timed_out;
  return NamespaceError::unavailable;
}

Task<Result<Found>> NamespaceEngine::get(CallContext context, BucketId bucket, Space space,
                                         std::string_view key, ReadPin pin) {
  FB_CO_CHECK(usable(context));
  Tree* tree = find_tree(bucket);
  const Entry* entry = tree == nullptr ? nullptr : tree->map.find({space, key});
  if (entry == nullptr) {
    const uint64_t seen = tree == nullptr ? last_drop_ : tree->last_erase;
    const NamespaceError answer = tree == nullptr ? NamespaceError::no_such_tree : NamespaceError::not_found;
    if (!co_await journal_->durable(seen)) co_return NamespaceError::unavailable;
    co_return answer;
  }
  Found found{.version = entry->version(), .record = std::string(entry->record()), .pin = std::move(pin)};
  if (!co_await journal_->durable(sequence_of(found.version))) co_return NamespaceError::unavailable;
  co_return found;
}

Task<Result<ListPage>> NamespaceEngine::list(CallContext context, ListRequest request) {
  FB_CO_CHECK(usable(context));
  Tree* tree = find_tree(request.bucket);
  const uint64_t seen = tree == nullptr ? last_drop_ : tree->last_change;
  ListPage page;
  if (tree != nullptr) page = list_entries(tree->map, request);
  const bool found = tree != nullptr;
  if (!co_await journal_->durable(seen)) co_return NamespaceError::unavailable;
  if (!found) co_return NamespaceError::no_such_tree;
  co_return page;
}

Task<Result<TreeStatistics>> NamespaceEngine::tree_statistics(CallContext context, BucketId bucket) {
  FB_CO_CHECK(usable(context));
  const Tree* tree = find_tree(bucket);
  const uint64_t seen = tree == nullptr ? last_drop_ : tree->last_change;
  const bool found = tree != nullptr;
  const TreeStatistics statistics = found ? tree->statistics : TreeStatistics();
  if (!co_await journal_->durable(seen)) co_return NamespaceError::unavailable;
  if (!found) co_return NamespaceError::no_such_tree;
  co_return statistics;
}

Task<Result<std::vector<BucketId>>> NamespaceEngine::trees(CallContext context) {
  FB_CO_CHECK(usable(context));
  std::vector<BucketId> ids;
  for (const uint64_t id : tree_ids()) ids.push_back({id});
  if (!co_await journal_->durable(journal_->last_sequence())) co_return NamespaceError::unavailable;
  co_return ids;
}

NamespaceEngine::Statistics NamespaceEngine::statistics() const {
  Statistics statistics = statistics_;
  statistics.keys = keys_;
  statistics.memory_bytes = memory_bytes_;
  statistics.ledger_blobs = ledger_.size();
  return statistics;
}

Task<Result<void>> NamespaceEngine::close() {
  FB_ASSERT(open_);
  FB_ASSERT(fronts_.empty(), fronts_.size());
  closing_ = true;
  stop_sleeps_.cancel();
  snapshot_wanted_.notify_all();
  ledger_grew_.notify_all();
  reserve_grew_.notify_all();
  while (background_tasks_ > 0) co_await background_ended_.wait();
  Result<void> result;
  if (!journal_->failed()) result = co_await take_snapshot();
  const Result<void> closed = co_await journal_->close();
  open_ = false;
  co_return result ? closed : result;
}

void NamespaceEngine::verify() const {
  uint64_t keys = 0;
  uint64_t memory_bytes = 0;
  for (const auto& [id, tree] : trees_) {
    tree->map.verify();
    keys += tree->map.size();
    TreeStatistics counted;
    for (auto i = tree->map.begin(); !i.at_end(); i.next()) {
      memory_bytes += i->memory_bytes() + EntryMap::kNodeBytesPerEntry;
      if (i->space() == Space::uploads) ++counted.uploads;
      if (i->space() != Space::objects) continue;
      ++counted.objects;
      counted.bytes += object_size_of(i->record()).value_or(0);
    }
    FB_ASSERT(counted.objects == tree->statistics.objects, counted.objects, tree->statistics.objects);
    FB_ASSERT(counted.bytes == tree->statistics.bytes, counted.bytes, tree->statistics.bytes);
    FB_ASSERT(counted.uploads == tree->statistics.uploads, counted.uploads, tree->statistics.uploads);
  }
  FB_ASSERT(keys == keys_, keys, keys_);
  FB_ASSERT(memory_bytes == memory_bytes_, memory_bytes, memory_bytes_);
}

}  // namespace fb
