// SPDX-License-Identifier: Apache-2.0
#include "s3/request/virtual_host.h"

#include <algorithm>

#include "base/ascii.h"

namespace fb::s3 {
namespace {

// "a:80" -> "a", "[::1]:80" -> "[::1]"; a host without a port as it is.
std::string_view without_port(std::string_view host) {
  const size_t colon = host.rfind(':');
  if (colon == host.npos || host.find(']', colon) != host.npos) return host;
  const std::string_view port = host.substr(colon + 1);
  return std::ranges::all_of(port, ascii_is_digit) ? host.substr(0, colon) : host;
}

}  // namespace

std::string_view strip_port(std::string_view host) {
  if (host.starts_with('[')) return host;
  host = host.substr(0, host.find(':'));
  if (host.ends_with('.')) host.remove_suffix(1);
  return host;
}

std::optional<std::string_view> bucket_of_host(std::string_view host, std::span<const std::string> domains) {
  host = strip_port(host);
  std::optional<std::string_view> bucket;
  size_t longest = 0;
  for (const std::string& domain : domains) {
    if (domain.size() <= longest || host.size() < domain.size()) continue;
    const size_t split = host.size() - domain.size();
    if (!ascii_iequals(host.substr(split), domain)) continue;
    if (split == 0) return std::nullopt;
    if (host[split - 1] != '.') continue;
    bucket = host.substr(0, split - 1);
    longest = domain.size();
  }
  return bucket;
}

HostForms::HostForms(std::string_view host_header, std::string_view external_host) {
  add(host_header);
  if (!external_host.empty()) add(external_host);
  add(without_port(host_header));
  if (!external_host.empty()) add(without_port(external_host));
}

void HostForms::add(std::string_view form) {
  if (std::find(begin(), end(), form) == end()) forms_[count_++] = form;
}

}  // namespace fb::s3
