// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "client/types.h"

// Keys of the cloud bucket: <prefix><store id>/<incarnation>/<core>-<number>, all in hexadecimal digits of
// fixed width (docs/tiering.md).

namespace fb::tier {

// "<prefix><store id>/": of everything that this store writes, but the marker.
std::string store_prefix(std::string_view prefix, const std::array<uint8_t, 16>& store_id);
std::string marker_key(std::string_view prefix);
// Of what a start writes, reads and deletes to see whether it may.
std::string check_key(std::string_view store_prefix);
std::string object_key(std::string_view store_prefix, const BlobId& id);
// Nothing where `key` is none that object_key() makes.
std::optional<BlobId> parse_object_key(std::string_view store_prefix, std::string_view key);

}  // namespace fb::tier
