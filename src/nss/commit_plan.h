// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "art/tree.h"
#include "client/namespace_client.h"
#include "nss/commit_record.h"
#include "nss/tree_value.h"

// What one attempt at a commit decides under the latches: whether the conditions hold, the new values, what
// becomes garbage, what the tree's counts gain. Plain code, no suspension; may be asked several times for one
// commit, and starts from nothing each time.

namespace fb {

// What a commit learns on its way, between attempts, and keeps.
struct CommitKnowledge {
  // Records too large for a page that are to be put: the blobs that hold them, by mutation.
  std::map<size_t, SpilledRecord> spilled_puts;
  // What spilled records that are there name, by their version.
  std::map<Version, std::vector<Garbage>> spilled_names;
  // Whether a put may take over what lies beneath an erased prefix. If not, that is freed later; if so, it is
  // known here, and what nothing takes over is garbage of the commit.
  bool takes_over = false;
  std::vector<Garbage> detached;
  bool detached_any = false;
};

// A place in the ledger space for what an erased prefix covered: whether the blobs named there are still to
// be freed, and a number of its own.
std::string detached_prefix(bool owns_blobs, Version number);
// Of a key in the ledger space.
bool detached_owns_blobs(std::string_view tree_key);

// Whether a key may be written: the last line behind the front end, which has refused such requests. What is
// wrong already may be erased.
Result<void> check_key(const Mutation& mutation);
// The same of the names of a rename.
Result<void> check_names(const NamespaceClient::RenameRequest& request);

class CommitPlan {
 public:
  struct Key {
    Space space = Space::objects;
    std::string_view path;
  };

  // Each distinct key of the mutations, and of `more`, becomes an edit; in this order. What is given lives as
  // long as the attempt.
  void begin(std::span<const Mutation> mutations, std::span<const Key> more, Incarnation incarnation,
             const CommitKnowledge& knowledge);
  std::span<art::KeyEdit> edits() { return edits_; }
  size_t edit_of_more(size_t index) const { return more_[index]; }

  // Under the latches: the decisions of the mutations' edits. False where nothing is to be done, and why
  // stands in refusal() or spilled_unknown(). `next_version() -> Version`.
  template <class NextVersion>
  bool decide(std::span<art::KeyEdit> edits, NextVersion&& next_version) {
    reset();
    if (!look(edits)) return false;
    for (const Put& put : puts_) give_version(put, next_version());
    fill_in(edits);
    return finish();
  }

  // --- for a rename, after decide(): a key whose value goes away, or comes from elsewhere unchanged ---
  bool check(const Condition& condition, const art::Present& present);
  // The same of a key that is to be replaced: where it is absent, a condition that wants it does not hold.
  bool check_replaced(const Condition& condition, const art::Present& present);
  // False where what it names is not known yet.
  bool release(Space space, const art::Present& present);
  // Again after release(): what is garbage now.
  void finish_garbage();

  std::optional<NamespaceError> refusal() const { return refusal_; }
  // A spilled record whose content must be known first.
  const std::optional<std::pair<Version, SpilledRecord>>& spilled_unknown() const { return unknown_; }
  // Blobs of ended incarnations that go on under another record.
  const std::vector<Garbage>& taken_over() const { return taken_over_; }
  const CountChange& counts() const { return counts_; }
  const std::vector<Garbage>& garbage() const { return garbage_; }
  const std::vector<MutationResult>& results() const { return results_; }

 private:
  struct Put {
    size_t mutation;
    size_t edit;
  };
  void reset();
  size_t edit_for(Space space, std::string_view path);
  bool look(std::span<art::KeyEdit> edits);
  bool refuse(NamespaceError error) {
    refusal_ = error;
    return false;
  }
  bool name_blobs(size_t mutation, std::vector<Garbage>& out);
  void give_version(const Put& put, Version version);
  void fill_in(std::span<art::KeyEdit> edits);
  bool finish();
  void count(Space space, const art::Present& present, int64_t sign);

  std::span<const Mutation> mutations_;
  const CommitKnowledge* knowledge_ = nullptr;
  Incarnation incarnation_;
  std::string key_bytes_;
  std::vector<art::KeyEdit> edits_;
  std::unordered_map<std::string_view, size_t> by_key_;  // of large commits
  std::vector<size_t> edit_of_;                          // by mutation
  std::vector<size_t> last_of_;                          // by edit: the mutation that decides it; kNone
  std::vector<size_t> more_;
  std::vector<Put> puts_;
  std::vector<uint8_t> exists_;  // by edit, after the mutations so far

  std::optional<NamespaceError> refusal_;
  std::optional<std::pair<Version, SpilledRecord>> unknown_;
  CountChange counts_;
  std::vector<Garbage> released_, named_, superseded_named_, garbage_, taken_over_;
  std::vector<MutationResult> results_;
  std::string values_;
  struct ValuePlace {
    size_t begin, size;
  };
  std::vector<ValuePlace> value_places_;  // by put
};

}  // namespace fb
