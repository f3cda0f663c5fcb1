// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include "api/copy_source.h"
#include "api/store_limits.h"

#include "api/object_response.h"
#include "api/operations.h"
#include "api/request_body.h"
#include "api/store_part.h"

namespace fb::api {

Task<S3Result<void>> upload_part_copy(Call& call) {
  FB_CO_TRY(const s3::UploadPartCopyRequest request, s3::parse_upload_part_copy(parse_context(call)));
  OpenUpload upload;
  FB_CO_CHECK(co_await open_upload(call, request.key, request.upload_id, upload));
  SourceObject source;
  FB_CO_CHECK(co_await open_source(call, request.source, request.source_conditions, source));
  uint64_t offset = 0;
  uint64_t length = source.record.size_bytes;
  if (request.source_range) {
    if (request.source_range->last >= source.record.size_bytes) {
      co_return S3Failure(S3Error::InvalidArgument,
                          "Range specified is not valid for source object of size: " +
                              std::to_string(source.record.size_bytes));
    }
    offset = request.source_range->first;
    length = request.source_range->last - offset + 1;
  }
  if (length > kPutSizeMax) co_return S3Error::EntityTooLarge;
  const CopyWish wish{
      .offset = offset,
      .length = length,
      .checksum_kind =
          to_checksum_kind(upload.record.checksum_algorithm).value_or(s3::ChecksumKind::crc64nvme),
      .inline_sums_max = kInlineSumsOfPart};
  FB_CO_TRY(CopiedContent copied, co_await copy_content(call, source, wish));
  PartRecord part{.size_bytes = copied.content.size_bytes(),
                  .last_modified = call.services.env.wall_clock(),
                  .md5 = copied.md5,
                  .content = copied.content.locator()};
  const auto copied_value = to_checksum_value(copied.checksum);
  if (upload.record.checksum_algorithm != RecordChecksumAlgorithm::none) {
    part.checksum = copied.checksum;
  } else if (copied_value) {
    std::ranges::copy(copied_value->bytes(), part.crc64nvme.emplace().begin());
  }
  FB_CO_CHECK(co_await store_part(call, request.key, request.upload_id, upload, request.part_number, part,
                                  copied.content));
  std::string document;
  s3::write_copy_part_result({.md5 = part.md5}, part.last_modified.milliseconds(),
                             shown_checksum(part.checksum, 0), document);
  co_return co_await respond_xml(call, 200, std::move(document));
}

}  // namespace fb::api
