// SPDX-License-Identifier: Apache-2.0
#pragma once

// Part of tree.h: renaming.

namespace fb::art {

template <PageSource Source, JournalSink Journal>
template <class Decide>
Answer Tree<Source, Journal>::rename_key(std::string_view from, std::string_view to, Decide&& decide) {
  if (from == to) return {.outcome = Outcome::into_itself};
  KeyEdit edits[] = {{.key = from}, {.key = to}};
  bool missing = false;
  Answer answer = commit(edits, {}, [&](std::span<KeyEdit> both) {
    missing = !both[0].present.exists;
    if (missing || !decide(std::as_const(both[0].present), std::as_const(both[1].present))) return false;
    both[0].decision.action = Decision::Action::erase;
    both[1].decision = {.action = Decision::Action::put,
                        .value_flags = both[0].present.flags,
                        .value = both[0].present.value};
    return true;
  });
  if (answer.outcome == Outcome::kept && missing) answer.outcome = Outcome::source_missing;
  return answer;
}

// Moves one prefix: the block at the end of the source's path leaves its page, and is linked or grafted at
// the destination.
template <PageSource Source, JournalSink Journal>
auto Tree<Source, Journal>::apply_move(const PrefixMove& move, size_t index, Answer& answer) -> Step {
  const Path& from = paths_[index];
  const Path& to = paths_[index + 1];
  const Stop& source = stops_[index];
  const Stop& destination = stops_[index + 1];
  const auto ends_at = [](const Stop& stop, const PathStep& last, std::string_view key) {
    const uint32_t end = last.depth + stop.consumed + (stop.kind == StopKind::label ? stop.matched : 0);
    return stop.kind != StopKind::no_child && end == key.size();
  };
  if (!ends_at(source, from.back(), move.from)) {
    if (move.if_present) return Step::done;
    answer.outcome = Outcome::source_missing;
    return Step::answered;
  }
  if (ends_at(destination, to.back(), move.to)) {
    answer.outcome = Outcome::destination_occupied;
    return Step::answered;
  }
  const PageView page(*from.back().frame);
  const Block block = page.block(source.block);
  const uint32_t label_rest = source.kind == StopKind::label ? block.label_bytes - source.matched : 0;
  const uint32_t beneath = label_rest + (block.kind == BlockKind::link ? block.link_bound() * kBoundStep
                                                                       : longest_suffix(page, source.block));
  // If no name becomes longer, all of them still fit.
  if (move.to.size() > move.from.size() && move.to.size() + beneath > options_.key_bytes_max) {
    bool longer = false;
    const auto room = options_.key_bytes_max - static_cast<uint32_t>(move.to.size());
    const Step step =
        label_rest > room ? Step::done : longer_than(page, source.block, label_rest, room, longer, answer);
    if (step != Step::done) return step;
    if (longer || label_rest > room) {
      answer.outcome = Outcome::key_too_long;
      return Step::answered;
    }
  }
  uint8_t flags = from.back().flags;
  for_each_link(page, [&](const FoundLink& link) { flags |= link.flags; });
  for (size_t i = 1; i < from.size(); ++i) flags |= from[i].flags;
  const auto longest =
      static_cast<uint32_t>(std::min<size_t>(options_.key_bytes_max, move.to.size() + beneath));
  Placed placed = move_block(move, from, to);
  if (placed == Placed::done) placed = raise_bounds(to, move.to, longest, flags);
  if (placed == Placed::restart) return Step::restart;
  if (placed == Placed::done) return Step::done;
  return make_room(placed, to, move.to, answer);
}

template <PageSource Source, JournalSink Journal>
auto Tree<Source, Journal>::move_block(const PrefixMove& move, const Path& from, const Path& to) -> Placed {
  Frame* source = from.back().frame;
  Frame* target = to.back().frame;
  // The source with this change's operations so far; erase_subtree below changes a copy, not the page itself.
  const PageView page = change_.view(source);
  const Stop now = walk(page, move.from.substr(from.back().depth));
  const Block block = page.block(now.block);
  std::string path(move.to.substr(to.back().depth));
  if (now.kind == StopKind::label) path.append(block.label().substr(now.matched));
  PageOp link{.kind = PageOp::Kind::put_link};
  bool graft = false;
  if (block.kind == BlockKind::link) {
    link.page = block.link().page_id();
    link.bound = block.link_bound();
    link.link_flags = block.link_flags();
  } else {
    if (!image_of(page, now.block)) return Placed::damaged;
    const PageView image(image_.data(), source->page_bytes);
    // Little content is grafted into a page; much content becomes a page.
    graft = image.live_bytes() <= image.capacity_bytes() / 4;
    link.bound = bound_of(longest_suffix(image, image.root()));
    link.link_flags = from.back().flags;
  }
  if (!change_.apply(source,
                     {.kind = PageOp::Kind::erase_subtree, .path = move.from.substr(from.back().depth)})) {
    return Placed::damaged;
  }
  if (graft) {
    const PageView image(image_.data(), source->page_bytes);
    const Stop at = walk(change_.view(target), path);
    if (path.size() <= at.consumed + tail_bytes_max(source->page_bytes)) {
      const auto grafted =
          change_.apply(target, {.kind = PageOp::Kind::graft, .path = path, .body = image_body(image)});
      if (grafted) return Placed::done;
      if (!grafted.error().is(OpError::no_room)) return Placed::damaged;
    }
  }
  if (block.kind != BlockKind::link) {
    Frame* made = change_.create(PageView(image_.data(), source->page_bytes));
    if (made == nullptr) return Placed::no_frames;
    link.page = made->page_id.load(std::memory_order_relaxed);
  }
  return place(target, path, link);
}

// Looks into the pages beneath if their bounds do not decide.
template <PageSource Source, JournalSink Journal>
auto Tree<Source, Journal>::longer_than(const PageView& page, uint32_t offset, uint32_t above,
                                        uint32_t bytes_max, bool& longer, Answer& answer) -> Step {
  struct Below {
    LinkWord word;
    uint32_t above;
  };
  std::vector<Below> open;
  uint32_t looked_into = 0;
  const auto visit_link = [&](LinkWord word, uint8_t bound, uint32_t depth) {
    if (depth + bound * kBoundStep > bytes_max) open.push_back({word, depth});
  };
  const auto visit_page = [&](const PageView& view, uint32_t top, uint32_t depth) {
    if (depth + longest_path(view, top) > bytes_max) longer = true;
    for_each_link_below(
        view, top, [&](const FoundLink& link) { visit_link(link.word, link.bound, depth + link.depth); });
  };
  const Block block = page.block(offset);
  if (block.kind == BlockKind::link) {
    visit_link(block.link(), block.link_bound(), above);
  } else {
    visit_page(page, offset, above);
  }
  while (!open.empty() && !longer) {
    const Below next = open.back();
    open.pop_back();
    Frame* frame = next.word.is_frame() ? next.word.frame() : source_.find(next.word.page_id());
    if (frame == nullptr) {
      answer.page = next.word.page_id();
      answer.outcome = Outcome::missing;
      return Step::answered;
    }
    if (++looked_into > options_.pages_beneath_max) {
      longer = true;  // assumed, since no more pages may be looked into
      break;
    }
    // The page stays latched until the rename has happened, so that no longer key comes in between.
    const PageId id = next.word.page_id();
    source_.point("art.rename.beneath");
    if (!change_.lock(frame, frame->latch.version())) return Step::restart;
    if (!(frame->page_id.load(std::memory_order_relaxed) == id)) return Step::restart;
    const PageView view(*frame);
    visit_page(view, view.root(), next.above);
  }
  return Step::done;
}

}  // namespace fb::art
