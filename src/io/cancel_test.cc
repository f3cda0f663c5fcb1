// SPDX-License-Identifier: Apache-2.0
#include "io/cancel.h"

#include <gtest/gtest.h>

namespace fb {
namespace {

struct Counted : CancelCallback {
  Counted() : CancelCallback(&Counted::called) {}
  static void called(CancelCallback& callback) {
    auto& self = static_cast<Counted&>(callback);
    ++self.calls;
    if (self.takes_out != nullptr) self.takes_out->unregister();
  }
  int calls = 0;
  Counted* takes_out = nullptr;
};

TEST(CancelSource, CallsWhatIsRegisteredOnce) {
  CancelSource source;
  Counted first;
  Counted second;
  Counted gone;
  source.register_callback(first);
  source.register_callback(gone);
  source.register_callback(second);
  gone.unregister();
  EXPECT_FALSE(source.cancelled());
  source.cancel();
  source.cancel();
  EXPECT_TRUE(source.cancelled());
  EXPECT_EQ(first.calls, 1);
  EXPECT_EQ(second.calls, 1);
  EXPECT_EQ(gone.calls, 0);
}

TEST(CancelSource, ACallbackMayTakeAnotherOut) {
  CancelSource source;
  Counted victim;
  Counted killer;
  killer.takes_out = &victim;
  source.register_callback(victim);
  source.register_callback(killer);  // called first
  source.cancel();
  EXPECT_EQ(killer.calls, 1);
  EXPECT_EQ(victim.calls, 0);
}

TEST(CancelSource, ACallbackThatEndsTakesItselfOut) {
  CancelSource source;
  {
    Counted short_lived;
    source.register_callback(short_lived);
  }
  source.cancel();
}

}  // namespace
}  // namespace fb
