// SPDX-License-Identifier: Apache-2.0
// The half of PageEditor that deals with other pages: links, ranges, and content that moves between pages.
#include "art/page_editor_parts.h"

namespace fb::art {

namespace {

bool sorted_intervals(std::string_view packed) {
  const auto count = static_cast<uint32_t>(packed.size() / range_node::kEntryBytes);
  if (packed.size() % range_node::kEntryBytes != 0 || count == 0 || count > range_node::kCountMax)
    return false;
  for (uint32_t i = 0; i < count; ++i) {
    const auto entry = range_node::unpack(packed, i);
    if (entry.word == 0 || (i > 0 && entry.first <= range_node::unpack(packed, i - 1).first)) return false;
  }
  return true;
}

uint32_t count_of(std::string_view packed) {
  return static_cast<uint32_t>(packed.size() / range_node::kEntryBytes);
}

}  // namespace

std::string PageEditor::pack_intervals(const Block& range) {
  std::string packed;
  for (uint32_t i = 0; i < range.count(); ++i) {
    range_node::pack(packed, range_node::load(range.at, range.count(), i));
  }
  return packed;
}

uint32_t PageEditor::new_range(std::string_view label, uint16_t value, std::string_view intervals) {
  const uint32_t count = count_of(intervals);
  const uint32_t fixed = range_node::fixed_bytes(count);
  const uint32_t offset = allocate_node(static_cast<uint32_t>(fixed + label.size()));
  write_range(offset, label, value, intervals);
  return offset;
}

void PageEditor::write_range(uint32_t offset, std::string_view label, uint16_t value,
                             std::string_view intervals) {
  const uint32_t count = count_of(intervals);
  const uint32_t fixed = range_node::fixed_bytes(count);
  std::byte* node = at(offset);
  store8(node, static_cast<uint8_t>(BlockKind::range));
  store8(node + 1, static_cast<uint32_t>(label.size()));
  store16(node + kNodeCount, count);
  store16(node + kNodeValue, value);
  for (uint32_t i = 0; i < count; ++i) {
    range_node::Entry entry = range_node::unpack(intervals, i);
    if (i == 0) entry.first = 0;  // it also holds the bytes below
    range_node::store(node, count, i, entry);
  }
  if (!label.empty()) std::memcpy(node + fixed, label.data(), label.size());
  header().entries += count;
}

Result<void> PageEditor::put_link(std::string_view path, const Link& link) {
  if (path.empty() || path.size() > kKeyBytesMax || link.word.word() == 0) return OpError::malformed;
  return insert(path, {.kind = BlockKind::link, .link = link});
}

Result<void> PageEditor::replace_by_link(std::string_view path, const Link& link) {
  if (path.empty() || path.size() > kKeyBytesMax || link.word.word() == 0) return OpError::malformed;
  for (;;) {
    Trace trace;
    const Stop stop = walk(view(), path, trace);
    if (stop.kind == StopKind::bad) return OpError::damaged;
    if (stop.kind != StopKind::value) return OpError::not_found;
    const Block top = view().block(stop.block);
    const uint32_t bytes = kLinkFixed + top.label_bytes;
    const bool in_place = top.bytes >= bytes;
    if (!in_place) {
      switch (reserve(bytes)) {
        case Room::none:
          return OpError::no_room;
        case Room::compacted:
          continue;
        case Room::ready:
          break;
      }
    }
    const Measure size = measure(stop.block);
    if (!size.ok) return OpError::damaged;
    std::array<char, 255> label;
    std::memcpy(label.data(), top.label().data(), top.label_bytes);
    discard(size.bytes - (in_place ? bytes : 0));
    header().entries -= size.entries;
    const uint32_t offset = in_place ? stop.block : allocate(bytes);
    std::byte* out = at(offset);
    store8(out, static_cast<uint8_t>(BlockKind::link));
    store8(out + 1, top.label_bytes);
    store8(out + kLinkBound, link.bound);
    store8(out + kLinkFlags, link.flags);
    store64(out + kLinkWord, link.word.word());
    std::memcpy(out + kLinkFixed, label.data(), top.label_bytes);
    ++header().entries;
    store16(at(trace.slot()), offset);
    return {};
  }
}

Result<void> PageEditor::set_bound(std::string_view path, int byte, uint8_t bound, uint8_t flags) {
  if (path.size() > kKeyBytesMax) return OpError::malformed;
  const Stop stop = walk(view(), path);
  if (stop.kind == StopKind::bad) return OpError::damaged;
  const Block block = view().block(stop.block);
  if (byte == kNoByte) {
    if (stop.kind != StopKind::link || stop.consumed != path.size()) return OpError::not_found;
    store8(at(stop.block) + kLinkBound, bound);
    store8(at(stop.block) + kLinkFlags, flags);
    return {};
  }
  if (stop.kind != StopKind::value || block.kind != BlockKind::range) return OpError::not_found;
  const uint32_t count = block.count();
  const uint32_t i = range_node::find(block.at, count, static_cast<uint8_t>(byte));
  store8(at(stop.block) + range_node::bound_at(count, i), bound);
  store8(at(stop.block) + range_node::flags_at(count, i), flags);
  return {};
}

Result<void> PageEditor::erase_link(std::string_view path, int byte) {
  if (path.size() > kKeyBytesMax) return OpError::malformed;
  Trace trace;
  const Stop stop = walk(view(), path, trace);
  if (stop.kind == StopKind::bad) return OpError::damaged;
  const Block block = view().block(stop.block);
  if (byte == kNoByte) {
    if (stop.kind != StopKind::link || stop.consumed != path.size()) return OpError::not_found;
    discard(block.bytes);
    --header().entries;
    return unhook(trace);
  }
  if (stop.kind != StopKind::value || block.kind != BlockKind::range) return OpError::not_found;
  const uint32_t count = block.count();
  if (count > 1) {
    std::string intervals = pack_intervals(block);
    const uint32_t i = range_node::find(block.at, count, static_cast<uint8_t>(byte));
    intervals.erase(i * range_node::kEntryBytes, range_node::kEntryBytes);
    std::array<char, 255> label;
    std::memcpy(label.data(), block.label().data(), block.label_bytes);
    const uint16_t value = block.value_offset();
    // The shorter block takes the place of the longer one.
    write_range(stop.block, {label.data(), block.label_bytes}, value, intervals);
    header().entries -= count;
    discard(range_node::kEntryBytes);
    return {};
  }
  --header().entries;
  if (trace.at_root()) {
    // A page whose root is a range holds nothing else but its value.
    const Block leaf = block.value_offset() != 0 ? view().block(block.value_offset()) : Block{};
    const std::string value(leaf.ok() ? leaf.value() : std::string_view());
    const bool given = leaf.ok();
    const uint8_t flags = given ? leaf.value_flags() : uint8_t{0};
    std::memset(at(kHeaderBytes), 0, header().heap_end - kHeaderBytes);
    header().heap_end = kHeaderBytes;
    header().gap_begin = kHeaderBytes;
    header().gap_end = kHeaderBytes;
    header().garbage_bytes = 0;
    header().entries = 0;
    header().root = static_cast<uint16_t>(new_node4({}));
    header().gap_begin = header().heap_end;
    header().gap_end = header().heap_end;
    if (given) store16(at(header().root) + kNodeValue, new_leaf({}, flags, value));
    return {};
  }
  discard(block.bytes);
  if (block.value_offset() == 0) return unhook(trace);
  // Only the value is left: its leaf takes the block's place and label.
  const Block value = view().block(block.value_offset());
  if (value.kind != BlockKind::leaf) return OpError::damaged;
  const uint32_t bytes = value.bytes + block.label_bytes;
  if (bytes <= block.bytes) {
    std::array<std::byte, 255> label;
    std::memcpy(label.data(), block.label().data(), block.label_bytes);
    std::byte* leaf = at(stop.block);
    std::memcpy(leaf, value.at, kLeafFixed);
    store8(leaf + 1, block.label_bytes);
    std::memcpy(leaf + kLeafFixed, label.data(), block.label_bytes);
    std::memcpy(leaf + kLeafFixed + block.label_bytes, value.value().data(), value.value().size());
    discard(value.bytes);
    header().garbage_bytes -= bytes;
    return {};
  }
  // The leaf does not fit into the block's place: it moves to free room, which compacting makes if needed.
  const std::string label(block.label());
  const std::string text(value.value());
  const uint8_t flags = value.value_flags();
  const uint8_t byte_above = trace.bytes[trace.size - 1];
  const Block parent = block_at_slot(trace.slots[trace.size - 2]);
  discard(value.bytes);
  --header().entries;
  erase_child(at(parent.offset), parent.kind, byte_above);
  const uint32_t parent_slot = trace.slots[trace.size - 2];
  if (bytes > free_bytes()) {
    // The parent may be empty for a moment; it is a node, and stays one.
    if (auto compacted = lay_out(false, bytes); !compacted) return compacted;
    Trace again;
    (void)walk(view(), path.substr(0, path.size() - label.size() - 1), again);
    add_child(again.slot(), byte_above, new_leaf(label, flags, text));
    return {};
  }
  add_child(parent_slot, byte_above, new_leaf(label, flags, text));
  return {};
}

void PageEditor::drop_children(uint32_t offset) {
  const Block block = view().block(offset);
  Measure below;
  for (ChildSlot child = block.next(0); child.slot != 0; child = block.next(child.byte + 1u)) {
    const Measure size = measure(block.child(child.slot));
    below.bytes += size.bytes;
    below.entries += size.entries;
  }
  header().entries -= below.entries;
  discard(below.bytes);
  std::array<char, 255> label;
  std::memcpy(label.data(), block.label().data(), block.label_bytes);
  const uint16_t value = block.value_offset();
  std::byte* node = at(offset);
  std::memset(node, 0, node4::kFixed);
  store8(node, static_cast<uint8_t>(BlockKind::node4));
  store8(node + 1, block.label_bytes);
  store16(node + kNodeValue, value);
  std::memcpy(node + node4::kFixed, label.data(), block.label_bytes);
  discard(block.bytes - node4::kFixed - block.label_bytes);
}

Result<void> PageEditor::make_range(std::string_view path, const Value& value, std::string_view intervals) {
  if (path.size() > kKeyBytesMax || !sorted_intervals(intervals) ||
      value.bytes.size() > value_bytes_max(page_bytes_) || (value.flags & ~kValueFlagsMask) != 0) {
    return OpError::malformed;
  }
  for (bool dropped = false;;) {
    Trace trace;
    const Stop stop = walk(view(), path, trace);
    if (stop.kind == StopKind::bad) return OpError::damaged;
    const Block block = view().block(stop.block);
    const bool link = stop.kind == StopKind::link && stop.consumed == path.size();
    if (!link && (stop.kind != StopKind::value || !block.node())) return OpError::not_found;
    if (!link && value.given) return OpError::malformed;
    uint32_t need = range_node::fixed_bytes(count_of(intervals)) + block.label_bytes;
    if (value.given) need += static_cast<uint32_t>(kLeafFixed + value.bytes.size());
    const bool range = block.kind == BlockKind::range;
    if (range && need <= block.bytes) {
      std::array<char, 255> label;
      std::memcpy(label.data(), block.label().data(), block.label_bytes);
      const uint32_t count = block.count();
      const uint16_t value_offset = block.value_offset();
      write_range(stop.block, {label.data(), block.label_bytes}, value_offset, intervals);
      header().entries -= count;
      discard(block.bytes - need);
      return {};
    }
    if (!link && !range && !dropped) {
      const Measure size = measure(stop.block);
      if (!size.ok) return OpError::damaged;
      const Block own = block.value_offset() != 0 ? view().block(block.value_offset()) : Block{};
      const uint32_t kept = node4::kFixed + block.label_bytes + own.bytes;
      const uint32_t freed = size.bytes > kept ? size.bytes - kept : 0;
      if (need > all_free_bytes() + freed) return OpError::no_room;
      drop_children(stop.block);
      dropped = true;
      continue;
    }
    switch (reserve(need)) {
      case Room::none:
        return OpError::no_room;
      case Room::compacted:
        continue;
      case Room::ready:
        break;
    }
    const uint32_t leaf = value.given ? new_leaf({}, value.flags, value.bytes) : 0;
    const auto kept = static_cast<uint16_t>(link ? leaf : block.value_offset());
    const uint32_t replacing = range ? block.count() : link ? 1 : 0;
    const uint32_t made = new_range(block.label(), kept, intervals);
    discard(block.bytes);
    header().entries -= replacing;
    store16(at(trace.slot()), made);
    return {};
  }
}

Result<void> PageEditor::insert_interval(std::string_view path, const range_node::Entry& interval) {
  if (path.size() > kKeyBytesMax || interval.word == 0) return OpError::malformed;
  for (;;) {
    Trace trace;
    const Stop stop = walk(view(), path, trace);
    if (stop.kind == StopKind::bad) return OpError::damaged;
    const Block block = view().block(stop.block);
    if (stop.kind != StopKind::value || block.kind != BlockKind::range) return OpError::not_found;
    const uint32_t count = block.count();
    uint32_t i = 0;
    while (i < count && load8(block.at + range_node::kFirst + i) < interval.first) ++i;
    if (i < count && load8(block.at + range_node::kFirst + i) == interval.first) return OpError::occupied;
    if (count == range_node::kCountMax) return OpError::malformed;
    switch (reserve(range_node::fixed_bytes(count + 1) + block.label_bytes)) {
      case Room::none:
        return OpError::no_room;
      case Room::compacted:
        continue;
      case Room::ready:
        break;
    }
    std::string intervals = pack_intervals(block);
    std::string one;
    range_node::pack(one, interval);
    intervals.insert(i * range_node::kEntryBytes, one);
    const uint32_t range = new_range(block.label(), block.value_offset(), intervals);
    header().entries -= count;
    discard(block.bytes);
    store16(at(trace.slot()), range);
    return {};
  }
}

Result<void> PageEditor::move_interval(std::string_view path, uint8_t from, uint8_t to) {
  if (path.size() > kKeyBytesMax) return OpError::malformed;
  const Stop stop = walk(view(), path);
  if (stop.kind == StopKind::bad) return OpError::damaged;
  const Block block = view().block(stop.block);
  if (stop.kind != StopKind::value || block.kind != BlockKind::range) return OpError::not_found;
  const auto first_of = [&](uint32_t i) { return load8(block.at + range_node::kFirst + i); };
  const uint32_t count = block.count();
  const uint32_t i = range_node::find(block.at, count, from);
  if (i == 0 || first_of(i) != from) return OpError::not_found;
  if (to <= first_of(i - 1) || (i + 1 < count && to >= first_of(i + 1))) return OpError::occupied;
  store8(at(stop.block) + range_node::kFirst + i, to);
  return {};
}

Result<void> PageEditor::keep_children(uint8_t first, uint8_t last) {
  const Block root = view().block(header().root);
  if (!root.node()) return OpError::damaged;
  if (root.kind == BlockKind::range) {
    std::string kept;
    for (uint32_t i = 0; i < root.count(); ++i) {
      const auto entry = range_node::load(root.at, root.count(), i);
      if (entry.first >= first && entry.first <= last) range_node::pack(kept, entry);
    }
    if (kept.empty()) return OpError::not_found;
    const uint32_t count = root.count();
    const uint32_t bytes = root.bytes;
    write_range(root.offset, {}, 0, kept);
    header().entries -= count;
    discard(bytes - view().block(root.offset).bytes);
    return compact(true);
  }
  if (root.next(first).slot == 0 || root.next(first).byte > last) return OpError::not_found;
  store16(at(root.offset) + kNodeValue, 0);
  for (ChildSlot child = root.next(0); child.slot != 0; child = root.next(child.byte + 1u)) {
    if (child.byte < first || child.byte > last) {
      erase_child(at(root.offset), root.kind, static_cast<uint8_t>(child.byte));
    }
  }
  shrink_node(root.offset);
  // Compacting counts the remaining blocks anew.
  return compact(true);
}

Result<void> PageEditor::graft(std::string_view path, const PageView& image) {
  if (path.size() > kKeyBytesMax || image.page_bytes() != page_bytes_) return OpError::malformed;
  const Block top = image.block(image.root());
  if (!top.node() || (top.count() == 0 && top.value_offset() == 0)) return OpError::malformed;
  if (path.size() + longest_path(image, image.root()) > kKeyBytesMax) return OpError::malformed;
  for (;;) {
    Trace trace;
    const Stop stop = walk(view(), path, trace);
    if (stop.kind == StopKind::bad) return OpError::damaged;
    const Block block = view().block(stop.block);
    const bool link = stop.kind == StopKind::link && stop.consumed == path.size();
    const bool range = stop.kind == StopKind::value && block.kind == BlockKind::range;
    if (!link && !range) {
      if (path.empty()) return OpError::occupied;
      return insert(path, {.kind = BlockKind::none, .image = &image});
    }
    if (range && (block.count() != 1 || top.value_offset() != 0)) return OpError::occupied;
    switch (reserve(image.live_bytes() + block.label_bytes)) {
      case Room::none:
        return OpError::no_room;
      case Room::compacted:
        continue;
      case Room::ready:
        break;
    }
    const uint16_t value = range ? block.value_offset() : uint16_t{0};
    const bool keep_node = value != 0 || trace.at_root();
    const uint32_t copied = copy_tree(image, image.root(), block.label(),
                                      {.normalize = true, .page_ids = true, .keep_root = keep_node});
    if (copied == 0) return OpError::damaged;
    if (value != 0) store16(at(copied) + kNodeValue, value);
    discard(block.bytes);
    --header().entries;
    store16(at(trace.slot()), copied);
    return {};
  }
}

Result<void> PageEditor::graft_root(const PageView& image) {
  if (image.page_bytes() != page_bytes_) return OpError::malformed;
  const Block from = image.block(image.root());
  const Block own = view().block(header().root);
  if (!from.node() || !own.node()) return OpError::damaged;
  if (from.value_offset() != 0 || from.kind == BlockKind::range || own.kind == BlockKind::range) {
    return OpError::malformed;
  }
  const uint32_t count = own.count() + from.count();
  if (count > node256::kCapacity) return OpError::occupied;
  for (ChildSlot child = from.next(0); child.slot != 0; child = from.next(child.byte + 1u)) {
    if (own.find(static_cast<uint8_t>(child.byte)) != 0) return OpError::occupied;
  }
  const uint32_t need =
      image.live_bytes() + (kind_for(count) > own.kind ? fixed_bytes_of(kind_for(count)) : 0);
  if (reserve(need) == Room::none) return OpError::no_room;
  const PageHeader before = header();
  std::array<uint16_t, 256> copied{};
  for (ChildSlot child = from.next(0); child.slot != 0; child = from.next(child.byte + 1u)) {
    const Block below = image.block(from.child(child.slot));
    copied[child.byte] = static_cast<uint16_t>(
        below.ok() ? copy_tree(image, below.offset, below.label(), {.normalize = true, .page_ids = true})
                   : 0);
    if (copied[child.byte] == 0) {
      std::memset(at(before.heap_end), 0, header().heap_end - before.heap_end);
      header() = before;
      return OpError::damaged;
    }
  }
  constexpr uint32_t kRootSlot = offsetof(PageHeader, root);
  const BlockKind kind = kind_for(count);
  if (kind > view().block(header().root).kind) grow_node(kRootSlot, kind);
  const Block root = view().block(header().root);
  for (uint32_t byte = 0; byte < 256; ++byte) {
    if (copied[byte] != 0) insert_child(at(root.offset), root.kind, static_cast<uint8_t>(byte), copied[byte]);
  }
  return {};
}

Result<void> PageEditor::set_image(const PageView& image) {
  if (image.page_bytes() != page_bytes_) return OpError::malformed;
  const PageHeader before = header();
  const uint32_t end = image.header().heap_end;
  if (end < kHeaderBytes || end > page_bytes_) return OpError::malformed;
  std::memcpy(at(kHeaderBytes), image.bytes() + kHeaderBytes, end - kHeaderBytes);
  std::memset(at(end), 0, page_bytes_ - end);
  header() = image.header();
  header().page_id = before.page_id;
  header().lsn_epoch = before.lsn_epoch;
  header().lsn_position = before.lsn_position;
  header().checksum = 0;
  if (view().gap_bytes() == 0) open_gap();
  return {};
}

}  // namespace fb::art
