// SPDX-License-Identifier: Apache-2.0
#pragma once

// Part of tree.h: changing keys.

namespace fb::art {

template <PageSource Source, JournalSink Journal>
template <class Decide>
Answer Tree<Source, Journal>::mutate(std::string_view key, Decide&& decide) {
  Answer answer;
  if (key.size() > options_.key_bytes_max) return {.outcome = Outcome::too_large};
  for (;;) {
    const Step step = try_mutate(key, decide, answer);
    FB_DCHECK(change_.size() == 0);
    if (step == Step::answered) {
      merge_after_split();
      return answer;
    }
    source_.pause();
  }
}

template <PageSource Source, JournalSink Journal>
bool Tree<Source, Journal>::bounds_hold(std::string_view key, uint8_t flags) const {
  for (size_t i = 1; i < path_.size(); ++i) {
    if (path_[i].bound < suffix_bound(key, path_[i]) || (flags & ~path_[i].flags) != 0) return false;
  }
  return true;
}

// One page, one operation, no copy: nearly every put and erase is such. All others go by `try_commit`.
template <PageSource Source, JournalSink Journal>
template <class Decide>
auto Tree<Source, Journal>::try_mutate(std::string_view key, Decide&& decide, Answer& answer) -> Step {
  const uint64_t noted = gate_.note();
  if (RenameGate::is_closed(noted)) return Step::restart;
  Stop stop;
  const Found found = descend(source_, key, false, path_, stop, answer.page);
  if (found == Found::restart) return Step::restart;
  if (found != Found::arrived) {
    answer.outcome = failed(found);
    return gate_.unchanged(noted) ? Step::answered : Step::restart;
  }
  const PathStep last = path_.back();
  Frame& frame = *last.frame;
  source_.point("art.mutate.latch");
  if (!frame.latch.try_upgrade(last.version)) return Step::restart;
  source_.point("art.mutate.latched");
  PageEditor page(frame);
  // Prefetches the place of a new value while the decision and the record are made.
  prefetch_for_write(frame.bytes + page.header().heap_end, kPrefetchedValueBytes);
  const Block value = stop.kind == StopKind::value ? value_at(page.view(), stop) : Block{};
  Present present;
  if (value.ok()) present = {true, value.value_flags(), value.value()};
  if (!gate_.enter(options_.core, noted, [this] { source_.point("art.gate.enter"); })) {
    frame.latch.release(false);
    return Step::restart;
  }
  const auto leave = [&](bool changed) {
    gate_.leave(options_.core);
    source_.point("art.gate.left");
    frame.latch.release(changed);
  };
  const Decision decision = decide(std::as_const(present));
  source_.point("art.mutate.decided");
  answer.page = frame.page_id.load(std::memory_order_relaxed);
  answer.lsn = std::max(page.view().lsn(), gate_.last_rename());
  const bool erase = decision.action == Decision::Action::erase;
  if (decision.action == Decision::Action::keep || (erase && !present.exists)) {
    leave(false);
    answer.outcome = decision.action == Decision::Action::keep ? Outcome::kept : Outcome::absent;
    return Step::answered;
  }
  if (!erase && decision.value.size() > value_bytes_max(frame.page_bytes)) {
    leave(false);
    answer.outcome = Outcome::too_large;
    return Step::answered;
  }
  const uint32_t rest = static_cast<uint32_t>(key.size()) - last.depth - stop.consumed;
  const bool simple = erase
                          ? page.view().entries() > 1 || path_.size() == 1
                          : rest <= tail_bytes_max(frame.page_bytes) && bounds_hold(key, decision.link_flags);
  if (!simple) {
    leave(false);
    KeyEdit edit{.key = key};
    return try_commit(
        {&edit, 1}, {},
        [&](std::span<KeyEdit> edits) {
          edits[0].decision = decide(std::as_const(edits[0].present));
          return true;
        },
        answer);
  }
  PageOp op{.kind = erase ? PageOp::Kind::erase_value : PageOp::Kind::set_value,
            .path = key.substr(last.depth),
            .value_given = !erase,
            .value_flags = decision.value_flags,
            .value = decision.value};
  // The value may be a view into the page, so the bytes of the record are both applied and logged.
  record_.clear();
  begin_page_change(record_, answer.page, op.encoded_value_bytes());
  const size_t begin = record_.size();
  op.encode(record_);
  FB_ASSERT(record_.size() - begin == op.encoded_value_bytes(), record_.size(), begin);
  op.value = std::string_view(record_).substr(record_.size() - op.value.size());
  const auto applied = apply(page, op);
  if (!applied) {
    leave(false);
    if (applied.error().is(OpError::no_room)) return split(path_, path_.size() - 1, key, answer);
    answer.outcome = Outcome::damaged;
    return Step::answered;
  }
  source_.point("art.mutate.append");
  const Lsn lsn = append_decided(journal_, record_);
  source_.point("art.mutate.appended");
  page.header().lsn_epoch = lsn.epoch;
  page.header().lsn_position = lsn.position;
  source_.changed(frame);
  source_.point("art.mutate.changed");
  const bool sparse = erase && path_.size() > 1 && is_sparse(page.view());
  leave(true);
  answer.outcome = Outcome::done;
  answer.lsn = lsn;
  if (sparse) (void)merge_at(key);
  return Step::answered;
}

template <PageSource Source, JournalSink Journal>
auto Tree<Source, Journal>::locate(std::string_view key, bool at_link, Path& path, Stop& stop, Answer& answer)
    -> Step {
  const Found found = descend(source_, key, at_link, path, stop, answer.page);
  if (found == Found::restart) return Step::restart;
  if (found == Found::arrived) return Step::done;
  answer.outcome = failed(found);
  return Step::answered;
}

template <PageSource Source, JournalSink Journal>
template <class Decide>
Answer Tree<Source, Journal>::commit(std::span<KeyEdit> edits, std::span<const PrefixMove> moves,
                                     Decide&& decide) {
  Answer answer;
  for (const KeyEdit& edit : edits) {
    if (edit.key.size() > options_.key_bytes_max) return {.outcome = Outcome::too_large};
  }
  for (const PrefixMove& move : moves) {
    if (move.from.empty() || move.from.size() > options_.key_bytes_max)
      return {.outcome = Outcome::source_missing};
    if (move.to.starts_with(move.from)) return {.outcome = Outcome::into_itself};
    if (move.to.size() > options_.key_bytes_max) return {.outcome = Outcome::key_too_long};
    if (move.to.empty()) return {.outcome = Outcome::destination_occupied};
  }
  for (;;) {
    const Step step = try_commit(edits, moves, decide, answer);
    FB_DCHECK(change_.size() == 0);
    if (step == Step::answered) {
      merge_after_split();
      return answer;
    }
    source_.pause();
  }
}

template <PageSource Source, JournalSink Journal>
template <class Decide>
auto Tree<Source, Journal>::try_commit(std::span<KeyEdit> edits, std::span<const PrefixMove> moves,
                                       Decide&& decide, Answer& answer) -> Step {
  const uint64_t noted = gate_.note();
  if (RenameGate::is_closed(noted)) return Step::restart;
  // An answer that changes nothing holds only if no rename came between.
  const auto answered = [&](Outcome outcome) {
    change_.abandon();
    answer.outcome = outcome;
    return gate_.unchanged(noted) ? Step::answered : Step::restart;
  };
  const auto restart = [&] {
    change_.abandon();
    return Step::restart;
  };
  const size_t count = edits.size() + 2 * moves.size();
  if (paths_.size() < count) paths_.resize(count);
  stops_.resize(count);
  keys_.resize(paths_.size());
  for (size_t i = count; i < paths_.size(); ++i) paths_[i].clear();
  for (size_t i = 0; i < count; ++i) {
    const bool edit = i < edits.size();
    const size_t m = edit ? 0 : (i - edits.size()) / 2;
    const std::string_view key = edit                          ? edits[i].key
                                 : (i - edits.size()) % 2 == 0 ? moves[m].from
                                                               : moves[m].to;
    keys_[i] = key;
    const Step step = locate(key, !edit, paths_[i], stops_[i], answer);
    if (step == Step::restart) return restart();
    if (step == Step::answered) return answered(answer.outcome);
  }
  source_.point("art.commit.latch");
  answer.lsn = gate_.last_rename();
  for (size_t i = 0; i < count; ++i) {
    const PathStep& last = paths_[i].back();
    if (!change_.lock(last.frame, last.version)) return restart();
    source_.point("art.commit.latched");
    answer.lsn = std::max(answer.lsn, PageView(*last.frame).lsn());
  }
  for (size_t i = 0; i < edits.size(); ++i) {
    const Block value =
        stops_[i].kind == StopKind::value ? value_at(PageView(*paths_[i].back().frame), stops_[i]) : Block{};
    edits[i].present = value.ok() ? Present{true, value.value_flags(), value.value()} : Present{};
  }
  if (!decide(edits)) return answered(Outcome::kept);
  bool any = !moves.empty();
  for (size_t i = 0; i < edits.size(); ++i) {
    const KeyEdit& edit = edits[i];
    if (edit.decision.action == Decision::Action::keep) continue;
    const bool erase = edit.decision.action == Decision::Action::erase;
    if (erase && !edit.present.exists) continue;
    any = true;
    Frame* frame = paths_[i].back().frame;
    if (!erase && edit.decision.value.size() > value_bytes_max(frame->page_bytes))
      return answered(Outcome::too_large);
    const std::string_view suffix = edit.key.substr(paths_[i].back().depth);
    Placed placed = Placed::done;
    if (erase) {
      const auto erased = change_.apply(frame, {.kind = PageOp::Kind::erase_value, .path = suffix});
      if (!erased) placed = Placed::damaged;
    } else {
      placed = place(frame, suffix,
                     {.kind = PageOp::Kind::set_value,
                      .value_given = true,
                      .value_flags = edit.decision.value_flags,
                      .value = edit.decision.value});
      if (placed == Placed::done) {
        placed = raise_bounds(paths_[i], edit.key, static_cast<uint32_t>(edit.key.size()),
                              edit.decision.link_flags);
      }
    }
    if (placed != Placed::done) return make_room(placed, paths_[i], edit.key, answer);
  }
  if (!any)
    return answered(edits.size() == 1 && edits[0].decision.action == Decision::Action::erase ? Outcome::absent
                                                                                             : Outcome::kept);
  for (size_t m = 0; m < moves.size(); ++m) {
    const Step step = apply_move(moves[m], edits.size() + 2 * m, answer);
    if (step == Step::restart) return restart();
    if (step == Step::answered) return answered(answer.outcome);
  }
  if (change_.changes_nothing()) return answered(Outcome::kept);
  if (!remove_empty_pages()) return restart();
  source_.point("art.commit.gate");
  DecidedSink<Journal> decided(journal_);
  if (moves.empty()) {
    if (!gate_.enter(options_.core, noted, [this] { source_.point("art.gate.enter"); })) return restart();
    answer.lsn = change_.commit(decided);
    source_.point("art.commit.done");
    gate_.leave(options_.core);
  } else {
    if (!gate_.try_close(noted)) return restart();
    source_.point("art.gate.closed");
    gate_.wait_for_writers([&] { source_.pause(); });
    source_.point("art.gate.alone");
    answer.lsn = change_.commit(decided);
    for (const PrefixMove& move : moves) gate_.moved(answer.lsn, move.to);
    source_.point("art.gate.open");
    gate_.open(answer.lsn);
  }
  answer.outcome = Outcome::done;
  return Step::answered;
}

template <PageSource Source, JournalSink Journal>
auto Tree<Source, Journal>::make_room(Placed placed, const Path& path, std::string_view key, Answer& answer)
    -> Step {
  change_.abandon();
  switch (placed) {
    case Placed::no_room:
      return split(path, path.size() - 1, key, answer);
    case Placed::no_frames:
      answer.outcome = Outcome::no_frames;
      return Step::answered;
    case Placed::damaged:
      answer.outcome = Outcome::damaged;
      return Step::answered;
    case Placed::done:
    case Placed::restart:
      break;
  }
  return Step::restart;
}

// Places a value or link at `suffix` of a page. A suffix too long for the page is cut, from the end, into
// pages of its own.
template <PageSource Source, JournalSink Journal>
auto Tree<Source, Journal>::place(Frame* frame, std::string_view suffix, PageOp op) -> Placed {
  const PageView view = change_.view(frame);
  const Stop stop = walk(view, suffix);
  uint32_t begin = stop.consumed + (stop.kind == StopKind::label ? stop.matched : 0);
  const uint32_t tail = tail_bytes_max(frame->page_bytes);
  const auto size = static_cast<uint32_t>(suffix.size());
  const uint8_t bound_below = op.kind == PageOp::Kind::put_link ? op.bound : uint8_t{0};
  uint32_t end = size;
  while (end > begin + 1 + tail) {
    const uint32_t cut = std::max(begin + 1 + tail / 2, end - tail);
    image_.assign(frame->page_bytes, std::byte{0});
    PageEditor page(image_.data(), frame->page_bytes);
    page.format({});
    op.path = suffix.substr(cut, end - cut);
    if (!apply(page, op)) return Placed::damaged;
    Frame* made = change_.create(page.view());
    if (made == nullptr) return Placed::no_frames;
    op = {.kind = PageOp::Kind::put_link,
          .page = made->page_id.load(std::memory_order_relaxed),
          .bound = static_cast<uint8_t>(std::min<uint32_t>(255, bound_of(size - cut) + bound_below)),
          .link_flags = op.link_flags};
    end = cut;
  }
  op.path = suffix.substr(0, end);
  const auto applied = change_.apply(frame, op);
  if (applied) return Placed::done;
  return applied.error().is(OpError::no_room) ? Placed::no_room : Placed::damaged;
}

// All links above the last page of `path` must allow for a key of `longest` bytes, and carry the flags.
template <PageSource Source, JournalSink Journal>
auto Tree<Source, Journal>::raise_bounds(const Path& path, std::string_view key, uint32_t longest,
                                         uint8_t flags) -> Placed {
  for (size_t i = path.size(); i-- > 1;) {
    const uint8_t bound = bound_of(longest - path[i].depth);
    if (path[i].bound >= bound && (flags & ~path[i].flags) == 0) continue;
    const PathStep& above = path[i - 1];
    if (!change_.lock(above.frame, above.version)) return Placed::restart;
    PageOp op{.kind = PageOp::Kind::set_bound, .path = key.substr(above.depth, path[i].depth - above.depth)};
    if (path[i].by_range) op.byte = static_cast<uint8_t>(key[path[i].depth]);
    const PageView view = change_.view(above.frame);
    const LinkInfo now = link_at(
        view, walk(view, key.substr(above.depth, path[i].depth - above.depth + (path[i].by_range ? 1 : 0))));
    op.bound = std::max(now.bound, bound);
    op.link_flags = now.flags | flags;
    if (!change_.apply(above.frame, op)) return Placed::damaged;
  }
  return Placed::done;
}

// Pages that a change leaves empty lose their links in the same record; so do pages that become empty by
// that.
template <PageSource Source, JournalSink Journal>
bool Tree<Source, Journal>::remove_empty_pages() {
  for (size_t i = 0; i < change_.size(); ++i) {
    Frame* frame = change_.frame(i);
    if (!change_.changes(i) || frame == source_.root() || change_.view(frame).entries() != 0) continue;
    const Path* path = nullptr;
    size_t step = 0;
    for (const Path& candidate : paths_) {
      for (size_t s = 1; s < candidate.size() && path == nullptr; ++s) {
        if (candidate[s].frame != frame) continue;
        path = &candidate;
        step = s;
      }
    }
    if (path == nullptr) return false;
    const size_t index = static_cast<size_t>(path - paths_.data());
    const PathStep& above = (*path)[step - 1];
    if (!change_.lock(above.frame, above.version)) return false;
    const std::string_view key = keys_[index];
    PageOp op{.kind = PageOp::Kind::erase_link,
              .path = key.substr(above.depth, (*path)[step].depth - above.depth)};
    if ((*path)[step].by_range) op.byte = static_cast<uint8_t>(key[(*path)[step].depth]);
    if (!change_.apply(above.frame, op)) return false;
    change_.retire(frame);
    i = static_cast<size_t>(-1);  // a page above may have become empty
  }
  return true;
}

}  // namespace fb::art
