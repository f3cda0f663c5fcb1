// SPDX-License-Identifier: Apache-2.0
#include "cli/server_command.h"

int main(int argc, char** argv) { return fb::run_program(argc, argv); }
