// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "base/bucket_name.h"
#include "base/object_key.h"
#include "base/request_head.h"
#include "s3/operation.h"
#include "s3/response/error.h"
#include "s3/uri.h"

// From the head of a request to the operation it asks for. Nothing here allocates where the request is good.
//
// A key is the rest of the path behind the bucket, percent-decoded and otherwise taken literally: '+' is a
// plus, and "..", "." and "//" are bytes like any others, as long as no ".." leads out of the bucket. Keys
// are 1 to 1024 bytes of UTF-8 without NUL.

namespace fb::s3 {

using fb::is_valid_bucket_name;

constexpr size_t kKeySizeMax = kObjectKeySizeMax;

// Room for the decoded names of one request; lives as long as its Route.
struct RouteBuffer {
  std::array<char, kUriEncodeGrowth * kKeySizeMax> key;
  std::array<char, kUriEncodeGrowth * kBucketNameSizeMax> bucket;
};

// The views lead into the request or into the RouteBuffer.
struct Route {
  Operation operation = Operation::ListBuckets;
  std::string_view bucket;  // empty for ListBuckets
  std::string_view key;     // decoded; empty unless the operation's target is an object
  QueryView query;
  bool virtual_host = false;

  const OperationInfo& operation_info() const { return info(operation); }
};

// `host` is the name that the request was signed for, which need not be its Host header: see virtual_host.h.
// `domains` are the names under which buckets are hosts; any other host means path style.
//
// Fails with NotImplemented for operations that are known but not built, MethodNotAllowed where the method
// does not fit the resource, InvalidBucketName, InvalidURI, KeyTooLongError, or InvalidArgument. A server
// that authenticates first keeps the failure and answers with it once the signature has been found good.
S3Result<Route> route(const RequestHead& head, std::string_view host, std::span<const std::string> domains,
                      RouteBuffer& buffer);

// The sub-resource that an item of a query names, whatever its spelling; empty where it names none.
std::string_view sub_resource_of(const QueryItem& item);

// What every key has to fulfil, wherever it comes from (path, copy source, XML body).
S3Result<void> check_key(std::string_view key);
// False where a ".." has no element before it that it could take back ("../a", "a/../../b"), the elements
// being counted as RFC 3986 does. A key in a path that is not is InvalidURI: clients and proxies normalise
// such paths to those of another bucket. Bodies may name one, so that what an older version stored can be
// deleted.
bool is_within_bucket(std::string_view key);

// For the Allow header of a 405: "GET, HEAD, PUT", the methods that the resource of this request knows,
// whether built or not.
std::string allowed_methods(const RequestHead& head, std::string_view host,
                            std::span<const std::string> domains);

// The operation a request asks for, built or not; the failure is of the method or of the sub-resources.
S3Result<Operation> operation_of(const RequestHead& head, std::string_view host,
                                 std::span<const std::string> domains);

// Of a request that was refused, for its line in the log: the names as far as they can be decoded, and as
// they were sent otherwise, each cut at its largest good size. Nothing has been checked.
struct NamesForLog {
  std::string bucket;
  std::string key;
};
NamesForLog names_for_log(const RequestHead& head, std::string_view host,
                          std::span<const std::string> domains);

// The operation a request seems to ask for, built or not: for logs and metrics of requests that were refused.
std::string_view operation_name(const RequestHead& head, std::string_view host,
                                std::span<const std::string> domains);

}  // namespace fb::s3
