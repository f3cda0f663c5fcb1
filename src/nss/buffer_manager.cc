// SPDX-License-Identifier: Apache-2.0
#include "nss/buffer_manager.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "art/page_check.h"
#include "art/page_editor.h"
#include "base/assert.h"
#include "io/call_on.h"
#include "io/log.h"

namespace fb {
namespace {

constexpr Duration kFramePoll = Duration::microseconds(200);
constexpr Duration kWritePoll = Duration::milliseconds(1);
constexpr Duration kWriteRetry = Duration::milliseconds(500);
constexpr uint32_t kDirtyAtOnce = 1024;  // frames looked at before others get a turn
constexpr size_t kCopiesMax = 4 * BufferManager::kWriteBatchPages;
constexpr unsigned kFailuresMax = 4;     // to free a frame, before others get a turn
constexpr size_t kLooksMax = 128;        // at the queue, in one attempt
constexpr unsigned kRandomPicks = 16;    // before an attempt to cool is given up
constexpr unsigned kChildStepsMax = 16;  // from a page that cannot be cooled to one below that can
constexpr uint32_t kCoolingShare = 10;   // of a core's share of frames: as many wait in its queue

// Where in a latched page the first link stands that `wanted` holds of; 0: none does. `open` is scratch.
// Eviction looks into several pages for each that it frees, so this neither allocates nor goes on.
template <class Wanted>
uint32_t find_link(const art::PageView& page, const Wanted& wanted, std::vector<uint32_t>& open) {
  open.assign(1, page.root());
  while (!open.empty()) {
    const uint32_t offset = open.back();
    open.pop_back();
    const art::Block block = page.block(offset);
    if (block.kind == art::BlockKind::link && wanted(block.link())) return offset + art::kLinkWord;
    if (!block.node()) continue;
    for (uint32_t i = 0; block.kind == art::BlockKind::range && i < block.count(); ++i) {
      const auto entry = art::range_node::load(block.at, block.count(), i);
      if (wanted(art::LinkWord::raw(entry.word))) return offset + art::range_node::word_at(block.count(), i);
    }
    for (art::ChildSlot child = block.next(0); child.slot != 0; child = block.next(child.byte + 1u))
      open.push_back(block.child(child.slot));
  }
  return 0;
}

}  // namespace

BufferManager::BufferManager(const Options& options, PageClient& pages, JournalBuffer& journal)
    : options_(options),
      pages_(pages),
      journal_(journal),
      page_bytes_(pages.page_length_max()),
      memory_bytes_(static_cast<uint32_t>(align_up(pages.page_memory_bytes(), kDirectIoAlignment))),
      memory_(uint64_t{memory_bytes_} * options.frame_count),
      frames_(new BufferFrame[options.frame_count]),
      next_free_(new std::atomic<uint32_t>[options.frame_count]),
      dirty_bits_(new std::atomic<uint64_t>[options.frame_count / 64 + 1]()),
      wanted_bits_(new std::atomic<uint64_t>[options.frame_count / 64 + 1]()),
      resident_(frames_.get(), options.frame_count),
      next_page_id_(options.next_page_id),
      ports_(new std::atomic<BufferPort*>[options.core_count]) {
  FB_ASSERT(options.frame_count >= kFrameCountMin, options.frame_count);
  FB_ASSERT(options.frame_count < BufferFrame::kNone, options.frame_count);
  FB_ASSERT(options.owner_core < options.core_count, options.owner_core);
  for (uint32_t i = 0; i < options.frame_count; ++i) {
    frames_[i].bytes = memory_.get() + uint64_t{i} * memory_bytes_;
    frames_[i].page_bytes = page_bytes_;
    next_free_[i].store(i + 1 < options.frame_count ? i + 1 : BufferFrame::kNone);
  }
  for (unsigned core = 0; core < options.core_count; ++core) ports_[core].store(nullptr);
}

// Any core takes and gives. Whoever has read what lies beneath the top changes nothing if the top was changed
// since, be it back to what it was.
BufferFrame* BufferManager::pop_free(Env& env) {
  uint64_t top = free_top_.load(std::memory_order_acquire);
  for (;;) {
    const auto index = static_cast<uint32_t>(top);
    if (index == BufferFrame::kNone) return nullptr;
    const uint64_t beneath = next_free_[index].load(std::memory_order_relaxed);
    env.point("buffer.free.pop");
    const uint64_t changed = ((top >> 32) + 1) << 32 | beneath;
    if (free_top_.compare_exchange_weak(top, changed, std::memory_order_acq_rel)) return &frames_[index];
  }
}

void BufferManager::push_free(Env& env, BufferFrame& frame) {
  const auto index = static_cast<uint32_t>(&frame - frames_.get());
  uint64_t top = free_top_.load(std::memory_order_acquire);
  uint64_t changed = 0;
  do {
    next_free_[index].store(static_cast<uint32_t>(top), std::memory_order_relaxed);
    env.point("buffer.free.push");
    changed = ((top >> 32) + 1) << 32 | index;
  } while (!free_top_.compare_exchange_weak(top, changed, std::memory_order_acq_rel));
}

BufferManager::~BufferManager() {
  for (unsigned core = 0; core < options_.core_count; ++core) delete ports_[core].load();
}

BufferPort& BufferManager::attach(Env& env) {
  FB_ASSERT(env.core() < options_.core_count, env.core());
  FB_ASSERT(ports_[env.core()].load() == nullptr, env.core());
  if (env.core() == options_.owner_core) {
    loads_ = std::make_unique<Scope>(env);
    pool_ = std::make_unique<BufferPool>(
        env, BufferPool::Options{.arena_bytes = 0, .limit_bytes = kCopiesMax * memory_bytes_});
  }
  auto port = std::make_unique<BufferPort>(env, *this);
  ports_[env.core()].store(port.get());
  return *port.release();
}

// --- loading, on the owner's core ---

// The page is read by a task of its own: a drive may take longer over it than who asks has time, and others
// may wait for it, too.
Task<Result<void>> BufferManager::load_here(Env& env, Instant deadline, PageId id, Wanted wanted) {
  for (;;) {
    if (resident_.find(env, id) != nullptr) co_return Result<void>();
    const auto under_way = loading_.find(id);
    const bool own = under_way == loading_.end();
    const std::shared_ptr<Loading> loading = own ? std::make_shared<Loading>(env) : under_way->second;
    if (own) {
      loading_[id] = loading;
      loads_->spawn(&run_load, this, &env, id, wanted, loading);
    }
    while (!loading->ended) {
      if (deadline <= env.now()) co_return PageError::timed_out;
      co_await loading->done.wait();
    }
    // Another's load may have asked for less.
    if (own) co_return loading->result;
  }
}

Task<void> BufferManager::run_load(BufferManager* self, Env* env, PageId id, Wanted wanted,
                                   std::shared_ptr<Loading> loading) {
  loading->result = co_await self->read_page(*env, id, wanted);
  loading->ended = true;
  self->loading_.erase(id);
  loading->done.notify_all();
}

Task<Result<void>> BufferManager::read_page(Env& env, PageId id, Wanted wanted) {
  BufferPort& port = *ports_[env.core()].load();
  FB_CO_CHECK(co_await port.make_room({}, 1));
  BufferFrame* frame = port.take_free();
  FB_ASSERT(frame != nullptr);
  const Result<PageClient::Found> found =
      co_await pages_.read_page_into({}, id, {frame->bytes, pages_.page_memory_bytes()});
  uint64_t lacked = 0;
  const Result<void> usable = check_loaded(env, id, wanted, *frame, found, lacked);
  if (!usable) {
    port.give(*frame);
    co_return usable;
  }
  // As in create(): who picked the frame for the page it held before may try its latch still.
  while (!frame->latch.try_exclusive()) env.pause();
  frame->page_id.store(id, std::memory_order_relaxed);
  frame->parent.store(nullptr, std::memory_order_relaxed);
  if (lacked != 0) mark_dirty(port, *frame, lacked);
  env.point("buffer.load.latched");
  // Still latched: whoever picks the frame to evict it must find it in its chain.
  resident_.insert(env, *frame);
  env.point("buffer.load.entered");
  frame->latch.release();
  statistics_.loads.fetch_add(1, std::memory_order_relaxed);
  co_return Result<void>();
}

// Whether what was read is the page; makes the changes in it that the journal has and the store had not.
// `lacked`: the position behind the first of these.
Result<void> BufferManager::check_loaded(Env& env, PageId id, Wanted wanted, BufferFrame& frame,
                                         const Result<PageClient::Found>& found, uint64_t& lacked) {
  const bool in_journal = redo_ != nullptr && redo_->has(id);
  std::string problem;
  if (found) {
    problem = found->length != page_bytes_
                  ? "has another size"
                  : art::check_page_image(art::PageView(frame.bytes, page_bytes_), id);
  } else if (found.error().is(PageError::not_found)) {
    if (!in_journal && wanted == Wanted::when_looked_for) return PageError::not_found;
    problem = "is not in the store";
  } else if (found.error().is(PageError::damaged) && in_journal) {
    problem = "is damaged, and the journal would change it";
  } else {
    return found.error();
  }
  if (!problem.empty() && in_journal && redo_->creates(id)) {
    art::PageEditor(frame.bytes, page_bytes_).format(id);
    problem.clear();
  }
  if (problem.empty() && in_journal) {
    const Result<uint64_t> redone = redo_->apply(id, art::PageEditor(frame.bytes, page_bytes_));
    if (redone) {
      lacked = *redone;
    } else {
      problem = "does not fit its changes in the journal";
    }
  }
  if (problem.empty()) return {};
  // What hangs there is lost, and said so when it is asked for; all else goes on.
  if (in_journal) redo_->forget(id);
  statistics_.damaged.fetch_add(1, std::memory_order_relaxed);
  log(env, LogLevel::error, fmt::format("namespace: page {} {}", id.value, problem));
  return PageError::damaged;
}

// --- writing, on the owner's core ---

void BufferManager::mark_dirty(BufferPort& port, BufferFrame& frame, uint64_t position) {
  uint64_t clean = 0;
  if (!frame.dirty_from.compare_exchange_strong(clean, position)) return;
  port.point("buffer.dirty");
  note_dirty(frame);
  dirty_count_.fetch_add(1, std::memory_order_relaxed);
}

// After its dirty_from is set: who takes the bit back looks at that again afterwards, so one of the two sees
// the other.
void BufferManager::note_dirty(const BufferFrame& frame) {
  const auto index = static_cast<uint32_t>(&frame - frames_.get());
  dirty_bits_[index / 64].fetch_or(uint64_t{1} << (index % 64));
}

void BufferManager::want_clean(const BufferFrame& frame) {
  const auto index = static_cast<uint32_t>(&frame - frames_.get());
  wanted_bits_[index / 64].fetch_or(uint64_t{1} << (index % 64));
  write_wanted_.store(true);
}

uint32_t BufferManager::next_dirty(uint32_t index) {
  while (index < options_.frame_count) {
    const uint64_t bits = dirty_bits_[index / 64].load() >> (index % 64);
    if (bits == 0) {
      index = (index / 64 + 1) * 64;
      continue;
    }
    index += static_cast<uint32_t>(std::countr_zero(bits));
    const BufferFrame& frame = frames_[index];
    const auto in_use = [&frame] { return frame.dirty_from.load() != 0 || frame.writing_from.load() != 0; };
    if (in_use()) return index;
    owner().point("buffer.next_dirty.look");
    dirty_bits_[index / 64].fetch_and(~(uint64_t{1} << (index % 64)));
    owner().point("buffer.next_dirty.cleared");
    if (in_use()) note_dirty(frame);
  }
  return options_.frame_count;
}

// Takes a copy of a dirty page as it is now. From then on further changes make it dirty anew.
bool BufferManager::copy_page(BufferFrame& frame, uint64_t position, std::vector<Copy>& out) {
  BufferPort& port = owner();
  const uint64_t dirty_from = frame.dirty_from.load();
  if (dirty_from == 0 || dirty_from > position || frame.writing_from.load() != 0) return false;
  Buffer buffer = pool_->try_allocate(pages_.page_memory_bytes());
  if (!buffer || !frame.latch.try_exclusive()) return false;
  const uint64_t from = frame.dirty_from.load();
  port.point("buffer.copy.latched");
  if (from == 0) {  // it has left its tree meanwhile
    frame.latch.release(false);
    return false;
  }
  const art::PageView page(frame);
  art::write_page_image(page, buffer.data());
  frame.writing_from.store(from);
  port.point("buffer.copy.writing");
  frame.dirty_from.store(0);
  dirty_count_.fetch_sub(1, std::memory_order_relaxed);
  out.push_back(
      {.frame = &frame,
       .write = {.id = frame.page_id.load(std::memory_order_relaxed),
                 .page = {.buffer = std::move(buffer), .length = page_bytes_, .version = page.lsn()},
                 .uses_reserve = true,
                 .result = {}}});
  frame.latch.release(false);
  return true;
}

Task<Result<void>> BufferManager::write_copies(JournalPort& journal, std::vector<Copy>& copies) {
  uint64_t position = 0;
  std::vector<PageClient::Write> writes;
  for (Copy& copy : copies) {
    position = std::max(position, copy.write.page.version.position);
    writes.push_back(std::move(copy.write));
  }
  // Without a deadline: if it fails, the journal has.
  Result<void> written = co_await journal.wait_durable(position);
  const bool tried = written.has_value();
  if (tried) written = co_await pages_.write_pages({}, options_.epoch, writes);
  for (size_t i = 0; i < copies.size(); ++i) {
    BufferFrame& frame = *copies[i].frame;
    const bool failed = !tried || !writes[i].result;
    owner().point("buffer.written");
    if (failed) {
      statistics_.write_errors.fetch_add(1, std::memory_order_relaxed);
      // Older than what made it dirty again meanwhile. Latched, so that it does not leave its tree just now:
      // a frame without a page must not be dirty.
      while (!frame.latch.try_exclusive()) owner().pause();
      if (frame.page_id.load(std::memory_order_relaxed) == writes[i].id &&
          frame.dirty_from.exchange(frame.writing_from.load()) == 0) {
        note_dirty(frame);
        dirty_count_.fetch_add(1, std::memory_order_relaxed);
      }
      frame.latch.release(false);
    } else {
      statistics_.pages_written.fetch_add(1, std::memory_order_relaxed);
    }
    frame.writing_from.store(0);
  }
  co_return written;
}

// Goes over the dirty frames from `begin` on, all the way round; `look(index)` is false where that is enough.
// There may be hundreds of thousands, so others get a turn in between.
template <class Look>
Task<void> BufferManager::for_each_dirty(Env& env, uint32_t begin, Look look) {
  uint32_t looked = 0;
  bool wrapped = false;
  for (uint32_t at = begin;; ++at) {
    const uint32_t index = next_dirty(at);
    if (wrapped && index >= begin) co_return;
    if (index == options_.frame_count) {
      wrapped = true;
      at = UINT32_MAX;  // on with the first one
      if (begin == 0) co_return;
      continue;
    }
    if (!look(index)) co_return;
    at = index;
    if (++looked % kDirtyAtOnce == 0) co_await yield(env);
  }
}

// Up to a batch of pages that hold records up to `position`; how many.
Task<Result<size_t>> BufferManager::write_some(Env& env, JournalPort& journal, uint64_t position) {
  std::vector<Copy> copies;
  co_await for_each_dirty(env, write_hand_, [&](uint32_t index) {
    (void)copy_page(frames_[index], position, copies);
    write_hand_ = index + 1 == options_.frame_count ? 0 : index + 1;
    return copies.size() < kWriteBatchPages;
  });
  if (!copies.empty()) FB_CO_CHECK(co_await write_copies(journal, copies));
  co_return copies.size();
}

// Up to a batch of the pages that evictors wait for; how many.
Task<Result<size_t>> BufferManager::write_wanted(JournalPort& journal) {
  std::vector<Copy> copies;
  const uint32_t words = options_.frame_count / 64 + 1;
  for (uint32_t looked = 0; looked < words && copies.size() < kWriteBatchPages; ++looked) {
    const uint32_t word = wanted_hand_;
    wanted_hand_ = (wanted_hand_ + 1) % words;
    // One that cannot be copied now is asked for again by who meets it again.
    uint64_t bits = wanted_bits_[word].load() == 0 ? 0 : wanted_bits_[word].exchange(0);
    for (; bits != 0; bits &= bits - 1) {
      const uint32_t index = word * 64 + static_cast<uint32_t>(std::countr_zero(bits));
      (void)copy_page(frames_[index], UINT64_MAX, copies);
    }
  }
  const size_t count = copies.size();
  if (count != 0) {
    write_wanted_.store(true);  // there may be more
    FB_CO_CHECK(co_await write_copies(journal, copies));
  }
  co_return count;
}

Task<void> BufferManager::run(Env& env, BufferManager& self, JournalPort& journal) {
  FB_ASSERT(env.core() == self.options_.owner_core, env.core());
  while (!self.stopping_) {
    Result<size_t> written = 0;
    if (self.write_wanted_.exchange(false)) written = co_await self.write_wanted(journal);
    if (written && *written == 0 && self.too_dirty())
      written = co_await self.write_some(env, journal, UINT64_MAX);
    if (!written) {
      log(env, LogLevel::warn, "namespace: pages could not be written, trying again",
          {{"error", written.error().to_string()}});
    }
    if (!written || *written == 0) (void)co_await sleep_for(env, written ? kWritePoll : kWriteRetry);
  }
}

void BufferManager::stop() { stopping_ = true; }

Task<Result<void>> BufferManager::flush(Env& env, JournalPort& journal, uint64_t position) {
  for (;;) {
    FB_CO_TRY(const size_t written, co_await write_some(env, journal, position));
    // A whole batch: most likely there is more.
    if (written == kWriteBatchPages) continue;
    if (!co_await left_to_write(env, position)) co_return Result<void>();
    if (written == 0) (void)co_await sleep_for(env, kFramePoll);
  }
}

Task<bool> BufferManager::left_to_write(Env& env, uint64_t position) {
  bool left = false;
  co_await for_each_dirty(env, 0, [&](uint32_t index) {
    const uint64_t dirty = frames_[index].dirty_from.load();
    const uint64_t writing = frames_[index].writing_from.load();
    left = (dirty != 0 && dirty <= position) || (writing != 0 && writing <= position);
    return !left;
  });
  co_return left;
}

Task<uint64_t> BufferManager::oldest_dirty(Env& env) {
  uint64_t oldest = UINT64_MAX;
  co_await for_each_dirty(env, 0, [&](uint32_t index) {
    for (const uint64_t from : {frames_[index].dirty_from.load(), frames_[index].writing_from.load()}) {
      if (from != 0) oldest = std::min(oldest, from);
    }
    return true;
  });
  co_return oldest;
}

std::string BufferManager::verify() const {
  Env& env = ports_[options_.owner_core].load(std::memory_order_relaxed)->env_;
  uint64_t dirty = 0;
  for (uint32_t i = 0; i < options_.frame_count; ++i) {
    const BufferFrame& frame = frames_[i];
    const PageId id = frame.page_id.load(std::memory_order_relaxed);
    if (frame.latch.held_exclusively()) return fmt::format("frame {} is latched", i);
    if (id.value == 0) continue;
    if (frame.dirty_from.load() != 0) ++dirty;
    if (resident_.find(env, id) != &frame) return fmt::format("page {} is not found in its frame", id.value);
    const art::PageView page(frame.bytes, frame.page_bytes);
    if (page.page_id() != id) return fmt::format("page {} holds another", id.value);
    std::string problem;
    art::for_each_link(page, [&](const art::FoundLink& link) {
      if (link.word.is_frame() && link.word.frame()->parent.load(std::memory_order_relaxed) != &frame)
        problem = fmt::format("a child of page {} has another parent", id.value);
    });
    if (!problem.empty()) return problem;
  }
  if (dirty != dirty_count()) return fmt::format("{} pages are dirty, counted {}", dirty, dirty_count());
  return {};
}

// --- one core ---

BufferPort::BufferPort(Env& env, BufferManager& manager) : env_(env), manager_(manager) {}

// Until it keeps so many, as far as there are any that nobody keeps.
void BufferPort::fetch_free(size_t count) {
  while (free_.size() < count) {
    BufferFrame* frame = manager_.pop_free(env_);
    if (frame == nullptr) return;
    free_.push_back(frame);
  }
}

BufferFrame* BufferPort::take_free() {
  for (size_t i = 0; i < limbo_.size();) {
    if (limbo_[i]->writing_from.load() != 0) {
      ++i;
      continue;
    }
    free_.push_back(limbo_[i]);
    limbo_[i] = limbo_.back();
    limbo_.pop_back();
  }
  if (free_.empty()) fetch_free(manager_.frames_kept() / 2);
  if (free_.empty()) return nullptr;
  BufferFrame* frame = free_.back();
  free_.pop_back();
  return frame;
}

// The frame holds no page any more.
void BufferPort::give(BufferFrame& frame) {
  (frame.writing_from.load() != 0 ? limbo_ : free_).push_back(&frame);
  if (free_.size() <= manager_.frames_kept()) return;
  manager_.push_free(env_, *free_.back());
  free_.pop_back();
}

art::Frame* BufferPort::create() {
  BufferFrame* frame = take_free();
  if (frame == nullptr) return nullptr;
  // Who followed a link to what the frame held before may try its latch for a moment.
  while (!frame->latch.try_exclusive()) env_.pause();
  const PageId id{manager_.next_page_id_.fetch_add(1, std::memory_order_relaxed)};
  frame->page_id.store(id, std::memory_order_relaxed);
  frame->parent.store(nullptr, std::memory_order_relaxed);
  art::PageEditor(*frame).format(id);
  manager_.resident_.insert(env_, *frame);
  env_.point("buffer.create");
  return frame;
}

void BufferPort::discard(art::Frame& frame_in) {
  auto& frame = static_cast<BufferFrame&>(frame_in);
  manager_.resident_.erase(env_, frame);
  env_.point("buffer.discard");
  frame.page_id.store(PageId{}, std::memory_order_relaxed);
  give(frame);
}

void BufferPort::retire(art::Frame& frame_in) {
  auto& frame = static_cast<BufferFrame&>(frame_in);
  retired_.push_back({frame.page_id.load(std::memory_order_relaxed), manager_.journal_.tail()});
  env_.point("buffer.retire");
  if (frame.dirty_from.exchange(0) != 0) manager_.dirty_count_.fetch_sub(1, std::memory_order_relaxed);
  discard(frame);
}

void BufferPort::changed(art::Frame& frame) {
  manager_.mark_dirty(*this, static_cast<BufferFrame&>(frame), art::PageView(frame).lsn().position);
}

Task<Result<void>> BufferPort::load(const CallContext& context, PageId id, Wanted wanted) {
  if (context.deadline <= env_.now()) co_return PageError::timed_out;
  co_return co_await call_on(env_, manager_.options_.owner_core, [&](Env& there) {
    return manager_.load_here(there, context.deadline, id, wanted);
  });
}

Task<Result<void>> BufferPort::make_room(const CallContext& context, uint32_t count) {
  FB_ASSERT(count <= manager_.options_.frame_count / manager_.options_.core_count / 2, count);
  const uint64_t errors = manager_.statistics_.write_errors.load(std::memory_order_relaxed);
  for (unsigned failures = 0;;) {
    BufferFrame* frame = take_free();
    if (frame != nullptr) free_.push_back(frame);
    fetch_free(count);
    if (free_.size() >= count) co_return Result<void>();
    if (evict_some() || ++failures < kFailuresMax) continue;
    failures = 0;
    // All that could go is dirty, or in use.
    if (context.deadline <= env_.now()) co_return PageError::timed_out;
    if (manager_.statistics_.write_errors.load(std::memory_order_relaxed) != errors)
      co_return PageError::full;
    (void)co_await sleep_for(env_, kFramePoll);
  }
}

Task<Result<BufferFrame*>> BufferPort::pin(const CallContext& context, PageId id) {
  for (;;) {
    BufferFrame* frame = find(id);
    if (frame != nullptr) {
      if (frame->latch.try_exclusive()) {
        const bool same = frame->page_id.load(std::memory_order_relaxed) == id;
        if (same) frame->pins.fetch_add(1);
        frame->latch.release(false);
        if (same) co_return frame;
      }
      co_await yield(env_);
      if (is_over(context, env_.now())) co_return PageError::timed_out;
      continue;
    }
    FB_CO_CHECK(co_await load(context, id));
  }
}

std::vector<BufferPort::Retired> BufferPort::take_retired(uint64_t position) {
  const auto later = std::ranges::upper_bound(retired_, position, {}, &Retired::position);
  std::vector<Retired> taken(retired_.begin(), later);
  retired_.erase(retired_.begin(), later);
  return taken;
}

// --- eviction ---

bool BufferPort::evict_some() {
  const size_t wanted = manager_.options_.frame_count / manager_.options_.core_count / kCoolingShare + 1;
  while (cooling_.size() < wanted) {
    const size_t before = cooling_.size();
    cool_random();
    if (cooling_.size() == before) break;
  }
  // Not the whole queue: where most of it is dirty, time is better spent on writing that.
  for (size_t looked = std::min(cooling_.size(), kLooksMax); looked > 0; --looked) {
    if (evict_coolest()) return true;
  }
  return false;
}

void BufferPort::cool_random() {
  for (unsigned pick = 0; pick < kRandomPicks; ++pick) {
    BufferFrame* frame = &manager_.frames_[env_.random() % manager_.options_.frame_count];
    for (unsigned step = 0; step < kChildStepsMax && frame != nullptr; ++step) {
      if (frame->page_id.load(std::memory_order_relaxed).value == 0) break;
      env_.point("buffer.cool.look");
      if (!frame->latch.try_exclusive()) break;
      env_.point("buffer.cool.latched");
      BufferFrame* child = swizzled_child(*frame);
      const bool cooled = child == nullptr && cool(*frame);
      frame->latch.release(false);
      if (cooled) return;
      frame = child;
      env_.point("buffer.cool.child");
    }
  }
}

// A page that a link of a latched page points to as a pointer.
BufferFrame* BufferPort::swizzled_child(BufferFrame& frame) {
  const uint64_t version = frame.latch.version();
  if (frame.childless_at == version) return nullptr;
  const uint32_t place =
      find_link(art::PageView(frame), [](art::LinkWord word) { return word.is_frame(); }, blocks_);
  if (place != 0) {
    return static_cast<BufferFrame*>(art::LinkWord::raw(art::load64(frame.bytes + place)).frame());
  }
  frame.childless_at = version;
  return nullptr;
}

// Takes the pointer to a latched page without such children out of its parent. False where it is pinned, or
// the parent is in use.
bool BufferPort::cool(BufferFrame& frame) {
  const PageId id = frame.page_id.load(std::memory_order_relaxed);
  if (id.value == 0 || frame.pins.load() != 0 || frame.cooling.load(std::memory_order_relaxed)) return false;
  art::Frame* parent = frame.parent.load(std::memory_order_relaxed);
  if (parent != nullptr) {
    env_.point("buffer.cool.parent");
    if (!parent->latch.try_exclusive()) return false;
    uint32_t word_offset = 0;
    if (parent->page_id.load(std::memory_order_relaxed).value != 0) {
      const uint64_t word = art::LinkWord::of(&frame).word();
      word_offset = find_link(
          art::PageView(*parent), [word](art::LinkWord link) { return link.word() == word; }, blocks_);
    }
    if (word_offset != 0) art::store64(parent->bytes + word_offset, art::LinkWord::of(id).word());
    env_.point("buffer.cool.unlinked");
    frame.parent.store(nullptr, std::memory_order_relaxed);
    parent->latch.release(word_offset != 0);
  }
  env_.point("buffer.cool.done");
  cooling_.push_back({&frame, id});
  frame.cooling.store(true, std::memory_order_relaxed);
  manager_.statistics_.cooled.fetch_add(1, std::memory_order_relaxed);
  return true;
}

// Looks at the one that has waited longest: true where its frame is free now.
bool BufferPort::evict_coolest() {
  const Cooling coolest = cooling_.front();
  cooling_.pop_front();
  BufferFrame& frame = *coolest.frame;
  frame.cooling.store(false, std::memory_order_relaxed);
  env_.point("buffer.evict.look");
  if (!frame.latch.try_exclusive()) return false;
  const bool same = frame.page_id.load(std::memory_order_relaxed) == coolest.id;
  const bool dirty = frame.dirty_from.load() != 0 || frame.writing_from.load() != 0;
  const bool used = frame.parent.load(std::memory_order_relaxed) != nullptr || frame.pins.load() != 0;
  env_.point("buffer.evict.decided");
  if (!same || used || dirty || swizzled_child(frame) != nullptr) {
    frame.latch.release(false);
    if (same && !used && dirty) {
      cooling_.push_back(coolest);
      frame.cooling.store(true, std::memory_order_relaxed);
      if (frame.dirty_from.load() != 0) manager_.want_clean(frame);
    } else if (same) {
      manager_.statistics_.second_chances.fetch_add(1, std::memory_order_relaxed);
    }
    return false;
  }
  manager_.resident_.erase(env_, frame);
  env_.point("buffer.evict.erased");
  frame.page_id.store(PageId{}, std::memory_order_relaxed);
  frame.latch.release();
  env_.point("buffer.evict.free");
  give(frame);
  manager_.statistics_.evictions.fetch_add(1, std::memory_order_relaxed);
  return true;
}

}  // namespace fb
