// SPDX-License-Identifier: Apache-2.0
#include "server/management_role.h"

#include <fmt/format.h>

#include <unordered_set>

#include "admin/fsck.h"
#include "admin/metrics.h"
#include "io/call_on.h"
#include "server/descriptors.h"

namespace fb {

ManagementRole::ManagementRole(Env& env, const ServerSettings& settings, Roles roles)
    : env_(env), settings_(settings), roles_(roles), running_(env) {}

Task<ConfigResult<void>> ManagementRole::listen() {
  auto listener = co_await Listener::open(env_, settings_.mgmt_listen);
  if (!listener)
    co_return std::unexpected(listen_problem(settings_.mgmt_listen, "--mgmt-listen", listener.error()));
  const Endpoint endpoint = listener->endpoint();
  guard_.emplace(endpoint, settings_.mgmt_hosts, env_.wall_clock().seconds());
  handler_.emplace(ManagementHandler::Source{
      .ready = [this] { return serving_; },
      .tier = [this] { return roles_.api.tier_state(env_); },
      .metrics = [this] { return metrics(); },
      .serves = [this](std::string_view host) { return guard_->serves(host); },
      .refuses =
          [this](const RequestHead& head) {
            return guard_->refuses(head, roles_.rss.root_key(), env_.wall_clock().seconds());
          },
      .fsck = [this] { return check(); },
      .scrub = [this] { return scrub(); }});
  HttpServerOptions options{.guards_buffers = false};
  options.limits.connections = kManagementConnections;
  http_ = std::make_unique<HttpServer>(env_, std::move(*listener), *handler_, options);
  running_.spawn(&ManagementRole::run_http, http_.get());
  url_ = fmt::format("http://{}", endpoint.to_string());
  co_return ConfigResult<void>();
}

void ManagementRole::stop() {
  if (http_) http_->stop(Duration::seconds(1));
}

Task<std::string> ManagementRole::metrics() {
  ServerCounters counters;
  for (unsigned number = 0; number < env_.core_count(); ++number) {
    co_await call_on(env_, number, [&](Env& there) -> Task<void> {
      roles_.api.add_to(there, counters);
      bss::BlobFront& blobs = roles_.bss.blobs(there);
      counters.add_blobs(blobs.stats(), blobs.usage_here());
      co_return;
    });
  }
  bss::MetadataStore& metadata = roles_.bss.metadata();
  counters.names = roles_.nss.partition().statistics();
  counters.durability = roles_.bss.durability();
  counters.tier_guard = roles_.api.tier_guard();
  counters.pages = metadata.pages().stats();
  counters.journal_written_bytes = metadata.journal().written_bytes();
  counters.journal_unreadable_blocks = metadata.journal().unreadable_blocks();
  counters.metadata = metadata.stats();
  counters.usage.add_metadata(metadata);
  co_await counters.usage.add_disk(env_, roles_.bss.path());
  if (const bss::Device* device = roles_.bss.device()) counters.device = device->stats();
  co_return counters.to_prometheus();
}

// If the cloud does not answer, its part is left out.
Task<std::string> ManagementRole::check() {
  BlobClient* tiered = roles_.api.tiered_blobs();
  const bool with_cloud = tiered != nullptr && roles_.api.tier_guard() == tier::GuardState::good;
  BlobClient& blobs = with_cloud ? *tiered : roles_.bss.blobs(env_);
  const Result<FsckReport> report = co_await check_store(roles_.nss.partition(), roles_.bss.metadata(), blobs,
                                                         {.in_use = true, .with_cloud = with_cloud});
  if (!report) co_return fmt::format("the check could not be finished: {}\n", report.error().to_string());
  co_return report->to_string();
}

// Scrubs on all cores at once; names the objects whose content is damaged.
Task<std::string> ManagementRole::scrub() {
  bss::ScrubReport report = co_await roles_.bss.metadata().scrub();
  Scope scope(env_);
  for (unsigned number = 0; number < env_.core_count(); ++number)
    scope.spawn(&ManagementRole::scrub_core, this, number, &report);
  co_await scope.join();
  std::string text = report.to_string();
  std::unordered_set<BlobId> damaged;
  for (const BlobKey& key : report.keys) damaged.insert(key.id);
  if (damaged.empty()) co_return text;
  const auto names = co_await roles_.nss.partition().keys_naming(damaged);
  if (!names) co_return text + fmt::format("  whose they are was not found: {}\n", names.error().to_string());
  for (const std::string& name : *names) text += "  of the object " + name + "\n";
  if (names->empty()) text += "  no object is made of them: they wait to be freed\n";
  co_return text;
}

Task<void> ManagementRole::scrub_core(ManagementRole* self, unsigned core, bss::ScrubReport* report) {
  const bss::ScrubReport found =
      co_await call_on(self->env_, core, [self](Env& there) -> Task<bss::ScrubReport> {
        co_return co_await self->roles_.bss.blobs(there).scrub();
      });
  report->add(found);
}

}  // namespace fb
