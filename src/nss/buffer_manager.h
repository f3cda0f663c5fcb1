// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "art/page_source.h"
#include "client/page_client.h"
#include "io/buffer_pool.h"
#include "io/large_memory.h"
#include "io/scope.h"
#include "io/sync.h"
#include "nss/journal_buffer.h"
#include "nss/page_redo.h"
#include "nss/resident_pages.h"

// The pages of the namespace in memory: a fixed number of frames, shared by all cores, over a page store that
// one core owns. docs/namespace_engine.md has the whole.
//
// A frame is free (in the common stack, or one of the few that a core keeps for what it does next), being
// loaded (known only to the owner's load_here), or resident (in ResidentPages, with its page's id). It
// becomes another page's only under its latch, with the version moved on, when it is clean, unpinned, no link
// points to it as a pointer and it holds no such link.
//
// Cooling: random frames lose the pointer that leads to them (the parent's link becomes a page id again) and
// wait in a queue. Whoever comes by puts the pointer back, and it was a second chance; one that comes to the
// queue's end without it is evicted.

namespace fb {

class BufferPort;

// Why a page is loaded. When it was looked for, a link led to it; or one must lead to it still.
enum class Wanted : uint8_t { when_looked_for, certainly };

struct BufferStatistics {
  std::atomic<uint64_t> loads{0}, evictions{0}, second_chances{0}, cooled{0};
  std::atomic<uint64_t> pages_written{0}, write_errors{0}, damaged{0};
};

class BufferManager {
 public:
  struct Options {
    unsigned core_count = 1;
    unsigned owner_core = 0;  // of the page store
    uint32_t frame_count = 0;
    uint64_t next_page_id = 1;
    uint64_t epoch = 0;
    // Where so many of a hundred frames are dirty, write-behind goes on until fewer are. The more, the more
    // records a page gathers before it is written; whoever needs frames and meets dirty ones asks for more.
    uint32_t dirty_percent = 75;
  };
  static constexpr uint32_t kFrameCountMin = 64;
  static constexpr size_t kWriteBatchPages = 64;
  static constexpr uint32_t kFramesKept = 64;

  BufferManager(const Options& options, PageClient& pages, JournalBuffer& journal);
  ~BufferManager();

  // Once on every core. Kept here.
  BufferPort& attach(Env& env);
  // Before anything is created: ids from here on are new.
  void raise_next_page_id(uint64_t id) {
    next_page_id_.store(std::max(next_page_id(), id), std::memory_order_relaxed);
  }
  uint32_t page_bytes() const { return page_bytes_; }
  // Without looking at the frame, which may be far away.
  const std::byte* place_of(const art::Frame* frame) const {
    const auto offset = reinterpret_cast<uintptr_t>(frame) - reinterpret_cast<uintptr_t>(frames_.get());
    const size_t index = offset / sizeof(BufferFrame);
    return memory_.get() + (index < options_.frame_count ? index : 0) * memory_bytes_;
  }
  uint32_t frame_count() const { return options_.frame_count; }
  uint64_t next_page_id() const { return next_page_id_.load(std::memory_order_relaxed); }
  uint64_t dirty_count() const { return dirty_count_.load(std::memory_order_relaxed); }
  const BufferStatistics& statistics() const { return statistics_; }

  // --- the owner's core ---
  // Write-behind until stop(): keeps the dirty share below its bound, and writes what is asked for.
  static Task<void> run(Env& env, BufferManager& self, JournalPort& journal);
  void stop();
  // Until every record that ends at or below `position` is in the stored pages. All its changes must have
  // been made. PageError of a page that cannot be written.
  Task<Result<void>> flush(Env& env, JournalPort& journal, uint64_t position);
  // The position behind the oldest record that the stored pages lack; UINT64_MAX: none. Of what sections have
  // left that are over when it is called; what becomes dirty meanwhile may count or not.
  Task<uint64_t> oldest_dirty(Env& env);
  // Before anything is loaded: what pages lack when they come from the store. Must outlive this.
  void use_redo(PageRedo& redo) { redo_ = &redo; }
  // Whoever waits for a page and wants to no longer is told. To be called every now and then.
  void look_at_deadlines() {
    for (const auto& [id, loading] : loading_) loading->done.notify_all();
  }
  // Until no page is being read. After everybody has stopped asking.
  Task<void> drain() { co_await loads_->join(); }
  // While nothing happens: frames, chains, parents and links agree. Empty, or what does not.
  std::string verify() const;

 private:
  friend class BufferPort;
  struct Loading {
    explicit Loading(Env& env) : done(env) {}
    Notification done;  // also when deadlines are to be looked at
    bool ended = false;
    Result<void> result;
  };
  struct Copy {
    BufferFrame* frame;
    PageClient::Write write;
  };

  Task<Result<void>> load_here(Env& env, Instant deadline, PageId id, Wanted wanted);
  static Task<void> run_load(BufferManager* self, Env* env, PageId id, Wanted wanted,
                             std::shared_ptr<Loading> loading);
  Task<Result<void>> read_page(Env& env, PageId id, Wanted wanted);
  Result<void> check_loaded(Env& env, PageId id, Wanted wanted, BufferFrame& frame,
                            const Result<PageClient::Found>& found, uint64_t& lacked);
  bool copy_page(BufferFrame& frame, uint64_t position, std::vector<Copy>& out);
  template <class Look>
  Task<void> for_each_dirty(Env& env, uint32_t begin, Look look);
  Task<Result<size_t>> write_some(Env& env, JournalPort& journal, uint64_t position);
  Task<Result<size_t>> write_wanted(JournalPort& journal);
  Task<Result<void>> write_copies(JournalPort& journal, std::vector<Copy>& copies);
  bool too_dirty() const {
    return dirty_count() * 100 > uint64_t{options_.frame_count} * options_.dirty_percent;
  }
  BufferPort& owner() { return *ports_[options_.owner_core].load(std::memory_order_relaxed); }
  BufferFrame* pop_free(Env& env);
  void push_free(Env& env, BufferFrame& frame);
  // How many free frames a core keeps at most.
  uint32_t frames_kept() const {
    return std::min(kFramesKept, options_.frame_count / options_.core_count / 4);
  }
  void mark_dirty(BufferPort& port, BufferFrame& frame, uint64_t position);
  void note_dirty(const BufferFrame& frame);
  void want_clean(const BufferFrame& frame);
  // The first frame from `index` on that may be dirty or being written; frame_count where there is none.
  uint32_t next_dirty(uint32_t index);
  Task<bool> left_to_write(Env& env, uint64_t position);

  Options options_;
  PageClient& pages_;
  JournalBuffer& journal_;
  uint32_t page_bytes_;
  uint32_t memory_bytes_;  // of a frame
  LargeMemory memory_;
  std::unique_ptr<BufferFrame[]> frames_;
  // Free frames that no core keeps for itself: a stack, its top with a count of changes above the index.
  std::unique_ptr<std::atomic<uint32_t>[]> next_free_;
  std::atomic<uint64_t> free_top_{0};
  // A bit a frame: set behind whatever makes it dirty, on any core; taken back by the owner where it is
  // neither dirty nor being written. So the owner looks at these and not at every frame.
  std::unique_ptr<std::atomic<uint64_t>[]> dirty_bits_;
  // The same of frames that an evictor has met and would have taken, were they clean: written first.
  std::unique_ptr<std::atomic<uint64_t>[]> wanted_bits_;
  ResidentPages resident_;
  std::atomic<uint64_t> next_page_id_;
  std::atomic<uint64_t> dirty_count_{0};
  std::atomic<bool> write_wanted_{false};  // an evictor has met dirty pages
  BufferStatistics statistics_;
  std::unique_ptr<std::atomic<BufferPort*>[]> ports_;

  // The owner's.
  PageRedo* redo_ = nullptr;
  std::map<PageId, std::shared_ptr<Loading>> loading_;
  std::unique_ptr<Scope> loads_;  // go on when nobody waits for them any more
  uint32_t write_hand_ = 0;
  uint32_t wanted_hand_ = 0;  // in words of wanted_bits_
  bool stopping_ = false;
  std::unique_ptr<BufferPool> pool_;  // for copies of pages: not the requests' memory
};

// The buffer manager as one core sees it: what art::Tree needs but for the root.
class BufferPort {
 public:
  BufferPort(Env& env, BufferManager& manager);

  BufferFrame* find(PageId id) { return manager_.resident_.find(env_, id); }
  uint32_t frame_count() const { return manager_.frame_count(); }
  // Of any word: a place in the frames' memory, the page's where it is a frame.
  const std::byte* place_of(const art::Frame* frame) const { return manager_.place_of(frame); }
  art::Frame* create();
  void discard(art::Frame& frame);
  void retire(art::Frame& frame);
  void changed(art::Frame& frame);
  void point(const char* name) { env_.point(name); }
  void pause() { env_.pause(); }
  bool simulated() const { return env_.simulated(); }

  // Brings a page into memory. PageError::damaged, also where the store does not have a page that is there
  // for certain, or the store's error. A page that was only linked when it was looked for may have left its
  // tree, and the store, before it was read: PageError::not_found.
  Task<Result<void>> load(const CallContext& context, PageId id, Wanted wanted = Wanted::certainly);
  // Until this core has `count` free frames for create(). PageError::full where none can be had because pages
  // cannot be written.
  Task<Result<void>> make_room(const CallContext& context, uint32_t count);
  // Whether make_room(count) would have nothing to do.
  bool has_room(uint32_t count) const { return free_.size() >= count; }
  // The frame of a page that stays in memory from now on.
  Task<Result<BufferFrame*>> pin(const CallContext& context, PageId id);
  void unpin(BufferFrame& frame) { frame.pins.fetch_sub(1); }
  // Pages that left a tree by a record of this core at or below `position`: given once, to be erased from the
  // store when a checkpoint has passed the record.
  struct Retired {
    PageId id;
    uint64_t position;
  };
  std::vector<Retired> take_retired(uint64_t position);

 private:
  friend class BufferManager;
  struct Cooling {
    BufferFrame* frame;
    PageId id;
  };
  BufferFrame* take_free();
  void fetch_free(size_t count);
  void give(BufferFrame& frame);
  // Tries to free a frame; where it fails, that may have come nearer.
  bool evict_some();
  void cool_random();
  bool cool(BufferFrame& frame);
  bool evict_coolest();
  BufferFrame* swizzled_child(BufferFrame& frame);

  Env& env_;
  BufferManager& manager_;
  std::vector<BufferFrame*> free_;
  std::vector<BufferFrame*> limbo_;  // left the tree while a copy of them is being written
  std::deque<Cooling> cooling_;
  std::vector<uint32_t> blocks_;  // of a page, still to be looked at
  std::vector<Retired> retired_;  // positions grow
};

// One tree's pages on one core.
class TreeSource {
 public:
  static constexpr bool kSwizzles = true;
  TreeSource(BufferPort& port, BufferFrame& root)
      : port_(&port), root_(&root), simulated_(port.simulated()) {}
  art::Frame* root() { return root_; }
  art::Frame* find(PageId id) { return port_->find(id); }
  const std::byte* place_of(const art::Frame* frame) const { return port_->place_of(frame); }
  art::Frame* create() { return port_->create(); }
  void discard(art::Frame& frame) { port_->discard(frame); }
  void retire(art::Frame& frame) { port_->retire(frame); }
  void changed(art::Frame& frame) { port_->changed(frame); }
  void pause() { port_->pause(); }
  // On the way of every look-up: where there is no simulation, one look at what stands beside the root.
  void point(const char* name) {
    if (simulated_) [[unlikely]]
      port_->point(name);
  }

 private:
  BufferPort* port_;
  BufferFrame* root_;
  bool simulated_;
};
static_assert(art::PageSource<TreeSource>);

}  // namespace fb
