// SPDX-License-Identifier: Apache-2.0
#include "base/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/ascii.h"

namespace fb {
namespace {

// The number of single-character edits between two names, for "did you mean".
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::string_view nearest(std::span<const SettingInfo> table, std::string_view name) {
  std::string_view best;
  size_t best_distance = name.size() / 2 + 1;
  for (const SettingInfo& info : table) {
    const size_t distance = edit_distance(info.name, name);
    if (distance < best_distance) {
      best = info.name;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace

ConfigResult<uint64_t> parse_bytes(std::string_view text) {
  struct Unit {
    std::string_view name;
    double factor;
  };
  static constexpr std::array kUnits = {Unit{"", 1},
                                        Unit{"b", 1},
                                        Unit{"kib", 1024.0},
                                        Unit{"mib", 1048576.0},
                                        Unit{"gib", 1073741824.0},
                                        Unit{"tib", 1099511627776.0},
                                        Unit{"k", 1024.0},
                                        Unit{"m", 1048576.0},
                                        Unit{"g", 1073741824.0},
                                        Unit{"t", 1099511627776.0},
                                        Unit{"kb", 1e3},
                                        Unit{"mb", 1e6},
                                        Unit{"gb", 1e9},
                                        Unit{"tb", 1e12}};
  const auto fail = [] {
    return std::unexpected(std::string("is not a size; write it like 64MiB, 2GiB or 1048576"));
  };
  text = ascii_trim(text);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !(number >= 0)) return fail();
  const std::string_view unit = ascii_trim(text.substr(static_cast<size_t>(end - text.data())));
  for (const Unit& candidate : kUnits) {
    if (!ascii_iequals(unit, candidate.name)) continue;
    const double bytes = number * candidate.factor;
    if (!(bytes < 9.2e18)) return fail();
    return static_cast<uint64_t>(std::floor(bytes));
  }
  return fail();
}

Settings::Settings(std::span<const SettingInfo> table) : table_(table) {}

const SettingInfo* Settings::find(std::string_view name) const {
  const auto found =
      std::find_if(table_.begin(), table_.end(), [&](const SettingInfo& info) { return info.name == name; });
  return found == table_.end() ? nullptr : &*found;
}

ConfigResult<void> Settings::load_file(std::string_view text, std::string_view file_name) {
  auto parsed = parse_toml(text, file_name);
  if (!parsed) return std::unexpected(parsed.error());
  for (const FileSetting& setting : *parsed) {
    const std::string origin = fmt::format("{}:{}: {}", file_name, setting.line, setting.name);
    if (find(setting.name) == nullptr) {
      const std::string_view guess = nearest(table_, setting.name);
      return std::unexpected(guess.empty()
                                 ? fmt::format("{} is not a setting", origin)
                                 : fmt::format("{} is not a setting; did you mean {}?", origin, guess));
    }
    if (auto done = set(setting.name, setting.value, origin); !done) return done;
  }
  return {};
}

ConfigResult<void> Settings::set(std::string_view name, std::string_view value, std::string_view origin) {
  const SettingInfo* info = find(name);
  if (info == nullptr) return std::unexpected(fmt::format("{} is not a setting", origin));
  if (value.find('\0') != std::string_view::npos)
    return std::unexpected(fmt::format("{}: the value holds a NUL character", origin));
  values_.insert_or_assign(std::string(name),
                           Value{.text = std::string(value), .origin = std::string(origin)});
  return {};
}

std::string_view Settings::text(std::string_view name) const {
  const auto found = values_.find(name);
  if (found != values_.end()) return found->second.text;
  const SettingInfo* info = find(name);
  return info == nullptr ? std::string_view() : info->default_value;
}

bool Settings::given(std::string_view name) const { return values_.find(name) != values_.end(); }

std::string Settings::complaint(std::string_view name, std::string_view what) const {
  const auto found = values_.find(name);
  const std::string_view origin = found == values_.end() ? name : std::string_view(found->second.origin);
  return fmt::format("{}: '{}' {}", origin, text(name), what);
}

ConfigResult<uint64_t> Settings::integer(std::string_view name, uint64_t min, uint64_t max) const {
  const std::string_view value = text(name);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number < min || number > max) {
    return std::unexpected(complaint(name, fmt::format("is not a whole number from {} to {}", min, max)));
  }
  return number;
}

ConfigResult<uint64_t> Settings::bytes(std::string_view name) const {
  auto parsed = parse_bytes(text(name));
  if (!parsed) return std::unexpected(complaint(name, parsed.error()));
  return *parsed;
}

ConfigResult<bool> Settings::boolean(std::string_view name) const {
  const std::string_view value = text(name);
  for (const std::string_view yes : {"true", "yes", "on", "1"}) {
    if (ascii_iequals(value, yes)) return true;
  }
  for (const std::string_view no : {"false", "no", "off", "0"}) {
    if (ascii_iequals(value, no)) return false;
  }
  return std::unexpected(complaint(name, "is neither true nor false"));
}

std::vector<std::string> Settings::list(std::string_view name) const {
  std::vector<std::string> items;
  std::string_view rest = text(name);
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string_view item = ascii_trim(rest.substr(0, comma));
    if (!item.empty()) items.emplace_back(item);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  return items;
}

ConfigResult<size_t> Settings::choice(std::string_view name,
                                      std::span<const std::string_view> choices) const {
  const std::string_view value = text(name);
  for (size_t i = 0; i < choices.size(); ++i) {
    if (ascii_iequals(value, choices[i])) return i;
  }
  return std::unexpected(complaint(name, fmt::format("is not one of {}", fmt::join(choices, ", "))));
}

std::string Settings::sample_file(std::span<const SettingInfo> table) {
  // TOML wants the keys of the root table before the first [table].
  std::vector<SettingInfo> ordered(table.begin(), table.end());
  const auto section_of = [](const SettingInfo& info) {
    const size_t dot = info.name.find('.');
    return dot == std::string_view::npos ? std::string_view() : info.name.substr(0, dot);
  };
  std::stable_sort(ordered.begin(), ordered.end(), [&](const SettingInfo& a, const SettingInfo& b) {
    return section_of(a).empty() && !section_of(b).empty();
  });
  std::string out;
  std::string_view section;
  for (const SettingInfo& info : ordered) {
    if (section_of(info) != section) {
      section = section_of(info);
      out += fmt::format("\n[{}]\n", section);
    }
    std::string_view help = info.help;
    while (!help.empty()) {
      const size_t end = help.find('\n');
      out += fmt::format("# {}\n", help.substr(0, end));
      help = end == std::string_view::npos ? std::string_view() : help.substr(end + 1);
    }
    const std::string_view key = section.empty() ? info.name : info.name.substr(section.size() + 1);
    out +=
        info.list ? fmt::format("#{} = []\n", key) : fmt::format("#{} = \"{}\"\n", key, info.default_value);
  }
  return out;
}

}  // namespace fb
