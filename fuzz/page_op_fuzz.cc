// SPDX-License-Identifier: Apache-2.0
#include "art/page_check.h"
#include "art/page_op.h"
#include "base/assert.h"

#include <vector>

// The input is a sequence of operations. Whatever they say, each ends in an error and the page as it was, or
// in a sound page; and what was parsed encodes to the same bytes.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fb::art;
  constexpr uint32_t kPageBytes = 1024;
  std::vector<std::byte> bytes(kPageBytes);
  PageEditor page(bytes.data(), kPageBytes);
  page.format({1});
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  for (uint32_t i = 0; i < 64 && !rest.empty(); ++i) {
    const std::string_view before = rest;
    const auto op = PageOp::parse(rest);
    if (!op) break;
    std::string encoded;
    op->encode(encoded);
    FB_ASSERT(encoded == before.substr(0, encoded.size()));
    const std::vector<std::byte> old = bytes;
    if (!apply(page, *op)) FB_ASSERT(old == bytes);
    const std::string wrong = verify_page(page.view());
    FB_ASSERT(wrong.empty(), wrong, op->to_string());
  }
  (void)page_to_string(page.view());
  ChangeReader reader({reinterpret_cast<const char*>(data), size});
  for (ChangePage change; reader.next(change);) (void)redo(page, change, {1, 1});
  return 0;
}
