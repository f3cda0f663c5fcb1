// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "client/types.h"

namespace fb {

// Takes blobs that were written and that no record will ever name, and frees them in the background. One a
// core. For API servers it is BlobDiscards; the namespace has its ledger for records that it has spilled.
class UnnamedBlobs {
 public:
  // The first `block_count` blocks of the blob. Some, or all, may never have been written.
  virtual void discard_blob(BlobId blob, uint32_t block_count) = 0;

 protected:
  ~UnnamedBlobs() = default;
};

}  // namespace fb
