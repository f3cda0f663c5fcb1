// SPDX-License-Identifier: Apache-2.0
#include "cli/server_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/ascii.h"
#include "base/bucket_name.h"
#include "cli/s3_client.h"

namespace fb {
namespace {

// A thread takes new blobs into shards of its own, and a store has 16.
constexpr unsigned kThreadsMax = 16;
constexpr uint64_t kMemoryMin = 16 * kMiB;  // request memory for each thread; namespace memory in all
constexpr uint64_t kPeriodDaysMax = 3650;
constexpr size_t kAccessKeySizeMin = 3;
constexpr size_t kAccessKeySizeMax = 128;
constexpr size_t kSecretKeySizeMin = 8;

constexpr std::array kTable = {
    SettingInfo{
        .name = "data_dir",
        .flag = "--data-dir",
        .environment = "FRACTALBITS_DATA_DIR",
        .value_name = "DIR",
        .default_value = "./fractalbits-data",
        .help = "Where everything is kept. Made at the first start; locked against a second process."},
    SettingInfo{.name = "device",
                .flag = "--device",
                .environment = "FRACTALBITS_DEVICE",
                .value_name = "PATH",
                .default_value = "",
                .help =
                    "A block device, or file, made ready by `fractalbits format`: the store is on it, and "
                    "only credentials and what belongs together stay in DIR."},
    SettingInfo{.name = "listen",
                .flag = "--listen",
                .environment = "FRACTALBITS_LISTEN",
                .value_name = "ADDR:PORT",
                .default_value = "127.0.0.1:8080",
                .help = "S3 is served here. Use 0.0.0.0:8080 to be reached from other machines."},
    SettingInfo{.name = "mgmt_listen",
                .flag = "--mgmt-listen",
                .environment = "FRACTALBITS_MGMT_LISTEN",
                .value_name = "ADDR:PORT",
                .default_value = "127.0.0.1:18080",
                .help = "/health, /ready, /metrics and, signed with the root key, POST /fsck and /scrub are "
                        "served here."},
    SettingInfo{.name = "mgmt_hosts",
                .flag = "--mgmt-host",
                .environment = "FRACTALBITS_MGMT_HOSTS",
                .value_name = "NAME[:PORT]",
                .default_value = "",
                .help =
                    "Names of the management port beside its address and localhost. /metrics and orders to "
                    "other names are refused.",
                .list = true},
    SettingInfo{.name = "buckets",
                .flag = "--bucket",
                .environment = "FRACTALBITS_BUCKETS",
                .value_name = "NAME",
                .default_value = "",
                .help = "Buckets to make at start, where missing.",
                .list = true},
    SettingInfo{.name = "domains",
                .flag = "--domain",
                .environment = "FRACTALBITS_DOMAINS",
                .value_name = "NAME",
                .default_value = "",
                .help = "With s3.example.com, requests to bucket.s3.example.com are for that bucket "
                        "(virtual-host style).",
                .list = true},
    SettingInfo{.name = "external_url",
                .flag = "--external-url",
                .environment = "FRACTALBITS_EXTERNAL_URL",
                .value_name = "URL",
                .default_value = "",
                .help = "How clients reach this server through a proxy that rewrites the Host header, as "
                        "https://s3.example.com."},
    SettingInfo{.name = "sigv2",
                .flag = "--sigv2",
                .environment = "FRACTALBITS_SIGV2",
                .value_name = "MODE",
                .default_value = "on",
                .help =
                    "on or off: accept AWS signature version 2 beside version 4. boto3 and AWS CLI 1 make "
                    "presigned URLs with it unless told otherwise."},
    SettingInfo{
        .name = "threads",
        .flag = "--threads",
        .environment = "FRACTALBITS_THREADS",
        .value_name = "N",
        .default_value = "0",
        .help = "Worker threads, one event loop each; 0: one for each CPU this process may use. At most 16."},
    SettingInfo{.name = "pin",
                .flag = "--pin",
                .environment = "FRACTALBITS_PIN",
                .value_name = "",
                .default_value = "false",
                .help = "Pin each worker thread to a CPU of its own."},
    SettingInfo{.name = "tls.cert",
                .flag = "--tls-cert",
                .environment = "FRACTALBITS_TLS_CERT",
                .value_name = "FILE",
                .default_value = "",
                .help = "Serve HTTPS with this certificate chain (PEM). SIGHUP loads it again."},
    SettingInfo{.name = "tls.key",
                .flag = "--tls-key",
                .environment = "FRACTALBITS_TLS_KEY",
                .value_name = "FILE",
                .default_value = "",
                .help = "The private key of --tls-cert (PEM)."},
    SettingInfo{.name = "storage.capacity",
                .flag = "--capacity",
                .environment = "FRACTALBITS_CAPACITY",
                .value_name = "BYTES",
                .default_value = "0",
                .help = "Most bytes of objects to keep; 0: as many as the file system holds."},
    SettingInfo{.name = "storage.durability",
                .flag = "--durability",
                .environment = "FRACTALBITS_DURABILITY",
                .value_name = "MODE",
                .default_value = "strict",
                .help =
                    "strict: what is acknowledged has been flushed to stable media. plp: for drives with "
                    "power-loss protection and 4 KiB atomicity only, which keep what they have answered; no "
                    "flush. On file systems other than ext4 and xfs strict is used all the same."},
    SettingInfo{.name = "storage.scrub_period",
                .flag = "--scrub-period",
                .environment = "FRACTALBITS_SCRUB_PERIOD",
                .value_name = "TIME",
                .default_value = "14d",
                .help =
                    "All content is read and verified once in so long, beside the requests, with a tenth of "
                    "a core's time; as 14d, 12h or 30m. 0 switches it off. What is found is in the log "
                    "and in the metrics."},
    SettingInfo{.name = "storage.namespace_memory",
                .flag = "--namespace-memory",
                .environment = "FRACTALBITS_NAMESPACE_MEMORY",
                .value_name = "BYTES",
                .default_value = "1GiB",
                .help = "Memory for pages of the namespace; it fills as they are used. Keys may take many "
                        "times as much on "
                        "disk: what is not in memory is read."},
    SettingInfo{.name = "cache.size",
                .flag = "--cache-size",
                .environment = "FRACTALBITS_CACHE_SIZE",
                .value_name = "BYTES",
                .default_value = "256MiB",
                .help = "Memory for content that is read again and again; 0 switches it off."},
    SettingInfo{
        .name = "requests.memory",
        .flag = "--request-memory",
        .environment = "FRACTALBITS_REQUEST_MEMORY",
        .value_name = "BYTES",
        .default_value = "128MiB",
        .help = "Memory for bodies on their way in and out, at least 16MiB for each thread. Where it is used "
                "up, further requests wait."},
    SettingInfo{.name = "tier.bucket",
                .flag = "--tier-bucket",
                .environment = "FRACTALBITS_TIER_BUCKET",
                .value_name = "NAME",
                .default_value = "",
                .help =
                    "Keep large objects in this bucket of a cloud or of another S3 server. It must exist. "
                    "docs/tiering.md has the whole."},
    SettingInfo{.name = "tier.endpoint",
                .flag = "--tier-endpoint",
                .environment = "FRACTALBITS_TIER_ENDPOINT",
                .value_name = "URL",
                .default_value = "",
                .help = "Where that bucket is; without it https://s3.<region>.amazonaws.com."},
    SettingInfo{.name = "tier.region",
                .flag = "--tier-region",
                .environment = "FRACTALBITS_TIER_REGION",
                .value_name = "NAME",
                .default_value = "us-east-1",
                .help = "The region of that bucket, which signatures are made for."},
    SettingInfo{.name = "tier.prefix",
                .flag = "--tier-prefix",
                .environment = "FRACTALBITS_TIER_PREFIX",
                .value_name = "TEXT",
                .default_value = "",
                .help = "In front of all keys in that bucket. Each store needs one of its own."},
    SettingInfo{.name = "tier.threshold",
                .flag = "--tier-threshold",
                .environment = "FRACTALBITS_TIER_THRESHOLD",
                .value_name = "BYTES",
                .default_value = "1MiB",
                .help = "Content from this size on goes to that bucket."},
    SettingInfo{.name = "tier.memory",
                .flag = "--tier-memory",
                .environment = "FRACTALBITS_TIER_MEMORY",
                .value_name = "BYTES",
                .default_value = "64MiB",
                .help = "Most memory for content on its way there, of the process; at most half of "
                        "--request-memory. Where it is used up, further uploads wait."},
    SettingInfo{.name = "tier.credentials",
                .flag = "--tier-credentials",
                .environment = "FRACTALBITS_TIER_CREDENTIALS",
                .value_name = "SOURCE",
                .default_value = "auto",
                .help =
                    "environment (FRACTALBITS_TIER_ACCESS_KEY and _SECRET_KEY, or AWS's variables), metadata "
                    "(of an EC2 instance), auto (the environment's if there are any, else metadata), or a "
                    "file with lines access_key and secret_key."},
    SettingInfo{.name = "tier.ca",
                .flag = "--tier-ca",
                .environment = "FRACTALBITS_TIER_CA",
                .value_name = "FILE",
                .default_value = "/etc/ssl/certs/ca-certificates.crt",
                .help = "The authorities to trust there, in PEM."},
    SettingInfo{.name = "tier.proxy",
                .flag = "--tier-proxy",
                .environment = "FRACTALBITS_TIER_PROXY",
                .value_name = "URL",
                .default_value = "",
                .help = "Reach that bucket through this HTTP proxy, as http://10.0.0.1:3128."},
    SettingInfo{.name = "tier.addressing",
                .flag = "--tier-addressing",
                .environment = "FRACTALBITS_TIER_ADDRESSING",
                .value_name = "STYLE",
                .default_value = "path",
                .help = "path (endpoint/bucket/key) or virtual (bucket.endpoint/key)."},
    SettingInfo{.name = "log.level",
                .flag = "--log-level",
                .environment = "FRACTALBITS_LOG_LEVEL",
                .value_name = "LEVEL",
                .default_value = "info",
                .help = "debug, info, warn or error."},
    SettingInfo{.name = "log.format",
                .flag = "--log-format",
                .environment = "FRACTALBITS_LOG_FORMAT",
                .value_name = "FORMAT",
                .default_value = "text",
                .help = "text or json; to standard error."},
    SettingInfo{.name = "log.access",
                .flag = "--access-log",
                .environment = "FRACTALBITS_ACCESS_LOG",
                .value_name = "",
                .default_value = "false",
                .help = "One log line for each request."},
    SettingInfo{
        .name = "io.backend",
        .flag = "--io-backend",
        .environment = "FRACTALBITS_IO_BACKEND",
        .value_name = "NAME",
        .default_value = "auto",
        .help =
            "auto, uring (io_uring) or portable (epoll and I/O threads, where containers forbid io_uring)."},
    SettingInfo{.name = "io.poll",
                .flag = "--io-poll",
                .environment = "FRACTALBITS_IO_POLL",
                .value_name = "MODE",
                .default_value = "auto",
                .help = "auto, on or off: poll NVMe completions instead of waiting for interrupts."},
};

#define FB_CONFIG_TRY(target, ...) FB_TRY_CONFIG_(FB_CONCAT(fb_config_, __COUNTER__), target, __VA_ARGS__)
#define FB_TRY_CONFIG_(temporary, target, ...)               \
  auto temporary = (__VA_ARGS__);                            \
  if (!temporary) return std::unexpected(temporary.error()); \
  target = std::move(*temporary)

ConfigResult<Endpoint> endpoint(const Settings& settings, std::string_view name) {
  const auto parsed = Endpoint::parse(settings.text(name));
  if (parsed) return *parsed;
  return std::unexpected(
      fmt::format("{}: '{}' is not an address and port; write it like 127.0.0.1:8080 or [::1]:8080",
                  settings.find(name)->flag, settings.text(name)));
}

// The host (and port) of an URL; clients sign it.
ConfigResult<std::string> host_of(std::string_view url) {
  if (url.empty()) return std::string();
  const std::string_view original = url;
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (url.starts_with(scheme)) {
      url.remove_prefix(scheme.size());
      if (url.ends_with('/')) url.remove_suffix(1);
      if (!url.empty() && url.find_first_of("/?#@ ") == std::string_view::npos) return std::string(url);
    }
  }
  return std::unexpected(
      fmt::format("--external-url: '{}' must be a scheme and a host, like https://s3.example.com", original));
}

ConfigResult<void> read_credentials(ServerSettings& out,
                                    const std::function<std::string(const char*)>& environment) {
  out.access_key = environment("FRACTALBITS_ACCESS_KEY");
  out.secret_key = Secret(environment("FRACTALBITS_SECRET_KEY"));
  if (out.access_key.empty() != out.secret_key.empty()) {
    return std::unexpected(
        "FRACTALBITS_ACCESS_KEY and FRACTALBITS_SECRET_KEY must be set together, or neither");
  }
  if (out.access_key.empty()) return {};
  const bool plain = std::all_of(out.access_key.begin(), out.access_key.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != '/' && c != ',' && c != '=';
  });
  if (!plain || out.access_key.size() < kAccessKeySizeMin || out.access_key.size() > kAccessKeySizeMax) {
    return std::unexpected(
        "FRACTALBITS_ACCESS_KEY must have 3 to 128 printable characters without '/', ',', '=' and blanks");
  }
  if (out.secret_key.reveal().size() < kSecretKeySizeMin) {
    return std::unexpected("FRACTALBITS_SECRET_KEY must have at least 8 characters");
  }
  return {};
}

// If S3 had the same name, signed S3 requests would be valid as orders to the management port.
ConfigResult<std::vector<std::string>> read_mgmt_hosts(const Settings& settings, std::string_view external) {
  std::vector<std::string> hosts = settings.list("mgmt_hosts");
  for (std::string& host : hosts) {
    for (char& c : host) c = ascii_lower(c);
    const bool plain =
        host.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-_:[]") == std::string::npos;
    if (!plain || host.empty() || host.front() == ':')
      return std::unexpected(
          fmt::format("--mgmt-host: '{}' is not a host name; write NAME or NAME:PORT", host));
    if (ascii_iequals(host, external)) {
      return std::unexpected(
          fmt::format("--mgmt-host: '{}' is the host of --external-url; the two need different ports", host));
    }
  }
  return hosts;
}

ConfigResult<void> read_names(ServerSettings& out, const Settings& settings) {
  out.buckets = settings.list("buckets");
  for (const std::string& bucket : out.buckets) {
    if (!is_valid_bucket_name(bucket)) {
      return std::unexpected(
          fmt::format("FRACTALBITS_BUCKETS: '{}' is not a bucket name; use 3 to 63 lower-case letters, "
                      "digits, dots and hyphens",
                      bucket));
    }
  }
  out.domains = settings.list("domains");
  for (std::string& domain : out.domains) {
    for (char& c : domain) c = ascii_lower(c);
    if (domain.ends_with('.')) domain.pop_back();  // the dot is the root of all names; clients leave it out
    if (domain.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-") != std::string::npos ||
        domain.empty() || domain.starts_with('.')) {
      return std::unexpected(
          fmt::format("--domain: '{}' is not a host name; write it without scheme and port", domain));
    }
  }
  out.external_url = settings.text("external_url");
  FB_CONFIG_TRY(out.external_host, host_of(out.external_url));
  FB_CONFIG_TRY(out.mgmt_hosts, read_mgmt_hosts(settings, out.external_host));
  static constexpr std::array<std::string_view, 2> kModes = {"off", "on"};
  FB_CONFIG_TRY(const size_t mode, settings.choice("sigv2", kModes));
  out.signature_v2 = mode == 1;
  return {};
}

ConfigResult<void> read_io(ServerSettings& out, const Settings& settings) {
  FB_CONFIG_TRY(const uint64_t threads, settings.integer("threads", 0, kThreadsMax));
  out.threads = threads == 0 ? std::min(available_cpus(), kThreadsMax) : static_cast<unsigned>(threads);
  FB_CONFIG_TRY(out.pin, settings.boolean("pin"));
  static constexpr std::array<std::string_view, 3> kBackends = {"auto", "uring", "portable"};
  FB_CONFIG_TRY(const size_t backend, settings.choice("io.backend", kBackends));
  out.io_backend = static_cast<IoBackend>(backend);
  static constexpr std::array<std::string_view, 3> kPolls = {"auto", "on", "off"};
  FB_CONFIG_TRY(const size_t poll, settings.choice("io.poll", kPolls));
  out.io_poll = static_cast<IoPoll>(poll);
  return {};
}

// A number and its unit: d, h, m or s; 0 needs none.
ConfigResult<Duration> read_period(const Settings& settings, std::string_view name) {
  const std::string text(settings.text(name));
  const char* text_end = text.data() + text.size();
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text_end, number);
  const std::string_view unit(end, static_cast<size_t>(text_end - end));
  if (error == std::errc() && number == 0 && unit.empty()) return Duration{};
  static constexpr std::array<std::pair<std::string_view, uint64_t>, 4> kUnits = {
      {{"d", 86'400}, {"h", 3'600}, {"m", 60}, {"s", 1}}};
  for (const auto& [letter, seconds] : kUnits) {
    if (error != std::errc() || unit != letter || number > kPeriodDaysMax * 86'400 / seconds) continue;
    return Duration::seconds(static_cast<int64_t>(number * seconds));
  }
  return std::unexpected(
      fmt::format("{}: '{}' is not a time of at most {} days; write it like 14d, 12h or 30m",
                  settings.find(name)->flag, text, kPeriodDaysMax));
}

ConfigResult<void> read_durability(ServerSettings& out, const Settings& settings) {
  static constexpr std::array<std::string_view, 2> kModes = {"strict", "plp"};
  FB_CONFIG_TRY(const size_t mode, settings.choice("storage.durability", kModes));
  out.durability = static_cast<Durability>(mode);
  FB_CONFIG_TRY(out.scrub_period, read_period(settings, "storage.scrub_period"));
  return {};
}

ConfigResult<void> read_sizes(ServerSettings& out, const Settings& settings) {
  FB_CONFIG_TRY(out.cache_bytes, settings.bytes("cache.size"));
  FB_CONFIG_TRY(out.request_memory_bytes, settings.bytes("requests.memory"));
  FB_CONFIG_TRY(out.capacity_bytes, settings.bytes("storage.capacity"));
  FB_CONFIG_TRY(out.namespace_memory_bytes, settings.bytes("storage.namespace_memory"));
  // The default grows with the machine.
  if (!settings.given("requests.memory"))
    out.request_memory_bytes = std::max(out.request_memory_bytes, kMemoryMin * out.threads);
  if (out.request_memory_bytes < kMemoryMin * out.threads) {
    return std::unexpected(fmt::format("--request-memory: {} threads need at least {} MiB", out.threads,
                                       kMemoryMin * out.threads / kMiB));
  }
  if (out.namespace_memory_bytes < kMemoryMin) {
    return std::unexpected(fmt::format("--namespace-memory: at least {} MiB are needed", kMemoryMin / kMiB));
  }
  return {};
}

ConfigResult<void> read_log(ServerSettings& out, const Settings& settings) {
  static constexpr std::array<std::string_view, 4> kLevels = {"debug", "info", "warn", "error"};
  FB_CONFIG_TRY(const size_t level, settings.choice("log.level", kLevels));
  out.log.level = static_cast<LogLevel>(level);
  static constexpr std::array<std::string_view, 2> kFormats = {"text", "json"};
  FB_CONFIG_TRY(const size_t format, settings.choice("log.format", kFormats));
  out.log.format = static_cast<LogFormat>(format);
  FB_CONFIG_TRY(out.access_log, settings.boolean("log.access"));
  return {};
}

constexpr uint64_t kTierThresholdMin = 64 * kKiB;
constexpr uint64_t kTierThresholdMax = 5 * kGiB;
constexpr size_t kTierPrefixSizeMax = 512;

ConfigResult<void> read_tier_credentials(ServerSettings& out, const std::string& source,
                                         const std::function<std::string(const char*)>& environment) {
  if (source != "auto" && source != "environment" && source != "metadata") {
    out.tier_credentials_path = source;
    return {};
  }
  if (source == "metadata") return {};
  for (const auto& [key, secret, token] :
       {std::array{"FRACTALBITS_TIER_ACCESS_KEY", "FRACTALBITS_TIER_SECRET_KEY",
                   "FRACTALBITS_TIER_SESSION_TOKEN"},
        std::array{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}}) {
    tier::CloudCredentials& credentials = out.tier.credentials;
    credentials = {.access_key = environment(key),
                   .secret_key = Secret(environment(secret)),
                   .session_token = Secret(environment(token))};
    if (credentials.access_key.empty() != credentials.secret_key.empty())
      return std::unexpected(fmt::format("{} and {} must be set together, or neither", key, secret));
    if (!credentials.access_key.empty()) return {};
  }
  if (source == "auto") return {};
  return std::unexpected(
      "--tier-credentials environment: set FRACTALBITS_TIER_ACCESS_KEY and FRACTALBITS_TIER_SECRET_KEY");
}

ConfigResult<void> read_tier_origin(ServerSettings& out, const Settings& settings) {
  tier::TierOptions& options = out.tier.options;
  std::string url(settings.text("tier.endpoint"));
  if (url.empty()) url = fmt::format("https://s3.{}.amazonaws.com", options.region);
  auto endpoint = S3Endpoint::parse(url);
  if (!endpoint) return std::unexpected("--tier-endpoint: " + endpoint.error());
  static constexpr std::array<std::string_view, 2> kStyles = {"path", "virtual"};
  FB_CONFIG_TRY(const size_t style, settings.choice("tier.addressing", kStyles));
  options.bucket_in_host = style == 1;
  const std::string in_front = options.bucket_in_host ? options.bucket + "." : std::string();
  options.origin = {.tls = endpoint->tls,
                    .host = in_front + endpoint->host,
                    .authority = in_front + endpoint->authority,
                    .peer_host = in_front + endpoint->host,
                    .peer_port = endpoint->port};
  const std::string_view proxy = settings.text("tier.proxy");
  if (proxy.empty()) return {};
  const auto way = S3Endpoint::parse(proxy);
  if (!way) return std::unexpected("--tier-proxy: " + way.error());
  if (way->tls) return std::unexpected("--tier-proxy: a proxy is spoken to in plain HTTP; write http://");
  options.origin.proxied = true;
  options.origin.peer_host = way->host;
  options.origin.peer_port = way->port;
  return {};
}

ConfigResult<void> read_tier(ServerSettings& out, const Settings& settings,
                             const std::function<std::string(const char*)>& environment) {
  tier::TierOptions& options = out.tier.options;
  options.bucket = settings.text("tier.bucket");
  if (options.bucket.empty()) {
    if (!settings.text("tier.endpoint").empty())
      return std::unexpected("--tier-endpoint needs --tier-bucket");
    return {};
  }
  if (!is_valid_bucket_name(options.bucket))
    return std::unexpected(fmt::format("--tier-bucket: '{}' is not a bucket name", options.bucket));
  options.region = settings.text("tier.region");
  options.prefix = settings.text("tier.prefix");
  const bool plain = std::ranges::all_of(options.prefix, [](char c) { return c > ' ' && c < 0x7f; });
  if (!plain || options.prefix.size() > kTierPrefixSizeMax)
    return std::unexpected("--tier-prefix: at most 512 printable characters without blanks");
  if (auto read = read_tier_origin(out, settings); !read) return read;
  FB_CONFIG_TRY(options.threshold_bytes, settings.bytes("tier.threshold"));
  if (options.threshold_bytes < kTierThresholdMin || options.threshold_bytes > kTierThresholdMax)
    return std::unexpected("--tier-threshold: between 64KiB and 5GiB");
  FB_CONFIG_TRY(options.memory_bytes, settings.bytes("tier.memory"));
  if (options.memory_bytes < tier::kUploadPieceBytes * out.threads) {
    return std::unexpected(fmt::format("--tier-memory: {} threads need at least {} MiB", out.threads,
                                       tier::kUploadPieceBytes * out.threads / kMiB));
  }
  options.memory_bytes /= out.threads;
  out.tier.authorities_path = settings.text("tier.ca");
  return read_tier_credentials(out, std::string(settings.text("tier.credentials")), environment);
}

}  // namespace

std::span<const SettingInfo> server_setting_table() { return kTable; }

ConfigResult<ServerSettings> resolve_server_settings(
    const Settings& settings, const std::function<std::string(const char*)>& environment) {
  ServerSettings out;
  out.data_dir = settings.text("data_dir");
  if (out.data_dir.empty()) return std::unexpected("--data-dir: the name of a directory is needed");
  while (out.data_dir.size() > 1 && out.data_dir.ends_with('/')) out.data_dir.pop_back();
  out.device = settings.text("device");
  FB_CONFIG_TRY(out.listen, endpoint(settings, "listen"));
  FB_CONFIG_TRY(out.mgmt_listen, endpoint(settings, "mgmt_listen"));
  out.tls_cert = settings.text("tls.cert");
  out.tls_key = settings.text("tls.key");
  if (out.tls_cert.empty() != out.tls_key.empty()) {
    return std::unexpected("--tls-cert and --tls-key must be given together");
  }
  for (const auto read : {&read_names, &read_io, &read_durability, &read_sizes, &read_log}) {
    if (auto done = read(out, settings); !done) return std::unexpected(done.error());
  }
  if (auto done = read_credentials(out, environment); !done) return std::unexpected(done.error());
  if (auto done = read_tier(out, settings, environment); !done) return std::unexpected(done.error());
  return out;
}

}  // namespace fb
