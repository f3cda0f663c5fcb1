// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "client/types.h"
#include "io/task.h"

namespace fb {

// The one record of a partition that a start reads first: it says where the partition's state begins.
// Replaced as a whole, each time with a higher version. The errors are PageError's: it is part of the
// metadata volume, and sealed with the pages. `unsupported`: the record is of another version of FractalBits.
class CheckpointClient {
 public:
  virtual ~CheckpointClient() = default;

  struct Stored {
    uint64_t version = 0;
    std::string bytes;
  };
  // The newest record that is whole. None if none was written, or if no copy is whole: the caller knows
  // whether there must be one.
  virtual Task<Result<std::optional<Stored>>> read_checkpoint(const CallContext& context) = 0;
  // Durable, and the only one, when it returns. PageError::sealed for a writer of an epoch below the sealed
  // one; stale_version for a version that is not above the newest one, unless it is the newest one with the
  // same bytes: then it is success. After outcome_unknown a start may find the record: the next one needs a
  // version of its own.
  virtual Task<Result<void>> write_checkpoint(const CallContext& context, uint64_t epoch, uint64_t version,
                                              std::string_view bytes) = 0;
  // From now on a record of `bytes` bytes can be written, however full the store becomes.
  virtual Task<Result<void>> reserve_checkpoint(const CallContext& context, uint64_t bytes) = 0;
  virtual uint64_t checkpoint_bytes_reserved() const = 0;
};

class PageClient;
class JournalClient;
// The storage of a namespace engine, which holds all its state. The references outlive the engine.
struct MetadataClients {
  PageClient& pages;
  JournalClient& journal;
  CheckpointClient& checkpoints;
};

}  // namespace fb
