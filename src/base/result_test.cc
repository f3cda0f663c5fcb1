// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <gtest/gtest.h>

namespace fb {
namespace {

enum class SampleError { broken, lost };
const ErrorDomain& error_domain(SampleError) {
  static constexpr ErrorDomain kDomain{
      "sample", [](int code) -> std::string_view { return code == 0 ? "broken" : "lost"; }};
  return kDomain;
}
enum class OtherError { broken };
const ErrorDomain& error_domain(OtherError) {
  static constexpr ErrorDomain kDomain{"other", [](int) -> std::string_view { return "broken"; }};
  return kDomain;
}

Result<int> half(int value) {
  if (value % 2 != 0) return SampleError::broken;
  return value / 2;
}
Result<std::string> quarter(int value) {
  FB_TRY(int first, half(value));
  FB_TRY(const int second, half(first));
  return std::to_string(second);
}
Result<void> check(int value) {
  FB_CHECK(half(value));
  return {};
}

TEST(Result, ValuesAndErrorsTravelThroughTry) {
  EXPECT_EQ(quarter(8).value(), "2");
  ASSERT_FALSE(quarter(6));
  EXPECT_TRUE(quarter(6).error().is(SampleError::broken));
  EXPECT_TRUE(check(2));
  EXPECT_FALSE(check(1));
}

TEST(Result, ErrorsOfDifferentModulesDiffer) {
  const Error error(SampleError::broken);
  EXPECT_TRUE(error.is(SampleError::broken));
  EXPECT_FALSE(error.is(SampleError::lost));
  EXPECT_FALSE(error.is(OtherError::broken));
}

TEST(Result, TextNamesModuleCodeAndPlace) {
  const std::string text = Error(SampleError::lost, 2).to_string();
  EXPECT_NE(text.find("sample.lost (errno 2"), std::string::npos) << text;
  EXPECT_NE(text.find("result_test.cc:"), std::string::npos) << text;
}

TEST(AssertDeathTest, PrintsValues) {
  const int left = 3;
  EXPECT_DEATH(FB_ASSERT(left == 4, left), "left == 4.*left=3");
}

}  // namespace
}  // namespace fb
