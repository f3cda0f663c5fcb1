// SPDX-License-Identifier: Apache-2.0
#include "cli/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <optional>
#include <unordered_set>
#include <vector>

#include "api/api_server.h"
#include "bss/blob/store.h"
#include "bss/metadata_store.h"
#include "cli/data_directory.h"
#include "cli/descriptors.h"
#include "cli/fsck.h"
#include "cli/management.h"
#include "cli/management_guard.h"
#include "cli/metrics.h"
#include "cli/store_place.h"
#include "http/http_server.h"
#include "http/tls_context.h"
#include "io/call_on.h"
#include "io/log.h"
#include "io/private_files.h"
#include "nss/partition_front.h"
#include "rss/embedded_registry.h"
#include "s3/time.h"
#include "tier/tier.h"

namespace fb {
namespace {

// After SIGTERM, requests in progress may take this long.
constexpr Duration kStopGrace = Duration::seconds(20);
// The root account: one owner until there are more keys. Canonical user ids are 64 hexadecimal digits.
constexpr std::string_view kRootOwner = "f2ac7a1b17500000000000000000000000000000000000000000000000000001";
constexpr std::string_view kRootDisplayName = "root";

// A certificate that clients will refuse is loaded all the same: the operator may be renewing it just now.
void warn_of_expiry(Env& env, const TlsContext& tls) {
  const bool expired = tls.certificate_expires() <= env.wall_clock();
  log(env, expired ? LogLevel::warn : LogLevel::info,
      expired ? "the TLS certificate has expired" : "TLS certificate loaded",
      {{"expires", s3::format_iso8601_ms(tls.certificate_expires().milliseconds())}});
}

}  // namespace

// What belongs to one core; made, used and destroyed there.
struct Server::Core {
  explicit Core(Env& env_in) : env(env_in), serving(env_in), stopped(env_in) {}

  Env& env;
  std::unique_ptr<PartitionFront> names;
  std::unique_ptr<bss::BlobFront> blobs;
  std::unique_ptr<EmbeddedRegistry> roots;
  std::unique_ptr<tier::TierCore> tier;
  std::unique_ptr<api::ApiServer> api;
  TlsContext tls;
  std::unique_ptr<HttpServer> http;
  Scope serving;  // the HTTP servers
  Notification stopped;
  bool finished = false;

  static Task<void> run_http(HttpServer* server) { co_await server->run(); }
};

struct Server::Shared {
  std::optional<DataDirectory> directory;
  std::optional<StorePlace> place;
  std::unique_ptr<bss::MetadataStore> metadata;
  std::unique_ptr<Partition> partition;
  std::unique_ptr<bss::BlobStore> store;
  std::unique_ptr<EmbeddedRegistryGroup> registry;
  std::vector<KeyInfo> keys;
  ServerReady ready;
  std::optional<ManagementGuard> guard;
  std::unique_ptr<ManagementHandler> management;
  std::unique_ptr<HttpServer> management_http;
  Durability durability = Durability::strict;  // in effect
  bool serving = false;
  tier::TierShared tier_shared;
  std::unique_ptr<tier::Tier> tier;
  std::vector<std::unique_ptr<Core>> cores;  // last: what they hold refers to the rest
};

Server::Server(ServerSettings settings, std::function<void(const ServerReady&)> on_ready)
    : settings_(std::move(settings)), on_ready_(std::move(on_ready)), shared_(std::make_unique<Shared>()) {
  shared_->cores.resize(settings_.threads);
}

Server::~Server() = default;

Server::Core& Server::core_of(Env& env) { return *shared_->cores[env.core()]; }

// Runs `function` on one core after the other; the first problem ends it.
template <class Function>
Task<ConfigResult<void>> Server::on_each_core(Env& env, Function function) {
  for (unsigned core = 0; core < env.core_count(); ++core) {
    auto done = co_await call_on(env, core, function);
    if (!done) co_return done;
  }
  co_return ConfigResult<void>();
}

Task<void> Server::run_core(Env& env) {
  FB_ASSERT(env.core_count() == settings_.threads, env.core_count(), settings_.threads);
  shared_->cores[env.core()] = std::make_unique<Core>(env);
  if (env.core() == 0) {
    co_await run_first_core(env);
  } else {
    while (!core_of(env).finished) co_await core_of(env).stopped.wait();
  }
  shared_->cores[env.core()].reset();
}

// What lets others listen or read along, as the operator may not have meant it.
void Server::warn_of_exposure(Env& env) const {
  for (const std::string& notice : settings_.notices) log(env, LogLevel::warn, notice);
  if (!settings_.listen.is_loopback() && settings_.tls_cert.empty()) {
    log(env, LogLevel::warn,
        "S3 is served beyond this machine without TLS: objects can be read and requests replayed on the way; "
        "give "
        "--tls-cert, or let a proxy with TLS be the only way here",
        {{"listen", settings_.listen.to_string()}});
  }
  if (!settings_.mgmt_listen.is_loopback()) {
    log(env, LogLevel::warn, "the management port is open beyond this machine, without TLS",
        {{"mgmt_listen", settings_.mgmt_listen.to_string()}});
  }
  if (has_tier() && !settings_.tier.options.origin.tls) {
    log(env, LogLevel::warn,
        "the cloud bucket is spoken to in plain HTTP: objects can be read and changed on the way; give an "
        "https:// "
        "endpoint");
  }
}

Task<void> Server::run_first_core(Env& env) {
  warn_of_exposure(env);
  auto started = co_await start(env);
  if (started) {
    log(env, LogLevel::info, "serving",
        {{"url", shared_->ready.url},
         {"data_dir", settings_.data_dir},
         {"device", settings_.device},
         {"threads", settings_.threads},
         {"io", env.name()},
         {"durability", to_string(shared_->durability)}});
    shared_->serving = true;
    if (on_ready_) on_ready_(shared_->ready);
    co_await serve_until_stopped(env);
    shared_->serving = false;
  } else {
    failure_ = started.error();
  }
  co_await stop(env);
  for (unsigned core = 1; core < env.core_count(); ++core) {
    co_await call_on(env, core, [this](Env& there) -> Task<void> {
      core_of(there).finished = true;
      core_of(there).stopped.notify_all();
      co_return;
    });
  }
}

Task<ConfigResult<void>> Server::start(Env& env) {
  auto started = co_await start_store(env);
  if (!started) co_return started;
  started = co_await on_each_core(env, [this](Env& there) { return start_core(there); });
  if (!started) co_return started;
  started = co_await start_background(env);
  if (!started) co_return started;
  started = co_await make_buckets(env);
  if (!started) co_return started;
  co_return co_await start_listening(env);
}

Task<ConfigResult<void>> Server::start_store(Env& env) {
  auto directory = co_await DataDirectory::open(env, settings_.data_dir);
  if (!directory) co_return std::unexpected(directory.error());
  shared_->directory = std::move(*directory);
  auto place = co_await StorePlace::open(env, *shared_->directory, settings_.device);
  if (!place) co_return std::unexpected(place.error());
  shared_->place = std::move(*place);
  co_await choose_durability(env);
  if (auto prepared = co_await prepare_tier(env); !prepared) co_return prepared;

  KeyInfo root{.owner = std::string(kRootOwner), .owner_display_name = std::string(kRootDisplayName)};
  ServerReady& ready = shared_->ready;
  ready.data_dir = settings_.data_dir;
  ready.device = settings_.device;
  if (settings_.access_key.empty()) {
    auto credentials = co_await shared_->directory->root_credentials(env);
    if (!credentials) co_return std::unexpected(credentials.error());
    root.access_key = credentials->access_key;
    root.secret = credentials->secret_key;
    ready.credentials_path = shared_->directory->credentials_path();
    ready.credentials_made_now = credentials->made_now;
    if (credentials->made_now) ready.secret_key = credentials->secret_key;
  } else {
    root.access_key = settings_.access_key;
    root.secret = settings_.secret_key;
  }
  ready.access_key = root.access_key;
  shared_->keys.push_back(std::move(root));

  if (auto opened = co_await open_namespace(env); !opened) co_return opened;

  bss::BlobStoreOptions blobs{.directory = shared_->place->blobs_path(),
                              .durability = shared_->durability,
                              .incarnation = shared_->partition->incarnation(),
                              .capacity_bytes = settings_.capacity_bytes,
                              .cache_bytes = settings_.cache_bytes / settings_.threads,
                              .scrub_period = settings_.scrub_period};
  settings_.tuning.apply(blobs);
  auto store = co_await bss::BlobStore::open(env, blobs);
  if (!store) {
    co_return std::unexpected(
        fmt::format("{}: the blob store could not be opened: {}; the log says what is wrong", blobs.directory,
                    store.error().to_string()));
  }
  shared_->store = std::move(*store);
  shared_->registry = std::make_unique<EmbeddedRegistryGroup>(env.core_count());
  co_return ConfigResult<void>();
}

Task<ConfigResult<void>> Server::open_namespace(Env& env) {
  bss::MetadataStore::Options stores{.directory = shared_->place->namespace_path(),
                                     .store_id = shared_->directory->store_id(),
                                     .durability = shared_->durability,
                                     .scrub_period = settings_.scrub_period};
  settings_.tuning.apply(stores);
  stores.reserve_pages =
      Partition::reserve_pages(settings_.namespace_memory_bytes, stores.page_bytes, env.core_count());
  const auto failed = [&](const Error& error) {
    return std::unexpected(
        fmt::format("{}: the namespace could not be opened: {}; the log says where it is damaged",
                    stores.directory, error.to_string()));
  };
  auto metadata = co_await bss::MetadataStore::open(env, stores);
  if (!metadata) co_return failed(metadata.error());
  shared_->metadata = std::move(*metadata);
  const Partition::Options names{.memory_bytes = settings_.namespace_memory_bytes,
                                 .sweep_always = has_tier()};
  auto partition = co_await Partition::open(env, names, shared_->metadata->clients());
  if (!partition) co_return failed(partition.error());
  shared_->partition = std::move(*partition);
  co_return ConfigResult<void>();
}

// Never weaker than what was asked for, and stricter where the file system would not keep to it.
Task<void> Server::choose_durability(Env& env) {
  shared_->durability = settings_.durability;
  if (settings_.durability == Durability::strict) co_return;
  const auto space = co_await file_system_space(env, shared_->place->path());
  if (space && space->overwrites_in_place) {
    log(env, LogLevel::warn,
        "durability plp: what is acknowledged is not flushed; a drive without power-loss protection loses "
        "it");
    co_return;
  }
  shared_->durability = Durability::strict;
  log(env, LogLevel::warn, "durability plp needs ext4, xfs or a block device: strict is used",
      {{"place", shared_->place->path()}});
}

Task<ConfigResult<void>> Server::start_core(Env& env) {
  Core& core = core_of(env);
  if (!settings_.tls_cert.empty()) {
    std::string message;
    const auto loaded = co_await core.tls.load_server(env, settings_.tls_cert, settings_.tls_key, message);
    if (!loaded) co_return std::unexpected(message);
    if (env.core() == 0) warn_of_expiry(env, core.tls);
  }
  if (auto attached = co_await shared_->place->attach(env); !attached) co_return attached;
  core.names = co_await PartitionFront::open(env, *shared_->partition);
  auto blobs = std::make_unique<bss::BlobFront>(env, *shared_->store);
  if (auto opened = co_await blobs->open(); !opened) {
    co_return std::unexpected(fmt::format("{}: the blobs could not be opened: {}; the log says what is wrong",
                                          shared_->place->blobs_path(), opened.error().to_string()));
  }
  core.blobs = std::move(blobs);
  core.names->use_blobs(*core.blobs);
  auto roots = co_await EmbeddedRegistry::open(
      env, *shared_->registry, *core.names,
      [&core](const CallContext& context) { return core.names->trees(context); }, shared_->keys);
  if (!roots) {
    co_return std::unexpected(
        fmt::format("the list of buckets could not be read: {}", roots.error().to_string()));
  }
  core.roots = std::move(*roots);
  const api::ApiOptions options{.domains = settings_.domains,
                                .external_host = settings_.external_host,
                                .signature_v2 = settings_.signature_v2,
                                .access_log = settings_.access_log};
  if (has_tier()) {
    auto opened =
        co_await tier::TierCore::open(env, settings_.tier, shared_->tier_shared, *core.names, *core.blobs);
    if (!opened) co_return std::unexpected(opened.error());
    core.tier = std::move(*opened);
  }
  core.api = std::make_unique<api::ApiServer>(
      api::Services{env, *core.names, *core.blobs, core.tier ? &core.tier->store() : nullptr}, *core.roots,
      options);
  co_return ConfigResult<void>();
}

// What the settings leave to the start: credentials in a file, and what the data directory says.
Task<ConfigResult<void>> Server::prepare_tier(Env& env) {
  if (!has_tier()) {
    if (co_await read_small_file(env, shared_->directory->tier_path(), kMiB)) {
      log(env, LogLevel::warn,
          "this store has kept large objects in a cloud bucket; without --tier-bucket they cannot be read",
          {{"data_dir", settings_.data_dir}});
    }
    co_return ConfigResult<void>();
  }
  tier::TierConfig& config = settings_.tier;
  config.options.store_id = shared_->directory->store_id();
  config.options.state_path = shared_->directory->tier_path();
  if (!settings_.tier_credentials_path.empty()) {
    auto read = co_await read_credentials_file(env, settings_.tier_credentials_path);
    if (!read) co_return std::unexpected(fmt::format("--tier-credentials: {}", read.error()));
    config.credentials = {.access_key = read->access_key, .secret_key = read->secret_key};
  }
  co_return ConfigResult<void>();
}

Task<ConfigResult<void>> Server::start_background(Env& env) {
  Core& core = core_of(env);
  if (!has_tier()) {
    shared_->partition->start_background(*core.blobs);
    co_return ConfigResult<void>();
  }
  shared_->tier = std::make_unique<tier::Tier>(env, *core.tier, *core.blobs, shared_->tier_shared,
                                               shared_->partition->incarnation());
  auto started = co_await shared_->tier->start();
  if (started) shared_->partition->start_background(shared_->tier->blobs());
  co_return started;
}

Task<std::string> Server::tier_state(Env& env) {
  if (!has_tier()) co_return std::string();
  switch (shared_->tier_shared.guard.load()) {
    case tier::GuardState::unchecked:
      co_return "unchecked";
    case tier::GuardState::mismatch:
      co_return "mismatch";
    case tier::GuardState::good:
      break;
  }
  uint64_t cores_down = 0;
  for (unsigned number = 0; number < env.core_count(); ++number) {
    cores_down += co_await call_on(env, number, [this](Env& there) -> Task<uint64_t> {
      const Core& core = core_of(there);
      co_return core.tier ? core.tier->store().stats().cores_down : 0;
    });
  }
  co_return cores_down == 0 ? "ok" : "unavailable";
}

Task<ConfigResult<void>> Server::make_buckets(Env& env) {
  for (const std::string& name : settings_.buckets) {
    const auto made = co_await core_of(env).roots->create_bucket({}, name, kRootOwner);
    if (!made && !made.error().is(RootError::bucket_exists)) {
      co_return std::unexpected(
          fmt::format("bucket {} could not be made: {}", name, made.error().to_string()));
    }
  }
  co_return ConfigResult<void>();
}

namespace {

std::string listen_problem(const Endpoint& endpoint, std::string_view flag, const Error& error) {
  if (error.is(IoError::in_use)) {
    return fmt::format("{} is in use by another process; choose another address with {}",
                       endpoint.to_string(), flag);
  }
  if (error.is(IoError::permission)) {
    return fmt::format("no permission to listen on {}; ports below 1024 need root, choose another with {}",
                       endpoint.to_string(), flag);
  }
  return fmt::format("cannot listen on {}: {}; choose another address with {}", endpoint.to_string(),
                     error.to_string(), flag);
}

}  // namespace

Task<ConfigResult<void>> Server::start_listening(Env& env) {
  Endpoint endpoint = settings_.listen;
  for (unsigned number = 0; number < env.core_count(); ++number) {
    auto opened = co_await call_on(env, number, [&](Env& there) -> Task<ConfigResult<void>> {
      Core& core = core_of(there);
      auto listener = co_await Listener::open(there, endpoint);
      if (!listener) co_return std::unexpected(listen_problem(endpoint, "--listen", listener.error()));
      endpoint = listener->endpoint();  // where port 0 was asked for, all cores share what the first one got
      HttpServerOptions options{.tls = settings_.tls_cert.empty() ? nullptr : &core.tls};
      options.limits.connections = connections_of_core(settings_);
      core.http = std::make_unique<HttpServer>(there, std::move(*listener), *core.api, options);
      core.serving.spawn(&Core::run_http, core.http.get());
      co_return ConfigResult<void>();
    });
    if (!opened) co_return opened;
  }
  auto listener = co_await Listener::open(env, settings_.mgmt_listen);
  if (!listener)
    co_return std::unexpected(listen_problem(settings_.mgmt_listen, "--mgmt-listen", listener.error()));
  const Endpoint management = listener->endpoint();
  shared_->guard.emplace(management, settings_.mgmt_hosts, env.wall_clock().seconds());
  shared_->management = std::make_unique<ManagementHandler>(ManagementHandler::Source{
      .ready = [this] { return shared_->serving; },
      .tier = [this, &env] { return tier_state(env); },
      .metrics = [this, &env] { return collect_metrics(env); },
      .serves = [this](std::string_view host) { return shared_->guard->serves(host); },
      .refuses =
          [this, &env](const RequestHead& head) {
            return shared_->guard->refuses(head, shared_->keys.front(), env.wall_clock().seconds());
          },
      .fsck = [this, &env] { return check(env); },
      .scrub = [this, &env] { return scrub(env); }});
  HttpServerOptions options{.guards_buffers = false};
  options.limits.connections = kManagementConnections;
  shared_->management_http =
      std::make_unique<HttpServer>(env, std::move(*listener), *shared_->management, options);
  core_of(env).serving.spawn(&Core::run_http, shared_->management_http.get());
  shared_->ready.url =
      fmt::format("{}://{}", settings_.tls_cert.empty() ? "http" : "https", endpoint.to_string());
  shared_->ready.mgmt_url = fmt::format("http://{}", management.to_string());
  co_return ConfigResult<void>();
}

Task<void> Server::serve_until_stopped(Env& env) {
  for (;;) {
    const auto signal = co_await wait_signal(env);
    if (signal && *signal == SIGHUP) {
      co_await reload_certificates(env);
      continue;
    }
    log(env, LogLevel::info, "stopping", {{"signal", signal ? *signal : 0}});
    co_return;
  }
}

Task<void> Server::reload_certificates(Env& env) {
  if (settings_.tls_cert.empty()) {
    log(env, LogLevel::info, "SIGHUP: nothing to load again without --tls-cert");
    co_return;
  }
  const auto loaded = co_await on_each_core(env, [this](Env& there) -> Task<ConfigResult<void>> {
    std::string message;
    const auto done =
        co_await core_of(there).tls.load_server(there, settings_.tls_cert, settings_.tls_key, message);
    if (!done) co_return std::unexpected(message);
    co_return ConfigResult<void>();
  });
  if (loaded) {
    log(env, LogLevel::info, "certificate and key loaded again", {{"cert", settings_.tls_cert}});
  } else {
    log(env, LogLevel::error, "certificate not loaded, the old one stays in use",
        {{"reason", loaded.error()}});
  }
}

// In the opposite order of start(); each step only where that step of the start was reached.
Task<void> Server::stop(Env& env) {
  for (unsigned number = 0; number < env.core_count(); ++number) {
    co_await call_on(env, number, [this](Env& there) -> Task<void> {
      Core& core = core_of(there);
      if (core.http) core.http->stop(kStopGrace);
      if (core.tier) core.tier->store().end_by(there.now() + kStopGrace);
      if (core.blobs) core.blobs->stop_scrub();
      if (there.core() == 0 && shared_->metadata) shared_->metadata->stop_scrub();
      if (there.core() == 0 && shared_->management_http) shared_->management_http->stop(Duration::seconds(1));
      co_return;
    });
  }
  for (unsigned number = env.core_count(); number-- > 0;) {
    co_await call_on(env, number, [this](Env& there) -> Task<void> {
      Core& core = core_of(there);
      co_await core.serving.join();
      if (core.roots) co_await core.roots->close();
      if (core.names) co_await core.names->close();
    });
  }
  if (shared_->tier) shared_->tier->stop();
  if (shared_->partition) {
    if (auto closed = co_await shared_->partition->close(); !closed) {
      log(env, LogLevel::error, "the namespace did not close in order; the next start replays its journal",
          {{"reason", closed.error().to_string()}});
    }
  }
  for (unsigned number = env.core_count(); number-- > 0;) {
    co_await call_on(env, number, [this](Env& there) -> Task<void> {
      Core& core = core_of(there);
      if (there.core() == 0 && shared_->tier) co_await shared_->tier->close();
      if (core.tier) co_await core.tier->close();
      if (!core.blobs) co_return;
      if (auto closed = co_await core.blobs->close(); !closed) {
        log(there, LogLevel::error, "the blobs did not close in order; the next start reads more of them",
            {{"reason", closed.error().to_string()}});
      }
    });
  }
  for (unsigned number = env.core_count(); number-- > 0;) {
    co_await call_on(env, number, [this](Env& there) -> Task<void> {
      Core& core = core_of(there);
      core.http.reset();
      core.api.reset();
      if (there.core() == 0) shared_->tier.reset();
      core.tier.reset();
      core.roots.reset();
      core.blobs.reset();
      core.names.reset();
      co_return;
    });
  }
  shared_->management_http.reset();
  shared_->partition.reset();
  if (shared_->metadata) {
    if (auto closed = co_await shared_->metadata->close(); !closed) {
      log(env, LogLevel::error, "pages and journal did not close in order",
          {{"reason", closed.error().to_string()}});
    }
    shared_->metadata.reset();
  }
  if (shared_->place) {
    for (unsigned number = env.core_count(); number-- > 1;)
      co_await call_on(env, number, [this](Env& there) { return shared_->place->detach(there); });
    if (auto closed = co_await shared_->place->close(); !closed)
      log(env, LogLevel::error, "the device did not close in order",
          {{"reason", closed.error().to_string()}});
  }
  if (shared_->directory) co_await shared_->directory->close();
}

Task<std::string> Server::check(Env& env) {
  // Without an answer from the cloud its part is left out.
  const bool with_cloud = has_tier() && shared_->tier_shared.guard.load() == tier::GuardState::good;
  BlobClient& blobs = with_cloud ? static_cast<BlobClient&>(shared_->tier->blobs()) : *core_of(env).blobs;
  const Result<FsckReport> report = co_await check_store(*shared_->partition, *shared_->metadata, blobs,
                                                         {.in_use = true, .with_cloud = with_cloud});
  if (!report) co_return fmt::format("the check could not be finished: {}\n", report.error().to_string());
  co_return report->to_string();
}

// All cores at once; with the names of the objects whose content is damaged.
Task<std::string> Server::scrub(Env& env) {
  bss::ScrubReport report = co_await shared_->metadata->scrub();
  Scope scope(env);
  for (unsigned number = 0; number < env.core_count(); ++number)
    scope.spawn(&Server::scrub_core, std::ref(*this), std::ref(env), number, &report);
  co_await scope.join();
  std::string text = report.to_string();
  std::unordered_set<BlobId> damaged;
  for (const BlobKey& key : report.keys) damaged.insert(key.id);
  if (damaged.empty()) co_return text;
  const auto names = co_await shared_->partition->keys_naming(damaged);
  if (!names) co_return text + fmt::format("  whose they are was not found: {}\n", names.error().to_string());
  for (const std::string& name : *names) text += "  of the object " + name + "\n";
  if (names->empty()) text += "  no object is made of them: they wait to be freed\n";
  co_return text;
}

Task<void> Server::scrub_core(Server& self, Env& env, unsigned core, bss::ScrubReport* report) {
  const bss::ScrubReport found = co_await call_on(env, core, [&self](Env& there) -> Task<bss::ScrubReport> {
    co_return co_await self.core_of(there).blobs->scrub();
  });
  report->add(found);
}

Task<std::string> Server::collect_metrics(Env& env) {
  ServerCounters counters;
  for (unsigned number = 0; number < env.core_count(); ++number) {
    co_await call_on(env, number, [&](Env& there) -> Task<void> {
      const Core& core = core_of(there);
      if (!core.http) co_return;
      counters.add_core(there, core.api->metrics(), core.http->stats(), core.blobs->stats(),
                        core.blobs->usage_here());
      counters.admission.add_core(there, *core.http, core.api->text_bytes());
      if (!core.tier) co_return;
      if (!counters.tier) counters.tier.emplace();
      counters.tier->add(core.tier->store().stats());
      co_return;
    });
  }
  counters.names = shared_->partition->statistics();
  counters.durability = shared_->durability;
  counters.tier_guard = shared_->tier_shared.guard.load();
  counters.pages = shared_->metadata->pages().stats();
  counters.journal_written_bytes = shared_->metadata->journal().written_bytes();
  counters.journal_unreadable_blocks = shared_->metadata->journal().unreadable_blocks();
  counters.metadata = shared_->metadata->stats();
  counters.usage.add_metadata(*shared_->metadata);
  co_await counters.usage.add_disk(env, shared_->place->path());
  if (const bss::Device* device = shared_->place->device()) counters.device = device->stats();
  co_return counters.to_prometheus();
}

namespace {

constexpr uint32_t kNobodyElse = 0077;
// Secrets that an orchestrator mounts may be open to a group.
constexpr uint32_t kNoOthersNoWriters = 0027;

ConfigResult<void> make_private(ServerSettings& settings) {
  make_new_files_private();
  // First: a credentials file that all may change is no file of ours to mend silently.
  if (settings.access_key.empty()) {
    auto good = check_secret_file(settings.data_dir + "/credentials", kNobodyElse);
    if (!good) return good;
  }
  if (!settings.tier_credentials_path.empty()) {
    auto good = check_secret_file(settings.tier_credentials_path, kNoOthersNoWriters);
    if (!good) return good;
  }
  const auto tightened = tighten_store(settings.data_dir);
  if (!tightened) return std::unexpected(tightened.error());
  if (tightened->entries > 0) {
    settings.notices.push_back(
        fmt::format("{} files and directories of {} were open to others; they are the owner's only now",
                    tightened->entries, settings.data_dir));
  }
  return {};
}

}  // namespace

ConfigResult<void> serve(const ServerSettings& given, std::function<void(const ServerReady&)> on_ready) {
  ServerSettings settings = given;
  if (auto good = make_private(settings); !good) return good;
  RuntimeOptions options{.cores = settings.threads,
                         .pin = settings.pin,
                         .backend = settings.io_backend,
                         .poll = settings.io_poll,
                         .log = settings.log};
  options.on_notice = [](Env& env, std::string_view notice) { log(env, LogLevel::info, notice); };
  options.buffers.limit_bytes = settings.request_memory_bytes / settings.threads;
  options.buffers.arena_bytes =
      std::min<size_t>(options.buffers.arena_bytes, align_down(options.buffers.limit_bytes, kBufferSizeMax));
  ServerSettings found = settings;
  found.open_files_max = open_files_limit();
  Server server(std::move(found), std::move(on_ready));
  const auto ran = run_cores(options, [&](Env& env) { return server.run_core(env); });
  if (!ran) return std::unexpected(fmt::format("cannot start: {}", ran.error().to_string()));
  if (!server.failure().empty()) return std::unexpected(server.failure());
  return {};
}

}  // namespace fb
