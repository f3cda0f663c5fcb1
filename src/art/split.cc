// SPDX-License-Identifier: Apache-2.0
#include "art/split.h"

#include <algorithm>
#include <vector>

namespace fb::art {

namespace {

struct Item {
  uint32_t offset = 0;
  uint32_t parent = 0;  // index
  uint32_t bytes = 0;   // with all beneath
  uint8_t byte = 0;     // the byte that leads here
  uint32_t links = 0;   // beneath
};

// All blocks except values, parents before children, with the sizes of their subtrees.
std::vector<Item> list_blocks(const PageView& page) {
  std::vector<Item> items;
  items.reserve(size_t{2} * page.entries() + 1);
  items.push_back({page.root(), 0, 0, 0});
  for (uint32_t i = 0; i < items.size(); ++i) {
    const Block block = page.block(items[i].offset);
    items[i].bytes = block.bytes;
    items[i].links = block.kind == BlockKind::link ? 1 : block.kind == BlockKind::range ? block.count() : 0;
    if (!block.node()) continue;
    if (block.value_offset() != 0) items[i].bytes += page.block(block.value_offset()).bytes;
    for (ChildSlot child = block.next(0); child.slot != 0; child = block.next(child.byte + 1u)) {
      items.push_back({block.child(child.slot), i, 0, static_cast<uint8_t>(child.byte)});
    }
  }
  for (size_t i = items.size(); i-- > 1;) {
    items[items[i].parent].bytes += items[i].bytes;
    items[items[i].parent].links += items[i].links;
  }
  return items;
}

std::string path_of(const PageView& page, const std::vector<Item>& items, uint32_t index) {
  std::vector<uint32_t> way;
  for (uint32_t i = index; i != 0; i = items[i].parent) way.push_back(i);
  std::string path;
  for (size_t i = way.size(); i-- > 0;) {
    path.push_back(static_cast<char>(items[way[i]].byte));
    path.append(page.block(items[way[i]].offset).label());
  }
  return path;
}

struct Cut {
  uint32_t score = 0;
  uint8_t byte = 0;
};

// The most even division of a node's children; `total` is the size of the whole.
Cut best_cut(const PageView& page, const std::vector<Item>& items, uint32_t index, uint32_t total) {
  Cut best;
  const Block node = page.block(items[index].offset);
  const auto consider = [&](uint32_t below, uint8_t byte) {
    const uint32_t score = std::min(below, total - std::min(total, below));
    if (score > best.score) best = {score, byte};
  };
  if (node.kind == BlockKind::range) {
    for (uint32_t i = 1; i < node.count(); ++i) {
      consider(range_node::kEntryBytes * i, load8(node.at + range_node::kFirst + i));
    }
    return best;
  }
  std::vector<const Item*> children;
  for (const Item& item : items) {
    if (&item != items.data() && item.parent == index) children.push_back(&item);
  }
  uint32_t below = 0;
  for (size_t i = 0; i < children.size(); ++i) {
    if (i > 0) consider(below, children[i]->byte);
    below += children[i]->bytes;
  }
  return best;
}

bool may_share(const PageView& page) {
  const Block root = page.block(page.root());
  return root.node() && root.kind != BlockKind::range && root.value_offset() == 0;
}

}  // namespace

ShareChooser::ShareChooser(const PageView& page) : page_(page), may_(may_share(page)) {}

std::optional<uint8_t> ShareChooser::choose(const PageView& neighbour, bool upper) {
  const uint32_t capacity = page_.capacity_bytes();
  const uint32_t least = capacity / 16;  // moving less is not worth a record of that size
  const uint32_t most = capacity / 32 * 31;
  if (!may_ || neighbour.live_bytes() + least > most || !may_share(neighbour)) return std::nullopt;
  if (children_.empty()) {
    const std::vector<Item> items = list_blocks(page_);
    for (size_t i = 1; i < items.size() && items[i].parent == 0; ++i) {
      children_.push_back({items[i].bytes, items[i].byte});
    }
  }
  const uint32_t live = page_.live_bytes();
  std::optional<uint8_t> best;
  uint32_t best_larger = live;
  uint32_t moved = 0;
  for (uint32_t n = 1; n < children_.size(); ++n) {
    const size_t taken = upper ? children_.size() - n : n - 1;
    moved += children_[taken].bytes;
    const uint32_t kept = live - std::min(moved, live);
    const uint32_t given = neighbour.live_bytes() + moved;
    const uint32_t larger = std::max(kept, given);
    // Either room to grow is left. Or children are large, so that sharing is rare, and both pages become
    // about equally full.
    const bool room = larger <= capacity / 8 * 7 && larger + least <= live;
    const bool even =
        moved >= n * (capacity / 10) && larger - std::min(kept, given) <= capacity / 6 && larger <= most;
    if (moved < least || larger >= best_larger || !(room || even)) continue;
    best_larger = larger;
    best = children_[upper ? taken : n].byte;
  }
  return best;
}

SplitPlan choose_split(const PageView& page, bool has_parent) {
  const std::vector<Item> items = list_blocks(page);
  const uint32_t total = items[0].bytes;
  uint32_t best = 0;
  uint32_t best_score = 0;
  uint32_t largest = 0;  // the largest block that can be moved, if there is nothing better
  uint32_t largest_gain = 0;
  for (uint32_t i = 1; i < items.size(); ++i) {
    const Block block = page.block(items[i].offset);
    if (block.kind == BlockKind::link) continue;
    const uint32_t moved = items[i].bytes - block.label_bytes;
    const uint32_t score = std::min(moved, total - moved);
    const uint32_t gain = moved > kLinkFixed ? moved - kLinkFixed : 0;
    if (gain > largest_gain) {
      largest_gain = gain;
      largest = i;
    }
    if (block.node() && gain > 0 && score > best_score) {
      best_score = score;
      best = i;
    }
  }
  const auto subtree = [&](uint32_t index) {
    return SplitPlan{SplitPlan::Kind::subtree, path_of(page, items, index), items[index].offset, 0};
  };
  const Cut root_cut = best_cut(page, items, 0, total);
  const SplitPlan root_range{has_parent ? SplitPlan::Kind::root_range : SplitPlan::Kind::inner_range,
                             {},
                             items[0].offset,
                             root_cut.byte};
  const uint32_t good = total / 4;
  if (has_parent && root_cut.score >= good) return root_range;
  if (best_score >= good && best_score + total / 16 >= root_cut.score) return subtree(best);
  if (root_cut.score >= good) return root_range;
  // One node may hold nearly all, in many small children.
  uint32_t heavy = 0;
  for (uint32_t i = 1; i < items.size(); ++i) {
    if (items[i].parent == heavy && items[i].bytes > total / 2) heavy = i;
  }
  const Cut heavy_cut = best_cut(page, items, heavy, items[heavy].bytes);
  if (heavy != 0 && page.block(items[heavy].offset).node() &&
      heavy_cut.score > std::max(best_score, root_cut.score)) {
    return {SplitPlan::Kind::inner_range, path_of(page, items, heavy), items[heavy].offset, heavy_cut.byte};
  }
  if (best_score >= root_cut.score && best_score > 0) return subtree(best);
  if (root_cut.score > largest_gain) return root_range;
  if (largest_gain > 0) return subtree(largest);
  if (root_cut.score > 0) return root_range;
  return {};
}

SplitPlan choose_split_of_links(const PageView& page, bool has_parent) {
  constexpr uint32_t kLinksMin = 2;
  const std::vector<Item> items = list_blocks(page);
  const uint32_t total = items[0].bytes;
  const uint32_t least = total / 8;
  const Cut root_cut = best_cut(page, items, 0, total);
  if (has_parent && root_cut.score >= 2 * least)
    return {SplitPlan::Kind::root_range, {}, items[0].offset, root_cut.byte};
  uint32_t best = 0;
  uint32_t best_score = 0;
  for (uint32_t i = 1; i < items.size(); ++i) {
    const uint32_t score = std::min(items[i].bytes, total - items[i].bytes);
    const bool both = items[i].links >= kLinksMin && items[0].links - items[i].links >= kLinksMin;
    if (page.block(items[i].offset).kind != BlockKind::link && both && score > best_score) {
      best_score = score;
      best = i;
    }
  }
  // One node may hold nearly all.
  uint32_t heavy = 0;
  for (uint32_t i = 1; i < items.size(); ++i) {
    if (items[i].parent == heavy && items[i].bytes > total / 2 && page.block(items[i].offset).node())
      heavy = i;
  }
  const Cut heavy_cut = best_cut(page, items, heavy, items[heavy].bytes);
  const SplitPlan inner_range{SplitPlan::Kind::inner_range, path_of(page, items, heavy), items[heavy].offset,
                              heavy_cut.byte};
  const bool divides = heavy_cut.score >= 2 * least && items[heavy].links >= kLinksMin;
  // A subtree that would itself become a sparse page is no better than the sparse page to be joined.
  if (divides && heavy != 0 && heavy_cut.score >= best_score && is_sparse(best_score, page.capacity_bytes()))
    return inner_range;
  if (best_score >= least)
    return {SplitPlan::Kind::subtree, path_of(page, items, best), items[best].offset, 0};
  return divides ? inner_range : SplitPlan{};
}

}  // namespace fb::art
