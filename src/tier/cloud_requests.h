// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/request_head.h"
#include "tier/credentials.h"
#include "tier/options.h"

namespace fb::tier {

// The hash field for a body that another checksum in the signed headers protects.
inline constexpr std::string_view kUnsignedBody = "UNSIGNED-PAYLOAD";

struct CloudRequest {
  std::string_view method;
  std::string_view key{};  // not encoded; empty: a request to the bucket
  std::string query{};     // encoded
  std::vector<HeaderField> headers{};
  std::span<const iovec> body{};
  std::string_view body_sha256{};  // hexadecimal, or kUnsignedBody; empty: hash of an empty body
};

struct CloudAnswer {
  int status = 0;
  std::optional<uint64_t> length;  // Content-Length
  std::string etag{};              // with its quotes
  std::string crc32c{};
  std::string body{};
  std::string code{};  // from an error document

  bool ok() const { return status / 100 == 2; }
  // The endpoint does not have this operation at all.
  bool not_offered() const { return status == 501 || status == 405; }
};

// A response whose body is still to be read.
struct OpenAnswer {
  CloudAnswer head;
  std::unique_ptr<OutboundConnection> connection;  // only if the head is ok
};

// Signed requests of one core to one cloud bucket: connections, retries with pauses, and a record of whether
// the cloud answers at all. All requests may be repeated: the caller makes sure that this does no harm.
class CloudRequests {
 public:
  CloudRequests(Env& env, const TierOptions& options, CredentialSource& credentials, const TlsContext& tls);

  // Returns the answer of some attempt: 2xx, or a refusal, which is logged unless it is 404 or 412. An error,
  // BlobError::unavailable, if no answer came in time; problem() then says why.
  Task<Result<CloudAnswer>> call(const CloudRequest& request, CancelToken cancel = nullptr);
  // One attempt, whatever its answer.
  Task<Result<CloudAnswer>> call_once(const CloudRequest& request);
  // One attempt like call(), but the caller reads the body of an answer that is ok, and must pass the
  // connection to release() or discard().
  Task<Result<OpenAnswer>> open(const CloudRequest& request, const IoLimits& limits);
  Task<void> release(std::unique_ptr<OutboundConnection> connection) {
    return pool_.release(std::move(connection));
  }
  Task<void> discard(std::unique_ptr<OutboundConnection> connection) {
    return pool_.discard(std::move(connection));
  }

  // False while requests fail at once.
  bool may_try();
  void note(bool success);

  // No attempt begins after `deadline`, or lasts beyond it.
  void end_by(Instant deadline) { end_ = deadline; }
  Task<void> close() { return pool_.close(); }

  const std::string& problem() const { return problem_; }
  TierStats& stats() { return stats_; }
  const TierOptions& options() const { return options_; }
  Env& env() { return env_; }

 private:
  enum class Verdict : uint8_t { done, again, refused };
  Verdict judge(const Result<CloudAnswer>& answer);
  Task<Result<CloudAnswer>> attempt(const CloudRequest& request, const IoLimits& limits, bool& stale);
  Task<Result<std::unique_ptr<OutboundConnection>>> send(const CloudRequest& request, const IoLimits& limits,
                                                         bool& stale);
  Task<Result<CloudAnswer>> finish(OutboundConnection& connection, bool with_body, const IoLimits& limits);
  void complain(const CloudRequest& request);
  std::string path_of(std::string_view key) const;

  Env& env_;
  const TierOptions& options_;
  CredentialSource& credentials_;
  OutboundPool pool_;
  std::string problem_;
  uint32_t failures_in_row_ = 0;
  Instant down_until_;
  Instant end_ = Instant::never();
  Instant next_complaint_;
  TierStats stats_;
};

}  // namespace fb::tier
