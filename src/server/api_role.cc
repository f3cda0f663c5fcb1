// SPDX-License-Identifier: Apache-2.0
#include "server/api_role.h"

#include <fmt/format.h>

#include "api/api_server.h"
#include "client/blob_discards.h"
#include "http/http_server.h"
#include "http/tls_context.h"
#include "io/call_on.h"
#include "io/log.h"
#include "s3/time.h"
#include "server/descriptors.h"

namespace fb {
namespace {

// After SIGTERM, requests in progress may take this long.
constexpr Duration kStopGrace = Duration::seconds(20);
// Blobs that no record names are erased for this long; the rest is left to the sweep of the next start.
constexpr Duration kDiscardGrace = Duration::seconds(2);

// An expired certificate is loaded all the same: the operator may be renewing it just now.
void warn_of_expiry(Env& env, const TlsContext& tls) {
  const bool expired = tls.certificate_expires() <= env.wall_clock();
  log(env, expired ? LogLevel::warn : LogLevel::info,
      expired ? "the TLS certificate has expired" : "TLS certificate loaded",
      {{"expires", s3::format_iso8601_ms(tls.certificate_expires().milliseconds())}});
}

}  // namespace

struct ApiRole::Core {
  Core(Env& env, const CoreServices& services_in) : services(services_in), serving(env) {}

  CoreServices services;
  TlsContext tls;
  std::unique_ptr<BlobDiscards> discards;
  std::unique_ptr<tier::TierCore> tier;
  std::unique_ptr<api::ApiServer> api;
  std::unique_ptr<HttpServer> http;
  Scope serving;

  static Task<void> run_http(HttpServer* server) { co_await server->run(); }
};

ApiRole::ApiRole(ServerSettings& settings) : settings_(settings), cores_(settings.threads) {}

ApiRole::~ApiRole() = default;

Task<ConfigResult<void>> ApiRole::open(Env& env, const DataDirectory& directory) {
  if (!settings_.has_tier()) {
    if (co_await read_small_file(env, directory.tier_path(), kMiB)) {
      log(env, LogLevel::warn,
          "this store has kept large objects in a cloud bucket; without --tier-bucket they cannot be read",
          {{"data_dir", settings_.data_dir}});
    }
    co_return ConfigResult<void>();
  }
  tier::TierConfig& config = settings_.tier;
  config.options.store_id = directory.store_id();
  config.options.state_path = directory.tier_path();
  if (!settings_.tier_credentials_path.empty()) {
    auto read = co_await read_credentials_file(env, settings_.tier_credentials_path);
    if (!read) co_return std::unexpected(fmt::format("--tier-credentials: {}", read.error()));
    config.credentials = {.access_key = read->access_key, .secret_key = read->secret_key};
  }
  co_return ConfigResult<void>();
}

Task<ConfigResult<void>> ApiRole::load_certificate(Env& env) {
  if (settings_.tls_cert.empty()) co_return ConfigResult<void>();
  std::string message;
  const auto loaded =
      co_await core_of(env).tls.load_server(env, settings_.tls_cert, settings_.tls_key, message);
  if (!loaded) co_return std::unexpected(message);
  co_return ConfigResult<void>();
}

Task<ConfigResult<void>> ApiRole::start(Env& env, const CoreServices& services) {
  cores_[env.core()] = std::make_unique<Core>(env, services);
  Core& core = core_of(env);
  core.discards = std::make_unique<BlobDiscards>(
      env, [this, &env](const CallContext& context, std::span<const BlobExtent> extents) {
        return erase(env, context, extents);
      });
  if (auto loaded = co_await load_certificate(env); !loaded) co_return loaded;
  if (!settings_.tls_cert.empty() && env.core() == 0) warn_of_expiry(env, core.tls);
  if (settings_.has_tier()) {
    auto opened = co_await tier::TierCore::open(env, settings_.tier, tier_shared_, services.incarnation,
                                                *core.discards, services.blobs);
    if (!opened) co_return std::unexpected(opened.error());
    core.tier = std::move(*opened);
  }
  const api::ApiOptions options{.domains = settings_.domains,
                                .external_host = settings_.external_host,
                                .signature_v2 = settings_.signature_v2,
                                .access_log = settings_.access_log};
  CloudClient* cloud = core.tier ? &core.tier->store() : nullptr;
  core.api = std::make_unique<api::ApiServer>(
      api::Services{env, services.names, services.blobs, *core.discards, cloud}, services.root, options);
  co_return ConfigResult<void>();
}

// Cloud objects are erased on core 0, which has the guard.
Task<Result<void>> ApiRole::erase(Env& env, const CallContext& context, std::span<const BlobExtent> extents) {
  FB_ASSERT(!extents.empty());
  if (!is_cloud(extents.front().id)) co_return co_await core_of(env).services.blobs.erase(context, extents);
  co_return co_await call_on(env, 0, [&](Env&) -> Task<Result<void>> {
    co_return co_await tier_->blobs().erase({.deadline = context.deadline}, extents);
  });
}

Task<ConfigResult<void>> ApiRole::start_tier(Env& env, BlobClient& blobs, Incarnation incarnation) {
  if (!settings_.has_tier()) co_return ConfigResult<void>();
  tier_ = std::make_unique<tier::Tier>(env, *core_of(env).tier, blobs, tier_shared_, incarnation);
  co_return co_await tier_->start();
}

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

Task<ConfigResult<void>> ApiRole::listen(Env& env) {
  Endpoint endpoint = settings_.listen;
  for (unsigned number = 0; number < env.core_count(); ++number) {
    auto opened = co_await call_on(env, number, [&](Env& there) -> Task<ConfigResult<void>> {
      Core& core = core_of(there);
      auto listener = co_await Listener::open(there, endpoint);
      if (!listener) co_return std::unexpected(listen_problem(endpoint, "--listen", listener.error()));
      endpoint = listener->endpoint();  // if --listen has port 0, all cores share the first core's port
      HttpServerOptions options{.tls = settings_.tls_cert.empty() ? nullptr : &core.tls};
      options.limits.connections = connections_of_core(settings_);
      core.http = std::make_unique<HttpServer>(there, std::move(*listener), *core.api, options);
      core.serving.spawn(&Core::run_http, core.http.get());
      co_return ConfigResult<void>();
    });
    if (!opened) co_return opened;
  }
  url_ = fmt::format("{}://{}", settings_.tls_cert.empty() ? "http" : "https", endpoint.to_string());
  co_return ConfigResult<void>();
}

Task<void> ApiRole::reload_certificates(Env& env) {
  if (settings_.tls_cert.empty()) {
    log(env, LogLevel::info, "SIGHUP: nothing to load again without --tls-cert");
    co_return;
  }
  for (unsigned number = 0; number < env.core_count(); ++number) {
    const auto loaded = co_await call_on(env, number, [this](Env& there) { return load_certificate(there); });
    if (loaded) continue;
    log(env, LogLevel::error, "certificate not loaded, the old one stays in use",
        {{"reason", loaded.error()}});
    co_return;
  }
  log(env, LogLevel::info, "certificate and key loaded again", {{"cert", settings_.tls_cert}});
}

void ApiRole::stop(Env& env) {
  if (!cores_[env.core()]) return;
  Core& core = core_of(env);
  if (core.http) core.http->stop(kStopGrace);
  if (core.tier) core.tier->store().end_by(env.now() + kStopGrace);
}

Task<void> ApiRole::drain(Env& env) {
  if (cores_[env.core()]) co_await core_of(env).serving.join();
}

Task<bool> ApiRole::stop_tier(Env& env) {
  if (tier_) tier_->stop();
  const Instant deadline = env.now() + kDiscardGrace;
  uint64_t left = 0;
  for (unsigned number = env.core_count(); number-- > 0;) {
    left += co_await call_on(env, number, [&](Env& there) -> Task<uint64_t> {
      if (!cores_[there.core()]) co_return 0;
      co_return co_await core_of(there).discards->close(deadline);
    });
  }
  co_return left == 0;
}

Task<void> ApiRole::close(Env& env) {
  if (env.core() == 0 && tier_) co_await tier_->close();
  if (cores_[env.core()] && core_of(env).tier) co_await core_of(env).tier->close();
}

void ApiRole::release(Env& env) {
  if (!cores_[env.core()]) return;
  Core& core = core_of(env);
  core.http.reset();
  core.api.reset();
  if (env.core() == 0) tier_.reset();
  cores_[env.core()].reset();
}

Task<std::string> ApiRole::tier_state(Env& env) {
  if (!settings_.has_tier()) co_return std::string();
  switch (tier_guard()) {
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

void ApiRole::add_to(Env& env, ServerCounters& counters) {
  Core& core = core_of(env);
  counters.add_requests(env, core.api->metrics(), core.http->stats());
  counters.admission.add_core(env, *core.http, core.api->text_bytes());
  counters.discarded_blobs_waiting += core.discards->waiting();
  counters.discarded_blobs_erased += core.discards->erased();
  counters.discarded_blobs_dropped += core.discards->overflowed();
  if (core.tier) counters.add_tier(core.tier->store().stats());
}

}  // namespace fb
