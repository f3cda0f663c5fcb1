// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace fb::detail {

// True on this thread while a simulated crash destroys a process's frames. They go in an order that no
// running program shows, so what is destroyed then must not touch other objects of the process: closing
// assertions and give-backs are passed over. Where an Env is at hand, env.abandoned() says the same.
inline thread_local bool teardown_in_progress = false;

}  // namespace fb::detail
