// SPDX-License-Identifier: Apache-2.0
#include "tier/tier.h"

#include "io/log.h"

namespace fb::tier {

Task<ConfigResult<std::unique_ptr<TierCore>>> TierCore::open(Env& env, const TierConfig& config,
                                                             TierShared& shared, Incarnation incarnation,
                                                             UnnamedBlobs& unnamed, BlobClient& blobs) {
  std::unique_ptr<TierCore> core(new TierCore());
  if (config.options.origin.tls) {
    std::string message;
    if (auto loaded = co_await core->tls_.load_client(env, config.authorities_path, message); !loaded)
      co_return std::unexpected("--tier-ca: " + message);
  }
  if (config.credentials.access_key.empty()) {
    core->credentials_ = std::make_unique<MetadataCredentials>(env, config.metadata_service);
  } else {
    core->credentials_ = std::make_unique<FixedCredentials>(config.credentials);
  }
  core->store_ = std::make_unique<CloudStore>(env, config.options, shared, incarnation, unnamed, blobs,
                                              *core->credentials_, core->tls_);
  co_return std::move(core);
}

Task<void> TierCore::close() {
  co_await store_->close();
  co_await credentials_->close();
}

Tier::Tier(Env& env, TierCore& core, BlobClient& local, TierShared& shared, Incarnation incarnation)
    : env_(env),
      requests_(core.store().requests()),
      shared_(shared),
      incarnation_(incarnation),
      guard_(requests_, shared),
      blobs_(local, requests_, guard_, shared),
      background_(env) {}

Task<ConfigResult<void>> Tier::start() {
  auto checked = co_await guard_.check_at_start();
  if (!checked) co_return checked;
  if (shared_.guard.load() != GuardState::good) {
    log(env_, LogLevel::error,
        "tier: the cloud does not answer; small objects are served, large ones when it does",
        {{"endpoint", requests_.options().origin.authority}, {"problem", requests_.problem()}});
  }
  background_.spawn(&Tier::run, this);
  co_return checked;
}

Task<void> Tier::run(Tier* self) {
  while (!self->stop_.cancelled() && self->shared_.guard.load() == GuardState::unchecked) {
    if (!co_await sleep_for(self->env_, kGuardRetry, &self->stop_)) co_return;
    if (auto checked = co_await self->guard_.check_at_start(); !checked) {
      log(self->env_, LogLevel::error, "tier: nothing is written to or deleted in the cloud bucket",
          {{"problem", checked.error()}});
    }
  }
  while (!self->stop_.cancelled() && self->shared_.guard.load() == GuardState::good) {
    if (co_await self->blobs_.abort_uploads_before(self->incarnation_)) co_return;
    (void)co_await sleep_for(self->env_, kGuardRetry, &self->stop_);
  }
}

void Tier::stop() {
  stop_.cancel();
  blobs_.stop();
}

Task<void> Tier::close() { co_await background_.join(); }

}  // namespace fb::tier
