// SPDX-License-Identifier: Apache-2.0
#include "http/request_input.h"

#include <algorithm>
#include <cstring>

#include "http/error.h"

namespace fb {
namespace {

constexpr size_t kStagingBytes = kPooledBytesSize;
// Room behind the longest head, in the array that it came in.
constexpr size_t kBehindHeadBytes = 4 * kKiB;
// A shorter rest of a chunk is received together with the framing behind it.
constexpr size_t kDirectReceiveMin = 8 * kKiB;
constexpr size_t kSmallPieceBytes = 2 * kKiB;
// How many of the environment's receive buffers requests in progress may hold.
constexpr uint64_t kReceiveBuffersHeldMax = 128;

}  // namespace

RequestInput::RequestInput(Stream& stream, Socket* socket, ConnectionWatch& watch, const HttpLimits& limits,
                           RequestMemoryPool& pool, HttpStats& stats, Admission& admission)
    : env_(stream.env()),
      stream_(stream),
      socket_(socket),
      watch_(watch),
      limits_(limits),
      pool_(pool),
      stats_(stats),
      admission_(admission),
      head_deadline_(env_.now() + limits.head_timeout) {}

void RequestInput::ensure_memory() {
  if (memory_ == nullptr) memory_ = pool_.take();
}

void RequestInput::release_memory() {
  FB_ASSERT(!held_.held());
  drop_head();
  if (memory_ != nullptr) pool_.give_back(std::move(memory_));
}

// Unconsumed bytes of this request begin the next one.
void RequestInput::end_request() {
  if (!held_.held()) return;
  FB_ASSERT(held_.contains(parser_head().method));
  ReceivedBytes received = held_.end();
  const std::span<std::byte> rest = std::exchange(window_, {});
  memory_->parser.reset();
  InputArray staging = std::exchange(staging_, InputArray());
  if (staging && !rest.empty()) {  // the rest lies in the staging array
    memory_->arrays.give_back(received.drop());
    received = ReceivedBytes(std::move(staging));
  } else {
    memory_->arrays.give_back(std::move(staging));
  }
  if (rest.empty()) {
    memory_->arrays.give_back(received.drop());
    return;
  }
  received.keep_only(rest);
  incoming_ = std::move(received);
}

Task<RequestInput::Head> RequestInput::read_head(const bool& stopping) {
  end_request();
  if (!first_request_) head_deadline_ = env_.now() + limits_.head_timeout;  // for a head that was pipelined
  for (;;) {
    if (incoming_.empty()) {
      release_memory();
      if (stopping) co_return Head::closed;
      watch_.idle = true;
      watch_.receive_deadline = first_request_ ? head_deadline_ : env_.now() + limits_.idle_timeout;
      const IoLimits io_limits{.cancel = &watch_.receive_cancel};
      if (socket_ != nullptr) {
        auto received = co_await socket_->receive_pooled_operation(io_limits);
        if (received) incoming_ = ReceivedBytes(std::move(*received));
      } else {
        auto received = co_await stream_.receive_pooled(io_limits);
        if (received) incoming_ = ReceivedBytes(std::move(*received));
      }
      watch_.idle = false;
      watch_.receive_deadline = Instant::never();
      if (incoming_.empty()) {
        if (watch_.timed_out) ++stats_.timeouts;
        co_return Head::closed;
      }
      if (!first_request_) head_deadline_ = env_.now() + limits_.head_timeout;
      ensure_memory();
      memory_->parser.reset();
    }
    const ParseState state = memory_->parser.parse(incoming_.text());
    if (state == ParseState::failed) co_return Head::refused;
    if (state == ParseState::complete) {
      accept_head();
      first_request_ = false;
      co_return Head::request;
    }
    watch_.receive_deadline = head_deadline_;
    const auto more = co_await receive_more_head();
    watch_.receive_deadline = Instant::never();
    if (!more) {
      if (!watch_.timed_out) co_return Head::closed;
      ++stats_.timeouts;
      co_return Head::too_slow;
    }
  }
}

// Appends to a head of which a part has arrived.
Task<Result<void>> RequestInput::receive_more_head() {
  if (incoming_.room().empty()) make_room_for_head();
  admission_.head_grows(watch_, incoming_.array_bytes());
  FB_CO_TRY(const size_t count, co_await receive(incoming_.room()));
  if (count == 0) co_return HttpError::connection_lost;
  incoming_.add_received(count);
  co_return Result<void>();
}

// The bytes move, so the parser begins again. The outgrown array is freed: it would wait for the client, too.
void RequestInput::make_room_for_head() {
  const size_t size = incoming_.bytes().size();
  const size_t size_max = limits_.request_line_bytes + limits_.header_section_bytes + kBehindHeadBytes;
  FB_ASSERT(size < size_max, size);  // the parser refuses a longer head before
  const size_t wanted = std::min(std::max(InputArrays::kArrayBytesMin, 2 * size), size_max);
  (void)incoming_.move_to(memory_->arrays.take(wanted));
  memory_->parser.reset();
}

Task<Result<size_t>> RequestInput::receive(std::span<std::byte> into) {
  const IoLimits io_limits{.cancel = &watch_.receive_cancel};
  if (socket_ != nullptr) co_return co_await socket_->receive_operation(into, io_limits);
  co_return co_await stream_.receive(into, io_limits);
}

// The head is whole: from here on its bytes do not move.
void RequestInput::accept_head() {
  const RequestParser& parsed = memory_->parser;
  const size_t head_bytes = parsed.head_size();
  chunked_ = parsed.framing().chunked;
  left_ = chunked_ ? 0 : parsed.framing().content_length.value_or(0);
  decoder_.reset();
  body_read_bytes_ = 0;
  body_waited_ = {};
  body_failed_ = false;
  draining_ = false;
  admission_.head_grows(watch_, 0);
  const bool whole = !chunked_ && left_ <= incoming_.bytes().size() - head_bytes;
  if (incoming_.is_pooled() && !(whole && may_hold_pooled())) move_into_array();
  held_.hold(std::move(incoming_), head_bytes);
  window_ = held_.behind();
}

// A request keeps its head until the client has taken the answer. So requests in progress may hold only a few
// of the environment's buffers. Bytes that TLS has decoded lie in the heap and always move into an array.
bool RequestInput::may_hold_pooled() const {
  return socket_ != nullptr && env_.stats().receive_buffers <= kReceiveBuffersHeldMax;
}

// Called before a handler sees the head.
void RequestInput::move_into_array() {
  const char* const from = incoming_.text().data();
  InputArrays& arrays = memory_->arrays;
  arrays.give_back(incoming_.move_to(arrays.take(incoming_.bytes().size())));
  memory_->parser.rebase(from, incoming_.text().data());
  env_.stats().bytes_copied += incoming_.bytes().size() - memory_->parser.head_size();
}

std::optional<uint64_t> RequestInput::body_left() const {
  if (chunked_ && !decoder_.done()) return std::nullopt;
  return chunked_ ? 0 : left_;
}

bool RequestInput::too_slow(size_t room) const {
  if (draining_ || body_waited_ <= limits_.body_idle_timeout) return false;
  const auto waited_ms = static_cast<uint64_t>(body_waited_.milliseconds());
  const uint64_t held = std::max<uint64_t>(room, watch_.held_for_body);
  const auto hold_ms = static_cast<uint64_t>(limits_.body_hold_max.milliseconds());
  const uint64_t floor = std::max(limits_.body_bytes_per_second_min, held * 1000 / hold_ms);
  return body_read_bytes_ < waited_ms * floor / 1000;
}

// Receives a part of a body that the handler waits for with `room` bytes of memory.
Task<Result<size_t>> RequestInput::receive_body(std::span<std::byte> into, size_t room) {
  if (draining_) co_return co_await receive(into);
  const Instant before = env_.now();
  watch_.receive_deadline = before + limits_.body_idle_timeout;
  admission_.begin(watch_.in, std::max<uint64_t>(room, watch_.held_for_body), watch_.held_use);
  const auto received = co_await receive(into);
  admission_.moved(watch_.in, received.value_or(0));
  admission_.end(watch_.in);
  watch_.receive_deadline = Instant::never();
  body_waited_ = body_waited_ + (env_.now() - before);
  co_return received;
}

Task<Result<PooledBytes>> RequestInput::receive_pooled() {
  const IoLimits io_limits{.cancel = &watch_.receive_cancel};
  if (socket_ != nullptr) co_return co_await socket_->receive_pooled_operation(io_limits);
  co_return co_await stream_.receive_pooled(io_limits);
}

Task<Result<void>> RequestInput::await_body() {
  if (body_failed_) co_return HttpError::body_incomplete;
  if (body_done() || !window_.empty()) co_return Result<void>();
  FB_ASSERT(!draining_);
  const Instant before = env_.now();
  watch_.receive_deadline = before + limits_.body_idle_timeout;
  admission_.begin(watch_.in, 0, BufferUse::incoming);
  const auto received = co_await receive_pooled();
  const size_t count = received ? received->bytes().size() : 0;
  admission_.moved(watch_.in, count);
  admission_.end(watch_.in);
  watch_.receive_deadline = Instant::never();
  body_waited_ = body_waited_ + (env_.now() - before);
  if (!received) co_return body_error(received.error());
  if (count == 0) co_return body_error(HttpError::body_incomplete);
  if (!staging_) staging_ = memory_->arrays.take(kStagingBytes);
  FB_ASSERT(count <= staging_.size_bytes(), count);
  std::memcpy(staging_.span().data(), received->bytes().data(), count);
  env_.stats().bytes_copied += count;
  window_ = staging_.span().first(count);
  co_return Result<void>();
}

Error RequestInput::body_error(const Error& error) {
  body_failed_ = true;
  if (error.is(HttpError::malformed)) return error;
  if (error.is(HttpError::timed_out) || (error.is(IoError::cancelled) && watch_.timed_out)) {
    ++stats_.timeouts;
    return HttpError::timed_out;
  }
  return error.is(HttpError::body_incomplete) ? error : Error(HttpError::body_incomplete, error.os_errno());
}

Task<Result<size_t>> RequestInput::read_body(std::span<std::byte> into, bool some) {
  if (body_failed_) co_return HttpError::body_incomplete;
  size_t filled = 0;
  while (filled < into.size() && !body_done()) {
    if (chunked_ && decoder_.payload_due() == 0) {
      if (some && filled != 0 && window_.empty()) break;
      if (const auto skipped = co_await skip_framing(into.size()); !skipped)
        co_return body_error(skipped.error());
      continue;
    }
    const uint64_t due = chunked_ ? decoder_.payload_due() : left_;
    const std::span<std::byte> to = into.subspan(filled, std::min<uint64_t>(due, into.size() - filled));
    size_t count = 0;
    if (!window_.empty()) {
      count = std::min(to.size(), window_.size());
      std::memcpy(to.data(), window_.data(), count);
      env_.stats().bytes_copied += count;
      consume(count);
    } else {
      if (some && filled != 0) break;
      if (chunked_ && to.size() < kDirectReceiveMin) {
        if (const auto more = co_await receive_framing(into.size()); !more)
          co_return body_error(more.error());
        continue;
      }
      const auto received = co_await receive_body(to, into.size());
      if (!received) co_return body_error(received.error());
      if (*received == 0) co_return body_error(HttpError::body_incomplete);
      count = *received;
    }
    if (chunked_) {
      decoder_.take_payload(count);
    } else {
      left_ -= count;
    }
    filled += count;
    body_read_bytes_ += count;
    stats_.body_received_bytes += count;
    if (too_slow(into.size())) co_return body_error(HttpError::timed_out);
  }
  co_return filled;
}

// Skips to the next payload byte, or the end of the body.
Task<Result<void>> RequestInput::skip_framing(size_t room) {
  while (decoder_.payload_due() == 0 && !decoder_.done()) {
    if (window_.empty()) FB_CO_CHECK(co_await receive_framing(room));
    FB_CO_TRY(const size_t consumed, decoder_.consume(window_text()));
    consume(consumed);
  }
  co_return Result<void>();
}

Task<Result<void>> RequestInput::receive_framing(size_t room) {
  FB_ASSERT(window_.empty());
  if (!staging_) staging_ = memory_->arrays.take(kStagingBytes);
  const auto received = co_await receive_body(staging_.span(), room);
  if (!received) co_return received.error();
  if (*received == 0) co_return HttpError::body_incomplete;
  window_ = staging_.span().first(*received);
  co_return Result<void>();
}

Task<bool> RequestInput::drain_body() {
  draining_ = true;
  watch_.receive_deadline = env_.now() + limits_.drain_timeout;
  std::array<std::byte, kSmallPieceBytes> into;  // not from the pool: the client may not have authenticated
  uint64_t dropped = 0;
  while (!body_done() && dropped < limits_.drain_bytes) {
    const auto count = co_await read_body(into, true);
    if (!count) break;
    dropped += *count;
  }
  watch_.receive_deadline = Instant::never();
  co_return body_done();
}

Task<void> RequestInput::drain_until_closed() {
  const Instant deadline = env_.now() + limits_.drain_timeout;
  if (!co_await stream_.finish_sending({.deadline = deadline, .cancel = &watch_.send_cancel})) co_return;
  watch_.receive_deadline = deadline;
  std::array<std::byte, kSmallPieceBytes> into;
  for (uint64_t dropped = 0; dropped < limits_.drain_bytes;) {
    const auto count = co_await receive(into);
    if (!count || *count == 0) break;
    dropped += *count;
  }
  watch_.receive_deadline = Instant::never();
}

}  // namespace fb
