// SPDX-License-Identifier: Apache-2.0
#include "art/page_op.h"

#include <fmt/format.h>

#include <vector>

#include "art/page_check.h"
#include "base/byte_codec.h"

namespace fb::art {

namespace {

using Kind = PageOp::Kind;

bool has_link(Kind kind) {
  return kind == Kind::put_link || kind == Kind::replace_by_link || kind == Kind::insert_interval;
}
bool has_byte(Kind kind) {
  return kind == Kind::set_bound || kind == Kind::erase_link || kind == Kind::insert_interval ||
         kind == Kind::move_interval;
}
bool names_interval(Kind kind) { return kind == Kind::insert_interval || kind == Kind::move_interval; }
bool has_bound(Kind kind) { return has_link(kind) || kind == Kind::set_bound; }
bool has_value(Kind kind) { return kind == Kind::set_value || kind == Kind::make_range; }
bool has_body(Kind kind) {
  return kind == Kind::make_range || kind == Kind::graft || kind == Kind::graft_root || kind == Kind::image;
}

// A page rebuilt from the body of an operation.
class ImagePage {
 public:
  ImagePage(std::string_view body, uint32_t page_bytes) {
    if (body.size() < kHeaderBytes || body.size() > page_bytes) return;
    bytes_.resize(page_bytes);
    std::memcpy(bytes_.data(), body.data(), body.size());
    ok_ = verify_page(view()).empty() && view().header().heap_end == body.size();
    if (!ok_) return;
    for_each_link(view(),
                  [&](const FoundLink& link) { ok_ = ok_ && link.word.word() <= LinkWord::kPageIdMax; });
  }
  bool ok() const { return ok_; }
  PageView view() const { return {bytes_.data(), static_cast<uint32_t>(bytes_.size())}; }

 private:
  std::vector<std::byte> bytes_;
  bool ok_ = false;
};

bool interval_ids_ok(std::string_view packed) {
  if (packed.size() % range_node::kEntryBytes != 0) return false;
  for (uint32_t i = 0; i < packed.size() / range_node::kEntryBytes; ++i) {
    if (range_node::unpack(packed, i).word > LinkWord::kPageIdMax) return false;
  }
  return true;
}

}  // namespace

// kind            behind the path
// set_value       value flags (1), value (varint length, bytes)
// put_link        page (varint), bound (1), flags (1); replace_by_link the same
// set_bound       byte + 1 or 0 (2), bound (1), flags (1)
// erase_link      byte + 1 or 0 (2)
// make_range      1 and value flags (1) and value, or 0; intervals (varint length, 11 bytes each)
// insert_interval page, bound, flags, byte + 1 (2)
// keep_children   first (1), last (1)
// move_interval   byte + 1 (2), first (1)
// graft, graft_root, image: a page up to its heap's end (varint length, bytes)
void PageOp::encode(std::string& out) const {
  ByteWriter writer(out);
  writer.u8(static_cast<uint8_t>(kind));
  writer.sized(path);
  if (kind == Kind::make_range) writer.u8(value_given ? 1 : 0);
  if (has_value(kind) && (value_given || kind == Kind::set_value)) {
    writer.u8(value_flags);
    writer.sized(value);
  }
  if (has_link(kind)) writer.varint(page.value);
  if (has_bound(kind)) {
    writer.u8(bound);
    writer.u8(link_flags);
  }
  if (has_byte(kind)) writer.u16(static_cast<uint16_t>(byte + 1));
  if (kind == Kind::keep_children) {
    writer.u8(first);
    writer.u8(last);
  }
  if (kind == Kind::move_interval) writer.u8(first);
  if (kind == Kind::compact) writer.u8(0);
  if (has_body(kind)) writer.sized(body);
}

size_t PageOp::encoded_value_bytes() const {
  FB_ASSERT(kind == Kind::set_value || kind == Kind::erase_value, static_cast<int>(kind));
  const size_t name = 1 + varint_size(path.size()) + path.size();
  return kind == Kind::erase_value ? name : name + 1 + varint_size(value.size()) + value.size();
}

Result<PageOp> PageOp::parse(std::string_view& bytes) {
  ByteReader reader(bytes);
  PageOp op;
  const uint8_t kind = reader.u8();
  if (kind < static_cast<uint8_t>(Kind::set_value) || kind > static_cast<uint8_t>(Kind::move_interval)) {
    return OpError::malformed;
  }
  op.kind = static_cast<Kind>(kind);
  op.path = reader.sized();
  op.value_given = op.kind == Kind::set_value;
  if (op.kind == Kind::make_range) {
    const uint8_t given = reader.u8();
    if (given > 1) return OpError::malformed;
    op.value_given = given == 1;
  }
  if (op.value_given) {
    op.value_flags = reader.u8();
    op.value = reader.sized();
  }
  if (has_link(op.kind)) op.page.value = reader.varint();
  if (has_bound(op.kind)) {
    op.bound = reader.u8();
    op.link_flags = reader.u8();
  }
  if (has_byte(op.kind)) op.byte = static_cast<int>(reader.u16()) - 1;
  if (op.kind == Kind::keep_children) {
    op.first = reader.u8();
    op.last = reader.u8();
  }
  if (op.kind == Kind::move_interval) op.first = reader.u8();
  if (op.kind == Kind::compact && reader.u8() != 0) return OpError::malformed;
  if (has_body(op.kind)) op.body = reader.sized();
  if (!reader.ok() || op.byte > 255 || op.page.value > LinkWord::kPageIdMax || op.first > op.last ||
      op.path.size() > kKeyBytesMax || (names_interval(op.kind) && op.byte == kNoByte)) {
    return OpError::malformed;
  }
  bytes.remove_prefix(bytes.size() - reader.remaining());
  return op;
}

std::string PageOp::to_string() const {
  static constexpr const char* kNames[] = {
      "?",          "set_value",     "erase_value", "put_link",        "replace_by_link", "set_bound",
      "erase_link", "erase_subtree", "make_range",  "insert_interval", "keep_children",   "graft",
      "graft_root", "image",         "compact",     "move_interval"};
  std::string out = fmt::format("{} \"{}\"", kNames[static_cast<uint8_t>(kind)], printable(path));
  if (has_value(kind)) out += fmt::format(" value {} bytes, flags {}", value.size(), value_flags);
  if (has_link(kind)) out += fmt::format(" page {}", page.value);
  if (has_bound(kind)) out += fmt::format(" bound {} flags {:#x}", bound, link_flags);
  if (has_byte(kind)) out += fmt::format(" byte {}", byte);
  if (kind == Kind::keep_children) out += fmt::format(" {} to {}", first, last);
  if (has_body(kind)) out += fmt::format(" body {} bytes", body.size());
  return out;
}

std::string_view image_body(const PageView& page) { return as_text(page.bytes(), page.header().heap_end); }

Result<void> apply(PageEditor page, const PageOp& op) {
  const PageEditor::Link link{LinkWord::of(op.page), op.bound, op.link_flags};
  switch (op.kind) {
    case Kind::set_value:
      return page.set_value(op.path, op.value_flags, op.value);
    case Kind::erase_value:
      return page.erase_value(op.path);
    case Kind::put_link:
      return page.put_link(op.path, link);
    case Kind::replace_by_link:
      return page.replace_by_link(op.path, link);
    case Kind::set_bound:
      return page.set_bound(op.path, op.byte, op.bound, op.link_flags);
    case Kind::erase_link:
      return page.erase_link(op.path, op.byte);
    case Kind::erase_subtree:
      return page.erase_subtree(op.path);
    case Kind::make_range:
      if (!interval_ids_ok(op.body)) return OpError::malformed;
      return page.make_range(op.path, {op.value_given, op.value_flags, op.value}, op.body);
    case Kind::insert_interval:
      return page.insert_interval(op.path,
                                  {static_cast<uint8_t>(op.byte), op.bound, op.link_flags, op.page.value});
    case Kind::keep_children:
      return page.keep_children(op.first, op.last);
    case Kind::move_interval:
      return page.move_interval(op.path, static_cast<uint8_t>(op.byte), op.first);
    case Kind::compact:
      return page.compact(true);
    case Kind::graft:
    case Kind::graft_root:
    case Kind::image:
      break;
  }
  const ImagePage image(op.body, page.view().page_bytes());
  if (!image.ok()) return OpError::malformed;
  if (op.kind == Kind::graft) return page.graft(op.path, image.view());
  if (op.kind == Kind::graft_root) return page.graft_root(image.view());
  return page.set_image(image.view());
}

void begin_change(std::string& out) { out.push_back(static_cast<char>(kChangeVersion)); }

void begin_page_change(std::string& out, PageId page, size_t operations_bytes) {
  begin_change(out);
  ByteWriter writer(out);
  writer.varint(page.value);
  writer.u8(static_cast<uint8_t>(ChangePage::Action::change));
  writer.varint(operations_bytes);
}

void append_change(std::string& out, const ChangePage& page) {
  ByteWriter writer(out);
  writer.varint(page.page.value);
  writer.u8(static_cast<uint8_t>(page.action));
  writer.sized(page.operations);
}

ChangeReader::ChangeReader(std::string_view bytes) : bytes_(bytes) {
  ok_ = !bytes_.empty() && static_cast<uint8_t>(bytes_[0]) == kChangeVersion;
  if (ok_) bytes_.remove_prefix(1);
}

bool ChangeReader::next(ChangePage& page) {
  if (!ok_ || bytes_.empty()) return false;
  ByteReader reader(bytes_);
  page.page.value = reader.varint();
  const uint8_t action = reader.u8();
  page.operations = reader.sized();
  page.action = static_cast<ChangePage::Action>(action);
  ok_ = reader.ok() && action >= 1 && action <= 3 && page.page.value != 0 &&
        page.page.value <= LinkWord::kPageIdMax;
  if (ok_) bytes_.remove_prefix(bytes_.size() - reader.remaining());
  return ok_;
}

Result<void> redo(PageEditor page, const ChangePage& change, Lsn lsn) {
  if (change.action == ChangePage::Action::create && page.header().magic == 0) page.format(change.page);
  if (page.header().page_id != change.page.value) return OpError::damaged;
  if (page.view().lsn() >= lsn) return {};
  std::string_view rest = change.operations;
  while (!rest.empty()) {
    FB_TRY(const PageOp op, PageOp::parse(rest));
    FB_CHECK(apply(page, op));
  }
  page.header().lsn_epoch = lsn.epoch;
  page.header().lsn_position = lsn.position;
  return {};
}

}  // namespace fb::art
