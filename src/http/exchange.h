// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/header_writer.h"
#include "base/request_head.h"
#include "io/stream.h"

namespace fb {

// One request and its response on one connection, given to an HttpHandler. Lives as long as handle() runs.
// All of it is used on the connection's core by one coroutine at a time.
//
// A response is sent exactly once: either respond(), or begin_response() and then send_body() until the
// announced length is reached. If the handler returns without one, or with a body cut short, the connection
// is closed. The unread rest of a request body is drained up to a bound, else the connection is closed
// afterwards.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;

  virtual Env& env() const = 0;
  virtual const RequestHead& request() const = 0;
  virtual Endpoint peer() const = 0;
  // The time when the last byte of the head had arrived: the start of the request for latencies.
  virtual Instant started() const = 0;

  // The body's length if declared; nothing for "Transfer-Encoding: chunked". 0 if there is no body.
  virtual std::optional<uint64_t> content_length() const = 0;
  // Fills `into` with body bytes, transfer coding removed: exactly into.size() bytes, fewer only at the end
  // of the body; the next call then gives 0. Sends "100 Continue" first if the client waits for it. Bytes
  // that came with the head are copied, the rest is received straight into `into`. HttpError::body_incomplete
  // if the client vanishes, HttpError::timed_out if it is too slow, HttpError::malformed if the framing is
  // wrong.
  virtual Task<Result<size_t>> read_body(std::span<std::byte> into) = 0;
  // Like read_body(), but returns as soon as at least one byte is there: for framed bodies (aws-chunked).
  virtual Task<Result<size_t>> read_body_some(std::span<std::byte> into) = 0;
  // Bytes of the body, as they were sent, that have arrived and can be read without waiting; SIZE_MAX if the
  // whole rest has.
  virtual size_t body_at_hand() const = 0;
  // Waits until some of the body is at hand, or all of it was read. The bytes wait in memory of the
  // connection. So a handler that calls this before it asks for memory of the pool does not hold that memory
  // for a client that sends nothing. Errors as in read_body().
  virtual Task<Result<void>> await_body() = 0;
  // Fails the current and all later reads of the body with HttpError::timed_out. A response can still be
  // sent.
  virtual void stop_receiving() = 0;

  // The handler knows who sent the request. Before this call, the client has to take its answer quickly, and
  // its connection is among the first to be closed if connections get short.
  virtual void set_authenticated() = 0;
  // States how much memory, and of which use, the handler keeps for the next part of the body, if that is
  // more than the span it reads into. The rate that the client must keep rises with it. A text is held until
  // the answer has left, too.
  virtual void hold_for_body(uint64_t bytes, BufferUse use) = 0;

  // Header fields of the response, without Date, Server, Content-Length, Transfer-Encoding and Connection:
  // the server writes these itself. Cleared at the start of each exchange.
  virtual HeaderWriter& headers() = 0;
  // Status, headers and the whole body in one send. For HEAD requests `body` is not sent, its length is
  // announced. For 204 and 304 no length is announced. The vectors may be changed.
  virtual Task<Result<void>> respond(int status, std::span<iovec> body) = 0;
  // HEAD: a response that announces `content_length` and has no body. Also for 304, 204.
  virtual Task<Result<void>> respond_without_body(int status, std::optional<uint64_t> content_length) = 0;
  // The head goes out with the first send_body(). Without a length the body is sent chunked (HTTP/1.0: until
  // close).
  virtual void begin_response(int status, std::optional<uint64_t> content_length) = 0;
  virtual Task<Result<void>> send_body(std::span<iovec> vectors) = 0;
  // Ends a chunked body; checks that an announced length was reached.
  virtual Task<Result<void>> end_response() = 0;
  // True once any byte of the response may have left: an error can no longer be reported by status.
  virtual bool response_begun() const = 0;
  // The status of the response begun; 0 before.
  virtual int status() const = 0;
  // Close the connection after this response.
  virtual void close_after() = 0;
  // Bytes of body received and sent so far: for the access log and metrics.
  virtual uint64_t body_received_bytes() const = 0;
  virtual uint64_t body_sent_bytes() const = 0;
};

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  virtual Task<void> handle(HttpExchange& exchange) = 0;
  // The response body (and headers into `headers`) for a request that could not be parsed: 400, 408, 414,
  // 431, 501, 505 and so on. For S3 an error document.
  virtual std::string protocol_error(int status, HeaderWriter& headers) = 0;
};

}  // namespace fb
