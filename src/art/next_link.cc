// SPDX-License-Identifier: Apache-2.0
#include "art/next_link.h"

#include <algorithm>

namespace fb::art {
namespace {

void take_interval(const Block& range, uint32_t offset, std::string_view rest, NextLink& out) {
  const uint32_t count = range.count();
  const uint32_t i = rest.empty() ? 0 : range_node::find(range.at, count, static_cast<uint8_t>(rest[0]));
  const range_node::Entry entry = range_node::load(range.at, count, i);
  const auto word = [&](uint32_t other) {
    return LinkWord::raw(range_node::load(range.at, count, other).word);
  };
  out.link = {LinkWord::raw(entry.word), offset + range_node::word_at(count, i), entry.bound, entry.flags};
  out.by_range = true;
  out.first = entry.first;
  out.is_first = i == 0;
  out.has_end = i + 1 < count;
  if (out.has_end) out.end = load8(range.at + range_node::kFirst + i + 1);
  out.before = i > 0 ? word(i - 1) : LinkWord();
  out.behind = out.has_end ? word(i + 1) : LinkWord();
  out.rest = rest;
}

// Searches the subtree at `offset`, to which out.path leads. Recurses at most as deep as a key is long: each
// step adds a byte.
bool find_below(const PageView& page, uint32_t offset, std::string_view rest, NextLink& out) {
  const Block block = page.block(offset);
  if (!block.ok() || out.path.size() + block.label_bytes > kKeyBytesMax) return false;
  const size_t above = out.path.size();
  const std::string_view label = block.label();
  const size_t same = static_cast<size_t>(std::ranges::mismatch(label, rest).in1 - label.begin());
  if (same == label.size()) {
    rest.remove_prefix(same);
  } else if (same == rest.size() || static_cast<uint8_t>(label[same]) > static_cast<uint8_t>(rest[same])) {
    rest = {};  // the whole subtree lies behind `from`
  } else {
    return false;
  }
  out.path.append(label);
  if (block.kind == BlockKind::link) {
    out.link = {block.link(), offset + kLinkWord, block.link_bound(), block.link_flags()};
    out.rest = rest;
    return true;
  }
  if (block.kind == BlockKind::range) {
    take_interval(block, offset, rest, out);
    return true;
  }
  if (block.node()) {
    const uint32_t from = rest.empty() ? 0 : static_cast<uint8_t>(rest[0]);
    for (ChildSlot child = block.next(from); child.slot != 0; child = block.next(child.byte + 1u)) {
      const bool on_the_way = !rest.empty() && child.byte == from;
      out.path.push_back(static_cast<char>(child.byte));
      if (find_below(page, block.child(child.slot), on_the_way ? rest.substr(1) : std::string_view(), out))
        return true;
      out.path.pop_back();
    }
  }
  out.path.resize(above);
  return false;
}

}  // namespace

bool next_link(const PageView& page, std::string_view from, NextLink& out) {
  out.by_range = out.has_end = out.is_first = false;
  out.before = out.behind = LinkWord();
  out.path.clear();
  return find_below(page, page.root(), from, out);
}

}  // namespace fb::art
