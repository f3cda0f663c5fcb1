// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "http/chunked_body.h"
#include "http/http_parser.h"
#include "http/input_memory.h"
#include "io/stream.h"

namespace fb {

struct HttpClientRequest {
  std::string_view method = "GET";
  std::string_view target = "/";  // percent-encoded, with the query
  // With Host; without Content-Length and Transfer-Encoding, which the client writes itself. Well-formed.
  std::span<const HeaderField> headers;
  // Empty with `chunked`: the body is sent as chunks.
  std::optional<uint64_t> content_length;
  bool chunked = false;
};

// An HTTP/1.1 client on one connection: one request after the other, over a stream that it neither owns nor
// closes.
//
//   HttpClient client(socket);
//   FB_CO_CHECK(co_await client.send(request, body, limits));        or send_head, send_body..., end_body
//   FB_CO_TRY(const ResponseHead* head, co_await client.receive_head(limits));
//   FB_CO_TRY(size_t count, co_await client.read_body(into, limits));   until it gives 0
//   if (!client.reusable()) ...                                      the connection cannot be used any more
//
// Each operation takes its own bounds. Errors are those of the stream, and HttpError::malformed,
// head_too_large, unsupported, body_incomplete. After any error the connection is to be closed. Views of a
// head are valid until the next request: nothing else writes the head's memory.
class HttpClient {
 public:
  explicit HttpClient(Stream& stream, const HttpLimits& limits = {});
  HttpClient(const HttpClient&) = delete;

  // Head and body in one send. The vectors may be changed; content_length is set by their size.
  Task<Result<void>> send(const HttpClientRequest& request, std::span<iovec> body, const IoLimits& limits);
  Task<Result<void>> send_head(const HttpClientRequest& request, const IoLimits& limits);
  Task<Result<void>> send_body(std::span<iovec> vectors, const IoLimits& limits);
  // Ends a chunked body.
  Task<Result<void>> end_body(const IoLimits& limits);

  // After send_head() with "Expect: 100-continue": true if the server asks for the body, false if it answered
  // at once; receive_head() then gives that answer.
  Task<Result<bool>> receive_continue(const IoLimits& limits);
  // The final head: 100 and other interim ones are skipped.
  Task<Result<const ResponseHead*>> receive_head(const IoLimits& limits);
  // At least one byte, or 0 at the end of the body.
  Task<Result<size_t>> read_body(std::span<std::byte> into, const IoLimits& limits);
  // The rest of the body; HttpError::head_too_large beyond `size_max`.
  Task<Result<std::string>> read_body_text(size_t size_max, const IoLimits& limits);
  // The response was read whole and the server keeps the connection.
  bool reusable() const { return body_ == Body::none && keep_alive_; }

 private:
  enum class Body : uint8_t { none, length, chunked, until_close };

  void write_head(const HttpClientRequest& request);
  Task<Result<void>> parse_head(const IoLimits& limits);
  void begin_body();
  std::string_view window_text() const {
    return {reinterpret_cast<const char*>(window_.data()), window_.size()};
  }
  void consume(size_t count) { window_ = window_.subspan(count); }

  Stream& stream_;
  const HttpLimits limits_;
  std::array<HeaderField, kHeaderCountMax> fields_;
  ResponseParser parser_;
  InputArray head_memory_;       // written only by parse_head()
  InputArray staging_;           // for the framing of a chunked body; none before it is needed
  std::span<std::byte> window_;  // part of one of them: received and not yet consumed
  bool head_parsed_ = false;     // a head is parsed and not given to the caller yet
  std::string request_head_;
  std::string chunk_line_;
  bool request_chunked_ = false;
  bool head_request_ = false;

  Body body_ = Body::none;
  bool keep_alive_ = true;
  uint64_t left_ = 0;
  ChunkedDecoder decoder_;
};

}  // namespace fb
