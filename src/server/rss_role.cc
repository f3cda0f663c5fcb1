// SPDX-License-Identifier: Apache-2.0
#include "server/rss_role.h"

#include <fmt/format.h>

namespace fb {
namespace {

constexpr std::string_view kRootDisplayName = "root";

}  // namespace

RssRole::RssRole(const ServerSettings& settings)
    : settings_(settings), group_(settings.threads), registries_(settings.threads) {}

Task<ConfigResult<void>> RssRole::open(Env& env, const DataDirectory& directory) {
  KeyInfo root{.access_key = settings_.access_key,
               .secret = settings_.secret_key,
               .owner = std::string(kRootOwner),
               .owner_display_name = std::string(kRootDisplayName)};
  if (settings_.access_key.empty()) {
    auto credentials = co_await directory.root_credentials(env);
    if (!credentials) co_return std::unexpected(credentials.error());
    root.access_key = credentials->access_key;
    root.secret = credentials->secret_key;
    found_ = std::move(*credentials);
  }
  keys_.push_back(std::move(root));
  co_return ConfigResult<void>();
}

Task<ConfigResult<void>> RssRole::start(Env& env, PartitionFront& names) {
  auto opened = co_await EmbeddedRegistry::open(
      env, group_, names, [&names](const CallContext& context) { return names.trees(context); }, keys_);
  if (!opened) {
    co_return std::unexpected(
        fmt::format("the list of buckets could not be read: {}", opened.error().to_string()));
  }
  registries_[env.core()] = std::move(*opened);
  co_return ConfigResult<void>();
}

Task<ConfigResult<void>> RssRole::make_buckets(Env& env) {
  for (const std::string& name : settings_.buckets) {
    const auto made = co_await root(env).create_bucket({}, name, kRootOwner);
    if (!made && !made.error().is(RootError::bucket_exists)) {
      co_return std::unexpected(
          fmt::format("bucket {} could not be made: {}", name, made.error().to_string()));
    }
  }
  co_return ConfigResult<void>();
}

Task<void> RssRole::close(Env& env) {
  if (registries_[env.core()]) co_await registries_[env.core()]->close();
}

}  // namespace fb
