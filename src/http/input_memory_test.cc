// SPDX-License-Identifier: Apache-2.0
#include "http/input_memory.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/poison.h"
#include "http/http_test_env.h"

namespace fb {
namespace {

InputArray array_of(std::string_view text, size_t size_bytes) {
  InputArray array(size_bytes);
  std::memcpy(array.span().data(), text.data(), text.size());
  return array;
}

ReceivedBytes received_text(std::string_view text) { return ReceivedBytes(array_of(text, text.size())); }

TEST(HeldHead, StandsStillFromHoldToEnd) {
  ReceivedBytes received = received_text("HEADbody and next");
  const char* const place = received.text().data();
  HeldHead held;
  held.hold(std::move(received), 4);
  EXPECT_TRUE(received.empty());  // NOLINT(bugprone-use-after-move): it promises to be empty then
  EXPECT_TRUE(held.held());
  EXPECT_TRUE(held.contains({place, 4}));
  EXPECT_FALSE(held.contains({place, 5}));
  EXPECT_EQ(reinterpret_cast<const char*>(held.behind().data()), place + 4);
  EXPECT_EQ(held.behind().size(), 13u);
  ReceivedBytes after = held.end();
  EXPECT_FALSE(held.held());
  EXPECT_EQ(after.text(), "HEADbody and next");
  after.keep_only(after.bytes().subspan(8));
  EXPECT_EQ(after.text(), " and next");
}

TEST(HeldHeadDeathTest, OneAtATime) {
  HeldHead held;
  held.hold(received_text("HEAD"), 4);
  EXPECT_DEATH(held.hold(received_text("HEAD"), 4), "held");
}

TEST(HeldHeadDeathTest, AChangedByteIsFound) {
  if (!kPoisoning) GTEST_SKIP() << "checked in sanitizer builds only";
  ReceivedBytes received = received_text("HEADbody");
  std::byte* const place = received.bytes().data();
  HeldHead held;
  held.hold(std::move(received), 4);
  place[6] = std::byte{'x'};  // the body is not the head's
  *place = std::byte{'x'};
  EXPECT_DEATH((void)held.end(), "fingerprint");
}

TEST(ReceivedBytes, GrowAndMove) {
  ReceivedBytes received(array_of("abc", 8));
  received.keep_only(received.bytes().subspan(1, 2));
  EXPECT_EQ(received.room().size(), 5u);
  received.room()[0] = std::byte{'d'};
  received.add_received(1);
  EXPECT_EQ(received.text(), "bcd");
  const InputArray old = received.move_to(InputArray(16));
  EXPECT_EQ(old.size_bytes(), 8u);
  EXPECT_EQ(received.text(), "bcd");
  EXPECT_EQ(received.room().size(), 13u);
  EXPECT_EQ(received.drop().size_bytes(), 16u);
  EXPECT_TRUE(received.empty());
}

// Views of a request that has ended: into the front of bytes that are still wanted, and into an array that is
// kept for another request.
TEST(InputMemory, StaleViewsAreFound) {
  if (!kPoisoning) GTEST_SKIP() << "needs AddressSanitizer";
  InputArrays arrays;
  InputArray array = arrays.take(100);
  EXPECT_EQ(array.size_bytes(), InputArrays::kArrayBytesMin);
  std::byte* const place = array.span().data();
  ReceivedBytes received(std::move(array));
  received.keep_only(received.bytes().subspan(64));
  EXPECT_TRUE(is_poisoned(place));
  EXPECT_TRUE(is_poisoned(place + 63));
  EXPECT_FALSE(is_poisoned(place + 64));
  arrays.give_back(received.drop());
  EXPECT_TRUE(is_poisoned(place + 64));
  array = arrays.take(100);
  EXPECT_EQ(array.span().data(), place);
  EXPECT_FALSE(is_poisoned(place));
}

class RequestViews : public testing::TestWithParam<TestEnv> {};
INSTANTIATE_TEST_SUITE_P(All, RequestViews, testing::Values(TestEnv::uring, TestEnv::portable, TestEnv::sim),
                         test_env_name);

// The fault that this memory is built against: a head in two receives that leaves little room behind it, and
// a chunked body that comes later. The witness in the handler sees its views move or change.
TEST_P(RequestViews, OutliveTheFramingOfALateBody) {
  with_server(GetParam(), {}, [](Env& env, HttpServer& server, TestHandler& handler) -> Task<void> {
    for (const size_t padding : {10u, 7000u, 10'000u, 15'900u, 16'200u}) {
      for (const size_t first : {1u, 60u, 5000u, 5001u}) {
        const std::string head =
            std::string("POST ") + (first % 2 == 0 ? "/echo" : "/await") +
            " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX-Pad: " + std::string(padding, 'p') +
            "\r\n\r\n";
        const std::string next = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        const std::string text = co_await raw_exchange(
            env, server.endpoint(),
            {head.substr(0, first), first < head.size() ? head.substr(first) : "", "5\r\nhel", "lo\r\n6",
             "\r\n world\r\n0\r\nTrailer: x\r\n", "\r\n" + next.substr(0, 7), next.substr(7)});
        EXPECT_EQ(count_of(text, "\r\n\r\nhello world"), 1u) << padding << " " << first << text;
        EXPECT_TRUE(text.ends_with("\r\n\r\nhello")) << text;
      }
    }
    EXPECT_EQ(handler.handled, 40);
  });
}

// A body that is waited for before there is memory for it lies in the connection, with the bytes sent behind
// it.
TEST_P(RequestViews, OutliveABodyThatIsWaitedFor) {
  with_server(GetParam(), {}, [](Env& env, HttpServer& server, TestHandler& handler) -> Task<void> {
    const std::string head = "POST /await HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n";
    const std::string body = pattern_text(30'000);
    const std::string next = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for (const size_t first : {1u, 5000u, 20'000u, 29'999u}) {
      const std::string text = co_await raw_exchange(
          env, server.endpoint(),
          {head, body.substr(0, first), body.substr(first) + next.substr(0, 9), next.substr(9)});
      EXPECT_EQ(count_of(text, "\r\n\r\n" + body), 1u) << first;
      EXPECT_TRUE(text.ends_with("\r\n\r\nhello")) << first;
    }
    EXPECT_EQ(handler.handled, 8);
    const std::string asked =
        co_await raw_exchange(env, server.endpoint(),
                              {"POST /await HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: "
                               "close\r\nContent-Length: 5\r\n\r\n",
                               "hello"});
    EXPECT_TRUE(asked.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n") || clients_cut())
        << asked;
    EXPECT_TRUE(asked.ends_with("\r\n\r\nhello")) << asked;
    EXPECT_FALSE(handler.body_error);
    auto socket = co_await Socket::connect(env, server.endpoint());
    EXPECT_TRUE(co_await send_text(*socket, head));
    (void)co_await sleep_for(env, Duration::milliseconds(20));
    EXPECT_TRUE(co_await socket->close());
    (void)co_await sleep_for(env, Duration::milliseconds(50));
    EXPECT_TRUE(handler.body_error && handler.body_error->is(HttpError::body_incomplete));
  });
}

// No byte of the framing comes: the array that was taken for it stays empty.
TEST_P(RequestViews, OfABodyThatNeverBegins) {
  with_server(GetParam(), {}, [](Env& env, HttpServer& server, TestHandler& handler) -> Task<void> {
    const std::string head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const std::string& body : {"", "5", "5\r\nhel", "5\r\nhello\r\n"}) {
      auto socket = co_await Socket::connect(env, server.endpoint());
      EXPECT_TRUE(co_await send_text(*socket, head));
      (void)co_await sleep_for(env, Duration::milliseconds(5));
      if (!body.empty()) EXPECT_TRUE(co_await send_text(*socket, body));
      EXPECT_TRUE(co_await socket->finish_sending({}));
      EXPECT_TRUE((co_await receive_all(*socket)).starts_with("HTTP/1.1 400 "));
      EXPECT_TRUE(co_await socket->close());
    }
    EXPECT_EQ(handler.handled, 4);
  });
}

}  // namespace
}  // namespace fb
