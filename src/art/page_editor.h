// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "art/page_view.h"
#include "base/result.h"

namespace fb::art {

enum class OpError {
  malformed,   // the operation contradicts itself or a limit
  damaged,     // the page's bytes make no sense
  wrong_page,  // the path leads out of the page
  not_found,
  occupied,
  no_room,
};
std::string_view to_string(OpError code);
inline const ErrorDomain& error_domain(OpError) {
  static constexpr ErrorDomain kDomain{"page_op",
                                       [](int code) { return to_string(static_cast<OpError>(code)); }};
  return kDomain;
}

// Changes one page. Each public function either does all of what it says or returns an error and leaves the
// bytes as they were; what it does depends on nothing but the page's bytes and the arguments, so that doing
// it again to an old copy of the page gives the same bytes. Places in a page are named by their path from the
// page's root.
//
// The page must be one that `verify_page` accepts; the caller holds it exclusively.
class PageEditor {
 public:
  PageEditor(std::byte* bytes, uint32_t page_bytes) : bytes_(bytes), page_bytes_(page_bytes) {}
  explicit PageEditor(Frame& frame) : PageEditor(frame.bytes, frame.page_bytes) {}

  // An empty page.
  void format(PageId id);
  PageView view() const { return {bytes_, page_bytes_}; }
  PageHeader& header() { return *reinterpret_cast<PageHeader*>(bytes_); }

  // Values. A value replaces the one that is there.
  Result<void> set_value(std::string_view path, uint8_t flags, std::string_view value);
  Result<void> erase_value(std::string_view path);

  // Links to pages.
  struct Link {
    LinkWord word;
    uint8_t bound = 0;
    uint8_t flags = 0;
  };
  static constexpr int kNoByte = -1;
  // A new link where nothing is.
  Result<void> put_link(std::string_view path, const Link& link);
  // The subtree at `path` gives way to a link: its content has moved to the link's page.
  Result<void> replace_by_link(std::string_view path, const Link& link);
  // Of the link at `path`, or of the interval of `byte` of the range there.
  Result<void> set_bound(std::string_view path, int byte, uint8_t bound, uint8_t flags);
  Result<void> erase_link(std::string_view path, int byte);

  // All whose path begins with `path`, which must not be empty. Value and node at a shorter path stay.
  Result<void> erase_subtree(std::string_view path);

  // Ranges. The link or node at `path` becomes a range of these intervals (range_node::pack); a node keeps
  // its value, a link's range gets the one given, if one is.
  struct Value {
    bool given = false;
    uint8_t flags = 0;
    std::string_view bytes;
  };
  Result<void> make_range(std::string_view path, const Value& value, std::string_view intervals);
  Result<void> insert_interval(std::string_view path, const range_node::Entry& interval);
  // The interval that begins with `from` (not the first one) begins with `to` instead, between its
  // neighbours.
  Result<void> move_interval(std::string_view path, uint8_t from, uint8_t to);
  // Only the root's children of these bytes stay, and neither the others nor the root's value.
  Result<void> keep_children(uint8_t first, uint8_t last);

  // The content of another page at `path`: in place of the link or of the only interval that is there, or
  // where nothing is.
  Result<void> graft(std::string_view path, const PageView& image);
  // The children of another page's root beside those of this one.
  Result<void> graft_root(const PageView& image);
  // All of this page. Id and LSN stay.
  Result<void> set_image(const PageView& image);

  // Removes garbage; `normalize` also joins chains that fit into one label.
  Result<void> compact(bool normalize);

  // Makes this an image of the subtree of `from` at a block, without that block's label, with page ids for
  // links. What these bytes held before does not matter.
  Result<void> extract(const PageView& from, uint32_t offset) { return extract(from, offset, 0, 255); }
  // Only the children of these bytes, and without the value unless they are all.
  Result<void> extract(const PageView& from, uint32_t offset, uint8_t first, uint8_t last);

 private:
  struct Trace;
  struct Payload;
  enum class Room { ready, compacted, none };

  std::byte* at(uint32_t offset) { return bytes_ + offset; }
  uint32_t free_bytes() { return page_bytes_ - header().heap_end; }
  uint32_t all_free_bytes() { return free_bytes() + header().garbage_bytes + view().gap_bytes(); }
  Block block_at_slot(uint32_t slot) { return view().block(load16(bytes_ + slot)); }
  uint32_t allocate(uint32_t bytes);
  // In the gap behind the nodes, if there is room.
  uint32_t allocate_node(uint32_t bytes);
  void discard(uint32_t bytes) { header().garbage_bytes += bytes; }
  // Makes `bytes` free in one piece, if they are there at all. Compacting moves every block.
  Room reserve(uint32_t bytes);
  // Lays all out anew, with `bytes` free in one piece.
  Result<void> lay_out(bool normalize, uint32_t bytes);
  void open_gap();

  uint32_t new_leaf(std::string_view label, uint8_t flags, std::string_view value);
  uint32_t new_node4(std::string_view label);
  void trim_label(uint32_t offset, uint32_t bytes);
  void grow_node(uint32_t slot, BlockKind kind);
  void shrink_node(uint32_t offset);
  void leaf_to_node(uint32_t slot);
  void add_child(uint32_t slot, uint8_t byte, uint32_t child);
  static void insert_child(std::byte* node, BlockKind kind, uint8_t byte, uint16_t child);
  static void erase_child(std::byte* node, BlockKind kind, uint8_t byte);

  uint32_t tail_bytes(uint32_t rest_bytes, const Payload& payload) const;
  uint32_t build_tail(std::string_view rest, const Payload& payload);
  Result<void> insert(std::string_view path, const Payload& payload);
  // The same, where the path has been followed already.
  Result<void> insert_at(std::string_view path, const Payload& payload, Trace& trace, Stop stop);
  void begin(PageId id);
  bool keep_of_last_block(uint32_t offset, uint8_t first, uint8_t last);
  // Leaves of a block only the node it is, with its value, and no child.
  void drop_children(uint32_t offset);
  uint32_t new_range(std::string_view label, uint16_t value, std::string_view intervals);
  void write_range(uint32_t offset, std::string_view label, uint16_t value, std::string_view intervals);

  struct Measure {
    uint32_t bytes = 0;
    uint32_t entries = 0;
    bool ok = true;
  };
  Measure measure(uint32_t offset) const;
  // Takes the block (already counted as garbage) out of its parent, with parents that are left empty.
  Result<void> unhook(const Trace& trace);
  // After a child or a value has gone: what can be shorter becomes shorter.
  Result<void> tidy(uint32_t slot, bool root);
  static std::string pack_intervals(const Block& range);

  struct CopyOptions {
    bool normalize = false;
    bool page_ids = false;
    bool keep_root = false;  // the first block stays a node
    bool alone = false;      // nothing else is in the page: the gap comes behind the nodes
    uint32_t gap_bytes = 0;
    uint8_t first = 0;  // of the first block's children, those that are copied
    uint8_t last = 255;
  };
  // Copies a subtree behind the heap's end; 0 where it does not fit or the source is damaged.
  uint32_t copy_tree(const PageView& from, uint32_t offset, std::string_view label, CopyOptions options);
  uint32_t copy_block(const PageView& from, uint32_t offset, const std::string_view* label,
                      CopyOptions options, bool keep_node);

  std::byte* bytes_;
  uint32_t page_bytes_;
};

// The least bound (in steps) that holds for suffixes of so many bytes.
constexpr uint8_t bound_of(uint32_t suffix_bytes) {
  const uint32_t steps = (suffix_bytes + kBoundStep - 1) / kBoundStep;
  return static_cast<uint8_t>(steps < 255 ? steps : 255);
}
// The longest suffix beneath a page's root or one of its blocks (without that block's label), by what its
// links say.
uint32_t longest_suffix(const PageView& page, uint32_t offset);
// The same as far as it lies in this page.
uint32_t longest_path(const PageView& page, uint32_t offset);

}  // namespace fb::art
