// SPDX-License-Identifier: Apache-2.0
// CompleteMultipartUpload: one commit that erases the upload, detaches all its parts and puts the object,
// whose record takes over the blobs of the parts it lists; the others become garbage in the same step. It is
// conditional on the version of the upload's record, which every part written changes, so that no part is
// replaced between reading and naming it, and on what the request demands of the object that is there. If
// it fails it begins again and looks which of the two it was; so it does if the parts that it read do not
// fit the request, but the upload has changed meanwhile. A repeated Complete finds the object that the
// first one made, by the upload id in its record, and succeeds if it asks for just that object.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "api/object_response.h"
#include "api/operations.h"
#include "api/request_body.h"
#include "api/upload.h"
#include "api/write_condition.h"
#include "s3/checksum/multipart_checksum.h"

namespace fb::api {
namespace {

// Parts that change under so many attempts in a row mean that the client still uploads: 409.
constexpr int kAttemptsMax = 16;

struct StoredPart {
  StoredPart() = default;
  StoredPart(const StoredPart&) = delete;  // the record has views into the bytes
  std::string bytes;
  PartRecord record;
};
using StoredParts = std::map<uint32_t, StoredPart>;

Task<S3Result<StoredParts>> read_parts(Call& call, std::string_view upload_id) {
  StoredParts parts;
  std::string after;
  for (;;) {
    FB_CO_TRY(ListPage page,
              as_s3(co_await call.services.names.list(call.context(), {.bucket = call.bucket,
                                                                       .space = Space::parts,
                                                                       .prefix = upload_id,
                                                                       .start_after = after,
                                                                       .entries_max = kListEntriesMax})));
    for (const ListEntry& entry : page.entries) {
      StoredPart& part = parts[part_number_of(entry.key)];
      part.bytes = entry.record;
      FB_CO_TRY(part.record, as_s3(PartRecord::decode(part.bytes)));
    }
    if (!page.truncated || page.entries.empty()) break;
    after = page.entries.back().key;
  }
  co_return parts;
}

s3::PartChecksums checksums_of(const PartRecord& part) {
  s3::PartChecksums known{.size_bytes = part.size_bytes, .own = to_checksum_value(part.checksum)};
  if (part.crc64nvme) known.crc64nvme = s3::ChecksumValue(s3::ChecksumKind::crc64nvme, *part.crc64nvme);
  return known;
}

S3Failure with_part(S3Failure failure, const s3::CompletedPart& wanted, std::string_view upload_id) {
  return std::move(failure)
      .with("UploadId", upload_id)
      .with("PartNumber", std::to_string(wanted.number))
      .with("ETag", wanted.etag);
}

S3Result<const StoredPart*> match_part(const StoredParts& parts, const s3::CompletedPart& wanted,
                                       std::string_view upload_id, const s3::UploadChecksum& upload) {
  const auto found = parts.find(wanted.number);
  if (found == parts.end()) return with_part(S3Error::InvalidPart, wanted, upload_id);
  const PartRecord& part = found->second.record;
  const auto etag = s3::Etag::parse(wanted.etag);
  if (!etag || etag->part_count != 0 || etag->md5 != part.md5)
    return with_part(S3Error::InvalidPart, wanted, upload_id);
  const auto checked = s3::check_part(wanted, checksums_of(part), upload);
  if (checked) return &found->second;
  if (checked.error().error == S3Error::InvalidPart) return with_part(checked.error(), wanted, upload_id);
  return checked.error();
}

// The parts that make up the object, and its checksum.
struct ChosenParts {
  std::vector<RecordPart> parts;
  std::vector<s3::PartChecksums> checksums;
};

S3Result<ChosenParts> choose_parts(const StoredParts& stored, const std::vector<s3::CompletedPart>& wanted,
                                   std::string_view upload_id, const s3::UploadChecksum& upload) {
  ChosenParts chosen;
  chosen.parts.reserve(wanted.size());
  chosen.checksums.reserve(wanted.size());
  for (const s3::CompletedPart& part : wanted) {
    FB_TRY(const StoredPart* const found, match_part(stored, part, upload_id, upload));
    if (&part != &wanted.back() && found->record.size_bytes < s3::kPartSizeMin) {
      return S3Failure(S3Error::EntityTooSmall)
          .with("ProposedSize", std::to_string(found->record.size_bytes))
          .with("MinSizeAllowed", std::to_string(s3::kPartSizeMin))
          .with("PartNumber", std::to_string(part.number))
          .with("ETag", part.etag);
    }
    chosen.checksums.push_back(checksums_of(found->record));
    // In the object a part has a checksum of the object's algorithm.
    const auto& crc64nvme = chosen.checksums.back().crc64nvme;
    chosen.parts.push_back({.number = static_cast<uint16_t>(part.number),
                            .content = found->record.content,
                            .md5 = found->record.md5,
                            .checksum = crc64nvme ? to_record(*crc64nvme) : found->record.checksum});
  }
  return chosen;
}

S3Result<RecordChecksum> resolve_checksum(const s3::CompleteMultipartUploadRequest& request,
                                          const s3::UploadChecksum& upload, const ChosenParts& chosen) {
  FB_TRY(const auto checksum,
         s3::object_checksum(upload, chosen.checksums, request.checksum, request.checksum_type));
  if (!checksum) return RecordChecksum{};
  RecordChecksum record = to_record(checksum->value);
  record.composite = checksum->type == s3::ChecksumType::composite;
  return record;
}

Task<S3Result<void>> respond_completed(Call& call, const s3::CompleteMultipartUploadRequest& request,
                                       const ObjectRecord& record) {
  const std::string location = std::string(call.head.tls ? "https://" : "http://") + std::string(call.host) +
                               std::string(call.head.path);
  std::string document;
  s3::write_complete_multipart_upload_result(location, request.bucket, request.key, shown_etag(record.etag),
                                             shown_checksum(record.checksum, record.parts.size()), document);
  return respond_xml(call, 200, std::move(document));
}

// Whether the request would have made this object of its upload: another list of parts, size or checksum must
// not be answered as if it had been stored.
bool asks_for(const s3::CompleteMultipartUploadRequest& request, const std::vector<s3::CompletedPart>& wanted,
              const ObjectRecord& record) {
  const auto is_part = [](const s3::CompletedPart& part, const RecordPart& stored) {
    const auto etag = s3::Etag::parse(part.etag);
    return part.number == stored.number && etag && etag->part_count == 0 && etag->md5 == stored.md5;
  };
  if (!std::ranges::equal(wanted, record.parts, is_part)) return false;
  if (request.object_size && *request.object_size != record.size_bytes) return false;
  const auto stored = to_checksum_value(record.checksum);
  if (!request.checksum || !stored || request.checksum->kind != stored->kind()) return true;
  // That of a composite checksum may end in the number of parts.
  const std::string_view text = request.checksum->text;
  return s3::ChecksumValue::parse(stored->kind(), text.substr(0, text.find('-'))) == *stored;
}

// The upload is gone, or the condition fails: because this same request has completed it before, or truly.
Task<S3Result<void>> replay(Call& call, const s3::CompleteMultipartUploadRequest& request,
                            const std::vector<s3::CompletedPart>& wanted, S3Failure failure) {
  auto found = co_await call.services.names.get(call.context(), call.bucket, Space::objects, request.key);
  if (!found) {
    if (found.error().is(NamespaceError::not_found)) co_return failure;
    co_return to_failure(found.error());
  }
  found->pin.reset();  // no content is read, and the client may be slow to take the answer
  FB_CO_TRY(const ObjectRecord record, as_s3(ObjectRecord::decode(found->record)));
  if (record.upload_id.empty() || record.upload_id != request.upload_id) co_return failure;
  if (!asks_for(request, wanted, record)) co_return failure;
  co_return co_await respond_completed(call, request, record);
}

// The object that the listed parts make.
S3Result<ObjectRecord> make_object(const s3::CompleteMultipartUploadRequest& request,
                                   const UploadRecord& upload, const StoredParts& stored,
                                   const std::vector<s3::CompletedPart>& wanted) {
  const s3::UploadChecksum upload_checksum = to_upload_checksum(upload);
  FB_TRY(ChosenParts chosen, choose_parts(stored, wanted, request.upload_id, upload_checksum));
  FB_TRY(const RecordChecksum checksum, resolve_checksum(request, upload_checksum, chosen));
  ObjectRecord record{.checksum = checksum, .metadata = upload.metadata, .upload_id = request.upload_id};
  std::vector<s3::Md5Digest> digests;
  for (const RecordPart& part : chosen.parts) {
    digests.push_back(part.md5);
    record.size_bytes += part.content.length_bytes;
  }
  record.etag = {.md5 = s3::Etag::of_parts(digests).md5,
                 .part_count = static_cast<uint16_t>(chosen.parts.size())};
  record.parts = std::move(chosen.parts);
  FB_CHECK(s3::check_body_size(record.size_bytes, s3::kObjectSizeMax));
  if (request.object_size && *request.object_size != record.size_bytes) {
    return S3Failure(
        S3Error::InvalidRequest,
        fmt::format(
            "The provided 'x-amz-mp-object-size' header value {} does not match what was computed: {}",
            *request.object_size, record.size_bytes));
  }
  return record;
}

// Whether the upload is still the one that was opened: otherwise what was read of its parts may be half gone,
// and says nothing about the request.
Task<S3Result<bool>> is_unchanged(Call& call, const s3::CompleteMultipartUploadRequest& request,
                                  const OpenUpload& upload) {
  OpenUpload now;
  auto opened = co_await open_upload(call, request.key, request.upload_id, now);
  if (!opened && opened.error().error == S3Error::NoSuchUpload) co_return false;
  if (!opened) co_return opened.error();
  co_return now.found.version == upload.found.version;
}

Task<S3Result<std::vector<MutationResult>>> commit(Call& call,
                                                   const s3::CompleteMultipartUploadRequest& request,
                                                   Version upload_version, const ObjectRecord& record) {
  const std::string upload = upload_key(request.key, request.upload_id);
  const std::string bytes = record.encode();
  const std::array mutations = {
      Mutation{.kind = Mutation::Kind::erase,
               .space = Space::uploads,
               .key = upload,
               .condition = {.kind = Condition::Kind::version_is, .version = upload_version}},
      Mutation{.kind = Mutation::Kind::erase_prefix, .space = Space::parts, .key = request.upload_id},
      Mutation{.kind = Mutation::Kind::put,
               .space = Space::objects,
               .key = request.key,
               .record = bytes,
               .condition = to_condition(request.condition)},
  };
  auto done = co_await call.services.names.commit(call.context(), call.bucket, mutations);
  if (done) co_return std::move(*done);
  if (done.error().is(NamespaceError::not_found)) co_return S3Error::PreconditionFailed;
  co_return to_failure(done.error());
}

}  // namespace

Task<S3Result<void>> complete_multipart_upload(Call& call) {
  FB_CO_TRY(const s3::CompleteMultipartUploadRequest request,
            s3::parse_complete_multipart_upload(parse_context(call)));
  FB_CO_TRY(const SmallBody body, co_await read_small_body(call, s3::kCompleteBodySizeMax));
  FB_CO_TRY(const std::vector<s3::CompletedPart> wanted, s3::parse_complete_body(body.text()));

  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    OpenUpload upload;
    if (auto opened = co_await open_upload(call, request.key, request.upload_id, upload); !opened) {
      if (opened.error().error != S3Error::NoSuchUpload) co_return opened.error();
      co_return co_await replay(call, request, wanted, opened.error());
    }
    if (auto holds = co_await check_condition_early(call, request.condition, request.key); !holds)
      co_return co_await replay(call, request, wanted, holds.error());
    FB_CO_TRY(const StoredParts stored, co_await read_parts(call, request.upload_id));
    auto record = make_object(request, upload.record, stored, wanted);
    if (!record) {
      FB_CO_TRY(const bool unchanged, co_await is_unchanged(call, request, upload));
      if (unchanged) co_return record.error();
      continue;
    }
    record->last_modified = call.services.env.wall_clock();
    const auto done = co_await commit(call, request, upload.found.version, *record);
    if (done) co_return co_await respond_completed(call, request, *record);
    if (done.error().error != S3Error::PreconditionFailed) co_return done.error();
  }
  co_return S3Error::ConditionalRequestConflict;
}

}  // namespace fb::api
