// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "http/http_connection.h"
#include "io/scope.h"
#include "io/sync.h"

namespace fb {

class TlsContext;

struct HttpServerOptions {
  HttpLimits limits;
  // Whether its clients hold the memory of the core's BufferPool, and are cut if others wait for that memory:
  // true for at most one server of a core.
  bool guards_buffers = true;
  // Serve TLS with this context (which may be reloaded meanwhile); plain if null. Outlives the server.
  TlsContext* tls = nullptr;
};

// An HTTP/1.1 server on one listener of one core. One is made per core; they share nothing.
//
//   HttpServer server(env, std::move(listener), handler);
//   ... co_await server.run();       accepts and serves until stop() was called and all connections have
//   ended
//   ... server.stop(grace);          from another coroutine of the same core, at most once
class HttpServer {
 public:
  HttpServer(Env& env, Listener listener, HttpHandler& handler, const HttpServerOptions& options = {});
  ~HttpServer() { env_.buffers().stop_listening(this); }
  HttpServer(const HttpServer&) = delete;

  Task<void> run();
  // Accepts nothing more and closes idle connections; requests in progress finish and their connections
  // close. After `grace`, the sends and receives of unfinished requests are cancelled.
  void stop(Duration grace);
  bool stopping() const { return shared_.stopping; }

  Endpoint endpoint() const { return listener_.endpoint(); }
  const HttpStats& stats() const { return shared_.stats; }
  const Admission& admission() const { return shared_.admission; }

 private:
  Task<void> accept_and_join();
  Task<void> accept_loop();
  Task<void> sweep();
  Task<void> reclaim();
  static Task<void> serve_connection(HttpServer& server, Socket socket, Semaphore::Units units);
  Task<void> serve_tls(Socket& socket, ConnectionWatch& watch);

  Env& env_;
  Listener listener_;
  TlsContext* tls_;
  bool guards_buffers_;
  HttpServerShared shared_;
  Semaphore connection_units_;
  CancelSource accept_cancel_;
  CancelSource sweep_cancel_;
  Instant stop_deadline_ = Instant::never();
  bool finished_ = false;
  Notification shortage_;  // of memory, or of connections
  bool accept_waits_ = false;
  Scope scope_;
};

}  // namespace fb
