// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/object_key.h"
#include "base/result.h"
#include "base/text_arena.h"
#include "client/read_pin.h"
#include "client/types.h"
#include "io/task.h"

// The namespace as its users see it: an ordered map from (bucket, space, key) to a record, with conditions
// decided at commit, atomic changes of several keys of one bucket, ordered listing with delimiters, and
// atomic rename. In `server` the engine implements it in process, in a cluster the RPC client does.

namespace fb {

// An error says one of three things about the requested change.
// - It was certainly not made, and will not be: every error but the two below. Content stored for it can be
//   freed at once.
// - not_owner: also not made, since the asked process does not own the bucket. Find out which process owns it
//   now.
// - outcome_unknown: it may have been made, or may be made yet. Content stored for it must stay. If namespace
//   and caller are one process, nothing is left behind: the engine's memory has the change, and either it
//   becomes durable, or the process ends out of order and the next one sweeps.
// docs/namespace_engine.md has the table of which call answers which.
enum class NamespaceError {
  not_found,     // no such key (get, erase that must exist, rename source)
  no_such_tree,  // no such bucket
  tree_exists,
  tree_not_empty,
  precondition_failed,   // the condition does not hold; nothing was changed
  key_too_long,          // over kKeySizeMax
  key_invalid,           // no request can have named it: see fault_of_tree_key()
  record_too_large,      // over kRecordSizeMax
  destination_occupied,  // rename of a prefix onto one under which something lies
  rename_into_itself,
  stale_blob,   // a record names a blob of an ended incarnation that it does not own already
  full,         // the engine's stated capacity or the disk is exhausted; erase still works
  unsupported,  // this engine cannot do it yet
  unavailable,  // shutting down, or failed: try again later
  timed_out,    // the caller's deadline passed
  damaged,      // stored bytes fail their checksum; nothing wrong is served
  not_owner,
  outcome_unknown,
};
std::string_view to_string(NamespaceError code);
inline const ErrorDomain& error_domain(NamespaceError) {
  static constexpr ErrorDomain kDomain{"namespace",
                                       [](int code) { return to_string(static_cast<NamespaceError>(code)); }};
  return kDomain;
}

inline constexpr size_t kKeySizeMax = kObjectKeySizeMax;  // of an object's path, without the space byte
inline constexpr size_t kTreeKeySizeMax =
    kKeySizeMax + 64;  // in the other spaces, which put an id behind the path
inline constexpr size_t kRecordSizeMax = 1u << 20;

// Decided under the same latch and in the same journal record as the change itself.
struct Condition {
  enum class Kind : uint8_t { none, must_not_exist, must_exist, version_is, etag_is, etag_is_not };
  Kind kind = Kind::none;
  Version version;          // version_is
  std::string_view etag{};  // etag_is, etag_is_not: as in RecordEtag::text(), without quotes
};

struct Mutation {
  enum class Kind : uint8_t {
    put,           // sets key to record
    erase,         // removes key if present
    erase_prefix,  // removes every key of the space that begins with `key`; detaches them in one step
    check,         // changes nothing: only its condition must hold
  };
  Kind kind = Kind::put;
  Space space = Space::objects;
  std::string_view key;
  std::string_view record{};
  Condition condition{};
};

struct MutationResult {
  Version version;       // put: the new version, which no put in any tree was given before
  bool existed = false;  // put, erase: whether the key was there before; erase_prefix: whether any was
};

struct Found {
  Version version;
  std::string record;
  ReadPin pin;
};

struct ListRequest {
  BucketId bucket;
  Space space = Space::objects;
  std::string_view prefix{};
  std::string_view delimiter{};  // any string; empty: none
  // Only keys after this one (by bytes); empty: from the start. With `start_past_prefix`, keys that begin
  // with it are skipped too: so a listing goes on behind a common prefix. Without it, a common prefix is
  // listed if any key after `start_after` lies beneath it.
  std::string_view start_after{};
  bool start_past_prefix = false;
  uint32_t entries_max = 1000;  // keys and common prefixes together; at most kListEntriesMax
  bool with_records = true;
};
inline constexpr uint32_t kListEntriesMax = 10'000;

struct ListEntry {
  std::string_view key;  // the key, or the common prefix up to and including the delimiter
  bool common_prefix = false;
  Version version;            // keys only
  std::string_view record{};  // keys only, if asked for
};

// Its entries view `texts`.
struct ListPage {
  TextArena texts;
  std::vector<ListEntry> entries;  // by bytes; keys and common prefixes merged
  bool truncated = false;  // more follows: go on with start_after = entries.back().key and, if that entry is
                           // a common prefix, start_past_prefix
};

struct TreeStatistics {
  uint64_t objects = 0;
  uint64_t bytes = 0;  // sum of object sizes
  uint64_t uploads = 0;
};

// One instance a core; used on that core only. Thread-safe across instances. Every answer, not only a
// write's, waits until the journal is durable up to all changes that the answer saw.
class NamespaceClient {
 public:
  virtual ~NamespaceClient() = default;

  // NamespaceError::not_found, no_such_tree.
  virtual Task<Result<Found>> get(const CallContext& context, BucketId bucket, Space space,
                                  std::string_view key) = 0;
  // One change: durable when it returns.
  virtual Task<Result<MutationResult>> apply(const CallContext& context, BucketId bucket,
                                             const Mutation& mutation) = 0;
  // All or nothing, in one journal record, durable when it returns. The blobs that replaced and erased
  // records named and no put record of the same commit names become garbage in the same step and are freed
  // later. At most kCommitMutationsMax mutations. Results in the order of the mutations. A key may occur more
  // than once: the last mutation holds; conditions look at the state before the commit.
  virtual Task<Result<std::vector<MutationResult>>> commit(const CallContext& context, BucketId bucket,
                                                           std::span<const Mutation> mutations) = 0;
  // Changes that have nothing to do with one another, each with a result of its own: all durable when it
  // returns, and cheaper than one call each. No erase_prefix.
  virtual Task<std::vector<Result<MutationResult>>> apply_each(const CallContext& context, BucketId bucket,
                                                               std::span<const Mutation> mutations);
  virtual Task<Result<ListPage>> list(const CallContext& context, const ListRequest& request) = 0;

  struct RenameRequest {
    BucketId bucket;
    std::string_view source;
    std::string_view destination;
    bool prefix = false;                // both names end in '/', everything beneath moves
    Condition source_condition{};       // key only
    Condition destination_condition{};  // key only
    // Changes of other keys in the same record: a client token, say. All or nothing with the rename.
    std::span<const Mutation> with{};
  };
  // NamespaceError::not_found (nothing at the source), destination_occupied, rename_into_itself,
  // key_too_long, key_invalid, precondition_failed (for any condition).
  virtual Task<Result<void>> rename(const CallContext& context, const RenameRequest& request) = 0;

  // A bucket's tree. drop_tree: only if no object (or version) is left; uploads in progress become garbage.
  virtual Task<Result<void>> create_tree(const CallContext& context, BucketId bucket) = 0;
  virtual Task<Result<void>> drop_tree(const CallContext& context, BucketId bucket) = 0;
  virtual Task<Result<TreeStatistics>> tree_statistics(const CallContext& context, BucketId bucket) = 0;
};
inline constexpr size_t kCommitMutationsMax = 1024;

}  // namespace fb
