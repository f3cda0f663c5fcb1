// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace fb {

// `fractalbits` and its sub-commands. The exit status: 0 done, 1 failed (the reason is on standard error), 2
// the command line or configuration is wrong; a command may have more.
int run_program(int argc, char** argv);

}  // namespace fb
