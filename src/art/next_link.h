// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "art/page_view.h"

namespace fb::art {

// A link of a page, and the keys that may lie behind it.
struct NextLink {
  LinkInfo link;
  bool by_range = false;
  // The path from this page's root to the child's; a range consumes no byte, its interval begins at `first`.
  std::string path;
  uint8_t first = 0;
  bool is_first = false;  // the range's first interval: keys that end at the range would lie there
  bool has_end = false;   // the interval ends before byte `end`; else it (or the link) ends with `path`
  uint8_t end = 0;
  std::string_view rest;  // rest of `from` behind `path`; empty: no key behind the link is below `from`
  // The links of the neighbouring intervals; zero: none.
  LinkWord before;
  LinkWord behind;
};

// The first link, in the order of keys, behind which keys may lie that are not below `from`; both begin at
// the page's root. False: there is none. The page must be sound: latched, or a validated copy.
bool next_link(const PageView& page, std::string_view from, NextLink& out);

}  // namespace fb::art
