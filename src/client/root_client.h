// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "client/types.h"
#include "io/task.h"

// The root service as its users see it: buckets and API keys.

namespace fb {

enum class RootError {
  no_such_bucket,
  bucket_exists,  // and belongs to the same owner: see BucketInfo::owner
  bucket_not_empty,
  no_such_key,
  name_invalid,  // no bucket can have this name
  limit,         // kBucketsMax
  full,          // no space for another
  unavailable,   // stopping, or the store takes no changes: this one was not made
  timed_out,     // the deadline passed, and the change was not made
  damaged,
  outcome_unknown,
};
std::string_view to_string(RootError code);
inline const ErrorDomain& error_domain(RootError) {
  static constexpr ErrorDomain kDomain{"root",
                                       [](int code) { return to_string(static_cast<RootError>(code)); }};
  return kDomain;
}

inline constexpr size_t kBucketsMax = 10'000;

struct BucketInfo {
  std::string name;
  BucketId id;
  UnixTime created;
  std::string owner;  // canonical user id of the owner
};

struct KeyInfo {
  std::string access_key;
  Secret secret;
  std::string owner;
  std::string owner_display_name;
};

// One instance a core; used on that core only.
class RootClient {
 public:
  virtual ~RootClient() = default;

  // From this core's cache, without waiting; null if it is not there (then ask find_bucket). The pointer is
  // valid until the next co_await.
  virtual const BucketInfo* cached_bucket(std::string_view name) = 0;
  virtual Task<Result<BucketInfo>> find_bucket(const CallContext& context, std::string_view name) = 0;
  // Durable when it returns; RootError::bucket_exists leaves it as it is. After outcome_unknown the root
  // brings the change to its end, at the latest at its next start; the same call again waits for that, until
  // its deadline, and tells.
  virtual Task<Result<BucketInfo>> create_bucket(const CallContext& context, std::string_view name,
                                                 std::string_view owner) = 0;
  // Deletes only an empty bucket. Every core's cache has forgotten it when it returns. outcome_unknown: as
  // above.
  virtual Task<Result<void>> delete_bucket(const CallContext& context, std::string_view name) = 0;
  // Sorted by name.
  virtual Task<Result<std::vector<BucketInfo>>> list_buckets(const CallContext& context) = 0;

  // Like cached_bucket().
  virtual const KeyInfo* cached_key(std::string_view access_key) = 0;
  virtual Task<Result<KeyInfo>> find_key(const CallContext& context, std::string_view access_key) = 0;
};

}  // namespace fb
