// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/content_source.h"
#include "api/services.h"
#include "api/store_limits.h"
#include "api/stored_content.h"

// The way in: a stream into blobs, in blocks of at most 1 MiB, with one block being stored while the next is
// received. Memory is bounded: at most two blocks a stream, from the core's BufferPool, whose limit makes
// further streams wait. With a cloud bucket, content of its threshold and above goes there (content_cloud.h).

namespace fb::api {

// Stores all of `source` (at most `limits.size_max_bytes`, else EntityTooLarge); durable when it returns.
// Blobs that were stored before a failure are freed.
Task<S3Result<StoredContent>> store_content(Services services, ContentSource& source, StoreLimits limits);

}  // namespace fb::api
