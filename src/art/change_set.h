// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "art/page_op.h"
#include "art/page_source.h"

namespace fb::art {

// One change of several pages in the making: latched frames, the operations on each, and copies to which they
// are already applied. Nobody sees the change before `commit`, which appends one record and puts the copies
// in place; until then `abandon` leaves no trace. One for each tree handle; its memory is reused.
template <PageSource Source>
class ChangeSet {
 public:
  explicit ChangeSet(Source& source) : source_(source) {}
  ChangeSet(const ChangeSet&) = delete;
  ChangeSet& operator=(const ChangeSet&) = delete;
  ~ChangeSet() { FB_ASSERT(used_ == 0, used_); }

  // Latches the frame if nothing has happened to it since `version`. Never waits.
  bool lock(Frame* frame, uint64_t version) {
    if (const Entry* entry = find(frame)) return entry->version == version;
    if (!frame->latch.try_upgrade(version)) return false;
    Entry& entry = take(frame);
    entry.version = version;
    entry.action = ChangePage::Action::change;
    return true;
  }

  // The page with the operations applied so far.
  PageView view(Frame* frame) const {
    const Entry* entry = find(frame);
    FB_ASSERT(entry != nullptr);
    return entry->edited ? PageView(entry->copy.get(), frame->page_bytes) : PageView(*frame);
  }

  // Applies an operation to a latched frame. An error leaves everything as it was.
  Result<void> apply(Frame* frame, const PageOp& op) {
    Entry* entry = find(frame);
    FB_ASSERT(entry != nullptr);
    if (!entry->edited) {
      if (entry->copy_bytes < frame->page_bytes) {
        entry->copy = std::make_unique<std::byte[]>(frame->page_bytes);
        entry->copy_bytes = frame->page_bytes;
      }
      std::memcpy(entry->copy.get(), frame->bytes, frame->page_bytes);
      entry->edited = true;
    }
    FB_CHECK(art::apply(PageEditor(entry->copy.get(), frame->page_bytes), op));
    op.encode(entry->operations);
    return {};
  }

  // A new page with the given content. Null: the source has no frame.
  Frame* create(const PageView& image) {
    Frame* frame = source_.create();
    if (frame == nullptr) return nullptr;
    Entry& entry = take(frame);
    entry.action = ChangePage::Action::create;
    PageOp{.kind = PageOp::Kind::image, .body = image_body(image)}.encode(entry.operations);
    // This does what the operation does, but without its checks of bytes from elsewhere. Nobody can see the
    // frame yet.
    const auto made = PageEditor(*frame).set_image(image);
    FB_ASSERT(made.has_value());
    return frame;
  }

  // Called if the page has become empty, and nothing links to it any more.
  void retire(Frame* frame) {
    Entry* entry = find(frame);
    FB_ASSERT(entry != nullptr);
    entry->action = ChangePage::Action::retire;
    entry->operations.clear();
  }

  // The latched frames, in the order of latching.
  size_t size() const { return used_; }
  Frame* frame(size_t i) const { return entries_[i].frame; }
  bool changes(size_t i) const {
    return entries_[i].action == ChangePage::Action::change && entries_[i].edited;
  }

  bool changes_nothing() const {
    for (size_t i = 0; i < used_; ++i) {
      if (entries_[i].edited || entries_[i].action != ChangePage::Action::change) return false;
    }
    return true;
  }

  template <JournalSink Journal>
  Lsn commit(Journal& journal) {
    record_.clear();
    begin_change(record_);
    for (size_t i = 0; i < used_; ++i) {
      const Entry& entry = entries_[i];
      if (!entry.edited && entry.action == ChangePage::Action::change) continue;
      append_change(record_,
                    {entry.frame->page_id.load(std::memory_order_relaxed), entry.action, entry.operations});
    }
    const Lsn lsn = journal.append(std::string_view(record_));
    for (size_t i = 0; i < used_; ++i) {
      source_.point("art.change.apply");
      Entry& entry = entries_[i];
      if (entry.action == ChangePage::Action::retire) {
        source_.retire(*entry.frame);
        continue;
      }
      if (entry.edited) {
        std::memcpy(entry.frame->bytes, entry.copy.get(), entry.frame->page_bytes);
      } else if (entry.action != ChangePage::Action::create) {
        continue;
      }
      PageHeader& header = PageEditor(*entry.frame).header();
      header.lsn_epoch = lsn.epoch;
      header.lsn_position = lsn.position;
      source_.changed(*entry.frame);
    }
    source_.point("art.change.applied");
    for (size_t i = 0; i < used_; ++i) {
      const Entry& entry = entries_[i];
      entry.frame->latch.release(entry.edited || entry.action != ChangePage::Action::change);
      source_.point("art.change.release");
    }
    used_ = 0;
    return lsn;
  }

  void abandon() {
    for (size_t i = 0; i < used_; ++i) {
      Entry& entry = entries_[i];
      if (entry.action == ChangePage::Action::create) {
        source_.discard(*entry.frame);
        entry.frame->latch.release(true);
      } else {
        entry.frame->latch.release(false);
      }
    }
    used_ = 0;
  }

 private:
  struct Entry {
    Frame* frame = nullptr;
    uint64_t version = 0;
    ChangePage::Action action = ChangePage::Action::change;
    bool edited = false;
    std::string operations;
    std::unique_ptr<std::byte[]> copy;
    uint32_t copy_bytes = 0;
  };

  const Entry* find(const Frame* frame) const {
    for (size_t i = 0; i < used_; ++i) {
      if (entries_[i].frame == frame) return &entries_[i];
    }
    return nullptr;
  }
  Entry* find(const Frame* frame) { return const_cast<Entry*>(std::as_const(*this).find(frame)); }
  Entry& take(Frame* frame) {
    if (used_ == entries_.size()) entries_.emplace_back();
    Entry& entry = entries_[used_++];
    entry.frame = frame;
    entry.version = 0;
    entry.edited = false;
    entry.operations.clear();
    return entry;
  }

  Source& source_;
  std::vector<Entry> entries_;
  size_t used_ = 0;
  std::string record_;
};

}  // namespace fb::art
