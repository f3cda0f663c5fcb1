// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "base/request_head.h"
#include "s3/request/route.h"
#include "s3/response/error.h"

namespace fb::s3 {

// The answers that need no signature, since their clients have none to give: browsers ask with OPTIONS before
// they send a request of another origin, and upload forms carry their policy in the body. Both are refused
// until they are built, with what AWS says of a bucket without CORS and with NotImplemented. Nothing is
// looked up, so that nobody learns which buckets there are. Nothing for all other requests.
std::optional<S3Failure> unsigned_answer(const RequestHead& head, std::string_view host,
                                         std::span<const std::string> domains);

}  // namespace fb::s3
