// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "base/config.h"

// A configuration file of any bytes is read or refused with a message; what was read is found again.

namespace {

using namespace fb;

constexpr std::array kTable = {
    SettingInfo{.name = "listen", .flag = "--listen", .default_value = "127.0.0.1:8080"},
    SettingInfo{.name = "threads", .flag = "--threads", .default_value = "1"},
    SettingInfo{.name = "buckets", .flag = "--bucket", .list = true},
    SettingInfo{.name = "tls.cert", .flag = "--tls-cert"},
    SettingInfo{.name = "cache.size", .flag = "--cache-size", .default_value = "1MiB"},
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto bytes = parse_bytes(text)) FB_ASSERT(*bytes < uint64_t{1} << 63, *bytes);
  const auto parsed = parse_toml(text, "file");
  if (!parsed) {
    FB_ASSERT(parsed.error().starts_with("file:"));
    return 0;
  }
  Settings settings(kTable);
  if (const auto loaded = settings.load_file(text, "file"); !loaded) {
    FB_ASSERT(!loaded.error().empty());
    return 0;
  }
  for (const FileSetting& setting : *parsed) FB_ASSERT(settings.given(setting.name));
  (void)settings.integer("threads", 1, 256);
  (void)settings.bytes("cache.size");
  (void)settings.boolean("listen");
  for (const std::string& bucket : settings.list("buckets")) FB_ASSERT(!bucket.empty());
  return 0;
}
