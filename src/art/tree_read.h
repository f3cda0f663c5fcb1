// SPDX-License-Identifier: Apache-2.0
#pragma once

// Part of tree.h: reading.

namespace fb::art {

template <PageSource Source, JournalSink Journal>
template <class Take>
Answer Tree<Source, Journal>::get(std::string_view key, Take&& take) {
  for (bool first = true;; first = false) {
    if (!first) source_.pause();
    const uint64_t noted = gate_.note();
    if (RenameGate::is_closed(noted)) continue;
    Frame* frame = source_.root();
    OptimisticRead read(frame->latch);
    if (!read.started()) continue;
    std::string_view rest = key;
    Found found = Found::arrived;
    Answer answer;
    for (uint32_t pages = 0;; ++pages) {
      source_.point("art.get.page");
      const PageView view(*frame);
      const Stop stop = walk(view, rest);
      if (stop.kind == StopKind::link || stop.kind == StopKind::range) {
        const LinkInfo link = link_at(view, stop);
        if (!read.valid()) {
          found = Found::restart;
          break;
        }
        if (pages > kPathPagesMax) {
          found = Found::damaged;
          break;
        }
        source_.point("art.get");
        OptimisticRead below;
        Frame* child = nullptr;
        found = follow(source_, frame, read, link, child, below, answer.page);
        if (found != Found::arrived) break;
        rest.remove_prefix(stop.consumed);
        frame = child;
        read = std::move(below);
        continue;
      }
      const Block value = stop.kind == StopKind::value ? value_at(view, stop) : Block{};
      if (value.ok()) take(value.value_flags(), value.value());
      source_.point("art.get.taken");
      answer.lsn = dependency(key, view.lsn());
      answer.outcome = value.ok() ? Outcome::done : Outcome::absent;
      answer.page = frame->page_id.load(std::memory_order_relaxed);
      const bool bad = stop.kind == StopKind::bad || stop.kind == StopKind::partition;
      if (!read.valid()) {
        found = Found::restart;
      } else if (bad) {
        found = Found::damaged;
      }
      break;
    }
    if (found == Found::restart) continue;
    if (found != Found::arrived) answer.outcome = failed(found);
    source_.point("art.get.gate");
    if (gate_.unchanged(noted)) return answer;
  }
}

template <PageSource Source, JournalSink Journal>
bool Tree<Source, Journal>::start_lookup(Lookup& lookup, std::string_view key) {
  lookup.noted = gate_.note();
  lookup.rest = key;
  lookup.frame = source_.root();
  lookup.child = nullptr;
  lookup.pages = 0;
  lookup.place = {};
  lookup.read = OptimisticRead(lookup.frame->latch);
  return !RenameGate::is_closed(lookup.noted) && lookup.read.started();
}

// Goes on as far as the memory is probably in the cache. `done`: the look-up needs another turn.
template <PageSource Source, JournalSink Journal>
template <class Take>
auto Tree<Source, Journal>::lookup_turn(Lookup& lookup, std::string_view key, Answer& answer, Take&& take)
    -> Step {
  if (lookup.child != nullptr) {
    OptimisticRead below(lookup.child->latch);
    if (!below.started() || !lookup.read.valid()) return Step::restart;
    lookup.frame = std::exchange(lookup.child, nullptr);
    lookup.read = std::move(below);
    if constexpr (!requires { source_.place_of(lookup.frame); }) {
      prefetch_page(lookup.frame->bytes);
      return Step::done;
    }
  }
  source_.point("art.get_many.page");
  const PageView view(*lookup.frame);
  Stop stop;
  const auto far_away = [&](uint32_t offset) {
    if (offset < kPrefetchedBytes) return false;
    prefetch(view.bytes() + offset, kPrefetchedValueBytes);
    return true;
  };
  if (!walk_on(view, lookup.rest, lookup.place, stop, NoTrace(), far_away)) return Step::done;
  const auto ended = [&](Outcome outcome) {
    answer.outcome = outcome;
    return gate_.unchanged(lookup.noted) ? Step::answered : Step::restart;
  };
  if (stop.kind == StopKind::link || stop.kind == StopKind::range) {
    const LinkInfo link = link_at(view, stop);
    if (!lookup.read.valid()) return Step::restart;
    if (++lookup.pages > kPathPagesMax) return ended(Outcome::damaged);
    source_.point("art.get_many");
    lookup.rest.remove_prefix(stop.consumed);
    lookup.place = {};
    if (link.word.is_frame()) {
      lookup.child = link.word.frame();
      prefetch(lookup.child, sizeof(Frame));
      if constexpr (requires { source_.place_of(lookup.child); }) {
        prefetch_page(source_.place_of(lookup.child));
      }
      return Step::done;
    }
    OptimisticRead below;
    Frame* child = nullptr;
    const Found found = follow(source_, lookup.frame, lookup.read, link, child, below, answer.page);
    if (found == Found::restart) return Step::restart;
    if (found != Found::arrived) return ended(failed(found));
    lookup.frame = child;
    lookup.read = std::move(below);
    return Step::done;
  }
  const Block value = stop.kind == StopKind::value ? value_at(view, stop) : Block{};
  if (value.ok()) take(lookup.index, value.value_flags(), value.value());
  source_.point("art.get_many.taken");
  answer.lsn = dependency(key, view.lsn());
  answer.page = lookup.frame->page_id.load(std::memory_order_relaxed);
  if (!lookup.read.valid()) return Step::restart;
  const bool bad = stop.kind == StopKind::bad || stop.kind == StopKind::partition;
  return ended(bad ? Outcome::damaged : value.ok() ? Outcome::done : Outcome::absent);
}

// Look-ups take turns; one that has ended makes room for the next key.
template <PageSource Source, JournalSink Journal>
template <class Take>
void Tree<Source, Journal>::get_many(std::span<const std::string_view> keys, std::span<Answer> answers,
                                     Take&& take) {
  FB_ASSERT(keys.size() == answers.size(), keys.size(), answers.size());
  std::array<Lookup, kLookupsAtOnce> lookups;
  size_t next = 0;
  const auto give = [&](Lookup& lookup) {
    if (next == keys.size()) return false;
    lookup.index = next++;
    lookup.restarts = 0;
    lookup.frame = nullptr;
    prefetch(keys[lookup.index].data(), static_cast<uint32_t>(keys[lookup.index].size()));
    return true;
  };
  uint32_t busy = 0;
  while (busy < kLookupsAtOnce && give(lookups[busy])) ++busy;
  while (busy > 0) {
    for (uint32_t i = 0; i < busy;) {
      Lookup& lookup = lookups[i];
      const std::string_view key = keys[lookup.index];
      Step step = Step::done;
      if (lookup.frame == nullptr && !start_lookup(lookup, key)) step = Step::restart;
      if (step == Step::done) step = lookup_turn(lookup, key, answers[lookup.index], take);
      if (step == Step::restart) {
        lookup.read.end();
        lookup.frame = nullptr;
        lookup.child = nullptr;
        if (++lookup.restarts > kLookupRestartsMax) late_.push_back(lookup.index);
      }
      const bool over = step == Step::answered || lookup.restarts > kLookupRestartsMax;
      if (over) lookup.read.end();
      if (over && !give(lookup)) {
        if (i != --busy) lookup = std::move(lookups[busy]);
        continue;
      }
      ++i;
    }
  }
  // These are looked up alone, with nothing held.
  for (const size_t index : late_) {
    answers[index] =
        get(keys[index], [&](uint8_t flags, std::string_view value) { take(index, flags, value); });
  }
  late_.clear();
}

}  // namespace fb::art
