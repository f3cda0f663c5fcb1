// SPDX-License-Identifier: Apache-2.0
#include "s3/response/error.h"

#include <algorithm>

#include "base/units.h"
#include "s3/auth/auth_error.h"
#include "s3/response/xml.h"

namespace fb::s3 {
namespace {

constexpr S3ErrorInfo kErrors[] = {
#define FB_S3_INFO(code, status, message) {#code, status, message},
    FB_S3_ERRORS(FB_S3_INFO)
#undef FB_S3_INFO
};
static_assert(std::size(kErrors) == kS3ErrorCount);

// What a document repeats of a request, as written, so that a small request never makes a large answer, and
// that an answer fits into a new socket's buffer.
constexpr size_t kEchoBytesMax = 16 * kKiB;
constexpr size_t kElementBytesMax = 8 * kKiB;
constexpr size_t kResourceBytesMax = 2 * kKiB;
constexpr std::string_view kCut = "...";

size_t escaped_bytes(char c) {
  switch (c) {
    case '&':
    case '<':
    case '>':
    case '"':
    case '\'':
    case '\r':
      return kXmlEscapeGrowth;
    default:
      return static_cast<uint8_t>(c) < 0x20 || static_cast<uint8_t>(c) >= 0x7f ? 3 : 1;
  }
}

// As much of `value` as takes `bytes_max` when it is written, and a mark where it was cut.
void append_echo(XmlWriter& xml, std::string_view name, std::string_view value, size_t bytes_max) {
  size_t bytes = 0;
  size_t size = 0;
  while (size < value.size() && bytes + escaped_bytes(value[size]) <= bytes_max)
    bytes += escaped_bytes(value[size++]);
  if (size == value.size()) return xml.element(name, value);
  while (size > 0 && (static_cast<uint8_t>(value[size]) & 0xc0) == 0x80) --size;  // not within a character
  xml.element(name, std::string(value.substr(0, size)).append(kCut));
}

std::string_view code_name(int code) {
  if (code < 0 || code >= kS3ErrorCount) return "unknown";
  return kErrors[code].code;
}

}  // namespace

const S3ErrorInfo& info(S3Error error) {
  FB_ASSERT(static_cast<int>(error) < kS3ErrorCount, error);
  return kErrors[static_cast<int>(error)];
}

std::string_view to_string(S3Error error) { return info(error).code; }

const ErrorDomain& error_domain(S3Error) {
  static constexpr ErrorDomain kDomain{"s3", code_name};
  return kDomain;
}

S3Failure S3Failure::with(std::string_view element, std::string_view value) && {
  elements.emplace_back(element, value);
  return std::move(*this);
}

S3Failure invalid_argument(std::string message, std::string_view name, std::string_view value) {
  return S3Failure(S3Error::InvalidArgument, std::move(message))
      .with("ArgumentName", name)
      .with("ArgumentValue", value);
}

S3Failure not_implemented(std::string_view what) {
  return {S3Error::NotImplemented, fmt::format("{} is not implemented here.", what)};
}

S3Failure to_failure(const Error& error) {
  if (auto failure = auth_failure(error)) return *std::move(failure);
  if (&error.domain() == &error_domain(S3Error::InternalError) && error.code() < kS3ErrorCount) {
    return static_cast<S3Error>(error.code());
  }
  return S3Error::InternalError;
}

void append_error_xml(const S3Failure& failure, std::string_view resource, std::string_view request_id,
                      std::string_view host_id, std::string& out) {
  XmlWriter xml(out, IllegalCharacters::replace);
  xml.open("Error");
  xml.element("Code", failure.code());
  append_echo(xml, "Message", failure.text(), kResourceBytesMax);
  const size_t end = out.size() + kEchoBytesMax;
  for (const auto& [name, value] : failure.elements)
    append_echo(xml, name, value, std::min(kElementBytesMax, end - std::min(end, out.size())));
  append_echo(xml, "Resource", resource, kResourceBytesMax);
  xml.element("RequestId", request_id);
  xml.element("HostId", host_id);
  xml.close("Error");
}

}  // namespace fb::s3
