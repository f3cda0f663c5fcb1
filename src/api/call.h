// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/failures.h"
#include "api/md5_batch.h"
#include "api/services.h"
#include "client/record.h"
#include "client/root_client.h"
#include "http/exchange.h"
#include "s3/auth/sigv4.h"
#include "s3/request/requests.h"
#include "s3/request/route.h"

namespace fb::api {

using s3::S3Error;
using s3::S3Failure;
using s3::S3Result;

struct ApiOptions {
  std::vector<std::string> domains;  // virtual-host style, lower case
  std::string external_host;         // what clients sign as Host where a proxy rewrites it; empty: none
  std::string region = "us-east-1";
  bool signature_v2 = true;  // signature version 2 is accepted
  bool access_log = false;
};

// The element of InvalidRange that names the object's size; its response says it in Content-Range too.
inline constexpr std::string_view kActualObjectSize = "ActualObjectSize";

inline constexpr uint64_t kPutSizeMax = s3::kSinglePutSizeMax;  // also of a part and of a copy

// One authenticated S3 request on its way through its operation. Lives in ApiServer::handle(); used on one
// core.
struct Call {
  Services services;
  RootClient& roots;
  HttpExchange& exchange;
  const ApiOptions& options;
  const RequestHead& head;  // with the x-amz-* items of the query as headers: see s3/request/effective_head.h
  std::string_view request_id;
  std::string_view host;  // the name it was signed for; the Host header where it was refused
  s3::Route route;        // by `host`
  s3::AuthRequest auth;
  std::optional<s3::SigningKey> signing_key;  // for the signatures of chunks
  std::string owner;                          // canonical id of who asks
  std::string owner_display_name;
  BucketId bucket;  // set for operations on buckets and objects, but CreateBucket
  Md5Batch& md5s;   // of this core

  CallContext context() const { return services.context(); }
  bool is_head() const { return head.method == "HEAD"; }
};

// Status and headers as set so far, with an XML document as body.
Task<S3Result<void>> respond_xml(Call& call, int status, std::string document);
// Without a body.
Task<S3Result<void>> respond_empty(Call& call, int status);
// Last-Modified and ETag of an object.
void add_object_identity(Call& call, const ObjectRecord& record);
void add_etag(Call& call, const RecordEtag& etag);

}  // namespace fb::api
