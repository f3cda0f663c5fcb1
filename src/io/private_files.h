// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "base/config.h"

// Sets who may read and change the files of a store. For the start of a process on a real machine, before its
// cores run: the calls block, and the simulator has no owners and modes.
//
// New files and directories get 0600 and 0700 at their creation, whatever a caller or the umask says (file.cc
// and the environments), and a file that is created is never opened through a symbolic link.

namespace fb {

// From now on, all files that the process makes, those of libraries included, are for its own user only.
void make_new_files_private();

struct TightenedStore {
  uint64_t entries = 0;  // entries whose mode was too wide and has been narrowed
};
// Walks over the store in `path`. Refuses it if the directory or anything in it belongs to somebody else
// (entries of root are accepted: root makes volumes), or if there is a symbolic link in it: nothing here
// makes one, so somebody else wants a file of his choice written. Takes the rights of group and others away
// from entries that grant them. A directory that is missing, or holds anything but a store, is left as it is.
ConfigResult<TightenedStore> tighten_store(const std::string& path);

// Refuses a file with secrets whose mode has any bit of `forbidden`. Missing files pass.
ConfigResult<void> check_secret_file(const std::string& path, uint32_t forbidden);

}  // namespace fb
