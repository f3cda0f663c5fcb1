// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "io/call_on.h"
#include "io/env_test_suite.h"
#include "io/file.h"
#include "io/scope.h"
#include "io/stream.h"
#include "io/sync.h"

namespace fb {
namespace {

// The instantiations stand in other files; a build without one is no mistake of this one.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EnvTest);

std::span<std::byte> bytes_of(std::string& text) { return std::as_writable_bytes(std::span(text)); }
std::span<const std::byte> view_of(const std::string& text) { return std::as_bytes(std::span(text)); }
std::string text_of(std::span<const std::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::string pattern(size_t size, unsigned seed) {
  std::string text(size, '\0');
  for (size_t index = 0; index < size; ++index)
    text[index] = static_cast<char>((index * 131 + index / 251 + seed) % 253);
  return text;
}

Task<Result<void>> send_text(Stream& stream, std::string text, IoLimits limits = {}) {
  std::array<iovec, 1> vectors = {{{.iov_base = text.data(), .iov_len = text.size()}}};
  co_return co_await stream.send_all(vectors, limits);
}

// Both ends of a connection over loopback.
struct Pair {
  Listener listener;
  std::optional<Socket> client;
  std::optional<Socket> server;

  Task<Result<void>> open(Env& env) {
    FB_CO_TRY(listener, co_await Listener::open(env, Endpoint::loopback(0)));
    auto [connected, accepted] = co_await when_all([&] { return Socket::connect(env, listener.endpoint()); },
                                                   [&] { return listener.accept({}); });
    if (connected) client.emplace(std::move(*connected));
    if (accepted) server.emplace(std::move(*accepted));
    if (!connected) co_return connected.error();
    if (!accepted) co_return accepted.error();
    co_return Result<void>();
  }
  Task<void> close() {
    if (client) EXPECT_TRUE(co_await client->close());
    if (server) EXPECT_TRUE(co_await server->close());
    EXPECT_TRUE(co_await listener.close());
  }
};

// ---- time

TEST_P(EnvTest, SleepsUntilTheDeadline) {
  run([](Env& env) -> Task<void> {
    const Instant before = env.now();
    EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(20)));
    EXPECT_GE(env.now() - before, Duration::milliseconds(20));
    EXPECT_LT(env.now() - before, Duration::seconds(10));
    EXPECT_GT(env.wall_clock().seconds(), 0);
  });
}

Task<void> sleep_and_note(Env& env, int64_t ms, std::vector<int64_t>& order) {
  EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(ms)));
  order.push_back(ms);
}

TEST_P(EnvTest, TimersEndInOrderOfTheirDeadlines) {
  run([](Env& env) -> Task<void> {
    std::vector<int64_t> order;
    Scope scope(env);
    for (const int64_t ms : {30, 10, 50, 20, 40})
      scope.spawn(&sleep_and_note, std::ref(env), ms, std::ref(order));
    co_await scope.join();
    EXPECT_EQ(order, (std::vector<int64_t>{10, 20, 30, 40, 50}));
  });
}

TEST_P(EnvTest, SleepEndsWhenCancelled) {
  run([](Env& env) -> Task<void> {
    CancelSource source;
    auto sleeper = [&]() -> Task<Result<void>> {
      co_return co_await sleep_for(env, Duration::minutes(60), &source);
    };
    auto canceller = [&]() -> Task<void> {
      EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(1)));
      source.cancel();
    };
    const auto [slept, unused] = co_await when_all(sleeper, canceller);
    CO_ASSERT(!slept.has_value());
    EXPECT_TRUE(slept.error().is(IoError::cancelled));
    const Result<void> at_once = co_await sleep_for(env, Duration::minutes(60), &source);
    CO_ASSERT(!at_once.has_value());
    EXPECT_TRUE(at_once.error().is(IoError::cancelled));
  });
}

TEST_P(EnvTest, RandomnessDiffers) {
  run([](Env& env) -> Task<void> {
    EXPECT_NE(env.random(), env.random());
    std::array<std::byte, 32> first{};
    std::array<std::byte, 32> second{};
    env.random_bytes(first);
    env.random_bytes(second);
    EXPECT_NE(first, second);
    co_return;
  });
}

// ---- files

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

// ---- sockets

TEST_P(EnvTest, ConnectsAndTalks) {
  run([](Env& env) -> Task<void> {
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    EXPECT_TRUE(pair.server->peer().is_loopback());
    EXPECT_TRUE(co_await send_text(*pair.client, "hello"));
    // `sim` splits even a few bytes.
    std::string heard;
    while (heard.size() < 5) {
      std::string buffer(100, '\0');
      const Result<size_t> count = co_await pair.server->receive(bytes_of(buffer), {});
      CO_ASSERT_OK(count);
      CO_ASSERT(*count > 0);
      heard.append(buffer, 0, *count);
    }
    EXPECT_EQ(heard, "hello");
    EXPECT_TRUE(co_await send_text(*pair.server, "welcome"));
    heard.clear();
    while (heard.size() < 7) {
      Result<PooledBytes> pooled = co_await pair.client->receive_pooled({});
      CO_ASSERT_OK(pooled);
      CO_ASSERT(!pooled->bytes().empty());
      heard += text_of(pooled->bytes());
    }
    EXPECT_EQ(heard, "welcome");
    co_await pair.close();
  });
}

Task<void> echo(Socket& socket) {
  for (;;) {
    Result<PooledBytes> received = co_await socket.receive_pooled({});
    CO_ASSERT_OK(received);
    const std::span<std::byte> bytes = received->bytes();
    if (bytes.empty()) co_return;
    std::array<iovec, 3> vectors = {
        {{.iov_base = bytes.data(), .iov_len = bytes.size() / 2},
         {.iov_base = nullptr, .iov_len = 0},
         {.iov_base = bytes.data() + bytes.size() / 2, .iov_len = bytes.size() - bytes.size() / 2}}};
    const Result<void> sent = co_await socket.send_all(vectors, {});
    CO_ASSERT_OK(sent);
  }
}

TEST_P(EnvTest, EchoesMebibytes) {
  run([](Env& env) -> Task<void> {
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    const std::string sent = pattern(5 * kMiB + 17, 5);
    std::string received;
    auto write = [&]() -> Task<void> { EXPECT_TRUE(co_await send_text(*pair.client, sent)); };
    auto read = [&]() -> Task<void> {
      std::string part(100'000, '\0');
      while (received.size() < sent.size()) {
        const Result<size_t> count = co_await pair.client->receive(bytes_of(part), {});
        CO_ASSERT_OK(count);
        CO_ASSERT(*count > 0);
        received.append(part, 0, *count);
      }
      EXPECT_TRUE(co_await pair.client->close());
    };
    co_await when_all(write, read, [&] { return echo(*pair.server); });
    EXPECT_TRUE(received == sent);
    co_await pair.close();
  });
}

TEST_P(EnvTest, EndOfStreamIsZeroBytes) {
  run([](Env& env) -> Task<void> {
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    EXPECT_TRUE(co_await send_text(*pair.client, "last"));
    EXPECT_TRUE(co_await pair.client->close());
    std::string buffer(100, '\0');
    EXPECT_EQ((co_await pair.server->receive(bytes_of(buffer), {})).value_or(99), 4U);
    EXPECT_EQ((co_await pair.server->receive(bytes_of(buffer), {})).value_or(99), 0U);
    const Result<PooledBytes> ended = co_await pair.server->receive_pooled({});
    CO_ASSERT_OK(ended);
    EXPECT_TRUE(ended->bytes().empty());
    co_await pair.close();
  });
}

TEST_P(EnvTest, SendingToAPeerThatLeftFails) {
  run([](Env& env) -> Task<void> {
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    // Closing with unread data resets the connection.
    EXPECT_TRUE(co_await send_text(*pair.server, "unread"));
    EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(5)));
    EXPECT_TRUE(co_await pair.client->close());
    Result<void> sent;
    for (int attempt = 0; attempt < 100 && sent; ++attempt) {
      sent = co_await send_text(*pair.server, pattern(10'000, 2));
      EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(1)));
    }
    CO_ASSERT(!sent.has_value());
    EXPECT_TRUE(sent.error().is(IoError::connection_lost)) << sent.error().to_string();
    co_await pair.close();
  });
}

TEST_P(EnvTest, ShutdownEndsAReceiveInFlight) {
  run([](Env& env) -> Task<void> {
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    auto receive = [&]() -> Task<void> {
      std::string buffer(10, '\0');
      EXPECT_EQ((co_await pair.server->receive(bytes_of(buffer), {})).value_or(99), 0U);
    };
    auto stop = [&]() -> Task<void> {
      EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(2)));
      EXPECT_TRUE(co_await pair.server->shutdown());
    };
    co_await when_all(receive, stop);
    co_await pair.close();
  });
}

TEST_P(EnvTest, ReceiveEndsAtItsDeadline) {
  run([](Env& env) -> Task<void> {
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    for (int round = 0; round < 3; ++round) {
      const Instant deadline = env.now() + Duration::milliseconds(10);
      const Result<PooledBytes> pooled = co_await pair.server->receive_pooled({.deadline = deadline});
      CO_ASSERT(!pooled.has_value());
      EXPECT_TRUE(pooled.error().is(IoError::timed_out));
      EXPECT_GE(env.now(), deadline);
      std::string buffer(10, '\0');
      const Result<size_t> plain = co_await pair.server->receive(
          bytes_of(buffer), {.deadline = env.now() + Duration::milliseconds(5)});
      CO_ASSERT(!plain.has_value());
      EXPECT_TRUE(plain.error().is(IoError::timed_out));
    }
    // Nothing is lost: the next receive sees everything.
    EXPECT_TRUE(co_await send_text(*pair.client, "after"));
    const Result<PooledBytes> after =
        co_await pair.server->receive_pooled({.deadline = env.now() + Duration::seconds(60)});
    CO_ASSERT_OK(after);
    EXPECT_EQ(text_of(after->bytes()), "after");
    EXPECT_EQ(env.timers().size(), 0U);
    co_await pair.close();
  });
}

TEST_P(EnvTest, SendEndsAtItsDeadlineWhereNobodyReads) {
  run([](Env& env) -> Task<void> {
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    const std::string large = pattern(64 * kMiB, 3);
    const Result<void> sent =
        co_await send_text(*pair.server, large, {.deadline = env.now() + Duration::milliseconds(300)});
    CO_ASSERT(!sent.has_value());
    EXPECT_TRUE(sent.error().is(IoError::timed_out));
    co_await pair.close();
  });
}

TEST_P(EnvTest, CancelsWhatIsInFlight) {
  run([](Env& env) -> Task<void> {
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    CancelSource source;
    auto receive = [&]() -> Task<void> {
      std::string buffer(10, '\0');
      const Result<size_t> received = co_await pair.server->receive(bytes_of(buffer), {.cancel = &source});
      EXPECT_TRUE(!received.has_value() && received.error().is(IoError::cancelled));
    };
    auto receive_pooled = [&]() -> Task<void> {
      const Result<PooledBytes> received = co_await pair.client->receive_pooled({.cancel = &source});
      EXPECT_TRUE(!received.has_value() && received.error().is(IoError::cancelled));
    };
    auto accept = [&]() -> Task<void> {
      const Result<Socket> accepted = co_await pair.listener.accept({.cancel = &source});
      EXPECT_TRUE(!accepted.has_value() && accepted.error().is(IoError::cancelled));
    };
    auto cancel = [&]() -> Task<void> {
      EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(2)));
      source.cancel();
    };
    co_await when_all(receive, receive_pooled, accept, cancel);
    co_await pair.close();
  });
}

TEST_P(EnvTest, ConnectingToNobodyIsRefused) {
  run([](Env& env) -> Task<void> {
    Result<Listener> listener = co_await Listener::open(env, Endpoint::loopback(0));
    CO_ASSERT_OK(listener);
    const Endpoint endpoint = listener->endpoint();
    EXPECT_NE(endpoint.port, 0);
    EXPECT_TRUE(co_await listener->close());
    const Result<Socket> socket = co_await Socket::connect(env, endpoint);
    CO_ASSERT(!socket.has_value());
    EXPECT_TRUE(socket.error().is(IoError::refused)) << socket.error().to_string();
  });
}

TEST_P(EnvTest, PooledBuffersRunOutAndComeBack) {
  if (!fixture_->abilities().real) GTEST_SKIP() << "sockets of the kernel only";
  run([](Env& env) -> Task<void> {
    // More than the environment's pool: the last receive has to wait until one is given back.
    constexpr size_t kHeldMax = 4000;
    Pair pair;
    const Result<void> opened = co_await pair.open(env);
    CO_ASSERT_OK(opened);
    std::vector<PooledBytes> held;
    while (held.size() < kHeldMax) {
      EXPECT_TRUE(co_await send_text(*pair.client, std::to_string(held.size())));
      Result<PooledBytes> received =
          co_await pair.server->receive_pooled({.deadline = env.now() + Duration::milliseconds(200)});
      if (!received) {
        EXPECT_TRUE(received.error().is(IoError::timed_out));
        break;
      }
      EXPECT_EQ(text_of(received->bytes()), std::to_string(held.size()));
      held.push_back(std::move(*received));
    }
    EXPECT_GT(held.size(), 100U);
    CO_ASSERT(held.size() < kHeldMax);
    // Waits while there is none, and goes on with the bytes that were there when one comes back.
    const std::string expected = std::to_string(held.size());
    auto receive = [&]() -> Task<void> {
      Result<PooledBytes> received = co_await pair.server->receive_pooled({});
      CO_ASSERT_OK(received);
      EXPECT_EQ(text_of(received->bytes()), expected);
    };
    auto give_back = [&]() -> Task<void> {
      EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(5)));
      held.erase(held.begin());
    };
    co_await when_all(receive, give_back);
    held.clear();
    for (int round = 0; round < 100; ++round) {
      EXPECT_TRUE(co_await send_text(*pair.client, "again"));
      const Result<PooledBytes> received = co_await pair.server->receive_pooled({});
      CO_ASSERT_OK(received);
      EXPECT_EQ(text_of(received->bytes()), "again");
    }
    co_await pair.close();
  });
}

Task<void> serve_echo(Socket socket) {
  co_await echo(socket);
  EXPECT_TRUE(co_await socket.close());
}

Task<void> talk(Env& env, Endpoint endpoint, unsigned number, size_t& good) {
  Result<Socket> socket = co_await Socket::connect(env, endpoint);
  CO_ASSERT_OK(socket);
  for (unsigned round = 0; round < 20; ++round) {
    const std::string sent = pattern(1 + (number * 37 + round * 911) % 3000, number);
    EXPECT_TRUE(co_await send_text(*socket, sent));
    std::string received(sent.size(), '\0');
    for (size_t at = 0; at < sent.size();) {
      const Result<size_t> count = co_await socket->receive(bytes_of(received).subspan(at), {});
      CO_ASSERT_OK(count);
      CO_ASSERT(*count > 0);
      at += *count;
    }
    if (received == sent) ++good;
  }
  EXPECT_TRUE(co_await socket->close());
}

TEST_P(EnvTest, ManyConnections) {
  run([](Env& env) -> Task<void> {
    constexpr unsigned kConnections = 100;
    Result<Listener> listener = co_await Listener::open(env, Endpoint::loopback(0));
    CO_ASSERT_OK(listener);
    Scope scope(env);
    size_t good = 0;
    for (unsigned number = 0; number < kConnections; ++number) {
      scope.spawn(&talk, std::ref(env), listener->endpoint(), number, std::ref(good));
    }
    for (unsigned number = 0; number < kConnections; ++number) {
      Result<Socket> socket = co_await listener->accept({});
      CO_ASSERT_OK(socket);
      scope.spawn(&serve_echo, std::move(*socket));
    }
    co_await scope.join();
    EXPECT_EQ(good, size_t{kConnections} * 20);
    EXPECT_TRUE(co_await listener->close());
  });
}

// ---- cores

TEST_P(EnvTest, CallsRunOnTheOtherCore) {
  constexpr unsigned kCalls = 2000;
  std::array<uint64_t, 2> sums{};
  run_cores_of(2, [&](Env& env) -> Task<void> {
    const unsigned other = 1 - env.core();
    for (unsigned call = 0; call < kCalls; ++call) {
      const unsigned where = co_await call_on(env, other, [&](Env& there) -> Task<unsigned> {
        sums[there.core()] += call;
        co_return there.core();
      });
      EXPECT_EQ(where, other);
      EXPECT_EQ(co_await call_on(env, env.core(), [](Env& here) -> Task<unsigned> { co_return here.core(); }),
                env.core());
    }
  });
  for (const uint64_t sum : sums) EXPECT_EQ(sum, uint64_t{kCalls} * (kCalls - 1) / 2);
}

Task<void> call_other(Env& env, unsigned core, uint64_t& counter, unsigned& answered) {
  co_await call_on(env, core, [&](Env& there) -> Task<void> {
    EXPECT_TRUE(co_await sleep_for(there, Duration::milliseconds(1)));
    ++counter;
  });
  ++answered;
}

TEST_P(EnvTest, ManyCallsAtOnceThatWaitThere) {
  constexpr unsigned kCalls = 500;
  std::array<uint64_t, 2> counters{};  // each changed on its own core only
  run_cores_of(2, [&](Env& env) -> Task<void> {
    unsigned answered = 0;
    Scope scope(env);
    for (unsigned call = 0; call < kCalls; ++call) {
      scope.spawn(&call_other, std::ref(env), 1 - env.core(), std::ref(counters[1 - env.core()]),
                  std::ref(answered));
    }
    co_await scope.join();
    EXPECT_EQ(answered, kCalls);
  });
  EXPECT_EQ(counters[0], kCalls);
  EXPECT_EQ(counters[1], kCalls);
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

TEST_P(EnvTest, CoresShareAPortButOthersDoNot) {
  if (!fixture_->abilities().real) GTEST_SKIP() << "sockets of the kernel only";
  run_cores_of(2, [&](Env& env) -> Task<void> {
    if (env.core() != 0) co_return;
    Result<Listener> first = co_await Listener::open(env, Endpoint::loopback(0));
    CO_ASSERT_OK(first);
    const Endpoint endpoint = first->endpoint();
    co_await call_on(env, 1, [&](Env& there) -> Task<void> {
      Result<Listener> second = co_await Listener::open(there, endpoint);
      CO_ASSERT_OK(second);
      EXPECT_TRUE(co_await second->close());
    });
    // Another run stands for another process: it knows nothing of ours.
    const std::unique_ptr<EnvFixture> other = GetParam().make();
    other->run(1, {.limit_bytes = kMiB}, [&](Env& elsewhere) -> Task<void> {
      const Result<Listener> refused = co_await Listener::open(elsewhere, endpoint);
      EXPECT_TRUE(!refused.has_value() && refused.error().is(IoError::in_use));
      co_return;
    });
    EXPECT_TRUE(co_await first->close());
    Result<Listener> again = co_await Listener::open(env, endpoint);
    CO_ASSERT_OK(again);
    EXPECT_TRUE(co_await again->close());
  });
}

// ---- waiting among coroutines

Task<void> hold(Env& env, Semaphore& semaphore, uint64_t units, unsigned& inside, unsigned& most) {
  const Semaphore::Units held = co_await semaphore.acquire(units);
  inside += static_cast<unsigned>(units);
  most = std::max(most, inside);
  EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(1)));
  inside -= static_cast<unsigned>(units);
}

TEST_P(EnvTest, SemaphoreBoundsWhoIsInside) {
  run([](Env& env) -> Task<void> {
    Semaphore semaphore(env, 5);
    unsigned inside = 0;
    unsigned most = 0;
    Scope scope(env);
    for (uint64_t task = 0; task < 30; ++task) {
      scope.spawn(&hold, std::ref(env), std::ref(semaphore), 1 + task % 3, std::ref(inside), std::ref(most));
    }
    co_await scope.join();
    EXPECT_LE(most, 5U);
    EXPECT_GE(most, 3U);
    EXPECT_EQ(semaphore.available(), 5U);
  });
}

Task<void> wait_and_count(Notification& notification, const bool& ready, unsigned& woken) {
  while (!ready) co_await notification.wait();
  ++woken;
}

TEST_P(EnvTest, NotificationWakesAll) {
  run([](Env& env) -> Task<void> {
    Notification notification(env);
    bool ready = false;
    unsigned woken = 0;
    Scope scope(env);
    for (int task = 0; task < 10; ++task) {
      scope.spawn(&wait_and_count, std::ref(notification), std::cref(ready), std::ref(woken));
    }
    notification.notify_one();  // nothing is ready: it waits again
    co_await yield(env);
    EXPECT_EQ(woken, 0U);
    ready = true;
    notification.notify_all();
    co_await scope.join();
    EXPECT_EQ(woken, 10U);
    EXPECT_FALSE(notification.has_waiters());
  });
}

Task<void> borrow(Env& env, size_t size, size_t& most) {
  Buffer buffer = co_await env.buffers().allocate(size);
  most = std::max(most, env.buffers().used_bytes());
  EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(1)));
  std::memset(buffer.data(), 1, buffer.capacity());
}

TEST_P(EnvTest, BufferPoolHoldsItsLimit) {
  run([](Env& env) -> Task<void> {
    size_t most = 0;
    Scope scope(env);
    for (size_t task = 0; task < 200; ++task) {
      scope.spawn(&borrow, std::ref(env), kBufferSizeMin << (task % 10), std::ref(most));
    }
    co_await scope.join();
    EXPECT_LE(most, env.buffers().limit_bytes());
    EXPECT_GE(most, env.buffers().limit_bytes() / 2);
    EXPECT_EQ(env.buffers().used_bytes(), 0U);
    Buffer first = env.buffers().try_allocate(kBufferSizeMax);
    EXPECT_TRUE(first);
    const Buffer second = first;
    EXPECT_TRUE(first.shared());
    first.reset();
    EXPECT_FALSE(second.shared());
    EXPECT_EQ(env.buffers().used_bytes(), kBufferSizeMax);
  });
}

TEST_P(EnvTest, YieldLetsOthersRun) {
  run([](Env& env) -> Task<void> {
    bool stop = false;
    auto spin = [&]() -> Task<void> {
      while (!stop) co_await yield(env);
    };
    auto sleeper = [&]() -> Task<void> {
      EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(5)));
      Result<Listener> listener = co_await Listener::open(env, Endpoint::loopback(0));
      CO_ASSERT_OK(listener);
      EXPECT_TRUE(co_await listener->close());
      stop = true;
    };
    co_await when_all(spin, sleeper);
  });
}

}  // namespace
}  // namespace fb
