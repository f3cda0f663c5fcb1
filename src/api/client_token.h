// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>
#include <vector>

#include "api/call.h"
#include "client/namespace_client.h"
#include "client/record.h"

namespace fb::api {

// For how long a client may repeat a request under its token.
inline constexpr Duration kClientTokenLifetime = Duration::minutes(24 * 60);

// The memory of a request under a client token, which makes its repetition harmless: the token is put in the
// same journal record as the request's effect, under the condition that nobody has put it meanwhile. Who
// loses that race looks again.
class ClientToken {
 public:
  // `token` may be empty: then nothing is remembered. It must outlive this.
  ClientToken(std::string_view token, const std::array<uint8_t, 32>& fingerprint)
      : token_(token), fingerprint_(fingerprint) {}

  // True where the request has been carried out before; IdempotencyParameterMismatch where another one has,
  // under this token.
  Task<S3Result<bool>> look_up(Call& call);
  // Finds a few tokens that have expired, for changes() to erase with the next request: that keeps their
  // number in proportion to the requests of a day, without a task of its own.
  Task<S3Result<void>> find_expired(Call& call);
  // What must be committed with the request's effect, as found by the last look_up(). Views into this.
  std::vector<Mutation> changes(const Call& call, bool with_expired);

 private:
  struct Expired {
    std::string key;
    Version version;
  };

  std::string_view token_;
  const std::array<uint8_t, 32> fingerprint_;
  Condition condition_;
  std::string record_;
  std::vector<Expired> expired_;
};

}  // namespace fb::api
