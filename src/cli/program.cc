// SPDX-License-Identifier: Apache-2.0
#include "cli/program.h"

#include <fmt/format.h>

#include "base/version.h"
#include "cli/command_line.h"
#include "cli/df_command.h"
#include "cli/dump_command.h"
#include "cli/format_command.h"
#include "cli/fsck_command.h"
#include "cli/mv_command.h"
#include "cli/server_command.h"
#include "cli/tier_map_command.h"

namespace fb {
namespace {

constexpr std::string_view kAbout =
    "FractalBits: an S3-compatible object store for small objects at very high rates.\n"
    "Run `fractalbits server` to start one on this machine; `fractalbits server --help` explains its "
    "settings.\n`fractalbits mv` renames objects and whole directories.";

}  // namespace

int run_program(int argc, char** argv) {
  CommandLine line(kAbout, fmt::format("fractalbits {}", kVersion));
  add_server_command(line);
  add_mv_command(line);
  add_fsck_command(line);
  add_df_command(line);
  add_dump_command(line);
  add_format_command(line);
  add_tier_map_command(line);
  return line.run(argc, argv);
}

}  // namespace fb
