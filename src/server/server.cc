// SPDX-License-Identifier: Apache-2.0
#include "server/server.h"

#include <fmt/format.h>

#include <csignal>
#include <optional>
#include <vector>

#include "io/call_on.h"
#include "io/log.h"
#include "io/private_files.h"
#include "server/data_directory.h"
#include "server/descriptors.h"
#include "server/management_role.h"

namespace fb {

struct Server::Waiting {
  explicit Waiting(Env& env) : ended(env) {}
  Notification ended;
  bool done = false;
};

// Lives on core 0, except the parts of the roles that belong to other cores. The last member is destroyed
// first.
struct Server::Process {
  Process(Env& env, ServerSettings& settings)
      : bss(settings),
        nss(settings),
        rss(settings),
        api(settings),
        management(env, settings, {.bss = bss, .nss = nss, .rss = rss, .api = api}) {}

  std::optional<DataDirectory> directory;
  BssRole bss;
  NssRole nss;
  RssRole rss;
  ApiRole api;
  ManagementRole management;
};

Server::Server(ServerSettings settings, std::function<void(const ServerReady&)> on_ready)
    : settings_(std::move(settings)), on_ready_(std::move(on_ready)), waiting_(settings_.threads) {}

Server::~Server() = default;

// Runs `function` on one core after the other, on core 0 last.
template <class Function>
Task<void> Server::on_each_core_downwards(Env& env, Function function) {
  for (unsigned core = env.core_count(); core-- > 0;) co_await call_on(env, core, function);
}

Task<void> Server::run_core(Env& env) {
  FB_ASSERT(env.core_count() == settings_.threads, env.core_count(), settings_.threads);
  if (env.core() == 0) co_return co_await run_first_core(env);
  std::unique_ptr<Waiting>& waiting = waiting_[env.core()];
  waiting = std::make_unique<Waiting>(env);
  while (!waiting->done) co_await waiting->ended.wait();
  waiting.reset();
}

// Warns of settings that let others connect or read along, perhaps against the operator's intention.
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
  if (settings_.has_tier() && !settings_.tier.options.origin.tls) {
    log(env, LogLevel::warn,
        "the cloud bucket is spoken to in plain HTTP: objects can be read and changed on the way; give an "
        "https:// "
        "endpoint");
  }
}

Task<void> Server::run_first_core(Env& env) {
  warn_of_exposure(env);
  process_ = std::make_unique<Process>(env, settings_);
  auto started = co_await start(env);
  if (started) {
    const ServerReady facts = ready();
    log(env, LogLevel::info, "serving",
        {{"url", facts.url},
         {"data_dir", settings_.data_dir},
         {"device", settings_.device},
         {"threads", settings_.threads},
         {"io", env.name()},
         {"durability", to_string(process_->bss.durability())}});
    process_->management.set_serving(true);
    if (on_ready_) on_ready_(facts);
    co_await serve_until_stopped(env);
    process_->management.set_serving(false);
  } else {
    failure_ = started.error();
  }
  co_await stop(env);
  process_.reset();
  for (unsigned core = 1; core < env.core_count(); ++core) {
    co_await call_on(env, core, [this](Env& there) -> Task<void> {
      waiting_[there.core()]->done = true;
      waiting_[there.core()]->ended.notify_all();
      co_return;
    });
  }
}

ServerReady Server::ready() const {
  const Process& process = *process_;
  ServerReady ready{.url = process.api.url(),
                    .mgmt_url = process.management.url(),
                    .data_dir = settings_.data_dir,
                    .device = settings_.device,
                    .access_key = process.rss.root_key().access_key};
  if (const auto& found = process.rss.found()) {
    ready.credentials_path = process.directory->credentials_path();
    ready.credentials_made_now = found->made_now;
    if (found->made_now) ready.secret_key = found->secret_key;
  }
  return ready;
}

Task<ConfigResult<void>> Server::start(Env& env) {
  if (auto opened = co_await open_store(env); !opened) co_return opened;
  for (unsigned core = 0; core < env.core_count(); ++core) {
    auto started = co_await call_on(env, core, [this](Env& there) { return start_core(there); });
    if (!started) co_return started;
  }
  if (auto started = co_await start_background(env); !started) co_return started;
  if (auto made = co_await process_->rss.make_buckets(env); !made) co_return made;
  if (auto listening = co_await process_->api.listen(env); !listening) co_return listening;
  co_return co_await process_->management.listen();
}

Task<ConfigResult<void>> Server::open_store(Env& env) {
  Process& process = *process_;
  auto directory = co_await DataDirectory::open(env, settings_.data_dir);
  if (!directory) co_return std::unexpected(directory.error());
  process.directory = std::move(*directory);
  if (auto opened = co_await process.bss.open_place(env, *process.directory); !opened) co_return opened;
  if (auto opened = co_await process.api.open(env, *process.directory); !opened) co_return opened;
  if (auto opened = co_await process.rss.open(env, *process.directory); !opened) co_return opened;
  if (auto opened = co_await process.bss.open(env); !opened) co_return opened;
  auto opened =
      co_await process.nss.open(env, process.bss.metadata().clients(), process.bss.namespace_path());
  if (!opened) co_return opened;
  co_return co_await process.bss.open_blobs(env, process.nss.incarnation());
}

Task<ConfigResult<void>> Server::start_core(Env& env) {
  Process& process = *process_;
  if (auto started = co_await process.bss.start(env); !started) co_return started;
  co_await process.nss.start(env, process.bss.blobs(env));
  if (auto started = co_await process.rss.start(env, process.nss.names(env)); !started) co_return started;
  co_return co_await process.api.start(env, {.names = process.nss.names(env),
                                             .blobs = process.bss.blobs(env),
                                             .root = process.rss.root(env),
                                             .incarnation = process.nss.incarnation()});
}

Task<ConfigResult<void>> Server::start_background(Env& env) {
  Process& process = *process_;
  BlobClient& local = process.bss.blobs(env);
  auto started = co_await process.api.start_tier(env, local, process.nss.incarnation());
  if (!started) co_return started;
  BlobClient* tiered = process.api.tiered_blobs();
  process.nss.start_background(tiered != nullptr ? *tiered : local);
  co_return ConfigResult<void>();
}

Task<void> Server::serve_until_stopped(Env& env) {
  for (;;) {
    const auto signal = co_await wait_signal(env);
    if (signal && *signal == SIGHUP) {
      co_await process_->api.reload_certificates(env);
      continue;
    }
    log(env, LogLevel::info, "stopping", {{"signal", signal ? *signal : 0}});
    co_return;
  }
}

// Stops in the opposite order of start(). Every step may follow a start that did not reach it.
Task<void> Server::stop(Env& env) {
  Process& process = *process_;
  process.management.stop();
  co_await on_each_core_downwards(env, [&process](Env& there) -> Task<void> {
    process.api.stop(there);
    process.bss.stop(there);
    co_return;
  });
  co_await process.management.drain();
  co_await on_each_core_downwards(env, [&process](Env& there) -> Task<void> {
    co_await process.api.drain(there);
    co_await process.rss.close(there);
    co_await process.nss.close(there);
  });
  const bool all_erased = co_await process.api.stop_tier(env);
  co_await process.nss.close_partition(env, !all_erased);
  co_await close_store(env);
}

Task<void> Server::close_store(Env& env) {
  Process& process = *process_;
  co_await on_each_core_downwards(env, [&process](Env& there) -> Task<void> {
    co_await process.api.close(there);
    co_await process.bss.close(there);
  });
  co_await on_each_core_downwards(env, [&process](Env& there) -> Task<void> {
    process.api.release(there);
    process.rss.release(there);
    process.bss.release(there);
    process.nss.release(there);
    co_return;
  });
  co_await process.bss.close_store(env);
  if (process.directory) co_await process.directory->close();
}

namespace {

constexpr uint32_t kNobodyElse = 0077;
// Secrets that an orchestrator mounts may be readable by a group.
constexpr uint32_t kNoOthersNoWriters = 0027;

ConfigResult<void> make_private(ServerSettings& settings) {
  make_new_files_private();
  // This check is first: a credentials file that others can change must be refused, not silently repaired.
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
