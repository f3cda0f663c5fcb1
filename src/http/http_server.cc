// SPDX-License-Identifier: Apache-2.0
#include "http/http_server.h"

#include "http/tls_context.h"
#include "http/tls_stream.h"

namespace fb {
namespace {

// The pause after an accept that failed (no descriptors are left, for instance).
constexpr Duration kAcceptRetryDelay = Duration::milliseconds(100);
// The pause between two searches for slow holders while somebody waits for memory. It lets holders that were
// cut give back their memory.
constexpr Duration kReclaimPause = Duration::milliseconds(20);

class WatchGuard {
 public:
  WatchGuard(Admission& admission, ConnectionWatch& watch) : admission_(admission), watch_(watch) {
    admission_.add(watch_);
  }
  ~WatchGuard() { admission_.remove(watch_); }
  WatchGuard(const WatchGuard&) = delete;

 private:
  Admission& admission_;
  ConnectionWatch& watch_;
};

}  // namespace

HttpServer::HttpServer(Env& env, Listener listener, HttpHandler& handler, const HttpServerOptions& options)
    : env_(env),
      listener_(std::move(listener)),
      tls_(options.tls),
      guards_buffers_(options.guards_buffers),
      shared_(env, handler, options.limits),
      connection_units_(env, options.limits.connections),
      shortage_(env),
      scope_(env) {
  if (guards_buffers_) env.buffers().listen_for_shortage(this, [this] { shortage_.notify_all(); });
}

Task<void> HttpServer::run() {
  co_await when_all([&] { return accept_and_join(); }, [&] { return sweep(); }, [&] { return reclaim(); });
}

Task<void> HttpServer::accept_and_join() {
  co_await accept_loop();
  if (!co_await listener_.close()) ++shared_.stats.accept_errors;
  co_await scope_.join();
  finished_ = true;
  shortage_.notify_all();
  sweep_cancel_.cancel();
}

Task<void> HttpServer::accept_loop() {
  while (!shared_.stopping) {
    // At the limit nothing is accepted: new clients wait in the kernel's backlog until a connection has
    // closed.
    shared_.admission.make_room();
    accept_waits_ = connection_units_.available() == 0;
    if (accept_waits_) shortage_.notify_all();
    auto units = co_await connection_units_.acquire();
    accept_waits_ = false;
    if (shared_.stopping) co_return;
    auto socket = co_await listener_.accept({.cancel = &accept_cancel_});
    if (socket) {
      ++shared_.stats.connections_accepted;
      scope_.spawn(&HttpServer::serve_connection, std::ref(*this), std::move(*socket), std::move(units));
      continue;
    }
    if (shared_.stopping) co_return;
    ++shared_.stats.accept_errors;
    units.reset();
    if (socket.error().is(IoError::limit)) shared_.admission.shed_connections();  // no descriptor is left
    if (!co_await sleep_for(env_, kAcceptRetryDelay, &accept_cancel_)) co_return;
  }
}

Task<void> HttpServer::serve_connection(HttpServer& server, Socket socket, Semaphore::Units units) {
  HttpStats& stats = server.shared_.stats;
  ++stats.connections_active;
  {
    ConnectionWatch watch;
    watch.peer = socket.peer();
    watch.quiet_since = server.env_.now();
    const WatchGuard guard(server.shared_.admission, watch);
    if (server.tls_ != nullptr) {
      co_await server.serve_tls(socket, watch);
    } else {
      HttpConnection connection(server.shared_, socket, &socket, watch, false);
      co_await connection.serve();
    }
  }
  // A failed close leaves nothing to be done.
  (void)co_await socket.close();
  --stats.connections_active;
  units.reset();
}

Task<void> HttpServer::serve_tls(Socket& socket, ConnectionWatch& watch) {
  TlsStream stream(socket, *tls_, TlsStream::Role::server);
  watch.receive_deadline = env_.now() + shared_.limits.tls_handshake_timeout;
  watch.send_deadline = watch.receive_deadline;
  const auto greeted = co_await stream.handshake({.cancel = &watch.receive_cancel});
  watch.receive_deadline = Instant::never();
  watch.send_deadline = Instant::never();
  if (!greeted) {
    ++(watch.timed_out ? shared_.stats.timeouts : shared_.stats.tls_handshake_errors);
    co_return;
  }
  ++shared_.stats.tls_handshakes;
  HttpConnection connection(shared_, stream, nullptr, watch, true);
  co_await connection.serve();
  co_await stream.close_notify(
      {.deadline = env_.now() + shared_.limits.drain_timeout, .cancel = &watch.send_cancel});
}

void HttpServer::stop(Duration grace) {
  FB_ASSERT(!shared_.stopping);
  shared_.stopping = true;
  stop_deadline_ = env_.now() + grace;
  accept_cancel_.cancel();
  shared_.admission.watches().for_each([](ConnectionWatch& watch) {
    if (watch.idle && !watch.receive_cancel.cancelled()) watch.receive_cancel.cancel();
  });
}

// One pass over all connections now and then instead of a timer for each operation.
Task<void> HttpServer::sweep() {
  while (!finished_) {
    // Cancelled when the last connection has ended.
    (void)co_await sleep_for(env_, shared_.limits.timeout_resolution, &sweep_cancel_);
    if (stop_deadline_ <= env_.now()) {
      shared_.admission.watches().for_each([](ConnectionWatch& watch) { watch.cancel_all(); });
    } else {
      shared_.admission.sweep();
    }
  }
}

// If somebody waits for memory, or to be accepted, clients hold all there is: the slowest of these leave at
// once.
Task<void> HttpServer::reclaim() {
  while (!finished_) {
    const bool memory_waits = guards_buffers_ && env_.buffers().waiting() != 0;
    if (!memory_waits && !accept_waits_) {
      co_await shortage_.wait();
      continue;
    }
    if (memory_waits) shared_.admission.relieve_shortage();
    if (accept_waits_) shared_.admission.make_room();
    (void)co_await sleep_for(env_, kReclaimPause, &sweep_cancel_);
  }
}

}  // namespace fb
