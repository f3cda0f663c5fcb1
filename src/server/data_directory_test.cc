// SPDX-License-Identifier: Apache-2.0
#include "server/data_directory.h"

#include <gtest/gtest.h>

#include <functional>

#include "io/sim/simulation.h"

namespace fb {
namespace {

// Runs on one machine, whose disk stays from one body to the next.
class DataDirectoryTest : public ::testing::Test {
 protected:
  void run(const std::function<Task<void>(Env&)>& body) {
    bool ended = false;
    node_.start([&](Env& env) -> Task<void> {
      co_await body(env);
      ended = true;
    });
    simulation_.run_until([&] { return !node_.running(); }, Duration::minutes(10));
    EXPECT_TRUE(ended);
  }

  static Task<std::string> complaint(Env& env, std::string path) {
    auto opened = co_await DataDirectory::open(env, path);
    if (!opened) co_return opened.error();
    co_await opened->close();
    co_return std::string("opened");
  }

  static Task<void> write(Env& env, std::string path, std::string text) {
    EXPECT_TRUE(co_await replace_small_file(env, path, text, 0644, FileRole::other));
  }

  sim::Simulation simulation_{1};
  sim::SimNode& node_ = simulation_.add_node({.name = "machine"});
};

TEST_F(DataDirectoryTest, MadeOnceAndTheSameAfterwards) {
  std::array<uint8_t, 16> id{};
  run([&](Env& env) -> Task<void> {
    auto made = co_await DataDirectory::open(env, "/some/where/data");
    EXPECT_TRUE(made.has_value()) << made.error();
    if (!made) co_return;
    std::memcpy(id.data(), made->store_id().data(), id.size());
    EXPECT_EQ(made->path(), "/some/where/data");
    co_await made->close();
  });
  EXPECT_NE(id, (std::array<uint8_t, 16>{}));
  node_.start([](Env&) -> Task<void> { co_return; });
  node_.crash(sim::CrashKind::power_loss);
  run([&](Env& env) -> Task<void> {
    auto opened = co_await DataDirectory::open(env, "/some/where/data");
    EXPECT_TRUE(opened.has_value()) << opened.error();
    if (!opened) co_return;
    EXPECT_EQ(std::memcmp(id.data(), opened->store_id().data(), id.size()), 0);
    co_await opened->close();
  });
}

TEST_F(DataDirectoryTest, WhatIsNotOursIsLeftAlone) {
  run([](Env& env) -> Task<void> {
    EXPECT_TRUE(co_await make_directory(env, "/home"));
    co_await write(env, "/home/letter.txt", "dear all");
    EXPECT_NE((co_await complaint(env, "/home")).find("not a FractalBits store"), std::string::npos);
    const auto names = co_await list_directory(env, "/home");
    EXPECT_EQ(*names, std::vector<std::string>{"letter.txt"});
    EXPECT_NE((co_await complaint(env, "/home/letter.txt")), "opened");
    // Leftovers of an interrupted start are no obstacle.
    EXPECT_TRUE(co_await make_directory(env, "/fresh"));
    EXPECT_TRUE(co_await make_directory(env, "/fresh/lost+found"));
    co_await write(env, "/fresh/LOCK", "");
    co_await write(env, "/fresh/STORE.new", "FractalBits st");
    EXPECT_EQ(co_await complaint(env, "/fresh"), "opened");
  });
}

TEST_F(DataDirectoryTest, ForeignNewerAndDamagedStores) {
  run([](Env& env) -> Task<void> {
    EXPECT_EQ(co_await complaint(env, "/data"), "opened");
    const auto good = co_await read_small_file(env, "/data/STORE", 4096);
    const std::string& text = *good;
    co_await write(env, "/data/STORE", "something else\n");
    EXPECT_NE((co_await complaint(env, "/data")).find("not a FractalBits store file"), std::string::npos);
    std::string newer = text;
    newer.replace(newer.find("format 2"), 8, "format 3");
    co_await write(env, "/data/STORE", newer);
    const std::string refusal = co_await complaint(env, "/data");
    EXPECT_NE(refusal.find("format '3'"), std::string::npos) << refusal;
    co_await write(env, "/data/STORE", std::string(5000, 'x'));
    EXPECT_NE(co_await complaint(env, "/data"), "opened");
    for (size_t cut = 0; cut < text.size(); ++cut) {
      co_await write(env, "/data/STORE", text.substr(0, cut));
      EXPECT_NE(co_await complaint(env, "/data"), "opened") << cut;
    }
    for (size_t bit = 0; bit < text.size() * 8; ++bit) {
      std::string flipped = text;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      co_await write(env, "/data/STORE", flipped);
      EXPECT_NE(co_await complaint(env, "/data"), "opened") << "bit " << bit;
    }
    co_await write(env, "/data/STORE", text);
    EXPECT_EQ(co_await complaint(env, "/data"), "opened");
  });
}

TEST_F(DataDirectoryTest, LockedAgainstASecondProcess) {
  run([](Env& env) -> Task<void> {
    auto first = co_await DataDirectory::open(env, "/data");
    EXPECT_TRUE(first.has_value());
    EXPECT_NE((co_await complaint(env, "/data")).find("in use"), std::string::npos);
    if (first) co_await first->close();
    EXPECT_EQ(co_await complaint(env, "/data"), "opened");
  });
}

TEST_F(DataDirectoryTest, Credentials) {
  run([](Env& env) -> Task<void> {
    auto directory = co_await DataDirectory::open(env, "/data");
    EXPECT_TRUE(directory.has_value());
    if (!directory) co_return;
    const auto made = co_await directory->root_credentials(env);
    EXPECT_TRUE(made.has_value() && made->made_now);
    EXPECT_EQ(made->access_key.size(), 20U);
    EXPECT_EQ(made->secret_key.reveal().size(), 40U);
    const auto again = co_await directory->root_credentials(env);
    EXPECT_TRUE(again.has_value() && !again->made_now);
    EXPECT_EQ(again->access_key, made->access_key);
    EXPECT_EQ(again->secret_key.reveal(), made->secret_key.reveal());
    co_await write(env, "/data/credentials",
                   "# by hand\r\naccess_key mine  \r\nsecret_key a longer secret\r\n");
    const auto edited = co_await directory->root_credentials(env);
    EXPECT_EQ(edited->access_key, "mine");
    EXPECT_EQ(edited->secret_key.reveal(), "a longer secret");
    for (const std::string& broken :
         {std::string(), std::string("access_key mine\n"), std::string("secret_key x\n")}) {
      co_await write(env, "/data/credentials", broken);
      const auto refused = co_await directory->root_credentials(env);
      EXPECT_TRUE(!refused && refused.error().find("/data/credentials") != std::string::npos);
    }
    co_await directory->close();
  });
}

}  // namespace
}  // namespace fb
