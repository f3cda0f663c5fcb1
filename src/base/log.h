// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

// Log lines: made here, written by Env::write_log. Secrets never get this far (base/secret.h has no
// formatter).
//
//   text:  2026-11-22T13:05:07.123Z WARN  direct I/O refused  path=/data fs=tmpfs
//   json:  {"time":"2026-11-22T13:05:07.123Z","level":"warn","message":"direct I/O
//   refused","path":"/data","fs":"tmpfs"}

namespace fb {

enum class LogLevel : uint8_t { debug, info, warn, error };
enum class LogFormat : uint8_t { text, json };

struct LogOptions {
  LogLevel level = LogLevel::info;
  LogFormat format = LogFormat::text;
};

struct LogField {
  std::string_view name;
  std::string value;
  bool number = false;  // printed without quotes in JSON

  LogField(std::string_view field, std::string_view text) : name(field), value(text) {}
  LogField(std::string_view field, const char* text) : name(field), value(text) {}
  LogField(std::string_view field, const std::string& text) : name(field), value(text) {}
  template <class Number>
    requires std::is_arithmetic_v<Number>
  LogField(std::string_view field, Number n) : name(field), value(std::to_string(n)), number(true) {}
};

std::optional<LogLevel> parse_log_level(std::string_view text);    // "debug", "info", "warn", "error"
std::optional<LogFormat> parse_log_format(std::string_view text);  // "text", "json"
std::string_view to_string(LogLevel level);

// One line without its end. Control characters in message and values are escaped: a line stays a line.
std::string format_log_line(LogFormat format, UnixTime time, LogLevel level, std::string_view message,
                            std::initializer_list<LogField> fields);

// Appends `text` as the inside of a JSON string; bytes that are not UTF-8 become U+FFFD.
void append_json_escaped(std::string& out, std::string_view text);

}  // namespace fb
