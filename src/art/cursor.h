// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "art/rename_gate.h"
#include "art/tree_path.h"

namespace fb::art {

// Walks over the keys of a tree in byte order while others change it. It holds no latch between calls: it
// remembers the versions of the pages it stands in, and if one has changed, it looks its key up again. Every
// key that exists during the whole walk is seen, and none twice. All keys seen between begin() and the end
// lie on one side of every rename. If a rename came between, the answer is Outcome::renamed, and the caller
// must drop the keys seen.
//
// Key and value are copies of the current ones; nothing else is held. One core; not valid across changes of
// the source.
template <PageSource Source>
class Cursor {
 public:
  Cursor(Source& source, const RenameGate& gate) : source_(source), gate_(gate) {}

  // Begins a listing.
  void begin() {
    for (noted_ = gate_.note(); RenameGate::is_closed(noted_); noted_ = gate_.note()) source_.pause();
    lsn_ = gate_.last_rename();
  }

  // The first key not below `key`. Outcome::absent: there is none. Outcome::missing: load the page, then
  // again().
  Answer seek(std::string_view key) {
    goal_.assign(key);
    return again();
  }
  // The first key behind the current one.
  Answer next() {
    goal_.assign(key());
    goal_.push_back('\0');
    return finish(advance());
  }
  // The first key behind all keys that share their first `prefix_bytes` bytes with the current key.
  Answer skip(uint32_t prefix_bytes) {
    FB_ASSERT(prefix_bytes <= key_bytes_, prefix_bytes, key_bytes_);
    goal_.assign(key().substr(0, prefix_bytes));
    while (!goal_.empty() && static_cast<uint8_t>(goal_.back()) == 0xff) goal_.pop_back();
    if (goal_.empty()) {
      levels_.clear();
      return finish(Move::end);
    }
    goal_.back() = static_cast<char>(static_cast<uint8_t>(goal_.back()) + 1);
    while (!levels_.empty() && levels_.back().key_bytes >= prefix_bytes) levels_.pop_back();
    return finish(advance());
  }
  // Repeats the last request.
  Answer again() { return finish(look_up()); }

  std::string_view key() const { return {key_.data(), key_bytes_}; }
  std::string_view value() const { return value_; }
  uint8_t value_flags() const { return value_flags_; }
  // The newest LSN of the pages read since begin().
  Lsn lsn() const { return lsn_; }

 private:
  enum class Move : uint8_t { found, on, end, restart, missing, damaged };
  // A node on the way to the current key, and the child to be looked at next: a byte, or the index of an
  // interval.
  struct Level {
    Frame* frame;
    uint64_t version;
    uint32_t offset;
    uint32_t key_bytes;  // the node's label included
    uint32_t next;
  };

  Answer finish(Move move) {
    while (move == Move::restart) {
      source_.pause();
      if (!gate_.unchanged(noted_)) break;
      move = look_up();
    }
    Answer answer{.page = page_, .lsn = lsn_};
    source_.point("art.cursor.gate");
    if (!gate_.unchanged(noted_)) {
      answer.outcome = Outcome::renamed;
    } else if (move == Move::missing) {
      answer.outcome = Outcome::missing;
    } else if (move == Move::damaged) {
      answer.outcome = Outcome::damaged;
    } else if (move == Move::end) {
      answer.outcome = Outcome::absent;
    }
    return answer;
  }

  bool append(std::string_view bytes) {
    if (key_bytes_ + bytes.size() > key_.size()) return false;
    if (!bytes.empty()) std::memcpy(key_.data() + key_bytes_, bytes.data(), bytes.size());
    key_bytes_ += static_cast<uint32_t>(bytes.size());
    return true;
  }
  bool append(uint8_t byte) {
    if (key_bytes_ == key_.size()) return false;
    key_[key_bytes_++] = static_cast<char>(byte);
    return true;
  }

  void take_value(const PageView& view, const Block& leaf) {
    value_.assign(leaf.value());
    value_flags_ = leaf.value_flags();
    lsn_ = std::max(lsn_, view.lsn());
  }

  // Goes from a page to the one behind a link; `read` is then a read of that page.
  Move follow_link(Frame*& frame, OptimisticRead& read, const LinkInfo& link) {
    if (!read.valid()) return Move::restart;
    if (levels_.size() > kPathPagesMax) return Move::damaged;
    Frame* child = nullptr;
    OptimisticRead below;
    const uint64_t before = read.version();
    const Found found = follow(source_, frame, read, link, child, below, page_);
    if (found == Found::missing) return Move::missing;
    if (found != Found::arrived) return Move::restart;
    // Swizzling the link has advanced the version.
    for (size_t i = levels_.size(); i-- > 0 && levels_[i].frame == frame && levels_[i].version == before;) {
      levels_[i].version = read.version();
    }
    frame = child;
    read = std::move(below);
    return Move::on;
  }

  // The first key at or beneath a block whose label, unless `in_key`, is still to be appended.
  Move enter(Frame* frame, OptimisticRead& read, uint32_t offset, bool in_key) {
    for (;;) {
      const PageView view(*frame);
      const Block block = view.block(offset);
      if (!block.ok() || (!in_key && !append(block.label()))) return bad(read);
      in_key = false;
      if (block.kind == BlockKind::leaf) {
        take_value(view, block);
        return read.valid() ? Move::found : Move::restart;
      }
      if (block.kind == BlockKind::link) {
        const LinkInfo link{block.link(), offset + kLinkWord, 0, 0};
        if (const Move move = follow_link(frame, read, link); move != Move::on) return move;
        offset = PageView(*frame).root();
        continue;
      }
      if (!block.node()) return bad(read);
      levels_.push_back({frame, read.version(), offset, key_bytes_, 0});
      const Block value = block.value_offset() != 0 ? view.block(block.value_offset()) : Block{};
      if (value.kind == BlockKind::leaf) take_value(view, value);
      source_.point("art.cursor.taken");
      lsn_ = std::max(lsn_, view.lsn());
      if (!read.valid()) return Move::restart;
      return value.kind == BlockKind::leaf ? Move::found : Move::on;
    }
  }
  Move bad(const OptimisticRead& read) const { return read.valid() ? Move::damaged : Move::restart; }

  // Goes on from the position in `levels_`.
  Move advance() {
    while (!levels_.empty()) {
      Level& top = levels_.back();
      OptimisticRead read(top.frame->latch, top.version);
      if (!read.started()) return Move::restart;
      source_.point("art.cursor.page");
      const PageView view(*top.frame);
      const Block block = view.block(top.offset);
      Move move = Move::on;
      Frame* frame = top.frame;
      key_bytes_ = top.key_bytes;
      if (block.kind == BlockKind::range) {
        const uint32_t count = (block.fixed_bytes - kNodeArrays) / range_node::kEntryBytes;
        if (top.next >= count) {
          if (!read.valid()) return Move::restart;
          levels_.pop_back();
          continue;
        }
        const auto entry = range_node::load(block.at, count, top.next);
        const LinkInfo link{LinkWord::raw(entry.word), top.offset + range_node::word_at(count, top.next), 0,
                            0};
        ++top.next;
        move = follow_link(frame, read, link);
        if (move == Move::on) move = enter(frame, read, PageView(*frame).root(), true);
      } else {
        const ChildSlot child = block.next(top.next);
        if (child.slot == 0) {
          if (!read.valid()) return Move::restart;
          levels_.pop_back();
          continue;
        }
        top.next = child.byte + 1u;
        move = append(static_cast<uint8_t>(child.byte)) ? enter(frame, read, block.child(child.slot), false)
                                                        : bad(read);
      }
      if (move != Move::on) return move;
    }
    return Move::end;
  }

  // Goes straight to the first key not below the goal.
  Move look_up() {
    levels_.clear();
    key_bytes_ = 0;
    Frame* frame = source_.root();
    OptimisticRead read(frame->latch);
    if (!read.started()) return Move::restart;
    std::string_view rest = goal_;
    uint32_t offset = PageView(*frame).root();
    for (;;) {
      const PageView view(*frame);
      const Block block = view.block(offset);
      if (!block.ok()) return bad(read);
      lsn_ = std::max(lsn_, read_lsn(view, read));
      const auto most = static_cast<uint32_t>(std::min<size_t>(block.label_bytes, rest.size()));
      const uint32_t same =
          block.label_bytes == 0 ? 0 : common_prefix_bytes(block.label().data(), rest.data(), most);
      if (same < block.label_bytes) {
        // All keys beneath lie behind the goal, or all before it.
        const bool behind = same == rest.size() ||
                            static_cast<uint8_t>(block.label()[same]) > static_cast<uint8_t>(rest[same]);
        if (!read.valid()) return Move::restart;
        return from_here(behind ? enter(frame, read, offset, false) : Move::on, read);
      }
      if (rest.size() == block.label_bytes && block.kind != BlockKind::link) {
        return from_here(enter(frame, read, offset, false), read);
      }
      if (!append(block.label())) return bad(read);
      rest.remove_prefix(block.label_bytes);
      if (block.kind == BlockKind::link) {
        const LinkInfo link{block.link(), offset + kLinkWord, 0, 0};
        if (const Move move = follow_link(frame, read, link); move != Move::on) return move;
        offset = PageView(*frame).root();
        continue;
      }
      if (block.kind == BlockKind::leaf) return read.valid() ? from_here(Move::on, read) : Move::restart;
      if (!block.node()) return bad(read);
      const auto byte = static_cast<uint8_t>(rest[0]);
      Level level{frame, read.version(), offset, key_bytes_, byte};
      if (block.kind == BlockKind::range) {
        const uint32_t count = (block.fixed_bytes - kNodeArrays) / range_node::kEntryBytes;
        const uint32_t i = range_node::find(block.at, count, byte);
        const auto entry = range_node::load(block.at, count, i);
        level.next = i + 1;
        levels_.push_back(level);
        const LinkInfo link{LinkWord::raw(entry.word), offset + range_node::word_at(count, i), 0, 0};
        if (const Move move = follow_link(frame, read, link); move != Move::on) return move;
        offset = PageView(*frame).root();
        continue;
      }
      const uint16_t slot = block.find(byte);
      if (slot == 0) {
        levels_.push_back(level);
        return read.valid() ? from_here(Move::on, read) : Move::restart;
      }
      level.next = byte + 1u;
      levels_.push_back(level);
      if (!append(byte)) return bad(read);
      rest.remove_prefix(1);
      offset = block.child(slot);
    }
  }

  Lsn read_lsn(const PageView& view, const OptimisticRead& read) const {
    const Lsn lsn = view.lsn();
    return read.valid() ? lsn : Lsn{};
  }

  // `on`: the key is not in this block; `levels_` says what comes next.
  Move from_here(Move move, OptimisticRead& read) {
    if (move != Move::on) return move;
    read.end();
    return advance();
  }

  Source& source_;
  const RenameGate& gate_;
  uint64_t noted_ = 0;
  Lsn lsn_;
  PageId page_;
  std::string goal_;
  std::vector<Level> levels_;
  std::array<char, kKeyBytesMax> key_;
  uint32_t key_bytes_ = 0;
  std::string value_;
  uint8_t value_flags_ = 0;
};

}  // namespace fb::art
