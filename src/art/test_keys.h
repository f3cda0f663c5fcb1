// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <random>
#include <string>
#include <string_view>

// Keys as they occur, for tests.

namespace fb::art {

enum class TestKeys : uint8_t { paths, urls, uuids, dates, unicode, prefixes, long_ones, bytes };

inline std::string_view to_string(TestKeys keys) {
  static constexpr std::string_view kNames[] = {"paths",   "urls",     "uuids",     "dates",
                                                "unicode", "prefixes", "long_ones", "bytes"};
  return kNames[static_cast<uint8_t>(keys)];
}

inline std::string make_key(TestKeys keys, std::mt19937_64& random) {
  static constexpr std::string_view kFolders[] = {"src",     "include",       "usr",   "lib",
                                                  "python3", "site-packages", "x86_64"};
  static constexpr std::string_view kFiles[] = {"main.cc", "__init__.py", "Makefile", "a.o", "README"};
  static constexpr std::string_view kLetters[] = {"\u00e4", "\u00f6", "\u6771",    "\u4eac",
                                                  "\u0436", "e",      "\U0001f600"};
  std::string key;
  switch (keys) {
    case TestKeys::paths:
      for (uint64_t i = 0; i < random() % 5; ++i) {
        key += kFolders[random() % std::size(kFolders)];
        if (random() % 4 == 0) key += std::to_string(random() % 30);
        key += "/";
      }
      if (random() % 8 != 0)
        key += std::string(kFiles[random() % std::size(kFiles)]) + std::to_string(random() % 10);
      break;
    case TestKeys::urls:
      key = fmt::format("https://www.example{}.org/{}/index.html?page={}", random() % 5,
                        kFolders[random() % 7], random() % 300);
      break;
    case TestKeys::uuids:
      key = fmt::format("{:08x}-{:04x}-4{:03x}-{:012x}", random() % 5000, random() & 0xffff, random() & 0xfff,
                        random() & 0xffffffffffff);
      break;
    case TestKeys::dates:
      key = fmt::format("log/{:04}-{:02}-{:02}T{:02}:{:02}.gz", 2020 + random() % 5, 1 + random() % 12,
                        1 + random() % 28, random() % 24, random() % 60);
      break;
    case TestKeys::unicode:
      for (uint64_t i = 0; i < 1 + random() % 6; ++i) key += kLetters[random() % std::size(kLetters)];
      break;
    case TestKeys::prefixes:
      key = std::string(random() % 120, 'a') + std::string(random() % 3, 'b');
      break;
    case TestKeys::long_ones: {
      key = std::string(random() % 3 * 300, 'p') + std::to_string(random() % 10) + "/";
      const uint64_t size = random() % 4 == 0 ? 1024 : random() % 1024;
      while (key.size() < size) key += kFolders[random() % std::size(kFolders)];
      key.resize(std::min<size_t>(key.size(), 1024));
      break;
    }
    case TestKeys::bytes:
      for (uint64_t i = 0; i < random() % 4; ++i) key.push_back(static_cast<char>(random()));
      break;
  }
  return key;
}

}  // namespace fb::art
