// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/segment_maker.h"

#include <fmt/core.h>

#include <memory>
#include <span>
#include <string>
#include <utility>

#include "base/assert.h"
#include "io/claim.h"

namespace fb::bss {
namespace {

constexpr uint8_t kRecycleAttempts = 3;

}  // namespace

Task<Result<void>> SegmentMaker::write_new(File& file, const Segment& segment, const std::string& new_name,
                                           const std::string& name) {
  const Buffer header = co_await context_.pool().allocate(kSegmentDataOffset);
  encode_segment_header(context_.header_of(segment), header.span(0, kSegmentDataOffset));
  FB_CO_CHECK(co_await file.allocate(0, context_.segment_bytes()));
  FB_CO_CHECK(co_await file.write_all_durable(header.span(0, kSegmentDataOffset), 0));
  FB_CO_CHECK(co_await file.sync());
  FB_CO_CHECK(co_await rename_file(context_.env(), new_name, name));
  FB_CO_CHECK(co_await sync_directory(context_.env(), context_.path("")));
  co_return Result<void>();
}

Task<Result<void>> SegmentMaker::create() {
  const auto number = static_cast<uint32_t>(table_.size());
  const std::string name = context_.path(fmt::format("segment-{:08}", number));
  const std::string new_name = name + ".new";
  FB_CO_TRY(File file, co_await open_claimed(context_.env(), new_name,
                                             {.write = true,
                                              .create = true,
                                              .truncate = true,
                                              .direct = true,
                                              .role = FileRole::data,
                                              .durability = context_.options().durability}));
  auto segment = std::make_unique<Segment>();
  segment->number = number;
  segment->generation = table_.new_generation();
  context_.env().random_bytes(std::as_writable_bytes(std::span(&segment->nonce, 1)));
  segment->zeros.fresh = true;
  const Result<void> made = co_await write_new(file, *segment, new_name, name);
  if (!made) {
    FB_CO_CHECK(co_await file.close());
    (void)co_await remove_file(context_.env(), new_name);
    co_return made.error();
  }
  segment->file = std::move(file);
  table_.add(std::move(segment));
  space_.note_segment_is_free();
  co_return Result<void>();
}

Task<Result<void>> SegmentMaker::recycle(Segment& segment) {
  FB_ASSERT(segment.state == Segment::State::sealed, segment.state);
  FB_ASSERT(segment.live_bytes == 0 && !table_.is_read(segment) && segment.writers == 0, segment.live_bytes,
            segment.readers, segment.writers);
  segment.state = Segment::State::recycling;
  SegmentHeader header = context_.header_of(segment);
  header.generation = table_.new_generation();
  context_.env().random_bytes(std::as_writable_bytes(std::span(&header.nonce, 1)));
  const Buffer block = co_await context_.pool().allocate(kSegmentDataOffset);
  encode_segment_header(header, block.span(0, kSegmentDataOffset));
  const Result<void> written = co_await segment.file.write_all_durable(block.span(0, kSegmentDataOffset), 0);
  FB_ASSERT(segment.state == Segment::State::recycling, segment.state);
  if (!written) {
    // Which generation it has is not known: its old entries may be there or not, and count as there. A few
    // times it is tried again, since a device may do better; then it is left alone until the next start.
    const bool again = ++segment.recycle_failures < kRecycleAttempts;
    segment.state = again ? Segment::State::sealed : Segment::State::damaged;
    segment.moved_out = true;
    context_.log(
        fmt::format("segment {} cannot be recycled: {}", segment.number, written.error().to_string()));
    co_return written.error();
  }
  set_free(segment, header);
  co_return Result<void>();
}

void SegmentMaker::set_free(Segment& segment, const SegmentHeader& header) {
  order_.forget_doubts(segment);
  segment.generation = header.generation;
  segment.nonce = header.nonce;
  segment.state = Segment::State::free;
  segment.end = kSegmentDataOffset;
  segment.tombstones = 0;
  segment.moved_out = false;
  segment.recycle_failures = 0;
  segment.cut_short = false;
  SegmentZeros& zeros = segment.zeros;
  // If no flush is to be needed, the blocks that a batch goes to must have been written once.
  zeros.fresh = segment.file.keeps_overwrites() && !zeros.wholly_settled;
  zeros.zeroed_to = kSegmentDataOffset;
  zeros.settled_from = kSegmentDataOffset;
  zeros.settled_to = zeros.wholly_settled ? context_.segment_bytes() : kSegmentDataOffset;
  zeros.has_gaps = false;
  table_.add_free(segment);
  space_.note_segment_is_free();
}

}  // namespace fb::bss
