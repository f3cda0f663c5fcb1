// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "art/page_view.h"

// Functions on a page, besides its tree, for people and other layers: they check its invariants, show it,
// list its links, and convert it to and from its form on disk.

namespace fb::art {

// Empty if every invariant of the page holds, otherwise the broken one. Takes any bytes.
std::string verify_page(const PageView& page);

// The page as an indented tree, for people. Takes any bytes; senseless parts are shown as such.
std::string page_to_string(const PageView& page);

// One line: id, LSN, fill.
std::string page_summary(const PageView& page);

struct FoundLink {
  LinkWord word;
  uint32_t word_offset = 0;
  uint8_t bound = 0;
  uint8_t flags = 0;
  uint32_t depth = 0;  // bytes of path from the page's root to the child page's root
  bool by_range = false;
};
// All links of a page that is latched, in no particular order.
void for_each_link(const PageView& page, const std::function<void(const FoundLink&)>& visit);
// Only the links beneath a block; depths without its label.
void for_each_link_below(const PageView& page, uint32_t offset,
                         const std::function<void(const FoundLink&)>& visit);

// The longest path from the page's root to a value in the page; 0 if there is none.
uint32_t longest_value_path(const PageView& page);

// Copies a latched page to the buffer that is written: page ids in its links, zeros behind its heap, the
// checksum set.
void write_page_image(const PageView& page, std::byte* to);

// Checks a page as it was read from disk: its checksum, its format and whether it is the expected page. Empty
// if all is right.
std::string check_page_image(const PageView& page, PageId expected);

// Bytes in a form that a person can read.
std::string printable(std::string_view bytes);

}  // namespace fb::art
