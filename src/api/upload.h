// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "api/call.h"
#include "client/record.h"

// Multipart uploads in the namespace: the upload under "<object key> NUL <upload id>" in Space::uploads, so
// that uploads list in the order of their keys; each part under "<upload id> <number, big endian>" in
// Space::parts, so that parts list in the order of their numbers and go in one step.

namespace fb::api {

inline constexpr size_t kUploadIdBytes = 16;
inline constexpr size_t kUploadIdLength = 2 * kUploadIdBytes;

std::string make_upload_id(Env& env);
bool is_upload_id(std::string_view text);
std::string upload_key(std::string_view object_key, std::string_view upload_id);
std::string part_key(std::string_view upload_id, uint16_t number);
// The number in a key that part_key() made.
uint16_t part_number_of(std::string_view key);

struct OpenUpload {
  OpenUpload() = default;
  OpenUpload(const OpenUpload&) = delete;  // the record has views into `found`
  Found found;
  UploadRecord record;
};
// NoSuchUpload where there is none of that id for that key.
Task<S3Result<void>> open_upload(Call& call, std::string_view key, std::string_view upload_id,
                                 OpenUpload& out);

}  // namespace fb::api
