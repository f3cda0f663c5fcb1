// SPDX-License-Identifier: Apache-2.0
#include "nss/garbage.h"

#include <algorithm>

#include "client/record.h"

namespace fb {

void sort_unique(std::vector<Garbage>& items) {
  if (items.size() < 2) return;
  std::ranges::sort(items);
  const auto rest = std::ranges::unique(items, {}, &Garbage::id);
  items.erase(rest.begin(), rest.end());
}

bool contains(const std::vector<Garbage>& sorted, const BlobId& id) {
  const auto found = std::ranges::lower_bound(sorted, id, {}, &Garbage::id);
  return found != sorted.end() && found->id == id;
}

bool collect_blobs(std::string_view record, std::vector<Garbage>& out) {
  const auto add = [](void* context, const BlobId& id, uint32_t block_count) {
    static_cast<std::vector<Garbage>*>(context)->push_back({id, block_count});
  };
  return for_each_blob(record, add, &out).has_value();
}

}  // namespace fb
