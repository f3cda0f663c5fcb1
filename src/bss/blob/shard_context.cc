// SPDX-License-Identifier: Apache-2.0
#include "bss/blob/shard_context.h"

#include <fmt/core.h>

#include "base/assert.h"
#include "bss/blob/placement.h"
#include "io/log.h"

namespace fb::bss {
namespace {

bool may_follow(ShardPhase phase, ShardPhase next) {
  switch (next) {
    case ShardPhase::made:
      return false;
    case ShardPhase::failed:
    case ShardPhase::opened:
      return phase == ShardPhase::made;
    case ShardPhase::running:
      return phase == ShardPhase::opened;
    case ShardPhase::stopping:
      return phase == ShardPhase::opened || phase == ShardPhase::running;
    case ShardPhase::finished:
      return phase == ShardPhase::stopping || phase == ShardPhase::failed;
  }
  FB_UNREACHABLE();
}

}  // namespace

std::string ShardContext::path(std::string_view name) const {
  const std::string folder = fmt::format("{}/shard-{:04}", options().directory, number_);
  return name.empty() ? folder : folder + "/" + std::string(name);
}

void ShardContext::log(std::string_view text) const {
  fb::log(env(), LogLevel::warn, text, {{"shard", number_}});
}

BlobKey ShardContext::key_of(uint64_t number, uint32_t incarnation, uint32_t block) const {
  return {.id = {.volume = superblock().volume,
                 .shard = named_shard_of(number_, block, superblock().shard_count),
                 .incarnation = {incarnation},
                 .number = number},
          .block = block};
}

SegmentHeader ShardContext::header_of(const Segment& segment) const {
  return {.store_id = superblock().store_id,
          .shard = number_,
          .segment = segment.number,
          .segment_bytes = segment_bytes(),
          .generation = segment.generation,
          .nonce = segment.nonce};
}

DescriptorPlace ShardContext::place_of(const Segment& segment, uint64_t offset) const {
  return {.shard = number_,
          .generation = segment.generation,
          .nonce = segment.nonce,
          .offset = offset,
          .segment_bytes = segment_bytes()};
}

void ShardContext::enter(ShardPhase next) {
  FB_ASSERT(may_follow(phase_, next), phase_, next);
  phase_ = next;
  if (stopping()) stop_sleeping_.cancel();
}

}  // namespace fb::bss
