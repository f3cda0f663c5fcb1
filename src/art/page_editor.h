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

// Changes one page. Each public function either completes or returns an error and leaves the bytes as they
// were. The result depends only on the page's bytes and the arguments, so that the same call on an old copy
// of the page gives the same bytes. Places in a page are named by their path from the page's root.
//
// The page must be one that `verify_page` accepts; the caller holds it exclusively.
class PageEditor {
 public:
  PageEditor(std::byte* bytes, uint32_t page_bytes) : bytes_(bytes), page_bytes_(page_bytes) {}
  explicit PageEditor(Frame& frame) : PageEditor(frame.bytes, frame.page_bytes) {}

  // Makes an empty page.
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
  // Puts a new link at a path where nothing is.
  Result<void> put_link(std::string_view path, const Link& link);
  // The subtree at `path` gives way to a link: its content has moved to the link's page.
  Result<void> replace_by_link(std::string_view path, const Link& link);
  // Sets the bound of the link at `path`, or of the interval of `byte` in the range there.
  Result<void> set_bound(std::string_view path, int byte, uint8_t bound, uint8_t flags);
  Result<void> erase_link(std::string_view path, int byte);

  // Erases all entries whose path begins with `path`, which must not be empty. Value and node at a shorter
  // path stay.
  Result<void> erase_subtree(std::string_view path);

  // Ranges. The link or node at `path` becomes a range of these intervals (range_node::pack); a node keeps
  // its value; a range made of a link gets `value`, if one is given.
  struct Value {
    bool given = false;
    uint8_t flags = 0;
    std::string_view bytes;
  };
  Result<void> make_range(std::string_view path, const Value& value, std::string_view intervals);
  Result<void> insert_interval(std::string_view path, const range_node::Entry& interval);
  // Lets the interval that begins with `from` (not the first one) begin with `to` instead, between its
  // neighbours.
  Result<void> move_interval(std::string_view path, uint8_t from, uint8_t to);
  // Keeps only the root's children of these bytes; the others and the root's value go.
  Result<void> keep_children(uint8_t first, uint8_t last);

  // Puts the content of another page at `path`: in place of the link or of the only interval that is there,
  // or at a path where nothing is.
  Result<void> graft(std::string_view path, const PageView& image);
  // Adds the children of another page's root to those of this one.
  Result<void> graft_root(const PageView& image);
  // Replaces all of this page. Id and LSN stay.
  Result<void> set_image(const PageView& image);

  // Removes garbage; `normalize` also joins chains that fit into one label.
  Result<void> compact(bool normalize);

  // Makes this an image of the subtree of `from` at a block, without that block's label, with page ids for
  // links. The previous contents of these bytes do not matter.
  Result<void> extract(const PageView& from, uint32_t offset) { return extract(from, offset, 0, 255); }
  // Takes only the children of these bytes, and the value only if they are all.
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
  // Allocates in the gap behind the nodes, if there is room.
  uint32_t allocate_node(uint32_t bytes);
  void discard(uint32_t bytes) { header().garbage_bytes += bytes; }
  // Makes `bytes` free in one piece, if so many are free at all. Compacting moves every block.
  Room reserve(uint32_t bytes);
  // Lays all blocks out anew, with `bytes` free in one piece.
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
  // insert() for a path that has been followed already.
  Result<void> insert_at(std::string_view path, const Payload& payload, Trace& trace, Stop stop);
  void begin(PageId id);
  bool keep_of_last_block(uint32_t offset, uint8_t first, uint8_t last);
  // Removes all children of a node; the node and its value stay.
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
  // Called after a child or a value has gone: shortens chains and nodes if possible.
  Result<void> tidy(uint32_t slot, bool root);
  static std::string pack_intervals(const Block& range);

  struct CopyOptions {
    bool normalize = false;
    bool page_ids = false;
    bool keep_root = false;  // the first block stays a node
    bool alone = false;      // nothing else is in the page: the gap comes behind the nodes
    uint32_t gap_bytes = 0;
    uint8_t first = 0;  // only the first block's children from `first` to `last` are copied
    uint8_t last = 255;
  };
  // Copies a subtree behind the heap's end; 0 if it does not fit or the source is damaged.
  uint32_t copy_tree(const PageView& from, uint32_t offset, std::string_view label, CopyOptions options);
  uint32_t copy_block(const PageView& from, uint32_t offset, const std::string_view* label,
                      CopyOptions options, bool keep_node);

  std::byte* bytes_;
  uint32_t page_bytes_;
};

// The least bound (in steps) that holds for suffixes of `suffix_bytes` bytes.
constexpr uint8_t bound_of(uint32_t suffix_bytes) {
  const uint32_t steps = (suffix_bytes + kBoundStep - 1) / kBoundStep;
  return static_cast<uint8_t>(steps < 255 ? steps : 255);
}
// The longest suffix beneath a page's root or one of its blocks (without that block's label), by the bounds
// of its links.
uint32_t longest_suffix(const PageView& page, uint32_t offset);
// The longest suffix as far as it lies in this page.
uint32_t longest_path(const PageView& page, uint32_t offset);

}  // namespace fb::art
