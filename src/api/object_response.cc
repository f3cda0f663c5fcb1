// SPDX-License-Identifier: Apache-2.0
#include "api/object_response.h"

#include "api/request_body.h"
#include "s3/time.h"

namespace fb::api {

Task<S3Result<void>> respond_xml(Call& call, int status, std::string document) {
  call.exchange.headers().add_lines("Content-Type: application/xml\r\n");
  iovec body{document.data(), document.size()};
  co_return as_s3(co_await call.exchange.respond(status, {&body, 1}));
}

Task<S3Result<void>> respond_empty(Call& call, int status) {
  co_return as_s3(co_await call.exchange.respond(status, {}));
}

void add_object_identity(Call& call, const ObjectRecord& record) {
  char text[s3::kHttpDateLength];
  const char* end = s3::format_http_date(record.last_modified.seconds(), text);
  call.exchange.headers().add("Last-Modified", std::string_view(text, static_cast<size_t>(end - text)));
  add_etag(call, record.etag);
}

void add_etag(Call& call, const RecordEtag& etag) {
  char text[RecordEtag::kTextSizeMax + 2];
  const size_t size = etag.write_text(text + 1);
  text[0] = '"';
  text[size + 1] = '"';
  call.exchange.headers().add("ETag", std::string_view(text, size + 2));
}

s3::ChecksumType checksum_type(const RecordChecksum& checksum) {
  return checksum.composite ? s3::ChecksumType::composite : s3::ChecksumType::full_object;
}

void add_checksum(Call& call, const RecordChecksum& checksum, s3::ChecksumType type, size_t part_count) {
  const auto kind = to_checksum_kind(checksum.algorithm);
  if (!kind) return;
  call.exchange.headers().add(s3::checksum_header(*kind), checksum_text(checksum, part_count));
  call.exchange.headers().add("x-amz-checksum-type", s3::to_string(type));
}

s3::Etag shown_etag(const RecordEtag& etag) { return {.md5 = etag.md5, .part_count = etag.part_count}; }

std::optional<s3::ShownChecksum> shown_checksum(const RecordChecksum& checksum, size_t part_count) {
  const auto kind = to_checksum_kind(checksum.algorithm);
  if (!kind) return std::nullopt;
  return s3::ShownChecksum{.value = s3::ChecksumValue(*kind, {checksum.value.data(), checksum.size}),
                           .type = checksum_type(checksum),
                           .part_count = static_cast<uint32_t>(checksum.composite ? part_count : 0)};
}

s3::Owner shown_owner(const Call& call) {
  return {.id = call.owner, .display_name = call.owner_display_name};
}

s3::ParseContext parse_context(const Call& call) {
  return {.head = call.head,
          .route = call.route,
          .account_id = call.owner,
          .now_seconds = call.services.env.wall_clock().seconds()};
}

}  // namespace fb::api
