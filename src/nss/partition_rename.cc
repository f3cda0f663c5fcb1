// SPDX-License-Identifier: Apache-2.0
// Renames: of one key, whose value moves as it is; of everything beneath a prefix, by moving one link. Either
// is one record, together with the changes that go with it.
#include "io/call_on.h"
#include "nss/partition_front.h"

namespace fb {
namespace {

constexpr unsigned kHomeCore = 0;
constexpr size_t kRenameBytes = 4 * kKeySizeMax;  // keys and bounds, in the record
constexpr size_t kMutationOverhead = 96;

std::string in_space(Space space, std::string_view path) {
  std::string key(1, static_cast<char>(space));
  key += path;
  return key;
}

std::optional<NamespaceError> error_of(art::Outcome outcome) {
  switch (outcome) {
    case art::Outcome::source_missing:
      return NamespaceError::not_found;
    case art::Outcome::destination_occupied:
      return NamespaceError::destination_occupied;
    case art::Outcome::into_itself:
      return NamespaceError::rename_into_itself;
    case art::Outcome::key_too_long:
      return NamespaceError::key_too_long;
    default:
      return std::nullopt;
  }
}

// Changes that go with a rename are small, and of keys that the rename does not touch.
Result<void> check_with(const NamespaceClient::RenameRequest& request, size_t value_bytes_max) {
  if (request.with.size() > kCommitMutationsMax) return NamespaceError::record_too_large;
  const auto moves = [&](const Mutation& mutation, std::string_view name) {
    if (!request.prefix) return mutation.space == Space::objects && mutation.key == name;
    const bool in_moved_space = mutation.space == Space::objects || mutation.space == Space::versions;
    return in_moved_space && mutation.key.starts_with(name);
  };
  for (const Mutation& mutation : request.with) {
    if (mutation.kind == Mutation::Kind::erase_prefix) return NamespaceError::unsupported;
    if (mutation.record.size() + kVersionBytesMax > value_bytes_max) return NamespaceError::unsupported;
    if (mutation.key.size() > kKeySizeMax) return NamespaceError::key_too_long;
    FB_CHECK(check_key(mutation));
    if (moves(mutation, request.source) || moves(mutation, request.destination))
      return NamespaceError::unsupported;
  }
  return {};
}

}  // namespace

struct PartitionFront::Renaming {
  const RenameRequest& request;
  HandleRef handle;
  CommitKnowledge knowledge;
  std::array<std::string, 4> keys;  // of the moves
  uint64_t own_bytes = 0;
  PageId gone;
  bool told_sweep = false;
  bool must_tell_sweep = false;
  bool tree_gone = false;
  ReadPin held;
  bool pinned = false;
};

Task<Result<void>> PartitionFront::rename(const CallContext& context, const RenameRequest& request) {
  FB_CO_CHECK(check_names(request));
  Renaming renaming{.request = request};
  const Partition::Renamed told{
      .bucket = request.bucket, .destination = std::string(request.destination), .prefix = request.prefix};
  FB_CO_CHECK(check_with(request, art::value_bytes_max(partition_.page_bytes())));
  Result<void> outcome;
  for (;;) {
    Result<HandleRef> found = co_await find(context, request.bucket);
    if (!found) {
      outcome = found.error();
      break;
    }
    renaming.handle = std::move(*found);
    renaming.own_bytes = kRenameBytes + partition_.page_bytes();
    for (const Mutation& mutation : request.with)
      renaming.own_bytes += kMutationOverhead + mutation.key.size() + mutation.record.size();
    for (const auto& [version, names] : renaming.knowledge.spilled_names)
      renaming.own_bytes += names.size() * sizeof(Garbage);
    // A rename needs next to no space, but its token and a split may.
    outcome = co_await make_ready(context, Partition::kOperationBytes + renaming.own_bytes, true);
    if (outcome && !request.with.empty()) outcome = partition_.versions_left();
    if (!outcome) break;
    const art::Answer answer = attempt(renaming);
    if (renaming.tree_gone) continue;
    if (renaming.must_tell_sweep) {
      outcome = co_await call_on(env_, kHomeCore,
                                 [&](Env&) { return partition_.rename_begins(context.deadline, told); });
      if (!outcome) break;
      renaming.told_sweep = true;
      continue;
    }
    if (plan_.spilled_unknown()) {
      if (!renaming.pinned) {
        renaming.held = pin();
        renaming.pinned = true;
        continue;
      }
      const Result<Step> learned = co_await learn(context, renaming.knowledge);
      if (learned) continue;
      outcome = learned.error();
      break;
    }
    const std::optional<NamespaceError> refusal =
        plan_.refusal() ? plan_.refusal() : error_of(answer.outcome);
    if (!refusal && answer.outcome != art::Outcome::done) {
      outcome = co_await after_attempt(context, answer, renaming.gone);
      if (outcome) continue;
      break;
    }
    if (refusal) outcome = *refusal;
    const Result<void> written = co_await ports_.journal->wait_durable(answer.lsn.position, context.deadline);
    if (!written) outcome = not_durable(!refusal, written.error());
    break;
  }
  if (renaming.told_sweep) {
    co_await call_on(env_, kHomeCore, [&](Env&) -> Task<void> {
      partition_.rename_ends(told);
      co_return;
    });
  }
  co_return outcome;
}

art::Answer PartitionFront::attempt(Renaming& renaming) {
  const RenameRequest& request = renaming.request;
  Handle& handle = *renaming.handle;
  const Partition::Section section(partition_, env_.core());
  renaming.tree_gone = handle.state->state.load() != TreeState::State::open;
  renaming.must_tell_sweep = partition_.sweeping() && !renaming.told_sweep;
  env_.point("nss.section");
  if (renaming.tree_gone || renaming.must_tell_sweep) return {};
  const uint64_t generation = partition_.generation();
  journal_.set_floor(renaming.own_bytes + Partition::kSplitBytes);
  const CommitPlan::Key both[] = {{Space::objects, request.source}, {Space::objects, request.destination}};
  plan_.begin(request.with, request.prefix ? std::span<const CommitPlan::Key>() : both,
              partition_.incarnation(), renaming.knowledge);
  const auto decide = [&](std::span<art::KeyEdit> edits) {
    if (!plan_.decide(edits, [this] { return partition_.next_version(); })) return false;
    if (!request.prefix && !decide_key(renaming, edits)) return false;
    journal_.set_head(request.bucket, generation, plan_.counts(), plan_.garbage());
    return true;
  };
  std::vector<art::PrefixMove> moves;
  if (request.prefix) {
    renaming.keys = {in_space(Space::objects, request.source), in_space(Space::objects, request.destination),
                     in_space(Space::versions, request.source),
                     in_space(Space::versions, request.destination)};
    moves.push_back({renaming.keys[0], renaming.keys[1]});
    moves.push_back({renaming.keys[2], renaming.keys[3], true});
  }
  const art::Answer answer = handle.renames.commit(plan_.edits(), moves, decide);
  env_.point("nss.rename.made");
  if (!plan_.refusal() && !plan_.spilled_unknown() && answer.outcome == art::Outcome::done)
    leave_marks(handle, generation, answer);
  return answer;
}

// One key: what is at the destination is replaced, the value goes over as it is.
bool PartitionFront::decide_key(Renaming& renaming, std::span<art::KeyEdit> edits) {
  const RenameRequest& request = renaming.request;
  art::KeyEdit& source = edits[plan_.edit_of_more(0)];
  art::KeyEdit& destination = edits[plan_.edit_of_more(1)];
  const Condition there{.kind = Condition::Kind::must_exist};
  if (!plan_.check(there, source.present)) return false;
  if (!plan_.check(request.source_condition, source.present)) return false;
  if (!plan_.check_replaced(request.destination_condition, destination.present)) return false;
  if (!plan_.release(Space::objects, destination.present)) return false;
  plan_.finish_garbage();
  source.decision.action = art::Decision::Action::erase;
  destination.decision = {.action = art::Decision::Action::put,
                          .value_flags = source.present.flags,
                          .value = source.present.value};
  return true;
}

}  // namespace fb
