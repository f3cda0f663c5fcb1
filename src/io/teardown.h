// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace fb::detail {

// True on this thread while a simulated crash destroys a process's frames. They are destroyed in an order
// that never occurs in a running program, so their destructors must not touch other objects of the process:
// closing assertions and give-backs are skipped. Code that has an Env asks env.abandoned(), which says the
// same.
inline thread_local bool teardown_in_progress = false;

}  // namespace fb::detail
