// SPDX-License-Identifier: Apache-2.0
// Changes of keys. What must be known is learned first (content of spilled records, what lies beneath an
// erased prefix) and room is made; then one attempt, without suspension, looks, decides, changes and appends;
// then the answer waits until it is durable.
#include <algorithm>

#include "base/byte_codec.h"
#include "base/safeguard.h"
#include "client/blob_writer.h"
#include "io/call_on.h"
#include "nss/partition_front.h"

namespace fb {
namespace {

constexpr unsigned kHomeCore = 0;
constexpr size_t kMutationOverhead = 96;  // page id, action, operation, version
constexpr size_t kGarbageBytes = sizeof(BlobId) + 5;
constexpr uint64_t kChangeBytesMax = kJournalRecordBytesMax / 8 * 7;
constexpr Duration kBufferWaitMax = Duration::seconds(60);

Result<void> check_limits(std::span<const Mutation> mutations) {
  if (mutations.size() > kCommitMutationsMax) return NamespaceError::record_too_large;
  for (const Mutation& mutation : mutations) {
    FB_CHECK(check_key(mutation));
    if (mutation.record.size() > kRecordSizeMax) return NamespaceError::record_too_large;
    if (mutation.kind != Mutation::Kind::erase_prefix) continue;
    // What is counted key by key cannot go without being looked at.
    const bool counted = mutation.space == Space::objects || mutation.space == Space::uploads;
    if (counted || mutation.condition.kind != Condition::Kind::none) return NamespaceError::unsupported;
  }
  // What an erased prefix covers moves as a whole: the same commit cannot touch keys beneath it.
  for (const Mutation& prefix : mutations) {
    if (prefix.kind != Mutation::Kind::erase_prefix) continue;
    const bool touched = std::ranges::any_of(mutations, [&](const Mutation& other) {
      return &other != &prefix && other.space == prefix.space && other.key.starts_with(prefix.key);
    });
    if (touched || prefix.key.empty()) return NamespaceError::unsupported;
  }
  return {};
}

// For a buffer.
Duration time_left(const CallContext& context, Instant now) {
  return std::min(std::max(context.deadline - now, Duration()), kBufferWaitMax);
}

bool is_prefix(const Mutation& mutation) { return mutation.kind == Mutation::Kind::erase_prefix; }

bool adds_something(std::span<const Mutation> mutations) {
  return std::ranges::any_of(mutations,
                             [](const Mutation& mutation) { return mutation.kind == Mutation::Kind::put; });
}

}  // namespace

struct PartitionFront::Commit {
  BucketId bucket;
  std::span<const Mutation> mutations;
  HandleRef handle;
  CommitKnowledge knowledge;
  std::vector<std::string> move_keys;  // source and destination of each erased prefix
  std::vector<art::PrefixMove> moves;
  uint64_t own_bytes = 0;  // of the record
  PageId gone;
  bool looked_beneath = false;
  uint64_t told_round = 0;   // of the sweep, which knows what this commit takes over
  uint64_t wants_round = 0;  // that must be told before the change is made
  bool tree_gone = false;
  ReadPin held;
  bool pinned = false;
};

Task<Result<void>> PartitionFront::commit_into(const CallContext& context, BucketId bucket,
                                               std::span<const Mutation> mutations,
                                               std::span<MutationResult> results) {
  uint64_t position = 0;
  const Result<void> made = co_await change(context, bucket, mutations, results, position);
  if (!FB_SAFEGUARD(commit_waits_for_journal)) co_return made;
  const Result<void> written = co_await ports_.journal->wait_durable(position, context.deadline);
  if (!written) co_return not_durable(made.has_value(), written.error());
  co_return made;
}

// Makes the change, or finds why not; `position` is raised to that up to which the journal must be durable
// before either is told.
Task<Result<void>> PartitionFront::change(const CallContext& context, BucketId bucket,
                                          std::span<const Mutation> mutations,
                                          std::span<MutationResult> results, uint64_t& position) {
  FB_CO_CHECK(check_limits(mutations));
  Commit commit{.bucket = bucket, .mutations = mutations};
  const bool adds = adds_something(mutations);
  commit.knowledge.takes_over = adds;
  if (adds && partition_.refuses_puts()) co_return NamespaceError::full;
  const bool takes_versions = adds || std::ranges::any_of(mutations, is_prefix);
  const auto is_large = [this](const Mutation& mutation) { return is_spilled(mutation); };
  if (std::ranges::any_of(mutations, is_large))
    FB_CO_CHECK(co_await spill(context, mutations, commit.knowledge));
  Result<void> outcome;
  for (;;) {
    commit.handle = find_open(bucket);
    if (commit.handle == nullptr) {
      Result<HandleRef> found = co_await find_slowly(context, bucket);
      if (!found) {
        outcome = found.error();
        break;
      }
      commit.handle = std::move(*found);
    }
    // Most changes have nothing to learn and find room: then no coroutine is made for that.
    if (!commit.looked_beneath && std::ranges::any_of(mutations, is_prefix)) {
      outcome = co_await look_beneath(context, commit);
      if (!outcome) break;
    }
    outcome = measure(commit);
    if (outcome && takes_versions) outcome = partition_.versions_left();
    if (!outcome) break;
    const uint64_t bytes = Partition::kOperationBytes + commit.own_bytes;
    if (!may_begin(bytes, adds)) {
      outcome = co_await make_ready(context, bytes, adds);
      if (!outcome) break;
    }
    const art::Answer answer = attempt(commit);
    if (commit.tree_gone) continue;
    if (commit.wants_round != 0) {
      // The sweep may begin anew before the next attempt: then that is told again.
      commit.told_round = commit.wants_round;
      co_await tell_sweep(plan_.taken_over());
      continue;
    }
    if (plan_.spilled_unknown()) {
      // The pin keeps the blob while it is read, should somebody replace the record meanwhile: so the record
      // is looked at once more, with the pin taken before.
      if (!commit.pinned) {
        commit.held = pin();
        commit.pinned = true;
        continue;
      }
      const Result<Step> learned = co_await learn(context, commit.knowledge);
      if (learned) continue;
      outcome = learned.error();
      break;
    }
    const bool decided = answer.outcome == art::Outcome::done || answer.outcome == art::Outcome::kept ||
                         answer.outcome == art::Outcome::absent;
    if (!decided) {
      outcome = co_await after_attempt(context, answer, commit.gone);
      if (outcome) continue;
      break;
    }
    // The plan is the next attempt's as soon as this one suspends.
    if (const auto refusal = plan_.refusal()) {
      outcome = *refusal;
    } else {
      std::ranges::copy(plan_.results(), results.begin());
      commit.knowledge.spilled_puts.clear();  // they have their names now
    }
    position = std::max(position, answer.lsn.position);
    break;
  }
  unspill(commit.knowledge);
  co_return outcome;
}

// What lies beneath the prefixes that are erased.
Task<Result<void>> PartitionFront::look_beneath(const CallContext& context, Commit& commit) {
  for (const Mutation& mutation : commit.mutations) {
    if (!is_prefix(mutation)) continue;
    FB_CO_CHECK(
        co_await look_beneath(context, *commit.handle, mutation.space, mutation.key, commit.knowledge));
  }
  commit.looked_beneath = true;
  co_return Result<void>();
}

// The record's size at most.
Result<void> PartitionFront::measure(Commit& commit) const {
  commit.own_bytes = kMutationOverhead;
  for (const Mutation& mutation : commit.mutations) {
    commit.own_bytes += kMutationOverhead + mutation.key.size();
    commit.own_bytes += is_spilled(mutation) ? kSpilledValueBytesMax : mutation.record.size();
  }
  commit.own_bytes += commit.knowledge.detached.size() * kGarbageBytes;
  for (const auto& [version, names] : commit.knowledge.spilled_names)
    commit.own_bytes += names.size() * kGarbageBytes;
  if (commit.own_bytes > kChangeBytesMax) return NamespaceError::record_too_large;
  return {};
}

bool PartitionFront::is_spilled(const Mutation& mutation) const {
  return mutation.kind == Mutation::Kind::put &&
         mutation.record.size() + kVersionBytesMax > art::value_bytes_max(partition_.page_bytes());
}

art::Answer PartitionFront::attempt(Commit& commit) {
  const Partition::Section section(partition_, env_.core());
  commit.tree_gone = commit.handle->state->state.load() != TreeState::State::open;
  commit.wants_round = 0;
  env_.point("nss.section");
  if (commit.tree_gone) return {};
  return attempt_in_section(commit);
}

art::Answer PartitionFront::attempt_in_section(Commit& commit) {
  Handle& handle = *commit.handle;
  const uint64_t generation = partition_.generation();
  journal_.set_floor(commit.own_bytes + Partition::kSplitBytes);
  plan_.begin(commit.mutations, {}, partition_.incarnation(), commit.knowledge);
  const auto decide = [&](std::span<art::KeyEdit> edits) {
    if (!plan_.decide(edits, [this] { return partition_.next_version(); })) return false;
    commit.wants_round = plan_.taken_over().empty() ? 0 : round_to_tell(commit);
    if (commit.wants_round != 0) return false;
    journal_.set_head(commit.bucket, generation, plan_.counts(), plan_.garbage());
    return true;
  };
  // Where an erased prefix goes: beneath a number of its own, as what still has to be freed, or only erased.
  commit.moves.clear();
  commit.move_keys.clear();
  commit.move_keys.reserve(2 * commit.mutations.size());
  for (const Mutation& mutation : commit.mutations) {
    if (mutation.kind != Mutation::Kind::erase_prefix) continue;
    std::string from(1, static_cast<char>(mutation.space));
    from += mutation.key;
    commit.move_keys.push_back(std::move(from));
    commit.move_keys.push_back(detached_prefix(!commit.knowledge.takes_over, partition_.next_version()));
    commit.moves.push_back({.from = commit.move_keys[commit.move_keys.size() - 2],
                            .to = commit.move_keys.back(),
                            .if_present = true});
  }
  const std::span<art::KeyEdit> edits = plan_.edits();
  art::Answer answer;
  if (commit.moves.empty() && edits.size() == 1) {
    answer = handle.tree.mutate(edits[0].key, [&](const art::Present& present) {
      edits[0].present = present;
      return decide(edits) ? edits[0].decision : art::Decision{};
    });
  } else {
    answer = handle.tree.commit(edits, commit.moves, decide);
  }
  env_.point("nss.commit.made");
  const bool undecided = plan_.refusal() || plan_.spilled_unknown() || commit.wants_round != 0;
  if (!undecided) leave_marks(handle, generation, answer);
  if (answer.outcome == art::Outcome::done && !commit.moves.empty()) handle.state->has_detached.store(true);
  return answer;
}

// What a commit that was made, or had nothing to make, leaves behind; in its section.
void PartitionFront::leave_marks(Handle& handle, uint64_t generation, const art::Answer& answer) {
  const bool settled = answer.outcome == art::Outcome::done || answer.outcome == art::Outcome::kept ||
                       answer.outcome == art::Outcome::absent;
  if (!settled) return;
  if (answer.outcome == art::Outcome::done) {
    const auto erases = [](const art::KeyEdit& edit) {
      return edit.decision.action == art::Decision::Action::erase && edit.present.exists;
    };
    const auto erased = std::ranges::count_if(plan_.edits(), erases);
    if (erased != 0) handle.state->erased.fetch_add(static_cast<uint64_t>(erased), std::memory_order_relaxed);
  }
  if (plan_.counts() != CountChange()) handle.state->counts[generation & 1].add(plan_.counts());
  garbage_.insert(garbage_.end(), plan_.garbage().begin(), plan_.garbage().end());
}

// Under a pin that was there before the record was looked at.
Task<Result<PartitionFront::Step>> PartitionFront::learn(const CallContext& context,
                                                         CommitKnowledge& knowledge) {
  const auto [version, spilled] = *plan_.spilled_unknown();
  FB_CO_TRY(const std::string record, co_await read_spilled(context, spilled));
  std::vector<Garbage> names;
  if (!collect_blobs(record, names)) co_return NamespaceError::damaged;
  knowledge.spilled_names.emplace(version, std::move(names));
  co_return Step::again;
}

// --- records too large for a page ---

Task<Result<void>> PartitionFront::spill(const CallContext& context, std::span<const Mutation> mutations,
                                         CommitKnowledge& knowledge) {
  for (size_t i = 0; i < mutations.size(); ++i) {
    const std::string_view record = mutations[i].record;
    if (!is_spilled(mutations[i])) continue;
    if (blobs_ == nullptr) co_return NamespaceError::unavailable;
    Buffer buffer = co_await env_.buffers().allocate_within(align_up(record.size(), kDirectIoAlignment),
                                                            BufferUse::own, time_left(context, env_.now()));
    if (!buffer) {
      unspill(knowledge);
      co_return NamespaceError::timed_out;
    }
    std::memcpy(buffer.data(), record.data(), record.size());
    BlobWriter writer(*blobs_, *this);
    const Result<BlobId> stored =
        co_await writer.put_whole(context, std::move(buffer), static_cast<uint32_t>(record.size()));
    if (stored) {
      knowledge.spilled_puts.emplace(i, describe_spilled(*stored, record));
      continue;
    }
    unspill(knowledge);
    if (stored.error().is(BlobError::full)) co_return NamespaceError::full;
    co_return stored.error().is(BlobError::timed_out) ? NamespaceError::timed_out
                                                      : NamespaceError::unavailable;
  }
  co_return Result<void>();
}

void PartitionFront::unspill(const CommitKnowledge& knowledge) {
  for (const auto& [mutation, spilled] : knowledge.spilled_puts) garbage_.push_back({spilled.blob, 1});
}

// --- erased prefixes ---

// Whether anything lies beneath, and where the commit puts something, what that names: a put may take it
// over. Who takes blobs over from beneath an erased prefix makes sure by a condition in the same commit that
// nothing there has changed.
Task<Result<void>> PartitionFront::look_beneath(const CallContext& context, Handle& handle, Space space,
                                                std::string_view prefix, CommitKnowledge& knowledge) {
  std::string begin(1, static_cast<char>(space));
  begin += prefix;
  const bool only_whether = !knowledge.takes_over;
  PageId gone;
  for (bool again = false;; again = true) {
    if (again) FB_CO_CHECK(co_await begin_again(context));
    art::Cursor<Source> cursor(handle.source, handle.state->gate);
    cursor.begin();
    knowledge.detached.clear();
    knowledge.detached_any = false;
    art::Answer answer = cursor.seek(begin);
    for (;;) {
      if (answer.outcome == art::Outcome::missing) {
        FB_CO_CHECK(co_await after(context, answer, gone));
        answer = cursor.again();
        continue;
      }
      if (answer.outcome != art::Outcome::done || !cursor.key().starts_with(begin)) break;
      knowledge.detached_any = true;
      if (only_whether) break;
      const std::optional<TreeValue> value = decode_value(cursor.value_flags(), cursor.value());
      if (!value || value->spilled || !collect_blobs(value->record, knowledge.detached))
        co_return NamespaceError::damaged;
      answer = cursor.next();
    }
    if (answer.outcome == art::Outcome::damaged) co_return NamespaceError::damaged;
    if (handle.state->state.load() == TreeState::State::dropped) co_return NamespaceError::no_such_tree;
    if (answer.outcome != art::Outcome::renamed) co_return Result<void>();
  }
}

// Each time the sweep marks it begins with nothing: what an earlier round was told is forgotten.
uint64_t PartitionFront::round_to_tell(const Commit& commit) const {
  const uint64_t round = partition_.sweep_round();
  return round == commit.told_round ? 0 : round;
}

Task<void> PartitionFront::tell_sweep(std::vector<Garbage> blobs) {
  co_await call_on(env_, kHomeCore, [&](Env&) -> Task<void> {
    partition_.mark_moved(blobs);
    co_return;
  });
}

// --- the interface ---

Task<Result<MutationResult>> PartitionFront::apply(const CallContext& context, BucketId bucket,
                                                   const Mutation& mutation) {
  MutationResult result;
  FB_CO_CHECK(co_await commit_into(context, bucket, {&mutation, 1}, {&result, 1}));
  co_return result;
}

Task<Result<std::vector<MutationResult>>> PartitionFront::commit(const CallContext& context, BucketId bucket,
                                                                 std::span<const Mutation> mutations) {
  std::vector<MutationResult> results(mutations.size());
  FB_CO_CHECK(co_await commit_into(context, bucket, mutations, results));
  co_return results;
}

// One wait for the journal covers them all: each is made without waiting for the one before it.
Task<std::vector<Result<MutationResult>>> PartitionFront::apply_each(const CallContext& context,
                                                                     BucketId bucket,
                                                                     std::span<const Mutation> mutations) {
  std::vector<Result<MutationResult>> results;
  results.reserve(mutations.size());
  uint64_t position = 0;
  for (const Mutation& mutation : mutations) {
    MutationResult result;
    const Result<void> made = co_await change(context, bucket, {&mutation, 1}, {&result, 1}, position);
    results.push_back(made ? Result<MutationResult>(result) : Result<MutationResult>(made.error()));
  }
  const Result<void> written = co_await ports_.journal->wait_durable(position, context.deadline);
  for (Result<MutationResult>& result : results) {
    if (!written) result = not_durable(result.has_value(), written.error());
  }
  co_return results;
}

}  // namespace fb
