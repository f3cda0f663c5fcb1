// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <string_view>

#include "art/frame.h"
#include "art/node16.h"
#include "art/node256.h"
#include "art/node4.h"
#include "art/node48.h"
#include "art/page_format.h"
#include "art/range_node.h"

// Reading a page. A reader may look at bytes that a writer is changing at the same time. Everything here
// stays inside the page and ends, whatever the bytes are; its answers count only once the latch has been
// validated.

namespace fb::art {

inline std::string_view as_text(const std::byte* at, size_t bytes) {
  return {reinterpret_cast<const char*>(at), bytes};
}

// A block whose parts are known to lie inside the page.
struct Block {
  const std::byte* at = nullptr;
  uint32_t offset = 0;
  BlockKind kind = BlockKind::none;
  uint32_t fixed_bytes = 0;  // bytes before the label
  uint32_t label_bytes = 0;
  uint32_t bytes = 0;

  bool ok() const { return kind != BlockKind::none; }
  bool node() const { return is_node(kind); }
  std::string_view label() const { return as_text(at + fixed_bytes, label_bytes); }
  // For leaves.
  uint8_t value_flags() const { return load8(at) >> 4; }
  std::string_view value() const {
    return as_text(at + fixed_bytes + label_bytes, bytes - fixed_bytes - label_bytes);
  }
  // For links.
  LinkWord link() const { return LinkWord::raw(load64(at + kLinkWord)); }
  uint8_t link_bound() const { return load8(at + kLinkBound); }
  uint8_t link_flags() const { return load8(at + kLinkFlags); }
  // For nodes.
  uint32_t count() const { return load16(at + kNodeCount); }
  uint16_t value_offset() const { return load16(at + kNodeValue); }

  // The slot of the child for `byte` in the block; 0: none. Not for ranges.
  uint16_t find(uint8_t byte) const;
  // The first child whose byte is at least `from` (0..256). Not for ranges.
  ChildSlot next(uint32_t from) const;
  uint16_t child(uint16_t slot) const { return load16(at + slot); }
};

class PageView {
 public:
  PageView() = default;
  PageView(const std::byte* bytes, uint32_t page_bytes) : bytes_(bytes), page_bytes_(page_bytes) {}
  explicit PageView(const Frame& frame) : PageView(frame.bytes, frame.page_bytes) {}

  const std::byte* bytes() const { return bytes_; }
  uint32_t page_bytes() const { return page_bytes_; }
  const PageHeader& header() const { return *reinterpret_cast<const PageHeader*>(bytes_); }
  Lsn lsn() const { return {header().lsn_epoch, header().lsn_position}; }
  PageId page_id() const { return {header().page_id}; }
  uint16_t root() const { return header().root; }
  uint32_t entries() const { return header().entries; }
  uint32_t capacity_bytes() const { return page_bytes_ - kHeaderBytes; }
  uint32_t gap_bytes() const { return header().gap_end - header().gap_begin; }
  // Bytes of blocks in use.
  uint32_t live_bytes() const {
    return header().heap_end - kHeaderBytes - header().garbage_bytes - gap_bytes();
  }

  // kind none if the bytes at `offset` are no block inside the page.
  Block block(uint32_t offset) const;

 private:
  const std::byte* bytes_ = nullptr;
  uint32_t page_bytes_ = 0;
};

// The part of a page that is prefetched before a search: compaction puts the nodes there.
inline constexpr uint32_t kLineBytes = 64;
inline constexpr uint32_t kPrefetchedBytes = 16 * kLineBytes;
inline void prefetch(const void* at, uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; i += kLineBytes) __builtin_prefetch(static_cast<const std::byte*>(at) + i);
}
inline void prefetch_for_write(const void* at, uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; i += kLineBytes)
    __builtin_prefetch(static_cast<const std::byte*>(at) + i, 1);
}
inline constexpr uint32_t kPrefetchedValueBytes = 256;  // of a leaf: label and value
inline void prefetch_page(const std::byte* bytes) { prefetch(bytes, kPrefetchedBytes); }

enum class StopKind : uint8_t {
  value,     // the key ends at a node or leaf: its value, if it has one, is the key's
  link,      // the key goes on (or ends) in the page behind this link
  range,     // the key goes on in the page of this interval
  label,     // key and label differ inside the label, or the key ends in it
  no_child,  // the node has no child for the key's next byte
  partition,
  bad,  // torn or damaged
};

// The place in a page at which the path of a key ends.
struct Stop {
  StopKind kind = StopKind::bad;
  uint32_t block = 0;     // offset
  uint32_t interval = 0;  // index in a range
  uint32_t consumed = 0;  // bytes of the key before the block's label (label), or up to its end (all others)
  uint32_t matched = 0;   // label: how many of its bytes agree
};

struct NoTrace {
  void operator()(uint32_t /*slot in page*/, uint32_t /*branch byte*/) const {}
};

inline uint32_t common_prefix_bytes(const char* a, const char* b, uint32_t bytes) {
  uint32_t at = 0;
  for (; at + 8 <= bytes; at += 8) {
    uint64_t x;
    uint64_t y;
    std::memcpy(&x, a + at, 8);
    std::memcpy(&y, b + at, 8);
    if (x != y) return at + static_cast<uint32_t>(std::countr_zero(x ^ y)) / 8;
  }
  while (at < bytes && a[at] == b[at]) ++at;
  return at;
}

inline uint16_t Block::find(uint8_t byte) const {
  switch (kind) {
    case BlockKind::node4:
      return node4::find(at, byte);
    case BlockKind::node16:
      return node16::find(at, byte);
    case BlockKind::node48:
      return node48::find(at, byte);
    case BlockKind::node256:
      return node256::find(at, byte);
    default:
      return 0;
  }
}

inline ChildSlot Block::next(uint32_t from) const {
  switch (kind) {
    case BlockKind::node4:
      return node4::next(at, from);
    case BlockKind::node16:
      return node16::next(at, from);
    case BlockKind::node48:
      return node48::next(at, from);
    case BlockKind::node256:
      return node256::next(at, from);
    default:
      return {};
  }
}

inline constexpr uint16_t kFixedBytes[16] = {
    0,           kLeafFixed, kLinkFixed, node4::kFixed, node16::kFixed, node48::kFixed, node256::kFixed,
    kNodeArrays, kLinkFixed};

inline Block PageView::block(uint32_t offset) const {
  Block block;
  if (offset < kHeaderBytes || offset + kLeafFixed > page_bytes_) return block;
  const std::byte* at = bytes_ + offset;
  const auto kind = static_cast<BlockKind>(load8(at) & 0x0f);
  uint32_t fixed = kFixedBytes[static_cast<uint8_t>(kind)];
  if (fixed == 0) return block;
  const uint32_t label = load8(at + 1);
  uint32_t bytes = fixed + label;
  if (kind == BlockKind::leaf) {
    bytes += load16(at + 2);
  } else if (kind == BlockKind::range) {
    const uint32_t count = load16(at + kNodeCount);
    if (count == 0 || count > range_node::kCountMax) return block;
    fixed = range_node::fixed_bytes(count);
    bytes = fixed + label;
  }
  if (offset + bytes > page_bytes_) return block;
  block = {at, offset, kind, fixed, label, bytes};
  return block;
}

// How many bytes of a label agree with the rest of the key. Short labels are compared at once if eight bytes
// can be read on both sides.
inline uint32_t matching_bytes(const std::byte* label, uint32_t label_bytes, uint32_t label_readable,
                               const char* key, uint32_t key_bytes) {
  const uint32_t bytes = label_bytes < key_bytes ? label_bytes : key_bytes;
  if (bytes < 8 && label_readable >= 8 && key_bytes >= 8) [[likely]] {
    uint64_t x;
    uint64_t y;
    std::memcpy(&x, label, 8);
    std::memcpy(&y, key, 8);
    const auto same = static_cast<uint32_t>(std::countr_zero(x ^ y)) / 8;
    return same < bytes ? same : bytes;
  }
  return common_prefix_bytes(reinterpret_cast<const char*>(label), key, bytes);
}

// A place between two blocks of a walk.
struct WalkPlace {
  uint32_t at = 0;      // in the key
  uint32_t offset = 0;  // of the next block; 0: the root
};

// Follows `key`, which begins at the page's root, from `place` as far as the page goes. `trace` is called for
// each block on the way with the slot of its offset in the page, and the byte that led to it (the root: 0).
// Ends early, with `place` set and answer false, if `pause` is true for the offset of the next block. (A
// continued walk does not know the slot of its first block: so a walk with a trace does not pause.)
template <class Trace, class Pause>
[[gnu::always_inline]] inline bool walk_on(const PageView& page, std::string_view key, WalkPlace& place,
                                           Stop& stop, Trace&& trace, Pause&& pause) {
  const std::byte* const bytes = page.bytes();
  const uint32_t page_bytes = page.page_bytes();
  const auto size = static_cast<uint32_t>(key.size());
  uint32_t at = place.at;
  uint32_t slot = offsetof(PageHeader, root);
  uint32_t byte = 0;
  for (uint32_t offset = place.offset != 0 ? place.offset : page.root();;) {
    trace(slot, byte);
    if (offset - kHeaderBytes > page_bytes - kHeaderBytes - kLeafFixed) {
      stop = {StopKind::bad, offset, 0, at, 0};
      return true;
    }
    const std::byte* const block = bytes + offset;
    const auto kind = static_cast<BlockKind>(load8(block) & 0x0f);
    const uint32_t label_bytes = load8(block + 1);
    uint32_t matched = 0;
    // StopKind::value: the label agrees. Else the walk ends.
    const auto pass_label = [&](uint32_t fixed) {
      if (offset + fixed + label_bytes > page_bytes) [[unlikely]]
        return StopKind::bad;
      if (label_bytes == 0) return StopKind::value;
      matched =
          matching_bytes(block + fixed, label_bytes, page_bytes - offset - fixed, key.data() + at, size - at);
      if (matched < label_bytes) return StopKind::label;
      at += label_bytes;
      return StopKind::value;
    };
    uint16_t child = 0;
    StopKind passed = StopKind::bad;
    switch (kind) {
      case BlockKind::node4:
        passed = pass_label(node4::kFixed);
        if (passed == StopKind::value && at < size) child = node4::find(block, static_cast<uint8_t>(key[at]));
        break;
      case BlockKind::node16:
        passed = pass_label(node16::kFixed);
        if (passed == StopKind::value && at < size)
          child = node16::find(block, static_cast<uint8_t>(key[at]));
        break;
      case BlockKind::node48:
        passed = pass_label(node48::kFixed);
        if (passed == StopKind::value && at < size)
          child = node48::find(block, static_cast<uint8_t>(key[at]));
        break;
      case BlockKind::node256:
        passed = pass_label(node256::kFixed);
        if (passed == StopKind::value && at < size)
          child = node256::find(block, static_cast<uint8_t>(key[at]));
        break;
      case BlockKind::leaf:
        if (offset + kLeafFixed + label_bytes + load16(block + 2) > page_bytes) break;
        passed = pass_label(kLeafFixed);
        break;
      case BlockKind::link:
        passed = pass_label(kLinkFixed);
        if (passed == StopKind::value) passed = StopKind::link;
        break;
      case BlockKind::partition_link:
        passed = pass_label(kLinkFixed);
        if (passed == StopKind::value) passed = StopKind::partition;
        break;
      case BlockKind::range: {
        const uint32_t count = load16(block + kNodeCount);
        if (count == 0 || count > range_node::kCountMax) break;
        passed = pass_label(range_node::fixed_bytes(count));
        if (passed != StopKind::value || at == size) break;
        stop = {StopKind::range, offset, range_node::find(block, count, static_cast<uint8_t>(key[at])), at,
                0};
        return true;
      }
      case BlockKind::none:
        break;
    }
    if (child == 0) {
      if (passed == StopKind::value && at < size) passed = StopKind::no_child;
      stop = {passed, offset, 0, at, matched};
      return true;
    }
    byte = static_cast<uint8_t>(key[at]);
    ++at;
    slot = offset + child;
    offset = load16(block + child);
    if (pause(offset)) {
      place = {at, offset};
      return false;
    }
  }
}

// The whole walk.
template <class Trace = NoTrace>
[[gnu::always_inline]] inline Stop walk(const PageView& page, std::string_view key, Trace&& trace = {}) {
  WalkPlace place;
  Stop stop;
  (void)walk_on(page, key, place, stop, trace, [](uint32_t) { return false; });
  return stop;
}

// The leaf with the value of the block a walk ended at with StopKind::value; kind none if it has no value.
inline Block value_at(const PageView& page, const Stop& stop) {
  const Block block = page.block(stop.block);
  if (block.kind == BlockKind::leaf) return block;
  if (!block.node() || block.value_offset() == 0) return {};
  const Block value = page.block(block.value_offset());
  return value.kind == BlockKind::leaf ? value : Block{};
}

// A link with its bound and flags, either of a block of its own or of a range's interval.
struct LinkInfo {
  LinkWord word;
  uint32_t word_offset = 0;  // in the page
  uint8_t bound = 0;
  uint8_t flags = 0;
};
inline LinkInfo link_at(const PageView& page, const Stop& stop) {
  const Block block = page.block(stop.block);
  if (block.kind == BlockKind::link) {
    return {block.link(), stop.block + kLinkWord, block.link_bound(), block.link_flags()};
  }
  if (block.kind != BlockKind::range) return {};
  const uint32_t count = (block.fixed_bytes - kNodeArrays) / range_node::kEntryBytes;
  if (stop.interval >= count) return {};
  const range_node::Entry entry = range_node::load(block.at, count, stop.interval);
  return {LinkWord::raw(entry.word), stop.block + range_node::word_at(count, stop.interval), entry.bound,
          entry.flags};
}

}  // namespace fb::art
