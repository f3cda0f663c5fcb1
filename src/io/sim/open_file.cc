// SPDX-License-Identifier: Apache-2.0
#include "io/sim/open_file.h"

namespace fb::sim {

bool OpenFile::lock(Lock wanted) {
  unlock();
  SimFile::Locks& locks = file->locks;
  if (locks.exclusive || (wanted == Lock::exclusive && locks.shared > 0)) return false;
  lock_ = wanted;
  if (wanted == Lock::exclusive) locks.exclusive = true;
  if (wanted == Lock::shared) ++locks.shared;
  return true;
}

void OpenFile::unlock() {
  if (lock_ == Lock::exclusive) file->locks.exclusive = false;
  if (lock_ == Lock::shared) --file->locks.shared;
  lock_ = Lock::none;
}

}  // namespace fb::sim
