// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/segment_dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "base/assert.h"

namespace fb::bss {
namespace {

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return text;
}

std::string_view name_of(EntryKind kind) {
  switch (kind) {
    case EntryKind::put:
      return "put";
    case EntryKind::tombstone:
      return "tombstone";
    case EntryKind::copy:
      return "copy";
  }
  return "unknown";
}

class Dumper {
 public:
  Dumper(std::span<const std::byte> bytes, const std::function<void(std::string_view)>& line)
      : bytes_(bytes), line_(line) {}

  SegmentDump run() {
    for (unsigned copy = 0; copy < 2; ++copy) show_header(copy);
    uint64_t at = kSegmentDataOffset;
    while (at + kBlockBytes <= bytes_.size()) {
      const auto view = descriptor_at(at);
      if (!view) {
        skip(at);
        at += kBlockBytes;
        continue;
      }
      end_gap(at);
      dump_.unknown_bytes += std::exchange(gap_unknown_, 0);
      show_batch(at, *view);
      at += view->header.batch_bytes;
    }
    // Behind the last batch stands what the next ones will replace.
    end_gap(at);
    if (at < bytes_.size()) print(fmt::format("{:>10}  {} bytes, less than a block", at, bytes_.size() - at));
    return dump_;
  }

 private:
  enum class Content : uint8_t { none, zeros, older_batch, unknown };

  void print(std::string_view text) const { line_(text); }

  void show_header(unsigned copy) {
    const uint64_t at = copy * kBlockBytes;
    const auto header = at + kBlockBytes <= bytes_.size()
                            ? parse_any_segment_header(bytes_.subspan(at, kBlockBytes))
                            : std::nullopt;
    if (!header) {
      ++dump_.headers_damaged;
      print(fmt::format("{:>10}  header {}: damaged, or of another version than {}", at, copy + 1,
                        kFormatVersion));
      return;
    }
    print(fmt::format("{:>10}  header {}: store {} shard {} segment {} generation {} nonce {:016x}, {} bytes",
                      at, copy + 1, hex(header->store_id), header->shard, header->segment, header->generation,
                      header->nonce, header->segment_bytes));
    if (header_ && header_->generation != header->generation) {
      print(
          "            the copies are of two generations: a crash cut their writing short, and the newer "
          "counts");
    }
    if (!header_ || header->generation > header_->generation) header_ = header;
  }

  std::optional<DescriptorView> descriptor_at(uint64_t at) const {
    const auto window = bytes_.subspan(at, std::min<uint64_t>(kDescriptorBytesMax, bytes_.size() - at));
    if (!header_) return parse_unkeyed_descriptor(window, at, bytes_.size());
    return parse_descriptor(window,
                            {.shard = header_->shard,
                             .generation = header_->generation,
                             .nonce = header_->nonce,
                             .offset = at,
                             .segment_bytes = std::min<uint64_t>(header_->segment_bytes, bytes_.size())});
  }

  void show_batch(uint64_t at, const DescriptorView& view) {
    const DescriptorHeader& header = view.header;
    ++dump_.batches;
    print(fmt::format("{:>10}  batch{}: sequence {} durable {} generation {}, {} entries, {} bytes", at,
                      header_ ? "" : " (not verified)", header.sequence, header.durable_sequence,
                      header.generation, view.entries.size(), header.batch_bytes));
    for (const DescriptorEntry& entry : view.entries) show_entry(at, entry);
  }

  void show_entry(uint64_t batch, const DescriptorEntry& entry) {
    ++dump_.entries;
    const uint64_t at = batch + uint64_t{entry.payload_block} * kBlockBytes;
    std::string text = fmt::format("{:>10}    {} incarnation {} number {} block {}",
                                   entry.kind == EntryKind::tombstone ? batch : at, name_of(entry.kind),
                                   entry.incarnation, entry.number, entry.block);
    if (entry.other_generation != 0) text += fmt::format(" of generation {}", entry.other_generation);
    if (entry.kind != EntryKind::tombstone)
      text +=
          fmt::format(", {} bytes, checksum {:016x}: {}", entry.length, entry.checksum, verdict(at, entry));
    print(text);
  }

  std::string_view verdict(uint64_t at, const DescriptorEntry& entry) {
    FB_ASSERT(at + stored_bytes(entry.length) <= bytes_.size(), at, entry.length, bytes_.size());
    const auto payload = bytes_.subspan(at, entry.length);
    if (blob_checksum(payload) != entry.checksum) {
      ++dump_.payloads_damaged;
      return "damaged";
    }
    PieceSums sums;
    const auto pieces = piece_checksums(payload, sums);
    if (pieces.empty()) return "intact";
    const std::byte* table = bytes_.data() + at + piece_table_offset(entry.length);
    if (std::memcmp(table, pieces.data(), pieces.size_bytes()) == 0) return "intact";
    ++dump_.tables_damaged;
    return "intact, but the checksums of its pieces are damaged";
  }

  // What stands in a block that begins no batch; neighbours of a kind are one line.
  Content content_of(uint64_t at) const {
    const auto block = bytes_.subspan(at, kBlockBytes);
    if (std::ranges::all_of(block, [](std::byte byte) { return byte == std::byte{0}; }))
      return Content::zeros;
    const auto old = parse_unkeyed_descriptor(
        bytes_.subspan(at, std::min<uint64_t>(kDescriptorBytesMax, bytes_.size() - at)), at, bytes_.size());
    const bool older = old && header_ && old->header.generation < header_->generation;
    return older ? Content::older_batch : Content::unknown;
  }
  void skip(uint64_t at) {
    Content content = content_of(at);
    // Payloads of an older generation's batch follow it and are told by nothing.
    if (content == Content::unknown && gap_ == Content::older_batch) content = Content::older_batch;
    if (content != gap_) {
      end_gap(at);
      gap_ = content;
      gap_begin_ = at;
    }
    if (content == Content::unknown) gap_unknown_ += kBlockBytes;
  }
  void end_gap(uint64_t at) {
    if (gap_ == Content::zeros) print(fmt::format("{:>10}  {} bytes of zeros", gap_begin_, at - gap_begin_));
    if (gap_ == Content::older_batch)
      print(fmt::format("{:>10}  {} bytes of batches of older generations", gap_begin_, at - gap_begin_));
    if (gap_ == Content::unknown)
      print(fmt::format("{:>10}  {} bytes that are no batch", gap_begin_, at - gap_begin_));
    gap_ = Content::none;
  }

  std::span<const std::byte> bytes_;
  const std::function<void(std::string_view)>& line_;
  SegmentDump dump_;
  std::optional<SegmentHeader> header_;
  Content gap_ = Content::none;
  uint64_t gap_begin_ = 0;
  uint64_t gap_unknown_ = 0;
};

}  // namespace

SegmentDump dump_segment(std::span<const std::byte> bytes,
                         const std::function<void(std::string_view)>& line) {
  return Dumper(bytes, line).run();
}

}  // namespace fb::bss
