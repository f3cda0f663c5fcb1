// SPDX-License-Identifier: Apache-2.0
#include "art/latch.h"

#include <gtest/gtest.h>

#include "art/rename_gate.h"

namespace fb::art {
namespace {

TEST(VersionLatch, ReadersNoticeWriters) {
  VersionLatch latch;
  OptimisticRead read(latch);
  ASSERT_TRUE(read.started());
  EXPECT_TRUE(read.valid());
  const uint64_t version = read.version();
  read.end();
  ASSERT_TRUE(latch.try_upgrade(version));
  EXPECT_FALSE(latch.try_exclusive());
  EXPECT_FALSE(OptimisticRead(latch).started());
  EXPECT_FALSE(latch.validate(version));
  latch.release(false);
  EXPECT_TRUE(latch.validate(version));
  ASSERT_TRUE(latch.try_exclusive());
  latch.release(true);
  EXPECT_FALSE(latch.validate(version));
  EXPECT_FALSE(latch.try_upgrade(version));
}

TEST(RenameGate, KeepsWritersOutWhileClosed) {
  RenameGate gate(2);
  const uint64_t noted = gate.note();
  ASSERT_TRUE(gate.enter(1, noted));
  ASSERT_TRUE(gate.try_close(noted));
  EXPECT_TRUE(RenameGate::is_closed(gate.note()));
  EXPECT_FALSE(gate.enter(0, noted));
  EXPECT_FALSE(gate.try_close(noted));
  uint32_t waited = 0;
  gate.wait_for_writers([&] {
    if (++waited == 3) gate.leave(1);
  });
  EXPECT_EQ(waited, 3u);
  gate.open({2, 7});
  EXPECT_FALSE(gate.unchanged(noted));
  EXPECT_EQ(gate.last_rename(), (Lsn{2, 7}));
  EXPECT_TRUE(gate.enter(0, gate.note()));
  gate.leave(0);
}

}  // namespace
}  // namespace fb::art
