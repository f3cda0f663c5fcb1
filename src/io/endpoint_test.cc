// SPDX-License-Identifier: Apache-2.0
#include "io/endpoint.h"

#include <gtest/gtest.h>

#include "io/system_calls.h"

namespace fb {
namespace {

TEST(Endpoint, ParsesAndPrints) {
  for (const char* text : {"127.0.0.1:8080", "[::1]:80", "10.1.2.3:65535", "[2001:db8::1]:0", "0.0.0.0:1"}) {
    const Result<Endpoint> endpoint = Endpoint::parse(text);
    ASSERT_TRUE(endpoint.has_value()) << text;
    EXPECT_EQ(endpoint->to_string(), text);
    sockaddr_storage address{};
    EXPECT_GT(to_socket_address(*endpoint, address), 0U);
    EXPECT_EQ(from_socket_address(address), *endpoint);
  }
  EXPECT_EQ(Endpoint::parse("localhost:9")->to_string(), "127.0.0.1:9");
  EXPECT_EQ(Endpoint::parse(":9")->to_string(), "[::]:9");
}

TEST(Endpoint, RefusesWhatIsNone) {
  for (const char* text :
       {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:8 ", "256.0.0.1:1",
        "[::1:80", "[]:80", "[::1]", "host:80", "1.2.3:80", "[127.0.0.1]:80", "::1:80", "[:80"}) {
    EXPECT_FALSE(Endpoint::parse(text).has_value()) << text;
  }
}

TEST(Endpoint, KnowsLoopback) {
  EXPECT_TRUE(Endpoint::loopback(1).is_loopback());
  EXPECT_TRUE(Endpoint::parse("127.9.9.9:1")->is_loopback());
  EXPECT_TRUE(Endpoint::parse("[::1]:1")->is_loopback());
  EXPECT_FALSE(Endpoint::parse("[::]:1")->is_loopback());
  EXPECT_FALSE(Endpoint::parse("10.0.0.1:1")->is_loopback());
}

}  // namespace
}  // namespace fb
