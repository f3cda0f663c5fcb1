// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "io/env.h"
#include "io/stream.h"
#include "io/sync.h"

// For tests: a client's stream whose bytes leave in pieces, cut at one class of boundary. A server's answers
// must not depend on the places where a client's bytes are cut.

namespace fb {

enum class Cut : uint8_t {
  none,
  bytes,   // every byte
  lines,   // before, in and behind each line's end
  middle,  // in the middle of the head
  apart,   // between head and body, and between requests
  random,
  joined,  // nothing leaves before the client wants to receive: several requests in one piece
};
inline constexpr std::string_view kCutNames[] = {"none",  "bytes",  "lines", "middle",
                                                 "apart", "random", "joined"};

// The environment variable FB_TEST_SPLIT: one of the names, or "each", which draws one for each connection.
inline Cut cut_of_connection(Env& env) {
  const char* const wanted = std::getenv("FB_TEST_SPLIT");
  if (wanted == nullptr) return Cut::none;
  if (std::string_view(wanted) == "each")
    return static_cast<Cut>(1 + env.random() % (std::size(kCutNames) - 1));
  const auto found = std::ranges::find(kCutNames, std::string_view(wanted));
  FB_ASSERT(found != std::end(kCutNames), wanted);
  return static_cast<Cut>(found - std::begin(kCutNames));
}

// Whether this run cuts: tests that depend on the time of an event are of no use then.
inline bool clients_cut() { return std::getenv("FB_TEST_SPLIT") != nullptr; }

// The offsets at which `text` is cut, in ascending order, some perhaps more than once.
inline std::vector<size_t> cut_places(std::string_view text, Cut cut, Env& env) {
  constexpr size_t kBytesMax = 400;  // bytes that are cut one by one
  constexpr unsigned kRandomBits = 14;
  std::vector<size_t> places;
  switch (cut) {
    case Cut::bytes:
      for (size_t at = 1; at < std::min(text.size(), kBytesMax); ++at) places.push_back(at);
      break;
    case Cut::lines:
      for (size_t at = text.find("\r\n"); at != text.npos; at = text.find("\r\n", at + 2))
        places.insert(places.end(), {at, at + 1, at + 2});
      break;
    case Cut::middle:
      places.push_back(std::min(text.find("\r\n\r\n"), text.size()) / 2);
      break;
    case Cut::apart:
      for (size_t at = text.find("\r\n\r\n"); at != text.npos; at = text.find("\r\n\r\n", at + 4))
        places.push_back(at + 4);
      break;
    case Cut::random:
      for (size_t at = 0; at < text.size();) {
        at += 1 + env.random() % (size_t{1} << (env.random() % kRandomBits));
        places.push_back(at);
      }
      break;
    case Cut::none:
    case Cut::joined:
      break;
  }
  return places;
}

class CutStream final : public Stream {
 public:
  explicit CutStream(Stream& under) : CutStream(under, cut_of_connection(under.env())) {}
  CutStream(Stream& under, Cut cut) : under_(under), cut_(cut), turn_(under.env(), 1) {}

  Task<Result<size_t>> receive(std::span<std::byte> into, IoLimits limits) override {
    FB_CO_CHECK(co_await send_held(limits));
    ++receives_;
    auto received = co_await under_.receive(into, limits);
    --receives_;
    co_return received;
  }
  Task<Result<PooledBytes>> receive_pooled(IoLimits limits) override {
    FB_CO_CHECK(co_await send_held(limits));
    co_return co_await under_.receive_pooled(limits);
  }
  Task<Result<void>> send_all(std::span<iovec> vectors, IoLimits limits) override {
    if (cut_ == Cut::none) co_return co_await under_.send_all(vectors, limits);
    std::string text;
    for (const iovec& vector : vectors)
      text.append(static_cast<const char*>(vector.iov_base), vector.iov_len);
    const auto turn = co_await turn_.acquire();
    if (cut_ == Cut::joined) {
      held_ += text;
      if (receives_ == 0 && held_.size() < kHeldBytesMax) co_return Result<void>();
      text = std::exchange(held_, {});
    }
    co_return co_await send_pieces(text, limits);
  }
  // Sends the bytes that are held back.
  Task<Result<void>> flush(IoLimits limits) { co_return co_await send_held(limits); }
  Task<Result<void>> finish_sending(IoLimits limits) override {
    FB_CO_CHECK(co_await send_held(limits));
    co_return co_await under_.finish_sending(limits);
  }
  Task<Result<void>> close() override {
    (void)co_await send_held({});
    co_return co_await under_.close();
  }
  Endpoint peer() const override { return under_.peer(); }
  Env& env() const override { return under_.env(); }

 private:
  static constexpr size_t kHeldBytesMax = 64 * kKiB;
  static constexpr Duration kPause = Duration::microseconds(50);

  Task<Result<void>> send_held(IoLimits limits) {
    const auto turn = co_await turn_.acquire();
    if (held_.empty()) co_return Result<void>();
    const std::string text = std::exchange(held_, {});
    co_return co_await send_pieces(text, limits);
  }

  // Pauses between two pieces, so that the server receives the first before the second.
  Task<Result<void>> send_pieces(const std::string& text, IoLimits limits) {
    size_t begin = 0;
    std::vector<size_t> places = cut_places(text, cut_, env());
    places.push_back(text.size());
    for (const size_t place : places) {
      const size_t end = std::min(place, text.size());
      if (end <= begin) continue;
      if (begin != 0) (void)co_await sleep_for(env(), kPause);
      iovec vector{const_cast<char*>(text.data()) + begin, end - begin};
      FB_CO_CHECK(co_await under_.send_all({&vector, 1}, limits));
      begin = end;
    }
    co_return Result<void>();
  }

  Stream& under_;
  Cut cut_;
  Semaphore turn_;
  std::string held_;
  int receives_ = 0;  // receives under way
};

}  // namespace fb
