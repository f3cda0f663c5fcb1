// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "api/call.h"
#include "client/record.h"

// Multipart uploads in the namespace: the upload under "<object key> NUL <upload id>" in Space::uploads, so
// that uploads list in the order of their keys, and those of one key in the order in which they were begun:
// an id is 32 hexadecimal digits, of which the first 12 are the time of initiation in milliseconds, and the
// others random (80 bits). Ids of stores before that are random as a whole; they stay good, in an order of
// their own; each part under "<upload id> <number, big endian>" in
// Space::parts, so that parts list in the order of their numbers and go in one step.

namespace fb::api {

inline constexpr size_t kUploadIdBytes = 16;
inline constexpr size_t kUploadIdLength = 2 * kUploadIdBytes;
inline constexpr size_t kUploadIdTimeBytes = 6;

std::string make_upload_id(Env& env, UnixTime initiated);
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
