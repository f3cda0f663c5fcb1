// SPDX-License-Identifier: Apache-2.0
#include "art/page_editor.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "art/page_editor_parts.h"

namespace fb::art {

std::string_view to_string(OpError code) {
  switch (code) {
    case OpError::malformed:
      return "malformed";
    case OpError::damaged:
      return "damaged";
    case OpError::wrong_page:
      return "wrong_page";
    case OpError::not_found:
      return "not_found";
    case OpError::occupied:
      return "occupied";
    case OpError::no_room:
      return "no_room";
  }
  return "unknown";
}

void PageEditor::format(PageId id) {
  FB_ASSERT(page_bytes_ >= kPageBytesMin, page_bytes_);
  FB_ASSERT(page_bytes_ <= kPageBytesMax, page_bytes_);
  std::memset(at(kHeaderBytes), 0, page_bytes_ - kHeaderBytes);
  begin(id);
}

void PageEditor::begin(PageId id) {
  header() = {};
  header().magic = kPageMagic;
  header().page_bytes = page_bytes_;
  header().page_id = id.value;
  header().heap_end = kHeaderBytes;
  header().gap_begin = kHeaderBytes;
  header().gap_end = kHeaderBytes;
  header().root = static_cast<uint16_t>(new_node4({}));
  header().gap_begin = header().heap_end;
  header().gap_end = header().heap_end;
}

uint32_t PageEditor::allocate(uint32_t bytes) {
  const uint32_t offset = header().heap_end;
  FB_ASSERT(offset + bytes <= page_bytes_, offset, bytes, page_bytes_);
  header().heap_end = offset + bytes;
  return offset;
}

uint32_t PageEditor::allocate_node(uint32_t bytes) {
  if (bytes > view().gap_bytes()) return allocate(bytes);
  const uint32_t offset = header().gap_begin;
  header().gap_begin = offset + bytes;
  return offset;
}

PageEditor::Room PageEditor::reserve(uint32_t bytes) {
  if (bytes <= free_bytes()) return Room::ready;
  if (bytes > all_free_bytes()) return Room::none;
  const auto compacted = lay_out(false, bytes);
  FB_ASSERT(compacted.has_value());
  return Room::compacted;
}

Result<void> PageEditor::compact(bool normalize) { return lay_out(normalize, 0); }

namespace {

// Nodes take about an eighth of the room that a page's new keys take. A gap too small for a node is left out.
uint32_t gap_bytes_for(uint32_t free_bytes, uint32_t needed_bytes) {
  const uint32_t gap = std::min(free_bytes / 8, free_bytes - needed_bytes);
  return gap < node4::kFixed ? 0 : gap;
}

}  // namespace

Result<void> PageEditor::lay_out(bool normalize, uint32_t bytes) {
  // Bytes that are not written here are not copied back.
  const auto scratch = std::make_unique_for_overwrite<std::byte[]>(page_bytes_);
  PageEditor to(scratch.get(), page_bytes_);
  to.header() = header();
  to.header().heap_end = kHeaderBytes;
  to.header().gap_begin = kHeaderBytes;
  to.header().gap_end = kHeaderBytes;
  to.header().garbage_bytes = 0;
  to.header().entries = 0;
  const uint32_t root = to.copy_tree(view(), header().root, {},
                                     {.normalize = normalize,
                                      .keep_root = true,
                                      .alone = true,
                                      .gap_bytes = gap_bytes_for(all_free_bytes(), bytes)});
  if (root == 0) return OpError::damaged;
  to.header().root = static_cast<uint16_t>(root);
  const uint32_t end = to.header().heap_end;
  const uint32_t before = header().heap_end;
  std::memcpy(bytes_, scratch.get(), end);
  if (before > end) std::memset(at(end), 0, before - end);
  return {};
}

// Opens a gap in a page that has none: all blocks behind the nodes move.
void PageEditor::open_gap() {
  const uint32_t begin = header().gap_begin;
  const uint32_t gap = gap_bytes_for(free_bytes(), 0);
  FB_ASSERT(view().gap_bytes() == 0, view().gap_bytes());
  if (gap == 0) return;
  const auto moved = [&](uint32_t offset) { return offset < begin ? offset : offset + gap; };
  std::vector<uint16_t> open{header().root};
  while (!open.empty()) {
    const Block node = view().block(open.back());
    open.pop_back();
    if (node.value_offset() != 0) store16(at(node.offset) + kNodeValue, moved(node.value_offset()));
    for (ChildSlot child = node.next(0); child.slot != 0; child = node.next(child.byte + 1u)) {
      const uint16_t below = node.child(child.slot);
      if (view().block(below).node()) open.push_back(below);
      store16(at(node.offset) + child.slot, moved(below));
    }
  }
  header().root = static_cast<uint16_t>(moved(header().root));
  std::memmove(at(begin + gap), at(begin), header().heap_end - begin);
  std::memset(at(begin), 0, gap);
  header().gap_end = begin + gap;
  header().heap_end += gap;
}

Result<void> PageEditor::extract(const PageView& from, uint32_t offset, uint8_t first, uint8_t last) {
  const Block top = from.block(offset);
  const CopyOptions options{
      .normalize = true, .page_ids = true, .keep_root = true, .alone = true, .first = first, .last = last};
  begin({});
  const uint32_t empty = header().root;
  if (top.kind == BlockKind::leaf) {
    const uint32_t value = copy_tree(from, offset, {}, {.normalize = true, .page_ids = true});
    if (value == 0) return OpError::no_room;
    store16(at(empty) + kNodeValue, value);
    return {};
  }
  if (!top.node()) return OpError::malformed;
  header().heap_end = kHeaderBytes;
  header().gap_begin = kHeaderBytes;
  header().gap_end = kHeaderBytes;
  const uint32_t root = copy_tree(from, offset, {}, options);
  if (root == 0) return OpError::damaged;
  header().root = static_cast<uint16_t>(root);
  return {};
}

// Copies nodes in order of their distance from the root, and all leaves and links behind them: a search then
// reads little more than the page's first cache lines and one leaf. Copied nodes still hold the offsets of
// their children in the source, until the scan comes to them. It needs no stack, and it ends even if the
// source's offsets form cycles, because every step uses up room.
uint32_t PageEditor::copy_tree(const PageView& from, uint32_t offset, std::string_view label,
                               CopyOptions options) {
  const PageHeader before = header();
  std::vector<uint16_t> later;  // slots of leaves and links, which come behind the nodes
  const uint32_t top = copy_block(from, offset, &label, options, options.keep_root);
  bool ok = top != 0 && ((options.first == 0 && options.last == 255) ||
                         keep_of_last_block(top, options.first, options.last));
  for (uint32_t scan = before.heap_end; ok && scan < header().heap_end;) {
    const Block block = view().block(scan);
    ok = block.ok();
    scan += block.bytes;
    if (!block.node()) continue;
    if (block.value_offset() != 0) later.push_back(static_cast<uint16_t>(block.offset + kNodeValue));
    for (ChildSlot child = block.next(0); ok && child.slot != 0; child = block.next(child.byte + 1u)) {
      const uint32_t slot = block.offset + child.slot;
      if (!from.block(block.child(child.slot)).node()) {
        later.push_back(static_cast<uint16_t>(slot));
        continue;
      }
      const uint32_t copied = copy_block(from, block.child(child.slot), nullptr, options, false);
      ok = copied != 0;
      store16(at(slot), copied);
    }
  }
  if (options.alone && ok) {
    ok = header().heap_end + options.gap_bytes <= page_bytes_;
    const uint32_t gap = ok ? options.gap_bytes : 0;
    std::memset(at(header().heap_end), 0, gap);
    header().gap_begin = header().heap_end;
    header().heap_end += gap;
    header().gap_end = header().heap_end;
  }
  for (size_t i = 0; ok && i < later.size(); ++i) {
    const uint32_t copied = copy_block(from, load16(at(later[i])), nullptr, options, false);
    ok = copied != 0;
    store16(at(later[i]), copied);
  }
  if (!ok) {
    std::memset(at(before.heap_end), 0, header().heap_end - before.heap_end);
    header() = before;
    return 0;
  }
  return top;
}

// Keeps only the children of these bytes in the node that was copied last. False: there are none.
bool PageEditor::keep_of_last_block(uint32_t offset, uint8_t first, uint8_t last) {
  const Block node = view().block(offset);
  if (!node.node()) return false;
  store16(at(offset) + kNodeValue, 0);
  if (node.kind == BlockKind::range) {
    std::string kept;
    for (uint32_t i = 0; i < node.count(); ++i) {
      const auto entry = range_node::load(node.at, node.count(), i);
      if (entry.first >= first && entry.first <= last) range_node::pack(kept, entry);
    }
    if (kept.empty()) return false;
    header().entries -= node.count();
    write_range(offset, {}, 0, kept);
  } else {
    for (ChildSlot child = node.next(0); child.slot != 0; child = node.next(child.byte + 1u)) {
      const auto byte = static_cast<uint8_t>(child.byte);
      if (byte < first || byte > last) erase_child(at(offset), node.kind, byte);
    }
    if (node.count() == 0) return false;
    const uint32_t garbage = header().garbage_bytes;
    shrink_node(offset);
    header().garbage_bytes = garbage;
  }
  header().heap_end = offset + view().block(offset).bytes;
  return true;
}

uint32_t PageEditor::copy_block(const PageView& from, uint32_t offset, const std::string_view* label,
                                CopyOptions options, bool keep_node) {
  Block block = from.block(offset);
  if (!block.ok()) return 0;
  char joined[255];
  std::string_view edge = label != nullptr ? *label : block.label();
  if (options.normalize && !keep_node) {
    const uint32_t most = label_bytes_max(page_bytes_);
    while (block.node() && block.kind != BlockKind::range && block.count() == 1 &&
           block.value_offset() == 0) {
      const ChildSlot only = block.next(0);
      const Block child = only.slot == 0 ? Block{} : from.block(block.child(only.slot));
      if (!child.ok()) return 0;
      if (edge.size() + 1 + child.label_bytes > most) break;
      if (edge.data() != joined) std::memcpy(joined, edge.data(), edge.size());
      joined[edge.size()] = static_cast<char>(only.byte);
      std::memcpy(joined + edge.size() + 1, child.label().data(), child.label_bytes);
      edge = std::string_view(joined, edge.size() + 1 + child.label_bytes);
      block = child;
    }
    if (block.node() && block.kind != BlockKind::range && block.count() == 0) {
      block = from.block(block.value_offset());
      if (block.kind != BlockKind::leaf) return 0;
    }
  }
  const auto edge_bytes = static_cast<uint32_t>(edge.size());
  const uint32_t bytes = block.bytes - block.label_bytes + edge_bytes;
  if (header().heap_end + bytes > page_bytes_) return 0;
  const uint32_t copied = allocate(bytes);
  std::byte* to = at(copied);
  std::memcpy(to, block.at, block.fixed_bytes);
  store8(to + 1, edge_bytes);
  if (edge_bytes != 0) std::memcpy(to + block.fixed_bytes, edge.data(), edge_bytes);
  switch (block.kind) {
    case BlockKind::leaf:
      std::memcpy(to + block.fixed_bytes + edge_bytes, block.value().data(), block.value().size());
      ++header().entries;
      break;
    case BlockKind::link:
      if (options.page_ids) store64(to + kLinkWord, block.link().page_id().value);
      ++header().entries;
      break;
    case BlockKind::range: {
      const uint32_t count = block.count();
      for (uint32_t i = 0; options.page_ids && i < count; ++i) {
        std::byte* word = to + range_node::word_at(count, i);
        store64(word, LinkWord::raw(load64(word)).page_id().value);
      }
      header().entries += count;
      break;
    }
    default:
      break;
  }
  return copied;
}

uint32_t PageEditor::new_leaf(std::string_view label, uint8_t flags, std::string_view value) {
  const uint32_t offset = allocate(static_cast<uint32_t>(kLeafFixed + label.size() + value.size()));
  std::byte* leaf = at(offset);
  store8(leaf, static_cast<uint8_t>(BlockKind::leaf) | uint32_t{flags} << 4);
  store8(leaf + 1, static_cast<uint32_t>(label.size()));
  store16(leaf + 2, static_cast<uint32_t>(value.size()));
  if (!label.empty()) std::memcpy(leaf + kLeafFixed, label.data(), label.size());
  if (!value.empty()) std::memcpy(leaf + kLeafFixed + label.size(), value.data(), value.size());
  ++header().entries;
  return offset;
}

uint32_t PageEditor::new_node4(std::string_view label) {
  const uint32_t offset = allocate_node(static_cast<uint32_t>(node4::kFixed + label.size()));
  std::byte* node = at(offset);
  std::memset(node, 0, node4::kFixed);
  store8(node, static_cast<uint8_t>(BlockKind::node4));
  store8(node + 1, static_cast<uint32_t>(label.size()));
  if (!label.empty()) std::memcpy(node + node4::kFixed, label.data(), label.size());
  return offset;
}

void PageEditor::trim_label(uint32_t offset, uint32_t bytes) {
  const Block block = view().block(offset);
  FB_ASSERT(bytes <= block.label_bytes, bytes, block.label_bytes);
  std::byte* label = at(offset + block.fixed_bytes);
  std::memmove(label, label + bytes, block.bytes - block.fixed_bytes - bytes);
  store8(at(offset) + 1, block.label_bytes - bytes);
  discard(bytes);
}

void PageEditor::insert_child(std::byte* node, BlockKind kind, uint8_t byte, uint16_t child) {
  switch (kind) {
    case BlockKind::node4:
      return node4::insert(node, byte, child);
    case BlockKind::node16:
      return node16::insert(node, byte, child);
    case BlockKind::node48:
      return node48::insert(node, byte, child);
    case BlockKind::node256:
      return node256::insert(node, byte, child);
    default:
      FB_UNREACHABLE();
  }
}

void PageEditor::erase_child(std::byte* node, BlockKind kind, uint8_t byte) {
  switch (kind) {
    case BlockKind::node4:
      return node4::erase(node, byte);
    case BlockKind::node16:
      return node16::erase(node, byte);
    case BlockKind::node48:
      return node48::erase(node, byte);
    case BlockKind::node256:
      return node256::erase(node, byte);
    default:
      FB_UNREACHABLE();
  }
}

void PageEditor::grow_node(uint32_t slot, BlockKind kind) {
  const Block old = block_at_slot(slot);
  const uint32_t fixed = fixed_bytes_of(kind);
  const uint32_t offset = allocate_node(fixed + old.label_bytes);
  std::byte* node = at(offset);
  std::memset(node, 0, fixed);
  store8(node, static_cast<uint8_t>(kind));
  store8(node + 1, old.label_bytes);
  store16(node + kNodeValue, old.value_offset());
  for (ChildSlot child = old.next(0); child.slot != 0; child = old.next(child.byte + 1u)) {
    insert_child(node, kind, static_cast<uint8_t>(child.byte), old.child(child.slot));
  }
  std::memcpy(node + fixed, old.label().data(), old.label_bytes);
  store16(at(slot), offset);
  discard(old.bytes);
}

void PageEditor::shrink_node(uint32_t offset) {
  const Block old = view().block(offset);
  const BlockKind kind = shrunk_kind(old.kind, old.count());
  if (kind >= old.kind) return;
  const uint32_t fixed = fixed_bytes_of(kind);
  std::array<std::byte, node48::kFixed + 255> node;
  std::memset(node.data(), 0, fixed);
  store8(node.data(), static_cast<uint8_t>(kind));
  store8(node.data() + 1, old.label_bytes);
  store16(node.data() + kNodeValue, old.value_offset());
  for (ChildSlot child = old.next(0); child.slot != 0; child = old.next(child.byte + 1u)) {
    insert_child(node.data(), kind, static_cast<uint8_t>(child.byte), old.child(child.slot));
  }
  std::memcpy(node.data() + fixed, old.label().data(), old.label_bytes);
  std::memcpy(at(offset), node.data(), fixed + old.label_bytes);
  discard(old.fixed_bytes - fixed);
}

// Makes room for children at a leaf: a node takes its label, and the leaf becomes the node's value.
void PageEditor::leaf_to_node(uint32_t slot) {
  const Block leaf = block_at_slot(slot);
  const uint32_t offset = new_node4(leaf.label());
  trim_label(leaf.offset, leaf.label_bytes);
  store16(at(offset) + kNodeValue, leaf.offset);
  store16(at(slot), offset);
}

void PageEditor::add_child(uint32_t slot, uint8_t byte, uint32_t child) {
  if (block_at_slot(slot).kind == BlockKind::leaf) leaf_to_node(slot);
  const Block node = block_at_slot(slot);
  if (node.count() == capacity_of(node.kind)) grow_node(slot, next_kind(node.kind));
  const Block grown = block_at_slot(slot);
  insert_child(at(grown.offset), grown.kind, byte, static_cast<uint16_t>(child));
}

uint32_t PageEditor::tail_bytes(uint32_t rest, const Payload& payload) const {
  const uint32_t most = label_bytes_max(page_bytes_);
  uint32_t bytes = 0;
  for (; rest > most; rest -= most + 1) bytes += node4::kFixed + most;
  switch (payload.kind) {
    case BlockKind::leaf:
      return bytes + rest + kLeafFixed + static_cast<uint32_t>(payload.value.size());
    case BlockKind::link:
      return bytes + rest + kLinkFixed;
    default:
      return bytes + rest + payload.image->live_bytes();
  }
}

// Builds a chain of nodes if the rest of a path is longer than a label may be, then the payload. 0 if an
// image is damaged.
uint32_t PageEditor::build_tail(std::string_view rest, const Payload& payload) {
  const uint32_t most = label_bytes_max(page_bytes_);
  if (rest.size() > most) {
    const uint32_t offset = new_node4(rest.substr(0, most));
    const uint32_t below = build_tail(rest.substr(most + 1), payload);
    if (below == 0) return 0;
    node4::insert(at(offset), static_cast<uint8_t>(rest[most]), static_cast<uint16_t>(below));
    return offset;
  }
  if (payload.kind == BlockKind::leaf) return new_leaf(rest, payload.value_flags, payload.value);
  if (payload.kind == BlockKind::none) {
    return copy_tree(*payload.image, payload.image->root(), rest, {.normalize = true, .page_ids = true});
  }
  const uint32_t offset = allocate(static_cast<uint32_t>(kLinkFixed + rest.size()));
  std::byte* link = at(offset);
  store8(link, static_cast<uint8_t>(BlockKind::link));
  store8(link + 1, static_cast<uint32_t>(rest.size()));
  store8(link + kLinkBound, payload.link.bound);
  store8(link + kLinkFlags, payload.link.flags);
  store64(link + kLinkWord, payload.link.word.word());
  if (!rest.empty()) std::memcpy(link + kLinkFixed, rest.data(), rest.size());
  ++header().entries;
  return offset;
}

Result<void> PageEditor::insert(std::string_view path, const Payload& payload) {
  Trace trace;
  const Stop stop = walk(view(), path, trace);
  return insert_at(path, payload, trace, stop);
}

Result<void> PageEditor::insert_at(std::string_view path, const Payload& payload, Trace& trace, Stop stop) {
  const auto size = static_cast<uint32_t>(path.size());
  for (;;) {
    const Block block = view().block(stop.block);
    const bool leaf = payload.kind == BlockKind::leaf;
    uint32_t need = 0;
    switch (stop.kind) {
      case StopKind::bad:
        return OpError::damaged;
      case StopKind::range:
      case StopKind::partition:
        return OpError::wrong_page;
      case StopKind::link:
        return stop.consumed == size && !leaf ? OpError::occupied : OpError::wrong_page;
      case StopKind::value:
        return OpError::occupied;
      case StopKind::no_child:
        need = tail_bytes(size - stop.consumed - 1, payload);
        if (block.kind == BlockKind::leaf) {
          need += node4::kFixed + block.label_bytes;
        } else if (block.count() == capacity_of(block.kind)) {
          need += fixed_bytes_of(next_kind(block.kind)) + block.label_bytes;
        }
        break;
      case StopKind::label:
        need = node4::kFixed + stop.matched;
        if (stop.consumed + stop.matched < size) {
          need += tail_bytes(size - stop.consumed - stop.matched - 1, payload);
        } else if (leaf) {
          need += tail_bytes(0, payload);
        } else {
          return OpError::occupied;
        }
        break;
    }
    switch (reserve(need)) {
      case Room::none:
        return OpError::no_room;
      case Room::compacted:
        trace.size = 0;
        stop = walk(view(), path, trace);
        continue;
      case Room::ready:
        break;
    }
    const PageHeader before = header();
    const auto damaged_image = [&]() -> Result<void> {
      std::memset(at(before.heap_end), 0, header().heap_end - before.heap_end);
      header() = before;
      return OpError::damaged;
    };
    if (stop.kind == StopKind::no_child) {
      const uint32_t tail = build_tail(path.substr(stop.consumed + 1), payload);
      if (tail == 0) return damaged_image();
      add_child(trace.slot(), static_cast<uint8_t>(path[stop.consumed]), tail);
      return {};
    }
    // The edge is cut in two: the common part stays above, with a new node in between.
    const uint32_t cut = stop.consumed + stop.matched;
    const uint32_t node = new_node4(block.label().substr(0, stop.matched));
    if (cut == size) {
      store16(at(node) + kNodeValue, build_tail({}, payload));
    } else {
      const uint32_t tail = build_tail(path.substr(cut + 1), payload);
      if (tail == 0) return damaged_image();
      node4::insert(at(node), static_cast<uint8_t>(path[cut]), static_cast<uint16_t>(tail));
    }
    node4::insert(at(node), static_cast<uint8_t>(block.label()[stop.matched]),
                  static_cast<uint16_t>(block.offset));
    trim_label(block.offset, stop.matched + 1);
    store16(at(trace.slot()), node);
    return {};
  }
}

Result<void> PageEditor::set_value(std::string_view path, uint8_t flags, std::string_view value) {
  if (path.size() > kKeyBytesMax || value.size() > value_bytes_max(page_bytes_) ||
      (flags & ~kValueFlagsMask) != 0) {
    return OpError::malformed;
  }
  for (;;) {
    Trace trace;
    const Stop stop = walk(view(), path, trace);
    if (stop.kind != StopKind::value) {
      return insert_at(path, {.kind = BlockKind::leaf, .value_flags = flags, .value = value}, trace, stop);
    }
    const Block block = view().block(stop.block);
    const uint32_t slot = block.kind == BlockKind::leaf ? trace.slot() : block.offset + kNodeValue;
    const Block old = block.kind == BlockKind::leaf ? block
                      : block.value_offset() != 0   ? view().block(block.value_offset())
                                                    : Block{};
    const bool node_with_value = block.kind != BlockKind::leaf && block.value_offset() != 0;
    if (node_with_value && old.kind != BlockKind::leaf) return OpError::damaged;
    if (old.ok() && value.size() <= old.value().size()) {
      std::byte* leaf = at(old.offset);
      store8(leaf, static_cast<uint8_t>(BlockKind::leaf) | uint32_t{flags} << 4);
      store16(leaf + 2, static_cast<uint32_t>(value.size()));
      if (!value.empty()) std::memcpy(leaf + kLeafFixed + old.label_bytes, value.data(), value.size());
      discard(static_cast<uint32_t>(old.value().size() - value.size()));
      return {};
    }
    switch (reserve(static_cast<uint32_t>(kLeafFixed + old.label_bytes + value.size()))) {
      case Room::none:
        return OpError::no_room;
      case Room::compacted:
        continue;
      case Room::ready:
        break;
    }
    const uint32_t fresh = new_leaf(old.ok() ? old.label() : std::string_view(), flags, value);
    if (old.ok()) {
      discard(old.bytes);
      --header().entries;
    }
    store16(at(slot), fresh);
    return {};
  }
}

PageEditor::Measure PageEditor::measure(uint32_t offset) const {
  Measure sum;
  std::vector<uint16_t> open{static_cast<uint16_t>(offset)};
  while (!open.empty()) {
    const Block block = view().block(open.back());
    open.pop_back();
    sum.bytes += block.bytes;
    if (!block.ok() || sum.bytes > page_bytes_) {
      sum.ok = false;
      return sum;
    }
    if (!block.node()) {
      ++sum.entries;
      continue;
    }
    if (block.value_offset() != 0) open.push_back(block.value_offset());
    if (block.kind == BlockKind::range) sum.entries += block.count();
    for (ChildSlot child = block.next(0); child.slot != 0; child = block.next(child.byte + 1u)) {
      open.push_back(block.child(child.slot));
    }
  }
  return sum;
}

Result<void> PageEditor::tidy(uint32_t slot, bool root) {
  const Block node = block_at_slot(slot);
  if (root || node.kind == BlockKind::range) return {};
  const bool only_value = node.count() == 0 && node.value_offset() != 0;
  const bool chain = node.count() == 1 && node.value_offset() == 0;
  if (!only_value && !chain) return {};
  const ChildSlot only = node.next(0);
  const Block below = view().block(only_value ? node.value_offset() : node.child(only.slot));
  if (!below.ok()) return OpError::damaged;
  const uint32_t label = node.label_bytes + below.label_bytes + (chain ? 1 : 0);
  if (label > label_bytes_max(page_bytes_)) return {};
  const uint32_t bytes = below.bytes - below.label_bytes + label;
  // If the free room is in pieces, compacting joins them and does the same.
  if (bytes > free_bytes()) return compact(true);
  const uint32_t offset = below.node() ? allocate_node(bytes) : allocate(bytes);
  std::byte* to = at(offset);
  std::memcpy(to, below.at, below.fixed_bytes);
  store8(to + 1, label);
  std::byte* out = to + below.fixed_bytes;
  std::memcpy(out, node.label().data(), node.label_bytes);
  out += node.label_bytes;
  if (chain) store8(out++, only.byte);
  std::memcpy(out, below.at + below.fixed_bytes, below.bytes - below.fixed_bytes);
  store16(at(slot), offset);
  discard(node.bytes + below.bytes);
  return {};
}

Result<void> PageEditor::unhook(const Trace& trace) {
  uint32_t i = trace.size - 1;
  while (i > 0) {
    const Block parent = block_at_slot(trace.slots[i - 1]);
    erase_child(at(parent.offset), parent.kind, trace.bytes[i]);
    shrink_node(parent.offset);
    const Block left = view().block(parent.offset);
    --i;
    if (left.count() != 0 || left.value_offset() != 0 || i == 0) break;
    discard(left.bytes);
  }
  return tidy(trace.slots[i], i == 0);
}

Result<void> PageEditor::erase_value(std::string_view path) {
  if (path.size() > kKeyBytesMax) return OpError::malformed;
  Trace trace;
  const Stop stop = walk(view(), path, trace);
  if (stop.kind == StopKind::bad) return OpError::damaged;
  if (stop.kind == StopKind::link || stop.kind == StopKind::range || stop.kind == StopKind::partition) {
    return OpError::wrong_page;
  }
  const Block value = stop.kind == StopKind::value ? value_at(view(), stop) : Block{};
  if (!value.ok()) return OpError::not_found;
  discard(value.bytes);
  --header().entries;
  if (value.offset == stop.block) return unhook(trace);
  store16(at(stop.block) + kNodeValue, 0);
  const Block node = view().block(stop.block);
  if (node.count() == 0 && !trace.at_root()) {
    discard(node.bytes);
    return unhook(trace);
  }
  return tidy(trace.slot(), trace.at_root());
}

Result<void> PageEditor::erase_subtree(std::string_view path) {
  if (path.empty() || path.size() > kKeyBytesMax) return OpError::malformed;
  Trace trace;
  const Stop stop = walk(view(), path, trace);
  switch (stop.kind) {
    case StopKind::bad:
      return OpError::damaged;
    case StopKind::range:
    case StopKind::partition:
      return OpError::wrong_page;
    case StopKind::link:
      if (stop.consumed != path.size()) return OpError::wrong_page;
      break;
    case StopKind::no_child:
      return OpError::not_found;
    case StopKind::label:
      if (stop.consumed + stop.matched != path.size()) return OpError::not_found;
      break;
    case StopKind::value:
      break;
  }
  const Measure size = measure(stop.block);
  if (!size.ok) return OpError::damaged;
  discard(size.bytes);
  header().entries -= size.entries;
  return unhook(trace);
}

namespace {

// A link beneath counts with the length that its bound states: `step` bytes for each step of the bound.
uint32_t longest(const PageView& page, uint32_t top_offset, uint32_t step) {
  struct Open {
    uint32_t offset;
    uint32_t depth;  // bytes above the block's label
  };
  uint32_t most = 0;
  std::vector<Open> open;
  const Block top = page.block(top_offset);
  const auto visit = [&](const Block& block, uint32_t depth) {
    if (block.kind == BlockKind::leaf) most = std::max(most, depth);
    if (block.kind == BlockKind::link) most = std::max(most, depth + block.link_bound() * step);
    if (!block.node()) return;
    if (block.value_offset() != 0) most = std::max(most, depth);
    if (block.kind == BlockKind::range) {
      for (uint32_t i = 0; i < block.count(); ++i) {
        most = std::max(most, depth + load8(block.at + range_node::bound_at(block.count(), i)) * step);
      }
    }
    for (ChildSlot child = block.next(0); child.slot != 0; child = block.next(child.byte + 1u)) {
      open.push_back({block.child(child.slot), depth + 1});
    }
  };
  visit(top, 0);
  while (!open.empty()) {
    const Open next = open.back();
    open.pop_back();
    const Block block = page.block(next.offset);
    visit(block, next.depth + block.label_bytes);
  }
  return most;
}

}  // namespace

uint32_t longest_suffix(const PageView& page, uint32_t offset) { return longest(page, offset, kBoundStep); }

uint32_t longest_path(const PageView& page, uint32_t offset) { return longest(page, offset, 0); }

}  // namespace fb::art
