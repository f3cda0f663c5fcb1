// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "art/change_set.h"
#include "art/page_check.h"
#include "art/rename_gate.h"
#include "art/split.h"
#include "art/tree_path.h"

// Fractal ART: a radix tree over full paths whose nodes lie in pages, and whose pages form a tree of the same
// kind.
//
// The steps of an operation: it notes the rename gate, descends optimistically, latches the pages it will
// change if they have not moved since (never waiting), looks at the present values and decides, appends one
// record and changes the pages, checks nothing was renamed meanwhile, and answers. If anything has changed
// meanwhile, it starts again. A page that is not in memory ends it with Outcome::missing and nothing changed;
// the caller loads the page and calls again. A page without room is split first, as a change of its own, and
// the operation starts again.
//
// One handle a core; handles of one tree share the pages and the gate. No function suspends.

namespace fb::art {

struct TreeOptions {
  uint32_t core = 0;
  uint32_t key_bytes_max = kKeyBytesMax;
  // A rename that makes keys longer looks into the pages beneath if their bounds do not show that their keys
  // fit. All these pages stay latched, and so in memory, at the same time: at most this many.
  uint32_t pages_beneath_max = UINT32_MAX;
};

// The present value of a key. The views are valid only while the decision is made.
struct Present {
  bool exists = false;
  uint8_t flags = 0;
  std::string_view value;
};

// The decision about a key.
struct Decision {
  enum class Action : uint8_t { keep, put, erase };
  Action action = Action::keep;
  uint8_t value_flags = 0;  // kValueSpilled
  std::string_view value;
  uint8_t link_flags = 0;  // set on all links above, for ever
};

// One key of a change. `present` is filled in before `decide` is called.
struct KeyEdit {
  std::string_view key;
  Present present;
  Decision decision;
};

// All keys that begin with `from` are to begin with `to` instead.
struct PrefixMove {
  std::string_view from;
  std::string_view to;
  bool if_present = false;  // nothing at the source is no error
};

template <PageSource Source, JournalSink Journal>
class Tree {
 public:
  Tree(Source& source, Journal& journal, RenameGate& gate, TreeOptions options = {})
      : source_(source), journal_(journal), gate_(gate), options_(options), change_(source) {
    FB_ASSERT(options.key_bytes_max <= kKeyBytesMax, options.key_bytes_max);
  }

  Source& source() { return source_; }
  RenameGate& gate() { return gate_; }

  // `take(flags, value)` copies the value; it may be called more than once, with senseless bytes: only the
  // value of the last call counts, and only if the answer is done.
  template <class Take>
  Answer get(std::string_view key, Take&& take);

  // Many keys at once: while one look-up waits for memory to be fetched, the others go on, so that together
  // they take a fraction of the time. `take(i, flags, value)` as in `get`, for keys[i]. Answers are
  // independent of one another: some may be missing a page while others are done.
  template <class Take>
  void get_many(std::span<const std::string_view> keys, std::span<Answer> answers, Take&& take);

  // `decide(Present) -> Decision` sees the value under the latch; it may be called again if the operation
  // starts again.
  template <class Decide>
  Answer mutate(std::string_view key, Decide&& decide);
  Answer put(std::string_view key, std::string_view value, uint8_t value_flags = 0) {
    return mutate(key, [&](const Present&) {
      return Decision{.action = Decision::Action::put, .value_flags = value_flags, .value = value};
    });
  }
  Answer erase(std::string_view key) {
    return mutate(key, [](const Present& present) {
      return Decision{.action = present.exists ? Decision::Action::erase : Decision::Action::keep};
    });
  }

  // Several keys and moves in one record: all or nothing. `decide(span<KeyEdit>) -> bool` sees all values and
  // fills in the decisions; false changes nothing (Outcome::kept). No key may be named twice or lie under a
  // move.
  template <class Decide>
  Answer commit(std::span<KeyEdit> edits, std::span<const PrefixMove> moves, Decide&& decide);
  Answer rename_prefix(std::string_view from, std::string_view to) {
    const PrefixMove move{from, to};
    return commit({}, {&move, 1}, [](std::span<KeyEdit>) { return true; });
  }
  // Replaces the value at `to`, unless `decide(source, destination) -> bool` forbids it.
  template <class Decide>
  Answer rename_key(std::string_view from, std::string_view to, Decide&& decide);

  // For the background. The page or path was seen just now and may have changed since. Lays a page out anew,
  // in a record of its own, if it holds garbage.
  Answer compact(const PathStep& step);
  // Joins the path's pages, from the last one upwards, with their parents or neighbours, if they are sparse
  // and the other page is in memory. Returns how many pages that has made unnecessary.
  uint32_t merge_along(const Path& path, std::string_view key);
  // If the last page is sparse and hangs by a link of its own, and its parent lacks the room to take it in,
  // divides the parent. Then the page and its neighbours beneath may be joined with the parent's parts.
  bool split_above(const Path& path, std::string_view key);
  // merge_along() on the path of a key. Erasing does this, too.
  Answer merge_at(std::string_view key);

 private:
  enum class Step : uint8_t { done, restart, answered };

  // One look-up of get_many between two of its turns.
  struct Lookup {
    size_t index = 0;
    uint32_t restarts = 0;
    uint32_t pages = 0;
    uint64_t noted = 0;
    std::string_view rest;
    Frame* frame = nullptr;
    Frame* child = nullptr;  // its memory is being prefetched
    OptimisticRead read;
    WalkPlace place;
  };
  static constexpr uint32_t kLookupsAtOnce = 16;
  static constexpr uint32_t kLookupRestartsMax = 4;
  bool start_lookup(Lookup& lookup, std::string_view key);
  template <class Take>
  Step lookup_turn(Lookup& lookup, std::string_view key, Answer& answer, Take&& take);
  // The LSN on which a read that ended in a page with this LSN depends.
  Lsn dependency(std::string_view key, Lsn page) const {
    uint64_t durable = 0;
    if constexpr (requires { journal_.durable(); }) durable = journal_.durable();
    return gate_.last_rename_of(key, durable, page);
  }

  Outcome failed(Found found) const { return found == Found::missing ? Outcome::missing : Outcome::damaged; }
  uint32_t suffix_bound(std::string_view key, const PathStep& step) const {
    return bound_of(static_cast<uint32_t>(key.size()) - step.depth);
  }
  bool bounds_hold(std::string_view key, uint8_t flags) const;

  template <class Decide>
  Step try_mutate(std::string_view key, Decide&& decide, Answer& answer);
  template <class Decide>
  Step try_commit(std::span<KeyEdit> edits, std::span<const PrefixMove> moves, Decide&& decide,
                  Answer& answer);
  Step locate(std::string_view key, bool at_link, Path& path, Stop& stop, Answer& answer);

  // Makes room in path[i]: splits the page, or a page above it that lacks room. Always ends in a restart or
  // an answer.
  Step split(const Path& path, size_t i, std::string_view key, Answer& answer) {
    return split(path, i, key, answer, choose_split);
  }
  using ChooseSplit = SplitPlan (*)(const PageView& page, bool has_parent);
  Step split(const Path& path, size_t i, std::string_view key, Answer& answer, ChooseSplit choose);
  Step split_root_range(const Path& path, size_t i, std::string_view key, const SplitPlan& plan,
                        Answer& answer);
  bool share(const PathStep& above, const PathStep& step, std::string_view key);
  bool image_of(const PageView& from, uint32_t offset, uint8_t first = 0, uint8_t last = 255);

  // Parts of a commit. `restart`: a latch was not free; `answered`: the commit ended.
  enum class Placed : uint8_t { done, no_room, no_frames, restart, damaged };
  Placed place(Frame* frame, std::string_view suffix, PageOp op);
  Placed raise_bounds(const Path& path, std::string_view key, uint32_t longest, uint8_t flags);
  Step apply_move(const PrefixMove& move, size_t index, Answer& answer);
  Placed move_block(const PrefixMove& move, const Path& from, const Path& to);
  // Whether some key beneath a block is longer than `bytes_max` behind it.
  Step longer_than(const PageView& page, uint32_t offset, uint32_t above, uint32_t bytes_max, bool& longer,
                   Answer& answer);
  bool remove_empty_pages();
  static constexpr uint32_t kSplitsAboveMax = 2;  // after one operation
  void merge_after_split();
  bool split_above_sparse(std::string_view key);
  uint32_t merge_upwards(const Path& path, size_t i, std::string_view key, Answer& answer);
  bool split_helps(const Path& path, std::string_view key);
  bool try_merge(const PathStep& above, const PathStep& step, std::string_view key, Answer& answer);
  Step make_room(Placed placed, const Path& path, std::string_view key, Answer& answer);

  Source& source_;
  Journal& journal_;
  RenameGate& gate_;
  TreeOptions options_;
  ChangeSet<Source> change_;
  Path path_;
  std::vector<Path> paths_;
  std::vector<Stop> stops_;
  std::vector<std::string_view> keys_;  // the keys of paths_
  std::string record_;
  std::vector<std::byte> image_;
  std::vector<size_t> late_;  // look-ups of get_many that met too many changes
  std::string split_key_;     // pages on its path were split for the operation under way
  bool met_sparse_ = false;   // whether the last merge on a key's path met a sparse page
};

}  // namespace fb::art

#include "art/tree_change.h"
#include "art/tree_read.h"
#include "art/tree_rename.h"
#include "art/tree_split.h"
