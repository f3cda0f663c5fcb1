// SPDX-License-Identifier: Apache-2.0
#include "io/uring/uring_env.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "io/env_test_suite.h"
#include "io/file.h"
#include "io/scope.h"

namespace fb {
namespace {

RootTask run_then_stop(UringEnv& env, const std::function<Task<void>(Env&)>& main) {
  co_await main(env);
  env.stop();
}

// Runs `main` in a UringEnv with these options, and gives the notices.
std::vector<std::string> run_uring(const UringOptions& options, const std::function<Task<void>(Env&)>& main) {
  std::vector<std::string> notices;
  LoopShared shared(1, &look_up_host);
  shared.on_notice = [&](Env&, std::string_view line) { notices.emplace_back(line); };
  Result<std::unique_ptr<UringEnv>> env =
      UringEnv::create({.buffers = {.arena_bytes = 2 * kMiB, .limit_bytes = 8 * kMiB}}, shared, options);
  EXPECT_TRUE(env.has_value());
  if (!env) return notices;
  shared.envs[0] = env->get();
  RootTask root = run_then_stop(**env, main);
  root.start(nullptr, nullptr);
  (*env)->run();
  return notices;
}

bool probe_says_yes(int, const std::string&, std::string&) { return true; }
bool probe_says_no(int, const std::string&, std::string& reason) {
  reason = "because";
  return false;
}

Task<void> write_and_read(const File& file, Env& env, uint64_t page, size_t& good) {
  Buffer buffer = co_await env.buffers().allocate(kBufferSizeMin);
  std::memset(buffer.data(), static_cast<int>(page % 200 + 1), buffer.capacity());
  const auto written = co_await file.write_durable(buffer.span(), page * kBufferSizeMin);
  EXPECT_EQ(written.value_or(0), kBufferSizeMin);
  std::memset(buffer.data(), 0, buffer.capacity());
  const auto read = co_await file.read(buffer.span(), page * kBufferSizeMin);
  CO_ASSERT_OK(read);
  EXPECT_EQ(*read, kBufferSizeMin);
  if (std::to_integer<uint64_t>(*buffer.data()) == page % 200 + 1) ++good;
}

Task<void> use_data_files(Env& env) {
  for (int round = 0; round < 2; ++round) {
    const std::string path = "fb_uring_polled.tmp";
    Result<File> file = co_await File::open(
        env, path, {.write = true, .create = true, .direct = true, .role = FileRole::data});
    CO_ASSERT_OK(file);
    size_t good = 0;
    Scope scope(env);
    for (uint64_t page = 0; page < 600; ++page) {  // more than the second ring holds
      scope.spawn(&write_and_read, std::cref(*file), std::ref(env), page, std::ref(good));
    }
    co_await scope.join();
    EXPECT_EQ(good, 600U);
    EXPECT_TRUE(co_await file->sync());  // goes by the first ring
    EXPECT_TRUE(co_await file->close());
    EXPECT_TRUE(co_await remove_file(env, path));
  }
}

TEST(UringEnv, PolledFilesGoByTheSecondRing) {
  const auto notices = run_uring({.probe = &probe_says_yes, .polled_setup_flags = 0}, &use_data_files);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_NE(notices[0].find("by polling"), std::string::npos) << notices[0];
}

TEST(UringEnv, WithoutPollQueuesItIsSaidOnce) {
  const auto notices = run_uring({.probe = &probe_says_no}, &use_data_files);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_NE(notices[0].find("not used for data files: because"), std::string::npos) << notices[0];
}

TEST(UringEnv, PollingCanBeTurnedOff) {
  const auto notices = run_uring({.poll = IoPoll::off, .probe = &probe_says_yes}, &use_data_files);
  EXPECT_TRUE(notices.empty());
}

// A ring that polls cannot take a file whose device does not: the operation goes by the first ring after all.
TEST(UringEnv, AWrongProbeCostsNothingButTheTry) { run_uring({.probe = &probe_says_yes}, &use_data_files); }

Task<void> read_one(const File& file, size_t& ended) {
  std::byte byte{};
  EXPECT_TRUE((co_await file.read({&byte, 1}, 0)).has_value());
  ++ended;
}

// More completions at once than the completion queue holds.
TEST(UringEnv, CompletionQueueOverflows) {
  run_uring({}, [](Env& env) -> Task<void> {
    constexpr size_t kReads = 20'000;
    Result<File> file = co_await File::open(env, "fb_uring_overflow.tmp", {.write = true, .create = true});
    CO_ASSERT_OK(file);
    EXPECT_TRUE(co_await file->write_all(std::as_bytes(std::span("x", 1)), 0));
    size_t ended = 0;
    Scope scope(env);
    for (size_t read = 0; read < kReads; ++read) scope.spawn(&read_one, std::cref(*file), std::ref(ended));
    co_await scope.join();
    EXPECT_EQ(ended, kReads);
    EXPECT_TRUE(co_await file->close());
    EXPECT_TRUE(co_await remove_file(env, "fb_uring_overflow.tmp"));
  });
}

// One system call begins eight reads, and one takes sixteen that have ended.
TEST(UringEnv, ManyReadsTakeFewSystemCalls) {
  run_uring({}, [](Env& env) -> Task<void> {
    Result<File> file = co_await File::open(env, "fb_uring_batch.tmp", {.write = true, .create = true});
    CO_ASSERT_OK(file);
    EXPECT_TRUE(co_await file->write_all(std::as_bytes(std::span("x", 1)), 0));
    const EnvStats before = env.stats();
    size_t ended = 0;
    Scope scope(env);
    for (size_t read = 0; read < 400; ++read) scope.spawn(&read_one, std::cref(*file), std::ref(ended));
    co_await scope.join();
    EXPECT_EQ(ended, 400U);
    EXPECT_LE(env.stats().io_enters - before.io_enters, 400 / 8 + 400 / 16 + 10U);
    EXPECT_EQ(env.stats().file_reads - before.file_reads, 400U);
    EXPECT_TRUE(co_await file->close());
    EXPECT_TRUE(co_await remove_file(env, "fb_uring_batch.tmp"));
  });
}

Task<void> read_and_note_turn(const File& file, Env& env, std::vector<uint64_t>& turns) {
  std::byte byte{};
  EXPECT_TRUE((co_await file.read({&byte, 1}, 0)).has_value());
  turns.push_back(env.stats().turns);
}

// All reads have ended at once; other work has turns in between.
TEST(UringEnv, EndedReadsAreHandedOutOverTurns) {
  run_uring({}, [](Env& env) -> Task<void> {
    Result<File> file = co_await File::open(env, "fb_uring_turns.tmp", {.write = true, .create = true});
    CO_ASSERT_OK(file);
    EXPECT_TRUE(co_await file->write_all(std::as_bytes(std::span("x", 1)), 0));
    std::vector<uint64_t> turns;
    Scope scope(env);
    for (size_t read = 0; read < 100; ++read)
      scope.spawn(&read_and_note_turn, std::cref(*file), std::ref(env), std::ref(turns));
    co_await scope.join();
    EXPECT_EQ(turns.size(), 100U);
    for (const uint64_t turn : turns) EXPECT_LE(std::ranges::count(turns, turn), 16) << turn;
    EXPECT_TRUE(co_await file->close());
    EXPECT_TRUE(co_await remove_file(env, "fb_uring_turns.tmp"));
  });
}

}  // namespace
}  // namespace fb
