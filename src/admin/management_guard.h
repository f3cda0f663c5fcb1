// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/request_head.h"
#include "client/root_client.h"
#include "io/endpoint.h"

namespace fb {

// Decides which requests the management port may answer. Lives on its core.
//
// serves(): a page in a browser can have a name of its own resolve to this machine (DNS rebinding) and then
// read everything that is served to any name. So counts are served to addresses, localhost and the names of
// --mgmt-host only.
//
// refuses(): orders need a signature of the root key that is valid for nothing else and only once:
//   - version 4, in the Authorization header, over path and method;
//   - over the host of this port. A request to S3 names S3's port, so its signature is not valid here;
//   - made in the last kAgeMax, and not before this process started: its memory of signatures began then;
//   - not seen before. Seen ones are kept until they are too old; at kSeenMax no more are taken.
class ManagementGuard {
 public:
  static constexpr int64_t kAgeSecondsMax = 300;
  static constexpr int64_t kAheadSecondsMax = 30;  // a client's clock may be ahead by this much
  static constexpr size_t kSeenMax = 1024;

  // `names` as in ServerSettings::mgmt_hosts.
  ManagementGuard(const Endpoint& listen, std::vector<std::string> names, int64_t started_seconds)
      : listen_(listen), names_(std::move(names)), started_seconds_(started_seconds) {}

  bool serves(std::string_view host) const;
  // Empty, or why the request is refused.
  std::string refuses(const RequestHead& head, const KeyInfo& root, int64_t now_seconds);

 private:
  bool is_this_port(std::string_view host) const;
  bool remember(std::string_view signature, int64_t time_seconds, int64_t now_seconds);

  Endpoint listen_;
  std::vector<std::string> names_;
  int64_t started_seconds_;
  std::map<std::string, int64_t, std::less<>> seen_;  // signature -> its time
};

}  // namespace fb
