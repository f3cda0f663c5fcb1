// SPDX-License-Identifier: Apache-2.0
#include "base/config.h"

#include <gtest/gtest.h>

#include <array>

namespace fb {
namespace {

constexpr std::array kTable = {
    SettingInfo{.name = "listen",
                .flag = "--listen",
                .environment = "X_LISTEN",
                .value_name = "ADDR",
                .default_value = "127.0.0.1:1",
                .help = "where"},
    SettingInfo{.name = "threads",
                .flag = "--threads",
                .environment = "X_THREADS",
                .value_name = "N",
                .default_value = "2",
                .help = "how many"},
    SettingInfo{.name = "cache.size",
                .flag = "--cache-size",
                .environment = "X_CACHE",
                .value_name = "BYTES",
                .default_value = "64MiB",
                .help = "memory\nfor objects"},
    SettingInfo{.name = "cache.on",
                .flag = "--cache",
                .environment = "X_CACHE_ON",
                .value_name = "",
                .default_value = "true",
                .help = "use it"},
    SettingInfo{.name = "domains",
                .flag = "--domain",
                .environment = "X_DOMAINS",
                .value_name = "NAME",
                .default_value = "",
                .help = "names",
                .list = true},
};

TEST(Config, LaterPlacesOverrideEarlierOnes) {
  Settings settings(kTable);
  EXPECT_EQ(settings.text("listen"), "127.0.0.1:1");
  EXPECT_FALSE(settings.given("listen"));
  ASSERT_TRUE(
      settings.load_file("listen = \"a:1\"\nthreads = 4\n[cache]\nsize = \"1 GiB\"\non = false\n", "f.toml"));
  ASSERT_TRUE(settings.set("listen", "b:2", "X_LISTEN"));
  ASSERT_TRUE(settings.set("listen", "c:3", "--listen"));
  EXPECT_EQ(settings.text("listen"), "c:3");
  EXPECT_EQ(settings.integer("threads", 1, 8), 4u);
  EXPECT_EQ(settings.bytes("cache.size"), 1u << 30);
  EXPECT_EQ(settings.boolean("cache.on"), false);
}

TEST(Config, ListsComeFromArraysAndCommas) {
  Settings settings(kTable);
  ASSERT_TRUE(settings.load_file("domains = [\"a.b\", \"c.d\"]", "f.toml"));
  EXPECT_EQ(settings.list("domains"), (std::vector<std::string>{"a.b", "c.d"}));
  ASSERT_TRUE(settings.set("domains", " x , ,y", "--domain"));
  EXPECT_EQ(settings.list("domains"), (std::vector<std::string>{"x", "y"}));
}

TEST(Config, MistakesAreExplainedWithTheirPlace) {
  Settings settings(kTable);
  EXPECT_EQ(settings.load_file("treads = 4", "f.toml").error(),
            "f.toml:1: treads is not a setting; did you mean threads?");
  EXPECT_EQ(settings.load_file("\n\nlisten = ", "f.toml").error().substr(0, 9), "f.toml:3:");
  ASSERT_TRUE(settings.set("threads", "many", "--threads"));
  EXPECT_EQ(settings.integer("threads", 1, 8).error(), "--threads: 'many' is not a whole number from 1 to 8");
  ASSERT_TRUE(settings.set("threads", "9", "--threads"));
  EXPECT_FALSE(settings.integer("threads", 1, 8));
  ASSERT_TRUE(settings.set("cache.size", "12 parsecs", "--cache-size"));
  EXPECT_NE(settings.bytes("cache.size").error().find("64MiB"), std::string::npos);
  ASSERT_TRUE(settings.set("cache.on", "maybe", "--cache"));
  EXPECT_FALSE(settings.boolean("cache.on"));
}

TEST(Config, OnlyAsciiIsRead) {
  const std::string nul("listen = \"a\"\n[\0\0a]\n", 19);
  EXPECT_TRUE(parse_toml(nul, "f.toml").error().starts_with("f.toml:2: only printable ASCII"));
  EXPECT_FALSE(parse_toml("\xc4\x96J", "f.toml"));
}

TEST(Config, Sizes) {
  EXPECT_EQ(parse_bytes("0"), 0u);
  EXPECT_EQ(parse_bytes("1.5 GiB"), 1610612736u);
  EXPECT_EQ(parse_bytes("10KB"), 10000u);
  EXPECT_EQ(parse_bytes("2k"), 2048u);
  EXPECT_FALSE(parse_bytes(""));
  EXPECT_FALSE(parse_bytes("-1"));
  EXPECT_FALSE(parse_bytes("nan"));
  EXPECT_FALSE(parse_bytes("9999999999999 TiB"));
}

TEST(Config, TheSampleFileLoadsAndSetsNothing) {
  Settings settings(kTable);
  ASSERT_TRUE(settings.load_file(Settings::sample_file(kTable), "sample.toml"));
  EXPECT_FALSE(settings.given("cache.size"));
  std::string uncommented = Settings::sample_file(kTable);
  for (size_t at = 0; (at = uncommented.find("\n#", at)) != std::string::npos; ++at) {
    if (uncommented[at + 2] != ' ') uncommented.erase(at + 1, 1);
  }
  ASSERT_TRUE(settings.load_file(uncommented, "sample.toml")) << uncommented;
  EXPECT_TRUE(settings.given("cache.size"));
}

}  // namespace
}  // namespace fb
