// SPDX-License-Identifier: Apache-2.0
// Opening: the snapshot, then the journal from where the snapshot was begun. A change is made again only
// where it is newer than what the map holds, because the snapshot may hold later changes already.
#include <limits>

#include "io/log.h"
#include "nss/namespace_engine.h"
#include "nss/snapshot_file.h"

namespace fb {
namespace {

Error refuse(Env& env, std::string_view what, const std::string& directory) {
  log(env, LogLevel::error, fmt::format("namespace: {}", what), {{"directory", directory}});
  return NamespaceError::damaged;
}

}  // namespace

Task<Result<std::unique_ptr<NamespaceEngine>>> NamespaceEngine::open(Env& env, const Options& options) {
  FB_ASSERT(env.core() == 0, env.core());
  std::unique_ptr<NamespaceEngine> engine(new NamespaceEngine(env, options));
  const Result<void> recovered = co_await engine->recover();
  if (!recovered) {
    if (engine->journal_ != nullptr) (void)co_await engine->journal_->close();
    co_return recovered.error();
  }
  engine->open_ = true;
  co_return engine;
}

// The frame from which to replay.
Task<Result<uint64_t>> NamespaceEngine::load_snapshot(uint64_t& epoch, uint64_t& sequence_ended) {
  Tree* tree = nullptr;
  const SnapshotVisitor visitor{
      .tree = [&](BucketId bucket) { tree = &make_tree(bucket); },
      .entry = [&](TreeKey key, Version version,
                   std::string_view record) { put_entry(*tree, Entry::make(key, version, record)); },
      .garbage = [&](const Garbage& garbage) { ledger_[garbage.id] = garbage.block_count; },
  };
  const auto summary =
      co_await read_snapshot(env_, options_.directory + "/snapshot", options_.store_id, visitor);
  if (!summary && summary.error().is(IoError::not_found)) co_return uint64_t{1};
  FB_CO_CHECK(summary);
  epoch = summary->epoch;
  sequence_ended = summary->sequence_ended;
  co_return summary->sequence_begun + 1;
}

void NamespaceEngine::replay_change(const Change& change, uint64_t sequence) {
  switch (change.kind) {
    case ChangeKind::create_tree:
      make_tree(change.bucket);
      break;
    case ChangeKind::drop_tree: {
      if (Tree* tree = find_tree(change.bucket); tree != nullptr) clear_tree(*tree);
      trees_.erase(change.bucket.value);
      break;
    }
    case ChangeKind::commit: {
      // A tree that is not there was dropped before the snapshot came to it; the drop follows and removes it
      // again.
      Tree& tree = make_tree(change.bucket);
      for (size_t i = 0; i < change.mutations.size(); ++i) {
        const Mutation& mutation = change.mutations[i];
        const Version version = version_at(sequence, i);
        const Entry* existing = tree.map.find({mutation.space, mutation.key});
        const bool newer_there = existing != nullptr && existing->version() >= version;
        if (mutation.kind == Mutation::Kind::erase_prefix) {
          remove_prefix(tree, mutation.space, mutation.key, version);
        } else if (!newer_there) {
          make_change(tree, mutation, version, 0);
        }
      }
      break;
    }
    case ChangeKind::freed:
      for (const Garbage& item : change.garbage) ledger_.erase(item.id);
      return;
    case ChangeKind::number:
    case ChangeKind::discard:
      break;
  }
  for (const Garbage& item : change.garbage) ledger_[item.id] = item.block_count;
}

Task<Result<void>> NamespaceEngine::replay(uint64_t from_sequence) {
  Change change;
  uint64_t next = from_sequence;
  while (next < journal_->bounds().next_sequence) {
    FB_CO_TRY(const std::vector<JournalClient::Frame> frames, co_await journal_->read({}, next));
    for (const JournalClient::Frame& frame : frames) {
      FB_CO_CHECK(decode_change(frame.payload, change));
      replay_change(change, frame.sequence);
      ++statistics_.replayed_frames;
      next = frame.sequence + 1;
    }
  }
  co_return Result<void>();
}

Task<Result<void>> NamespaceEngine::recover() {
  const std::string journal_directory = options_.directory + "/journal";
  // Also makes the snapshot's name durable, of which a killed process may have left that undone.
  FB_CO_CHECK(co_await ensure_directory(env_, options_.directory));
  FB_CO_CHECK(co_await ensure_directory(env_, journal_directory));
  uint64_t epoch = 0;
  uint64_t sequence_ended = 0;
  FB_CO_TRY(const uint64_t from_sequence, co_await load_snapshot(epoch, sequence_ended));
  FB_CO_TRY(journal_, co_await JournalFile::open(env_, {.directory = journal_directory,
                                                        .store_id = options_.store_id,
                                                        .segment_bytes = options_.segment_bytes,
                                                        .size_bytes_max = options_.journal_bytes_max}));
  const JournalClient::Bounds bounds = journal_->bounds();
  if (bounds.first_sequence > from_sequence) {
    co_return refuse(env_, "the journal begins after the snapshot ends: one of them is missing",
                     options_.directory);
  }
  if (bounds.next_sequence <= sequence_ended || bounds.epoch < epoch) {
    co_return refuse(env_, "the journal ends before the snapshot does: it is missing or old",
                     options_.directory);
  }
  FB_CO_CHECK(co_await replay(from_sequence));
  make_tree(kSystemTree);
  if (bounds.epoch >= std::numeric_limits<uint32_t>::max()) {
    co_return refuse(env_, "no incarnations are left", options_.directory);
  }
  FB_CO_CHECK(co_await journal_->seal({}, bounds.epoch + 1));
  incarnation_ = {static_cast<uint32_t>(bounds.epoch + 1)};
  co_return Result<void>();
}

}  // namespace fb
