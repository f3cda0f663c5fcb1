// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "bss/device/device_format.h"
#include "io/env.h"

namespace fb::bss {

// Making a device of FractalBits out of a block device or file. What a crash leaves at any moment is what was
// there before, nothing that opens as a device, or the new one.

struct DeviceMakeOptions {
  std::string path;
  uint64_t size_bytes = 0;  // of a file to be made; 0: what is there is taken as it is
  bool force = false;       // also where something is on it, but not where it is mounted or opened
  enum class Zero : uint8_t {
    as_needed,  // of a file everything, since a file system is slow with blocks not yet written; of a block
                // device nothing
    everything,
    nothing,
  } zero = Zero::as_needed;
  // Bytes done of all that is to be written.
  std::function<void(uint64_t done, uint64_t total)> on_progress;
};

struct DeviceMade {
  DeviceSuperblock superblock;
  bool block_device = false;
  bool zeroed = false;
};

// `message` says for people what was wrong, or what stands there.
Task<Result<DeviceMade>> make_device(Env& env, const DeviceMakeOptions& options, std::string& message);

// What these first or last bytes of a device look like; empty where they are zeros. `offset`: of `bytes`.
std::string what_stands_there(std::span<const std::byte> bytes, uint64_t offset);

}  // namespace fb::bss
