// SPDX-License-Identifier: Apache-2.0
#include "api/api_server.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/object_response.h"
#include "api/operations.h"
#include "http/error.h"
#include "io/log.h"
#include "s3/parameters.h"
#include "s3/preflight.h"
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

// The body of these is read and verified by the operation; the others have none worth the name.
bool takes_body(s3::Operation operation) {
  using enum s3::Operation;
  switch (operation) {
    case PutObject:
    case UploadPart:
    case CreateBucket:
    case DeleteObjects:
    case CompleteMultipartUpload:
      return true;
    default:
      return false;
  }
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

S3Failure signature_failure(const RequestHead& head, const s3::AuthRequest& auth) {
  S3Failure failure(S3Error::SignatureDoesNotMatch);
  if (const auto details = s3::explain_signature(head, auth)) {
    failure = std::move(failure)
                  .with("AWSAccessKeyId", auth.credential.access_key())
                  .with("StringToSign", details->string_to_sign)
                  .with("SignatureProvided", auth.signature)
                  .with("CanonicalRequest", details->canonical_request);
  }
  return failure;
}

}  // namespace

ApiServer::ApiServer(Services services, RootClient& roots, const ApiOptions& options)
    : services_(services),
      roots_(roots),
      options_(options),
      copies_(services.env,
              std::clamp<uint64_t>(services.env.buffers().limit_bytes() / kPoolBytesPerCopy, 1, kCopiesMax)),
      md5s_(services.env) {
  const RequestId id = make_request_id(services.env);
  host_id_.assign(id.data(), id.size());
}

Task<void> ApiServer::handle(HttpExchange& exchange) {
  const RequestId id = make_request_id(services_.env);
  s3::RouteBuffer buffer;
  Call call{.services = services_,
            .roots = roots_,
            .exchange = exchange,
            .options = options_,
            .head = exchange.request(),
            .request_id = {id.data(), id.size()},
            .copies = copies_,
            .md5s = md5s_};
  add_request_ids(call);

  size_t operation = kOperationUnknown;
  const auto outcome = co_await process(call, buffer, operation);
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

Task<S3Result<void>> ApiServer::process(Call& call, s3::RouteBuffer& buffer, size_t& operation) {
  auto routed = s3::route(call.head, options_.domains, buffer);
  if (routed) {
    call.route = *routed;
    operation = static_cast<size_t>(call.route.operation);
  }
  FB_CO_CHECK(s3::check_header_section(call.head));
  if (auto answer = s3::unsigned_answer(call.head, options_.domains)) co_return *std::move(answer);
  FB_CO_CHECK(co_await authenticate(call));
  if (!routed) co_return routed.error();
  FB_CO_CHECK(s3::check_parameters(parse_context(call)));
  if (!takes_body(call.route.operation) && call.auth.payload == s3::PayloadKind::hash &&
      call.exchange.content_length() == 0 && call.auth.body_sha256 != s3::sha256("")) {
    co_return S3Error::XAmzContentSHA256Mismatch;
  }
  FB_CO_CHECK(co_await find_bucket(call));
  co_return co_await run(call);
}

Task<S3Result<void>> ApiServer::authenticate(Call& call) {
  auto parsed = s3::parse_auth(call.head);
  if (!parsed) co_return to_failure(parsed.error());
  call.auth = *parsed;
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
  auto verified = s3::authenticate(call.head, call.auth, key->secret.reveal(), now_seconds, signing_keys_);
  if (!verified && verified.error().is(s3::AuthError::signature_mismatch) &&
      !options_.external_host.empty()) {
    verified = s3::authenticate(call.head, call.auth, key->secret.reveal(), now_seconds, signing_keys_,
                                options_.external_host);
  }
  if (!verified) {
    if (verified.error().is(s3::AuthError::signature_mismatch))
      co_return signature_failure(call.head, call.auth);
    co_return to_failure(verified.error());
  }
  call.signing_key = *verified;
  co_return S3Result<void>();
}

Task<S3Result<void>> ApiServer::find_bucket(Call& call) {
  if (call.route.bucket.empty() || call.route.operation == s3::Operation::CreateBucket)
    co_return S3Result<void>();
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
  using enum s3::Operation;
  switch (call.route.operation) {
    case GetObject:
    case HeadObject:
      return get_object(call);
    case PutObject:
      return put_object(call);
    case DeleteObject:
      return delete_object(call);
    case ListBuckets:
      return list_buckets(call);
    case CreateBucket:
      return create_bucket(call);
    case DeleteBucket:
      return delete_bucket(call);
    case HeadBucket:
      return head_bucket(call);
    case GetBucketLocation:
      return get_bucket_location(call);
    case ListObjects:
      return list_objects(call);
    case ListObjectsV2:
      return list_objects_v2(call);
    case DeleteObjects:
      return delete_objects(call);
    case CopyObject:
      return copy_object(call);
    case RenameObject:
      return rename_object(call);
    case CreateMultipartUpload:
      return create_multipart_upload(call);
    case UploadPart:
      return upload_part(call);
    case UploadPartCopy:
      return upload_part_copy(call);
    case CompleteMultipartUpload:
      return complete_multipart_upload(call);
    case AbortMultipartUpload:
      return abort_multipart_upload(call);
    case ListParts:
      return list_parts(call);
    case ListMultipartUploads:
      return list_multipart_uploads(call);
    default:
      FB_UNREACHABLE();  // route() gives built operations only
  }
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
  if (status == 405) exchange.headers().add("Allow", s3::allowed_methods(call.head, options_.domains));
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
  headers.add("Content-Type", "application/xml");
  std::string document;
  s3::append_error_xml(failure, "", {id.data(), id.size()}, host_id_, document);
  return document;
}

void ApiServer::write_access_log(const Call& call, int status, Duration latency, std::string_view error) {
  const HttpExchange& exchange = call.exchange;
  s3::NamesForLog names;
  const bool refused_early = call.route.bucket.empty();
  if (refused_early) names = s3::names_for_log(call.head, options_.domains);
  log(services_.env, LogLevel::info, "access",
      {{"operation", s3::operation_name(call.head, options_.domains)},
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
