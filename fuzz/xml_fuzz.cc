// SPDX-License-Identifier: Apache-2.0
#include "s3/request/xml_body.h"
#include "s3/response/responses.h"
#include "s3/response/xml.h"

// Any bytes as each of the XML bodies: nothing crashes, and what is accepted keeps its promises. What was
// accepted as a key is written and read again unchanged.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fb::s3;
  const std::string_view body(reinterpret_cast<const char*>(data), size);

  if (const auto deletion = parse_delete_body(body)) {
    FB_ASSERT(!deletion->items.empty() && deletion->items.size() <= kDeleteKeysMax);
    std::string again;
    {
      XmlWriter xml(again);
      xml.open_root("Delete");
      for (const DeleteItem& item : deletion->items) {
        FB_ASSERT(item.refusal || check_key(item.key));
        xml.open("Object");
        xml.element("Key", item.key);
        xml.close("Object");
      }
      xml.close("Delete");
    }
    const auto parsed = parse_delete_body(again);
    FB_ASSERT(parsed || again.size() > kDeleteBodySizeMax);
    for (size_t i = 0; parsed && i < parsed->items.size(); ++i) {
      FB_ASSERT(parsed->items[i].key == deletion->items[i].key);
    }
  }
  if (const auto parts = parse_complete_body(body)) {
    uint32_t previous = 0;
    for (const CompletedPart& part : *parts) {
      FB_ASSERT(part.number > previous && part.number <= kPartNumberMax);
      previous = part.number;
    }
  }
  (void)parse_create_bucket_body(body);
  if (const auto error = parse_error_body(body)) FB_ASSERT(!error->code.empty());

  // As a name in an error: well-formed whatever it is.
  std::string error;
  append_error_xml(S3Failure(S3Error::NoSuchKey).with("Key", body), body, "id", "host", error);
  FB_ASSERT(is_valid_utf8(error));
  FB_ASSERT(error.find('\0') == std::string::npos);
  return 0;
}
