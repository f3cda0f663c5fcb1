// SPDX-License-Identifier: Apache-2.0
#include "api/upload.h"

#include <algorithm>
#include <array>

#include "s3/encoding.h"

namespace fb::api {

std::string make_upload_id(Env& env, UnixTime initiated) {
  std::array<std::byte, kUploadIdBytes> bytes;
  env.random_bytes(bytes);
  auto ms = static_cast<uint64_t>(std::max<int64_t>(0, initiated.milliseconds()));
  for (size_t i = kUploadIdTimeBytes; i-- > 0; ms >>= 8) bytes[i] = static_cast<std::byte>(ms & 0xff);
  return s3::hex_encode({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

bool is_upload_id(std::string_view text) { return text.size() == kUploadIdLength && s3::is_lower_hex(text); }

std::string upload_key(std::string_view object_key, std::string_view upload_id) {
  std::string key(object_key);
  key.push_back('\0');
  key.append(upload_id);
  return key;
}

std::string part_key(std::string_view upload_id, uint16_t number) {
  std::string key(upload_id);
  key.push_back(static_cast<char>(number >> 8));
  key.push_back(static_cast<char>(number & 0xff));
  return key;
}

uint16_t part_number_of(std::string_view key) {
  FB_ASSERT(key.size() == kUploadIdLength + 2, key.size());
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(key[kUploadIdLength + i]); };
  return static_cast<uint16_t>(byte(0) << 8 | byte(1));
}

Task<S3Result<void>> open_upload(Call& call, std::string_view key, std::string_view upload_id,
                                 OpenUpload& out) {
  if (!is_upload_id(upload_id)) co_return S3Failure(S3Error::NoSuchUpload).with("UploadId", upload_id);
  auto found = co_await call.services.names.get(call.context(), call.bucket, Space::uploads,
                                                upload_key(key, upload_id));
  if (!found) {
    if (found.error().is(NamespaceError::not_found))
      co_return S3Failure(S3Error::NoSuchUpload).with("UploadId", upload_id);
    co_return to_failure(found.error());
  }
  out.found = std::move(*found);
  out.found.pin.reset();  // an upload's record names no blobs, and a client may take long to send a part
  FB_CO_TRY(out.record, as_s3(UploadRecord::decode(out.found.record)));
  co_return S3Result<void>();
}

}  // namespace fb::api
