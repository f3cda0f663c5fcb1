// SPDX-License-Identifier: Apache-2.0
#include "s3/response/responses.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "s3/put_text.h"
#include "s3/response/xml.h"
#include "s3/time.h"
#include "s3/uri.h"

namespace fb::s3 {
namespace {

// About what one entry of a list takes, to grow the document at once.
constexpr size_t kObjectEntrySize = 320;
// All of an entry of a list of objects but its key and owner.
constexpr size_t kContentsMarkupMax = 512;

void write_owner(XmlWriter& xml, std::string_view element, const Owner& owner) {
  xml.open(element);
  xml.element("ID", owner.id);
  xml.element("DisplayName", owner.display_name);
  xml.close(element);
}

// An XmlWriter with the elements that several documents have in common.
class Document {
 public:
  Document(std::string& out, std::string_view root, bool encode_url = false)
      : xml(out), root_(root), encode_url_(encode_url) {
    xml.open_root(root);
  }
  ~Document() { xml.close(root_); }

  // A key, prefix or the like: percent-encoded where the client asked for that.
  void name(std::string_view element, std::string_view text) {
    xml.open(element);
    name_text(text);
    xml.close(element);
  }
  void name_text(std::string_view text) {
    if (!encode_url_) return xml.text(text);
    if (encoded_.size() < text.size() * kUriEncodeGrowth) encoded_.resize(text.size() * kUriEncodeGrowth);
    const char* end = uri_encode(text, Slash::keep, encoded_.data());
    xml.raw({encoded_.data(), end});
  }
  void name_unless_empty(std::string_view element, std::string_view text) {
    if (!text.empty()) name(element, text);
  }
  void time(std::string_view element, int64_t ms) {
    xml.open(element);
    time_text(ms);
    xml.close(element);
  }
  void time_text(int64_t ms) {
    char text[kIso8601Length];
    xml.raw({text, times.write(ms / 1000, text)});
  }
  void etag(const Etag& etag) {
    char text[Etag::kTextSizeMax];
    xml.etag("ETag", {text, etag.write_text(text)});
  }
  void owner(std::string_view element, const Owner& owner) { write_owner(xml, element, owner); }
  void checksum_value(ChecksumKind kind, std::string_view text) {
    const std::string element = fmt::format("Checksum{}", checksum_name(kind));
    xml.plain(element, text);
  }
  void checksum(const std::optional<ShownChecksum>& checksum) {
    if (!checksum) return;
    checksum_value(checksum->value.kind(), checksum->text());
    xml.plain("ChecksumType", to_string(checksum->type));
  }
  void checksum_choice(std::optional<ChecksumKind> kind, ChecksumType type) {
    if (!kind) return;
    xml.plain("ChecksumAlgorithm", checksum_name(*kind));
    xml.plain("ChecksumType", to_string(type));
  }
  void common_prefixes(std::span<const std::string_view> prefixes) {
    for (std::string_view prefix : prefixes) {
      xml.open("CommonPrefixes");
      name("Prefix", prefix);
      xml.close("CommonPrefixes");
    }
  }
  void encoding_type() {
    if (encode_url_) xml.plain("EncodingType", "url");
  }

  // Both write at most kNameGrowth * text.size() characters.
  char* put_name(std::string_view text, char* out) const {
    return encode_url_ ? uri_encode(text, Slash::keep, out)
                       : xml_escape(text, IllegalCharacters::numeric_reference, out);
  }
  static constexpr size_t kNameGrowth = std::max(kXmlEscapeGrowth, kUriEncodeGrowth);

  XmlWriter xml;
  Iso8601Writer times;

 private:
  std::string_view root_;
  bool encode_url_;
  std::string encoded_;
};

void write_v1_head(const ListObjectsRequest& request, const ObjectList& list, Document& document) {
  document.name("Marker", request.marker);
  // As S3: without a delimiter clients go on behind the last key they got.
  if (list.next && !request.delimiter.empty()) document.name("NextMarker", list.next->after);
}

void write_v2_head(const ListObjectsRequest& request, const ObjectList& list, Document& document) {
  document.name_unless_empty("StartAfter", request.start_after);
  if (request.continuation_token) document.xml.element("ContinuationToken", *request.continuation_token);
  if (list.next) document.xml.plain("NextContinuationToken", encode_token(*list.next));
  document.xml.element("KeyCount", uint64_t{list.objects.size() + list.common_prefixes.size()});
}

char* put_checksum_choice(const ListedObject& object, char* out) {
  if (!object.checksum_kind) return out;
  out = put(checksum_name(*object.checksum_kind), put("<ChecksumAlgorithm>", out));
  out = put(to_string(object.checksum_type), put("</ChecksumAlgorithm><ChecksumType>", out));
  return put("</ChecksumType>", out);
}

// A list has a thousand of these, so they are put together in place. `owner` is markup.
char* put_contents(const ListedObject& object, std::string_view owner, Document& document, char* out) {
  out = put("<Contents><Key>", out);
  out = document.put_name(object.key, out);
  out = put("</Key><LastModified>", out);
  out = document.times.write(object.last_modified_ms / 1000, out);
  out = put("</LastModified><ETag>&quot;", out);
  out = object.etag.write_text(out);
  out = put("&quot;</ETag>", out);
  out = put_checksum_choice(object, out);
  out = put("<Size>", out);
  const fmt::format_int size(object.size);
  out = put({size.data(), size.size()}, out);
  return put("<StorageClass>STANDARD</StorageClass></Contents>", put(owner, put("</Size>", out)));
}

void write_contents(const ListedObject& object, std::string_view owner, Document& document,
                    std::string& out) {
  const size_t size = out.size();
  const size_t size_max =
      size + kContentsMarkupMax + owner.size() + Document::kNameGrowth * object.key.size();
  out.resize_and_overwrite(size_max, [&](char* data, size_t) {
    const auto end = static_cast<size_t>(put_contents(object, owner, document, data + size) - data);
    FB_ASSERT(end <= size_max, end, size_max);
    return end;
  });
}

void write_copy_result(std::string_view root, const Etag& etag, int64_t last_modified_ms,
                       const std::optional<ShownChecksum>& checksum, bool with_type, std::string& out) {
  Document document(out, root);
  document.time("LastModified", last_modified_ms);
  document.etag(etag);
  if (with_type) {
    document.checksum(checksum);
  } else if (checksum) {
    document.checksum_value(checksum->value.kind(), checksum->text());
  }
}

}  // namespace

std::string ShownChecksum::text() const {
  if (type == ChecksumType::composite) return CompositeValue{value, part_count}.to_string();
  return value.to_base64();
}

void write_list_buckets(const ListBucketsRequest& request, const Owner& owner,
                        std::span<const BucketEntry> buckets, const std::optional<ListPosition>& next,
                        std::string& out) {
  Document document(out, "ListAllMyBucketsResult");
  document.owner("Owner", owner);
  document.xml.open("Buckets");
  for (const BucketEntry& bucket : buckets) {
    document.xml.open("Bucket");
    document.xml.element("Name", bucket.name);
    document.time("CreationDate", bucket.created_ms);
    if (request.limited) document.xml.plain("BucketRegion", kReportedRegion);
    document.xml.close("Bucket");
  }
  document.xml.close("Buckets");
  document.name_unless_empty("Prefix", request.prefix);
  if (next) document.xml.plain("ContinuationToken", encode_token(*next));
}

void write_bucket_location(std::string& out) { Document document(out, "LocationConstraint"); }

void write_list_objects(const ListObjectsRequest& request, const Owner& owner, const ObjectList& list,
                        std::string& out) {
  out.reserve(out.size() + (list.objects.size() + list.common_prefixes.size() + 4) * kObjectEntrySize);
  Document document(out, "ListBucketResult", request.encode_url);
  XmlWriter& xml = document.xml;
  xml.element("Name", request.bucket);
  document.name("Prefix", request.prefix);
  document.name_unless_empty("Delimiter", request.delimiter);
  xml.element("MaxKeys", request.max_keys);
  document.encoding_type();
  xml.element("IsTruncated", list.next.has_value());
  if (request.v2) {
    write_v2_head(request, list, document);
  } else {
    write_v1_head(request, list, document);
  }
  std::string shown_owner;
  if (request.fetch_owner) {
    XmlWriter markup(shown_owner, XmlFragment{});
    write_owner(markup, "Owner", owner);
  }
  for (const ListedObject& object : list.objects) write_contents(object, shown_owner, document, out);
  document.common_prefixes(list.common_prefixes);
}

void write_delete_result(bool quiet, std::span<const DeletedKey> keys, std::string& out) {
  Document document(out, "DeleteResult");
  XmlWriter& xml = document.xml;
  for (const DeletedKey& entry : keys) {
    if (entry.failure == nullptr && quiet) continue;
    const std::string_view element = entry.failure == nullptr ? "Deleted" : "Error";
    xml.open(element);
    xml.element("Key", entry.key);
    if (!entry.version_id.empty()) xml.element("VersionId", entry.version_id);
    if (entry.failure != nullptr) {
      xml.plain("Code", entry.failure->code());
      xml.element("Message", entry.failure->text());
    }
    xml.close(element);
  }
}

void write_copy_object_result(const Etag& etag, int64_t last_modified_ms,
                              const std::optional<ShownChecksum>& checksum, std::string& out) {
  write_copy_result("CopyObjectResult", etag, last_modified_ms, checksum, true, out);
}

void write_copy_part_result(const Etag& etag, int64_t last_modified_ms,
                            const std::optional<ShownChecksum>& checksum, std::string& out) {
  write_copy_result("CopyPartResult", etag, last_modified_ms, checksum, false, out);
}

void write_initiate_multipart_upload_result(std::string_view bucket, std::string_view key,
                                            std::string_view upload_id, std::string& out) {
  Document document(out, "InitiateMultipartUploadResult");
  document.xml.element("Bucket", bucket);
  document.xml.element("Key", key);
  document.xml.element("UploadId", upload_id);
}

void write_complete_multipart_upload_result(std::string_view location, std::string_view bucket,
                                            std::string_view key, const Etag& etag,
                                            const std::optional<ShownChecksum>& checksum, std::string& out) {
  Document document(out, "CompleteMultipartUploadResult");
  document.xml.element("Location", location);
  document.xml.element("Bucket", bucket);
  document.xml.element("Key", key);
  document.etag(etag);
  document.checksum(checksum);
}

void write_list_parts(const ListPartsRequest& request, const Owner& owner, const PartList& list,
                      std::string& out) {
  Document document(out, "ListPartsResult", request.encode_url);
  XmlWriter& xml = document.xml;
  xml.element("Bucket", request.bucket);
  document.encoding_type();
  document.name("Key", request.key);
  xml.element("UploadId", request.upload_id);
  document.owner("Initiator", owner);
  document.owner("Owner", owner);
  xml.plain("StorageClass", kStandardStorageClass);
  document.checksum_choice(list.checksum_kind, list.checksum_type);
  xml.element("PartNumberMarker", request.part_number_marker);
  xml.element("NextPartNumberMarker", list.parts.empty() ? uint32_t{0} : list.parts.back().number);
  xml.element("MaxParts", request.max_parts);
  xml.element("IsTruncated", list.truncated);
  for (const ListedPart& part : list.parts) {
    xml.open("Part");
    xml.element("PartNumber", part.number);
    document.time("LastModified", part.last_modified_ms);
    document.etag(part.etag);
    xml.element("Size", part.size);
    if (part.checksum) document.checksum_value(part.checksum->kind(), part.checksum->to_base64());
    xml.close("Part");
  }
}

void write_list_multipart_uploads(const ListMultipartUploadsRequest& request, const Owner& owner,
                                  const UploadList& list, std::string& out) {
  Document document(out, "ListMultipartUploadsResult", request.encode_url);
  XmlWriter& xml = document.xml;
  xml.element("Bucket", request.bucket);
  document.name("KeyMarker", request.key_marker);
  xml.element("UploadIdMarker", request.upload_id_marker);
  if (list.truncated) {
    document.name("NextKeyMarker", list.next_key_marker);
    xml.element("NextUploadIdMarker", list.next_upload_id_marker);
  }
  document.name("Prefix", request.prefix);
  document.name_unless_empty("Delimiter", request.delimiter);
  document.encoding_type();
  xml.element("MaxUploads", request.max_uploads);
  xml.element("IsTruncated", list.truncated);
  for (const ListedUpload& upload : list.uploads) {
    xml.open("Upload");
    document.name("Key", upload.key);
    xml.element("UploadId", upload.upload_id);
    document.owner("Initiator", owner);
    document.owner("Owner", owner);
    xml.plain("StorageClass", kStandardStorageClass);
    document.time("Initiated", upload.initiated_ms);
    document.checksum_choice(upload.checksum_kind, upload.checksum_type);
    xml.close("Upload");
  }
  document.common_prefixes(list.common_prefixes);
}

}  // namespace fb::s3
