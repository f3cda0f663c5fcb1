// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fb::s3 {

// Where a listing goes on: behind the key `after` or, with `past_prefix`, behind every key that starts with
// `after`. The empty position is the start.
struct ListPosition {
  std::string after;
  bool past_prefix = false;

  bool operator==(const ListPosition&) const = default;
};

// The continuation token of a position: opaque to clients, valid for ever, on every server. The text is the
// base64url form of
//     version (1 byte, 1)  flags (1)  check (4: CRC32 of all else)  `after`
// so that a token that was cut or altered is refused instead of starting at a wrong place.
std::string encode_token(const ListPosition& position);
std::optional<ListPosition> decode_token(std::string_view token);

// The position a marker (V1, list uploads) or start-after means. A marker that is itself a common prefix of
// this listing stands for all the keys beneath.
ListPosition position_of_marker(std::string_view marker, std::string_view prefix, std::string_view delimiter);

}  // namespace fb::s3
