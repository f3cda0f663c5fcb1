// SPDX-License-Identifier: Apache-2.0
#include "io/private_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "io/file.h"
#include "io/runtime.h"

namespace fb {
namespace {

namespace fs = std::filesystem;

class PrivateFiles : public testing::Test {
 public:
  ~PrivateFiles() override { fs::remove_all(folder_); }

 protected:
  PrivateFiles() {
    std::string name = (fs::temp_directory_path() / "fb-private-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    store_ = folder_ + "/data";
    fs::create_directories(store_ + "/blobs/0");
    for (const char* file : {"/STORE", "/LOCK", "/blobs/0/segment"}) std::ofstream(store_ + file) << "x";
    for (const char* entry : {"", "/blobs", "/blobs/0"}) ::chmod((store_ + entry).c_str(), 0755);
  }

  static unsigned mode(const std::string& path) {
    struct stat found{};
    EXPECT_EQ(::lstat(path.c_str(), &found), 0) << path;
    return found.st_mode & 07777;
  }

  std::string folder_, store_;
};

TEST_F(PrivateFiles, WiderModesAreTightenedOnce) {
  ::chmod((store_ + "/blobs/0/segment").c_str(), 0664);
  const auto first = tighten_store(store_);
  ASSERT_TRUE(first) << first.error();
  EXPECT_EQ(first->entries, 6u);
  for (const char* entry : {"", "/blobs", "/blobs/0"}) EXPECT_EQ(mode(store_ + entry), 0700u);
  for (const char* file : {"/STORE", "/LOCK", "/blobs/0/segment"}) EXPECT_EQ(mode(store_ + file), 0600u);
  EXPECT_EQ(tighten_store(store_)->entries, 0u);
}

TEST_F(PrivateFiles, LinksAreRefused) {
  const std::string victim = folder_ + "/victim";
  std::ofstream(victim) << "x";
  for (const std::string name : {"/STORE.new", "/LOCK", "/blobs/0/link", "/blobs/1"}) {
    fs::remove(store_ + name);
    fs::create_symlink(victim, store_ + name);
    const auto refused = tighten_store(store_);
    ASSERT_FALSE(refused) << name;
    EXPECT_NE(refused.error().find(store_ + name + " is a symbolic link"), std::string::npos)
        << refused.error();
    fs::remove(store_ + name);
  }
  EXPECT_TRUE(tighten_store(store_));
}

TEST_F(PrivateFiles, OtherOwnersAreRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  for (const char* entry : {"/blobs/0/segment", "/blobs", ""}) {
    ASSERT_EQ(::chown((store_ + entry).c_str(), 4321, 4321), 0);
    const auto refused = tighten_store(store_);
    ASSERT_FALSE(refused) << entry;
    EXPECT_NE(refused.error().find("belongs to user 4321"), std::string::npos) << refused.error();
    ASSERT_EQ(::chown((store_ + entry).c_str(), 0, 0), 0);
  }
}

TEST_F(PrivateFiles, WhatIsNoStoreIsLeftAlone) {
  fs::remove(store_ + "/STORE");
  EXPECT_EQ(tighten_store(store_)->entries, 0u);
  EXPECT_EQ(mode(store_), 0755u);
  EXPECT_EQ(tighten_store(folder_ + "/missing")->entries, 0u);
  const std::string empty = folder_ + "/empty";
  fs::create_directory(empty);
  ::chmod(empty.c_str(), 0777);
  EXPECT_EQ(tighten_store(empty)->entries, 1u) << "it becomes one";
  EXPECT_EQ(mode(empty), 0700u);
}

TEST_F(PrivateFiles, SecretsOfAll) {
  const std::string path = store_ + "/credentials";
  EXPECT_TRUE(check_secret_file(path, 0077));
  std::ofstream(path) << "x";
  for (const unsigned open : {0666u, 0640u, 0604u, 0620u}) {
    ::chmod(path.c_str(), open);
    const auto refused = check_secret_file(path, 0077);
    ASSERT_FALSE(refused) << open;
    EXPECT_NE(refused.error().find("chmod 600"), std::string::npos);
  }
  ::chmod(path.c_str(), 0600);
  EXPECT_TRUE(check_secret_file(path, 0077));
}

// Files of both environments, and with a umask that grants everything to all.
TEST_F(PrivateFiles, NewOnesAreTheOwnersOnly) {
  const mode_t before = ::umask(0);
  for (const IoBackend backend : {IoBackend::automatic, IoBackend::portable}) {
    const std::string folder = folder_ + "/" + std::to_string(static_cast<int>(backend));
    const auto ran = run_cores({.cores = 1, .backend = backend}, [&](Env& env) -> Task<void> {
      EXPECT_TRUE(co_await make_directory(env, folder));
      auto file = co_await File::open(env, folder + "/file", {.write = true, .create = true, .mode = 0666});
      EXPECT_TRUE(file);
      if (file) EXPECT_TRUE(co_await file->close());
      EXPECT_TRUE(co_await replace_small_file(env, folder + "/small", "x", 0644, FileRole::other));
      // A planted link is not followed.
      fs::create_symlink(folder_ + "/victim", folder + "/other.new");
      fs::create_symlink(folder_ + "/victim", folder + "/link");
      EXPECT_FALSE(co_await replace_small_file(env, folder + "/other", "x", 0600, FileRole::other));
      EXPECT_FALSE(co_await File::open(env, folder + "/link", {.write = true, .create = true}));
      EXPECT_FALSE(fs::exists(folder_ + "/victim"));
    });
    EXPECT_TRUE(ran);
    EXPECT_EQ(mode(folder), 0700u);
    EXPECT_EQ(mode(folder + "/file"), 0600u);
    EXPECT_EQ(mode(folder + "/small"), 0600u);
  }
  ::umask(before);
}

}  // namespace
}  // namespace fb
