// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "io/name_lookup.h"
#include "io/scope.h"

namespace fb {

struct HostAddressesLimits {
  Duration fresh = Duration::seconds(30);  // then they are looked up again, in the background
  Duration stale = Duration::minutes(5);   // older than this: looked up before they are used
  Duration stale_patience = Duration::seconds(2);
  Duration look_up_timeout = Duration::seconds(15);
  Duration again_after = Duration::seconds(1);       // if none of them answers
  Duration pause_min = Duration::milliseconds(500);  // after a look-up that failed, twice as long each time
  Duration pause_max = Duration::seconds(10);
  Duration avoided = Duration::seconds(30);  // an address that did not answer
  size_t addresses_max = 64;                 // only this many of an answer are used, the first ones
};

// The addresses of one host, as one core knows them. They change while a server runs, so found ones are kept
// for a short time only; if a look-up fails, the known ones stay in use. Used and closed on its core.
class HostAddresses {
 public:
  HostAddresses(Env& env, std::string host, uint16_t port, const HostAddressesLimits& limits = {});
  ~HostAddresses();
  HostAddresses(const HostAddresses&) = delete;

  // The addresses in the order to try them: each time another one first, recently failed ones last. Waits
  // only if none is known, or only old ones. Errors are those of resolve().
  Task<Result<std::vector<Endpoint>>> get(const IoLimits& limits);
  // Called if all of them failed: whether a new look-up finds an address that was not known.
  Task<bool> look_again(const IoLimits& limits);
  void note(const Endpoint& address, bool answers);
  Task<void> close();

 private:
  struct Known {
    Endpoint address;
    Instant avoided_until;
  };
  static Task<void> refresh(HostAddresses* self);
  Task<Result<void>> look_up(const IoLimits& limits);
  void take(const std::vector<Endpoint>& addresses);

  Env& env_;
  const std::string host_;
  const uint16_t port_;
  const HostAddressesLimits limits_;
  std::vector<Known> known_;
  Instant found_at_;
  Instant next_look_up_;  // no look-up before
  Duration pause_;
  Error failure_;
  size_t first_;
  CancelSource stop_;
  Scope background_;  // at most one look-up
};

}  // namespace fb
