// SPDX-License-Identifier: Apache-2.0
#include "nss/snapshot_file.h"

#include "nss/nss_test_world.h"

namespace fb {
namespace {

constexpr StoreId kStore{5};
const std::string kPath = "/s";

Task<Result<void>> write_one(Env& env) {
  SnapshotWriter writer(env, kPath, kStore, 3);
  FB_CO_CHECK(co_await writer.open());
  writer.add_tree(kBucket);
  for (const char* key : {"a", "b"}) {
    Entry* entry = Entry::make({Space::objects, key}, {7}, inline_object(key));
    writer.add_entry(*entry);
    Entry::free(entry);
  }
  FB_CO_CHECK(co_await writer.flush());
  writer.add_garbage({{.shard = 1, .incarnation = {2}, .number = 3}, 4});
  const Result<void> finished = co_await writer.finish(5, 6);
  co_await writer.close();
  co_return finished;
}

SnapshotVisitor counting(uint64_t& items) {
  return {.tree = [&](BucketId) { ++items; },
          .entry = [&](TreeKey, Version, std::string_view) { ++items; },
          .garbage = [&](const Garbage&) { ++items; }};
}

TEST(SnapshotFile, AFlippedBitInAnyByteIsRefusedWithFileAndOffset) {
  World world;
  world.run([&](Env& env) -> Task<void> {
    CO_CHECK_OK(co_await write_one(env));
    uint64_t items = 0;
    const auto whole = co_await read_snapshot(env, kPath, kStore, counting(items));
    CO_CHECK_OK(whole);
    EXPECT_EQ(items, 4u);
    EXPECT_EQ(whole->epoch, 6u);
    auto file = co_await File::open(env, kPath, {.write = true});
    CO_CHECK_OK(file);
    const auto stat = co_await file->stat();
    CO_CHECK_OK(stat);
    EXPECT_EQ(stat->size_bytes, 2 * kDirectIoAlignment);
    for (uint64_t at = 0; at < stat->size_bytes; ++at) {
      std::byte original{};
      CO_CHECK_OK(co_await file->read_exactly({&original, 1}, at));
      const std::byte flipped = original ^ std::byte(1 << (at * 5 % 8));
      CO_CHECK_OK(co_await file->write_all({&flipped, 1}, at));
      const auto read = co_await read_snapshot(env, kPath, kStore, counting(items));
      CO_CHECK(!read);
      const std::string& line = world.simulation.log().back();
      CO_CHECK(line.find(kPath) != std::string::npos);
      CO_CHECK(line.find("offset") != std::string::npos);
      CO_CHECK_OK(co_await file->write_all({&original, 1}, at));
    }
    CO_CHECK_OK(co_await file->truncate(kDirectIoAlignment));
    CO_CHECK(!co_await read_snapshot(env, kPath, kStore, counting(items)));
    CO_CHECK_OK(co_await file->close());
  });
}

TEST(SnapshotFile, ReservedSpaceTakesASnapshotOnAFullDisk) {
  World world;
  world.run([&](Env& env) -> Task<void> {
    CO_CHECK_OK(co_await write_one(env));
    CO_CHECK_OK(co_await reserve_snapshot_space(env, kPath, 2 * kDirectIoAlignment));
    world.node.disk().set_capacity(world.node.disk().used_bytes());
    CO_CHECK_OK(co_await write_one(env));
    EXPECT_FALSE(co_await reserve_snapshot_space(env, kPath, 64 * kDirectIoAlignment));
    uint64_t items = 0;
    CO_CHECK_OK(co_await read_snapshot(env, kPath, kStore, counting(items)));
    EXPECT_EQ(items, 4u);
  });
}

}  // namespace
}  // namespace fb
