// SPDX-License-Identifier: Apache-2.0
#include "http/http_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <vector>

#include "http/error.h"

namespace fb {
namespace {

constexpr size_t kTextPieceBytes = 16 * kKiB;
constexpr size_t kStagingBytes = 16 * kKiB;

// The parser refuses a head before it gets this long.
size_t head_bytes_max(const HttpLimits& limits) {
  return limits.request_line_bytes + limits.header_section_bytes + 4;
}

uint64_t total_bytes(std::span<const iovec> vectors) {
  uint64_t total = 0;
  for (const iovec& vector : vectors) total += vector.iov_len;
  return total;
}

}  // namespace

HttpClient::HttpClient(Stream& stream, const HttpLimits& limits)
    : stream_(stream),
      limits_(limits),
      parser_(fields_, limits_),
      head_memory_(std::max(head_bytes_max(limits), kStagingBytes)) {}

void HttpClient::write_head(const HttpClientRequest& request) {
  FB_ASSERT(body_ == Body::none);
  FB_ASSERT(!head_parsed_);
  request_head_.clear();
  fmt::format_to(std::back_inserter(request_head_), "{} {} HTTP/1.1\r\n", request.method, request.target);
  for (const HeaderField& field : request.headers) {
    request_head_.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  if (request.content_length) {
    fmt::format_to(std::back_inserter(request_head_), "Content-Length: {}\r\n", *request.content_length);
  } else if (request.chunked) {
    request_head_.append("Transfer-Encoding: chunked\r\n");
  }
  request_head_.append("\r\n");
  head_request_ = request.method == "HEAD";
  request_chunked_ = request.chunked;
}

Task<Result<void>> HttpClient::send(const HttpClientRequest& request, std::span<iovec> body,
                                    const IoLimits& limits) {
  HttpClientRequest whole = request;
  if (!body.empty()) whole.content_length = total_bytes(body);
  whole.chunked = false;
  write_head(whole);
  std::vector<iovec> vectors;
  vectors.reserve(body.size() + 1);
  vectors.push_back({request_head_.data(), request_head_.size()});
  vectors.insert(vectors.end(), body.begin(), body.end());
  co_return co_await stream_.send_all(vectors, limits);
}

Task<Result<void>> HttpClient::send_head(const HttpClientRequest& request, const IoLimits& limits) {
  write_head(request);
  iovec vector{request_head_.data(), request_head_.size()};
  co_return co_await stream_.send_all({&vector, 1}, limits);
}

Task<Result<void>> HttpClient::send_body(std::span<iovec> vectors, const IoLimits& limits) {
  if (!request_chunked_) co_return co_await stream_.send_all(vectors, limits);
  const uint64_t count = total_bytes(vectors);
  if (count == 0) co_return Result<void>();
  chunk_line_ = fmt::format("{:x}\r\n", count);
  std::string end = "\r\n";
  std::vector<iovec> framed;
  framed.reserve(vectors.size() + 2);
  framed.push_back({chunk_line_.data(), chunk_line_.size()});
  framed.insert(framed.end(), vectors.begin(), vectors.end());
  framed.push_back({end.data(), end.size()});
  co_return co_await stream_.send_all(framed, limits);
}

Task<Result<void>> HttpClient::end_body(const IoLimits& limits) {
  FB_ASSERT(request_chunked_);
  std::string last = "0\r\n\r\n";
  iovec vector{last.data(), last.size()};
  co_return co_await stream_.send_all({&vector, 1}, limits);
}

// The next head, interim ones included. The head begins at the front of the memory for heads; the rest of the
// previous response's bytes moves there first.
Task<Result<void>> HttpClient::parse_head(const IoLimits& limits) {
  std::byte* const start = head_memory_.span().data();
  if (!window_.empty()) std::memmove(start, window_.data(), window_.size());
  window_ = head_memory_.span().first(window_.size());
  parser_.reset();
  for (;;) {
    const ParseState state = parser_.parse(window_text());
    if (state == ParseState::complete) break;
    if (state == ParseState::failed) {
      const int status = parser_.error_status();
      if (status == 431) co_return HttpError::head_too_large;
      co_return status == 501 || status == 505 ? HttpError::unsupported : HttpError::malformed;
    }
    const std::span<std::byte> room = head_memory_.span().subspan(window_.size());
    FB_CO_TRY(const size_t count, co_await stream_.receive(room, limits));
    if (count == 0) co_return IoError::connection_lost;
    window_ = head_memory_.span().first(window_.size() + count);
  }
  consume(parser_.head_size());
  co_return Result<void>();
}

Task<Result<bool>> HttpClient::receive_continue(const IoLimits& limits) {
  FB_ASSERT(!head_parsed_);
  do {
    FB_CO_CHECK(co_await parse_head(limits));
  } while (parser_.head().status > 100 && parser_.head().status < 200);
  head_parsed_ = parser_.head().status != 100;
  co_return !head_parsed_;
}

Task<Result<const ResponseHead*>> HttpClient::receive_head(const IoLimits& limits) {
  while (!head_parsed_) {
    FB_CO_CHECK(co_await parse_head(limits));
    head_parsed_ = parser_.head().status >= 200;
  }
  head_parsed_ = false;
  begin_body();
  co_return &parser_.head();
}

void HttpClient::begin_body() {
  const MessageFraming& framing = parser_.framing();
  const int status = parser_.head().status;
  keep_alive_ = parser_.keep_alive();
  decoder_.reset();
  left_ = 0;
  if (head_request_ || status == 204 || status == 304) {
    body_ = Body::none;
  } else if (framing.chunked) {
    body_ = Body::chunked;
  } else if (framing.content_length) {
    left_ = *framing.content_length;
    body_ = left_ == 0 ? Body::none : Body::length;
  } else {
    body_ = Body::until_close;
    keep_alive_ = false;
  }
}

Task<Result<size_t>> HttpClient::read_body(std::span<std::byte> into, const IoLimits& limits) {
  FB_ASSERT(!into.empty());
  while (body_ != Body::none) {
    if (body_ == Body::chunked && decoder_.payload_due() == 0) {
      if (decoder_.done()) {
        body_ = Body::none;
        break;
      }
      if (window_.empty()) {
        if (!staging_) staging_ = InputArray(kStagingBytes);
        FB_CO_TRY(const size_t received, co_await stream_.receive(staging_.span(), limits));
        if (received == 0) co_return HttpError::body_incomplete;
        window_ = staging_.span().first(received);
      }
      FB_CO_TRY(const size_t framing_bytes, decoder_.consume(window_text()));
      consume(framing_bytes);
      continue;
    }
    const uint64_t due = body_ == Body::length    ? left_
                         : body_ == Body::chunked ? decoder_.payload_due()
                                                  : into.size();
    const std::span<std::byte> to = into.first(std::min<uint64_t>(due, into.size()));
    size_t count = std::min(to.size(), window_.size());
    if (count != 0) {
      std::memcpy(to.data(), window_.data(), count);
      consume(count);
    } else {
      FB_CO_TRY(count, co_await stream_.receive(to, limits));
    }
    if (count == 0) {
      if (body_ != Body::until_close) co_return HttpError::body_incomplete;
      body_ = Body::none;
      break;
    }
    if (body_ == Body::chunked) decoder_.take_payload(count);
    if (body_ == Body::length && (left_ -= count) == 0) body_ = Body::none;
    co_return count;
  }
  co_return size_t{0};
}

Task<Result<std::string>> HttpClient::read_body_text(size_t size_max, const IoLimits& limits) {
  std::string text;
  for (;;) {
    const size_t start = text.size();
    text.resize(start + kTextPieceBytes);
    const std::span<char> room(text.data() + start, kTextPieceBytes);
    FB_CO_TRY(const size_t count, co_await read_body(std::as_writable_bytes(room), limits));
    text.resize(start + count);
    if (count == 0) co_return text;
    if (text.size() > size_max) co_return HttpError::head_too_large;
  }
}

}  // namespace fb
