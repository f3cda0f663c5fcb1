// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

// For tests: what many clients asked of one folder and were answered, and whether some order of their
// operations, each between its question and its answer, explains all of it.

namespace fb {

// A folder is at one of several places at a time, with all that lies in it; keys can also be put where it is
// not.
inline constexpr unsigned kFolderPlaces = 3;
inline constexpr unsigned kFolderNames = 6;
// These are always there, once, wherever the folder is: they are only replaced.
inline constexpr unsigned kFixedNames = 2;
inline constexpr unsigned kFolderSlots = kFolderPlaces * kFolderNames;
// Which value each key has, by place and name; 0: none.
using FolderState = std::array<uint32_t, kFolderSlots>;
inline constexpr unsigned slot_of(unsigned place, unsigned name) { return place * kFolderNames + name; }

struct FolderOperation {
  enum class Kind : uint8_t {
    get,       // `seen`
    is_there,  // `seen`: 0 or 1
    put,       // `seen`: whether the key was there, 0 or 1
    put_if_absent,
    put_if_value,    // where `expected` is there
    put_two,         // `slot` and `other` in one commit; `seen`: 1 and 2 for those that were there
    erase,           // `seen` as of put
    rename_key,      // from `slot` to `other`
    rename_if_free,  // the same where nothing is at `other`
    rename_folder,   // from place `slot` to place `other`
  };
  enum class End : uint8_t { never, done, refused, absent, occupied };
  Kind kind = Kind::get;
  unsigned slot = 0;
  unsigned other = 0;
  uint32_t value = 0;  // that it puts; put_two puts value + 1 at `other`
  uint32_t expected = 0;
  uint64_t began = 0;
  // never: nobody was told whether it happened.
  End end = End::never;
  uint32_t seen = 0;
  uint64_t ended = UINT64_MAX;

  bool reads() const { return kind == Kind::get || kind == Kind::is_there; }
  std::string to_string() const {
    static constexpr const char* kKinds[] = {
        "get",     "is_there", "put",        "put_if_absent",  "put_if_value",
        "put_two", "erase",    "rename_key", "rename_if_free", "rename_folder"};
    static constexpr const char* kEnds[] = {"never", "done", "refused", "absent", "occupied"};
    return fmt::format("[{}, {}] {} slot {} other {} value {} expected {}: {}, seen {}", began,
                       end == End::never ? 0 : ended, kKinds[static_cast<size_t>(kind)], slot, other, value,
                       expected, kEnds[static_cast<size_t>(end)], seen);
  }
  // What it does to a folder. False where the answer that was given does not fit.
  bool apply(FolderState& state) const;
};

inline bool FolderOperation::apply(FolderState& state) const {
  const auto answer = [this](End expected_end) { return end == End::never || end == expected_end; };
  const auto saw = [this](uint32_t what) { return end == End::never || (end == End::done && seen == what); };
  switch (kind) {
    case Kind::get:
      return saw(state[slot]);
    case Kind::is_there:
      return saw(state[slot] != 0);
    case Kind::put:
      if (!saw(state[slot] != 0)) return false;
      state[slot] = value;
      return true;
    case Kind::put_if_absent:
    case Kind::put_if_value:
      if (state[slot] != (kind == Kind::put_if_absent ? 0 : expected)) return answer(End::refused);
      state[slot] = value;
      return answer(End::done);
    case Kind::put_two:
      if (!saw((state[slot] != 0 ? 1u : 0u) + (state[other] != 0 ? 2u : 0u))) return false;
      state[slot] = value;
      state[other] = value + 1;
      return true;
    case Kind::erase:
      if (!saw(state[slot] != 0)) return false;
      state[slot] = 0;
      return true;
    case Kind::rename_key:
    case Kind::rename_if_free:
      if (state[slot] == 0) return answer(End::absent);
      if (kind == Kind::rename_if_free && state[other] != 0) return answer(End::refused);
      state[other] = state[slot];
      state[slot] = 0;
      return answer(End::done);
    case Kind::rename_folder: {
      const auto at = [&state](unsigned place) { return state.begin() + place * kFolderNames; };
      const auto empty = [&at](unsigned place) {
        return std::all_of(at(place), at(place) + kFolderNames, [](uint32_t each) { return each == 0; });
      };
      if (empty(slot)) return answer(End::absent);
      if (!empty(other)) return answer(End::occupied);
      std::swap_ranges(at(slot), at(slot) + kFolderNames, at(other));
      return answer(End::done);
    }
  }
  return false;
}

// Takes a history in the order of time and keeps every state that the folder may be in, with those of the
// operations under way that have happened in it. A read is taken as happened as soon as it fits: that changes
// nothing for the others. What else happened, and when, is asked where an answer needs it.
class FolderChecker {
 public:
  explicit FolderChecker(const FolderState& state = {}) { worlds_.insert({state, {}}); }

  // The operations of one process; those without an answer happened or not. Empty, or what no order explains.
  std::string feed(const std::vector<FolderOperation>& operations) {
    struct Event {
      uint64_t time;
      const FolderOperation* operation;
      bool ends;
    };
    std::vector<Event> events;
    for (const FolderOperation& operation : operations) {
      events.push_back({operation.began, &operation, false});
      if (operation.end != FolderOperation::End::never) events.push_back({operation.ended, &operation, true});
    }
    std::ranges::sort(events, {}, &Event::time);
    for (const Event& event : events) {
      if (!event.ends) {
        begins(*event.operation);
      } else if (!ends(*event.operation)) {
        return "no order explains " + event.operation->to_string() + story(operations, *event.operation);
      }
    }
    forget_under_way();
    return {};
  }
  size_t worlds_max() const { return worlds_max_; }

 private:
  static constexpr size_t kUnderWayMax = 256;
  using Mask = std::array<uint64_t, kUnderWayMax / 64>;
  struct World {
    FolderState state;
    Mask happened;
    auto operator<=>(const World&) const = default;
  };
  static bool has(const Mask& mask, size_t i) { return (mask[i / 64] >> (i % 64) & 1) != 0; }
  static void set(Mask& mask, size_t i) { mask[i / 64] |= uint64_t{1} << (i % 64); }
  static void clear(Mask& mask, size_t i) { mask[i / 64] &= ~(uint64_t{1} << (i % 64)); }

  void settle_reads(World& world) const {
    for (size_t i = 0; i < under_way_.size(); ++i) {
      if (under_way_[i] == nullptr || !under_way_[i]->reads() || has(world.happened, i)) continue;
      if (under_way_[i]->apply(world.state)) set(world.happened, i);
    }
  }
  void begins(const FolderOperation& operation) {
    size_t place = 0;
    while (place < under_way_.size() && under_way_[place] != nullptr) ++place;
    if (place == under_way_.size()) under_way_.push_back(nullptr);
    if (place >= kUnderWayMax) return;  // too many at once to be followed: `ends` finds nothing
    under_way_[place] = &operation;
    if (!operation.reads()) return;
    std::set<World> settled;
    for (World world : worlds_) {
      settle_reads(world);
      settled.insert(world);
    }
    worlds_ = std::move(settled);
  }
  bool ends(const FolderOperation& operation) {
    const size_t place = static_cast<size_t>(std::ranges::find(under_way_, &operation) - under_way_.begin());
    if (place == under_way_.size()) return false;
    std::set<World> after;
    std::set<World> visited;
    std::vector<World> open(worlds_.begin(), worlds_.end());
    while (!open.empty()) {
      World world = open.back();
      open.pop_back();
      if (has(world.happened, place)) {
        clear(world.happened, place);
        after.insert(world);
      } else {
        add_next(world, visited, open);
      }
    }
    under_way_[place] = nullptr;
    worlds_ = std::move(after);
    worlds_max_ = std::max(worlds_max_, worlds_.size());
    return !worlds_.empty();
  }
  // Each world in which one more of the operations under way has happened.
  void add_next(const World& world, std::set<World>& visited, std::vector<World>& open) const {
    for (size_t i = 0; i < under_way_.size(); ++i) {
      if (under_way_[i] == nullptr || has(world.happened, i) || under_way_[i]->reads()) continue;
      World next = world;
      if (!under_way_[i]->apply(next.state)) continue;
      set(next.happened, i);
      settle_reads(next);
      if (visited.insert(next).second) open.push_back(next);
    }
  }
  void forget_under_way() {
    std::set<World> visited;
    std::vector<World> open(worlds_.begin(), worlds_.end());
    while (!open.empty()) {
      const World world = open.back();
      open.pop_back();
      visited.insert(world);
      add_next(world, visited, open);
    }
    worlds_.clear();
    for (const World& world : visited) worlds_.insert({world.state, {}});
    under_way_.clear();
  }
  // What happened shortly before, for a person to read.
  static std::string story(const std::vector<FolderOperation>& operations, const FolderOperation& wrong) {
    std::vector<const FolderOperation*> last;
    for (const FolderOperation& operation : operations) {
      if (operation.began <= wrong.ended) last.push_back(&operation);
    }
    std::ranges::sort(last, {}, [](const auto* operation) { return operation->ended; });
    std::string text;
    for (size_t i = last.size() > 40 ? last.size() - 40 : 0; i < last.size(); ++i)
      text += "\n  " + last[i]->to_string();
    return text;
  }

  std::vector<const FolderOperation*> under_way_;
  std::set<World> worlds_;
  size_t worlds_max_ = 0;
};

}  // namespace fb
