// SPDX-License-Identifier: Apache-2.0
// Tests of what every environment promises about files and their contents.
#include <gtest/gtest.h>
#include <algorithm>
#include <cstring>
#include <string>

#include "io/call_on.h"
#include "io/env_test_bytes.h"
#include "io/env_test_suite.h"
#include "io/file.h"
#include "io/scope.h"

namespace fb {
namespace {

TEST_P(EnvTest, FileKeepsWhatWasWritten) {
  run([&](Env& env) -> Task<void> {
    const std::string name = path("file");
    const std::string contents = pattern(100'000, 1);
    Result<File> made = co_await File::open(env, name, {.write = true, .create = true});
    CO_ASSERT_OK(made);
    EXPECT_TRUE(co_await made->write_all(view_of(contents), 0));
    EXPECT_TRUE(co_await made->sync());
    const Result<FileStat> stat = co_await made->stat();
    CO_ASSERT_OK(stat);
    EXPECT_EQ(stat->size_bytes, contents.size());
    EXPECT_FALSE(stat->directory);
    EXPECT_TRUE(co_await made->close());
    const Result<std::string> read = co_await read_small_file(env, name, 1 * kMiB);
    CO_ASSERT_OK(read);
    EXPECT_EQ(*read, contents);
    const Result<std::string> limited = co_await read_small_file(env, name, 10);
    CO_ASSERT(!limited.has_value());
    EXPECT_TRUE(limited.error().is(IoError::limit));
  });
}

TEST_P(EnvTest, ReadsStopAtTheEndOfTheFile) {
  run([&](Env& env) -> Task<void> {
    Result<File> file = co_await File::open(env, path("short"), {.write = true, .create = true});
    CO_ASSERT_OK(file);
    EXPECT_TRUE(co_await file->write_all(view_of("0123456789"), 0));
    std::string buffer(100, '?');
    const Result<size_t> part = co_await file->read(bytes_of(buffer), 4);
    CO_ASSERT_OK(part);
    EXPECT_EQ(buffer.substr(0, *part), "456789");
    const Result<size_t> none = co_await file->read(bytes_of(buffer), 10);
    EXPECT_EQ(none.value_or(99), 0U);
    const Result<void> exact = co_await file->read_exactly(bytes_of(buffer), 0);
    CO_ASSERT(!exact.has_value());
    EXPECT_TRUE(exact.error().is(IoError::end_of_file));
    EXPECT_TRUE(co_await file->close());
  });
}

TEST_P(EnvTest, DirectFileWithPoolBuffers) {
  run([&](Env& env) -> Task<void> {
    Result<File> file = co_await File::open(
        env, path("direct"), {.write = true, .create = true, .direct = true, .role = FileRole::data});
    CO_ASSERT_OK(file);
    EXPECT_TRUE(co_await file->allocate(0, 4 * kMiB));
    const Result<FileStat> stat = co_await file->stat();
    CO_ASSERT_OK(stat);
    EXPECT_EQ(stat->size_bytes, 4 * kMiB);
    // The first comes from the registered arena, the second from the heap.
    for (const uint64_t offset : {uint64_t{0}, 2 * kMiB}) {
      Buffer out = co_await env.buffers().allocate(kBufferSizeMax);
      const std::string contents = pattern(out.capacity(), static_cast<unsigned>(offset % 7 + 3));
      std::memcpy(out.data(), contents.data(), contents.size());
      EXPECT_TRUE(co_await file->write_all_durable(out.span(), offset));
      Buffer in = co_await env.buffers().allocate(kBufferSizeMax);
      EXPECT_TRUE(co_await file->read_exactly(in.span(), offset));
      EXPECT_EQ(std::memcmp(in.data(), contents.data(), contents.size()), 0);
    }
    EXPECT_GE(env.stats().file_durable_writes, 2U);
    EXPECT_TRUE(co_await file->close());
  });
}

Task<void> write_page(const File& file, Env& env, uint64_t page, size_t& good) {
  Buffer buffer = co_await env.buffers().allocate(4 * kKiB);
  std::memset(buffer.data(), static_cast<int>(page % 251), buffer.capacity());
  const Result<size_t> written = co_await file.write(buffer.span(), page * buffer.capacity());
  EXPECT_TRUE(written.has_value());
  const Result<size_t> read = co_await file.read(buffer.span(), page * buffer.capacity());
  EXPECT_EQ(read.value_or(0), buffer.capacity());
  if (std::to_integer<uint64_t>(*buffer.data()) == page % 251) ++good;
}

// More operations at once than any queue of the environment holds.
TEST_P(EnvTest, ManyOperationsAtOnce) {
  run([&](Env& env) -> Task<void> {
    constexpr uint64_t kPages = 1500;
    Result<File> file =
        co_await File::open(env, path("many"), {.write = true, .create = true, .role = FileRole::data});
    CO_ASSERT_OK(file);
    size_t good = 0;
    Scope scope(env);
    for (uint64_t page = 0; page < kPages; ++page) {
      scope.spawn(&write_page, std::cref(*file), std::ref(env), page, std::ref(good));
    }
    co_await scope.join();
    EXPECT_EQ(good, kPages);
    EXPECT_EQ(env.buffers().used_bytes(), 0U);
    EXPECT_TRUE(co_await file->close());
  });
}

TEST_P(EnvTest, CancelledBeforeItBegan) {
  run([&](Env& env) -> Task<void> {
    Result<File> file = co_await File::open(env, path("cancel"), {.write = true, .create = true});
    CO_ASSERT_OK(file);
    CancelSource source;
    source.cancel();
    const std::string text = "text";
    const Result<size_t> written = co_await file->write(view_of(text), 0, {.cancel = &source});
    CO_ASSERT(!written.has_value());
    EXPECT_TRUE(written.error().is(IoError::cancelled));
    const Result<size_t> late = co_await file->write(view_of(text), 0, {.deadline = env.now()});
    CO_ASSERT(!late.has_value());
    EXPECT_TRUE(late.error().is(IoError::timed_out));
    EXPECT_EQ((co_await file->stat()).value_or(FileStat{.size_bytes = 9}).size_bytes, 0U);
    EXPECT_TRUE(co_await file->close());
  });
}

TEST_P(EnvTest, AFileIsReadByAnotherCore) {
  constexpr size_t kBlocks = 64;
  run_cores_of(2, [&](Env& env) -> Task<void> {
    if (env.core() != 0) co_return;
    Result<File> file =
        co_await File::open(env, path("shared"), {.write = true, .create = true, .direct = true});
    CO_ASSERT_OK(file);
    for (size_t block = 0; block < kBlocks; ++block) {
      const Buffer buffer = co_await env.buffers().allocate(kDirectIoAlignment);
      std::ranges::fill(buffer.span(0, kDirectIoAlignment), static_cast<std::byte>(block));
      CO_ASSERT_OK(co_await file->write_all(buffer.span(0, kDirectIoAlignment), block * kDirectIoAlignment));
    }
    co_await call_on(env, 1, [&](Env& there) -> Task<void> {
      const uint64_t reads_here = env.stats().file_reads;
      for (size_t block = kBlocks; block-- > 0;) {
        const Buffer buffer = co_await there.buffers().allocate(kDirectIoAlignment);
        const auto bytes = buffer.span(0, kDirectIoAlignment);
        const Result<size_t> count = co_await file->read_on(there, bytes, block * kDirectIoAlignment);
        CO_ASSERT_OK(count);
        EXPECT_EQ(*count, kDirectIoAlignment);
        EXPECT_TRUE(std::ranges::all_of(
            bytes, [&](std::byte byte) { return byte == static_cast<std::byte>(block); }));
      }
      EXPECT_EQ(there.stats().file_reads, kBlocks);
      EXPECT_EQ(env.stats().file_reads, reads_here);
      const Buffer buffer = co_await there.buffers().allocate(kDirectIoAlignment);
      const Result<size_t> late =
          co_await file->read_on(there, buffer.span(0, kDirectIoAlignment), 0, {.deadline = there.now()});
      EXPECT_TRUE(!late && late.error().is(IoError::timed_out));
    });
    EXPECT_TRUE(co_await file->close());
  });
}

}  // namespace
}  // namespace fb
