// SPDX-License-Identifier: Apache-2.0
#include "admin/management_guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/ascii.h"
#include "s3/auth/request_auth.h"

namespace fb {
namespace {

struct HostParts {
  std::string_view name;
  std::string_view port;  // empty: none
};

HostParts split_host(std::string_view host) {
  const size_t colon = host.rfind(':');
  const bool has_port = colon != host.npos && host.find(']', colon) == host.npos;
  HostParts parts{.name = host.substr(0, has_port ? colon : host.npos),
                  .port = has_port ? host.substr(colon + 1) : std::string_view()};
  if (parts.name.ends_with('.')) parts.name.remove_suffix(1);
  return parts;
}

std::optional<Endpoint> address_of(std::string_view name) {
  if (name.empty() || ascii_iequals(name, "localhost")) return std::nullopt;
  const auto parsed = Endpoint::parse(fmt::format("{}:1", name));
  return parsed ? std::optional(*parsed) : std::nullopt;
}

bool is_any_address(const Endpoint& endpoint) {
  constexpr std::array<uint8_t, 16> kAny{};
  return endpoint.address == kAny || endpoint.address == Endpoint::ipv4(0, 0, 0, 0, 0).address;
}

}  // namespace

bool ManagementGuard::serves(std::string_view host) const {
  const HostParts parts = split_host(host);
  if (host.empty() || ascii_iequals(parts.name, "localhost") || address_of(parts.name)) return true;
  return std::ranges::any_of(
      names_, [&](const std::string& name) { return ascii_iequals(split_host(name).name, parts.name); });
}

bool ManagementGuard::is_this_port(std::string_view host) const {
  const HostParts parts = split_host(host);
  const std::string own_port = std::to_string(listen_.port);
  for (const std::string& name : names_) {
    const HostParts known = split_host(name);
    const std::string_view port = known.port.empty() ? std::string_view(own_port) : known.port;
    if (ascii_iequals(known.name, parts.name) && parts.port == port) return true;
  }
  if (parts.port != own_port) return false;
  if (ascii_iequals(parts.name, "localhost")) return listen_.is_loopback() || is_any_address(listen_);
  const auto address = address_of(parts.name);
  return address && (is_any_address(listen_) || address->address == listen_.address);
}

bool ManagementGuard::remember(std::string_view signature, int64_t time_seconds, int64_t now_seconds) {
  std::erase_if(seen_, [&](const auto& entry) { return now_seconds - entry.second > kAgeSecondsMax; });
  if (seen_.size() >= kSeenMax) return false;
  return seen_.emplace(signature, time_seconds).second;
}

std::string ManagementGuard::refuses(const RequestHead& head, const KeyInfo& root, int64_t now_seconds) {
  const auto auth = s3::parse_auth(head);
  const bool known =
      auth && auth->kind != s3::AuthKind::anonymous && auth->credential.access_key() == root.access_key;
  if (!known) return "sign this request with the root access key (`fractalbits fsck --mgmt-url` does)";
  if (auth->kind != s3::AuthKind::header || auth->version != s3::SignatureVersion::v4)
    return "sign this request in its Authorization header, with AWS4-HMAC-SHA256";
  s3::SigningKeyCache keys(1);
  const auto verified =
      s3::authenticate_request(head, *auth, root.secret.reveal(), now_seconds, keys, s3::ServedNames{});
  if (!verified) return "the signature is not that of the root access key, or the clocks differ";
  if (!is_this_port(verified->host)) {
    return fmt::format(
        "the request is signed for the host {}, which is not this port; sign it for the address and port of "
        "--mgmt-listen, or name the host with --mgmt-host",
        verified->host);
  }
  const int64_t age = now_seconds - auth->time_seconds;
  if (age > kAgeSecondsMax || age < -kAheadSecondsMax || auth->time_seconds < started_seconds_)
    return "the request was signed too long ago, before this server started, or by a clock that is ahead";
  if (!remember(auth->signature, auth->time_seconds, now_seconds))
    return "this very request was made before; sign it anew, a second later or with another header";
  return {};
}

}  // namespace fb
