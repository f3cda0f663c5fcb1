// SPDX-License-Identifier: Apache-2.0
#include "api/api_server.h"

#include <algorithm>

#include "api/object_response.h"
#include "api/operations.h"
#include "http/error.h"
#include "io/log.h"
#include "s3/auth/auth_details.h"
#include "s3/auth/request_auth.h"
#include "s3/auth/sigv2.h"
#include "s3/request/effective_head.h"
#include "s3/request/parameters.h"
#include "s3/request/preflight.h"
#include "s3/time.h"

namespace fb::api {
namespace {

constexpr size_t kRequestIdSize = 16;
constexpr size_t kOperationUnknown = s3::kOperationCount;

using RequestId = std::array<char, kRequestIdSize>;

RequestId make_request_id(Env& env) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  RequestId id;
  uint64_t number = env.random();
  for (char& c : id) {
    c = kDigits[number & 15];
    number >>= 4;
  }
  return id;
}

// Answers that say more about this server than about the request.
bool is_trouble(int status) { return status == 500 || status == 503 || status == 507; }

// A response that its client broke off, or did not take for so long that it was cut, is no failed request: in
// log and metrics it keeps the status that was sent, as in AWS's logs. Its name there, or an empty one.
std::string_view cut_off_by_client(const HttpExchange& exchange, const S3Failure& failure) {
  if (!exchange.response_begun() || !failure.cause) return {};
  if (failure.cause->is(HttpError::connection_lost) || failure.cause->is(HttpError::tls_failed))
    return "ClientDisconnected";
  return failure.cause->is(HttpError::timed_out) ? "ClientTooSlow" : std::string_view();
}

// The element by which a failure names what it is about, where the place that failed did not know it.
void name_subject(S3Failure& failure, const s3::Route& route) {
  if (!failure.elements.empty()) return;
  switch (failure.error) {
    case S3Error::NoSuchBucket:
    case S3Error::BucketNotEmpty:
    case S3Error::BucketAlreadyExists:
    case S3Error::BucketAlreadyOwnedByYou:
      if (!route.bucket.empty()) failure = std::move(failure).with("BucketName", route.bucket);
      return;
    case S3Error::NoSuchKey:
      if (!route.key.empty()) failure = std::move(failure).with("Key", route.key);
      return;
    default:
      return;
  }
}

// More of a canonical request than this tells nobody anything, and each of its bytes is shown three times
// more in hexadecimal.
constexpr size_t kExplainedBytesMax = 1024;

// "47 45 54 0a ..."
std::string bytes_of(std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out(text.empty() ? 0 : 3 * text.size() - 1, ' ');
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    out[3 * i] = kDigits[byte >> 4];
    out[3 * i + 1] = kDigits[byte & 15];
  }
  return out;
}

// As AWS shows it, elements and order, so that authors of clients can compare.
S3Failure signature_failure(const RequestHead& head, const s3::AuthRequest& auth,
                            const s3::ServedNames& names) {
  S3Failure failure(S3Error::SignatureDoesNotMatch);
  std::string text, canonical;
  if (auth.version == s3::SignatureVersion::v2) {
    const auto explained =
        s3::string_to_sign_v2(head, auth, s3::bucket_of_host(head.header("host"), names.domains));
    if (!explained) return failure;
    text = *explained;
  } else {
    const auto explained = s3::explain_signature(head, auth);
    if (!explained) return failure;
    text = explained->string_to_sign;
    canonical = explained->canonical_request;
  }
  text.resize(std::min(text.size(), kExplainedBytesMax));
  canonical.resize(std::min(canonical.size(), kExplainedBytesMax));
  failure = std::move(failure)
                .with("AWSAccessKeyId", auth.credential.access_key())
                .with("StringToSign", text)
                .with("SignatureProvided", auth.signature)
                .with("StringToSignBytes", bytes_of(text));
  if (canonical.empty()) return failure;
  return std::move(failure)
      .with("CanonicalRequest", canonical)
      .with("CanonicalRequestBytes", bytes_of(canonical));
}

S3Failure signature_v2_is_off() {
  return S3Failure(
      S3Error::InvalidRequest,
      "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256. "
      "Signature version 2 is switched off here: set signature_version='s3v4' (boto3), "
      "s3.signature_version = s3v4 (AWS CLI), signature_v2 = False (s3cmd), or the like.");
}

}  // namespace

ApiServer::ApiServer(Services services, RootClient& roots, const ApiOptions& options)
    : services_(services), roots_(roots), options_(options), md5s_(services.env) {
  const RequestId id = make_request_id(services.env);
  host_id_.assign(id.data(), id.size());
}

Task<void> ApiServer::handle(HttpExchange& exchange) {
  const RequestId id = make_request_id(services_.env);
  s3::RouteBuffer buffer;
  const RequestHead& sent = exchange.request();
  const auto claims = s3::parse_auth(sent);
  const s3::EffectiveHead effective(sent, claims ? claims->other_query : sent.query);
  Call call{.services = services_,
            .roots = roots_,
            .exchange = exchange,
            .options = options_,
            .head = effective.head(),
            .request_id = {id.data(), id.size()},
            .host = sent.header("host"),
            .md5s = md5s_};
  add_request_ids(call);

  size_t operation = kOperationUnknown;
  const auto outcome = co_await process(call, claims, effective.problem(), buffer, operation);
  int status = exchange.status();
  std::string_view error;
  if (!outcome) {
    error = cut_off_by_client(exchange, outcome.error());
    if (error.empty()) {
      error = outcome.error().code();
      ++metrics_.errors[static_cast<size_t>(outcome.error().error)];
      status = co_await respond_failure(call, outcome.error());
    } else {
      ++metrics_.cut_responses;
      exchange.close_after();
    }
  }
  const Duration latency = services_.env.now() - exchange.started();
  metrics_.record(operation, status, latency, exchange.body_received_bytes(), exchange.body_sent_bytes());
  if (options_.access_log) write_access_log(call, status, latency, error);
}

// The signature decides over which name the request came, and that name decides the bucket: so authentication
// comes before routing. A refused request is routed too, by its Host header, for log and metrics only.
Task<S3Result<void>> ApiServer::process(Call& call, const Result<s3::AuthRequest>& claims,
                                        const S3Result<void>& head_problem, s3::RouteBuffer& buffer,
                                        size_t& operation) {
  const RequestHead& sent = call.exchange.request();
  FB_CO_CHECK(s3::check_header_section(sent));
  if (auto answer = s3::unsigned_answer(sent, call.host, options_.domains)) co_return *std::move(answer);
  const auto authenticated = co_await authenticate(call, claims);
  const auto routed = s3::route(call.head, call.host, options_.domains, buffer);
  if (routed) {
    call.route = *routed;
    operation = static_cast<size_t>(call.route.operation);
  }
  if (!authenticated) co_return authenticated.error();
  call.exchange.set_authenticated();
  if (!head_problem) co_return head_problem.error();
  if (!routed) co_return routed.error();
  FB_CO_CHECK(s3::check_parameters(parse_context(call)));
  const bool has_body = call.route.operation_info().body != s3::PayloadUse::none;
  if (!has_body && call.auth.payload == s3::PayloadKind::hash && call.exchange.content_length() == 0 &&
      call.auth.body_sha256 != s3::sha256("")) {
    co_return S3Error::XAmzContentSHA256Mismatch;
  }
  FB_CO_CHECK(co_await find_bucket(call));
  co_return co_await run(call);
}

Task<S3Result<void>> ApiServer::authenticate(Call& call, const Result<s3::AuthRequest>& claims) {
  const RequestHead& sent = call.exchange.request();
  if (!claims) co_return to_failure(claims.error());
  call.auth = *claims;
  if (call.auth.version == s3::SignatureVersion::v2 && !options_.signature_v2)
    co_return signature_v2_is_off();
  if (call.auth.kind == s3::AuthKind::anonymous) {
    co_return S3Failure(S3Error::AccessDenied,
                        "Anonymous access is not allowed. Sign the request with an access key.");
  }
  const std::string_view access_key = call.auth.credential.access_key();
  std::optional<KeyInfo> found;
  const KeyInfo* key = roots_.cached_key(access_key);
  if (key == nullptr) {
    auto looked_up = co_await roots_.find_key(call.context(), access_key);
    if (!looked_up) {
      if (looked_up.error().is(RootError::no_such_key)) {
        co_return S3Failure(S3Error::InvalidAccessKeyId).with("AWSAccessKeyId", access_key);
      }
      co_return to_failure(looked_up.error());
    }
    found = std::move(*looked_up);
    key = &*found;
  }
  call.owner = key->owner;
  call.owner_display_name = key->owner_display_name;
  const int64_t now_seconds = services_.env.wall_clock().seconds();
  const auto verified = s3::authenticate_request(sent, call.auth, key->secret.reveal(), now_seconds,
                                                 signing_keys_, served_names());
  if (!verified) {
    if (verified.error().is(s3::AuthError::signature_mismatch))
      co_return signature_failure(sent, call.auth, served_names());
    co_return s3::auth_refusal(verified.error(), sent, call.auth, now_seconds);
  }
  call.host = verified->host;
  call.signing_key = verified->key;
  co_return S3Result<void>();
}

Task<S3Result<void>> ApiServer::find_bucket(Call& call) {
  if (!s3::is_in_bucket(call.route.operation_info().right->resource)) co_return S3Result<void>();
  if (const BucketInfo* bucket = roots_.cached_bucket(call.route.bucket)) {
    call.bucket = bucket->id;
    co_return S3Result<void>();
  }
  auto bucket = co_await roots_.find_bucket(call.context(), call.route.bucket);
  if (!bucket) {
    if (bucket.error().is(RootError::no_such_bucket)) {
      co_return S3Failure(S3Error::NoSuchBucket).with("BucketName", call.route.bucket);
    }
    co_return to_failure(bucket.error());
  }
  call.bucket = bucket->id;
  co_return S3Result<void>();
}

Task<S3Result<void>> ApiServer::run(Call& call) {
  const Handler handler = kHandlers[static_cast<size_t>(call.route.operation)];
  FB_ASSERT(handler != nullptr, to_string(call.route.operation));  // route() gives built operations only
  return handler(call);
}

void ApiServer::add_request_ids(Call& call) {
  call.exchange.headers().add("x-amz-request-id", call.request_id);
  call.exchange.headers().add("x-amz-id-2", host_id_);
}

Task<int> ApiServer::respond_failure(Call& call, const S3Failure& failure) {
  const int status = failure.status();
  HttpExchange& exchange = call.exchange;
  if (is_trouble(status)) {
    log(services_.env, LogLevel::warn, "request failed",
        {{"code", failure.code()},
         {"cause", failure.cause ? failure.cause->to_string() : std::string("-")},
         {"request_id", call.request_id},
         {"method", call.head.method},
         {"path", call.head.path}});
  }
  if (exchange.response_begun()) {
    exchange.close_after();
    co_return status;
  }
  // What the operation has announced of an object does not hold for the error document.
  exchange.headers().clear();
  add_request_ids(call);
  if (status == 503) exchange.headers().add("Retry-After", "1");
  if (status == 405)
    exchange.headers().add("Allow", s3::allowed_methods(call.head, call.host, options_.domains));
  // GetBucketRegion of the Go SDKs asks anonymously.
  if (status == 403 && call.route.operation == s3::Operation::HeadBucket)
    exchange.headers().add("x-amz-bucket-region", options_.region);
  if (failure.error == S3Error::InvalidRange) {
    for (const auto& [name, value] : failure.elements) {
      if (name == kActualObjectSize) exchange.headers().add("Content-Range", "bytes */" + value);
    }
  }
  if (call.is_head() || status == 304) {
    (void)co_await exchange.respond_without_body(status, std::nullopt);
    co_return status;
  }
  std::string document;
  S3Failure named = failure;
  name_subject(named, call.route);
  s3::append_error_xml(named, call.head.path, call.request_id, host_id_, document);
  exchange.headers().add("Content-Type", "application/xml");
  iovec body{document.data(), document.size()};
  (void)co_await exchange.respond(status, {&body, 1});
  co_return status;
}

std::string ApiServer::protocol_error(int status, HeaderWriter& headers) {
  S3Failure failure = S3Error::BadRequest;
  switch (status) {
    case 408:
      failure = S3Error::RequestTimeout;
      break;
    case 411:
      failure = S3Error::MissingContentLength;
      break;
    case 414:
      failure = S3Failure(S3Error::InvalidURI, "The request line is too long.");
      break;
    case 431:
      failure = S3Failure(S3Error::RequestHeaderSectionTooLarge)
                    .with("MaxSizeAllowed", std::to_string(s3::kHeaderSectionSizeMax));
      break;
    case 501:
      failure = S3Error::NotImplemented;
      break;
    case 503:
      failure = S3Error::SlowDown;
      break;
    default:
      break;
  }
  const RequestId id = make_request_id(services_.env);
  ++metrics_.errors[static_cast<size_t>(failure.error)];
  headers.add("x-amz-request-id", std::string_view(id.data(), id.size()));
  if (status == 503) headers.add("Retry-After", "1");
  headers.add("Content-Type", "application/xml");
  std::string document;
  s3::append_error_xml(failure, "", {id.data(), id.size()}, host_id_, document);
  return document;
}

void ApiServer::write_access_log(const Call& call, int status, Duration latency, std::string_view error) {
  const HttpExchange& exchange = call.exchange;
  s3::NamesForLog names;
  const bool refused_early = call.route.bucket.empty();
  if (refused_early) names = s3::names_for_log(call.head, call.host, options_.domains);
  log(services_.env, LogLevel::info, "access",
      {{"operation", s3::operation_name(call.head, call.host, options_.domains)},
       {"status", status},
       {"error", error},
       {"bucket", refused_early ? std::string_view(names.bucket) : call.route.bucket},
       {"key", refused_early ? std::string_view(names.key) : call.route.key},
       {"access_key",
        call.auth.credential.text().empty() ? std::string_view() : call.auth.credential.access_key()},
       {"peer", exchange.peer().to_string()},
       {"received_bytes", exchange.body_received_bytes()},
       {"sent_bytes", exchange.body_sent_bytes()},
       {"latency_us", latency.microseconds()},
       {"request_id", call.request_id}});
}

}  // namespace fb::api
