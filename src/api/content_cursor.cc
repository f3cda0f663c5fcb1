// SPDX-License-Identifier: Apache-2.0
#include "api/content_cursor.h"

#include <algorithm>

namespace fb::api {

ContentCursor::ContentCursor(const ObjectRecord& record, uint64_t offset, uint64_t length)
    : record_(record), offset_in_locator_(offset), remaining_(length) {
  while (locator_index_ < record_.parts.size() &&
         offset_in_locator_ >= locator(locator_index_).length_bytes) {
    offset_in_locator_ -= locator(locator_index_).length_bytes;
    ++locator_index_;
  }
  given_ = locator_index_;
}

const Locator& ContentCursor::locator(size_t index) const {
  return record_.parts.empty() ? record_.content : record_.parts[index].content;
}

std::optional<ContentPiece> ContentCursor::next(uint64_t length_max) {
  const size_t count = record_.parts.empty() ? 1 : record_.parts.size();
  while (remaining_ > 0 && locator_index_ < count) {
    const Locator& content = locator(locator_index_);
    if (offset_in_locator_ >= content.length_bytes) {
      offset_in_locator_ = 0;
      ++locator_index_;
      continue;
    }
    const uint64_t block_bytes = uint64_t{1} << content.block_size_log2;
    const uint64_t in_locator = std::min(remaining_, content.length_bytes - offset_in_locator_);
    ContentPiece piece;
    if (content.kind == Locator::Kind::inline_bytes) {
      piece.inline_data = content.inline_data.substr(offset_in_locator_, in_locator);
      piece.length = static_cast<uint32_t>(piece.inline_data.size());
    } else {
      if (content.kind == Locator::Kind::cloud) {
        piece.cloud = &content;
        piece.cloud_rest = in_locator;
      }
      piece.key = {content.blob, static_cast<uint32_t>(offset_in_locator_ / block_bytes)};
      piece.offset = static_cast<uint32_t>(offset_in_locator_ % block_bytes);
      piece.length = static_cast<uint32_t>(std::min({in_locator, block_bytes - piece.offset, length_max}));
    }
    given_ = locator_index_;
    offset_in_locator_ += piece.length;
    remaining_ -= piece.length;
    return piece;
  }
  return std::nullopt;
}

void ContentCursor::name_blobs(std::vector<BlobId>& out) const {
  const auto add = [](void* context, const BlobId& id, uint32_t) {
    static_cast<std::vector<BlobId>*>(context)->push_back(id);
  };
  const size_t count = record_.parts.empty() ? 1 : record_.parts.size();
  uint64_t ahead = remaining_ + offset_in_locator_;
  for (size_t i = given_; i < count; ++i) {
    const Locator& content = locator(i);
    visit_locator(content, add, &out);
    if (i < locator_index_) continue;
    if (content.length_bytes >= ahead) break;
    ahead -= content.length_bytes;
  }
}

}  // namespace fb::api
