// SPDX-License-Identifier: Apache-2.0
// Opening: the newest checkpoint, then the journal from its position. What records mean is taken in at once;
// what they change in pages is sorted by page and made when the page is loaded (page_redo.h): by who asks for
// it, or in the background after the start.
#include <algorithm>
#include <limits>

#include "io/log.h"
#include "nss/partition_front.h"

namespace fb {
namespace {

constexpr unsigned kRedoLoadsMax = 32;  // pages read side by side for their changes
constexpr unsigned kRedoAtOnce = 8;     // pages, before others get a turn
constexpr Duration kRedoRetry = Duration::milliseconds(500);
constexpr uint64_t kFrameCountMin = 128;
constexpr uint32_t kEpochMax = 1u << 24;  // of 64 bits of a version, what its counter leaves
constexpr uint32_t kReservePages = 512;   // of the page store: for what must be written on a full disk

// What goes wrong is logged where it does, and who needs the page hears of it again.
Task<void> load_page(BufferPort* port, PageId id, Semaphore::Units) { (void)co_await port->load({}, id); }

}  // namespace

Error Partition::refuse(std::string_view what) const {
  log(env_, LogLevel::error, fmt::format("namespace: {}", what));
  return NamespaceError::damaged;
}

// As the frames that there will be, which no budget makes fewer.
uint32_t Partition::reserve_pages(uint64_t memory_bytes, uint32_t page_bytes, unsigned cores) {
  const uint64_t frames = std::max(memory_bytes / page_bytes, kFrameCountMin * cores);
  return static_cast<uint32_t>(std::min<uint64_t>(kReservePages, frames / 4));
}

Task<Result<std::unique_ptr<Partition>>> Partition::open(Env& env, const Options& options,
                                                         const MetadataClients& stores) {
  FB_ASSERT(env.core() == 0, env.core());
  std::unique_ptr<Partition> partition(new Partition(env, options, stores));
  const Result<void> recovered = co_await partition->recover();
  if (!recovered) {
    (void)co_await partition->close();
    co_return recovered.error();
  }
  co_return partition;
}

// Where the stream of the journal ends: behind the last whole frame.
Task<Result<uint64_t>> Partition::find_end() {
  const JournalClient::Bounds bounds = journal_store_.bounds();
  uint64_t end = checkpoint_position_;
  if (bounds.next_sequence > bounds.first_sequence) {
    FB_CO_TRY(const auto frames, co_await journal_store_.read({}, bounds.next_sequence - 1));
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
  const uint64_t page_memory = align_up(page_store_.page_memory_bytes(), kDirectIoAlignment);
  const uint64_t frames = std::max(options_.memory_bytes / page_memory, kFrameCountMin * env_.core_count());
  journal_ = std::make_unique<JournalBuffer>(JournalBuffer::Options{
      .core_count = env_.core_count(),
      .position = end_position,
      .epoch = journal_store_.bounds().epoch,
      .ring_bytes = kRingBytes,
      .frame_bytes_max =
          std::min<uint64_t>(kMiB, journal_store_.frame_size_max() - kJournalFrameHeaderBytes)});
  buffers_ = std::make_unique<BufferManager>(
      BufferManager::Options{.core_count = env_.core_count(),
                             .frame_count = static_cast<uint32_t>(
                                 std::min<uint64_t>(frames, std::numeric_limits<uint32_t>::max() / 2)),
                             .next_page_id = 1,
                             .epoch = journal_store_.bounds().epoch},
      page_store_, *journal_);
  buffers_->use_redo(redo_);
  (void)ports(env_);
  scope_.spawn(&run_journal, this);
  scope_.spawn(&run_buffers, this);
  scope_.spawn(&run_deadlines, this);
  version_counter_.value.store(options_.first_version);
}

Task<Result<void>> Partition::recover() {
  const JournalClient::Bounds bounds = journal_store_.bounds();
  Checkpoint checkpoint;
  FB_CO_TRY(const auto stored, co_await checkpoints_.read_checkpoint({}));
  if (stored) {
    Result<Checkpoint> decoded = decode_checkpoint(stored->version, stored->bytes);
    if (!decoded) co_return refuse("the checkpoint makes no sense");
    checkpoint = std::move(*decoded);
  } else if (bounds.epoch != 0 || page_store_.page_count() != 0) {
    co_return refuse("there is no checkpoint that is whole, and the store is not new");
  } else {
    FB_CO_CHECK(co_await write_checkpoint(checkpoint));
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
  journal_store_.set_low_handler([this] { checkpoint_due_ = true; });
  // From here on nobody of an earlier epoch changes anything. And the journal's last frames are proven
  // durable before any is read: if one rots meanwhile, the next start refuses it, and does not take it for a
  // torn tail.
  const uint64_t epoch = std::max(bounds.epoch, page_store_.sealed_epoch()) + 1;
  FB_CO_CHECK(co_await journal_store_.seal({}, epoch));
  FB_CO_CHECK(co_await page_store_.seal({}, epoch));
  FB_CO_TRY(const uint64_t end, co_await find_end());
  incarnation_ = {static_cast<uint32_t>(epoch)};
  clean_ = checkpoint.clean;
  found_epoch_ = checkpoint.epoch;
  make_memory(end);
  buffers_->raise_next_page_id(checkpoint.next_page_id);
  for (const Garbage& item : checkpoint.ledger) ledger_[item.id] = item.block_count;
  for (const CheckpointTree& line : checkpoint.trees) {
    auto tree = std::make_shared<TreeState>(line.bucket, line.root, env_.core_count());
    tree->base = line.counts;
    trees_[line.bucket.value] = std::move(tree);
  }
  for (const PageId id : checkpoint.retired) redo_.retire(id);
  generation_.store(checkpoint.generation);
  FB_CO_CHECK(co_await replay(checkpoint.generation));
  redo_.added_all();
  generation_.fetch_add(1);
  buffers_->raise_next_page_id(redo_.page_id_max() + 1);
  for (const PageId id : redo_.retired()) retired_.push_back({id, end});
  note_boundary();
  FB_CO_CHECK(co_await open_trees());
  own_front_ = co_await PartitionFront::open(env_, *this);
  open_ = true;
  scope_.spawn(&run_redo, this);
  scope_.spawn(&run_checkpoints, this);
  if (find_tree(kSystemTree) == nullptr) FB_CO_CHECK(co_await create_tree({}, kSystemTree));
  co_return Result<void>();
}

Task<Result<void>> Partition::replay(uint64_t from_generation) {
  const JournalClient::Bounds bounds = journal_store_.bounds();
  JournalStreamReader reader(checkpoint_position_);
  for (uint64_t next = checkpoint_sequence_; next < bounds.next_sequence;) {
    FB_CO_TRY(const std::vector<JournalClient::Frame> frames, co_await journal_store_.read({}, next));
    uint64_t position = 0;
    for (const JournalClient::Frame& frame : frames) {
      next = frame.sequence + 1;
      uint64_t begin = 0;
      FB_CO_CHECK(reader.feed(frame));
      std::memcpy(&begin, frame.payload.data(), sizeof(begin));
      journal_->add_frame(frame.sequence, begin);
      for (;;) {
        FB_CO_TRY(const std::optional<JournalRecord> record, reader.next());
        if (!record) break;
        position = record->lsn.position;
        journal_before_ += record->body.size();
        ++statistics_.replayed_records;
        if (replay_record(*record, from_generation)) continue;
        co_return refuse(fmt::format("a record of the journal makes no sense; it ends at {}", position));
      }
    }
    if (position > boundaries_.back().position)
      boundaries_.push_back({.position = position, .written_bytes = journal_before_});
  }
  co_return Result<void>();
}

Result<void> Partition::replay_record(const JournalRecord& record, uint64_t from_generation) {
  std::string_view body = record.body;
  if (record.kind == JournalRecordKind::commit) {
    CommitHead head;
    FB_CHECK(decode_commit_head(body, head));
    if (head.generation > generation()) generation_.store(head.generation);
    for (const Garbage& item : head.garbage) ledger_[item.id] = item.block_count;
    const std::shared_ptr<TreeState> tree = find_tree(head.bucket);
    if (tree != nullptr && head.generation >= from_generation) tree->base += head.counts;
  } else if (record.kind != JournalRecordKind::change) {
    const bool made = record.kind == JournalRecordKind::tree_made;
    if (!made && record.kind != JournalRecordKind::tree_dropped) return JournalError::damaged;
    FB_TRY(const TreeHead head, decode_tree_head(record.kind, body));
    if (!made) {
      trees_.erase(head.bucket.value);
    } else if (find_tree(head.bucket) == nullptr) {
      trees_[head.bucket.value] = std::make_shared<TreeState>(head.bucket, head.root, env_.core_count());
    }
  }
  return redo_.add(body, record.lsn);
}

// The changes of all pages that nobody has asked for yet. Until they are made the checkpoint stays where it
// is; then one follows at once, so that crashes in a row do not make the replay longer and longer.
Task<void> Partition::run_redo(Partition* self) {
  const bool replayed = self->statistics_.replayed_records != 0;
  Semaphore loads(self->env_, kRedoLoadsMax);
  while (!self->redo_.empty()) {
    Scope scope(self->env_);
    unsigned done = 0;
    for (const PageId id : self->redo_.pages()) {
      if (self->stopping_) break;
      if (++done % kRedoAtOnce == 0) co_await yield(self->env_);  // new ones come without reading
      auto unit = co_await loads.acquire();
      if (self->redo_.has(id)) scope.spawn(&load_page, self->ports_[0].buffers, id, std::move(unit));
    }
    co_await scope.join();
    if (self->redo_.empty() || self->closing()) break;
    (void)co_await sleep_for(self->env_, kRedoRetry, &self->stop_sleeps_);
  }
  self->redone_ = true;
  self->checkpoint_due_ = self->checkpoint_due_ || replayed;
  self->redo_ended_.notify_all();
}

Task<Result<void>> Partition::open_trees() {
  std::vector<std::shared_ptr<TreeState>> trees;
  for (const auto& [bucket, tree] : trees_) trees.push_back(tree);
  for (const std::shared_ptr<TreeState>& tree : trees) {
    const Result<BufferFrame*> root = co_await ports_[0].buffers->pin({}, tree->root_page);
    if (root) {
      tree->root = *root;
      continue;
    }
    if (!root.error().is(PageError::damaged)) co_return root.error();
    log(env_, LogLevel::error, "namespace: the root of a bucket is lost; its objects cannot be served",
        {{"bucket", tree->bucket.value}, {"page", tree->root_page.value}});
  }
  for (const std::shared_ptr<TreeState>& tree : trees) tree->has_detached.store(tree->root != nullptr);
  co_return Result<void>();
}

}  // namespace fb
