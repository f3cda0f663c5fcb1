// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "admin/management.h"
#include "admin/management_guard.h"
#include "http/http_server.h"
#include "io/scope.h"
#include "server/api_role.h"
#include "server/bss_role.h"
#include "server/nss_role.h"
#include "server/rss_role.h"

namespace fb {

// The roles of one process. They outlive every holder of this struct.
struct Roles {
  BssRole& bss;
  NssRole& nss;
  RssRole& rss;
  ApiRole& api;
};

// The management port: health, metrics, checks. On core 0; its answers are collected from all cores.
class ManagementRole {
 public:
  // `settings` outlives it.
  ManagementRole(Env& env, const ServerSettings& settings, Roles roles);

  // Called when every other role serves.
  Task<ConfigResult<void>> listen();
  // Sets whether /ready says that requests are served.
  void set_serving(bool serving) { serving_ = serving; }
  void stop();
  Task<void> drain() { co_await running_.join(); }

  const std::string& url() const { return url_; }

 private:
  static Task<void> run_http(HttpServer* server) { co_await server->run(); }
  Task<std::string> metrics();
  Task<std::string> check();
  Task<std::string> scrub();
  static Task<void> scrub_core(ManagementRole* self, unsigned core, bss::ScrubReport* report);

  Env& env_;
  const ServerSettings& settings_;
  Roles roles_;
  bool serving_ = false;
  std::string url_;
  std::optional<ManagementGuard> guard_;
  std::optional<ManagementHandler> handler_;
  std::unique_ptr<HttpServer> http_;
  Scope running_;
};

}  // namespace fb
