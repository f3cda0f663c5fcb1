// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include <gtest/gtest.h>

#include "base/assert.h"

namespace fb::sim {
namespace {

const ValuePtr kOne = Value::make(1, 10);
const ValuePtr kTwo = Value::make(2, 10);

std::set<ValuePtr> allowed(KeyModel& key) { return KeyModel::Observation(key).allowed(); }

void write(KeyModel& key, const ValuePtr& value) {
  key.write_begins(value);
  key.write_acknowledged();
}

TEST(Model, AcknowledgedIsCertain) {
  KeyModel key;
  EXPECT_EQ(key.certain(), nullptr);
  write(key, kOne);
  EXPECT_EQ(allowed(key), std::set{kOne});
  key.process_died();
  EXPECT_EQ(allowed(key), std::set{kOne});
}

TEST(Model, ReadDuringAWriteMayGiveEither) {
  KeyModel key;
  write(key, kOne);
  KeyModel::Observation before(key);
  key.write_begins(kTwo);
  KeyModel::Observation during(key);
  key.write_acknowledged();
  EXPECT_EQ(before.allowed(), (std::set{kOne, kTwo}));
  EXPECT_EQ(during.allowed(), (std::set{kOne, kTwo}));
  before.saw(kOne);  // it ran before the write
  EXPECT_EQ(allowed(key), std::set{kTwo});
}

TEST(Model, SeenIsNotTakenBack) {
  KeyModel key;
  write(key, kOne);
  key.write_begins(kTwo);
  {
    KeyModel::Observation seen(key);
    seen.saw(kTwo);
  }
  key.process_died();
  key.write_unknown(false);
  EXPECT_EQ(allowed(key), std::set{kTwo});
}

TEST(Model, UnansweredWriteMayHappenLateWhileItsProcessLives) {
  KeyModel key;
  key.write_begins(kOne);
  key.write_unknown(true);
  write(key, kTwo);
  EXPECT_EQ(allowed(key), (std::set{kOne, kTwo}));
  EXPECT_EQ(key.certain(), std::nullopt);
  {
    KeyModel::Observation seen(key);
    seen.saw(kTwo);
  }
  EXPECT_EQ(allowed(key), (std::set{kOne, kTwo}));
  key.process_died();
  {
    KeyModel::Observation seen(key);
    seen.saw(kTwo);
  }
  EXPECT_EQ(allowed(key), std::set{kTwo});
}

TEST(Model, UnansweredWriteThatWasSeenHappensOnce) {
  KeyModel key;
  key.write_begins(kOne);
  key.write_unknown(true);
  {
    KeyModel::Observation seen(key);
    seen.saw(kOne);
  }
  write(key, kTwo);
  EXPECT_EQ(allowed(key), std::set{kTwo});
}

TEST(Model, RefusedWriteHasNoEffect) {
  KeyModel key;
  write(key, kOne);
  key.write_begins(nullptr);
  key.write_refused();
  EXPECT_EQ(allowed(key), std::set{kOne});
}

TEST(Model, DeletionMayBeLateToo) {
  KeyModel key;
  write(key, kOne);
  key.write_begins(nullptr);
  key.write_unknown(true);
  write(key, kTwo);
  KeyModel::Observation seen(key);
  EXPECT_TRUE(seen.may_be_absent());
  EXPECT_FALSE(seen.must_be_absent());
}

TEST(Model, OverlappingReadsDoNotContradict) {
  KeyModel key;
  write(key, kOne);
  key.write_begins(kTwo);
  KeyModel::Observation slow(key);
  {
    KeyModel::Observation quick(key);
    quick.saw(kTwo);
  }
  slow.saw(kOne);  // it began earlier
  EXPECT_EQ(allowed(key), std::set{kTwo});
}

TEST(Model, ContentsAreWhatTheyWere) {
  EXPECT_EQ(kOne->content(), Value::make(1, 10)->content());
  EXPECT_NE(kOne->content(), kTwo->content());
  const ValuePtr multipart = Value::make_multipart(7, {100, 20});
  EXPECT_EQ(multipart->size(), 120);
  EXPECT_TRUE(multipart->etag.ends_with("-2"));
}

}  // namespace
}  // namespace fb::sim
