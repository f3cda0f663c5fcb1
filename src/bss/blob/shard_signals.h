// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "io/sync.h"

namespace fb::bss {

// The signals that wake the workers of one shard. A worker waits for its own signal and looks at its
// condition again after it; the parts of the shard give a signal when they may have changed that condition.
struct ShardSignals {
  explicit ShardSignals(Env& env)
      : work(env), prepare(env), zero(env), compact(env), checkpoint(env), wipe(env), expire(env) {}

  void notify_all() {
    for (Notification* each : {&work, &prepare, &zero, &compact, &checkpoint, &wipe, &expire})
      each->notify_all();
  }

  Notification work;        // a batch can go out
  Notification prepare;     // a segment is needed, or one that waits for space can be helped or refused
  Notification zero;        // zeros are needed ahead of an end
  Notification compact;     // a segment may have become worth compacting
  Notification checkpoint;  // enough was written since the last one
  Notification wipe;        // a batch is in doubt
  Notification expire;      // puts wait, and may have to for long
};

}  // namespace fb::bss
