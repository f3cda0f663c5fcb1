// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <span>
#include <string>

#include "http/host_addresses.h"
#include "http/http_client.h"
#include "http/tls_context.h"
#include "http/tls_stream.h"
#include "io/sync.h"

namespace fb {

// The destination of outbound requests: one host, reached directly or through a proxy.
struct OutboundOrigin {
  bool tls = false;
  std::string host;       // its certificate must be for this name
  std::string authority;  // "host:port", or "host" with the scheme's port, as the Host header has it
  // The peer to connect to: the host, or the proxy if there is one; a name or an address in numbers.
  std::string peer_host;
  uint16_t peer_port = 0;
  // Plain requests go to the proxy in absolute form, TLS goes through a CONNECT.
  bool proxied = false;
};

struct OutboundLimits {
  size_t connections = 64;  // per core in use at a time, and as many idle; further requests wait
  Duration connect_timeout = Duration::seconds(5);     // per address, the TLS handshake included
  Duration next_address_after = Duration::seconds(2);  // if another one is left
  size_t addresses_max = 8;                            // tried for one connection
  Duration age_max = Duration::minutes(5);  // then a connection is not used again: its address may be gone
  Duration idle_timeout = Duration::seconds(15);  // shorter than those of servers
};

// One connection on loan from a pool.
class OutboundConnection {
 public:
  HttpClient& http() { return *client_; }
  // Whether an earlier request has used it: the server may have closed it meanwhile.
  bool reused() const { return reused_; }

 private:
  friend class OutboundPool;
  OutboundConnection(Socket socket, Instant made_at) : socket_(std::move(socket)), made_at_(made_at) {}
  Task<void> close();

  Socket socket_;
  std::unique_ptr<TlsStream> tls_;
  std::unique_ptr<HttpClient> client_;
  Semaphore::Units place_;
  Instant made_at_;
  Instant idle_since_;
  bool reused_ = false;
};

// Connections of one core to one origin, kept between requests. Everything that was acquired must be
// released; close() then closes the idle ones. The name of the peer is looked up again as time passes, all
// its addresses are tried, and no address is used for ever.
//
//   FB_CO_TRY(auto connection, co_await pool.acquire(limits));
//   ... one request over connection->http() ...
//   co_await pool.release(std::move(connection));      kept if it is reusable, else closed
//
// Errors of acquire(): those of sockets, of look-ups and of TLS; HttpError::unsupported if the proxy refuses
// to connect. problem() then says more.
class OutboundPool {
 public:
  // `tls` must be loaded if the origin has TLS, and outlive the pool.
  OutboundPool(Env& env, OutboundOrigin origin, const TlsContext& tls, const OutboundLimits& limits = {});
  ~OutboundPool();
  OutboundPool(const OutboundPool&) = delete;

  Task<Result<std::unique_ptr<OutboundConnection>>> acquire(const IoLimits& limits);
  Task<void> release(std::unique_ptr<OutboundConnection> connection);
  // Gives back a connection that cannot be used any more.
  Task<void> discard(std::unique_ptr<OutboundConnection> connection);
  Task<void> close();

  // "/path" as the request line must have it.
  std::string target(std::string_view path_and_query) const;
  const OutboundOrigin& origin() const { return origin_; }
  // Why the last connection could not be made, for people.
  const std::string& problem() const { return problem_; }
  size_t idle_count() const { return idle_.size(); }

 private:
  using ConnectionResult = Result<std::unique_ptr<OutboundConnection>>;
  bool usable(const OutboundConnection& connection) const;
  Task<void> close_old();
  Task<ConnectionResult> connect(const IoLimits& limits);
  Task<ConnectionResult> connect_to_any(std::span<const Endpoint> addresses, const IoLimits& limits);
  Task<ConnectionResult> connect_to(const Endpoint& address, const IoLimits& limits);
  Task<Result<void>> open_tunnel(Socket& socket, const IoLimits& limits);
  Task<Result<void>> prepare(OutboundConnection& connection, const IoLimits& limits);

  Env& env_;
  OutboundOrigin origin_;
  const TlsContext& tls_;
  OutboundLimits limits_;
  HostAddresses addresses_;
  Semaphore places_;
  std::deque<std::unique_ptr<OutboundConnection>> idle_;  // the one used last is at the back
  std::string problem_;
  size_t on_loan_ = 0;
};

}  // namespace fb
