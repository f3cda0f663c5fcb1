// SPDX-License-Identifier: Apache-2.0
#include "io/runtime.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "io/call_on.h"
#include "io/env_test_suite.h"
#include "io/file.h"

namespace fb {
namespace {

std::string make_scratch_directory() {
  std::string path = (std::filesystem::current_path() / "fb-io-XXXXXX").string();
  EXPECT_NE(::mkdtemp(path.data()), nullptr);
  return path;
}

class RuntimeFixture : public EnvFixture {
 public:
  explicit RuntimeFixture(IoBackend backend) : backend_(backend), directory_(make_scratch_directory()) {}
  ~RuntimeFixture() override { std::filesystem::remove_all(directory_); }
  void run(unsigned cores, const BufferPool::Options& buffers,
           const std::function<Task<void>(Env&)>& main) override {
    RuntimeOptions options{.cores = cores, .backend = backend_, .buffers = buffers};
    options.look_up = [delay = lookup_delay_, found = addresses_](
                          const std::string& host, uint16_t port) -> Result<std::vector<Endpoint>> {
      if (host != kTestHost) return look_up_host(host, port);
      std::this_thread::sleep_for(std::chrono::nanoseconds(delay.ns));
      if (found.empty()) return IoError::not_found;
      std::vector<Endpoint> addresses = found;
      for (Endpoint& address : addresses) address.port = port;
      return addresses;
    };
    const Result<void> ran = run_cores(options, main);
    ASSERT_TRUE(ran.has_value()) << ran.error().to_string();
  }
  std::string directory() override { return directory_; }
  void set_names(Duration delay, std::vector<Endpoint> addresses) override {
    lookup_delay_ = delay;
    addresses_ = std::move(addresses);
  }

 private:
  IoBackend backend_;
  Duration lookup_delay_;
  std::vector<Endpoint> addresses_;
  std::string directory_;
};

template <IoBackend backend>
std::unique_ptr<EnvFixture> make_fixture() {
  return std::make_unique<RuntimeFixture>(backend);
}

INSTANTIATE_TEST_SUITE_P(Real, EnvTest,
                         testing::Values(EnvFixtureMaker{"uring", &make_fixture<IoBackend::uring>},
                                         EnvFixtureMaker{"portable", &make_fixture<IoBackend::portable>}),
                         env_fixture_name);

// Makes io_uring_setup fail on this thread and on threads it starts, as container runtimes do.
void refuse_io_uring() {
  const std::array<sock_filter, 4> filter = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program{.len = filter.size(), .filter = const_cast<sock_filter*>(filter.data())};
  ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

TEST(Runtime, FallsBackWhereIoUringIsRefused) {
  std::string name;
  std::vector<std::string> notices;
  std::thread refused([&] {
    refuse_io_uring();
    RuntimeOptions options{.cores = 2};
    options.on_notice = [&](Env&, std::string_view line) { notices.emplace_back(line); };
    const Result<void> ran = run_cores(options, [&](Env& env) -> Task<void> {
      if (env.core() == 0) name = env.name();
      co_return;
    });
    EXPECT_TRUE(ran.has_value());
    EXPECT_FALSE(run_cores({.backend = IoBackend::uring}, [](Env&) -> Task<void> { co_return; }).has_value());
  });
  refused.join();
  EXPECT_EQ(name, "portable");
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_NE(notices[0].find("io_uring is not available"), std::string::npos) << notices[0];
}

TEST(Runtime, TakesIoUringWhereItCan) {
  std::string name;
  ASSERT_TRUE(run_cores({.backend = IoBackend::automatic}, [&](Env& env) -> Task<void> {
                name = env.name();
                co_return;
              }).has_value());
  EXPECT_EQ(name, "io_uring");
}

TEST(Runtime, NamesAndPinsItsThreads) {
  std::array<char, 16> name{};
  unsigned cpus = 0;
  ASSERT_TRUE(run_cores({.pin = true}, [&](Env&) -> Task<void> {
                ::prctl(PR_GET_NAME, name.data());
                cpus = available_cpus();
                co_return;
              }).has_value());
  EXPECT_STREQ(name.data(), "fb-core-0");
  EXPECT_EQ(cpus, 1U);
}

class RuntimeSignals : public testing::TestWithParam<IoBackend> {};

TEST_P(RuntimeSignals, AreDeliveredToCoreZero) {
  std::vector<int> seen;
  ASSERT_TRUE(run_cores({.cores = 2, .backend = GetParam()}, [&](Env& env) -> Task<void> {
                if (env.core() != 0) co_return;
                ::kill(::getpid(), SIGHUP);
                Result<int> signal = co_await wait_signal(env);
                seen.push_back(signal.value_or(-1));
                auto wait = [&]() -> Task<void> { seen.push_back((co_await wait_signal(env)).value_or(-1)); };
                auto raise_later = [&]() -> Task<void> {
                  EXPECT_TRUE(co_await sleep_for(env, Duration::milliseconds(5)));
                  ::kill(::getpid(), SIGTERM);
                };
                co_await when_all(wait, raise_later);
                CancelSource source;
                auto cancelled = [&]() -> Task<void> {
                  const Result<int> none = co_await wait_signal(env, &source);
                  EXPECT_FALSE(none.has_value());
                };
                auto cancel = [&]() -> Task<void> {
                  source.cancel();
                  co_return;
                };
                co_await when_all(cancelled, cancel);
              }).has_value());
  EXPECT_EQ(seen, (std::vector<int>{SIGHUP, SIGTERM}));
}

INSTANTIATE_TEST_SUITE_P(Real, RuntimeSignals, testing::Values(IoBackend::uring, IoBackend::portable));

class RuntimeErrors : public testing::TestWithParam<IoBackend> {};

TEST_P(RuntimeErrors, AFullDeviceIsNoSpace) {
  ASSERT_TRUE(run_cores({.backend = GetParam()}, [](Env& env) -> Task<void> {
                Result<File> full = co_await File::open(env, "/dev/full", {.write = true});
                CO_ASSERT_OK(full);
                const Result<void> written = co_await full->write_all(std::as_bytes(std::span("text", 4)), 0);
                EXPECT_TRUE(!written.has_value() && written.error().is(IoError::no_space));
                EXPECT_TRUE(co_await full->close());
              }).has_value());
}

INSTANTIATE_TEST_SUITE_P(Real, RuntimeErrors, testing::Values(IoBackend::uring, IoBackend::portable));

TEST(Runtime, RaisesTheLimitOfOpenFiles) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit lowered = before;
  lowered.rlim_cur = 64;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &lowered), 0);
  ASSERT_TRUE(run_cores({}, [&](Env&) -> Task<void> {
                rlimit inside{};
                EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &inside), 0);
                EXPECT_EQ(inside.rlim_cur, before.rlim_max);
                co_return;
              }).has_value());
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

// Lines of several cores arrive whole and are all there.
TEST(Runtime, LogLinesNeverMix) {
  constexpr unsigned kCores = 3;
  constexpr int kLines = 2000;
  testing::internal::CaptureStderr();
  ASSERT_TRUE(run_cores({.cores = kCores}, [&](Env& env) -> Task<void> {
                const std::string line(100 + env.core(), static_cast<char>('a' + env.core()));
                for (int index = 0; index < kLines; ++index) {
                  env.write_log(line);
                  if (index % 16 == 0) co_await yield(env);
                }
              }).has_value());
  const std::string text = testing::internal::GetCapturedStderr();
  std::array<int, kCores> counts{};
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    ASSERT_NE(end, std::string::npos);
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const auto core = static_cast<unsigned>(line.at(0) - 'a');
    ASSERT_LT(core, kCores);
    ASSERT_EQ(line, std::string(100 + core, static_cast<char>('a' + core)));
    ++counts[core];
  }
  for (const int count : counts) EXPECT_EQ(count, kLines);
}

}  // namespace
}  // namespace fb
