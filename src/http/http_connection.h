// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "http/admission.h"
#include "http/exchange.h"
#include "http/request_input.h"
#include "http/response_head.h"

namespace fb {

// State that the connections of one server on one core share.
struct HttpServerShared {
  HttpServerShared(Env& env, HttpHandler& handler_in, const HttpLimits& limits_in)
      : handler(handler_in),
        limits(limits_in),
        memory_pool(limits),
        common_lines(env),
        admission(env, limits, stats) {
    stats.connections_max = limits.connections;
  }
  HttpHandler& handler;
  const HttpLimits limits;
  RequestMemoryPool memory_pool;
  CommonLines common_lines;
  HttpStats stats;
  Admission admission;
  bool stopping = false;
};

// One connection of a server, and at the same time the exchange that its handler sees: requests on a
// connection are served one after the other. Owned by the coroutine that serves it; one core, one coroutine
// at a time.
//
//   read head -> handle -> (response sent) -> drain the rest of the body -> read head ...
//
// It ends when the client or the handler asks for it, at a time-out, at a protocol error (after the answer),
// when a response stays incomplete, and when the server stops.
class HttpConnection final : public HttpExchange {
 public:
  // `socket` is the stream itself if it is a plain socket: its operations then need no virtual call and no
  // coroutine frame of their own.
  HttpConnection(HttpServerShared& shared, Stream& stream, Socket* socket, ConnectionWatch& watch, bool tls);

  Task<void> serve();

  Env& env() const override { return env_; }
  const RequestHead& request() const override { return input_.parser_head(); }
  Endpoint peer() const override { return stream_.peer(); }
  Instant started() const override { return started_; }
  std::optional<uint64_t> content_length() const override;
  Task<Result<size_t>> read_body(std::span<std::byte> into) override { return receive_body(into, false); }
  Task<Result<size_t>> read_body_some(std::span<std::byte> into) override { return receive_body(into, true); }
  void stop_receiving() override {
    watch_.time_out(watch_.receive_cancel);
    watch_.timed_out = true;
  }
  void set_authenticated() override { watch_.authenticated = true; }
  size_t body_at_hand() const override { return input_.body_at_hand(); }
  Task<Result<void>> await_body() override;
  void hold_for_body(uint64_t bytes, BufferUse use) override {
    watch_.held_for_body = bytes;
    watch_.held_use = use;
  }
  HeaderWriter& headers() override { return input_.memory().headers; }
  Task<Result<void>> respond(int status, std::span<iovec> body) override;
  Task<Result<void>> respond_without_body(int status, std::optional<uint64_t> content_length) override;
  void begin_response(int status, std::optional<uint64_t> content_length) override;
  Task<Result<void>> send_body(std::span<iovec> vectors) override;
  Task<Result<void>> end_response() override;
  bool response_begun() const override { return status_ != 0; }
  int status() const override { return status_; }
  void close_after() override { close_ = true; }
  uint64_t body_received_bytes() const override { return input_.body_read_bytes(); }
  uint64_t body_sent_bytes() const override { return body_sent_bytes_; }

 private:
  Task<Result<size_t>> receive_body(std::span<std::byte> into, bool some);
  Task<Result<void>> send_continue();
  Task<Result<void>> send(std::span<iovec> vectors, uint64_t body_bytes);
  Task<Result<void>> send_on_stream(std::span<iovec> vectors, const IoLimits& limits);
  Task<void> answer_protocol_error(int status);
  void begin_exchange();
  // Writes the head; decides whether the connection closes afterwards.
  void write_head(int status, std::optional<uint64_t> content_length, bool chunked);
  bool must_close() const;
  bool continue_due() const;
  void append_vector(std::string_view text);

  HttpServerShared& shared_;
  Env& env_;
  Stream& stream_;
  Socket* socket_;
  ConnectionWatch& watch_;
  RequestInput input_;
  bool tls_;

  // State of the exchange.
  Instant started_;
  bool keep_alive_ = false;
  bool head_request_ = false;
  bool expect_continue_ = false;
  bool close_ = false;
  bool head_unsent_ = false;  // the head is written and goes out with the first piece of the body
  bool response_done_ = false;
  bool chunked_ = false;
  bool send_failed_ = false;
  int status_ = 0;
  std::optional<uint64_t> announced_bytes_;
  uint64_t body_sent_bytes_ = 0;
  std::array<char, 20> chunk_line_;
};

}  // namespace fb
