// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "api/block_receiver.h"
#include "api/content_source.h"
#include "api/services.h"
#include "api/store_limits.h"
#include "api/stored_content.h"
#include "base/result.h"
#include "client/record.h"

namespace fb::api {

// Stores all of `source`, whose size is given if it is known, in the cloud bucket.
Task<S3Result<StoredContent>> store_in_cloud(Services services, ContentSource& source,
                                             std::optional<uint64_t> size, StoreLimits limits);

// Stores content in the cloud bucket that turned out to be large as it came: first `stored` (null: nothing is
// stored yet), then the block that was received last, then `rest`. The caller frees `stored` afterwards.
Task<S3Result<StoredContent>> move_to_cloud(Services services, const Locator* stored, Block block,
                                            ContentSource& rest, StoreLimits limits);

// The failure of the cloud bucket, as clients are told of it.
s3::S3Failure cloud_failure(const Error& error);

// Whether any of an object's content is in the cloud.
bool is_in_cloud(const ObjectRecord& record);

}  // namespace fb::api
