// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "bss/device/device.h"
#include "bss/device/device_make.h"

// For tests of stores on devices: a device in a file of a simulated machine.

namespace fb::bss {

inline constexpr const char* kTestDevice = "/device";

// Made where there is none, or only what a crash has left of its making.
inline Task<Result<std::unique_ptr<Device>>> open_or_make_device(Env& env,
                                                                 uint64_t size_bytes = kDeviceBytesMin) {
  auto opened = co_await Device::open(env, {.path = kTestDevice});
  const bool missing =
      !opened && (opened.error().is(DeviceError::not_formatted) || opened.error().is(DeviceError::failed));
  if (!missing) co_return opened;
  std::string message;
  const auto made =
      co_await make_device(env, {.path = kTestDevice, .size_bytes = size_bytes, .force = true}, message);
  if (!made) co_return made.error();
  co_return co_await Device::open(env, {.path = kTestDevice});
}

}  // namespace fb::bss
