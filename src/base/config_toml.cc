// SPDX-License-Identifier: Apache-2.0
// The only file that uses toml++. Malformed input (a NUL behind '[') can trip toml++'s assertions; here it
// must be an error, not an abort.
#define TOML_EXCEPTIONS 0
#define TOML_ASSERT(condition) static_cast<void>(0)
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>

#include "base/config.h"

namespace fb {
namespace {

constexpr int kDepthMax = 8;
constexpr size_t kFileSizeMax = 1u << 20;

std::string complaint(std::string_view file_name, int line, std::string_view what) {
  return fmt::format("{}:{}: {}", file_name, line, what);
}

// A scalar as the text that set() takes; lists are joined by commas.
ConfigResult<std::string> scalar_text(const toml::node& node, std::string_view file_name) {
  const int line = static_cast<int>(node.source().begin.line);
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  if (const auto* flag = node.as_boolean()) return std::string(flag->get() ? "true" : "false");
  return std::unexpected(complaint(file_name, line, "a string, number, true or false is expected here"));
}

ConfigResult<std::string> value_text(const toml::node& node, std::string_view file_name) {
  const toml::array* array = node.as_array();
  if (array == nullptr) return scalar_text(node, file_name);
  std::string joined;
  for (const toml::node& element : *array) {
    auto text = scalar_text(element, file_name);
    if (!text) return text;
    if (text->find(',') != std::string::npos) {
      return std::unexpected(complaint(file_name, static_cast<int>(element.source().begin.line),
                                       "a comma inside a list's element"));
    }
    if (!joined.empty()) joined += ",";
    joined += *text;
  }
  return joined;
}

ConfigResult<void> flatten(const toml::table& table, const std::string& prefix, int depth,
                           std::string_view file_name, std::vector<FileSetting>& out) {
  if (depth > kDepthMax) return std::unexpected(complaint(file_name, 1, "tables are nested too deeply"));
  for (const auto& [key, node] : table) {
    const std::string name = prefix.empty() ? std::string(key.str()) : prefix + "." + std::string(key.str());
    if (const toml::table* inner = node.as_table()) {
      if (auto done = flatten(*inner, name, depth + 1, file_name, out); !done) return done;
      continue;
    }
    auto text = value_text(node, file_name);
    if (!text) return std::unexpected(text.error());
    out.push_back(
        {.name = name, .value = std::move(*text), .line = static_cast<int>(node.source().begin.line)});
  }
  return {};
}

}  // namespace

ConfigResult<std::vector<FileSetting>> parse_toml(std::string_view text, std::string_view file_name) {
  if (text.size() > kFileSizeMax)
    return std::unexpected(complaint(file_name, 1, "the file is larger than 1 MiB"));
  // The parser takes some control characters for white space, and has undefined behaviour if a key begins
  // with a letter beyond ASCII. Values with such letters can be given by flag or environment.
  const auto is_refused = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte >= 0x7f;
  };
  if (const auto found = std::find_if(text.begin(), text.end(), is_refused); found != text.end()) {
    const int line = 1 + static_cast<int>(std::count(text.begin(), found, '\n'));
    return std::unexpected(
        complaint(file_name, line,
                  "only printable ASCII characters can be read here; give other values by a flag or "
                  "an environment variable"));
  }
  const toml::parse_result parsed = toml::parse(text, file_name);
  if (!parsed) {
    return std::unexpected(complaint(file_name, static_cast<int>(parsed.error().source().begin.line),
                                     parsed.error().description()));
  }
  std::vector<FileSetting> settings;
  if (auto done = flatten(parsed.table(), "", 0, file_name, settings); !done)
    return std::unexpected(done.error());
  return settings;
}

}  // namespace fb
