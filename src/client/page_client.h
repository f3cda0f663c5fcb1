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

enum class PageError {
  not_found,
  damaged,
  stale_version,
  sealed,
  full,
  unavailable,
  unsupported,
  timed_out,
};
std::string_view to_string(PageError code);
inline const ErrorDomain& error_domain(PageError) {
  static constexpr ErrorDomain kDomain{"page",
                                       [](int code) { return to_string(static_cast<PageError>(code)); }};
  return kDomain;
}

// Versioned pages of one partition: what the namespace engine over pages stands on. A page's version is the
// LSN of the last record applied to it; a write or erase with an older version than the stored one is
// PageError::stale_version, and one with the same version replaces it (it must mean the same content). Every
// change names its writer's epoch: one below the sealed epoch is PageError::sealed. Changes of one page that
// are under way at once take effect one after the other. What ended in `unavailable` may have happened.
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
    // A new page that may be written from the reserve, too: for what has to be written so that space can be
    // given back.
    bool uses_reserve = false;
    Result<void> result;
  };
  struct Erase {
    PageId id;
    Lsn version;
    Result<void> result;
  };

  // Pages may have this many bytes and no more.
  virtual uint32_t page_length_max() const = 0;
  // A read needs this much memory: somewhat more than the page.
  virtual uint32_t page_memory_bytes() const = 0;

  virtual Task<Result<Page>> read_page(const CallContext& context, PageId id) = 0;
  // The same into memory of the caller, page_memory_bytes() of it, aligned to kDirectIoAlignment. What it
  // holds after an error is undefined.
  struct Found {
    uint32_t length = 0;
    Lsn version;
  };
  virtual Task<Result<Found>> read_page_into(const CallContext& context, PageId id,
                                             std::span<std::byte> memory) = 0;

  // Many pages, each at most once. All are tried; the answer is the first error. What succeeded is durable
  // when it returns. Until then the bytes of the buffers stay as they are, and those behind `length` are the
  // store's to write.
  virtual Task<Result<void>> write_pages(const CallContext& context, uint64_t epoch,
                                         std::span<Write> writes) = 0;
  // The same for erases; a page that is not there is erased already. An erased page does not come back, and
  // no one may write it again: the store does not remember it.
  virtual Task<Result<void>> erase_pages(const CallContext& context, uint64_t epoch,
                                         std::span<Erase> erases) = 0;

  // From now on only writers of `epoch` and later ones. Durable when it returns; PageError::sealed where a
  // higher epoch is sealed already.
  virtual Task<Result<void>> seal(const CallContext& context, uint64_t epoch) = 0;

  // A part of all pages, in no order, and where to go on: 0 to begin, and 0 again in the last answer. A page
  // that is there from beginning to end is given exactly once.
  struct Entry {
    PageId id;
    Lsn version;
  };
  struct Listing {
    std::vector<Entry> pages;
    uint64_t next_cursor = 0;
  };
  virtual Task<Result<Listing>> enumerate(const CallContext& context, uint64_t cursor) = 0;

  // In pages of the largest length. New pages can be written while `available` is above 0; pages that exist,
  // and those that say so, may use `reserved`, too. `unallocated` of those available are only as good as the
  // disk, which others use as well.
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
