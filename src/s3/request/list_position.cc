// SPDX-License-Identifier: Apache-2.0
#include "s3/request/list_position.h"

#include <algorithm>

#include "s3/checksum/checksum.h"
#include "s3/encoding.h"
#include "s3/request/route.h"

namespace fb::s3 {
namespace {

constexpr char kTokenVersion = 1;
constexpr char kPastPrefix = 1;
constexpr size_t kHeadSize = 2;
constexpr size_t kCheckSize = 4;
constexpr size_t kTokenSizeMax = base64_length(kHeadSize + kCheckSize + kKeySizeMax);

std::string check_of(std::string_view head, std::string_view after) {
  Checksum checksum(ChecksumKind::crc32);
  checksum.update(as_bytes(head));
  checksum.update(as_bytes(after));
  const ChecksumValue value = checksum.finish();
  return {reinterpret_cast<const char*>(value.bytes().data()), kCheckSize};
}

}  // namespace

std::string encode_token(const ListPosition& position) {
  const std::string head = {kTokenVersion, position.past_prefix ? kPastPrefix : char{0}};
  std::string token = base64_encode(as_bytes(head + check_of(head, position.after) + position.after));
  std::ranges::replace(token, '+', '-');
  std::ranges::replace(token, '/', '_');
  token.erase(token.find_last_not_of('=') + 1);
  return token;
}

std::optional<ListPosition> decode_token(std::string_view token) {
  if (token.size() > kTokenSizeMax || token.find_first_of("+/=") != std::string_view::npos)
    return std::nullopt;
  std::string text(token);
  std::ranges::replace(text, '-', '+');
  std::ranges::replace(text, '_', '/');
  text.append((4 - text.size() % 4) % 4, '=');
  const auto bytes = base64_decode(text);
  if (!bytes || bytes->size() < kHeadSize + kCheckSize) return std::nullopt;
  const std::string_view head = std::string_view(*bytes).substr(0, kHeadSize);
  const std::string_view check = std::string_view(*bytes).substr(kHeadSize, kCheckSize);
  const std::string_view after = std::string_view(*bytes).substr(kHeadSize + kCheckSize);
  if (head[0] != kTokenVersion || (head[1] != 0 && head[1] != kPastPrefix)) return std::nullopt;
  if (check != check_of(head, after)) return std::nullopt;
  return ListPosition{std::string(after), head[1] == kPastPrefix};
}

ListPosition position_of_marker(std::string_view marker, std::string_view prefix,
                                std::string_view delimiter) {
  ListPosition position{std::string(marker), false};
  if (!delimiter.empty() && marker.size() > prefix.size() && marker.starts_with(prefix)) {
    const size_t end = marker.find(delimiter, prefix.size());
    position.past_prefix = end != std::string_view::npos && end + delimiter.size() == marker.size();
  }
  return position;
}

}  // namespace fb::s3
