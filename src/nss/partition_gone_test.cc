// SPDX-License-Identifier: Apache-2.0
// A page that was looked for and is not in the store has left its tree meanwhile, or is lost; which of the
// two, the tree knows.
#include "nss/nss_test_world.h"

#include <gtest/gtest.h>

namespace fb {
namespace {

constexpr unsigned kKeys = 600;

std::string key_of(unsigned i) { return fmt::format("k/{:05}", i); }

Task<void> put_keys(Session& session) {
  const std::string record = inline_object(std::string(600, '.'));
  for (unsigned i = 0; i < kKeys; ++i) CO_CHECK_OK(co_await session.put(key_of(i), record));
}

TEST(PartitionGone, APageThatLeftItsTreeIsNotTakenForLost) {
  World world;
  FakeBlobs blobs;
  in_new_bucket(world, blobs, [](Session& session) -> Task<void> {
    co_await put_keys(session);
    CO_CHECK_OK(co_await session.partition->take_checkpoint(true));
    const uint64_t pages = session.partition->statistics().pages;
    for (unsigned i = 0; i + 1 < kKeys; ++i) CO_CHECK_OK(co_await session.erase(key_of(i)));
    CO_CHECK_OK(co_await session.partition->take_checkpoint(true));
    CO_CHECK(session.partition->statistics().pages + 20 < pages);
    BufferPort& port = *session.partition->ports(session.env).buffers;
    PageId gone;
    uint64_t left = 0;
    for (uint64_t id = 1; id < session.partition->buffers().next_page_id(); ++id) {
      const auto loaded = co_await port.load({}, {id}, Wanted::when_looked_for);
      if (loaded) continue;
      EXPECT_TRUE(loaded.error().is(PageError::not_found));
      gone = {id};
      ++left;
    }
    EXPECT_GT(left, 20U);
    EXPECT_EQ(session.partition->statistics().pages_damaged, 0U);
    EXPECT_TRUE((co_await port.load({}, gone, Wanted::certainly)).error().is(PageError::damaged));
    EXPECT_EQ(session.partition->statistics().pages_damaged, 1U);
    CO_CHECK_OK(co_await session.front->get({}, kBucket, Space::objects, key_of(kKeys - 1)));
  });
}

// The tree is asked twice, and no more: what it leads to still is lost.
TEST(PartitionGone, APageThatTheTreeStillNamesIsLost) {
  World world;
  FakeBlobs blobs;
  in_new_bucket(world, blobs, &put_keys);
  in_session(world, blobs, [](Session& session) -> Task<void> {
    // Of the newest pages, those that are on the disk; the root is an old one, and in memory.
    const uint64_t end = session.partition->buffers().next_page_id();
    const uint64_t epoch = session.partition->journal_buffer().epoch();
    uint64_t erased = 0;
    for (uint64_t id = end - std::min<uint64_t>(end - 1, 40); id < end; ++id) {
      PageClient::Erase erase{.id = {id}, .version = {.epoch = UINT32_MAX, .position = 0}, .result = {}};
      erased += (co_await session.engine.stores->pages().erase_pages({}, epoch, {&erase, 1})).has_value();
    }
    CO_CHECK(erased > 0);
    uint64_t damaged = 0;
    for (unsigned i = 0; i < kKeys; ++i) {
      const auto found = co_await session.front->get({}, kBucket, Space::objects, key_of(i));
      if (found) continue;
      EXPECT_TRUE(found.error().is(NamespaceError::damaged)) << found.error().to_string();
      ++damaged;
    }
    EXPECT_GT(damaged, 0U);
    EXPECT_GT(session.partition->statistics().pages_damaged, 0U);
  });
}

}  // namespace
}  // namespace fb
