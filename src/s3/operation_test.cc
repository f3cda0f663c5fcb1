// SPDX-License-Identifier: Apache-2.0
#include "s3/operation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

namespace fb::s3 {
namespace {

// The rights to each operation, written down a second time from the reference of AWS's API ("Permissions")
// and the service authorization reference. RenameObject is an exception: AWS knows it in directory buckets
// only, whose sessions have one right for all. Here it needs the rights to the copy and the deletion that it
// saves.
struct Expected {
  std::string_view action;
  std::string_view source_actions;  // separated by spaces
};
const std::map<std::string_view, Expected> kExpected = {
    {"AbortMultipartUpload", {"s3:AbortMultipartUpload", ""}},
    {"CompleteMultipartUpload", {"s3:PutObject", ""}},
    {"CopyObject", {"s3:PutObject", "s3:GetObject"}},
    {"CreateBucket", {"s3:CreateBucket", ""}},
    {"CreateMultipartUpload", {"s3:PutObject", ""}},
    {"DeleteBucket", {"s3:DeleteBucket", ""}},
    {"DeleteObject", {"s3:DeleteObject", ""}},
    {"DeleteObjects", {"s3:DeleteObject", ""}},
    {"GetBucketLocation", {"s3:GetBucketLocation", ""}},
    {"GetObject", {"s3:GetObject", ""}},
    {"HeadBucket", {"s3:ListBucket", ""}},
    {"HeadObject", {"s3:GetObject", ""}},
    {"ListBuckets", {"s3:ListAllMyBuckets", ""}},
    {"ListMultipartUploads", {"s3:ListBucketMultipartUploads", ""}},
    {"ListObjects", {"s3:ListBucket", ""}},
    {"ListObjectsV2", {"s3:ListBucket", ""}},
    {"ListParts", {"s3:ListMultipartUploadParts", ""}},
    {"PutObject", {"s3:PutObject", ""}},
    {"RenameObject", {"s3:PutObject", "s3:GetObject s3:DeleteObject"}},
    {"UploadPart", {"s3:PutObject", ""}},
    {"UploadPartCopy", {"s3:PutObject", "s3:GetObject"}},
};

std::string joined(std::span<const Action> actions) {
  std::string text;
  for (const Action action : actions) {
    if (!text.empty()) text += ' ';
    text += to_string(action);
  }
  return text;
}

TEST(Operations, EachHasOneRowOfItsName) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < kOperations.size(); ++i) {
    const OperationInfo& row = kOperations[i];
    EXPECT_EQ(static_cast<size_t>(row.operation), i) << row.name;
    EXPECT_EQ(to_string(row.operation), row.name);
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_NE(row.name, kUnknownOperation);
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(kOperationCount));
}

TEST(Operations, RightsAreThoseOfAws) {
  std::set<Action> used;
  size_t built = 0;
  for (const OperationInfo& row : kOperations) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(row.is_built(), kExpected.contains(row.name));
    if (!row.is_built() || !kExpected.contains(row.name)) continue;
    ++built;
    EXPECT_EQ(to_string(row.right->action), kExpected.at(row.name).action);
    EXPECT_EQ(joined(source_actions(row.right->source)), kExpected.at(row.name).source_actions);
    used.insert(row.right->action);
  }
  EXPECT_EQ(built, kExpected.size());
  EXPECT_EQ(used.size(), static_cast<size_t>(kActionCount)) << "an action that no operation needs";
}

// A copy is one by its header; a row that forgets the source would let it be read without a right.
TEST(Operations, CopiesNameTheirSource) {
  for (const OperationInfo& row : kOperations) {
    if (!row.is_built()) continue;
    EXPECT_EQ(row.right->source == Source::copied, row.also == "x-amz-copy-source") << row.name;
  }
}

TEST(Operations, ResourcesFitTheirRequests) {
  const auto resource = [](Operation operation) { return info(operation).right->resource; };
  EXPECT_EQ(resource(Operation::ListBuckets), Resource::account);
  EXPECT_EQ(resource(Operation::CreateBucket), Resource::new_bucket);
  EXPECT_EQ(resource(Operation::DeleteObjects), Resource::listed_objects);
  for (const OperationInfo& row : kOperations) {
    if (!row.is_built()) continue;
    EXPECT_EQ(is_in_bucket(row.right->resource),
              row.target != Target::service && row.operation != Operation::CreateBucket)
        << row.name;
    EXPECT_EQ(row.right->resource == Resource::object, row.target == Target::object) << row.name;
  }
}

TEST(Operations, EachUseOfABodyHasOneReader) {
  std::map<PayloadUse, std::string_view> readers;
  for (const OperationInfo& row : kOperations) {
    if (row.body == PayloadUse::none) continue;
    EXPECT_TRUE(readers.emplace(row.body, row.name).second) << row.name;
  }
  EXPECT_EQ(readers[PayloadUse::object], "PutObject");
  EXPECT_EQ(readers[PayloadUse::part], "UploadPart");
  EXPECT_EQ(readers[PayloadUse::document], "CreateBucket");
  EXPECT_EQ(readers[PayloadUse::deletion], "DeleteObjects");
  EXPECT_EQ(readers[PayloadUse::completion], "CompleteMultipartUpload");
}

}  // namespace
}  // namespace fb::s3
