// SPDX-License-Identifier: Apache-2.0
#include "server/descriptors.h"

#include <gtest/gtest.h>

namespace fb {
namespace {

ServerSettings with(uint64_t files, unsigned threads) {
  ServerSettings settings;
  settings.open_files_max = files;
  settings.threads = threads;
  return settings;
}

TEST(Descriptors, ConnectionsLeaveRoomForTheStore) {
  for (const uint64_t files : {300u, 1024u, 4096u, 20'000u, 1'048'576u}) {
    for (const unsigned threads : {1u, 2u, 4u}) {
      const uint64_t connections = connections_of_core(with(files, threads)) * threads;
      EXPECT_LE(connections + std::min<uint64_t>(files / 4, 4096) + kManagementConnections + 64, files)
          << files << " " << threads;
    }
  }
}

TEST(Descriptors, ManyConnectionsWhereThereAreMany) {
  EXPECT_GE(connections_of_core(with(20'000, 1)), 10'000u);
  EXPECT_EQ(connections_of_core(with(1'048'576, 2)), 16'384u);
  EXPECT_EQ(connections_of_core(with(0, 2)), 16'384u);
  EXPECT_EQ(connections_of_core(with(64, 1)), 16u);
  ServerSettings tier = with(4096, 2);
  const size_t without = connections_of_core(tier);
  tier.tier.options.bucket = "bucket";
  EXPECT_EQ(connections_of_core(tier), without - 128);
}

}  // namespace
}  // namespace fb
