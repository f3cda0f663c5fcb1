// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/scrub.h"

#include <fmt/format.h>

#include <cstring>

namespace fb::bss {
namespace {

constexpr uint64_t kScrubMagic = 0x3130425243534c46;  // "FLSCRB01"

struct ScrubImage {
  uint64_t checksum;
  uint64_t magic;
  uint32_t version;
  uint32_t shard;
  StoreId store_id;
  int64_t begun_seconds;
  uint64_t next_segment;
  uint32_t under_way;
  uint32_t reserved;
};
static_assert(sizeof(ScrubImage) == 64);

uint64_t checksum_of(const ScrubImage& image) {
  return xxh3(std::as_bytes(std::span(&image, 1)).subspan(sizeof(uint64_t)));
}

}  // namespace

void ScrubReport::add(const ScrubReport& other) {
  segments += other.segments;
  payloads += other.payloads;
  bytes += other.bytes;
  damaged += other.damaged;
  tables_damaged += other.tables_damaged;
  headers_damaged += other.headers_damaged;
  descriptors_damaged += other.descriptors_damaged;
  pages += other.pages;
  pages_damaged += other.pages_damaged;
  frames += other.frames;
  frames_damaged += other.frames_damaged;
  checkpoints_damaged += other.checkpoints_damaged;
  whole = whole && other.whole;
  for (const BlobKey& key : other.keys) {
    if (keys.size() < kNamedMax) keys.push_back(key);
  }
}

std::string ScrubReport::to_string() const {
  std::string text = sound() ? "sound" : "damaged";
  text += whole ? ": everything was read.\n" : ": ended before everything was read.\n";
  text += fmt::format(
      "  segments             {}\n  payloads             {}\n  bytes                {}\n"
      "  damaged payloads     {}\n  damaged piece sums   {}\n  damaged headers      {}\n"
      "  damaged descriptors  in {} segments\n",
      segments, payloads, bytes, damaged, tables_damaged, headers_damaged, descriptors_damaged);
  text += fmt::format(
      "  pages                {}\n  damaged pages        {}\n  journal frames       {}\n"
      "  damaged frames       {}\n  damaged checkpoints  {} of 2 copies\n",
      pages, pages_damaged, frames, frames_damaged, checkpoints_damaged);
  for (const BlobKey& key : keys) {
    text += fmt::format("  damaged: shard {} incarnation {} number {} block {}\n", key.id.shard,
                        key.id.incarnation.value, key.id.number, key.block);
  }
  if (damaged > keys.size()) text += fmt::format("  and {} more\n", damaged - keys.size());
  return text;
}

std::string encode_scrub_state(const ScrubState& state, const StoreId& store_id, uint32_t shard) {
  ScrubImage image{.checksum = 0,
                   .magic = kScrubMagic,
                   .version = kFormatVersion,
                   .shard = shard,
                   .store_id = store_id,
                   .begun_seconds = state.begun_seconds,
                   .next_segment = state.next_segment,
                   .under_way = state.under_way,
                   .reserved = 0};
  image.checksum = checksum_of(image);
  return {reinterpret_cast<const char*>(&image), sizeof(image)};
}

bool parse_scrub_state(std::string_view text, const StoreId& store_id, uint32_t shard, ScrubState* out) {
  ScrubImage image;
  if (text.size() != sizeof(image)) return false;
  std::memcpy(&image, text.data(), sizeof(image));
  if (image.checksum != checksum_of(image) || image.magic != kScrubMagic || image.version != kFormatVersion)
    return false;
  if (image.store_id != store_id || image.shard != shard) return false;
  *out = {.begun_seconds = image.begun_seconds,
          .next_segment = image.next_segment,
          .under_way = image.under_way != 0};
  return true;
}

}  // namespace fb::bss
