// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "base/request_head.h"
#include "s3/auth/sigv4.h"
#include "s3/request/virtual_host.h"

namespace fb::s3 {

// A request whose signature holds.
struct VerifiedRequest {
  std::string_view host;          // the name it was signed for: route() gets this one and no other
  std::optional<SigningKey> key;  // of version 4: a streaming body needs it
};

// Verifies time, signed parts and signature of a request that is not anonymous, over each form of its host in
// turn until one verifies. `head` is the one that was sent. An error that does not depend on the host ends
// the search.
Result<VerifiedRequest> authenticate_request(const RequestHead& head, const AuthRequest& auth,
                                             std::string_view secret, int64_t now_seconds,
                                             SigningKeyCache& cache, const ServedNames& names);

}  // namespace fb::s3
