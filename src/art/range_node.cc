// SPDX-License-Identifier: Apache-2.0
#include "art/range_node.h"

#include "base/assert.h"

namespace fb::art::range_node {

void store(std::byte* node, uint32_t count, uint32_t i, const Entry& entry) {
  store8(node + kFirst + i, entry.first);
  store8(node + bound_at(count, i), entry.bound);
  store8(node + flags_at(count, i), entry.flags);
  store64(node + word_at(count, i), entry.word);
}

Entry unpack(std::string_view packed, uint32_t i) {
  FB_ASSERT((i + 1) * kEntryBytes <= packed.size(), i, packed.size());
  const auto* at = reinterpret_cast<const std::byte*>(packed.data()) + i * kEntryBytes;
  return {load8(at), load8(at + 1), load8(at + 2), load64(at + 3)};
}

void pack(std::string& out, const Entry& entry) {
  std::byte bytes[kEntryBytes];
  store8(bytes, entry.first);
  store8(bytes + 1, entry.bound);
  store8(bytes + 2, entry.flags);
  store64(bytes + 3, entry.word);
  out.append(reinterpret_cast<const char*>(bytes), sizeof(bytes));
}

}  // namespace fb::art::range_node
