// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bss/blob/core_context.h"
#include "bss/blob/segment.h"
#include "client/types.h"
#include "io/cancel.h"

namespace fb::bss {

enum class ShardPhase : uint8_t {
  made,      // nothing of it has been read
  failed,    // it could not be opened: nothing is written, lest that forgets what was not read
  opened,    // it takes calls; its workers have not begun
  running,   // its workers run
  stopping,  // it takes no more calls; its workers end
  finished,  // its files are closed
};

// Which shard this is, the core it runs on, and how far it has come in its life. Shard owns it, all parts of
// the shard name it. The owner's core only, but for core() and number(), which do not change.
class ShardContext {
 public:
  ShardContext(CoreContext& core, uint32_t number) : core_(core), number_(number) {}

  CoreContext& core() const { return core_; }
  Env& env() const { return core_.env; }
  BufferPool& pool() const { return core_.pool; }
  const BlobStoreOptions& options() const { return core_.options; }
  const Superblock& superblock() const { return core_.superblock; }
  BlobStats& stats() const { return core_.stats; }

  uint32_t number() const { return number_; }
  // The path of a file of the shard; the path of its folder, if the name is empty.
  std::string path(std::string_view name) const;
  void log(std::string_view text) const;
  BlobKey key_of(uint64_t number, uint32_t incarnation, uint32_t block) const;

  uint64_t segment_bytes() const { return superblock().segment_bytes; }
  uint64_t segment_room() const { return segment_bytes() - kSegmentDataOffset; }
  // The header as the medium has it for the segment's generation.
  SegmentHeader header_of(const Segment& segment) const;
  // The place of a descriptor of the segment's generation.
  DescriptorPlace place_of(const Segment& segment, uint64_t offset) const;

  ShardPhase phase() const { return phase_; }
  // Workers end, and sleeps with them.
  void enter(ShardPhase next);
  bool takes_calls() const { return phase_ == ShardPhase::opened || phase_ == ShardPhase::running; }
  bool stopping() const { return phase_ >= ShardPhase::stopping; }
  // Ends early, with an error, when the shard stops.
  Task<Result<void>> sleep(Duration duration) { return sleep_until(env().now() + duration); }
  Task<Result<void>> sleep_until(Instant instant) { return fb::sleep_until(env(), instant, &stop_sleeping_); }

 private:
  CoreContext& core_;
  uint32_t number_;
  ShardPhase phase_ = ShardPhase::made;
  CancelSource stop_sleeping_;
};

}  // namespace fb::bss
