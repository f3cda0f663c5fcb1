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

// "<prefix><store id>/": the beginning of all keys that this store writes, except the marker's.
std::string store_prefix(std::string_view prefix, const std::array<uint8_t, 16>& store_id);
std::string marker_key(std::string_view prefix);
// The key of the object that a start writes, reads and deletes to test its rights.
std::string check_key(std::string_view store_prefix);
std::string object_key(std::string_view store_prefix, const BlobId& id);
// Nothing if object_key() never makes `key`.
std::optional<BlobId> parse_object_key(std::string_view store_prefix, std::string_view key);

}  // namespace fb::tier
