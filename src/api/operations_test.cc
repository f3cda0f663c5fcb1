// SPDX-License-Identifier: Apache-2.0
#include "api/operations.h"

#include <gtest/gtest.h>

#include "api/metrics.h"

namespace fb::api {
namespace {

TEST(ApiOperations, ThoseThatAreBuiltHaveAHandler) {
  for (const s3::OperationInfo& row : s3::kOperations) {
    EXPECT_EQ(kHandlers[static_cast<size_t>(row.operation)] != nullptr, row.is_built()) << row.name;
  }
}

TEST(ApiOperations, MetricsUseTheNamesOfTheRows) {
  for (size_t i = 0; i <= s3::kOperations.size(); ++i) {
    ApiMetrics metrics;
    metrics.record(i, 200, Duration::milliseconds(1), 1, 1);
    std::string text;
    metrics.append_to(text);
    const std::string_view name =
        i < s3::kOperations.size() ? s3::kOperations[i].name : s3::kUnknownOperation;
    const std::string line =
        fmt::format("fractalbits_s3_requests_total{{operation=\"{}\",status=\"2xx\"}} 1\n", name);
    EXPECT_NE(text.find(line), std::string::npos) << name << "\n" << text;
  }
}

}  // namespace
}  // namespace fb::api
