// SPDX-License-Identifier: Apache-2.0
#include "http/host_addresses.h"

#include <algorithm>

#include "io/error.h"

namespace fb {

HostAddresses::HostAddresses(Env& env, std::string host, uint16_t port, const HostAddressesLimits& limits)
    : env_(env),
      host_(std::move(host)),
      port_(port),
      limits_(limits),
      next_look_up_(env.now()),
      pause_(limits.pause_min),
      failure_(IoError::not_found),
      first_(env.random() % limits.addresses_max),
      background_(env) {}

HostAddresses::~HostAddresses() { FB_ASSERT(env_.abandoned() || background_.size() == 0); }

void HostAddresses::take(const std::vector<Endpoint>& addresses) {
  std::vector<Known> taken;
  for (const Endpoint& address : addresses) {
    if (taken.size() == limits_.addresses_max) break;
    const auto before = std::ranges::find(known_, address, &Known::address);
    taken.push_back(before == known_.end() ? Known{.address = address, .avoided_until = {}} : *before);
  }
  known_ = std::move(taken);
  found_at_ = env_.now();
  next_look_up_ = env_.now();
  pause_ = limits_.pause_min;
}

// After a failure, no new look-up starts before its pause has passed.
Task<Result<void>> HostAddresses::look_up(const IoLimits& limits) {
  if (env_.now() < next_look_up_) co_return failure_;
  if (env_.now() >= limits.deadline) co_return IoError::timed_out;
  const auto found = co_await resolve(env_, host_, port_, limits);
  if (found) {
    take(*found);
    co_return Result<void>();
  }
  if (found.error().is(IoError::cancelled)) co_return found.error();
  failure_ = found.error();
  next_look_up_ = env_.now() + pause_;
  pause_ = std::min(limits_.pause_max, pause_ * 2);
  co_return failure_;
}

Task<void> HostAddresses::refresh(HostAddresses* self) {
  (void)co_await self->look_up(
      {.deadline = self->env_.now() + self->limits_.look_up_timeout, .cancel = &self->stop_});
}

Task<Result<std::vector<Endpoint>>> HostAddresses::get(const IoLimits& limits) {
  const Duration age = env_.now() - found_at_;
  if (known_.empty()) {
    FB_CO_CHECK(co_await look_up(limits));
  } else if (age > limits_.stale) {
    const Instant patience = env_.now() + limits_.stale_patience;
    (void)co_await look_up({.deadline = std::min(limits.deadline, patience), .cancel = limits.cancel});
  } else if (age > limits_.fresh && background_.size() == 0 && env_.now() >= next_look_up_) {
    background_.spawn(&HostAddresses::refresh, this);
  }
  std::vector<Endpoint> good;
  std::vector<Endpoint> avoided;
  const size_t first = first_++;
  for (size_t index = 0; index < known_.size(); ++index) {
    const Known& known = known_[(first + index) % known_.size()];
    (known.avoided_until <= env_.now() ? good : avoided).push_back(known.address);
  }
  good.insert(good.end(), avoided.begin(), avoided.end());
  co_return good;
}

Task<bool> HostAddresses::look_again(const IoLimits& limits) {
  if (env_.now() - found_at_ < limits_.again_after) co_return false;
  std::vector<Known> before = known_;
  if (!co_await look_up(limits)) co_return false;
  co_return std::ranges::any_of(known_, [&](const Known& known) {
    return std::ranges::find(before, known.address, &Known::address) == before.end();
  });
}

void HostAddresses::note(const Endpoint& address, bool answers) {
  const auto found = std::ranges::find(known_, address, &Known::address);
  if (found != known_.end()) found->avoided_until = answers ? Instant() : env_.now() + limits_.avoided;
}

Task<void> HostAddresses::close() {
  stop_.cancel();
  co_await background_.join();
}

}  // namespace fb
