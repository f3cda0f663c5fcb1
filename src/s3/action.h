// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

// The actions of IAM that operations need: a policy allows or denies these by name ("s3:GetObject").

namespace fb::s3 {

// clang-format off
#define FB_S3_ACTIONS(X) \
  X(AbortMultipartUpload) \
  X(CreateBucket) \
  X(DeleteBucket) \
  X(DeleteObject) \
  X(GetBucketLocation) \
  X(GetObject) \
  X(ListAllMyBuckets) \
  X(ListBucket) \
  X(ListBucketMultipartUploads) \
  X(ListMultipartUploadParts) \
  X(PutObject)
// clang-format on

#define FB_S3_ENUMERATOR(name) name,
enum class Action : uint8_t { FB_S3_ACTIONS(FB_S3_ENUMERATOR) };
#undef FB_S3_ENUMERATOR

#define FB_S3_COUNT(name) +1
constexpr int kActionCount = 0 FB_S3_ACTIONS(FB_S3_COUNT);
#undef FB_S3_COUNT

// With its prefix: "s3:GetObject".
std::string_view to_string(Action action);

}  // namespace fb::s3
