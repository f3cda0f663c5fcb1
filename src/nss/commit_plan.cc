// SPDX-License-Identifier: Apache-2.0
#include "nss/commit_plan.h"

#include <algorithm>

#include "base/safeguard.h"
#include "client/tree_key.h"

namespace fb {
namespace {

constexpr size_t kNone = SIZE_MAX;
constexpr size_t kLinearSearchMax = 16;  // edits that a new key is compared with one by one

bool etag_equals(const TreeValue& value, std::string_view etag) {
  const std::optional<RecordEtag> stored = value.etag();
  char text[RecordEtag::kTextSizeMax];
  return stored && std::string_view(text, stored->write_text(text)) == etag;
}

bool holds(const Condition& condition, const TreeValue* existing) {
  switch (condition.kind) {
    case Condition::Kind::none:
      return true;
    case Condition::Kind::must_not_exist:
      return existing == nullptr;
    case Condition::Kind::must_exist:
      return existing != nullptr;
    case Condition::Kind::version_is:
      return existing != nullptr && existing->version == condition.version;
    case Condition::Kind::etag_is:
      return existing != nullptr && etag_equals(*existing, condition.etag);
    case Condition::Kind::etag_is_not:
      return existing == nullptr || !etag_equals(*existing, condition.etag);
  }
  return false;
}

constexpr char kOwnsBlobs = 'o';
constexpr char kOwnsNothing = 'n';

}  // namespace

std::string detached_prefix(bool owns_blobs, Version number) {
  std::string key{static_cast<char>(Space::ledger), owns_blobs ? kOwnsBlobs : kOwnsNothing};
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(number.value >> shift));
  return key;
}

bool detached_owns_blobs(std::string_view tree_key) {
  return tree_key.size() > 1 && tree_key[1] == kOwnsBlobs;
}

namespace {

bool is_refused(Space space, std::string_view key) {
  return FB_SAFEGUARD(refuse_invalid_keys) && !fault_of_tree_key(space, key).empty();
}

}  // namespace

Result<void> check_key(const Mutation& mutation) {
  const size_t size_max = mutation.space == Space::objects ? kKeySizeMax : kTreeKeySizeMax - 1;
  if (mutation.key.size() > size_max) return NamespaceError::key_too_long;
  const bool writes = mutation.kind == Mutation::Kind::put;
  if (writes && is_refused(mutation.space, mutation.key)) return NamespaceError::key_invalid;
  return {};
}

// Keys beneath a directory are as good afterwards as before if both of its names are good. A single key that
// is not may be given a good one.
Result<void> check_names(const NamespaceClient::RenameRequest& request) {
  if (request.source.size() > kKeySizeMax) return NamespaceError::not_found;
  if (request.destination.size() > kKeySizeMax) return NamespaceError::key_too_long;
  if (request.source.empty() || request.destination.empty()) return NamespaceError::unsupported;
  if (is_refused(Space::objects, request.destination)) return NamespaceError::key_invalid;
  if (request.prefix && is_refused(Space::objects, request.source)) return NamespaceError::key_invalid;
  if (request.source == request.destination) return NamespaceError::rename_into_itself;
  return {};
}

void CommitPlan::begin(std::span<const Mutation> mutations, std::span<const Key> more,
                       Incarnation incarnation, const CommitKnowledge& knowledge) {
  mutations_ = mutations;
  knowledge_ = &knowledge;
  incarnation_ = incarnation;
  size_t bytes = 0;
  for (const Mutation& mutation : mutations) bytes += 1 + mutation.key.size();
  for (const Key& key : more) bytes += 1 + key.path.size();
  // Views into it are taken below: it must not move.
  key_bytes_.clear();
  key_bytes_.reserve(bytes);
  edits_.clear();
  by_key_.clear();
  edit_of_.clear();
  last_of_.clear();
  more_.clear();
  for (size_t i = 0; i < mutations.size(); ++i) {
    const Mutation& mutation = mutations[i];
    if (mutation.kind == Mutation::Kind::erase_prefix) {
      edit_of_.push_back(kNone);
      continue;
    }
    const size_t edit = edit_for(mutation.space, mutation.key);
    edit_of_.push_back(edit);
    if (mutation.kind != Mutation::Kind::check) last_of_[edit] = i;
  }
  for (const Key& key : more) more_.push_back(edit_for(key.space, key.path));
  reset();
}

size_t CommitPlan::edit_for(Space space, std::string_view path) {
  const size_t begin = key_bytes_.size();
  key_bytes_.push_back(static_cast<char>(space));
  key_bytes_.append(path);
  const std::string_view key = std::string_view(key_bytes_).substr(begin);
  if (edits_.size() < kLinearSearchMax) {
    for (size_t i = 0; i < edits_.size(); ++i) {
      if (edits_[i].key == key) return i;
    }
  } else {
    for (; by_key_.size() < edits_.size();) by_key_.emplace(edits_[by_key_.size()].key, by_key_.size());
    if (const auto found = by_key_.find(key); found != by_key_.end()) return found->second;
  }
  edits_.push_back({.key = key});
  last_of_.push_back(kNone);
  return edits_.size() - 1;
}

void CommitPlan::reset() {
  refusal_.reset();
  unknown_.reset();
  counts_ = {};
  released_.clear();
  named_.clear();
  superseded_named_.clear();
  garbage_.clear();
  taken_over_.clear();
  results_.assign(mutations_.size(), {});
  puts_.clear();
  values_.clear();
  value_places_.clear();
}

bool CommitPlan::check(const Condition& condition, const art::Present& present) {
  if (condition.kind == Condition::Kind::none) return true;
  std::optional<TreeValue> value;
  if (present.exists) {
    value = decode_value(present.flags, present.value);
    if (!value) return refuse(NamespaceError::damaged);
  }
  if (holds(condition, value ? &*value : nullptr)) return true;
  // Where the key is absent, a condition that wants something there answers not_found.
  const bool wants_it = condition.kind != Condition::Kind::must_not_exist;
  return refuse(!present.exists && wants_it ? NamespaceError::not_found
                                            : NamespaceError::precondition_failed);
}

bool CommitPlan::check_replaced(const Condition& condition, const art::Present& present) {
  if (check(condition, present)) return true;
  if (refusal_ == NamespaceError::not_found) refusal_ = NamespaceError::precondition_failed;
  return false;
}

void CommitPlan::count(Space space, const art::Present& present, int64_t sign) {
  if (space == Space::uploads) counts_.uploads += sign;
  if (space != Space::objects) return;
  const std::optional<TreeValue> value = decode_value(present.flags, present.value);
  counts_.objects += sign;
  if (value) counts_.bytes += sign * static_cast<int64_t>(value->object_bytes());
}

bool CommitPlan::release(Space space, const art::Present& present) {
  if (!present.exists) return true;
  const std::optional<TreeValue> value = decode_value(present.flags, present.value);
  if (!value) return refuse(NamespaceError::damaged);
  if (value->spilled) {
    const auto known = knowledge_->spilled_names.find(value->version);
    if (known == knowledge_->spilled_names.end()) {
      unknown_.emplace(value->version, *value->spilled);
      return false;
    }
    released_.push_back({value->spilled->blob, 1});
    released_.insert(released_.end(), known->second.begin(), known->second.end());
  } else if (!collect_blobs(value->record, released_)) {
    return refuse(NamespaceError::damaged);
  }
  count(space, present, -1);
  return true;
}

// Only what names blobs in a way this version can account for is stored.
bool CommitPlan::name_blobs(size_t mutation, std::vector<Garbage>& out) {
  if (!collect_blobs(mutations_[mutation].record, out)) return refuse(NamespaceError::unsupported);
  const auto spilled = knowledge_->spilled_puts.find(mutation);
  if (spilled != knowledge_->spilled_puts.end()) out.push_back({spilled->second.blob, 1});
  return true;
}

bool CommitPlan::look(std::span<art::KeyEdit> edits) {
  exists_.clear();
  for (const art::KeyEdit& edit : edits) exists_.push_back(edit.present.exists ? 1 : 0);
  for (size_t i = 0; i < mutations_.size(); ++i) {
    const Mutation& mutation = mutations_[i];
    if (mutation.kind == Mutation::Kind::erase_prefix) {
      results_[i].existed = knowledge_->detached_any;
      continue;
    }
    const size_t edit = edit_of_[i];
    if (!check(mutation.condition, edits[edit].present)) return false;
    if (mutation.kind == Mutation::Kind::check) continue;
    results_[i].existed = exists_[edit] != 0;
    exists_[edit] = mutation.kind == Mutation::Kind::put ? 1 : 0;
    const bool last = last_of_[edit] == i;
    if (mutation.kind == Mutation::Kind::put) {
      if (!name_blobs(i, last ? named_ : superseded_named_)) return false;
      puts_.push_back({i, edit});
    }
    // The last mutation of the key accounts for what was there. What lies detached and was taken over is
    // another record's.
    const bool owns = mutation.space != Space::ledger || detached_owns_blobs(edits[edit].key);
    if (last && owns && !release(mutation.space, edits[edit].present)) return false;
  }
  released_.insert(released_.end(), knowledge_->detached.begin(), knowledge_->detached.end());
  return true;
}

void CommitPlan::give_version(const Put& put, Version version) {
  results_[put.mutation].version = version;
  const Mutation& mutation = mutations_[put.mutation];
  const size_t begin = values_.size();
  const auto spilled = knowledge_->spilled_puts.find(put.mutation);
  if (spilled != knowledge_->spilled_puts.end()) {
    encode_spilled(values_, version, spilled->second);
  } else {
    encode_value(values_, version, mutation.record);
  }
  value_places_.push_back({begin, values_.size() - begin});
  if (last_of_[put.edit] != put.mutation) return;
  if (mutation.space == Space::uploads) ++counts_.uploads;
  if (mutation.space != Space::objects) return;
  ++counts_.objects;
  counts_.bytes += static_cast<int64_t>(object_size_of(mutation.record).value_or(0));
}

void CommitPlan::fill_in(std::span<art::KeyEdit> edits) {
  for (art::KeyEdit& edit : edits) edit.decision = {};
  for (size_t i = 0; i < mutations_.size(); ++i) {
    const size_t edit = edit_of_[i];
    if (mutations_[i].kind == Mutation::Kind::erase && last_of_[edit] == i && edits[edit].present.exists)
      edits[edit].decision.action = art::Decision::Action::erase;
  }
  for (size_t p = 0; p < puts_.size(); ++p) {
    const auto& [mutation, edit] = puts_[p];
    if (last_of_[edit] != mutation) continue;
    const ValuePlace place = value_places_[p];
    edits[edit].decision = {
        .action = art::Decision::Action::put,
        .value_flags = knowledge_->spilled_puts.contains(mutation) ? art::kValueSpilled : uint8_t{0},
        .value = std::string_view(values_).substr(place.begin, place.size)};
  }
}

// Released blobs that no put of the commit takes over are garbage; and no put may name one that is neither
// ours nor taken over.
bool CommitPlan::finish() {
  finish_garbage();
  for (const auto* named : {&named_, &superseded_named_}) {
    for (const Garbage& item : *named) {
      if (item.id.incarnation == incarnation_) continue;
      if (!contains(released_, item.id)) return refuse(NamespaceError::stale_blob);
      taken_over_.push_back(item);
    }
  }
  return true;
}

void CommitPlan::finish_garbage() {
  garbage_.clear();
  if (released_.empty() && superseded_named_.empty()) return;
  sort_unique(released_);
  sort_unique(named_);
  for (const Garbage& item : released_) {
    if (!contains(named_, item.id)) garbage_.push_back(item);
  }
  for (const Garbage& item : superseded_named_) {
    if (!contains(named_, item.id)) garbage_.push_back(item);
  }
  sort_unique(garbage_);
}

}  // namespace fb
