// SPDX-License-Identifier: Apache-2.0
#include "cli/server_settings.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace fb {
namespace {

using Environment = std::map<std::string, std::string>;

ConfigResult<ServerSettings> resolve(const Settings& settings, const Environment& environment = {}) {
  return resolve_server_settings(settings, [&](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? std::string() : found->second;
  });
}

Settings with(std::string_view name, std::string_view value) {
  Settings settings(server_setting_table());
  EXPECT_TRUE(settings.set(name, value, "--test").has_value()) << name;
  return settings;
}

std::string complaint(std::string_view name, std::string_view value) {
  const auto resolved = resolve(with(name, value));
  return resolved ? std::string("accepted") : resolved.error();
}

TEST(ServerSettings, Defaults) {
  const auto resolved = resolve(Settings(server_setting_table()));
  ASSERT_TRUE(resolved) << resolved.error();
  EXPECT_EQ(resolved->data_dir, "./fractalbits-data");
  EXPECT_EQ(resolved->listen.to_string(), "127.0.0.1:8080");
  EXPECT_EQ(resolved->mgmt_listen.to_string(), "127.0.0.1:18080");
  EXPECT_GE(resolved->threads, 1U);
  EXPECT_FALSE(resolved->pin);
  EXPECT_TRUE(resolved->tls_cert.empty() && resolved->access_key.empty() && resolved->buckets.empty());
  EXPECT_EQ(resolved->io_backend, IoBackend::automatic);
  EXPECT_EQ(resolved->io_poll, IoPoll::automatic);
  EXPECT_EQ(resolved->namespace_memory_bytes, 1 * kGiB);
  EXPECT_EQ(resolved->cache_bytes, 256 * kMiB);
  EXPECT_GE(resolved->request_memory_bytes, 128 * kMiB);
  EXPECT_EQ(resolved->durability, Durability::strict);
}

TEST(ServerSettings, ScrubPeriod) {
  EXPECT_EQ(resolve(Settings(server_setting_table()))->scrub_period, Duration::minutes(14 * 24 * 60));
  EXPECT_EQ(resolve(with("storage.scrub_period", "90s"))->scrub_period, Duration::seconds(90));
  EXPECT_EQ(resolve(with("storage.scrub_period", "2h"))->scrub_period, Duration::minutes(120));
  EXPECT_EQ(resolve(with("storage.scrub_period", "0"))->scrub_period, Duration{});
  for (const char* wrong : {"5", "d", "-1d", "1.5d", "1w", "99999999999999999999d", "4000d", "1d "})
    EXPECT_NE(complaint("storage.scrub_period", wrong).find("--scrub-period"), std::string::npos) << wrong;
}

TEST(ServerSettings, Durability) {
  EXPECT_EQ(resolve(with("storage.durability", "plp"))->durability, Durability::plp);
  EXPECT_EQ(resolve(with("storage.durability", "strict"))->durability, Durability::strict);
  EXPECT_NE(complaint("storage.durability", "none").find("strict"), std::string::npos);
}

// A server on a machine with many processors starts without settings, too.
TEST(ServerSettings, RequestMemoryGrowsWithTheThreads) {
  const auto many = resolve(with("threads", "16"));
  ASSERT_TRUE(many) << many.error();
  EXPECT_EQ(many->request_memory_bytes, 16 * 16 * kMiB);
  EXPECT_EQ(resolve(with("threads", "2"))->request_memory_bytes, 128 * kMiB);
  Settings little = with("threads", "16");
  ASSERT_TRUE(little.set("requests.memory", "100MiB", "--request-memory"));
  EXPECT_NE(resolve(little).error().find("--request-memory"), std::string::npos);
}

TEST(ServerSettings, TheTableIsWhole) {
  std::set<std::string_view> names;
  for (const SettingInfo& info : server_setting_table()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_TRUE(names.insert(info.flag).second) << info.flag;
    EXPECT_TRUE(names.insert(info.environment).second) << info.environment;
    EXPECT_TRUE(info.flag.starts_with("--")) << info.flag;
    EXPECT_TRUE(info.environment.starts_with("FRACTALBITS_")) << info.environment;
    EXPECT_FALSE(info.help.empty());
    // The default is itself a valid value.
    EXPECT_TRUE(resolve(with(info.name, info.default_value))) << info.name;
  }
}

TEST(ServerSettings, EverySettingFromTheFile) {
  Settings settings(server_setting_table());
  const auto loaded = settings.load_file(
      "data_dir = \"/data/\"\nlisten = \"0.0.0.0:80\"\nmgmt_listen = \"[::1]:81\"\n"
      "buckets = [\"aaa\", \"bbb\"]\ndomains = [\"S3.Example.com.\"]\nthreads = 3\npin = true\n"
      "external_url = \"https://s3.example.com:444/\"\n"
      "[tls]\ncert = \"c.pem\"\nkey = \"k.pem\"\n"
      "[storage]\ncapacity = \"1TiB\"\nnamespace_memory = 1073741824\n"
      "[cache]\nsize = 0\n[requests]\nmemory = \"64 MiB\"\n"
      "[log]\nlevel = \"debug\"\nformat = \"json\"\naccess = true\n"
      "[io]\nbackend = \"portable\"\npoll = \"off\"\n",
      "f.toml");
  ASSERT_TRUE(loaded) << loaded.error();
  const auto resolved = resolve(settings);
  ASSERT_TRUE(resolved) << resolved.error();
  EXPECT_EQ(resolved->data_dir, "/data");
  EXPECT_EQ(resolved->listen.to_string(), "0.0.0.0:80");
  EXPECT_EQ(resolved->mgmt_listen.to_string(), "[::1]:81");
  EXPECT_EQ(resolved->buckets, (std::vector<std::string>{"aaa", "bbb"}));
  EXPECT_EQ(resolved->domains, std::vector<std::string>{"s3.example.com"});
  EXPECT_EQ(resolved->threads, 3U);
  EXPECT_TRUE(resolved->pin);
  EXPECT_EQ(resolved->external_host, "s3.example.com:444");
  EXPECT_EQ(resolved->tls_cert, "c.pem");
  EXPECT_EQ(resolved->tls_key, "k.pem");
  EXPECT_EQ(resolved->capacity_bytes, 1 * kTiB);
  EXPECT_EQ(resolved->namespace_memory_bytes, 1 * kGiB);
  EXPECT_EQ(resolved->cache_bytes, 0U);
  EXPECT_EQ(resolved->request_memory_bytes, 64 * kMiB);
  EXPECT_EQ(resolved->log.level, LogLevel::debug);
  EXPECT_EQ(resolved->log.format, LogFormat::json);
  EXPECT_TRUE(resolved->access_log);
  EXPECT_EQ(resolved->io_backend, IoBackend::portable);
  EXPECT_EQ(resolved->io_poll, IoPoll::off);
  // A later value wins.
  ASSERT_TRUE(settings.set("threads", "2", "FRACTALBITS_THREADS"));
  ASSERT_TRUE(settings.set("threads", "4", "--threads"));
  EXPECT_EQ(resolve(settings)->threads, 4U);
}

TEST(ServerSettings, ComplaintsNameThePlaceAndTheValue) {
  EXPECT_NE(complaint("listen", "nowhere").find("'nowhere'"), std::string::npos);
  EXPECT_NE(complaint("mgmt_listen", "1.2.3.4").find("--mgmt-listen"), std::string::npos);
  EXPECT_NE(complaint("threads", "-1"), "accepted");
  EXPECT_NE(complaint("threads", "257"), "accepted");
  EXPECT_NE(complaint("pin", "perhaps"), "accepted");
  EXPECT_NE(complaint("tls.cert", "c.pem").find("--tls-key"), std::string::npos);
  EXPECT_NE(complaint("tls.key", "k.pem").find("--tls-cert"), std::string::npos);
  EXPECT_NE(complaint("buckets", "good-one,Bad_One").find("'Bad_One'"), std::string::npos);
  EXPECT_NE(complaint("domains", "http://x"), "accepted");
  EXPECT_NE(complaint("domains", "."), "accepted");
  EXPECT_NE(complaint("external_url", "s3.example.com"), "accepted");
  EXPECT_NE(complaint("external_url", "https://a/b"), "accepted");
  EXPECT_NE(complaint("cache.size", "much"), "accepted");
  EXPECT_NE(complaint("storage.namespace_memory", "1MiB"), "accepted");
  EXPECT_NE(complaint("log.level", "loud").find("warn"), std::string::npos);
  EXPECT_NE(complaint("log.format", "xml").find("json"), std::string::npos);
  EXPECT_NE(complaint("io.backend", "aio").find("uring"), std::string::npos);
  EXPECT_NE(complaint("io.poll", "maybe"), "accepted");
  EXPECT_NE(complaint("data_dir", ""), "accepted");
}

TEST(ServerSettings, Credentials) {
  const Settings none(server_setting_table());
  const auto given = resolve(
      none, {{"FRACTALBITS_ACCESS_KEY", "someone"}, {"FRACTALBITS_SECRET_KEY", "a secret of some length"}});
  ASSERT_TRUE(given) << given.error();
  EXPECT_EQ(given->access_key, "someone");
  EXPECT_EQ(given->secret_key.reveal(), "a secret of some length");
  const std::vector<Environment> refused = {
      {{"FRACTALBITS_ACCESS_KEY", "someone"}},
      {{"FRACTALBITS_SECRET_KEY", "a secret of some length"}},
      {{"FRACTALBITS_ACCESS_KEY", "a/b"}, {"FRACTALBITS_SECRET_KEY", "a secret of some length"}},
      {{"FRACTALBITS_ACCESS_KEY", "ab"}, {"FRACTALBITS_SECRET_KEY", "a secret of some length"}},
      {{"FRACTALBITS_ACCESS_KEY", "someone"}, {"FRACTALBITS_SECRET_KEY", "short"}}};
  for (const Environment& environment : refused) {
    const auto resolved = resolve(none, environment);
    ASSERT_FALSE(resolved);
    EXPECT_EQ(resolved.error().find("a secret of"), std::string::npos) << "secrets are not repeated";
  }
}

TEST(ServerSettings, CloudTier) {
  const auto resolve_tier = [](std::vector<std::pair<const char*, const char*>> values,
                               const Environment& environment) {
    Settings settings = with("tier.bucket", "large-objects");
    for (const auto& [name, value] : values) EXPECT_TRUE(settings.set(name, value, "--test")) << name;
    return resolve(settings, environment);
  };
  const Environment aws = {
      {"AWS_ACCESS_KEY_ID", "KEY"}, {"AWS_SECRET_ACCESS_KEY", "secret"}, {"AWS_SESSION_TOKEN", "token"}};
  const auto amazon = resolve_tier({{"tier.region", "eu-central-1"}}, aws);
  ASSERT_TRUE(amazon) << amazon.error();
  EXPECT_EQ(amazon->tier.options.origin.authority, "s3.eu-central-1.amazonaws.com");
  EXPECT_EQ(amazon->tier.options.origin.peer_host, "s3.eu-central-1.amazonaws.com");
  EXPECT_EQ(amazon->tier.options.origin.peer_port, 443);
  EXPECT_TRUE(amazon->tier.options.origin.tls);
  EXPECT_EQ(amazon->tier.credentials.access_key, "KEY");
  EXPECT_EQ(amazon->tier.credentials.session_token.reveal(), "token");
  EXPECT_TRUE(resolve_tier({}, {})->tier.credentials.access_key.empty()) << "the instance's";

  const auto other = resolve_tier({{"tier.endpoint", "http://10.0.0.5:9000"},
                                   {"tier.addressing", "virtual"},
                                   {"tier.proxy", "http://10.0.0.1:3128"},
                                   {"tier.credentials", "/etc/keys"}},
                                  aws);
  ASSERT_TRUE(other) << other.error();
  EXPECT_EQ(other->tier.options.origin.authority, "large-objects.10.0.0.5:9000");
  EXPECT_EQ(other->tier.options.origin.peer_host, "10.0.0.1");
  EXPECT_EQ(other->tier.options.origin.peer_port, 3128);
  EXPECT_TRUE(other->tier.options.origin.proxied);
  EXPECT_EQ(other->tier_credentials_path, "/etc/keys");
  EXPECT_TRUE(other->tier.credentials.access_key.empty());

  const std::vector<std::pair<const char*, const char*>> refused = {
      {"tier.bucket", "No"},       {"tier.endpoint", "10.0.0.5"},    {"tier.threshold", "1KiB"},
      {"tier.threshold", "6GiB"},  {"tier.memory", "1MiB"},          {"tier.proxy", "https://10.0.0.1"},
      {"tier.addressing", "both"}, {"tier.prefix", "with a blank/"}, {"tier.credentials", "environment"}};
  for (const auto& setting : refused) EXPECT_FALSE(resolve_tier({setting}, {})) << setting.first;
  EXPECT_FALSE(resolve_tier({}, {{"FRACTALBITS_TIER_ACCESS_KEY", "alone"}}));
  EXPECT_FALSE(resolve(with("tier.endpoint", "http://10.0.0.5"))) << "without a bucket";
}

// The sample is a file that can be loaded as it is, and with every line switched on.
TEST(ServerSettings, TheSampleLoads) {
  const std::string sample = Settings::sample_file(server_setting_table());
  Settings commented(server_setting_table());
  const auto loaded = commented.load_file(sample, "sample.toml");
  ASSERT_TRUE(loaded) << loaded.error();
  std::string enabled;
  for (size_t at = 0; at < sample.size();) {
    const size_t end = sample.find('\n', at);
    const std::string line = sample.substr(at, end - at);
    enabled += (line.starts_with("#") && !line.starts_with("# ") ? line.substr(1) : line) + "\n";
    at = end + 1;
  }
  Settings settings(server_setting_table());
  const auto all = settings.load_file(enabled, "sample.toml");
  ASSERT_TRUE(all) << all.error() << "\n" << enabled;
  for (const SettingInfo& info : server_setting_table()) {
    EXPECT_TRUE(settings.given(info.name)) << info.name;
    EXPECT_EQ(settings.text(info.name), info.default_value) << info.name;
  }
  EXPECT_TRUE(resolve(settings));
}

}  // namespace
}  // namespace fb
