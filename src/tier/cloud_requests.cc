// SPDX-License-Identifier: Apache-2.0
#include "tier/cloud_requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "client/blob_client.h"
#include "http/retry.h"
#include "io/error.h"
#include "io/log.h"
#include "s3/auth/signer.h"
#include "s3/checksum/hash.h"
#include "s3/request/xml_body.h"
#include "s3/time.h"
#include "s3/uri.h"

namespace fb::tier {
namespace {

constexpr Duration kComplaintPause = Duration::seconds(10);

uint64_t total_bytes(std::span<const iovec> vectors) {
  uint64_t total = 0;
  for (const iovec& vector : vectors) total += vector.iov_len;
  return total;
}

Duration time_of(uint64_t bytes) {
  return Duration::milliseconds(static_cast<int64_t>(bytes * 1000 / kBodyBytesPerSecondMin));
}

std::optional<uint64_t> number_of(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

CloudAnswer answer_of(const ResponseHead& head) {
  return {.status = head.status,
          .length = number_of(head.header("content-length")),
          .etag = std::string(head.header("etag")),
          .crc32c = std::string(head.header("x-amz-checksum-crc32c"))};
}

void read_code(CloudAnswer& answer) {
  if (answer.ok() || answer.body.empty()) return;
  if (auto error = s3::parse_error_body(answer.body)) answer.code = std::move(error->code);
}

// Codes to retry although their status alone would mean a final refusal.
bool passes(std::string_view code) {
  static constexpr std::array<std::string_view, 8> kPassing = {
      "RequestTimeout", "BadDigest",  "XAmzContentSHA256Mismatch", "IncompleteBody",
      "SlowDown",       "Throttling", "OperationAborted",          "ConditionalRequestConflict"};
  return std::ranges::find(kPassing, code) != kPassing.end();
}

}  // namespace

CloudRequests::CloudRequests(Env& env, const TierOptions& options, CredentialSource& credentials,
                             const TlsContext& tls)
    : env_(env), options_(options), credentials_(credentials), pool_(env, options.origin, tls) {}

std::string CloudRequests::path_of(std::string_view key) const {
  const std::string encoded = s3::uri_encode(key, s3::Slash::keep);
  if (options_.bucket_in_host) return "/" + encoded;
  return fmt::format("/{}{}{}", options_.bucket, key.empty() ? "" : "/", encoded);
}

bool CloudRequests::may_try() {
  if (failures_in_row_ < kFailuresUntilDown) return true;
  if (env_.now() < down_until_) return false;
  down_until_ = env_.now() + kDownTime;  // one request tries now; the others fail until it succeeds
  return true;
}

void CloudRequests::note(bool success) {
  if (success) {
    if (failures_in_row_ >= kFailuresUntilDown) log(env_, LogLevel::info, "tier: the cloud answers again");
    failures_in_row_ = 0;
    stats_.cores_down = 0;
    return;
  }
  ++failures_in_row_;
  if (failures_in_row_ < kFailuresUntilDown) return;
  if (failures_in_row_ == kFailuresUntilDown) {
    log(env_, LogLevel::error, "tier: the cloud does not answer; large objects cannot be written or read",
        {{"endpoint", options_.origin.authority}, {"problem", problem_}});
  }
  stats_.cores_down = 1;
  down_until_ = env_.now() + kDownTime;
}

// Returns a connection on which the whole request has been sent. `stale`: sending failed on a kept connection
// that the other side had closed meanwhile, which says nothing about the cloud.
Task<Result<std::unique_ptr<OutboundConnection>>> CloudRequests::send(const CloudRequest& request,
                                                                      const IoLimits& limits, bool& stale) {
  FB_CO_TRY(const CloudCredentials* const found, co_await credentials_.get(limits));
  const CloudCredentials credentials = *found;
  const std::string path = path_of(request.key);
  const std::string target = request.query.empty() ? path : fmt::format("{}?{}", path, request.query);
  const std::string date = s3::format_amz_date(env_.wall_clock().seconds());
  std::vector<HeaderField> headers = request.headers;
  headers.push_back({"Host", options_.origin.authority});
  headers.push_back({"x-amz-date", date});
  headers.push_back(
      {"x-amz-content-sha256", request.body_sha256.empty() ? s3::kEmptySha256Hex : request.body_sha256});
  if (!credentials.session_token.empty())
    headers.push_back({"x-amz-security-token", credentials.session_token.reveal()});
  const RequestHead head{
      .method = request.method, .target = target, .path = path, .query = request.query, .headers = headers};
  FB_CO_TRY(const std::string authorization,
            s3::sign_request(head, {.access_key = credentials.access_key,
                                    .secret = credentials.secret_key.reveal(),
                                    .region = options_.region}));
  headers.push_back({"Authorization", authorization});

  auto connection = co_await pool_.acquire(limits);
  if (!connection) {
    problem_ = pool_.problem().empty() ? connection.error().to_string() : pool_.problem();
    co_return connection.error();
  }
  const std::string wire_target = pool_.target(target);
  std::vector<iovec> body(request.body.begin(), request.body.end());
  HttpClientRequest wire{.method = request.method, .target = wire_target, .headers = headers};
  if (body.empty() && request.method != "GET" && request.method != "HEAD") wire.content_length = 0;
  if (auto sent = co_await (*connection)->http().send(wire, body, limits); !sent) {
    problem_ = fmt::format("a request could not be sent: {}", sent.error().to_string());
    stale = (*connection)->reused() && sent.error().is(IoError::connection_lost);
    co_await pool_.discard(std::move(*connection));
    co_return sent.error();
  }
  stats_.sent_bytes += total_bytes(request.body);
  co_return std::move(*connection);
}

Task<Result<CloudAnswer>> CloudRequests::finish(OutboundConnection& connection, bool with_body,
                                                const IoLimits& limits) {
  FB_CO_TRY(const ResponseHead* const head, co_await connection.http().receive_head(limits));
  CloudAnswer answer = answer_of(*head);
  if (with_body || !answer.ok()) {
    FB_CO_TRY(answer.body, co_await connection.http().read_body_text(s3::kAnswerBodySizeMax, limits));
    read_code(answer);
  }
  co_return answer;
}

Task<Result<CloudAnswer>> CloudRequests::attempt(const CloudRequest& request, const IoLimits& limits,
                                                 bool& stale) {
  ++stats_.requests;
  FB_CO_TRY(std::unique_ptr<OutboundConnection> connection, co_await send(request, limits, stale));
  auto answer = co_await finish(*connection, true, limits);
  stale = !answer && connection->reused() && answer.error().is(IoError::connection_lost);
  if (answer) {
    co_await pool_.release(std::move(connection));
  } else {
    problem_ = fmt::format("no answer to {}: {}", request.method, answer.error().to_string());
    co_await pool_.discard(std::move(connection));
  }
  co_return answer;
}

CloudRequests::Verdict CloudRequests::judge(const Result<CloudAnswer>& answer) {
  if (!answer) return Verdict::again;
  const int status = answer->status;
  if (answer->ok() || status == 404 || status == 412) return Verdict::done;
  problem_ = fmt::format("the cloud answers {} {}", status, answer->code);
  if (status == 501) return Verdict::refused;
  if (status >= 500 || status == 429 || status == 408 || passes(answer->code)) return Verdict::again;
  if (answer->code == "ExpiredToken" || answer->code == "InvalidToken") credentials_.invalidate();
  return Verdict::refused;
}

Task<Result<CloudAnswer>> CloudRequests::call(const CloudRequest& request, CancelToken cancel) {
  const Duration body_time = time_of(total_bytes(request.body));
  const Instant deadline = std::min(end_, env_.now() + kRequestTimeout + body_time);
  Retry retry(env_, deadline);
  for (int refusals = 0; may_try();) {
    bool stale = false;
    const IoLimits limits{.deadline = std::min(deadline, env_.now() + kAttemptTimeout + body_time),
                          .cancel = cancel};
    auto answer = co_await attempt(request, limits, stale);
    if (cancel != nullptr && cancel->cancelled()) co_return BlobError::unavailable;
    const Verdict verdict = judge(answer);
    if (verdict == Verdict::done) {
      note(true);
      co_return answer;
    }
    if (verdict == Verdict::refused && ++refusals == kRefusedAttemptsMax) {
      note(true);  // the cloud answers
      complain(request);
      co_return answer;
    }
    ++stats_.retries;
    if (stale) continue;
    if (verdict == Verdict::again) note(false);
    if (!co_await retry.wait(cancel)) break;
  }
  complain(request);
  co_return BlobError::unavailable;
}

Task<Result<CloudAnswer>> CloudRequests::call_once(const CloudRequest& request) {
  bool stale = false;
  const IoLimits limits{.deadline = env_.now() + kAttemptTimeout + time_of(total_bytes(request.body))};
  co_return co_await attempt(request, limits, stale);
}

void CloudRequests::complain(const CloudRequest& request) {
  ++stats_.failures;
  if (env_.now() < next_complaint_) return;
  next_complaint_ = env_.now() + kComplaintPause;
  log(env_, LogLevel::warn, "tier: a request to the cloud failed",
      {{"method", request.method}, {"key", request.key}, {"problem", problem_}});
}

Task<Result<OpenAnswer>> CloudRequests::open(const CloudRequest& request, const IoLimits& limits) {
  ++stats_.requests;
  OpenAnswer out;
  bool stale = false;
  FB_CO_TRY(std::unique_ptr<OutboundConnection> connection, co_await send(request, limits, stale));
  auto answer = co_await finish(*connection, false, limits);
  const Verdict verdict = judge(answer);
  if (answer && answer->ok()) {
    out.head = std::move(*answer);
    out.connection = std::move(connection);
    co_return std::move(out);
  }
  if (!answer) {
    problem_ = fmt::format("no answer to {}: {}", request.method, answer.error().to_string());
    co_await pool_.discard(std::move(connection));
    co_return answer.error();
  }
  co_await pool_.release(std::move(connection));
  if (verdict != Verdict::done) co_return BlobError::unavailable;
  out.head = std::move(*answer);
  co_return std::move(out);
}

}  // namespace fb::tier
