// SPDX-License-Identifier: Apache-2.0
#include "io/private_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

namespace fb {
namespace {

constexpr mode_t kOthersMask = 0077;
constexpr mode_t kModeMask = 07777;
constexpr int kDepthMax = 8;  // the store's own depth is 3

std::unexpected<std::string> refuse(std::string text) { return std::unexpected(std::move(text)); }

bool is_trusted(uid_t owner) { return owner == ::geteuid() || owner == 0; }

std::string owner_problem(const std::string& path, uid_t owner) {
  return fmt::format(
      "{} belongs to user {}, and this process runs as user {}: whoever owns it can change what is stored; "
      "give it "
      "to the user that runs the server (chown -R {} ...), or run as its owner",
      path, owner, ::geteuid(), ::geteuid());
}

ConfigResult<std::vector<std::string>> names_in(const std::string& path) {
  DIR* const folder = ::opendir(path.c_str());
  if (folder == nullptr) return refuse(fmt::format("{}: {}", path, std::strerror(errno)));
  std::vector<std::string> names;
  while (const dirent* const entry = ::readdir(folder)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(folder);
  return names;
}

// A file system without modes refuses; the operator chose it.
void tighten(const std::string& path, const struct stat& found, TightenedStore& out) {
  if ((found.st_mode & kOthersMask) == 0) return;
  if (::chmod(path.c_str(), found.st_mode & kModeMask & ~kOthersMask) == 0) ++out.entries;
}

ConfigResult<void> tighten_entries(const std::string& path, int depth, TightenedStore& out) {
  auto names = names_in(path);
  if (!names) return refuse(names.error());
  for (const std::string& name : *names) {
    const std::string entry = path + "/" + name;
    if (depth == 0 && name == "lost+found") continue;  // the file system's
    struct stat found{};
    if (::lstat(entry.c_str(), &found) != 0) {
      if (errno == ENOENT) continue;
      return refuse(fmt::format("{}: {}", entry, std::strerror(errno)));
    }
    if (S_ISLNK(found.st_mode)) {
      return refuse(fmt::format(
          "{} is a symbolic link, and a store holds none: it would have another file written; remove it",
          entry));
    }
    if (!is_trusted(found.st_uid)) return refuse(owner_problem(entry, found.st_uid));
    tighten(entry, found, out);
    if (!S_ISDIR(found.st_mode)) continue;
    if (depth == kDepthMax) return refuse(fmt::format("{} lies deeper than anything of a store does", entry));
    if (auto below = tighten_entries(entry, depth + 1, out); !below) return below;
  }
  return {};
}

// True also for the files that an interrupted start leaves.
bool is_store(const std::vector<std::string>& names) {
  bool only_leftovers = true;
  for (const std::string& name : names) {
    if (name == "STORE") return true;
    only_leftovers &= name == "LOCK" || name == "STORE.new" || name == "lost+found";
  }
  return only_leftovers;
}

}  // namespace

void make_new_files_private() { ::umask(kOthersMask); }

ConfigResult<TightenedStore> tighten_store(const std::string& path) {
  TightenedStore out;
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0 || !S_ISDIR(found.st_mode)) return out;
  const auto names = names_in(path);
  if (!names || !is_store(*names)) return out;  // DataDirectory says what is wrong
  if (!is_trusted(found.st_uid)) return refuse(owner_problem(path, found.st_uid));
  tighten(path, found, out);
  if (auto done = tighten_entries(path, 0, out); !done) return refuse(done.error());
  return out;
}

ConfigResult<void> check_secret_file(const std::string& path, uint32_t forbidden) {
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0 || (found.st_mode & forbidden) == 0) return {};
  return refuse(
      fmt::format("{} has mode {:04o}: others may read or change the secret in it; run chmod 600 on it, and "
                  "make a new key if "
                  "others may have read this one",
                  path, found.st_mode & kModeMask));
}

}  // namespace fb
