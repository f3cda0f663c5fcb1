// SPDX-License-Identifier: Apache-2.0
#include "client/record.h"

// Any bytes: decoding never crashes, and what decodes survives a round trip unchanged.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fb;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto object = ObjectRecord::decode(bytes)) {
    const std::string encoded = object->encode();
    const auto again = ObjectRecord::decode(encoded);
    FB_ASSERT(again.has_value());
    FB_ASSERT(again->encode() == encoded);
    FB_ASSERT(etag_of(bytes) == object->etag);
    FB_ASSERT(object_size_of(bytes).value_or(0) == object->size_bytes);
  }
  if (const auto upload = UploadRecord::decode(bytes)) {
    const std::string encoded = upload->encode();
    FB_ASSERT(UploadRecord::decode(encoded)->encode() == encoded);
  }
  if (const auto part = PartRecord::decode(bytes)) {
    const std::string encoded = part->encode();
    FB_ASSERT(PartRecord::decode(encoded)->encode() == encoded);
  }
  if (const auto token = ClientTokenRecord::decode(bytes)) {
    const std::string encoded = token->encode();
    FB_ASSERT(ClientTokenRecord::decode(encoded)->encode() == encoded);
  }
  uint64_t blocks = 0;
  (void)for_each_blob(
      bytes, [](void* sum, const BlobId&, uint32_t count) { *static_cast<uint64_t*>(sum) += count; },
      &blocks);
  return 0;
}
