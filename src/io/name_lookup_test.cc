// SPDX-License-Identifier: Apache-2.0
#include "io/name_lookup.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "io/error.h"

namespace fb {
namespace {

TEST(NameLookup, AddressesAreTheirOwn) {
  EXPECT_EQ((*look_up_host("10.1.2.3", 80))[0].to_string(), "10.1.2.3:80");
  EXPECT_EQ((*look_up_host("::1", 443))[0].to_string(), "[::1]:443");
}

TEST(NameLookup, Names) {
  const auto local = look_up_host("localhost", 8080);
  ASSERT_TRUE(local) << local.error().to_string();
  for (const Endpoint& endpoint : *local) {
    EXPECT_TRUE(endpoint.is_loopback()) << endpoint.to_string();
    EXPECT_EQ(endpoint.port, 8080);
    EXPECT_EQ(std::ranges::count(*local, endpoint), 1);
  }
  // RFC 6761: no such name exists.
  const auto none = look_up_host("nowhere.invalid", 80);
  EXPECT_TRUE(!none && (none.error().is(IoError::not_found) || none.error().is(IoError::failed)));
  EXPECT_FALSE(look_up_host("", 80).has_value() && look_up_host("", 80)->empty());
}

}  // namespace
}  // namespace fb
