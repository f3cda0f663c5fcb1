// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "http/admission.h"
#include "http/chunked_body.h"
#include "http/connection_watch.h"
#include "http/http_stats.h"
#include "http/request_memory.h"
#include "io/stream.h"

namespace fb {

// The receiving half of a server's connection: heads, then bodies.
//
// A head is received into the environment's pooled memory, and a request that came whole (nearly all of them)
// is parsed and read there. Any other is moved, once, into an array before its handler sees it: a pooled
// buffer is never held while the rest of a request is waited for, because slow clients could then hold all of
// them. It is moved as well if requests in progress hold many pooled buffers already: a client that does not
// read its answer holds the head as long (docs/admission.md). From then on the head stands still until the
// request has ended (http/input_memory.h). Body bytes that came with the head are read out of its memory; the
// framing of a chunked body is received into `staging_`, which is another array.
class RequestInput {
 public:
  enum class Head : uint8_t {
    request,   // parser() holds it
    closed,    // by the client, by the idle time-out or by the server's stop
    refused,   // parser().error_status() says why
    too_slow,  // part of a head came in time, the rest did not
  };

  // `socket` is the stream itself if it is a plain socket, else null.
  RequestInput(Stream& stream, Socket* socket, ConnectionWatch& watch, const HttpLimits& limits,
               RequestMemoryPool& pool, HttpStats& stats, Admission& admission);
  ~RequestInput() {
    end_request();
    release_memory();
  }

  // The next request. `stopping` is looked at before the connection goes idle.
  Task<Head> read_head(const bool& stopping);
  RequestParser& parser() { return memory_->parser; }
  const RequestHead& parser_head() const { return memory_->parser.head(); }
  RequestMemory& memory() { return *memory_; }
  const MessageFraming& framing() const { return memory_->parser.framing(); }
  // Gives up the memory of a request that was refused: nobody looks at it any more.
  void drop_received() { drop_head(); }
  // Makes memory() available if there is none yet.
  void ensure_memory();

  // Body bytes of the current request into `into`: like HttpExchange::read_body and, with `some`,
  // read_body_some.
  Task<Result<size_t>> read_body(std::span<std::byte> into, bool some);
  // Like HttpExchange::body_at_hand and await_body.
  size_t body_at_hand() const {
    const bool all = chunked_ ? decoder_.done() : left_ <= window_.size();
    return all ? SIZE_MAX : window_.size();
  }
  Task<Result<void>> await_body();
  // Known bytes of the body that were not read yet; nothing for a chunked body that did not end yet.
  std::optional<uint64_t> body_left() const;
  bool body_done() const { return chunked_ ? decoder_.done() : left_ == 0; }
  bool body_failed() const { return body_failed_; }
  // Nothing has arrived behind the head yet.
  bool body_untouched() const { return body_read_bytes_ == 0 && window_.empty(); }
  uint64_t body_read_bytes() const { return body_read_bytes_; }
  // Reads and drops the rest of the body, up to the limits. True if the end was reached.
  Task<bool> drain_body();
  // After a last answer: tells the client that it was the last, and drops bytes that still arrive until the
  // client closes, up to the same limits.
  Task<void> drain_until_closed();

 private:
  Task<Result<size_t>> receive(std::span<std::byte> into);
  Task<Result<void>> receive_more_head();
  void make_room_for_head();
  Task<Result<PooledBytes>> receive_pooled();
  Task<Result<size_t>> receive_body(std::span<std::byte> into, size_t room);
  Task<Result<void>> receive_framing(size_t room);
  Task<Result<void>> skip_framing(size_t room);
  void accept_head();
  bool may_hold_pooled() const;
  void move_into_array();
  void drop_head() {
    admission_.head_grows(watch_, 0);
    (void)incoming_.drop();
  }
  void end_request();
  void release_memory();
  Error body_error(const Error& error);
  bool too_slow(size_t room) const;
  std::string_view window_text() const {
    return {reinterpret_cast<const char*>(window_.data()), window_.size()};
  }
  void consume(size_t count) { window_ = window_.subspan(count); }

  Env& env_;
  Stream& stream_;
  Socket* socket_;
  ConnectionWatch& watch_;
  const HttpLimits& limits_;
  RequestMemoryPool& pool_;
  HttpStats& stats_;
  Admission& admission_;

  std::unique_ptr<RequestMemory> memory_;
  ReceivedBytes incoming_;       // an unfinished head; empty while a request is in progress
  HeldHead held_;                // held while a request is in progress
  InputArray staging_;           // for the framing of its body; none before it is needed
  std::span<std::byte> window_;  // part of held_ or staging_: received behind the head and not yet consumed
  bool first_request_ = true;
  Instant head_deadline_;

  bool chunked_ = false;
  uint64_t left_ = 0;  // unread bytes of a body with a length
  ChunkedDecoder decoder_;
  uint64_t body_read_bytes_ = 0;
  Duration body_waited_;
  bool body_failed_ = false;
  bool draining_ = false;
};

}  // namespace fb
