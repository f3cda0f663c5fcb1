// SPDX-License-Identifier: Apache-2.0
#include "s3/request/parameters.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <initializer_list>

#include "s3/checksum/checksum_headers.h"
#include "s3/request/header_rules.h"
#include "s3/uri.h"

namespace fb::s3 {
namespace {

using enum Operation;

class OperationSet {
 public:
  constexpr OperationSet() = default;
  constexpr OperationSet(std::initializer_list<Operation> operations) {
    for (const Operation operation : operations) word(operation) |= bit(operation);
  }
  // The operations whose rows fulfil it.
  template <class Predicate>
  static constexpr OperationSet where(Predicate predicate) {
    OperationSet set;
    for (const OperationInfo& row : kOperations) {
      if (predicate(row)) set.word(row.operation) |= bit(row.operation);
    }
    return set;
  }
  constexpr bool has(Operation operation) const {
    return (words_[index(operation) / kBits] & bit(operation)) != 0;
  }

 private:
  static constexpr size_t kBits = 64;
  static constexpr size_t index(Operation operation) { return static_cast<size_t>(operation); }
  static constexpr uint64_t bit(Operation operation) { return uint64_t{1} << (index(operation) % kBits); }
  constexpr uint64_t& word(Operation operation) { return words_[index(operation) / kBits]; }

  std::array<uint64_t, (kOperationCount + kBits - 1) / kBits> words_{};
};

constexpr OperationSet kReads = {GetObject, HeadObject};
constexpr OperationSet kCopies = OperationSet::where(
    [](const OperationInfo& row) { return row.right && row.right->source == Source::copied; });
constexpr OperationSet kCreators = {PutObject, CopyObject, CreateMultipartUpload};
// Operations whose body is verified against what its headers declare.
constexpr OperationSet kBodies =
    OperationSet::where([](const OperationInfo& row) { return row.body != PayloadUse::none; });
constexpr OperationSet kLists = {ListBuckets, ListObjects, ListObjectsV2, ListMultipartUploads, ListParts};

// Becomes of a parameter in an operation that does not take it.
enum class Otherwise : uint8_t {
  refused,   // 501
  passes,    // harmless
  by_value,  // check_header_value() decides, in every operation
  copy_only,
  with_checksum,  // passes beside a checksum of that algorithm
  full_object,    // passes with that value, which is true of objects that are put at once
};

struct HeaderParameter {
  std::string_view name;  // in lower case, behind "x-amz-"
  Otherwise otherwise;
  OperationSet takers{};
};

// Sorted by name. Beside each harmless one stands why it is.
constexpr HeaderParameter kHeaders[] = {
    {"acl", Otherwise::by_value},
    {"api-version", Otherwise::passes},  // old SDKs: the version of the API, of which there is one
    {"bucket-namespace", Otherwise::by_value},
    {"bucket-object-lock-enabled", Otherwise::by_value},
    {"bypass-governance-retention",
     Otherwise::by_value,
     {DeleteObject, DeleteObjects}},  // nothing is retained
    {"cf-id", Otherwise::passes},     // CloudFront: the id of its own request
    {"checksum-algorithm", Otherwise::with_checksum, {CopyObject, CreateMultipartUpload}},
    {"checksum-crc32", Otherwise::refused, kBodies},
    {"checksum-crc32c", Otherwise::refused, kBodies},
    {"checksum-crc64nvme", Otherwise::refused, kBodies},
    {"checksum-mode", Otherwise::passes, kReads},  // asks for more in an answer that has no more to say
    {"checksum-sha1", Otherwise::refused, kBodies},
    {"checksum-sha256", Otherwise::refused, kBodies},
    {"checksum-type", Otherwise::full_object, {CreateMultipartUpload, CompleteMultipartUpload, UploadPart}},
    {"client-token", Otherwise::refused, {RenameObject}},
    {"content-sha256", Otherwise::passes},  // authentication's
    {"copy-source", Otherwise::copy_only, kCopies},
    {"copy-source-if-match", Otherwise::copy_only, kCopies},
    {"copy-source-if-modified-since", Otherwise::copy_only, kCopies},
    {"copy-source-if-none-match", Otherwise::copy_only, kCopies},
    {"copy-source-if-unmodified-since", Otherwise::copy_only, kCopies},
    {"copy-source-range", Otherwise::copy_only, {UploadPartCopy}},
    {"copy-source-server-side-encryption-customer-algorithm", Otherwise::by_value},
    {"copy-source-server-side-encryption-customer-key", Otherwise::by_value},
    {"copy-source-server-side-encryption-customer-key-md5", Otherwise::by_value},
    {"date", Otherwise::passes},                    // authentication's
    {"decoded-content-length", Otherwise::passes},  // the body's framing
    {"expected-bucket-owner", Otherwise::by_value},
    {"grant-full-control", Otherwise::by_value},
    {"grant-read", Otherwise::by_value},
    {"grant-read-acp", Otherwise::by_value},
    {"grant-write", Otherwise::by_value},
    {"grant-write-acp", Otherwise::by_value},
    {"id-2", Otherwise::passes},  // clients and proxies that send an answer's headers back
    {"metadata-directive", Otherwise::refused, {CopyObject}},
    {"mfa", Otherwise::by_value},
    {"mp-object-size", Otherwise::refused, {CompleteMultipartUpload}},
    {"object-lock-legal-hold", Otherwise::by_value},
    {"object-lock-mode", Otherwise::by_value},
    {"object-lock-retain-until-date", Otherwise::by_value},
    {"object-ownership", Otherwise::by_value},
    {"optional-object-attributes", Otherwise::by_value},
    {"rename-source", Otherwise::refused, {RenameObject}},
    {"rename-source-if-match", Otherwise::refused, {RenameObject}},
    {"rename-source-if-modified-since", Otherwise::refused, {RenameObject}},
    {"rename-source-if-none-match", Otherwise::refused, {RenameObject}},
    {"rename-source-if-unmodified-since", Otherwise::refused, {RenameObject}},
    {"request-id", Otherwise::passes},  // as id-2
    {"request-payer", Otherwise::by_value},
    {"sdk-checksum-algorithm", Otherwise::passes},  // the body's: held against the checksum it announces
    {"security-token", Otherwise::passes},          // authentication's
    {"server-side-encryption", Otherwise::by_value},
    {"server-side-encryption-aws-kms-key-id", Otherwise::by_value},
    {"server-side-encryption-bucket-key-enabled", Otherwise::by_value},
    {"server-side-encryption-context", Otherwise::by_value},
    {"server-side-encryption-customer-algorithm", Otherwise::by_value},
    {"server-side-encryption-customer-key", Otherwise::by_value},
    {"server-side-encryption-customer-key-md5", Otherwise::by_value},
    {"source-expected-bucket-owner", Otherwise::by_value},
    {"storage-class", Otherwise::by_value},
    {"tagging", Otherwise::by_value},
    {"tagging-directive", Otherwise::by_value},
    {"te", Otherwise::passes},          // Java SDKs offer "append-md5"; the answer says whether it was taken
    {"trailer", Otherwise::passes},     // the body's framing
    {"user-agent", Otherwise::passes},  // browsers' SDKs: the name of the client
    {"website-redirect-location", Otherwise::by_value},
    {"write-offset-bytes", Otherwise::by_value},
};
static_assert(std::ranges::is_sorted(kHeaders, {}, &HeaderParameter::name));
constexpr size_t kHeaderNameSizeMax =
    std::ranges::max_element(kHeaders, {}, [](const HeaderParameter& entry) {
      return entry.name.size();
    })->name.size();

// Few names have the same size, so that a look-up compares two or three: every request has some.
struct HeadersBySize {
  std::array<uint8_t, std::size(kHeaders)> order{};     // indices of kHeaders, by size of the name
  std::array<uint8_t, kHeaderNameSizeMax + 2> first{};  // by size: the place in `order`
};
constexpr HeadersBySize kHeadersBySize = [] {
  HeadersBySize result;
  uint8_t place = 0;
  for (size_t size = 0; size <= kHeaderNameSizeMax; ++size) {
    result.first[size] = place;
    for (size_t i = 0; i < std::size(kHeaders); ++i) {
      if (kHeaders[i].name.size() == size) result.order[place++] = static_cast<uint8_t>(i);
    }
  }
  result.first[kHeaderNameSizeMax + 1] = place;
  return result;
}();

// Headers of HTTP that stand for one value, of which a second one would vanish.
constexpr std::string_view kSingleHeaders[] = {
    "content-disposition", "content-md5", "content-type",        "expires",
    "if-modified-since",   "if-range",    "if-unmodified-since", "range",
};

enum class QueryOtherwise : uint8_t {
  refused,   // it says which version or part is meant: 400
  in_lists,  // 400 in another listing, which would begin at its start or show too much; harmless elsewhere
  passes,    // bounds and spellings of a listing, sent to other operations by jclouds and boto 2
};

struct QueryParameter {
  std::string_view name;
  QueryOtherwise otherwise;
  OperationSet takers{};
};

// Sorted by name. Sub-resources are route()'s; uploadId stands here because it has a value.
constexpr QueryParameter kItems[] = {
    {"bucket-region", QueryOtherwise::passes, {ListBuckets}},
    {"continuation-token", QueryOtherwise::in_lists, {ListBuckets, ListObjectsV2}},
    {"delimiter", QueryOtherwise::in_lists, {ListObjects, ListObjectsV2, ListMultipartUploads}},
    {"encoding-type", QueryOtherwise::passes, {ListObjects, ListObjectsV2, ListMultipartUploads, ListParts}},
    {"fetch-owner", QueryOtherwise::passes, {ListObjectsV2}},
    {"key-marker", QueryOtherwise::in_lists, {ListMultipartUploads}},
    {"list-type", QueryOtherwise::passes},  // route()'s
    {"marker", QueryOtherwise::in_lists, {ListObjects}},
    {"max-buckets", QueryOtherwise::passes, {ListBuckets}},
    {"max-keys", QueryOtherwise::passes, {ListObjects, ListObjectsV2}},
    {"max-parts", QueryOtherwise::passes, {ListParts}},
    {"max-uploads", QueryOtherwise::passes, {ListMultipartUploads}},
    {"part-number-marker", QueryOtherwise::in_lists, {ListParts}},
    {"partNumber", QueryOtherwise::refused, {GetObject, HeadObject, UploadPart, UploadPartCopy}},
    {"prefix", QueryOtherwise::in_lists, {ListBuckets, ListObjects, ListObjectsV2, ListMultipartUploads}},
    {"start-after", QueryOtherwise::in_lists, {ListObjectsV2}},
    {"upload-id-marker", QueryOtherwise::in_lists, {ListMultipartUploads}},
    {"uploadId",
     QueryOtherwise::refused,
     {UploadPart, UploadPartCopy, CompleteMultipartUpload, AbortMultipartUpload, ListParts}},
    {"version-id-marker", QueryOtherwise::in_lists},
    {"versionId", QueryOtherwise::refused, {GetObject, HeadObject, DeleteObject}},
};
static_assert(std::ranges::is_sorted(kItems, {}, &QueryParameter::name));
constexpr size_t kItemNameSizeMax = 32;  // longer than any of the above and than response-*
constexpr std::string_view kResponsePrefix = "response-";
// Of these a spelling in another letter case is refused as well: it would write or delete what was not meant.
constexpr std::string_view kSelectors[] = {"versionId", "partNumber", "uploadId"};

const HeaderParameter* find_header(std::string_view name) {
  if (name.size() > kHeaderNameSizeMax) return nullptr;
  for (size_t at = kHeadersBySize.first[name.size()]; at < kHeadersBySize.first[name.size() + 1]; ++at) {
    const HeaderParameter& entry = kHeaders[kHeadersBySize.order[at]];
    if (ascii_iequals(entry.name, name)) return &entry;
  }
  return nullptr;
}

bool is_metadata(std::string_view header) {
  return header.size() >= kUserMetadataPrefix.size() &&
         ascii_iequals(header.substr(0, kUserMetadataPrefix.size()), kUserMetadataPrefix);
}

S3Failure given_twice(std::string_view name, std::string_view value) {
  return invalid_argument("The argument is given more than once, with different values.", name, value);
}

// Whether an earlier field of that name says something else.
bool contradicts(std::span<const HeaderField> earlier, const HeaderField& field) {
  return std::ranges::any_of(earlier, [&](const HeaderField& other) {
    return ascii_iequals(other.name, field.name) && other.value != field.value;
  });
}

bool has_checksum_of(const RequestHead& head, std::string_view algorithm) {
  const auto kind = checksum_kind_of_name(algorithm);
  if (!kind) return false;
  return head.has_header(checksum_header(*kind)) ||
         ascii_iequals(ascii_trim(head.header("x-amz-trailer")), checksum_header(*kind));
}

S3Result<void> check_untaken(const HeaderParameter& parameter, const HeaderField& field,
                             const ParseContext& context) {
  switch (parameter.otherwise) {
    case Otherwise::refused:
      return unsupported_header(field, {});
    case Otherwise::passes:
      return {};
    case Otherwise::by_value:
      return check_header_value(parameter.name, field, context.account_id);
    case Otherwise::copy_only:
      return invalid_argument("You can only specify a copy source header for copy requests.", field.name,
                              field.value);
    case Otherwise::with_checksum:
      if (has_checksum_of(context.head, field.value)) return {};
      return unsupported_header(field, "the algorithm of a checksum that is sent along");
    case Otherwise::full_object:
      if (ascii_iequals(field.value, "FULL_OBJECT")) return {};
      return unsupported_header(field, "FULL_OBJECT");
  }
  FB_UNREACHABLE();
}

S3Result<void> check_metadata(const HeaderField& field, const ParseContext& context) {
  const Operation operation = context.route.operation;
  if (kCreators.has(operation)) return {};
  const Method method = info(operation).method;
  // Reads and deletions store nothing, so that nothing is lost.
  if (method != Method::put && method != Method::post) return {};
  return invalid_argument("Metadata cannot be specified in this context.", field.name, field.value);
}

// Of an algorithm that is not built: payload.h says which ones S3 knows.
bool is_checksum_of_body(const HeaderField& field, Operation operation) {
  return kBodies.has(operation) && is_checksum_value_header(field.name);
}

S3Result<void> check_headers(const ParseContext& context) {
  const std::span<const HeaderField> headers = context.head.headers;
  std::bitset<std::size(kHeaders)> seen;
  for (size_t i = 0; i < headers.size(); ++i) {
    const HeaderField& field = headers[i];
    if (!is_amz_header(field.name)) {
      const bool single = std::ranges::any_of(
          kSingleHeaders, [&](std::string_view name) { return ascii_iequals(name, field.name); });
      if (single && contradicts(headers.first(i), field)) return given_twice(field.name, field.value);
      continue;
    }
    const HeaderParameter* const parameter = find_header(behind_amz(field.name));
    if (parameter == nullptr) {
      if (is_metadata(field.name)) {
        FB_CHECK(check_metadata(field, context));
      } else if (!field.value.empty() && !is_checksum_of_body(field, context.route.operation)) {
        return unsupported_header(field, {});
      }
      continue;
    }
    const auto index = static_cast<size_t>(parameter - kHeaders);
    if (seen[index] && contradicts(headers.first(i), field)) return given_twice(field.name, field.value);
    seen.set(index);
    if (field.value.empty() || parameter->takers.has(context.route.operation)) continue;
    FB_CHECK(check_untaken(*parameter, field, context));
  }
  return {};
}

S3Failure untaken_item(std::string_view name, const QueryItem& item) {
  if (name == "versionId") {
    return invalid_argument("This operation does not accept a version-id.", name, item.value);
  }
  if (name == "partNumber") {
    return invalid_argument("This operation does not accept partNumber without uploadId", name, item.value);
  }
  return invalid_argument(fmt::format("This operation does not accept {}.", name), name, item.value);
}

// Of a name that may stand once, the first one counts.
S3Result<void> check_first(std::string_view name, const QueryItem& item, const ParseContext& context) {
  if (context.route.query.get(name) != item.value) return given_twice(name, item.value);
  return {};
}

S3Result<void> check_response_item(std::string_view name, const QueryItem& item,
                                   const ParseContext& context) {
  const bool known = std::ranges::any_of(
      kSystemHeaders, [&](const SystemHeader& header) { return header.override_item == name; });
  if (!known) return invalid_argument("There is no such response header to set.", name, item.value);
  if (!kReads.has(context.route.operation)) return untaken_item(name, item);
  return check_first(name, item, context);
}

S3Result<void> check_item(const QueryParameter& parameter, const QueryItem& item, Operation operation) {
  if (parameter.takers.has(operation) || parameter.otherwise == QueryOtherwise::passes) return {};
  if (parameter.otherwise == QueryOtherwise::in_lists && (item.value.empty() || !kLists.has(operation)))
    return {};
  return untaken_item(parameter.name, item);
}

S3Result<void> check_items(const ParseContext& context) {
  const Operation operation = context.route.operation;
  for (const QueryItem& item : context.route.query) {
    std::array<char, kUriEncodeGrowth * kItemNameSizeMax> decoded;
    if (item.name.size() > decoded.size()) continue;
    const auto size = percent_decode(item.name, UriPart::query, decoded.data());
    if (!size) return S3Error::InvalidURI;
    const std::string_view name(decoded.data(), *size);
    if (ascii_iequals(name.substr(0, kResponsePrefix.size()), kResponsePrefix)) {
      FB_CHECK(check_response_item(name, item, context));
      continue;
    }
    const auto* const parameter = std::ranges::lower_bound(kItems, name, {}, &QueryParameter::name);
    if (parameter == std::end(kItems) || parameter->name != name) {
      for (const std::string_view selector : kSelectors) {
        if (ascii_iequals(selector, name)) {
          return invalid_argument(fmt::format("Write this argument as {}.", selector), name, item.value);
        }
      }
      continue;
    }
    FB_CHECK(check_first(name, item, context));
    FB_CHECK(check_item(*parameter, item, operation));
  }
  return {};
}

}  // namespace

S3Result<void> check_parameters(const ParseContext& context) {
  FB_CHECK(check_headers(context));
  if (context.route.query.raw().empty()) return {};
  return check_items(context);
}

S3Result<void> check_header_section(const RequestHead& head) {
  size_t size = 0;
  for (const HeaderField& field : head.headers) size += field.name.size() + field.value.size();
  if (size <= kHeaderSectionSizeMax) return {};
  return S3Failure(S3Error::RequestHeaderSectionTooLarge)
      .with("MaxSizeAllowed", std::to_string(kHeaderSectionSizeMax));
}

}  // namespace fb::s3
