// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "art/page_editor.h"
#include "base/result.h"

// Page operations: the only way in which the tree changes a page, and the content of its journal. The tree
// encodes an operation and applies it; replaying the journal applies the same bytes again to an older copy of
// the page: do and redo are one function. An operation reads no page but its own; content from another page
// is part of the operation.
//
// Encoded: kind (1 byte), path (varint length, bytes), then the fields of its kind, see the table in
// page_op.cc. Links are page ids.

namespace fb::art {

struct PageOp {
  enum class Kind : uint8_t {
    set_value = 1,
    erase_value = 2,
    put_link = 3,
    replace_by_link = 4,
    set_bound = 5,
    erase_link = 6,
    erase_subtree = 7,
    make_range = 8,
    insert_interval = 9,
    keep_children = 10,
    graft = 11,
    graft_root = 12,
    image = 13,
    compact = 14,
    move_interval = 15,
  };
  static constexpr int kNoByte = PageEditor::kNoByte;

  Kind kind = Kind::set_value;
  std::string_view path;
  // set_value; make_range if value_given
  bool value_given = false;
  uint8_t value_flags = 0;
  std::string_view value;
  // links: put_link, replace_by_link, set_bound, insert_interval
  PageId page;
  uint8_t bound = 0;
  uint8_t link_flags = 0;
  // The interval of the range at `path` (set_bound, erase_link; kNoByte: a link), or its first byte
  // (insert_interval, move_interval).
  int byte = kNoByte;
  // keep_children; move_interval, to begin with `first` instead
  uint8_t first = 0;
  uint8_t last = 255;
  // make_range: packed intervals; graft, graft_root, image: a page from its header to its heap's end
  std::string_view body;

  void encode(std::string& out) const;
  // The size of a set_value or erase_value as `encode` writes it.
  size_t encoded_value_bytes() const;
  // Takes the first operation off `bytes`; its views point into them.
  static Result<PageOp> parse(std::string_view& bytes);
  std::string to_string() const;
};

// The bytes of a page made by `extract` that a graft or image carries.
std::string_view image_body(const PageView& page);

// Applies `op`. Any operation, however senseless, ends in a sound page, or in an error with the page
// unchanged.
Result<void> apply(PageEditor page, const PageOp& op);

// One change of the tree as the journal holds it: for each page it holds all that is needed to redo that page
// alone.
//
//     version (1 byte), then for each page: page id (varint), action (1 byte), size of operations (varint),
//     operations
struct ChangePage {
  enum class Action : uint8_t { change = 1, create = 2, retire = 3 };
  PageId page;
  Action action = Action::change;
  std::string_view operations;
};
inline constexpr uint8_t kChangeVersion = 1;

void begin_change(std::string& out);
// Writes the head of one page's change; its operations, of exactly `operations_bytes` bytes, must follow.
void begin_page_change(std::string& out, PageId page, size_t operations_bytes);
void append_change(std::string& out, const ChangePage& page);
// Reads what begin_change and append_change wrote.
class ChangeReader {
 public:
  explicit ChangeReader(std::string_view bytes);
  // True with the next page, false at the end or at an error (then ok() is false).
  bool next(ChangePage& page);
  bool ok() const { return ok_; }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

// Redoes one record's part in a page that was read from disk, or is all zeros (create). A page as new as the
// record, or newer, stays as it is.
Result<void> redo(PageEditor page, const ChangePage& change, Lsn lsn);

}  // namespace fb::art
