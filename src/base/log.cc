// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <fmt/format.h>

#include <array>
#include <ctime>

namespace fb {
namespace {

std::string format_time(UnixTime time) {
  const std::time_t seconds = static_cast<std::time_t>(time.seconds());
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, time.milliseconds() % 1000);
}

// Length of the well-formed UTF-8 sequence at the start of `text`, 0 if there is none.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const size_t length = first < 0x80                    ? 1
                        : first >= 0xc2 && first < 0xe0 ? 2
                        : first >= 0xe0 && first < 0xf0 ? 3
                        : first >= 0xf0 && first < 0xf5 ? 4
                                                        : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (first == 0xe0 && byte(1) < 0xa0) return 0;
  if (first == 0xed && byte(1) > 0x9f) return 0;
  if (first == 0xf0 && byte(1) < 0x90) return 0;
  if (first == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

bool needs_quotes(std::string_view value) {
  if (value.empty()) return true;
  for (const char c : value) {
    if (c == ' ' || c == '"' || c == '=' || c == '\\' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return true;
  }
  return false;
}

void append_text_value(std::string& out, std::string_view value) {
  if (!needs_quotes(value)) {
    append_json_escaped(out, value);
    return;
  }
  out.push_back('"');
  append_json_escaped(out, value);
  out.push_back('"');
}

constexpr std::array<std::string_view, 4> kLevelNames = {"debug", "info", "warn", "error"};
constexpr std::array<std::string_view, 4> kLevelColumns = {"DEBUG", "INFO ", "WARN ", "ERROR"};

}  // namespace

void append_json_escaped(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    const char c = text.front();
    if (length == 0) {
      out.append("\xef\xbf\xbd");
    } else if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c == '\n') {
      out.append("\\n");
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out.append(fmt::format("\\u{:04x}", static_cast<unsigned char>(c)));
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
}

std::string_view to_string(LogLevel level) { return kLevelNames[static_cast<size_t>(level)]; }

std::optional<LogLevel> parse_log_level(std::string_view text) {
  for (size_t i = 0; i < kLevelNames.size(); ++i) {
    if (text == kLevelNames[i]) return static_cast<LogLevel>(i);
  }
  return std::nullopt;
}

std::optional<LogFormat> parse_log_format(std::string_view text) {
  if (text == "text") return LogFormat::text;
  if (text == "json") return LogFormat::json;
  return std::nullopt;
}

std::string format_log_line(LogFormat format, UnixTime time, LogLevel level, std::string_view message,
                            std::initializer_list<LogField> fields) {
  std::string line;
  if (format == LogFormat::text) {
    line = fmt::format("{} {} ", format_time(time), kLevelColumns[static_cast<size_t>(level)]);
    append_json_escaped(line, message);
    if (fields.size() != 0) line.push_back(' ');
    for (const LogField& field : fields) {
      line.append(" ").append(field.name).append("=");
      append_text_value(line, field.value);
    }
    return line;
  }
  line =
      fmt::format("{{\"time\":\"{}\",\"level\":\"{}\",\"message\":\"", format_time(time), to_string(level));
  append_json_escaped(line, message);
  line.push_back('"');
  for (const LogField& field : fields) {
    line.append(",\"").append(field.name).append("\":");
    if (field.number) {
      line.append(field.value);
    } else {
      line.push_back('"');
      append_json_escaped(line, field.value);
      line.push_back('"');
    }
  }
  line.push_back('}');
  return line;
}

}  // namespace fb
