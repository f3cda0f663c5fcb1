// SPDX-License-Identifier: Apache-2.0
#include "server/descriptors.h"

#include <algorithm>

#include "http/limits.h"

namespace fb {
namespace {

constexpr uint64_t kStoreFilesMin = 64;
constexpr uint64_t kStoreFilesMax = 4096;
constexpr uint64_t kOwn = 64;  // rings, events, listeners, the log, the lock
constexpr uint64_t kOwnOfCore = 8;
constexpr uint64_t kTierOfCore = 128;  // connections to a cloud bucket, in use and idle
constexpr uint64_t kConnectionsMin = 16;

}  // namespace

size_t connections_of_core(const ServerSettings& settings) {
  const uint64_t most = HttpLimits().connections;
  const uint64_t files = settings.open_files_max;
  if (files == 0) return most;
  const uint64_t store = std::clamp(files / 4, kStoreFilesMin, kStoreFilesMax);
  const uint64_t of_core = kOwnOfCore + (settings.tier.options.bucket.empty() ? 0 : kTierOfCore);
  const uint64_t others = store + kOwn + kManagementConnections + of_core * settings.threads;
  const uint64_t left = files - std::min(files, others);
  return std::clamp(left / settings.threads, kConnectionsMin, most);
}

}  // namespace fb
