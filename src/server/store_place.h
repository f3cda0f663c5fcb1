// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "base/config.h"
#include "bss/device/device.h"
#include "server/data_directory.h"

namespace fb {

// The place of the engines' files: the store's data directory, or a device. Both sides name each other, in
// DIR/DEVICE and on the device, so that neither is ever used with another.
class StorePlace {
 public:
  // Called on core 0. `device_path` empty: the directory. Messages are for people, and say what to do.
  static Task<ConfigResult<StorePlace>> open(Env& env, const DataDirectory& directory,
                                             const std::string& device_path);
  // attach() is called on each core before it opens files there, detach() after it has closed them.
  Task<ConfigResult<void>> attach(Env& env);
  Task<void> detach(Env& env);
  // Called on core 0, after all others have detached.
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

// The reason, for people, why a device cannot be used.
std::string device_problem(const std::string& device_path, const Error& error);

}  // namespace fb
