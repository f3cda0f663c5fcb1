// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "art/page_source.h"
#include "base/result.h"
#include "client/journal_client.h"
#include "nss/garbage.h"
#include "nss/journal_buffer.h"

// Bodies of the journal's records; docs/formats/namespace.md.
//
//     change:        the tree's change (art/page_op.h)
//     commit:        size of the head varint | head | the tree's change
//       head:        bucket varint | generation varint | objects, bytes, uploads added (zigzag varints)
//                    | garbage count varint | blob id (16), block count varint ...
//     tree_made:     bucket varint | root page varint | the change that creates it
//     tree_dropped:  bucket varint | the change that retires its root page
//
// The *generation* tells which checkpoint's counts hold the commit already: those of checkpoint g hold
// exactly the commits of generations below g.

namespace fb {

// What a commit adds to its tree's counts.
struct CountChange {
  int64_t objects = 0;
  int64_t bytes = 0;  // of objects
  int64_t uploads = 0;
  bool operator==(const CountChange&) const = default;
  CountChange& operator+=(const CountChange& other) {
    objects += other.objects;
    bytes += other.bytes;
    uploads += other.uploads;
    return *this;
  }
};

struct CommitHead {
  BucketId bucket;
  uint64_t generation = 0;
  CountChange counts;
  std::vector<Garbage> garbage;
};
void encode_commit_head(std::string& out, BucketId bucket, uint64_t generation, const CountChange& counts,
                        std::span<const Garbage> garbage);
// Takes the head off a commit's body and leaves the change. JournalError::damaged for anything else.
Result<void> decode_commit_head(std::string_view& body, CommitHead& out);

void encode_tree_made(std::string& out, BucketId bucket, PageId root, std::string_view change);
void encode_tree_dropped(std::string& out, BucketId bucket, std::string_view change);
struct TreeHead {
  BucketId bucket;
  PageId root;  // tree_made
};
Result<TreeHead> decode_tree_head(JournalRecordKind kind, std::string_view& body);

// Where the trees of one core append: the journal, out of what the core has reserved. What a commit means is
// set while its decision is made, and goes into the record that carries the decision; splits and merges on
// the way are records of their own.
class CommitJournal {
 public:
  explicit CommitJournal(JournalPort& port) : port_(port) {}

  // Tops the core's credit up to `bytes`; an operation that follows without suspension may append so much.
  Task<Result<void>> reserve(const CallContext& context, uint64_t bytes);
  bool has(uint64_t bytes) const { return credit_.bytes() >= bytes; }
  void give_back() { credit_ = {}; }
  // What must be left for the operation's own record and one more split. Where the credit has come near to
  // that, no new page is given, so that the operation ends, gets new credit and starts again; and no pages
  // are joined behind it.
  void set_floor(uint64_t bytes) { floor_ = bytes; }
  bool may_create() const { return may_append_more(); }
  bool may_append_more() const { return credit_.bytes() >= floor_; }

  // Up to where records are on the medium.
  uint64_t durable() const { return port_.durable(); }

  // For the next decided record.
  void set_head(BucketId bucket, uint64_t generation, const CountChange& counts,
                std::span<const Garbage> garbage);

  Lsn append(std::string_view change) { return append(JournalRecordKind::change, change); }
  Lsn append_decided(std::string_view change);
  Lsn append(JournalRecordKind kind, std::string_view body);

 private:
  JournalPort& port_;
  JournalPort::Reservation credit_;
  uint64_t floor_ = 0;
  std::string head_;
  std::string body_;
};
static_assert(art::JournalSink<CommitJournal>);

}  // namespace fb
