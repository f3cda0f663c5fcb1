// SPDX-License-Identifier: Apache-2.0
// Tests of what every environment promises about names, folders and file locks.
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "io/claim.h"
#include "io/env_test_bytes.h"
#include "io/env_test_suite.h"
#include "io/file.h"
#include "io/scope.h"

namespace fb {
namespace {

TEST_P(EnvTest, NamesAndFolders) {
  run([&](Env& env) -> Task<void> {
    const Result<void> missing = co_await remove_file(env, path("nothing"));
    CO_ASSERT(!missing.has_value());
    EXPECT_TRUE(missing.error().is(IoError::not_found));
    EXPECT_TRUE(co_await make_directory(env, path("folder")));
    const Result<void> again = co_await make_directory(env, path("folder"));
    CO_ASSERT(!again.has_value());
    EXPECT_TRUE(again.error().is(IoError::exists));
    for (const char* name : {"folder/b", "folder/a", "folder/c"}) {
      EXPECT_TRUE(co_await replace_small_file(env, path(name), name, 0600, FileRole::other));
    }
    EXPECT_TRUE(co_await rename_file(env, path("folder/c"), path("folder/a")));
    EXPECT_TRUE(co_await sync_directory(env, path("folder")));
    const auto names = co_await list_directory(env, path("folder"));
    CO_ASSERT_OK(names);
    EXPECT_EQ(*names, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ((co_await read_small_file(env, path("folder/a"), 100)).value_or(""), "folder/c");
    EXPECT_TRUE(co_await replace_small_file(env, path("folder/a"), "new", 0600, FileRole::other));
    EXPECT_EQ((co_await read_small_file(env, path("folder/a"), 100)).value_or(""), "new");
    EXPECT_TRUE(co_await remove_file(env, path("folder/a")));
    EXPECT_FALSE((co_await File::open(env, path("folder/a"), {})).has_value());
    EXPECT_FALSE((co_await list_directory(env, path("nothing"))).has_value());
    const Result<FileSystemSpace> space = co_await file_system_space(env, path("folder"));
    CO_ASSERT_OK(space);
    EXPECT_GT(space->total_bytes, 0U);
    EXPECT_LE(space->available_bytes, space->total_bytes);
  });
}

TEST_P(EnvTest, OpenOptions) {
  run([&](Env& env) -> Task<void> {
    const std::string name = path("options");
    Result<File> missing = co_await File::open(env, name, {});
    CO_ASSERT(!missing.has_value());
    EXPECT_TRUE(missing.error().is(IoError::not_found));
    Result<File> made = co_await File::open(env, name, {.write = true, .create = true, .exclusive = true});
    CO_ASSERT_OK(made);
    EXPECT_TRUE(co_await made->write_all(view_of("some text"), 0));
    Result<File> second = co_await File::open(env, name, {.write = true, .create = true, .exclusive = true});
    CO_ASSERT(!second.has_value());
    EXPECT_TRUE(second.error().is(IoError::exists));
    EXPECT_TRUE(co_await made->truncate(4));
    EXPECT_EQ((co_await made->stat()).value_or(FileStat{}).size_bytes, 4U);
    EXPECT_TRUE(co_await made->close());
    Result<File> truncated = co_await File::open(env, name, {.write = true, .truncate = true});
    CO_ASSERT_OK(truncated);
    EXPECT_EQ((co_await truncated->stat()).value_or(FileStat{.size_bytes = 9}).size_bytes, 0U);
    EXPECT_TRUE(co_await truncated->close());
    Result<File> folder = co_await File::open(env, fixture_->directory(), {.directory = true});
    CO_ASSERT_OK(folder);
    EXPECT_TRUE((co_await folder->stat()).value_or(FileStat{}).directory);
    EXPECT_TRUE(co_await folder->close());
  });
}

TEST_P(EnvTest, LockKeepsOthersOut) {
  run([&](Env& env) -> Task<void> {
    Result<File> first = co_await File::open(env, path("lock"), {.write = true, .create = true});
    Result<File> second = co_await File::open(env, path("lock"), {.write = true, .create = true});
    CO_ASSERT_OK(first);
    CO_ASSERT_OK(second);
    EXPECT_TRUE(co_await first->lock());
    const Result<void> refused = co_await second->lock();
    CO_ASSERT(!refused.has_value());
    EXPECT_TRUE(refused.error().is(IoError::in_use));
    EXPECT_TRUE(co_await first->close());
    EXPECT_TRUE(co_await second->lock());
    EXPECT_TRUE(co_await second->close());
  });
}

TEST_P(EnvTest, ClaimsAreSharedWithinAProcess) {
  run([&](Env& env) -> Task<void> {
    constexpr ClaimOptions kAtOnce{.patience = {}};
    constexpr ClaimOptions kShared{.shared = true, .patience = {}};
    Result<File> first = co_await File::open(env, path("shared"), {.write = true, .create = true});
    Result<File> second = co_await File::open(env, path("shared"), {.write = true});
    Result<File> other = co_await File::open(env, path("shared"), {.write = true});
    CO_ASSERT_OK(first);
    CO_ASSERT_OK(second);
    CO_ASSERT_OK(other);
    EXPECT_TRUE(co_await claim(env, *first, kAtOnce));
    EXPECT_FALSE(co_await claim(env, *second, kShared));
    EXPECT_TRUE(co_await claim(env, *first, kShared));
    EXPECT_TRUE(co_await claim(env, *second, kShared));
    for (File* held : {&*first, &*second}) {
      const Result<void> refused = co_await claim(env, *other, kAtOnce);
      CO_ASSERT(!refused.has_value());
      EXPECT_TRUE(refused.error().is(IoError::in_use));
      EXPECT_TRUE(co_await held->close());
    }
    EXPECT_TRUE(co_await claim(env, *other, kAtOnce));
    EXPECT_TRUE(co_await other->close());
  });
}

// The file's bytes and size stay untouched until its lock is free.
TEST_P(EnvTest, OpeningWithAClaimWaitsBeforeItTruncates) {
  run([&](Env& env) -> Task<void> {
    constexpr Duration kHeld = Duration::milliseconds(50);
    Result<File> held = co_await File::open(env, path("claimed"), {.write = true, .create = true});
    CO_ASSERT_OK(held);
    EXPECT_TRUE(co_await held->lock());
    EXPECT_TRUE(co_await held->write_all(std::as_bytes(std::span("text", 4)), 0));
    co_await when_all(
        [&]() -> Task<void> {
          const Instant begun = env.now();
          Result<File> claimed =
              co_await open_claimed(env, path("claimed"), {.write = true, .truncate = true});
          CO_ASSERT_OK(claimed);
          EXPECT_GE(env.now() - begun, kHeld);
          EXPECT_EQ((co_await claimed->stat()).value_or(FileStat{.size_bytes = 9}).size_bytes, 0U);
          EXPECT_TRUE(co_await claimed->close());
        },
        [&]() -> Task<void> {
          (void)co_await sleep_for(env, kHeld);
          EXPECT_EQ((co_await held->stat()).value_or(FileStat{}).size_bytes, 4U);
          EXPECT_TRUE(co_await held->close());
        });
  });
}

}  // namespace
}  // namespace fb
