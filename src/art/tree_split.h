// SPDX-License-Identifier: Apache-2.0
#pragma once

// Part of tree.h: splitting and merging pages. Neither changes the set of keys, so neither needs the gate.

namespace fb::art {

// Copies a subtree into `image_`, as a page.
template <PageSource Source, JournalSink Journal>
bool Tree<Source, Journal>::image_of(const PageView& from, uint32_t offset, uint8_t first, uint8_t last) {
  if (image_.size() < from.page_bytes()) image_.resize(from.page_bytes());
  return PageEditor(image_.data(), from.page_bytes()).extract(from, offset, first, last).has_value();
}

template <PageSource Source, JournalSink Journal>
auto Tree<Source, Journal>::split(const Path& path, size_t i, std::string_view key, Answer& answer,
                                  ChooseSplit choose) -> Step {
  const PathStep step = path[i];
  const auto failed_with = [&](Outcome outcome) {
    change_.abandon();
    answer.outcome = outcome;
    return Step::answered;
  };
  if (!change_.lock(step.frame, step.version)) {
    change_.abandon();
    return Step::restart;
  }
  source_.point("art.split");
  const PageView view(*step.frame);
  const uint32_t page_bytes = step.frame->page_bytes;
  const SplitPlan plan = choose(view, i > 0);
  answer.page = step.frame->page_id.load(std::memory_order_relaxed);
  // Nothing in the page can be moved: the new content is too much for one page. This happens to commits with
  // many keys.
  if (plan.kind == SplitPlan::Kind::none) return failed_with(Outcome::too_large);
  if (plan.kind == SplitPlan::Kind::root_range) {
    if (choose == choose_split && step.by_range && change_.lock(path[i - 1].frame, path[i - 1].version) &&
        share(path[i - 1], step, key)) {
      return Step::restart;
    }
    return split_root_range(path, i, key, plan, answer);
  }
  const auto new_page = [&](PageOp& link) -> Frame* {
    const PageView image(image_.data(), page_bytes);
    Frame* frame = change_.create(image);
    if (frame == nullptr) return nullptr;
    link.page = frame->page_id.load(std::memory_order_relaxed);
    link.bound = bound_of(longest_suffix(image, image.root()));
    link.link_flags = step.flags;
    return frame;
  };
  PageOp link{.kind = PageOp::Kind::replace_by_link, .path = plan.path};
  if (plan.kind == SplitPlan::Kind::subtree) {
    if (!image_of(view, plan.offset)) return failed_with(Outcome::damaged);
    if (new_page(link) == nullptr) return failed_with(Outcome::no_frames);
    const auto replaced = change_.apply(step.frame, link);
    FB_ASSERT(replaced.has_value());
  } else {
    std::string intervals;
    for (const bool upper : {false, true}) {
      const bool copied = upper ? image_of(view, plan.offset, plan.byte, 255)
                                : image_of(view, plan.offset, 0, static_cast<uint8_t>(plan.byte - 1));
      FB_ASSERT(copied);
      if (new_page(link) == nullptr) return failed_with(Outcome::no_frames);
      range_node::pack(intervals,
                       {upper ? plan.byte : uint8_t{0}, link.bound, link.link_flags, link.page.value});
    }
    const auto ranged =
        change_.apply(step.frame, {.kind = PageOp::Kind::make_range, .path = plan.path, .body = intervals});
    FB_ASSERT(ranged.has_value());
  }
  // The rest is laid out anew; if that is little, it is joined with another page later (merge_after_split).
  const auto compacted = change_.apply(step.frame, {.kind = PageOp::Kind::compact});
  FB_ASSERT(compacted.has_value());
  (void)change_.commit(journal_);
  split_key_ = key;
  return Step::restart;
}

// Splits as in a B-tree: the page keeps the lower children, a new page gets the upper ones, and the parent's
// range gets one more interval.
template <PageSource Source, JournalSink Journal>
auto Tree<Source, Journal>::split_root_range(const Path& path, size_t i, std::string_view key,
                                             const SplitPlan& plan, Answer& answer) -> Step {
  const PathStep& step = path[i];
  const PathStep& above = path[i - 1];
  if (!change_.lock(above.frame, above.version)) {
    change_.abandon();
    return Step::restart;
  }
  const PageView view(*step.frame);
  const bool copied = image_of(view, view.root(), plan.byte, 255);
  FB_ASSERT(copied);
  const PageView image(image_.data(), view.page_bytes());
  const uint8_t upper_bound = bound_of(longest_suffix(image, image.root()));
  Frame* upper = change_.create(image);
  if (upper == nullptr) {
    change_.abandon();
    answer.outcome = Outcome::no_frames;
    return Step::answered;
  }
  // The root's value goes up with the range; a page in a range has none.
  const Block root = view.block(view.root());
  const Block value = root.value_offset() != 0 ? view.block(root.value_offset()) : Block{};
  const auto lower = change_.apply(
      step.frame,
      {.kind = PageOp::Kind::keep_children, .first = 0, .last = static_cast<uint8_t>(plan.byte - 1)});
  FB_ASSERT(lower.has_value());
  const PageId upper_id = upper->page_id.load(std::memory_order_relaxed);
  PageOp op{.path = key.substr(above.depth, step.depth - above.depth)};
  std::string intervals;
  if (step.by_range) {
    op.kind = PageOp::Kind::insert_interval;
    op.byte = plan.byte;
    op.page = upper_id;
    op.bound = upper_bound;
    op.link_flags = step.flags;
  } else {
    const PageView rest = change_.view(step.frame);
    range_node::pack(intervals, {0, bound_of(longest_suffix(rest, rest.root())), step.flags,
                                 step.frame->page_id.load(std::memory_order_relaxed).value});
    range_node::pack(intervals, {plan.byte, upper_bound, step.flags, upper_id.value});
    op.kind = PageOp::Kind::make_range;
    op.body = intervals;
    op.value_given = value.ok();
    if (value.ok()) {
      op.value_flags = value.value_flags();
      op.value = value.value();
    }
  }
  const auto ranged = change_.apply(above.frame, op);
  if (!ranged) {
    change_.abandon();
    if (ranged.error().is(OpError::no_room)) return split(path, i - 1, key, answer);
    answer.outcome = Outcome::damaged;
    return Step::answered;
  }
  (void)change_.commit(journal_);
  split_key_ = key;
  return Step::restart;
}

// Shares as in a B*-tree: if a neighbour in the range is in memory and has room, some of the children of a
// full page go there, and the border between the two intervals moves. Both pages are latched, and stay
// latched if nothing is shared. The larger of them becomes smaller each time, so one is divided in the end.
template <PageSource Source, JournalSink Journal>
bool Tree<Source, Journal>::share(const PathStep& above, const PathStep& step, std::string_view key) {
  const std::string_view link_path = key.substr(above.depth, step.depth - above.depth);
  const PageView parent(*above.frame);
  const PageView page(*step.frame);
  const Stop at = walk(parent, key.substr(above.depth, link_path.size() + 1));
  if (at.kind != StopKind::range || at.consumed != link_path.size()) return false;
  const Block range = parent.block(at.block);
  const auto own = range_node::load(range.at, range.count(), at.interval);
  ShareChooser chooser(page);
  for (const bool upper : {true, false}) {
    if (upper ? at.interval + 1 == range.count() : at.interval == 0) continue;
    const auto other = range_node::load(range.at, range.count(), upper ? at.interval + 1 : at.interval - 1);
    const LinkWord word = LinkWord::raw(other.word);
    Frame* neighbour = word.is_frame() ? word.frame() : source_.find(word.page_id());
    if (neighbour == nullptr || !change_.lock(neighbour, neighbour->latch.version())) continue;
    source_.point("art.share");
    if (!(neighbour->page_id.load(std::memory_order_relaxed) == word.page_id())) continue;
    const std::optional<uint8_t> border = chooser.choose(PageView(*neighbour), upper);
    if (!border) continue;
    const auto below = static_cast<uint8_t>(*border - 1);
    const bool copied =
        upper ? image_of(page, page.root(), *border, 255) : image_of(page, page.root(), 0, below);
    FB_ASSERT(copied);
    const PageView image(image_.data(), page.page_bytes());
    if (!change_.apply(neighbour, {.kind = PageOp::Kind::graft_root, .body = image_body(image)})) continue;
    const auto kept = change_.apply(step.frame, {.kind = PageOp::Kind::keep_children,
                                                 .first = upper ? uint8_t{0} : *border,
                                                 .last = upper ? below : uint8_t{255}});
    FB_ASSERT(kept.has_value());
    const uint8_t bound = bound_of(longest_suffix(image, image.root()));
    const auto bounded =
        change_.apply(above.frame, {.kind = PageOp::Kind::set_bound,
                                    .path = link_path,
                                    .bound = std::max(other.bound, bound),
                                    .link_flags = static_cast<uint8_t>(other.flags | own.flags),
                                    .byte = other.first});
    FB_ASSERT(bounded.has_value());
    const auto moved = change_.apply(above.frame, {.kind = PageOp::Kind::move_interval,
                                                   .path = link_path,
                                                   .byte = upper ? other.first : own.first,
                                                   .first = *border});
    FB_ASSERT(moved.has_value());
    (void)change_.commit(journal_);
    return true;
  }
  return false;
}

template <PageSource Source, JournalSink Journal>
Answer Tree<Source, Journal>::compact(const PathStep& step) {
  Answer answer{.outcome = Outcome::kept};
  if (change_.lock(step.frame, step.version) && PageView(*step.frame).header().garbage_bytes != 0) {
    const auto compacted = change_.apply(step.frame, {.kind = PageOp::Kind::compact});
    FB_ASSERT(compacted.has_value());
    answer = {.lsn = change_.commit(journal_)};
  }
  change_.abandon();
  return answer;
}

// Splits leave pages with little in them. They are joined with others only after the operation that needed
// the room has used it, or the join could take it away again.
template <PageSource Source, JournalSink Journal>
void Tree<Source, Journal>::merge_after_split() {
  if (split_key_.empty()) return;
  const std::string key = std::exchange(split_key_, {});
  for (uint32_t splits = 0;; ++splits) {
    met_sparse_ = false;
    (void)merge_at(key);
    if (!met_sparse_ || splits == kSplitsAboveMax || !split_above_sparse(key)) return;
  }
}

// Splits beneath a page with links only leave it sparse, and nothing merges it later: new keys go to other
// pages.
template <PageSource Source, JournalSink Journal>
bool Tree<Source, Journal>::split_above_sparse(std::string_view key) {
  Answer answer;
  Stop stop;
  if (locate(key, false, path_, stop, answer) != Step::done) return false;
  for (; path_.size() > 1; path_.pop_back()) {
    if (!may_append_more(journal_)) return false;
    const PathStep& step = path_.back();
    OptimisticRead read(step.frame->latch);
    const bool sparse = read.started() && is_sparse(PageView(*step.frame));
    if (sparse && read.valid() && split_above(path_, key)) return true;
  }
  return false;
}

template <PageSource Source, JournalSink Journal>
Answer Tree<Source, Journal>::merge_at(std::string_view key) {
  Answer answer;
  Stop stop;
  const Step step = locate(key, false, path_, stop, answer);
  if (step == Step::answered) return answer;
  answer.outcome = Outcome::kept;
  if (step == Step::done) merge_upwards(path_, path_.size() - 1, key, answer);
  return answer;
}

template <PageSource Source, JournalSink Journal>
uint32_t Tree<Source, Journal>::merge_along(const Path& path, std::string_view key) {
  Answer answer;
  return merge_upwards(path, path.size() - 1, key, answer);
}

// The page and its parent together hold too much to be joined. So the parent's two parts are not joined again
// once one of them has taken in the page, and there are no more pages than before. The next sparse page
// beneath them then finds room, which is the purpose of this.
template <PageSource Source, JournalSink Journal>
bool Tree<Source, Journal>::split_above(const Path& path, std::string_view key) {
  if (path.size() < 2) return false;
  const size_t i = path.size() - 2;
  const bool worth = change_.lock(path[i].frame, path[i].version) &&
                     change_.lock(path[i + 1].frame, path[i + 1].version) && split_helps(path, key);
  change_.abandon();
  if (!worth) return false;
  Answer answer;
  (void)split(path, i, key, answer, choose_split_of_links);
  return !std::exchange(split_key_, {}).empty();
}

// Called for a path whose last two pages are latched.
template <PageSource Source, JournalSink Journal>
bool Tree<Source, Journal>::split_helps(const Path& path, std::string_view key) {
  const PathStep& step = path.back();
  const PathStep& above = path[path.size() - 2];
  const PageView parent(*above.frame);
  const PageView page(*step.frame);
  const Stop at = walk(parent, key.substr(above.depth, step.depth - above.depth + (step.by_range ? 1 : 0)));
  if (step.by_range && parent.block(at.block).count() != 1) return false;
  // Half of the parent and an eighth of it: the larger part.
  const uint32_t half = parent.live_bytes() / 8 * 5;
  return is_sparse(page) && !fit_together(page.live_bytes(), parent.live_bytes(), page.capacity_bytes()) &&
         fit_together(page.live_bytes(), half, page.capacity_bytes()) &&
         choose_split_of_links(parent, path.size() > 2).kind != SplitPlan::Kind::none;
}

// Joins the pages from path[i] upwards while they are sparse and the journal's credit lasts. A page has often
// lost nearly all its content to pages beneath; if it were left, every look-up would pass through it.
template <PageSource Source, JournalSink Journal>
uint32_t Tree<Source, Journal>::merge_upwards(const Path& path, size_t i, std::string_view key,
                                              Answer& answer) {
  uint32_t joined = 0;
  for (; i > 0; --i) {
    for (bool more = true; more && may_append_more(journal_);) {
      more = try_merge(path[i - 1], path[i], key, answer);
      change_.abandon();
      joined += more;
    }
  }
  return joined;
}

// Joins the page that the key's path enters from `above` (at `step`) with its parent or a neighbour. Does
// nothing if it would have to wait or to load: sparse pages do no harm, and the background joins them later.
template <PageSource Source, JournalSink Journal>
bool Tree<Source, Journal>::try_merge(const PathStep& above, const PathStep& step, std::string_view key,
                                      Answer& answer) {
  const auto fits = [](const PageView& a, const PageView& b) {
    return fit_together(a.live_bytes(), b.live_bytes(), a.capacity_bytes());
  };
  const std::string_view link_path = key.substr(above.depth, step.depth - above.depth);
  const std::string_view way = key.substr(above.depth, link_path.size() + (step.by_range ? 1 : 0));
  // The versions may be new ones, so the path may lead elsewhere by now.
  const auto child_of = [&](const PageView& parent, Stop& at) -> Frame* {
    at = walk(parent, way);
    const bool same = at.kind == (step.by_range ? StopKind::range : StopKind::link);
    if (!same || at.consumed != link_path.size()) return nullptr;
    const LinkWord word = link_at(parent, at).word;
    return word.is_frame() ? word.frame() : source_.find(word.page_id());
  };
  Stop at;
  {
    // Nearly always the page is not sparse: this check latches nothing, so it holds nobody up.
    OptimisticRead read(above.frame->latch);
    if (!read.started()) return false;
    Frame* child = child_of(PageView(*above.frame), at);
    if (!read.valid() || child == nullptr) return false;
    OptimisticRead below(child->latch);
    if (!below.started() || !is_sparse(PageView(*child)) || !below.valid()) return false;
  }
  met_sparse_ = true;
  source_.point("art.merge");
  if (!change_.lock(above.frame, above.frame->latch.version())) return false;
  // Nothing has held the frame since the way down: it may have been given to another page, and have the old
  // page's bytes, or those of a page that is being loaded.
  const auto page_of = [](const Frame* frame) { return frame->page_id.load(std::memory_order_relaxed); };
  if (page_of(above.frame).value == 0) return false;
  const PageView parent(*above.frame);
  Frame* child = child_of(parent, at);
  if (child == nullptr || !change_.lock(child, child->latch.version())) return false;
  const PageView page(*child);
  if (!(page_of(child) == link_at(parent, at).word.page_id())) return false;
  if (page.entries() == 0 || !is_sparse(page)) return false;
  const Block range = parent.block(at.block);
  if (!step.by_range || range.count() == 1) {
    if (!fits(page, parent) || !image_of(page, page.root())) return false;
    const PageView image(image_.data(), page.page_bytes());
    if (!change_.apply(above.frame,
                       {.kind = PageOp::Kind::graft, .path = link_path, .body = image_body(image)})) {
      return false;
    }
    change_.retire(child);
    answer = {.lsn = change_.commit(journal_)};
    return true;
  }
  for (const int side : {-1, 1}) {
    const uint32_t other = at.interval + static_cast<uint32_t>(side);
    if (other >= range.count()) continue;
    const auto entry = range_node::load(range.at, range.count(), other);
    const LinkWord word = LinkWord::raw(entry.word);
    Frame* neighbour = word.is_frame() ? word.frame() : source_.find(word.page_id());
    if (neighbour == nullptr || !change_.lock(neighbour, neighbour->latch.version())) continue;
    if (!(page_of(neighbour) == word.page_id())) continue;
    if (!fits(page, PageView(*neighbour))) continue;
    Frame* left = side < 0 ? neighbour : child;
    Frame* right = side < 0 ? child : neighbour;
    const uint32_t left_index = side < 0 ? other : at.interval;
    const auto lower = range_node::load(range.at, range.count(), left_index);
    const auto upper = range_node::load(range.at, range.count(), left_index + 1);
    const PageView moved(*right);
    if (!image_of(moved, moved.root())) return false;
    const PageView image(image_.data(), page.page_bytes());
    if (!change_.apply(left, {.kind = PageOp::Kind::graft_root, .body = image_body(image)})) continue;
    const auto bounded =
        change_.apply(above.frame, {.kind = PageOp::Kind::set_bound,
                                    .path = link_path,
                                    .bound = std::max(lower.bound, upper.bound),
                                    .link_flags = static_cast<uint8_t>(lower.flags | upper.flags),
                                    .byte = lower.first});
    FB_ASSERT(bounded.has_value());
    const auto unlinked = change_.apply(
        above.frame, {.kind = PageOp::Kind::erase_link, .path = link_path, .byte = upper.first});
    FB_ASSERT(unlinked.has_value());
    change_.retire(right);
    answer = {.lsn = change_.commit(journal_)};
    return true;
  }
  return false;
}

}  // namespace fb::art
