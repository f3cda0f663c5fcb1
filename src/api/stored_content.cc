// SPDX-License-Identifier: Apache-2.0
#include "api/stored_content.h"

#include <algorithm>

namespace fb::api {

StoredContent::~StoredContent() { discard(); }

void StoredContent::discard() {
  if (services_.env.abandoned()) return;
  if (locator_.kind == Locator::Kind::cloud) {
    services_.writer().discard(locator_.blob, 1);
    if (locator_.sums.empty()) services_.writer().discard(locator_.sums_blob, 1);
  }
  if (locator_.kind != Locator::Kind::blob) return;
  services_.writer().discard(locator_.blob, std::max(1u, locator_.block_count()));
}

}  // namespace fb::api
