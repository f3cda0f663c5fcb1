// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "client/types.h"
#include "io/buffer.h"
#include "io/task.h"

namespace fb {

// docs/seams.md gives the outcome of each (client/outcome.h).
enum class PageError {
  not_found,
  damaged,
  stale_version,
  sealed,       // a higher epoch has taken the pages over
  full,         // no slot for the page
  unavailable,  // closing, or the store takes no changes any more: this one was not made
  unsupported,  // written by another version of FractalBits
  timed_out,    // the deadline passed before the change was begun
  outcome_unknown,
};
std::string_view to_string(PageError code);
inline const ErrorDomain& error_domain(PageError) {
  static constexpr ErrorDomain kDomain{"page",
                                       [](int code) { return to_string(static_cast<PageError>(code)); }};
  return kDomain;
}

// Versioned pages of one partition: the storage of the namespace engine. A page's version is the LSN of the
// last record applied to it; a write or erase with an older version than the stored one is
// PageError::stale_version, and one with the same version replaces it (it must mean the same content). Every
// change names its writer's epoch: one below the sealed epoch is PageError::sealed. Changes of one page that
// are under way at once take effect one after the other.
class PageClient {
 public:
  virtual ~PageClient() = default;
  struct Page {
    Buffer buffer;  // the page is its first `length` bytes
    uint32_t length = 0;
    Lsn version;
  };
  // `result` is the page's own outcome.
  struct Write {
    PageId id;
    Page page;
    // A new page that may also use the reserve: for writes that are needed to give space back.
    bool uses_reserve = false;
    Result<void> result;
  };
  struct Erase {
    PageId id;
    Lsn version;
    Result<void> result;
  };

  // The largest length of a page in bytes.
  virtual uint32_t page_length_max() const = 0;
  // The memory that a read needs: somewhat more than the page.
  virtual uint32_t page_memory_bytes() const = 0;

  virtual Task<Result<Page>> read_page(const CallContext& context, PageId id) = 0;
  // Reads into memory of the caller, page_memory_bytes() of it, aligned to kDirectIoAlignment. Its contents
  // are undefined after an error.
  struct Found {
    uint32_t length = 0;
    Lsn version;
  };
  virtual Task<Result<Found>> read_page_into(const CallContext& context, PageId id,
                                             std::span<std::byte> memory) = 0;

  // Many pages, each at most once. All are tried; the answer is the first error. The successful writes are
  // durable when it returns. Until then the caller leaves the buffers as they are, and the store may write
  // their bytes behind `length`.
  virtual Task<Result<void>> write_pages(const CallContext& context, uint64_t epoch,
                                         std::span<Write> writes) = 0;
  // Erases many pages likewise; a page that is not there counts as erased. An erased page does not come back,
  // and nobody may write it again: the store does not remember it.
  virtual Task<Result<void>> erase_pages(const CallContext& context, uint64_t epoch,
                                         std::span<Erase> erases) = 0;

  // From now on only writers of `epoch` and later ones may change pages. Durable when it returns;
  // PageError::sealed if a higher epoch is sealed already.
  virtual Task<Result<void>> seal(const CallContext& context, uint64_t epoch) = 0;

  // A part of all pages, in no order, and the cursor to go on with: 0 to begin, and 0 again in the last
  // answer. A page that exists during the whole walk is listed exactly once.
  struct Entry {
    PageId id;
    Lsn version;
  };
  struct Listing {
    std::vector<Entry> pages;
    uint64_t next_cursor = 0;
  };
  virtual Task<Result<Listing>> enumerate(const CallContext& context, uint64_t cursor) = 0;

  // Counts in pages of the largest length. New pages can be written while `available` is above 0. Existing
  // pages, and new ones with uses_reserve, may use `reserved`, too. `unallocated` of the available ones have
  // no disk space yet, and others use the disk as well.
  struct Space {
    uint64_t used = 0;
    uint64_t available = 0;
    uint64_t reserved = 0;
    uint64_t unallocated = 0;
  };
  virtual Task<Result<Space>> space(const CallContext& context) = 0;

  virtual uint64_t page_count() const = 0;
  virtual uint64_t sealed_epoch() const = 0;

  // One page.
  Task<Result<void>> write_page(const CallContext& context, uint64_t epoch, PageId id, Page page);
  Task<Result<void>> erase_page(const CallContext& context, uint64_t epoch, PageId id, Lsn version);
};

}  // namespace fb
