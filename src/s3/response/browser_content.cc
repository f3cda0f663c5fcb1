// SPDX-License-Identifier: Apache-2.0
#include "s3/response/browser_content.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"

namespace fb::s3 {
namespace {

constexpr std::array<std::string_view, 9> kPassive = {
    "binary/octet-stream", "application/octet-stream", "application/json",  "application/pdf",
    "application/gzip",    "application/zip",          "application/x-tar", "text/csv",
    "text/plain"};
constexpr std::array<std::string_view, 4> kPassiveKinds = {"audio/", "font/", "image/", "video/"};

bool is_type_character(char c) {
  return ascii_is_alpha(c) || ascii_is_digit(c) || c == '/' || c == '-' || c == '.' || c == '_' || c == '+';
}

}  // namespace

bool may_run_in_browser(std::string_view content_type) {
  if (std::ranges::find(kPassive, content_type) != kPassive.end()) return false;
  if (content_type.find(',') != content_type.npos) return true;
  const std::string_view essence = ascii_trim(content_type.substr(0, content_type.find(';')));
  if (!std::ranges::all_of(essence, is_type_character)) return true;
  const auto is = [&](std::string_view passive) { return ascii_iequals(essence, passive); };
  if (std::ranges::any_of(kPassive, is)) return false;
  for (const std::string_view kind : kPassiveKinds) {
    if (essence.size() <= kind.size() || !ascii_iequals(essence.substr(0, kind.size()), kind)) continue;
    const std::string_view rest = essence.substr(kind.size());
    return std::ranges::any_of(rest, [](char c) { return c == '/' || c == '+'; });  // svg+xml
  }
  return true;
}

}  // namespace fb::s3
