// SPDX-License-Identifier: Apache-2.0
#include "tier/keys.h"

#include <fmt/format.h>

#include <charconv>

#include "s3/encoding.h"

namespace fb::tier {
namespace {

constexpr size_t kIncarnationDigits = 8;
constexpr size_t kShardDigits = 4;
constexpr size_t kNumberDigits = 16;
constexpr size_t kTailLength = kIncarnationDigits + 1 + kShardDigits + 1 + kNumberDigits;

template <class Number>
bool parse_hex(std::string_view text, Number& out) {
  if (!s3::is_lower_hex(text)) return false;
  return std::from_chars(text.data(), text.data() + text.size(), out, 16).ec == std::errc();
}

}  // namespace

std::string store_prefix(std::string_view prefix, const std::array<uint8_t, 16>& store_id) {
  return fmt::format("{}{}/", prefix, s3::hex_encode(store_id));
}

std::string marker_key(std::string_view prefix) { return fmt::format("{}fractalbits-store", prefix); }

std::string check_key(std::string_view store_prefix) { return std::string(store_prefix) + "check"; }

std::string object_key(std::string_view store_prefix, const BlobId& id) {
  return fmt::format("{}{:08x}/{:04x}-{:016x}", store_prefix, id.incarnation.value, id.shard, id.number);
}

std::optional<BlobId> parse_object_key(std::string_view store_prefix, std::string_view key) {
  if (!key.starts_with(store_prefix)) return std::nullopt;
  key.remove_prefix(store_prefix.size());
  if (key.size() != kTailLength || key[kIncarnationDigits] != '/') return std::nullopt;
  if (key[kIncarnationDigits + 1 + kShardDigits] != '-') return std::nullopt;
  BlobId id{.volume = kCloudVolume};
  const bool good = parse_hex(key.substr(0, kIncarnationDigits), id.incarnation.value) &&
                    parse_hex(key.substr(kIncarnationDigits + 1, kShardDigits), id.shard) &&
                    parse_hex(key.substr(kTailLength - kNumberDigits), id.number);
  return good ? std::optional(id) : std::nullopt;
}

}  // namespace fb::tier
