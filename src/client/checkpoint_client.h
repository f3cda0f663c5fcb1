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

// The one record of a partition that a start reads first: where its state begins. Replaced as a whole, each
// time with a higher version. The errors are PageError's: it is part of the metadata volume, and sealed with
// the pages. `unsupported` is a record of another version of FractalBits.
class CheckpointClient {
 public:
  virtual ~CheckpointClient() = default;

  struct Stored {
    uint64_t version = 0;
    std::string bytes;
  };
  // The newest one that is whole. None where none was written, or where no copy is whole: who asks knows
  // whether there must be one.
  virtual Task<Result<std::optional<Stored>>> read_checkpoint(const CallContext& context) = 0;
  // Durable, and the only one, when it returns. PageError::sealed for a writer of an epoch below the sealed
  // one.
  virtual Task<Result<void>> write_checkpoint(const CallContext& context, uint64_t epoch, uint64_t version,
                                              std::string_view bytes) = 0;
  // From now on a record of so many bytes can be written, however full the store becomes.
  virtual Task<Result<void>> reserve_checkpoint(const CallContext& context, uint64_t bytes) = 0;
  virtual uint64_t checkpoint_bytes_reserved() const = 0;
};

class PageClient;
class JournalClient;
// What a namespace engine stands on; all its state is there. Outlive it.
struct MetadataClients {
  PageClient& pages;
  JournalClient& journal;
  CheckpointClient& checkpoints;
};

}  // namespace fb
