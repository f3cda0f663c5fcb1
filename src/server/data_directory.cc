// SPDX-License-Identifier: Apache-2.0
#include "server/data_directory.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/ascii.h"
#include "base/checksum.h"
#include "io/error.h"
#include "s3/encoding.h"

namespace fb {
namespace {

// 2: the namespace is a radix tree on pages (1: a map with snapshots).
constexpr int kFormatVersion = 2;
constexpr size_t kStoreFileSizeMax = 4096;
constexpr size_t kCredentialsSizeMax = 4096;
constexpr std::string_view kStoreTitle = "FractalBits store";
constexpr uint32_t kPrivateMode = 0600;
constexpr uint32_t kPublicMode = 0644;
constexpr size_t kAccessKeyLength = 20;
constexpr size_t kSecretKeyBytes = 30;  // 40 characters in base64

std::unexpected<std::string> complain(std::string_view path, const Error& error, std::string_view doing) {
  if (error.is(IoError::permission)) {
    return std::unexpected(fmt::format("{}: no permission to {}; run as the directory's owner", path, doing));
  }
  if (error.is(IoError::no_space))
    return std::unexpected(fmt::format("{}: the disk is full; could not {}", path, doing));
  return std::unexpected(fmt::format("{}: could not {}: {}", path, doing, error.to_string()));
}

std::string with_checksum(std::string text) {
  return text + fmt::format("checksum {:016x}\n", xxh3(std::as_bytes(std::span(text))));
}

// The value of "name value" at the start of a line.
std::string_view line_value(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == ' ')
      return line.substr(name.size() + 1);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return {};
}

// line_value() without the blanks and carriage returns that editors leave behind a value.
std::string_view hand_written_value(std::string_view text, std::string_view name) {
  std::string_view value = line_value(text, name);
  if (value.ends_with('\r')) value.remove_suffix(1);
  return ascii_trim(value);
}

ConfigResult<std::array<uint8_t, 16>> parse_store_file(std::string_view path, std::string_view text) {
  if (!text.starts_with(kStoreTitle)) {
    return std::unexpected(
        fmt::format("{}/STORE is not a FractalBits store file; give another --data-dir", path));
  }
  const std::string_view format = line_value(text, "format");
  if (format != std::to_string(kFormatVersion)) {
    return std::unexpected(
        fmt::format("{} has store format '{}', this program reads format {}; use the version of fractalbits "
                    "that wrote it",
                    path, format, kFormatVersion));
  }
  const size_t at = text.find("checksum ");
  if (at == std::string_view::npos || with_checksum(std::string(text.substr(0, at))) != text) {
    return std::unexpected(
        fmt::format("{}/STORE is damaged (its checksum does not match); restore it from a backup", path));
  }
  std::array<uint8_t, 16> id{};
  if (!s3::hex_decode(line_value(text, "id"), id)) {
    return std::unexpected(fmt::format("{}/STORE is damaged (no store id); restore it from a backup", path));
  }
  return id;
}

std::string store_file(const std::array<uint8_t, 16>& id) {
  return with_checksum(
      fmt::format("{}\nformat {}\nid {}\n", kStoreTitle, kFormatVersion, s3::hex_encode(id)));
}

// An existing directory may have been made by a process that was killed before it synced the parent. If
// others made it, we may have no permission to its parent, and then its makers must sync it.
Task<Result<void>> make_directories(Env& env, const std::string& path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const auto made = co_await ensure_directory(env, path.substr(0, slash));
    if (!made && !made.error().is(IoError::permission)) co_return made;
    if (slash == std::string::npos) co_return Result<void>();
  }
}

// Names that an interrupted start may leave before STORE is there, and those that a file system brings with
// it.
bool is_leftover(std::string_view name) {
  return name == "LOCK" || name == "STORE.new" || name == "lost+found";
}

// Whether the directory holds a store; a complaint if it holds something else.
Task<ConfigResult<bool>> holds_store(Env& env, const std::string& path) {
  const auto names = co_await list_directory(env, path);
  if (!names) co_return complain(path, names.error(), "read the directory");
  if (std::ranges::find(*names, "STORE") != names->end()) co_return true;
  if (std::ranges::all_of(*names, is_leftover)) co_return false;
  co_return std::unexpected(fmt::format(
      "{} is not empty and not a FractalBits store; give an empty or new directory with --data-dir", path));
}

}  // namespace

Task<ConfigResult<DataDirectory>> DataDirectory::open(Env& env, const std::string& path) {
  DataDirectory directory;
  directory.path_ = path;
  if (auto made = co_await make_directories(env, path); !made)
    co_return complain(path, made.error(), "make the directory");
  // Looked at before the lock, so that nothing is left in a directory that is not ours.
  if (auto looked = co_await holds_store(env, path); !looked) co_return std::unexpected(looked.error());

  auto lock = co_await File::open(env, path + "/LOCK", {.write = true, .create = true});
  if (!lock) co_return complain(path, lock.error(), "open the lock file");
  directory.lock_ = std::move(*lock);
  if (auto locked = co_await directory.lock_.lock(); !locked) {
    (void)co_await directory.lock_.close();
    if (locked.error().is(IoError::in_use)) {
      co_return std::unexpected(fmt::format(
          "{} is in use by another fractalbits process; stop it or give another --data-dir", path));
    }
    co_return complain(path, locked.error(), "lock the directory");
  }

  // Looked at again under the lock: another process may have made the store meanwhile.
  const auto has_store = co_await holds_store(env, path);
  std::string problem;
  if (!has_store) {
    problem = has_store.error();
  } else if (*has_store) {
    auto text = co_await read_small_file(env, path + "/STORE", kStoreFileSizeMax);
    auto id = text ? parse_store_file(path, *text) : complain(path, text.error(), "read the STORE file");
    if (id) {
      directory.store_id_ = *id;
      co_return directory;
    }
    problem = id.error();
  } else {
    env.random_bytes(std::as_writable_bytes(std::span(directory.store_id_)));
    auto written = co_await replace_small_file(env, path + "/STORE", store_file(directory.store_id_),
                                               kPublicMode, FileRole::other);
    if (written) co_return directory;
    problem = complain(path, written.error(), "write the STORE file").error();
  }
  (void)co_await directory.lock_.close();
  co_return std::unexpected(problem);
}

Task<void> DataDirectory::close() {
  if (lock_.is_open()) (void)co_await lock_.close();
}

Task<ConfigResult<DataDirectory::Credentials>> DataDirectory::root_credentials(Env& env) const {
  const std::string path = credentials_path();
  const auto text = co_await read_small_file(env, path, kCredentialsSizeMax);
  if (text) {
    Credentials found{.access_key = std::string(hand_written_value(*text, "access_key")),
                      .secret_key = Secret(std::string(hand_written_value(*text, "secret_key")))};
    if (found.access_key.empty() || found.secret_key.empty()) {
      co_return std::unexpected(fmt::format(
          "{} lacks its access_key or secret_key line; mend it, or move it away to have new credentials made",
          path));
    }
    co_return found;
  }
  if (!text.error().is(IoError::not_found)) co_return complain(path, text.error(), "read the credentials");

  static constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  static_assert(kAlphabet.size() == 32);
  Credentials made;
  made.made_now = true;
  std::array<std::byte, kAccessKeyLength> random;
  env.random_bytes(random);
  for (const std::byte b : random) made.access_key.push_back(kAlphabet[static_cast<uint8_t>(b) & 31]);
  std::array<std::byte, kSecretKeyBytes> secret;
  env.random_bytes(secret);
  std::string encoded = s3::base64_encode({reinterpret_cast<const uint8_t*>(secret.data()), secret.size()});
  for (char& c : encoded) c = c == '/' || c == '+' ? 'x' : c;  // easier to paste into URLs and shells
  made.secret_key = Secret(encoded);
  const std::string contents = fmt::format(
      "# The root credentials of this FractalBits store. Whoever reads this file may read and write "
      "everything in it.\n"
      "access_key {}\nsecret_key {}\n",
      made.access_key, made.secret_key.reveal());
  const auto written = co_await replace_small_file(env, path, contents, kPrivateMode, FileRole::other);
  if (!written) co_return complain(path, written.error(), "write the credentials");
  co_return made;
}

Task<ConfigResult<DataDirectory::Credentials>> read_credentials_file(Env& env, const std::string& path) {
  const auto text = co_await read_small_file(env, path, kCredentialsSizeMax);
  if (!text) co_return complain(path, text.error(), "read the credentials");
  DataDirectory::Credentials found{
      .access_key = std::string(hand_written_value(*text, "access_key")),
      .secret_key = Secret(std::string(hand_written_value(*text, "secret_key")))};
  if (found.access_key.empty() || found.secret_key.empty()) {
    co_return std::unexpected(fmt::format("{} lacks its access_key or secret_key line", path));
  }
  co_return found;
}

}  // namespace fb
