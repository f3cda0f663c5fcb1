// SPDX-License-Identifier: Apache-2.0
#include "base/object_key.h"

#include <gtest/gtest.h>

#include <string>

namespace fb {
namespace {

using std::string_literals::operator""s;

TEST(ObjectKey, OneRuleForEveryLayer) {
  const std::pair<std::string, KeyFault> table[] = {
      {"a", KeyFault::none},
      {" /../ \n\x7f", KeyFault::none},
      {"\xd0\x94", KeyFault::none},
      {std::string(kObjectKeySizeMax, 'k'), KeyFault::none},
      {"", KeyFault::empty},
      {std::string(kObjectKeySizeMax + 1, 'k'), KeyFault::too_long},
      {"\0"s, KeyFault::nul},
      {"a\0b"s, KeyFault::nul},
      {"\xff", KeyFault::not_utf8},
      {"12345678\xc3", KeyFault::not_utf8},
      {"\xed\xa0\x80", KeyFault::not_utf8},
  };
  for (const auto& [key, fault] : table) EXPECT_EQ(fault_of_key(key), fault) << key;
}

}  // namespace
}  // namespace fb
