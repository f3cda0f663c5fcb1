// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/mv_command.h"

namespace fb {

// `fractalbits df`: where the bytes of a store are, of a server that is stopped by its data directory, of one
// that runs by the metrics of its management port.

struct DfOptions {
  std::string data_dir;
  std::string device;    // that the store is on; empty: none
  std::string mgmt_url;  // empty: the data directory
  bool json = false;
};

// `message` is the table, or the JSON.
CommandOutcome run_df(const DfOptions& options);

}  // namespace fb
