// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/call.h"
#include "client/record.h"
#include "s3/request/requests.h"
#include "s3/response/responses.h"

namespace fb::api {

// How the checksum of a whole object was made.
s3::ChecksumType checksum_type(const RecordChecksum& checksum);
// x-amz-checksum-... and x-amz-checksum-type; nothing where there is no checksum. `type` is the whole
// object's, also where `checksum` is that of a part.
void add_checksum(Call& call, const RecordChecksum& checksum, s3::ChecksumType type, size_t part_count);
// The typed requests' context.
s3::ParseContext parse_context(const Call& call);

// What the record holds, in the protocol's terms.
s3::Etag shown_etag(const RecordEtag& etag);
std::optional<s3::ShownChecksum> shown_checksum(const RecordChecksum& checksum, size_t part_count);
s3::Owner shown_owner(const Call& call);

}  // namespace fb::api
