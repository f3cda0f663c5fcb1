// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "api/services.h"
#include "client/outcome.h"
#include "client/record.h"

namespace fb::api {

// Content that is durable but named by no record yet. Unless a record names it, or may do so, as settle()
// decides, its blobs are erased in the background.
class StoredContent {
 public:
  StoredContent(Services services, Locator locator) : services_(services), locator_(locator) {}
  StoredContent(Services services, CloudContent cloud)
      : services_(services), cloud_(std::make_unique<CloudContent>(std::move(cloud))) {
    locator_ = cloud_->locator();
  }
  StoredContent(StoredContent&& other) noexcept
      : services_(other.services_), locator_(other.locator_), cloud_(std::move(other.cloud_)) {
    other.release();
  }
  StoredContent& operator=(StoredContent&&) = delete;
  ~StoredContent();

  const Locator& locator() const { return locator_; }
  uint64_t size_bytes() const { return locator_.length_bytes; }
  // Further blocks have made it so long.
  void grow(uint64_t length_bytes) { locator_.length_bytes = length_bytes; }
  // The writer has found a place under this name; nothing is stored under the one before.
  void set_name(BlobId blob) { locator_.blob = blob; }
  void release() { locator_.kind = Locator::Kind::none; }
  // To be called with the outcome of the write of the record that names it. What was certainly not written is
  // freed at once. If that is unknown the record may name the blob, now or later: it is the namespace's then.
  template <class T>
  void settle(const Result<T>& named) {
    if (!named && outcome_of(named.error()) != Outcome::unknown) discard();
    release();
  }

 private:
  void discard();
  Services services_;
  Locator locator_;
  std::unique_ptr<CloudContent> cloud_;  // what views of the locator lead into
};

}  // namespace fb::api
