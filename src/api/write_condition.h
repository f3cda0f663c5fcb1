// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/call.h"
#include "client/namespace_client.h"
#include "client/record.h"
#include "s3/request/write_condition.h"

// Conditional writes: the namespace decides them at commit; what is decided before only saves work.

namespace fb::api {

// What the namespace is to hold the change to. A view into `condition`.
Condition to_condition(const s3::WriteCondition& condition);

// Whether an object with this ETag (none: no object) fulfils the condition; NoSuchKey or PreconditionFailed.
S3Result<void> check_condition(const s3::WriteCondition& condition, std::string_view key,
                               const std::optional<RecordEtag>& etag);
// The same for the object that is there now, so that no body is received and no content copied in vain. The
// condition may hold now and fail at commit.
Task<S3Result<void>> check_condition_early(Call& call, const s3::WriteCondition& condition,
                                           std::string_view key);

// The failure of a change of `key` that was committed under the condition.
S3Failure write_failure(const s3::WriteCondition& condition, std::string_view key, const Error& error);

}  // namespace fb::api
