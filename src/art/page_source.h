// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <string_view>

#include "art/frame.h"

namespace fb::art {

// The interface that the tree needs of the keeper of its pages in memory. The tree is a template over it: a
// read makes no virtual call, and follows a swizzled link without asking.
template <class S>
concept PageSource = requires(S& source, Frame& frame, PageId id, const char* name) {
  // The tree's root page, which stays in memory.
  { source.root() } -> std::same_as<Frame*>;
  // The frame of a page that is in memory, else null; then the caller of the operation loads it.
  { source.find(id) } -> std::same_as<Frame*>;
  // A new page: a frame latched exclusively, with an id that was never used, formatted empty. Null: no frame
  // is free now.
  { source.create() } -> std::same_as<Frame*>;
  // Takes back a page that was created and not used; still latched.
  source.discard(frame);
  // The page has left the tree with the record that was just appended; its frame is still latched. Readers
  // may look at the frame a little longer.
  source.retire(frame);
  // The page has just been changed (its LSN is set); still latched.
  source.changed(frame);
  // Every spin calls it between two attempts: lets others go on.
  source.pause();
  // A named place between two steps where other cores may run: the simulator lets them. Every look-up calls
  // it, so it costs next to nothing elsewhere.
  source.point(name);
  // Whether links in pages may hold pointers to frames.
  { S::kSwizzles } -> std::convertible_to<bool>;
};

// The destination of records. Appending neither suspends nor fails: the caller has reserved the space before.
// A sink with durable() returns the position up to which it is durable; reads then need not depend on renames
// up to there.
template <class J>
concept JournalSink = requires(J& journal, std::string_view record) {
  { journal.append(record) } -> std::same_as<Lsn>;
};

// Appends the record that carries an operation's decision, as opposed to splits and merges on its way. A sink
// that distinguishes them also has append_decided().
template <JournalSink J>
Lsn append_decided(J& journal, std::string_view record) {
  if constexpr (requires { journal.append_decided(record); }) {
    return journal.append_decided(record);
  } else {
    return journal.append(record);
  }
}
// Whether a sink with a bound has room for an optional record, such as another merge.
template <JournalSink J>
bool may_append_more(const J& journal) {
  if constexpr (requires { journal.may_append_more(); }) {
    return journal.may_append_more();
  } else {
    return true;
  }
}
template <JournalSink J>
class DecidedSink {
 public:
  explicit DecidedSink(J& journal) : journal_(journal) {}
  Lsn append(std::string_view record) { return append_decided(journal_, record); }

 private:
  J& journal_;
};

// How an operation of the tree ended. An operation that meets a page that is not in memory has changed
// nothing.
enum class Outcome : uint8_t {
  done,
  absent,                // no value at the key
  kept,                  // the decision was to change nothing
  missing,               // Answer::page is not in memory: load it and start again
  no_frames,             // no frame for a new page: make some free and start again
  too_large,             // a key or value over its limit (a value is to be spilled by the caller), or a
                         // commit with more than fits into one page
  source_missing,        // rename: nothing at the source
  destination_occupied,  // rename of a prefix: something lies under the destination
  into_itself,           // rename: the destination begins with the source
  key_too_long,          // rename: a key beneath would become too long
  renamed,               // cursor: a rename came between; the listing starts again
  damaged,               // a page contradicts itself: Answer::page
};
std::string_view to_string(Outcome outcome);

struct Answer {
  Outcome outcome = Outcome::done;
  PageId page;
  // The answer depends on this: the journal must be durable up to here before anyone gets the answer. For a
  // change, its record.
  Lsn lsn;
};

}  // namespace fb::art
