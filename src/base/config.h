// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Settings from three places: a TOML file, the environment, flags; a later one overrides an earlier one. This
// module only parses and checks. Errors are sentences for the person who typed the value: they name the
// place, the value, and a right value.

namespace fb {

// One setting: the table of a program's settings is a constexpr array of these.
struct SettingInfo {
  std::string_view name;           // in the file: "tls.cert" is `cert` in the table [tls]
  std::string_view flag;           // "--tls-cert"
  std::string_view environment;    // "FRACTALBITS_TLS_CERT"
  std::string_view value_name;     // for the help: "FILE"; empty: a switch
  std::string_view default_value;  // as text; `help` says what it means
  std::string_view help;
  bool list = false;  // may be given several times, or separated by commas
};

template <class T>
using ConfigResult = std::expected<T, std::string>;

class Settings {
 public:
  explicit Settings(std::span<const SettingInfo> table);

  // The text of a TOML file. Unknown keys are errors: a misspelt setting must not be passed over.
  ConfigResult<void> load_file(std::string_view text, std::string_view file_name);
  // `origin` as the user knows it: "--listen" or "FRACTALBITS_LISTEN".
  ConfigResult<void> set(std::string_view name, std::string_view value, std::string_view origin);

  const SettingInfo* find(std::string_view name) const;
  // The value in force; the default if nothing was given.
  std::string_view text(std::string_view name) const;
  bool given(std::string_view name) const;
  ConfigResult<uint64_t> integer(std::string_view name, uint64_t min, uint64_t max) const;
  // "1048576", "64 MiB", "2GiB", "1.5 GB"; 0 to 2^63 - 1.
  ConfigResult<uint64_t> bytes(std::string_view name) const;
  // true/false, yes/no, on/off, 1/0
  ConfigResult<bool> boolean(std::string_view name) const;
  std::vector<std::string> list(std::string_view name) const;
  // One of `choices`, or an error that lists them.
  ConfigResult<size_t> choice(std::string_view name, std::span<const std::string_view> choices) const;

  // A TOML file with every setting, its default and its help as comments.
  static std::string sample_file(std::span<const SettingInfo> table);

 private:
  struct Value {
    std::string text;
    std::string origin;
  };
  std::string complaint(std::string_view name, std::string_view what) const;

  std::span<const SettingInfo> table_;
  std::map<std::string, Value, std::less<>> values_;
};

ConfigResult<uint64_t> parse_bytes(std::string_view text);

// The TOML file, flattened: dotted names with their values as text and their line numbers.
struct FileSetting {
  std::string name;
  std::string value;
  int line = 0;
};
ConfigResult<std::vector<FileSetting>> parse_toml(std::string_view text, std::string_view file_name);

}  // namespace fb
