// SPDX-License-Identifier: Apache-2.0
#include "http/http_connection.h"

#include <charconv>

#include "http/error.h"

namespace fb {
namespace {

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr std::string_view kChunkEnd = "\r\n";
constexpr std::string_view kLastChunk = "0\r\n\r\n";
constexpr int kRequestTimeout = 408;
constexpr int kServiceUnavailable = 503;
// Bytes of an answer sent over TLS before the client's progress is noted: whole records of 16 KiB, and fewer
// if memory is short and slow clients are cut.
constexpr size_t kTlsSliceBytes = 240 * kKiB;
constexpr size_t kTlsSliceBytesShort = 64 * kKiB;

constexpr bool status_has_no_body(int status) { return status == 204 || status == 304 || status < 200; }

iovec vector_of(std::string_view text) { return {const_cast<char*>(text.data()), text.size()}; }

uint64_t total_bytes(std::span<const iovec> vectors) {
  uint64_t total = 0;
  for (const iovec& vector : vectors) total += vector.iov_len;
  return total;
}

}  // namespace

HttpConnection::HttpConnection(HttpServerShared& shared, Stream& stream, Socket* socket,
                               ConnectionWatch& watch, bool tls)
    : shared_(shared),
      env_(stream.env()),
      stream_(stream),
      socket_(socket),
      watch_(watch),
      input_(stream, socket, watch, shared.limits, shared.memory_pool, shared.stats, shared.admission),
      tls_(tls) {}

Task<void> HttpConnection::serve() {
  for (;;) {
    switch (co_await input_.read_head(shared_.stopping)) {
      case RequestInput::Head::closed:
        co_return;
      case RequestInput::Head::refused:
        co_await answer_protocol_error(input_.parser().error_status());
        co_return;
      case RequestInput::Head::too_slow:
        co_await answer_protocol_error(kRequestTimeout);
        co_return;
      case RequestInput::Head::request:
        break;
    }
    begin_exchange();
    if (!shared_.admission.may_begin_request(input_.body_at_hand() == SIZE_MAX)) {
      co_await answer_protocol_error(kServiceUnavailable);
      co_return;
    }
    shared_.admission.begin_request(watch_);
    co_await shared_.handler.handle(*this);
    shared_.admission.end_request(watch_);
    if (send_failed_ || !response_done_) co_return;
    // The client still waits for permission to send its body, and reads the refusal first.
    if (continue_due()) co_return;
    if (!input_.body_done() && (input_.body_failed() || !co_await input_.drain_body())) co_return;
    if (close_) co_return;
  }
}

void HttpConnection::begin_exchange() {
  RequestParser& parsed = input_.parser();
  ++shared_.stats.requests;
  started_ = env_.now();
  parsed.head().tls = tls_;
  keep_alive_ = parsed.keep_alive();
  head_request_ = parsed.head().method == "HEAD";
  expect_continue_ = parsed.framing().expect_continue;
  close_ = false;
  head_unsent_ = false;
  response_done_ = false;
  chunked_ = false;
  status_ = 0;
  announced_bytes_.reset();
  body_sent_bytes_ = 0;
  input_.memory().headers.clear();
}

std::optional<uint64_t> HttpConnection::content_length() const {
  const MessageFraming& framing = input_.framing();
  if (framing.chunked) return std::nullopt;
  return framing.content_length.value_or(0);
}

bool HttpConnection::continue_due() const { return expect_continue_ && input_.body_untouched(); }

Task<Result<size_t>> HttpConnection::receive_body(std::span<std::byte> into, bool some) {
  if (expect_continue_) FB_CO_CHECK(co_await send_continue());
  co_return co_await input_.read_body(into, some);
}

Task<Result<void>> HttpConnection::await_body() {
  if (expect_continue_) FB_CO_CHECK(co_await send_continue());
  co_return co_await input_.await_body();
}

Task<Result<void>> HttpConnection::send_continue() {
  if (continue_due() && status_ == 0) {
    iovec vector = vector_of(kContinue);
    FB_CO_CHECK(co_await send({&vector, 1}, 0));
  }
  expect_continue_ = false;
  co_return Result<void>();
}

Task<void> HttpConnection::answer_protocol_error(int status) {
  if (status != kServiceUnavailable) ++shared_.stats.protocol_errors;
  input_.ensure_memory();
  HeaderWriter& header_lines = headers();
  header_lines.clear();
  // A request that could not be parsed may still have said HEAD, and is answered accordingly.
  head_request_ = request().method == "HEAD";
  input_.drop_received();  // the client is waited for from here on
  close_ = true;
  status_ = 0;  // it was of the request before
  const std::string body = shared_.handler.protocol_error(status, header_lines);
  write_head(status, body.size(), false);
  append_vector(input_.memory().response_head);
  if (!head_request_) append_vector(body);
  if (!co_await send(input_.memory().vectors, head_request_ ? 0 : body.size())) co_return;
  // Bytes that arrive after a close make the kernel reset the connection, and the client could lose the
  // answer.
  if (status != kRequestTimeout) co_await input_.drain_until_closed();
}

bool HttpConnection::must_close() const {
  if (close_ || !keep_alive_ || shared_.stopping || input_.body_failed()) return true;
  // Close even if the body is empty: a client that waited for 100 and got another status may not be able to
  // use the connection again (botocore takes the next status line for a header, and waits for the end).
  if (continue_due()) return true;
  return !input_.body_done() && input_.body_left().value_or(0) > shared_.limits.drain_bytes;
}

void HttpConnection::write_head(int status, std::optional<uint64_t> content_length, bool chunked) {
  FB_ASSERT(status >= 200 && status < 600, status);
  FB_ASSERT(status_ == 0, status_, status);
  status_ = status;
  close_ = must_close();
  ++shared_.stats.responses_by_class[static_cast<size_t>(status / 100)];
  RequestMemory& memory = input_.memory();
  const bool http_1_0 = memory.parser.head().http_1_0;
  write_response_head(memory.response_head,
                      {.status = status,
                       .content_length = content_length,
                       .chunked = chunked,
                       .close = close_,
                       .http_1_0 = http_1_0},
                      shared_.common_lines.get(), memory.headers.text());
  memory.vectors.clear();
}

void HttpConnection::append_vector(std::string_view text) {
  if (!text.empty()) input_.memory().vectors.push_back(vector_of(text));
}

Task<Result<void>> HttpConnection::respond(int status, std::span<iovec> body) {
  const uint64_t body_bytes = total_bytes(body);
  if (status_has_no_body(status)) {
    write_head(status, std::nullopt, false);
  } else {
    write_head(status, body_bytes, false);
  }
  std::vector<iovec>& vectors = input_.memory().vectors;
  append_vector(input_.memory().response_head);
  const bool with_body = !head_request_ && !status_has_no_body(status);
  if (with_body) vectors.insert(vectors.end(), body.begin(), body.end());
  response_done_ = true;
  return send(vectors, with_body ? body_bytes : 0);
}

Task<Result<void>> HttpConnection::respond_without_body(int status, std::optional<uint64_t> content_length) {
  // If a client expects a body by method and status, an empty one is announced: a body that never comes must
  // not be.
  if (status == 204) content_length.reset();
  if (!status_has_no_body(status) && !head_request_) content_length = 0;
  write_head(status, content_length, false);
  append_vector(input_.memory().response_head);
  response_done_ = true;
  return send(input_.memory().vectors, 0);
}

void HttpConnection::begin_response(int status, std::optional<uint64_t> content_length) {
  const bool without_body = status_has_no_body(status);
  if (without_body && status != 304) content_length.reset();
  announced_bytes_ = content_length;
  chunked_ = !without_body && !content_length && !request().http_1_0;
  if (!without_body && !content_length && !chunked_)
    close_ = true;  // HTTP/1.0: the body ends with the connection
  write_head(status, content_length, chunked_);
  head_unsent_ = true;
}

Task<Result<void>> HttpConnection::send_body(std::span<iovec> vectors) {
  FB_ASSERT(status_ != 0);
  FB_ASSERT(!response_done_);
  const uint64_t count = total_bytes(vectors);
  const bool discard = head_request_ || status_has_no_body(status_);
  FB_ASSERT(discard || !announced_bytes_ || body_sent_bytes_ + count <= *announced_bytes_, body_sent_bytes_,
            count);
  std::vector<iovec>& out = input_.memory().vectors;
  out.clear();
  if (head_unsent_) append_vector(input_.memory().response_head);
  head_unsent_ = false;
  if (!discard && count != 0) {
    if (chunked_) {
      char* const end =
          std::to_chars(chunk_line_.data(), chunk_line_.data() + chunk_line_.size() - 2, count, 16).ptr;
      end[0] = '\r';
      end[1] = '\n';
      append_vector({chunk_line_.data(), static_cast<size_t>(end - chunk_line_.data()) + 2});
    }
    out.insert(out.end(), vectors.begin(), vectors.end());
    if (chunked_) append_vector(kChunkEnd);
  }
  return send(out, discard ? 0 : count);
}

Task<Result<void>> HttpConnection::end_response() {
  FB_ASSERT(status_ != 0);
  FB_ASSERT(!response_done_);
  const bool discard = head_request_ || status_has_no_body(status_);
  if (!discard && announced_bytes_ && body_sent_bytes_ != *announced_bytes_)
    co_return HttpError::body_incomplete;
  std::vector<iovec>& out = input_.memory().vectors;
  out.clear();
  if (head_unsent_) append_vector(input_.memory().response_head);
  head_unsent_ = false;
  if (chunked_ && !discard) append_vector(kLastChunk);
  response_done_ = true;
  if (out.empty()) co_return Result<void>();
  co_return co_await send(out, 0);
}

// Sends everything, in order. It must all go out within the idle time plus the time its bytes take at the
// slowest rate.
Task<Result<void>> HttpConnection::send(std::span<iovec> vectors, uint64_t body_bytes) {
  if (send_failed_) co_return HttpError::connection_lost;
  const HttpLimits& limits = shared_.limits;
  const uint64_t bytes = total_bytes(vectors);
  const Duration transfer =
      Duration::milliseconds(static_cast<int64_t>(bytes * 1000 / limits.send_bytes_per_second_min));
  const Duration idle = watch_.authenticated
                            ? limits.send_idle_timeout
                            : std::min(limits.send_idle_timeout, limits.anonymous_send_timeout);
  watch_.send_deadline = env_.now() + idle + transfer;
  // The text of an XML request stays in memory until it is answered.
  const bool with_text = watch_.held_use == BufferUse::text && watch_.held_for_body != 0;
  const BufferUse use = with_text                         ? BufferUse::text
                        : body_bytes > kRequestPieceBytes ? BufferUse::answer
                                                          : BufferUse::request;
  shared_.admission.begin(watch_.out, with_text ? bytes + watch_.held_for_body : bytes, use);
  const IoLimits io_limits{.cancel = &watch_.send_cancel};
  Result<void> result;
  if (socket_ != nullptr) {
    vectors = skip_vectors(vectors, 0);
    while (!vectors.empty()) {
      const auto sent = co_await socket_->send_operation(vectors, io_limits);
      if (!sent) {
        result = sent.error();
        break;
      }
      shared_.admission.moved(watch_.out, *sent);
      vectors = skip_vectors(vectors, *sent);
    }
  } else {
    result = co_await send_on_stream(vectors, io_limits);
  }
  shared_.admission.end(watch_.out);
  watch_.send_deadline = Instant::never();
  if (!result) {
    send_failed_ = true;
    if (result.error().is(IoError::cancelled) && watch_.timed_out) {
      ++shared_.stats.timeouts;
      co_return HttpError::timed_out;
    }
    co_return Error(HttpError::connection_lost, result.error().os_errno());
  }
  body_sent_bytes_ += body_bytes;
  shared_.stats.body_sent_bytes += body_bytes;
  co_return Result<void>();
}

// With TLS, the progress of the client is known only when a call ends.
Task<Result<void>> HttpConnection::send_on_stream(std::span<iovec> vectors, const IoLimits& limits) {
  while (!vectors.empty()) {
    const size_t slice = env_.buffers().calm() ? kTlsSliceBytes : kTlsSliceBytesShort;
    size_t bytes = 0;
    size_t count = 0;
    while (count < vectors.size() && bytes + vectors[count].iov_len <= slice)
      bytes += vectors[count++].iov_len;
    iovec rest{};
    if (count < vectors.size() && bytes < slice) {
      iovec& divided = vectors[count++];
      const size_t taken = slice - bytes;
      rest = {static_cast<std::byte*>(divided.iov_base) + taken, divided.iov_len - taken};
      divided.iov_len = taken;
      bytes = slice;
    }
    FB_CO_CHECK(co_await stream_.send_all(vectors.first(count), limits));
    shared_.admission.moved(watch_.out, bytes);
    if (rest.iov_len != 0) vectors[--count] = rest;
    vectors = vectors.subspan(count);
  }
  co_return Result<void>();
}

}  // namespace fb
