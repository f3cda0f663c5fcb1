// SPDX-License-Identifier: Apache-2.0
#include "s3/request/xml_body.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <pugixml.hpp>
#include <utility>

#include "base/ascii.h"
#include "s3/request/route.h"
#include "s3/request/write_condition.h"
#include "s3/uri.h"

namespace fb::s3 {
namespace {

constexpr size_t kLocationSizeMax = 64;
constexpr std::string_view kSpace = " \t\r\n";
constexpr size_t kReferenceSizeMax = 9;  // "#x10FFFF;"
// Elements (each has '<' twice) and attributes (each has '=' and a quote) bound the memory of the parsed
// document. The largest good body, 10000 parts with every checksum, counts 160,000.
constexpr size_t kMarkupMax = 250'000;
// Twice what the schema allows in a part, the richest of the elements whose children stand once.
constexpr ptrdiff_t kChildrenMax = 48;

S3Failure malformed(std::string_view why) { return S3Failure(S3Error::MalformedXML).with("Reason", why); }

// "#65", "#x41" or the name of one of the five entities XML has by itself.
bool is_good_reference(std::string_view name) {
  if (!name.starts_with('#')) {
    return name == "amp" || name == "lt" || name == "gt" || name == "quot" || name == "apos";
  }
  name.remove_prefix(1);
  const int base = name.starts_with('x') ? 16 : 10;
  if (base == 16) name.remove_prefix(1);
  uint32_t code_point = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), code_point, base);
  if (error != std::errc() || end != name.data() + name.size()) return false;
  const bool surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
  return code_point != 0 && code_point <= 0x10FFFF && !surrogate;
}

// True where `rest`, which follows a '=', begins with a quote: otherwise the '=' is part of a text.
bool is_attribute_value(std::string_view rest) {
  const size_t at = rest.find_first_not_of(kSpace);
  return at != std::string_view::npos && (rest[at] == '"' || rest[at] == '\'');
}

// pugixml is lenient: it skips document types, keeps unknown references as text, does not look at the
// encoding, and a reference to NUL would cut a text short. All of that is refused before it sees the body.
S3Result<void> check_text(std::string_view body) {
  if (!is_valid_utf8(body)) return malformed("It is not valid UTF-8.");
  if (body.find('\0') != std::string_view::npos) return malformed("It contains a NUL byte.");
  size_t markup = 0;
  for (size_t at = 0; at < body.size(); ++at) {
    const char c = body[at];
    if (c != '<' && c != '&' && c != '=') continue;
    if (c == '&') {
      const std::string_view rest = body.substr(at + 1, kReferenceSizeMax);
      const size_t end = rest.find(';');
      if (end == std::string_view::npos || !is_good_reference(rest.substr(0, end))) {
        return malformed("A character or entity reference is not valid.");
      }
      continue;
    }
    if (c == '=' && !is_attribute_value(body.substr(at + 1))) continue;
    if (++markup > kMarkupMax) return malformed("It has too many elements.");
    if (c == '=' || body.substr(at + 1, 1) != "!") continue;
    const std::string_view rest = body.substr(at);
    const bool cdata = rest.starts_with("<![CDATA[");
    if (!cdata && !rest.starts_with("<!--")) return malformed("Document types are not accepted.");
    const size_t end = cdata ? rest.find("]]>") : rest.find("-->", std::string_view("<!--").size());
    if (end == std::string_view::npos) return malformed("A CDATA section or comment does not end.");
    at += end;
  }
  return {};
}

std::string_view local_name(const pugi::xml_node& node) {
  const std::string_view name = node.name();
  const size_t colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

// Whoever puts text where only elements may stand means something that would vanish.
S3Result<void> check_no_text(const pugi::xml_node& node) {
  for (const pugi::xml_node& child : node.children()) {
    const bool text = child.type() == pugi::node_pcdata || child.type() == pugi::node_cdata;
    if (text && std::string_view(child.value()).find_first_not_of(kSpace) != std::string_view::npos)
      return malformed("There is text outside of the elements that hold it.");
  }
  return {};
}

// Parses `body` into `document` and returns its root, which must have that name and holds elements.
S3Result<pugi::xml_node> parse_document(std::string_view body, size_t size_max, std::string_view root_name,
                                        pugi::xml_document& document) {
  if (body.size() > size_max) {
    return S3Failure(S3Error::MaxMessageLengthExceeded)
        .with("MaxMessageLengthBytes", std::to_string(size_max));
  }
  if (body.empty()) return S3Error::MissingRequestBodyError;
  FB_CHECK(check_text(body));
  constexpr unsigned kOptions = pugi::parse_cdata | pugi::parse_escapes | pugi::parse_eol |
                                pugi::parse_ws_pcdata_single | pugi::parse_fragment;
  const pugi::xml_parse_result result =
      document.load_buffer(body.data(), body.size(), kOptions, pugi::encoding_utf8);
  if (!result) return malformed(fmt::format("Byte {}: {}.", result.offset, result.description()));
  const pugi::xml_node root = document.document_element();
  if (local_name(root) != root_name) return malformed(fmt::format("The root must be <{}>.", root_name));
  for (const pugi::xml_node& child : document.children()) {
    if (child.type() == pugi::node_element && child != root) return malformed("There is more than one root.");
  }
  FB_CHECK(check_no_text(document));
  FB_CHECK(check_no_text(root));
  return root;
}

// The text of an element that may hold nothing but text.
S3Result<std::string> text_of(const pugi::xml_node& node) {
  std::string text;
  for (const pugi::xml_node& child : node.children()) {
    if (child.type() == pugi::node_element)
      return malformed(fmt::format("<{}> must hold text.", local_name(node)));
    if (child.type() == pugi::node_pcdata || child.type() == pugi::node_cdata) text += child.value();
  }
  return text;
}

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

S3Result<bool> bool_of(const pugi::xml_node& node) {
  FB_TRY(const std::string text, text_of(node));
  const std::string_view value = trim(text);
  if (value == "true" || value == "1") return true;
  if (value == "false" || value == "0") return false;
  return malformed(fmt::format("<{}> must be true or false.", local_name(node)));
}

// An element that the schema does not have would ask for something that is not done: AWS refuses it too.
S3Failure unknown_element(const pugi::xml_node& node) {
  return malformed(fmt::format("<{}> has no element <{}>.", local_name(node.parent()), local_name(node)));
}

// Of two elements of a name that may stand once, one would vanish.
S3Result<void> check_single(const pugi::xml_node& node) {
  FB_CHECK(check_no_text(node));
  const auto count = std::distance(node.children().begin(), node.children().end());
  if (count > kChildrenMax) return malformed(fmt::format("<{}> has too many elements.", local_name(node)));
  for (const pugi::xml_node& child : node.children()) {
    if (child.type() != pugi::node_element) continue;
    for (pugi::xml_node other = child.next_sibling(); other; other = other.next_sibling()) {
      if (other.type() == pugi::node_element && local_name(other) == local_name(child))
        return malformed(fmt::format("<{}> has two <{}>.", local_name(node), local_name(child)));
    }
  }
  return {};
}

S3Result<DeleteItem> parse_delete_item(const pugi::xml_node& node) {
  FB_CHECK(check_single(node));
  DeleteItem item;
  bool has_key = false;
  bool has_version = false;
  std::string_view condition;
  for (const pugi::xml_node& child : node.children()) {
    if (child.type() != pugi::node_element) continue;
    const std::string_view name = local_name(child);
    if (name == "Key") {
      has_key = true;
      FB_TRY(item.key, text_of(child));
    } else if (name == "VersionId") {
      has_version = true;
      FB_TRY(item.version_id, text_of(child));
    } else if (name == "ETag") {
      FB_TRY(const std::string text, text_of(child));
      item.etag = trim(text);
    } else if (name == "LastModifiedTime" || name == "Size") {
      condition = name;
    } else {
      return unknown_element(child);
    }
  }
  if (!has_key || item.key.empty()) return malformed("An <Object> needs a <Key>.");
  if (auto checked = check_key(item.key); !checked) {
    item.refusal = std::move(checked.error());
  } else if (has_version && item.version_id.empty()) {
    item.refusal = S3Failure(S3Error::InvalidArgument, "Version id cannot be the empty string");
  } else if (has_version && item.version_id != "null") {
    item.refusal = not_implemented(fmt::format("Deleting the version {}", item.version_id));
  } else if (!condition.empty()) {
    item.refusal = not_implemented(fmt::format("Deletion on the condition of <{}>", condition));
  } else if (item.etag) {
    if (auto parsed = WriteCondition::if_match(*item.etag); !parsed) item.refusal = parsed.error();
  }
  return item;
}

// Quotes around an ETag are optional.
std::string_view unquote(std::string_view etag) {
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') return etag.substr(1, etag.size() - 2);
  return etag;
}

S3Result<uint32_t> parse_part_number(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size())
    return malformed("A part number is no number.");
  if (number < 1) return invalid_argument("PartNumber must be >= 1", "PartNumber", text);
  if (number > kPartNumberMax) {
    return invalid_argument("Part number must be an integer between 1 and 10000, inclusive.", "PartNumber",
                            text);
  }
  return static_cast<uint32_t>(number);
}

S3Result<CompletedPart> parse_part(const pugi::xml_node& node) {
  FB_CHECK(check_single(node));
  CompletedPart part;
  for (const pugi::xml_node& child : node.children()) {
    if (child.type() != pugi::node_element) continue;
    const std::string_view name = local_name(child);
    FB_TRY(const std::string text, text_of(child));
    const std::string_view value = trim(text);
    if (name == "PartNumber") {
      FB_TRY(part.number, parse_part_number(value));
    } else if (name == "ETag") {
      part.etag = unquote(value);
    } else if (name.starts_with("Checksum")) {
      const auto kind = checksum_kind_of_name(name.substr(std::string_view("Checksum").size()));
      if (!kind) return not_implemented(name);
      const auto checksum = ChecksumValue::parse(*kind, value);
      if (!checksum) {
        return invalid_argument("Invalid Base64 or multiple checksums present in request", "Checksum", value);
      }
      part.checksums.push_back(*checksum);
    } else {
      return unknown_element(child);
    }
  }
  if (part.number == 0 || part.etag.empty()) return malformed("A <Part> needs <PartNumber> and <ETag>.");
  return part;
}

}  // namespace

S3Result<DeleteBody> parse_delete_body(std::string_view body) {
  pugi::xml_document document;
  FB_TRY(const pugi::xml_node root, parse_document(body, kDeleteBodySizeMax, "Delete", document));
  DeleteBody result;
  bool has_quiet = false;
  for (const pugi::xml_node& child : root.children()) {
    if (child.type() != pugi::node_element) continue;
    if (local_name(child) == "Quiet") {
      if (std::exchange(has_quiet, true)) return malformed("<Delete> has two <Quiet>.");
      FB_TRY(result.quiet, bool_of(child));
    } else if (local_name(child) == "Object") {
      if (result.items.size() == kDeleteKeysMax) return malformed("There are more than 1000 keys.");
      FB_TRY(DeleteItem item, parse_delete_item(child));
      result.items.push_back(std::move(item));
    } else {
      return unknown_element(child);
    }
  }
  if (result.items.empty()) return malformed("There is no <Object>.");
  return result;
}

S3Result<std::vector<CompletedPart>> parse_complete_body(std::string_view body) {
  if (body.empty()) return malformed("The request has no body.");
  pugi::xml_document document;
  FB_TRY(const pugi::xml_node root,
         parse_document(body, kCompleteBodySizeMax, "CompleteMultipartUpload", document));
  std::vector<CompletedPart> parts;
  for (const pugi::xml_node& child : root.children()) {
    if (child.type() != pugi::node_element) continue;
    if (local_name(child) != "Part") return unknown_element(child);
    FB_TRY(CompletedPart part, parse_part(child));
    // Numbers only grow and end at kPartNumberMax, which bounds the list.
    if (!parts.empty() && part.number <= parts.back().number) return S3Error::InvalidPartOrder;
    parts.push_back(std::move(part));
  }
  if (parts.empty()) return malformed("There is no <Part>.");
  return parts;
}

S3Result<CreateBucketBody> parse_create_bucket_body(std::string_view body) {
  CreateBucketBody result;
  if (body.empty()) return result;
  pugi::xml_document document;
  FB_TRY(const pugi::xml_node root,
         parse_document(body, kCreateBucketBodySizeMax, "CreateBucketConfiguration", document));
  FB_CHECK(check_single(root));
  for (const pugi::xml_node& child : root.children()) {
    if (child.type() != pugi::node_element) continue;
    const std::string_view name = local_name(child);
    if (name == "LocationConstraint") {
      FB_TRY(const std::string text, text_of(child));
      result.location_constraint = trim(text);
    } else if (name == "Location" || name == "Bucket" || name == "Tags") {
      // An empty element says nothing.
      if (child.first_child()) return not_implemented(fmt::format("<{}> of CreateBucketConfiguration", name));
    } else {
      return unknown_element(child);
    }
  }
  const std::string& location = result.location_constraint;
  const bool good = location.size() <= kLocationSizeMax && std::ranges::all_of(location, [](char c) {
                      return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_';
                    });
  if (!good) return S3Failure(S3Error::InvalidLocationConstraint).with("LocationConstraint", location);
  return result;
}

S3Result<ErrorBody> parse_error_body(std::string_view body) {
  pugi::xml_document document;
  FB_TRY(const pugi::xml_node root, parse_document(body, kErrorBodySizeMax, "Error", document));
  ErrorBody error;
  for (const pugi::xml_node& child : root.children()) {
    if (child.type() != pugi::node_element) continue;
    std::string* const field = local_name(child) == "Code"        ? &error.code
                               : local_name(child) == "Message"   ? &error.message
                               : local_name(child) == "RequestId" ? &error.request_id
                                                                  : nullptr;
    if (field == nullptr) continue;
    FB_TRY(*field, text_of(child));
  }
  if (error.code.empty()) return malformed("An <Error> needs a <Code>.");
  return error;
}

S3Result<std::string> parse_initiate_result(std::string_view body) {
  pugi::xml_document document;
  FB_TRY(const pugi::xml_node root,
         parse_document(body, kAnswerBodySizeMax, "InitiateMultipartUploadResult", document));
  for (const pugi::xml_node& child : root.children()) {
    if (child.type() != pugi::node_element || local_name(child) != "UploadId") continue;
    FB_TRY(std::string id, text_of(child));
    if (!id.empty()) return id;
  }
  return malformed("There is no <UploadId>.");
}

bool is_result_of(std::string_view root_name, std::string_view body) {
  pugi::xml_document document;
  return parse_document(body, kAnswerBodySizeMax, root_name, document).has_value();
}

namespace {

S3Result<ListedKeys::Item> parse_listed(const pugi::xml_node& node) {
  ListedKeys::Item item;
  for (const pugi::xml_node& field : node.children()) {
    if (local_name(field) == "Key") {
      FB_TRY(item.key, text_of(field));
    } else if (local_name(field) == "UploadId") {
      FB_TRY(item.upload_id, text_of(field));
    }
  }
  if (item.key.empty()) return malformed("There is no <Key>.");
  return item;
}

S3Result<void> decode_url(std::string& text) {
  auto decoded = decode_query(text);
  if (!decoded) return malformed("A key is not encoded as <EncodingType> says.");
  text = std::move(*decoded);
  return {};
}

S3Result<ListedKeys> parse_listing(std::string_view body, std::string_view root_name,
                                   std::string_view item_name) {
  pugi::xml_document document;
  FB_TRY(const pugi::xml_node root, parse_document(body, kAnswerBodySizeMax, root_name, document));
  ListedKeys list;
  bool encoded = false;
  for (const pugi::xml_node& child : root.children()) {
    if (child.type() != pugi::node_element) continue;
    const std::string_view name = local_name(child);
    if (name == item_name) {
      FB_TRY(ListedKeys::Item item, parse_listed(child));
      list.items.push_back(std::move(item));
    } else if (name == "IsTruncated") {
      FB_TRY(list.truncated, bool_of(child));
    } else if (name == "NextContinuationToken") {
      FB_TRY(list.next_token, text_of(child));
    } else if (name == "NextKeyMarker") {
      FB_TRY(list.next_key, text_of(child));
    } else if (name == "NextUploadIdMarker") {
      FB_TRY(list.next_upload_id, text_of(child));
    } else if (name == "EncodingType") {
      FB_TRY(const std::string type, text_of(child));
      encoded = trim(type) == "url";
    }
  }
  if (!encoded) return list;
  FB_CHECK(decode_url(list.next_key));
  for (ListedKeys::Item& item : list.items) FB_CHECK(decode_url(item.key));
  return list;
}

}  // namespace

S3Result<ListedKeys> parse_list_result(std::string_view body) {
  return parse_listing(body, "ListBucketResult", "Contents");
}

S3Result<ListedKeys> parse_list_uploads_result(std::string_view body) {
  return parse_listing(body, "ListMultipartUploadsResult", "Upload");
}

}  // namespace fb::s3
