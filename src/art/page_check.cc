// SPDX-License-Identifier: Apache-2.0
#include "art/page_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/checksum.h"

namespace fb::art {

namespace {

std::string check_header(const PageView& page) {
  const PageHeader& header = page.header();
  if (header.magic != kPageMagic) return fmt::format("magic {:#x}", header.magic);
  if (header.page_bytes != page.page_bytes()) return fmt::format("page size {}", header.page_bytes);
  if (header.page_bytes < kPageBytesMin || header.page_bytes > kPageBytesMax)
    return "page size out of bounds";
  if (header.heap_end <= kHeaderBytes || header.heap_end > header.page_bytes) {
    return fmt::format("heap end {}", header.heap_end);
  }
  if (header.gap_begin < kHeaderBytes || header.gap_end < header.gap_begin ||
      header.gap_end > header.heap_end) {
    return fmt::format("a gap from {} to {}", header.gap_begin, header.gap_end);
  }
  if (header.garbage_bytes > header.heap_end - kHeaderBytes - page.gap_bytes())
    return "more garbage than heap";
  return {};
}

std::string check_keys(const Block& node) {
  if (node.kind == BlockKind::range) {
    for (uint32_t i = 0; i < node.count(); ++i) {
      const auto entry = range_node::load(node.at, node.count(), i);
      if (i > 0 && entry.first <= load8(node.at + range_node::kFirst + i - 1))
        return "intervals out of order";
      if (i == 0 && entry.first != 0) return "the first interval does not begin at 0";
      if (entry.word == 0) return "an interval without page";
    }
    return {};
  }
  uint32_t found = 0;
  uint32_t from = 0;
  for (ChildSlot child = node.next(0); child.slot != 0; child = node.next(from)) {
    if (child.byte < from) return "keys out of order";
    if (node.find(static_cast<uint8_t>(child.byte)) != child.slot) return "a key is there twice";
    from = child.byte + 1u;
    ++found;
  }
  if (found != node.count()) return fmt::format("{} children counted as {}", found, node.count());
  if (node.kind == BlockKind::node48) {
    for (uint32_t i = 0; i < 256; ++i) {
      if (load8(node.at + node48::kIndex + i) > node.count()) return "an index beyond the count";
    }
  }
  return {};
}

class Verifier {
 public:
  explicit Verifier(const PageView& page) : page_(page) {}

  std::string run() {
    if (std::string error = check_header(page_); !error.empty()) return error;
    if (std::string error = visit(page_.root(), 0, true); !error.empty()) return error;
    while (!open_.empty()) {
      const auto [offset, depth] = open_.back();
      open_.pop_back();
      if (std::string error = visit(offset, depth, false); !error.empty()) return error;
    }
    return check_sums();
  }

 private:
  std::string visit(uint32_t offset, uint32_t depth, bool root) {
    const auto wrong = [&](std::string_view what) { return fmt::format("block {}: {}", offset, what); };
    const Block block = page_.block(offset);
    if (!block.ok()) return wrong("no block");
    if (offset + block.bytes > page_.header().heap_end) return wrong("beyond the heap");
    if (blocks_.size() >= page_.page_bytes() / kLeafFixed) return wrong("more blocks than bytes");
    blocks_.emplace_back(offset, block.bytes);
    if (block.label_bytes > label_bytes_max(page_.page_bytes())) return wrong("label too long");
    depth += block.label_bytes;
    if (depth > kKeyBytesMax) return wrong("key too long");
    if (root && !block.node()) return wrong("the root is no node");
    if (root && block.label_bytes != 0) return wrong("the root has a label");
    if (block.kind == BlockKind::leaf) {
      ++entries_;
      if (block.value().size() > value_bytes_max(page_.page_bytes())) return wrong("value too long");
      return {};
    }
    if (!block.node()) {
      ++entries_;
      if (block.kind == BlockKind::partition_link) return wrong("a reserved kind");
      return block.link().word() == 0 ? wrong("a link without page") : std::string();
    }
    if (std::string error = check_keys(block); !error.empty()) return wrong(error);
    if (block.kind == BlockKind::range) entries_ += block.count();
    if (!root && block.count() == 0 && block.value_offset() == 0) return wrong("an empty node");
    if (block.value_offset() != 0) {
      const Block value = page_.block(block.value_offset());
      if (value.kind != BlockKind::leaf || value.label_bytes != 0) return wrong("its value is no leaf");
      open_.emplace_back(block.value_offset(), depth);
    }
    for (ChildSlot child = block.next(0); child.slot != 0; child = block.next(child.byte + 1u)) {
      open_.emplace_back(block.child(child.slot), depth + 1);
    }
    return {};
  }

  std::string check_sums() {
    std::sort(blocks_.begin(), blocks_.end());
    const PageHeader& header = page_.header();
    uint32_t live = 0;
    for (size_t i = 0; i < blocks_.size(); ++i) {
      live += blocks_[i].second;
      if (i > 0 && blocks_[i - 1].first + blocks_[i - 1].second > blocks_[i].first) {
        return fmt::format("block {}: overlaps the one before", blocks_[i].first);
      }
      if (blocks_[i].first < header.gap_end && blocks_[i].first + blocks_[i].second > header.gap_begin) {
        return fmt::format("block {}: lies in the gap", blocks_[i].first);
      }
    }
    if (live + header.garbage_bytes + page_.gap_bytes() != header.heap_end - kHeaderBytes) {
      return fmt::format("{} bytes live, {} garbage, {} for nodes, {} in the heap", live,
                         header.garbage_bytes, page_.gap_bytes(), header.heap_end - kHeaderBytes);
    }
    if (entries_ != header.entries) return fmt::format("{} entries counted as {}", entries_, header.entries);
    return {};
  }

  const PageView& page_;
  std::vector<std::pair<uint32_t, uint32_t>> blocks_;
  std::vector<std::pair<uint32_t, uint32_t>> open_;
  uint32_t entries_ = 0;
};

// Pointers are not followed: the bytes may come from anywhere.
std::string link_text(LinkWord word, uint8_t bound, uint8_t flags) {
  const std::string target = word.is_frame() ? "a frame" : fmt::format("page {}", word.word());
  return fmt::format("-> {}, suffixes to {} bytes{}", target, bound * kBoundStep,
                     flags != 0 ? fmt::format(", flags {:#x}", flags) : "");
}

std::string value_text(const Block& leaf) {
  constexpr size_t kShownMax = 40;
  const std::string_view value = leaf.value();
  return fmt::format("= {} bytes{}: {}{}", value.size(),
                     (leaf.value_flags() & kValueSpilled) != 0 ? " (spilled)" : "",
                     printable(value.substr(0, kShownMax)), value.size() > kShownMax ? "..." : "");
}

void print_block(std::string& out, const PageView& page, uint32_t offset, uint32_t indent, uint32_t depth,
                 std::string_view edge) {
  const Block block = page.block(offset);
  out.append(2 * indent, ' ').append(edge);
  if (!block.ok() || depth > kKeyBytesMax || out.size() > 64 * uint64_t{page.page_bytes()}) {
    out.append(" (no block)\n");
    return;
  }
  out.append(printable(block.label()));
  static constexpr const char* kNames[] = {"none",   "leaf",    "link",  "node4",         "node16",
                                           "node48", "node256", "range", "partition link"};
  out.append(fmt::format("  [{} {}] ", offset, kNames[static_cast<uint8_t>(block.kind)]));
  if (block.kind == BlockKind::leaf) out.append(value_text(block));
  if (block.kind == BlockKind::link)
    out.append(link_text(block.link(), block.link_bound(), block.link_flags()));
  if (!block.node()) {
    out.append("\n");
    return;
  }
  out.append(fmt::format("{} children", block.count()));
  if (block.value_offset() != 0) {
    const Block value = page.block(block.value_offset());
    out.append(" ").append(value.kind == BlockKind::leaf ? value_text(value) : "= (no leaf)");
  }
  out.append("\n");
  if (block.kind == BlockKind::range) {
    const uint32_t count = (block.fixed_bytes - kNodeArrays) / range_node::kEntryBytes;
    for (uint32_t i = 0; i < count; ++i) {
      const auto entry = range_node::load(block.at, count, i);
      const auto first = static_cast<char>(entry.first);
      out.append(2 * indent + 2, ' ').append("from ").append(printable({&first, 1})).append(" ");
      out.append(link_text(LinkWord::raw(entry.word), entry.bound, entry.flags)).append("\n");
    }
    return;
  }
  uint32_t from = 0;
  for (ChildSlot child = block.next(0); child.slot != 0 && child.byte >= from; child = block.next(from)) {
    const auto byte = static_cast<char>(child.byte);
    print_block(out, page, block.child(child.slot), indent + 1, depth + 1 + block.label_bytes,
                printable({&byte, 1}));
    from = child.byte + 1u;
  }
}

}  // namespace

std::string verify_page(const PageView& page) { return Verifier(page).run(); }

std::string printable(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    if (c >= ' ' && c <= '~' && c != '\\') {
      out.push_back(c);
    } else {
      out.append(fmt::format("\\x{:02x}", static_cast<uint8_t>(c)));
    }
  }
  return out;
}

std::string page_summary(const PageView& page) {
  const PageHeader& header = page.header();
  return fmt::format("page {} at LSN {}/{}: {} entries, {} of {} bytes live, {} garbage, {} for nodes",
                     header.page_id, header.lsn_epoch, header.lsn_position, header.entries, page.live_bytes(),
                     page.capacity_bytes(), header.garbage_bytes, page.gap_bytes());
}

std::string page_to_string(const PageView& page) {
  std::string out = page_summary(page) + "\n";
  if (const std::string error = check_header(page); !error.empty()) return out + "header: " + error + "\n";
  print_block(out, page, page.root(), 0, 0, {});
  return out;
}

void for_each_link(const PageView& page, const std::function<void(const FoundLink&)>& visit) {
  for_each_link_below(page, page.root(), visit);
}

void for_each_link_below(const PageView& page, uint32_t top,
                         const std::function<void(const FoundLink&)>& visit) {
  std::vector<std::pair<uint32_t, uint32_t>> open{{top, 0}};
  while (!open.empty()) {
    const auto [offset, above] = open.back();
    open.pop_back();
    const Block block = page.block(offset);
    const uint32_t depth = above + (offset == top ? 0 : block.label_bytes);
    if (block.kind == BlockKind::link) {
      visit({block.link(), offset + kLinkWord, block.link_bound(), block.link_flags(), depth, false});
    }
    if (!block.node()) continue;
    for (uint32_t i = 0; block.kind == BlockKind::range && i < block.count(); ++i) {
      const auto entry = range_node::load(block.at, block.count(), i);
      visit({LinkWord::raw(entry.word), offset + range_node::word_at(block.count(), i), entry.bound,
             entry.flags, depth, true});
    }
    for (ChildSlot child = block.next(0); child.slot != 0; child = block.next(child.byte + 1u)) {
      open.emplace_back(block.child(child.slot), depth + 1);
    }
  }
}

uint32_t longest_value_path(const PageView& page) {
  uint32_t longest = 0;
  std::vector<std::pair<uint32_t, uint32_t>> open{{page.root(), 0}};
  while (!open.empty()) {
    const auto [offset, above] = open.back();
    open.pop_back();
    const Block block = page.block(offset);
    const uint32_t depth = above + block.label_bytes;
    if (block.kind == BlockKind::leaf || (block.node() && block.value_offset() != 0)) {
      longest = std::max(longest, depth);
    }
    if (!block.node()) continue;
    for (ChildSlot child = block.next(0); child.slot != 0; child = block.next(child.byte + 1u)) {
      open.emplace_back(block.child(child.slot), depth + 1);
    }
  }
  return longest;
}

// Garbage becomes zeros: it may hold pointers, and data that users have deleted.
void write_page_image(const PageView& page, std::byte* to) {
  std::memset(to, 0, page.page_bytes());
  std::memcpy(to, page.bytes(), kHeaderBytes);
  std::vector<uint32_t> open{page.root()};
  while (!open.empty()) {
    const Block block = page.block(open.back());
    open.pop_back();
    std::memcpy(to + block.offset, block.at, block.bytes);
    if (!block.node()) continue;
    if (block.value_offset() != 0) open.push_back(block.value_offset());
    for (ChildSlot child = block.next(0); child.slot != 0; child = block.next(child.byte + 1u)) {
      open.push_back(block.child(child.slot));
    }
  }
  for_each_link(page,
                [&](const FoundLink& link) { store64(to + link.word_offset, link.word.page_id().value); });
  auto& header = *reinterpret_cast<PageHeader*>(to);
  constexpr size_t kSummed = offsetof(PageHeader, lsn_epoch);
  header.checksum = xxh3({to + kSummed, page.page_bytes() - kSummed});
}

std::string check_page_image(const PageView& page, PageId expected) {
  constexpr size_t kSummed = offsetof(PageHeader, lsn_epoch);
  const PageHeader& header = page.header();
  if (header.checksum != xxh3({page.bytes() + kSummed, page.page_bytes() - kSummed})) return "checksum";
  if (header.page_id != expected.value) return fmt::format("this is page {}", header.page_id);
  return verify_page(page);
}

}  // namespace fb::art
