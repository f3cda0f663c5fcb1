// SPDX-License-Identifier: Apache-2.0
#include "http/outbound_pool.h"

#include <fmt/format.h>

#include <algorithm>

#include "http/error.h"
#include "io/error.h"

namespace fb {

Task<void> OutboundConnection::close() {
  client_.reset();
  tls_.reset();
  (void)co_await socket_.close();
}

OutboundPool::OutboundPool(Env& env, OutboundOrigin origin, const TlsContext& tls,
                           const OutboundLimits& limits)
    : env_(env),
      origin_(std::move(origin)),
      tls_(tls),
      limits_(limits),
      addresses_(env, origin_.peer_host, origin_.peer_port),
      places_(env, limits.connections) {
  FB_ASSERT(!origin_.tls || tls_.loaded());
}

OutboundPool::~OutboundPool() {
  FB_ASSERT(env_.abandoned() || idle_.empty());
  FB_ASSERT(env_.abandoned() || on_loan_ == 0, on_loan_);
}

std::string OutboundPool::target(std::string_view path_and_query) const {
  if (!origin_.proxied || origin_.tls) return std::string(path_and_query);
  return fmt::format("http://{}{}", origin_.authority, path_and_query);
}

bool OutboundPool::usable(const OutboundConnection& connection) const {
  return env_.now() - connection.idle_since_ < limits_.idle_timeout &&
         env_.now() - connection.made_at_ < limits_.age_max;
}

// The connections at the front have been idle the longest.
Task<void> OutboundPool::close_old() {
  while (!idle_.empty() && (idle_.size() > limits_.connections || !usable(*idle_.front()))) {
    std::unique_ptr<OutboundConnection> oldest = std::move(idle_.front());
    idle_.pop_front();
    co_await oldest->close();
  }
}

Task<Result<std::unique_ptr<OutboundConnection>>> OutboundPool::acquire(const IoLimits& limits) {
  Semaphore::Units place = co_await places_.acquire();
  while (!idle_.empty()) {
    std::unique_ptr<OutboundConnection> connection = std::move(idle_.back());
    idle_.pop_back();
    if (usable(*connection)) {
      connection->reused_ = true;
      connection->place_ = std::move(place);
      ++on_loan_;
      co_return std::move(connection);
    }
    co_await connection->close();
  }
  FB_CO_TRY(std::unique_ptr<OutboundConnection> connection, co_await connect(limits));
  connection->place_ = std::move(place);
  ++on_loan_;
  co_return std::move(connection);
}

Task<OutboundPool::ConnectionResult> OutboundPool::connect(const IoLimits& limits) {
  auto addresses = co_await addresses_.get(limits);
  if (!addresses) {
    problem_ = fmt::format("the addresses of {}{} cannot be found: {}", origin_.peer_host,
                           origin_.proxied ? ", the proxy," : "", addresses.error().to_string());
    co_return addresses.error();
  }
  auto connection = co_await connect_to_any(*addresses, limits);
  if (connection || !co_await addresses_.look_again(limits)) co_return std::move(connection);
  FB_CO_TRY(addresses, co_await addresses_.get(limits));
  co_return co_await connect_to_any(*addresses, limits);
}

Task<OutboundPool::ConnectionResult> OutboundPool::connect_to_any(std::span<const Endpoint> addresses,
                                                                  const IoLimits& limits) {
  FB_ASSERT(!addresses.empty());
  addresses = addresses.first(std::min(addresses.size(), limits_.addresses_max));
  for (;;) {
    const Endpoint address = addresses.front();
    addresses = addresses.subspan(1);
    const Duration time = addresses.empty() ? limits_.connect_timeout : limits_.next_address_after;
    const IoLimits bounds{.deadline = std::min(limits.deadline, env_.now() + time), .cancel = limits.cancel};
    auto connection = co_await connect_to(address, bounds);
    const bool given_up = limits.cancel != nullptr && limits.cancel->cancelled();
    if (!given_up) addresses_.note(address, connection.has_value());
    if (connection || given_up || addresses.empty() || env_.now() >= limits.deadline)
      co_return std::move(connection);
  }
}

Task<OutboundPool::ConnectionResult> OutboundPool::connect_to(const Endpoint& address,
                                                              const IoLimits& limits) {
  auto socket = co_await Socket::connect(env_, address, limits);
  if (!socket) {
    problem_ = fmt::format("cannot connect to {}{}: {}", address.to_string(),
                           origin_.proxied ? ", the proxy" : "", socket.error().to_string());
    co_return socket.error();
  }
  std::unique_ptr<OutboundConnection> connection(new OutboundConnection(std::move(*socket), env_.now()));
  if (auto prepared = co_await prepare(*connection, limits); !prepared) {
    co_await connection->close();
    co_return prepared.error();
  }
  co_return std::move(connection);
}

Task<Result<void>> OutboundPool::open_tunnel(Socket& socket, const IoLimits& limits) {
  HttpClient proxy(socket);
  const bool has_port = origin_.authority.find(':', origin_.authority.rfind(']') + 1) != std::string::npos;
  const std::string target = has_port ? origin_.authority : origin_.authority + ":443";
  const std::array headers = {HeaderField{"Host", target}};
  FB_CO_CHECK(co_await proxy.send_head({.method = "CONNECT", .target = target, .headers = headers}, limits));
  FB_CO_TRY(const ResponseHead* const head, co_await proxy.receive_head(limits));
  if (head->status / 100 == 2) co_return Result<void>();
  problem_ = fmt::format("the proxy answers {} to a CONNECT to {}", head->status, origin_.authority);
  co_return HttpError::unsupported;
}

Task<Result<void>> OutboundPool::prepare(OutboundConnection& connection, const IoLimits& limits) {
  if (origin_.tls) {
    if (origin_.proxied) FB_CO_CHECK(co_await open_tunnel(connection.socket_, limits));
    connection.tls_ =
        std::make_unique<TlsStream>(connection.socket_, tls_, TlsStream::Role::client, origin_.host);
    if (auto shaken = co_await connection.tls_->handshake(limits); !shaken) {
      problem_ = fmt::format(
          "no TLS with {}: {}", origin_.authority,
          connection.tls_->failure().empty() ? shaken.error().to_string() : connection.tls_->failure());
      co_return shaken.error();
    }
  }
  Stream& stream = connection.tls_ ? static_cast<Stream&>(*connection.tls_) : connection.socket_;
  connection.client_ = std::make_unique<HttpClient>(stream);
  co_return Result<void>();
}

Task<void> OutboundPool::release(std::unique_ptr<OutboundConnection> connection) {
  if (!connection->http().reusable()) co_return co_await discard(std::move(connection));
  FB_ASSERT(on_loan_ > 0);
  --on_loan_;
  connection->idle_since_ = env_.now();
  connection->place_.reset();
  idle_.push_back(std::move(connection));
  co_await close_old();
}

Task<void> OutboundPool::discard(std::unique_ptr<OutboundConnection> connection) {
  FB_ASSERT(on_loan_ > 0);
  --on_loan_;
  co_await connection->close();
}

Task<void> OutboundPool::close() {
  while (!idle_.empty()) {
    std::unique_ptr<OutboundConnection> connection = std::move(idle_.back());
    idle_.pop_back();
    co_await connection->close();
  }
  co_await addresses_.close();
}

}  // namespace fb
