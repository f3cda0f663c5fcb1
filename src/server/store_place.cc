// SPDX-License-Identifier: Apache-2.0
#include "server/store_place.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/error.h"
#include "s3/encoding.h"

namespace fb {
namespace {

constexpr const char* kDeviceFile = "DEVICE";  // in the data directory
constexpr const char* kStoreFile = "STORE";    // on the device
constexpr size_t kDeviceFileBytesMax = 8192;

std::string hex_of(const bss::DeviceId& id) {
  return s3::hex_encode(std::span(reinterpret_cast<const uint8_t*>(id.data()), id.size()));
}

// "ID PATH"
std::string device_line(const bss::DeviceId& id, const std::string& path) {
  return fmt::format("{} {}\n", hex_of(id), path);
}

std::string path_in_line(std::string_view line) {
  const size_t blank = line.find(' ');
  if (blank == std::string_view::npos) return "PATH";
  return std::string(line.substr(blank + 1, line.find('\n') - blank - 1));
}

}  // namespace

std::string device_problem(const std::string& device_path, const Error& error) {
  using bss::DeviceError;
  if (error.is(DeviceError::not_formatted)) {
    return fmt::format("{0} is not formatted for FractalBits; run `fractalbits format --device {0}` first",
                       device_path);
  }
  if (error.is(DeviceError::in_use))
    return fmt::format("{} is mounted, or in use by another process", device_path);
  if (error.is(DeviceError::other_version))
    return fmt::format("{} was formatted by another version of FractalBits; use that one", device_path);
  if (error.is(DeviceError::damaged))
    return fmt::format("{} is damaged: neither copy of its superblock, or of its table, is whole",
                       device_path);
  return fmt::format("{} cannot be used as a device: {}; the log says why", device_path, error.to_string());
}

Task<ConfigResult<StorePlace>> StorePlace::open(Env& env, const DataDirectory& directory,
                                                const std::string& device_path) {
  StorePlace place;
  place.path_ = directory.path();
  const std::string note = directory.path() + "/" + kDeviceFile;
  const auto bound = co_await read_small_file(env, note, kDeviceFileBytesMax);
  if (device_path.empty()) {
    if (!bound) co_return place;
    co_return std::unexpected(fmt::format("the store of {} is on a device; give it with --device {}",
                                          directory.path(), path_in_line(*bound)));
  }
  if (!bound) {
    const auto names = co_await list_directory(env, directory.path());
    const bool has_data = names && std::ranges::any_of(*names, [](const std::string& name) {
                            return name == "namespace" || name == "blobs";
                          });
    if (has_data) {
      co_return std::unexpected(fmt::format(
          "the store of {0} is in that directory; start it without --device, or give a new --data-dir",
          directory.path()));
    }
  }
  auto device = co_await bss::Device::open(env, {.path = device_path});
  if (!device) co_return std::unexpected(device_problem(device_path, device.error()));
  place.device_ = std::move(*device);
  place.path_ = place.device_->path();
  ConfigResult<void> fits;
  if (bound && !bound->starts_with(hex_of(place.device_->superblock().id))) {
    fits = std::unexpected(fmt::format(
        "{} is not the device that {} was used with, or was formatted again since; give the right one with "
        "--device, or a new --data-dir",
        device_path, directory.path()));
  } else {
    fits = co_await place.bind(env, directory, device_path, bound.has_value());
  }
  if (fits) co_return place;
  (void)co_await place.close();
  co_return std::unexpected(fits.error());
}

Task<ConfigResult<void>> StorePlace::bind(Env& env, const DataDirectory& directory,
                                          const std::string& device_path, bool was_bound) {
  const std::string mark = path_ + "/" + kStoreFile;
  const std::string own = s3::hex_encode(directory.store_id());
  const auto found = co_await read_small_file(env, mark, kDeviceFileBytesMax);
  if (found && *found != own) {
    co_return std::unexpected(
        fmt::format("{} holds another store than the one of {}; give the --data-dir it was used with",
                    device_path, directory.path()));
  }
  Result<void> written;
  if (!found) written = co_await replace_small_file(env, mark, own, 0600, FileRole::other);
  if (written && !was_bound) {
    written = co_await replace_small_file(env, directory.path() + "/" + kDeviceFile,
                                          device_line(device_->superblock().id, device_path), 0644,
                                          FileRole::other);
  }
  if (!written) {
    co_return std::unexpected(fmt::format("{} and {} could not be bound to each other: {}", device_path,
                                          directory.path(), written.error().to_string()));
  }
  co_return ConfigResult<void>();
}

Task<ConfigResult<void>> StorePlace::attach(Env& env) {
  if (device_ == nullptr) co_return ConfigResult<void>();
  if (const auto attached = co_await device_->attach(env); !attached) {
    co_return std::unexpected(
        fmt::format("core {} cannot open the device: {}", env.core(), attached.error().to_string()));
  }
  co_return ConfigResult<void>();
}

Task<void> StorePlace::detach(Env& env) {
  if (device_ != nullptr && env.mounted() == device_.get()) co_await device_->detach(env);
}

Task<Result<void>> StorePlace::close() {
  if (device_ == nullptr) co_return Result<void>();
  const Result<void> closed = co_await device_->close();
  device_.reset();
  co_return closed;
}

}  // namespace fb
