// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "art/page_check.h"
#include "art/page_editor.h"

// For tests: a page by itself, and all its content as a map.

namespace fb::art {

class TestPage {
 public:
  explicit TestPage(uint32_t page_bytes, PageId id = {1}) : bytes_(page_bytes) { editor().format(id); }
  PageEditor editor() { return {bytes_.data(), static_cast<uint32_t>(bytes_.size())}; }
  PageView view() const { return {bytes_.data(), static_cast<uint32_t>(bytes_.size())}; }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// Paths to values; "PATH" + "@" to "page"; intervals "PATH" + "[" + first byte to "page".
using Content = std::map<std::string, std::string>;

inline void collect(const PageView& page, uint32_t offset, std::string path, Content& out) {
  const Block block = page.block(offset);
  path += block.label();
  if (block.kind == BlockKind::leaf) out[path] = block.value();
  if (block.kind == BlockKind::link) out[path + "@"] = std::to_string(block.link().page_id().value);
  if (!block.node()) return;
  if (block.value_offset() != 0) out[path] = page.block(block.value_offset()).value();
  for (uint32_t i = 0; block.kind == BlockKind::range && i < block.count(); ++i) {
    const auto entry = range_node::load(block.at, block.count(), i);
    out[path + "[" + static_cast<char>(entry.first)] =
        std::to_string(LinkWord::raw(entry.word).page_id().value);
  }
  for (ChildSlot child = block.next(0); child.slot != 0; child = block.next(child.byte + 1u)) {
    collect(page, block.child(child.slot), path + static_cast<char>(child.byte), out);
  }
}

inline Content content_of(const PageView& page) {
  Content out;
  collect(page, page.root(), {}, out);
  return out;
}

}  // namespace fb::art
