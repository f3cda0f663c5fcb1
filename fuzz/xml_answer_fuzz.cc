// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "s3/request/xml_body.h"
#include "s3/response/xml.h"
#include "s3/uri.h"

// Any bytes as each of the answers that a cloud may give: nothing crashes, and what is accepted keeps its
// promises. A listing that was accepted is written and read again unchanged.
namespace {

using namespace fb::s3;

std::string written(std::string_view root, std::string_view item_name, const ListedKeys& list) {
  std::string out;
  XmlWriter xml(out);
  xml.open_root(root);
  for (const ListedKeys::Item& item : list.items) {
    xml.open(item_name);
    xml.element("Key", item.key);
    xml.element("UploadId", item.upload_id);
    xml.close(item_name);
  }
  xml.element("IsTruncated", list.truncated);
  xml.element("NextContinuationToken", list.next_token);
  xml.element("NextKeyMarker", list.next_key);
  xml.element("NextUploadIdMarker", list.next_upload_id);
  xml.close(root);
  return out;
}

// What an encoded key stands for need not be expressible as text.
bool is_text(std::string_view text) {
  return is_valid_utf8(text) && text.find('\0') == std::string_view::npos;
}

template <class Parse>
void check_listing(std::string_view body, std::string_view root, std::string_view item_name, Parse parse) {
  const auto list = parse(body);
  if (!list) return;
  FB_ASSERT(!is_result_of("Error", body));
  bool text = is_text(list->next_key);
  for (const ListedKeys::Item& item : list->items) {
    FB_ASSERT(!item.key.empty());
    FB_ASSERT(is_text(item.upload_id));
    text = text && is_text(item.key);
  }
  if (!text) return;
  const std::string again = written(root, item_name, *list);
  const auto parsed = parse(again);
  constexpr size_t kItemsMax = 10'000;
  FB_ASSERT(parsed || again.size() > kAnswerBodySizeMax || list->items.size() > kItemsMax);  // it has grown
  if (!parsed) return;
  FB_ASSERT(parsed->items.size() == list->items.size());
  for (size_t i = 0; i < parsed->items.size(); ++i) {
    FB_ASSERT(parsed->items[i].key == list->items[i].key);
    FB_ASSERT(parsed->items[i].upload_id == list->items[i].upload_id);
  }
  FB_ASSERT(parsed->truncated == list->truncated);
  FB_ASSERT(parsed->next_token == list->next_token);
  FB_ASSERT(parsed->next_key == list->next_key);
  FB_ASSERT(parsed->next_upload_id == list->next_upload_id);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  check_listing(body, "ListBucketResult", "Contents", parse_list_result);
  check_listing(body, "ListMultipartUploadsResult", "Upload", parse_list_uploads_result);
  if (const auto id = parse_initiate_result(body)) {
    FB_ASSERT(!id->empty());
    FB_ASSERT(is_text(*id));
  }
  if (const auto error = parse_error_body(body)) {
    FB_ASSERT(!error->code.empty());
    FB_ASSERT(is_result_of("Error", body));
    FB_ASSERT(!is_result_of("CompleteMultipartUploadResult", body));
    FB_ASSERT(!is_result_of("CopyObjectResult", body));
  }
  return 0;
}
