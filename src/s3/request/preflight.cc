// SPDX-License-Identifier: Apache-2.0
#include "s3/request/preflight.h"

#include <algorithm>

namespace fb::s3 {
namespace {

constexpr std::string_view kFormType = "multipart/form-data";
constexpr std::string_view kCorsMethods[] = {"GET", "PUT", "HEAD", "POST", "DELETE"};

S3Failure preflight_answer(const RequestHead& head, Operation operation) {
  if (!head.has_header("origin"))
    return {S3Error::BadRequest, "Insufficient information. Origin request header needed."};
  const bool has_method = head.has_header("access-control-request-method");
  const std::string_view method = head.header("access-control-request-method");
  if (std::ranges::find(kCorsMethods, method) == std::end(kCorsMethods)) {
    return {S3Error::BadRequest,
            fmt::format("Invalid Access-Control-Request-Method: {}", has_method ? method : "null")};
  }
  return S3Failure(S3Error::AccessForbidden)
      .with("Method", method)
      .with("ResourceType", info(operation).target == Target::bucket ? "BUCKET" : "OBJECT");
}

// A form of a browser, which signs nothing but the policy within.
bool is_form(const RequestHead& head) {
  const std::string_view type = head.header("content-type");
  return type.size() >= kFormType.size() && ascii_iequals(type.substr(0, kFormType.size()), kFormType) &&
         !head.has_header("authorization");
}

}  // namespace

std::optional<S3Failure> unsigned_answer(const RequestHead& head, std::string_view host,
                                         std::span<const std::string> domains) {
  if (head.method != "OPTIONS" && head.method != "POST") return std::nullopt;
  const auto operation = operation_of(head, host, domains);
  if (!operation) return head.method == "OPTIONS" ? std::optional(operation.error()) : std::nullopt;
  if (*operation == Operation::PreflightBucket || *operation == Operation::PreflightObject)
    return preflight_answer(head, *operation);
  if (*operation == Operation::PostObject && is_form(head)) {
    return not_implemented("The upload by a form (POST of multipart/form-data)");
  }
  return std::nullopt;
}

}  // namespace fb::s3
