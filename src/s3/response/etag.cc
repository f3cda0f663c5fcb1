// SPDX-License-Identifier: Apache-2.0
#include "s3/response/etag.h"

#include <charconv>

#include "s3/encoding.h"

namespace fb::s3 {

Etag Etag::of_parts(std::span<const Md5Digest> parts) {
  Md5 md5;
  for (const Md5Digest& part : parts) md5.update(part);
  return {md5.finish(), static_cast<uint32_t>(parts.size())};
}

std::optional<Etag> Etag::parse(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  Etag etag;
  constexpr size_t kHexSize = 2 * sizeof(Md5Digest);
  if (!hex_decode(text.substr(0, kHexSize), etag.md5)) return std::nullopt;
  text.remove_prefix(kHexSize);
  if (text.empty()) return etag;
  if (!text.starts_with('-')) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), etag.part_count);
  if (error != std::errc() || end != text.data() + text.size() || etag.part_count == 0) return std::nullopt;
  return etag;
}

char* Etag::write_text(char* out) const { return write_etag_text(md5, part_count, out); }

char* Etag::write_quoted(char* out) const {
  *out++ = '"';
  out = write_text(out);
  *out++ = '"';
  return out;
}

std::string Etag::text() const {
  char buffer[kTextSizeMax];
  return {buffer, write_text(buffer)};
}

std::string Etag::quoted() const {
  char buffer[kQuotedSizeMax];
  return {buffer, write_quoted(buffer)};
}

}  // namespace fb::s3
