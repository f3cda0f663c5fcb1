// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "base/config.h"
#include "bss/device/device.h"
#include "cli/data_directory.h"

namespace fb {

// Where the engines of a store keep their files: in its data directory, or on a device. Which one is written
// down on both sides, in DIR/DEVICE and on the device, so that neither is ever used with another.
class StorePlace {
 public:
  // Core 0. `device_path` empty: the directory. Messages are for people, and name the way on.
  static Task<ConfigResult<StorePlace>> open(Env& env, const DataDirectory& directory,
                                             const std::string& device_path);
  // On each core before it opens files there, and after it has closed them.
  Task<ConfigResult<void>> attach(Env& env);
  Task<void> detach(Env& env);
  // Core 0, after all others.
  Task<Result<void>> close();

  const std::string& path() const { return path_; }
  std::string namespace_path() const { return path_ + "/namespace"; }
  std::string blobs_path() const { return path_ + "/blobs"; }
  const bss::Device* device() const { return device_.get(); }

 private:
  Task<ConfigResult<void>> bind(Env& env, const DataDirectory& directory, const std::string& device_path,
                                bool was_bound);

  std::string path_;
  std::unique_ptr<bss::Device> device_;
};

// Why a device cannot be used, for people.
std::string device_problem(const std::string& device_path, const Error& error);

}  // namespace fb
