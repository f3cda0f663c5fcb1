// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/call.h"
#include "api/stored_content.h"
#include "api/upload.h"
#include "client/record.h"

namespace fb::api {

// Names a stored part of an upload, replacing an earlier one of that number. The same commit writes the
// upload's record again: a part never outlives its upload, and a Complete that has read the parts before sees
// by the upload's version that they have changed.
Task<S3Result<void>> store_part(Call& call, std::string_view object_key, std::string_view upload_id,
                                const OpenUpload& open, uint32_t number, const PartRecord& part,
                                StoredContent& content);

}  // namespace fb::api
