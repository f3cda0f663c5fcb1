// SPDX-License-Identifier: Apache-2.0
// The radix tree in memory, beside LMDB and RocksDB on the same keys and values, on one core.
//
//     GLIBC_TUNABLES=glibc.malloc.hugetlb=1 taskset -c 0 fb_art_bench [KEYS] [FOLDER] [alone]
//
// prints one line a figure: what, each engine's rate, ours over theirs. `alone`: without the peers.
//
// Keys: datasets/imagenet-DD/train/class-DDDD/shard-DDD/<16 hex>.jpg with uniformly random fields; values of
// 200 bytes, copied out on every side. LMDB: MDB_NORDAHEAD | MDB_NOSYNC | MDB_WRITEMAP, 10,000 puts a
// transaction, reads in one reading transaction. RocksDB: no compression, bloom filter 10 bits, 8 GB block
// cache, 256 MiB write buffer, no WAL, compacted before reads. Ours: pages of 16 KiB, all in memory; a record
// for each change is made and copied to a ring of 8 MiB that goes nowhere. Batched look-ups: 64 keys a call,
// by Tree::get_many and RocksDB's MultiGet; LMDB has no such call and looks up one after the other. Each
// reading figure is the median of five rounds in which the engines take turns.
#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "art/cursor.h"
#include "art/memory_source.h"
#include "art/tree.h"
#include "art/tree_check.h"
#include "peer_stores.h"

namespace {

using namespace fb;

// CPU time of the process: other work on the machine counts as little as it can.
struct Clock {
  static double now() {
    timespec time{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }
};

constexpr uint32_t kValueBytes = 200;
constexpr uint32_t kRounds = 5;
constexpr uint32_t kPageKeys = 1000;
constexpr uint32_t kBatchKeys = 64;

double seconds_since(double start) { return Clock::now() - start; }

// All keys in one piece: they are of one length.
class Keys {
 public:
  explicit Keys(uint64_t count) : count_(count) {
    std::mt19937_64 random(1);
    for (uint64_t i = 0; i < count; ++i) {
      text_ += fmt::format("datasets/imagenet-{:02}/train/class-{:04}/shard-{:03}/{:016x}.jpg", random() % 20,
                           random() % 1000, random() % 100, random());
      if (i == 0) {
        size_ = text_.size();
        text_.reserve(size_ * count);
      }
    }
  }
  uint64_t count() const { return count_; }
  std::string_view operator[](uint64_t i) const { return std::string_view(text_).substr(i * size_, size_); }
  size_t bytes() const { return size_; }

 private:
  uint64_t count_;
  size_t size_ = 0;
  std::string text_;
};

std::string_view value_of(std::string_view key, std::string& value) {
  value.assign(kValueBytes, 'v');
  std::memcpy(value.data(), key.data() + key.size() - 20, 16);
  return value;
}

class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string name() const = 0;
  virtual void put_all(const Keys& keys) = 0;
  virtual void settle() {}
  // Looks all keys up in an order of their own; the number found.
  virtual uint64_t get_all(const Keys& keys, const std::vector<uint32_t>& order) = 0;
  // The same, kBatchKeys in a call where the engine has such a call.
  virtual uint64_t get_batches(const Keys& keys, const std::vector<uint32_t>& order) {
    return get_all(keys, order);
  }
  virtual uint64_t scan() = 0;
  // Keys from `from` on, and folders behind the prefix `under`, up to 1000 of them.
  virtual uint64_t page_of_keys(std::string_view from) = 0;
  virtual uint64_t page_of_prefixes(std::string_view under) = 0;
  virtual double bytes_per_key(uint64_t keys) = 0;
};

class RingJournal {
 public:
  Lsn append(std::string_view record) {
    if (at_ + record.size() > ring_.size()) at_ = 0;
    std::memcpy(ring_.data() + at_, record.data(), record.size());
    at_ += record.size();
    bytes_ += record.size();
    return {1, ++count_};
  }
  uint64_t bytes() const { return bytes_; }

 private:
  std::vector<char> ring_ = std::vector<char>(8 << 20);
  size_t at_ = 0;
  uint64_t bytes_ = 0;
  uint64_t count_ = 0;
};

class OurEngine : public Engine {
 public:
  static constexpr uint32_t kPageBytes = 16 * 1024;
  // Memory for pages is there beforehand, as the buffer manager's is.
  explicit OurEngine(uint64_t keys)
      : source_(kPageBytes, keys * 380 / kPageBytes), gate_(1), tree_(source_, journal_, gate_) {}
  std::string name() const override { return "art"; }
  void put_all(const Keys& keys) override {
    std::string value;
    for (uint64_t i = 0; i < keys.count(); ++i) {
      const auto put = tree_.put(keys[i], value_of(keys[i], value));
      FB_ASSERT(put.outcome == art::Outcome::done);
    }
  }
  uint64_t get_all(const Keys& keys, const std::vector<uint32_t>& order) override {
    char value[kValueBytes];
    uint64_t found = 0;
    for (const uint32_t i : order) {
      const auto got = tree_.get(keys[i], [&](uint8_t, std::string_view bytes) {
        std::memcpy(value, bytes.data(), std::min<size_t>(bytes.size(), kValueBytes));
      });
      found += got.outcome == art::Outcome::done && value[0] != 0;
    }
    return found;
  }
  uint64_t get_batches(const Keys& keys, const std::vector<uint32_t>& order) override {
    std::array<std::string_view, kBatchKeys> batch;
    std::array<art::Answer, kBatchKeys> answers;
    std::array<char[kValueBytes], kBatchKeys> values;
    uint64_t found = 0;
    for (size_t begin = 0; begin < order.size(); begin += kBatchKeys) {
      const size_t count = std::min<size_t>(kBatchKeys, order.size() - begin);
      for (size_t i = 0; i < count; ++i) batch[i] = keys[order[begin + i]];
      tree_.get_many(std::span(batch).first(count), std::span(answers).first(count),
                     [&](size_t i, uint8_t, std::string_view bytes) {
                       std::memcpy(values[i], bytes.data(), std::min<size_t>(bytes.size(), kValueBytes));
                     });
      for (size_t i = 0; i < count; ++i)
        found += answers[i].outcome == art::Outcome::done && values[i][0] != 0;
    }
    return found;
  }
  uint64_t scan() override {
    art::Cursor cursor(source_, gate_);
    cursor.begin();
    uint64_t found = 0;
    for (auto at = cursor.seek(""); at.outcome == art::Outcome::done; at = cursor.next()) ++found;
    return found;
  }
  uint64_t page_of_keys(std::string_view from) override {
    art::Cursor cursor(source_, gate_);
    cursor.begin();
    uint64_t found = 0;
    for (auto at = cursor.seek(from); found < kPageKeys && at.outcome == art::Outcome::done;
         at = cursor.next())
      ++found;
    return found;
  }
  uint64_t page_of_prefixes(std::string_view under) override {
    art::Cursor cursor(source_, gate_);
    cursor.begin();
    uint64_t found = 0;
    for (auto at = cursor.seek(under); found < kPageKeys && at.outcome == art::Outcome::done;) {
      if (!cursor.key().starts_with(under)) break;
      ++found;
      at = cursor.skip(static_cast<uint32_t>(cursor.key().find('/', under.size()) + 1));
    }
    return found;
  }
  double bytes_per_key(uint64_t keys) override {
    return static_cast<double>(source_.pages() * kPageBytes) / static_cast<double>(keys);
  }
  art::TreeCheck check() { return art::verify_tree(source_); }
  double journal_bytes_per_key(uint64_t keys) {
    return static_cast<double>(journal_.bytes()) / static_cast<double>(keys);
  }
  bool rename(std::string_view from, std::string_view to) {
    return tree_.rename_prefix(from, to).outcome == art::Outcome::done;
  }

 private:
  art::MemorySource<true> source_;
  RingJournal journal_;
  art::RenameGate gate_;
  art::Tree<art::MemorySource<true>, RingJournal> tree_;
};

#ifdef FB_BENCH_LMDB
class LmdbEngine : public Engine, bench::LmdbStore {
 public:
  explicit LmdbEngine(const std::string& folder) : LmdbStore(folder, false) {}
  std::string name() const override { return "lmdb"; }
  void put_all(const Keys& keys) override {
    constexpr uint64_t kBatch = 10'000;
    std::string text;
    for (uint64_t i = 0; i < keys.count();) {
      MDB_txn* txn = nullptr;
      check(mdb_txn_begin(env_, nullptr, 0, &txn));
      for (const uint64_t end = std::min(i + kBatch, keys.count()); i < end; ++i) {
        MDB_val key = val(keys[i]);
        MDB_val value = val(value_of(keys[i], text));
        check(mdb_put(txn, dbi_, &key, &value, 0));
      }
      check(mdb_txn_commit(txn));
    }
  }
  uint64_t get_all(const Keys& keys, const std::vector<uint32_t>& order) override {
    MDB_txn* txn = nullptr;
    check(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn));
    char out[kValueBytes];
    uint64_t found = 0;
    for (const uint32_t i : order) {
      MDB_val key = val(keys[i]);
      MDB_val value{};
      if (mdb_get(txn, dbi_, &key, &value) != 0) continue;
      std::memcpy(out, value.mv_data, std::min<size_t>(value.mv_size, kValueBytes));
      found += out[0] != 0;
    }
    mdb_txn_abort(txn);
    return found;
  }
  uint64_t scan() override { return walk("", ~uint64_t{0}); }
  uint64_t page_of_keys(std::string_view from) override { return walk(from, kPageKeys); }
  uint64_t page_of_prefixes(std::string_view under) override {
    MDB_txn* txn = nullptr;
    MDB_cursor* cursor = nullptr;
    check(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn));
    check(mdb_cursor_open(txn, dbi_, &cursor));
    uint64_t found = 0;
    std::string goal(under);
    MDB_val key = val(goal);
    MDB_val value{};
    while (found < kPageKeys && mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE) == 0) {
      const std::string_view text(static_cast<char*>(key.mv_data), key.mv_size);
      if (!text.starts_with(under)) break;
      ++found;
      goal = text.substr(0, text.find('/', under.size()) + 1);
      ++goal.back();
      key = val(goal);
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return found;
  }
  double bytes_per_key(uint64_t keys) override {
    return static_cast<double>(stored_bytes()) / static_cast<double>(keys);
  }

 private:
  uint64_t walk(std::string_view from, uint64_t most) {
    MDB_txn* txn = nullptr;
    MDB_cursor* cursor = nullptr;
    check(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn));
    check(mdb_cursor_open(txn, dbi_, &cursor));
    std::string key_copy;
    std::string value_copy;
    uint64_t found = 0;
    MDB_val key = val(from);
    MDB_val value{};
    int code = mdb_cursor_get(cursor, &key, &value, from.empty() ? MDB_FIRST : MDB_SET_RANGE);
    for (; code == 0 && found < most; code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
      key_copy.assign(static_cast<char*>(key.mv_data), key.mv_size);
      value_copy.assign(static_cast<char*>(value.mv_data), value.mv_size);
      ++found;
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return found;
  }
};
#endif

#ifdef FB_BENCH_ROCKSDB
class RocksEngine : public Engine, bench::RocksStore {
 public:
  explicit RocksEngine(const std::string& folder) : RocksStore(folder) {}
  std::string name() const override { return "rocksdb"; }
  void put_all(const Keys& keys) override {
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    std::string value;
    for (uint64_t i = 0; i < keys.count(); ++i) {
      const auto text = value_of(keys[i], value);
      FB_ASSERT(db_->Put(options, slice(keys[i]), slice(text)).ok());
    }
  }
  void settle() override { FB_ASSERT(db_->CompactRange({}, nullptr, nullptr).ok()); }
  uint64_t get_all(const Keys& keys, const std::vector<uint32_t>& order) override {
    std::string value;
    uint64_t found = 0;
    for (const uint32_t i : order) found += db_->Get({}, slice(keys[i]), &value).ok();
    return found;
  }
  uint64_t get_batches(const Keys& keys, const std::vector<uint32_t>& order) override {
    std::array<rocksdb::Slice, kBatchKeys> batch;
    std::array<rocksdb::PinnableSlice, kBatchKeys> values;
    std::array<rocksdb::Status, kBatchKeys> states;
    std::array<char[kValueBytes], kBatchKeys> copies;
    uint64_t found = 0;
    for (size_t begin = 0; begin < order.size(); begin += kBatchKeys) {
      const size_t count = std::min<size_t>(kBatchKeys, order.size() - begin);
      for (size_t i = 0; i < count; ++i) batch[i] = slice(keys[order[begin + i]]);
      db_->MultiGet({}, db_->DefaultColumnFamily(), count, batch.data(), values.data(), states.data());
      for (size_t i = 0; i < count; ++i) {
        if (!states[i].ok()) continue;
        std::memcpy(copies[i], values[i].data(), std::min<size_t>(values[i].size(), kValueBytes));
        found += copies[i][0] != 0;
        values[i].Reset();
      }
    }
    return found;
  }
  uint64_t scan() override { return walk("", ~uint64_t{0}); }
  uint64_t page_of_keys(std::string_view from) override { return walk(from, kPageKeys); }
  uint64_t page_of_prefixes(std::string_view under) override {
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator({}));
    uint64_t found = 0;
    std::string goal(under);
    for (at->Seek(goal); found < kPageKeys && at->Valid(); at->Seek(goal)) {
      const std::string_view text = at->key().ToStringView();
      if (!text.starts_with(under)) break;
      ++found;
      goal = text.substr(0, text.find('/', under.size()) + 1);
      ++goal.back();
    }
    return found;
  }
  double bytes_per_key(uint64_t keys) override {
    return static_cast<double>(stored_bytes()) / static_cast<double>(keys);
  }

 private:
  uint64_t walk(std::string_view from, uint64_t most) {
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator({}));
    std::string key;
    std::string value;
    uint64_t found = 0;
    for (at->Seek(slice(from)); at->Valid() && found < most; at->Next()) {
      key.assign(at->key().data(), at->key().size());
      value.assign(at->value().data(), at->value().size());
      ++found;
    }
    return found;
  }
};
#endif

void print(std::string_view what, const std::vector<std::unique_ptr<Engine>>& engines,
           const std::vector<double>& figures, std::string_view unit) {
  fmt::print("{:18}", what);
  for (size_t i = 0; i < engines.size(); ++i)
    fmt::print("  {} {:.6g} {}", engines[i]->name(), figures[i], unit);
  for (size_t i = 1; i < engines.size(); ++i) fmt::print("  ratio {:.2f}", figures[0] / figures[i]);
  fmt::print("\n");
  std::fflush(stdout);
}

// The median rate of each engine over rounds in which they take turns.
void measure(std::string_view what, std::vector<std::unique_ptr<Engine>>& engines, std::string_view unit,
             const std::function<double(Engine&)>& run) {
  std::vector<std::vector<double>> rates(engines.size());
  for (uint32_t round = 0; round < kRounds; ++round) {
    for (size_t i = 0; i < engines.size(); ++i) rates[i].push_back(run(*engines[i]));
  }
  std::vector<double> medians;
  for (auto& each : rates) {
    std::sort(each.begin(), each.end());
    medians.push_back(each[kRounds / 2]);
  }
  print(what, engines, medians, unit);
}

void measure_renames(OurEngine& ours) {
  std::vector<double> micros;
  for (uint32_t i = 0; i < 1000; ++i) {
    const std::string from = fmt::format("datasets/imagenet-{:02}/train/class-{:04}/", i % 20, i / 20);
    const std::string to = fmt::format("datasets/imagenet-{:02}/moved/{:04}/", i % 20, i);
    const auto start = Clock::now();
    if (!ours.rename(from, to)) continue;
    micros.push_back(seconds_since(start) * 1e6);
  }
  std::sort(micros.begin(), micros.end());
  fmt::print("rename of a class  art p50 {:.1f} us, p99 {:.1f} us ({} renames)\n", micros[micros.size() / 2],
             micros[micros.size() * 99 / 100], micros.size());
  const auto start = Clock::now();
  FB_ASSERT(ours.rename("datasets/", "everything/"));
  fmt::print("rename of all      art {:.1f} us\n", seconds_since(start) * 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t count = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  const std::string folder = argc > 2 ? argv[2] : "art-bench";
  [[maybe_unused]] const bool alone = argc > 3 && std::string_view(argv[3]) == "alone";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const Keys keys(count);
  std::vector<uint32_t> order(count);
  for (uint32_t i = 0; i < count; ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), std::mt19937_64(2));
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(std::make_unique<OurEngine>(count));
#ifdef FB_BENCH_LMDB
  if (!alone) engines.push_back(std::make_unique<LmdbEngine>(folder + "/lmdb"));
#endif
#ifdef FB_BENCH_ROCKSDB
  if (!alone) engines.push_back(std::make_unique<RocksEngine>(folder + "/rocksdb"));
#endif
  std::vector<double> inserts;
  std::vector<double> space;
  for (auto& engine : engines) {
    const auto start = Clock::now();
    engine->put_all(keys);
    inserts.push_back(static_cast<double>(count) / seconds_since(start));
    engine->settle();
    space.push_back(engine->bytes_per_key(count));
  }
  auto& ours = static_cast<OurEngine&>(*engines[0]);
  fmt::print("{} keys of {} bytes, values of {} bytes\n", count, keys.bytes(), kValueBytes);
  print("random insert", engines, inserts, "keys/s");
  print("space", engines, space, "bytes/key");
  const art::TreeCheck check = ours.check();
  FB_ASSERT(check.error.empty(), check.error);
  fmt::print("art: {} pages, fill {:.3f}, {} pages deep, journal {:.0f} bytes/key\n", check.pages,
             check.fill(), check.depth_pages, ours.journal_bytes_per_key(count));
  measure("get, random", engines, "keys/s", [&](Engine& engine) {
    const auto start = Clock::now();
    FB_ASSERT(engine.get_all(keys, order) == count);
    return static_cast<double>(count) / seconds_since(start);
  });
  measure("get, batches of 64", engines, "keys/s", [&](Engine& engine) {
    const auto start = Clock::now();
    FB_ASSERT(engine.get_batches(keys, order) == count);
    return static_cast<double>(count) / seconds_since(start);
  });
  measure("scan", engines, "keys/s", [&](Engine& engine) {
    const auto start = Clock::now();
    FB_ASSERT(engine.scan() == count);
    return static_cast<double>(count) / seconds_since(start);
  });
  measure("page of 1000 keys", engines, "us", [&](Engine& engine) {
    constexpr uint32_t kPages = 200;
    const auto start = Clock::now();
    for (uint32_t i = 0; i < kPages; ++i) (void)engine.page_of_keys(keys[order[i]]);
    return seconds_since(start) * 1e6 / kPages;
  });
  measure("1000 prefixes", engines, "us", [&](Engine& engine) {
    constexpr uint32_t kPages = 20;
    const auto start = Clock::now();
    for (uint32_t i = 0; i < kPages; ++i) {
      (void)engine.page_of_prefixes(fmt::format("datasets/imagenet-{:02}/train/", i));
    }
    return seconds_since(start) * 1e6 / kPages;
  });
  measure_renames(ours);
  FB_ASSERT(ours.check().error.empty());
  engines.clear();
  std::filesystem::remove_all(folder);
  return 0;
}
