// SPDX-License-Identifier: Apache-2.0
// Opening: the newest checkpoint, then the journal from its position. Records are redone in their order on
// the pages they name, in the same frames that will serve: each page's part stands alone, and a page that is
// as new as a record passes over it. Pages that a batch of records needs are read side by side before.
#include <algorithm>
#include <limits>

#include "art/page_op.h"
#include "io/log.h"
#include "nss/partition_front.h"

namespace fb {
namespace {

constexpr size_t kBatchBytes = 4 * kMiB;  // of journal, redone together
constexpr unsigned kLoadsMax = 64;        // pages read side by side
constexpr uint64_t kFrameCountMin = 128;
constexpr uint32_t kEpochMax = 1u << 24;  // of 64 bits of a version, what its counter leaves
constexpr uint32_t kReservePages = 512;   // of the page store: for what must be written on a full disk

Task<void> load_page(BufferPort* port, PageId id, Semaphore* loads) {
  const auto unit = co_await loads->acquire();
  (void)co_await port->load({}, id);  // who needs it asks again, and hears what is wrong
}

}  // namespace

struct Partition::Replay {
  struct Item {
    Lsn lsn;
    JournalRecordKind kind;
    std::string body;
  };
  std::vector<Item> items;
  size_t bytes = 0;
  uint64_t generation = 0;            // the highest seen
  uint64_t page_id = 0;               // the highest seen
  std::unordered_set<uint64_t> lost;  // pages that are damaged
  std::set<uint64_t> retired;         // gone: by the checkpoint, or by what was redone so far
};

Error Partition::refuse(std::string_view what) const {
  log(env_, LogLevel::error, fmt::format("namespace: {}", what), {{"directory", options_.directory}});
  return NamespaceError::damaged;
}

Task<Result<std::unique_ptr<Partition>>> Partition::open(Env& env, const Options& options) {
  FB_ASSERT(env.core() == 0, env.core());
  std::unique_ptr<Partition> partition(new Partition(env, options));
  const Result<void> recovered = co_await partition->recover();
  if (!recovered) {
    (void)co_await partition->close();
    co_return recovered.error();
  }
  co_return partition;
}

Task<Result<void>> Partition::open_files() {
  FB_CO_CHECK(co_await ensure_directory(env_, options_.directory));
  const std::string journal = options_.directory + "/journal";
  const std::string pages = options_.directory + "/pages";
  FB_CO_CHECK(co_await ensure_directory(env_, journal));
  FB_CO_CHECK(co_await ensure_directory(env_, pages));
  if (options_.journal_bytes_max == 0) {
    FB_CO_TRY(const FileSystemSpace disk, co_await file_system_space(env_, options_.directory));
    options_.journal_bytes_max =
        std::clamp(align_down(disk.total_bytes / kJournalShareOfDisk, options_.segment_bytes),
                   kJournalSegmentsMin * options_.segment_bytes, kJournalBytesMax);
  }
  FB_CO_TRY(checkpoints_, co_await CheckpointFile::open(env_, options_.directory, options_.store_id));
  FB_CO_TRY(journal_file_, co_await JournalFile::open(env_, {.directory = journal,
                                                             .store_id = options_.store_id,
                                                             .segment_bytes = options_.segment_bytes,
                                                             .size_bytes_max = options_.journal_bytes_max}));
  journal_file_->set_low_handler([this] { checkpoint_due_ = true; });
  // As the frames that there will be, which no budget makes fewer.
  const uint64_t frames =
      std::max(options_.memory_bytes / options_.page_bytes, kFrameCountMin * env_.core_count());
  const auto reserve = static_cast<uint32_t>(std::min<uint64_t>(kReservePages, frames / 4));
  FB_CO_TRY(page_file_, co_await PageFile::open(env_, {.directory = pages,
                                                       .store_id = options_.store_id,
                                                       .slot_bytes = options_.page_bytes,
                                                       .log_bytes = options_.page_log_bytes,
                                                       .growth_bytes = options_.page_growth_bytes,
                                                       .size_bytes_max = options_.page_store_bytes_max,
                                                       .reserve_pages = reserve}));
  co_return Result<void>();
}

// Where the stream of the journal ends: behind the last whole frame.
Task<Result<uint64_t>> Partition::find_end() {
  const JournalClient::Bounds bounds = journal_file_->bounds();
  uint64_t end = checkpoint_position_;
  if (bounds.next_sequence > bounds.first_sequence) {
    FB_CO_TRY(const auto frames, co_await journal_file_->read({}, bounds.next_sequence - 1));
    uint64_t begin = 0;
    const std::string& payload = frames.back().payload;
    if (payload.size() < kJournalFrameHeaderBytes) co_return JournalError::damaged;
    std::memcpy(&begin, payload.data(), sizeof(begin));
    end = begin + payload.size() - kJournalFrameHeaderBytes;
  }
  if (end < checkpoint_position_) {
    co_return refuse("the journal ends before the checkpoint does: it is missing or old");
  }
  co_return end;
}

void Partition::make_memory(uint64_t end_position) {
  const uint64_t page_memory = align_up(page_file_->page_memory_bytes(), kDirectIoAlignment);
  const uint64_t frames = std::max(options_.memory_bytes / page_memory, kFrameCountMin * env_.core_count());
  journal_ = std::make_unique<JournalBuffer>(JournalBuffer::Options{
      .core_count = env_.core_count(),
      .position = end_position,
      .epoch = journal_file_->bounds().epoch,
      .ring_bytes = kRingBytes,
      .frame_bytes_max =
          std::min<uint64_t>(kMiB, journal_file_->frame_size_max() - kJournalFrameHeaderBytes)});
  buffers_ = std::make_unique<BufferManager>(
      BufferManager::Options{.core_count = env_.core_count(),
                             .frame_count = static_cast<uint32_t>(
                                 std::min<uint64_t>(frames, std::numeric_limits<uint32_t>::max() / 2)),
                             .next_page_id = 1,
                             .epoch = journal_file_->bounds().epoch},
      *page_file_, *journal_);
  (void)ports(env_);
  scope_.spawn(&run_journal, this);
  scope_.spawn(&run_buffers, this);
}

Task<Result<void>> Partition::recover() {
  FB_CO_CHECK(co_await open_files());
  const JournalClient::Bounds bounds = journal_file_->bounds();
  Checkpoint checkpoint;
  if (checkpoints_->found()) {
    checkpoint = *checkpoints_->found();
  } else if (bounds.epoch != 0 || page_file_->page_count() != 0) {
    co_return refuse("there is no checkpoint that is whole, and the store is not new");
  } else {
    FB_CO_CHECK(co_await checkpoints_->write(checkpoint));
  }
  if (bounds.epoch < checkpoint.epoch) co_return refuse("the journal is older than the checkpoint");
  if (bounds.first_sequence > checkpoint.sequence) {
    co_return refuse("the journal begins after the checkpoint ends: one of them is missing");
  }
  if (bounds.epoch + 1 >= kEpochMax) co_return refuse("no incarnations are left");
  checkpoint_number_ = checkpoint.number;
  checkpoint_position_ = checkpoint.position;
  checkpoint_sequence_ = checkpoint.sequence;
  boundaries_.push_back({.position = checkpoint.position, .written_bytes = 0});
  FB_CO_TRY(const uint64_t end, co_await find_end());
  // From here on nobody of an earlier epoch changes anything.
  const uint64_t epoch = std::max(bounds.epoch, page_file_->sealed_epoch()) + 1;
  FB_CO_CHECK(co_await journal_file_->seal({}, epoch));
  FB_CO_CHECK(co_await page_file_->seal({}, epoch));
  incarnation_ = {static_cast<uint32_t>(epoch)};
  clean_ = checkpoint.clean;
  make_memory(end);
  buffers_->raise_next_page_id(checkpoint.next_page_id);
  for (const Garbage& item : checkpoint.ledger) ledger_[item.id] = item.block_count;
  for (const CheckpointTree& line : checkpoint.trees) {
    auto tree = std::make_shared<TreeState>(line.bucket, line.root, env_.core_count());
    tree->base = line.counts;
    trees_[line.bucket.value] = std::move(tree);
  }
  Replay state{.generation = checkpoint.generation};
  for (const PageId id : checkpoint.retired) state.retired.insert(id.value);
  FB_CO_CHECK(co_await replay(state, checkpoint.generation));
  generation_.store(state.generation + 1);
  buffers_->raise_next_page_id(state.page_id + 1);
  for (const uint64_t id : state.retired) retired_.push_back({PageId{id}, end});
  note_boundary();
  FB_CO_CHECK(co_await open_trees());
  own_front_ = co_await PartitionFront::open(env_, *this);
  open_ = true;
  // So that crashes in a row do not make the replay longer and longer.
  checkpoint_due_ = statistics_.replayed_records != 0;
  scope_.spawn(&run_checkpoints, this);
  if (find_tree(kSystemTree) == nullptr) FB_CO_CHECK(co_await create_tree({}, kSystemTree));
  co_return Result<void>();
}

Task<Result<void>> Partition::replay(Replay& state, uint64_t from_generation) {
  const JournalClient::Bounds bounds = journal_file_->bounds();
  JournalStreamReader reader(checkpoint_position_);
  for (uint64_t next = checkpoint_sequence_; next < bounds.next_sequence;) {
    FB_CO_TRY(const std::vector<JournalClient::Frame> frames, co_await journal_file_->read({}, next));
    for (const JournalClient::Frame& frame : frames) {
      next = frame.sequence + 1;
      uint64_t begin = 0;
      FB_CO_CHECK(reader.feed(frame));
      std::memcpy(&begin, frame.payload.data(), sizeof(begin));
      journal_->add_frame(frame.sequence, begin);
      for (;;) {
        FB_CO_TRY(const std::optional<JournalRecord> record, reader.next());
        if (!record) break;
        state.items.push_back({record->lsn, record->kind, std::string(record->body)});
        state.bytes += record->body.size();
      }
    }
    if (state.bytes >= kBatchBytes) FB_CO_CHECK(co_await replay_batch(state, from_generation));
  }
  co_return co_await replay_batch(state, from_generation);
}

Task<Result<void>> Partition::replay_batch(Replay& state, uint64_t from_generation) {
  co_await load_pages(state);
  for (const Replay::Item& item : state.items) {
    ++statistics_.replayed_records;
    const Result<void> done = co_await replay_record(item.kind, item.lsn, item.body, state, from_generation);
    if (done) continue;
    if (done.error().is(JournalError::damaged) || done.error().is(NamespaceError::damaged)) {
      co_return refuse(
          fmt::format("a record of the journal makes no sense; it ends at {}", item.lsn.position));
    }
    co_return done;
  }
  journal_before_ += state.bytes;
  if (!state.items.empty() && state.items.back().lsn.position != boundaries_.back().position)
    boundaries_.push_back({.position = state.items.back().lsn.position, .written_bytes = journal_before_});
  state.items.clear();
  state.bytes = 0;
  co_return Result<void>();
}

// Takes the head off a record's body.
Result<std::string_view> Partition::replay_head(JournalRecordKind kind, std::string_view body, Replay& state,
                                                uint64_t from_generation, bool apply) {
  if (kind == JournalRecordKind::change) return body;
  if (kind == JournalRecordKind::commit) {
    CommitHead head;
    FB_CHECK(decode_commit_head(body, head));
    if (!apply) return body;
    state.generation = std::max(state.generation, head.generation);
    for (const Garbage& item : head.garbage) ledger_[item.id] = item.block_count;
    const std::shared_ptr<TreeState> tree = find_tree(head.bucket);
    if (tree != nullptr && head.generation >= from_generation) tree->base += head.counts;
    return body;
  }
  if (kind != JournalRecordKind::tree_made && kind != JournalRecordKind::tree_dropped)
    return JournalError::damaged;
  FB_TRY(const TreeHead head, decode_tree_head(kind, body));
  if (!apply) return body;
  if (kind == JournalRecordKind::tree_dropped) {
    trees_.erase(head.bucket.value);
  } else if (find_tree(head.bucket) == nullptr) {
    trees_[head.bucket.value] = std::make_shared<TreeState>(head.bucket, head.root, env_.core_count());
  }
  return body;
}

// What the batch will change, read side by side.
Task<void> Partition::load_pages(Replay& state) {
  std::vector<PageId> wanted;
  std::unordered_set<uint64_t> seen;
  const size_t most = buffers_->frame_count() / 2;
  for (const Replay::Item& item : state.items) {
    const Result<std::string_view> change = replay_head(item.kind, item.body, state, 0, false);
    if (!change) continue;  // reported where it is redone
    art::ChangeReader reader(*change);
    for (art::ChangePage page; reader.next(page);) {
      // What is created here need not be read.
      if (state.retired.contains(page.page.value) || !seen.insert(page.page.value).second) continue;
      const bool read =
          page.action == art::ChangePage::Action::change && buffers_->resident(page.page) == nullptr;
      if (read && wanted.size() < most) wanted.push_back(page.page);
    }
  }
  Scope scope(env_);
  Semaphore loads(env_, kLoadsMax);
  for (const PageId id : wanted) scope.spawn(&load_page, ports_[0].buffers, id, &loads);
  co_await scope.join();
}

Task<Result<void>> Partition::replay_record(JournalRecordKind kind, Lsn lsn, std::string_view body,
                                            Replay& state, uint64_t from_generation) {
  FB_CO_TRY(const std::string_view change, replay_head(kind, body, state, from_generation, true));
  art::ChangeReader reader(change);
  for (art::ChangePage page; reader.next(page);) {
    state.page_id = std::max(state.page_id, page.page.value);
    if (page.action == art::ChangePage::Action::retire) {
      buffers_->forget(page.page);
      state.retired.insert(page.page.value);
      continue;
    }
    FB_CO_CHECK(co_await replay_page(page, lsn, state));
  }
  if (!reader.ok()) co_return JournalError::damaged;
  co_return Result<void>();
}

Task<Result<void>> Partition::replay_page(const art::ChangePage& page, Lsn lsn, Replay& state) {
  BufferPort& port = *ports_[0].buffers;
  const bool creates = page.action == art::ChangePage::Action::create;
  // It had left its tree when the checkpoint was made, so its last changes were not stored.
  if (state.retired.contains(page.page.value)) co_return Result<void>();
  if (state.lost.contains(page.page.value) && !creates) co_return Result<void>();
  BufferFrame* frame = nullptr;
  while ((frame = buffers_->resident(page.page)) == nullptr) {
    const Result<void> loaded = co_await port.load_if_stored({}, page.page, creates);
    if (loaded) continue;
    if (!loaded.error().is(PageError::damaged)) co_return loaded;
    // What hangs there is lost, and said so when it is asked for; all else goes on.
    log(env_, LogLevel::error, "namespace: a page that the journal changes is lost",
        {{"page", page.page.value}, {"position", lsn.position}});
    state.lost.insert(page.page.value);
    co_return Result<void>();
  }
  const bool latched = frame->latch.try_exclusive();
  FB_ASSERT(latched);
  const Result<void> redone = art::redo(art::PageEditor(*frame), page, lsn);
  if (art::PageView(*frame).lsn() == lsn) port.changed(*frame);
  frame->latch.release();
  if (!redone) co_return JournalError::damaged;
  co_return Result<void>();
}

Task<Result<void>> Partition::open_trees() {
  for (auto& [bucket, tree] : trees_) {
    const Result<BufferFrame*> root = co_await ports_[0].buffers->pin({}, tree->root_page);
    if (root) {
      tree->root = *root;
      continue;
    }
    if (!root.error().is(PageError::damaged)) co_return root.error();
    log(env_, LogLevel::error, "namespace: the root of a bucket is lost; its objects cannot be served",
        {{"bucket", bucket}, {"page", tree->root_page.value}});
  }
  for (auto& [bucket, tree] : trees_) tree->has_detached.store(tree->root != nullptr);
  co_return Result<void>();
}

}  // namespace fb
