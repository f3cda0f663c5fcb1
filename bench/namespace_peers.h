// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <thread>
#include <vector>

#include "namespace_workload.h"
#include "peer_stores.h"

// LMDB and RocksDB as the namespace's benchmark needs them. Without their libraries these give 0.

namespace fb::bench {

class Lmdb
#ifdef FB_BENCH_LMDB
    : LmdbStore
#endif
{
 public:
#ifdef FB_BENCH_LMDB
  Lmdb(const std::string& folder, bool syncs) : LmdbStore(folder, syncs) {}
  // Numbers [from, from + count), `batch` a transaction, until `seconds` are over; how many.
  uint64_t put(uint64_t from, uint64_t count, uint64_t batch, double seconds) {
    const double end = wall_now() + seconds;
    Value values;
    uint64_t done = 0;
    while (done < count && wall_now() < end) {
      MDB_txn* txn = nullptr;
      check(mdb_txn_begin(env_, nullptr, 0, &txn));
      for (const uint64_t stop = std::min(done + batch, count); done < stop; ++done) {
        const Key key(from + done);
        MDB_val name = val(key.view());
        MDB_val value = val(values.of(from + done));
        check(mdb_put(txn, dbi_, &name, &value, 0));
      }
      check(mdb_txn_commit(txn));
    }
    return done;
  }
  uint64_t get(const std::vector<Key>& keys) {
    MDB_txn* txn = nullptr;
    check(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn));
    uint64_t found = 0;
    for (const Key& key : keys) {
      MDB_val name = val(key.view());
      MDB_val value{};
      if (mdb_get(txn, dbi_, &name, &value) != 0) continue;
      const std::string copy(static_cast<char*>(value.mv_data), value.mv_size);
      found += copy.size() == kValueBytes;
    }
    mdb_txn_abort(txn);
    return found;
  }
  double bytes() const { return static_cast<double>(stored_bytes()); }
#else
  Lmdb(const std::string&, bool) {}
  uint64_t put(uint64_t, uint64_t count, uint64_t, double) { return 0 * count; }
  uint64_t get(const std::vector<Key>&) { return 0; }
  double bytes() const { return 0; }
#endif
};

class Rocks
#ifdef FB_BENCH_ROCKSDB
    : RocksStore
#endif
{
 public:
#ifdef FB_BENCH_ROCKSDB
  explicit Rocks(const std::string& folder) : RocksStore(folder) {}
  // Without a log, for filling.
  void put_unlogged(uint64_t from, uint64_t count) {
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    Value values;
    for (uint64_t i = from; i < from + count; ++i) FB_ASSERT(put_one(options, i, values));
  }
  // From `threads` writers, each put synced with whatever the others put meanwhile; how many.
  uint64_t put_synced(uint64_t from, unsigned threads, double seconds) {
    const double end = wall_now() + seconds;
    std::vector<uint64_t> done(threads * 8);
    std::vector<std::thread> writers;
    for (unsigned t = 0; t < threads; ++t) {
      writers.emplace_back([&, t] {
        rocksdb::WriteOptions options;
        options.sync = true;
        Value values;
        uint64_t count = 0;
        for (; wall_now() < end; ++count) FB_ASSERT(put_one(options, from + count * threads + t, values));
        done[t * 8] = count;
      });
    }
    for (std::thread& writer : writers) writer.join();
    uint64_t sum = 0;
    for (const uint64_t count : done) sum += count;
    return sum;
  }
  void settle() {
    FB_ASSERT(db_->Flush({}).ok());
    FB_ASSERT(db_->CompactRange({}, nullptr, nullptr).ok());
  }
  uint64_t get(const std::vector<Key>& keys) {
    uint64_t found = 0;
    for (const Key& key : keys) {
      std::string value;
      found += db_->Get({}, slice(key.view()), &value).ok() && value.size() == kValueBytes;
    }
    return found;
  }
  double bytes() const { return static_cast<double>(stored_bytes()); }

 private:
  bool put_one(const rocksdb::WriteOptions& options, uint64_t number, Value& values) {
    const Key key(number);
    return db_->Put(options, slice(key.view()), slice(values.of(number))).ok();
  }
#else
  explicit Rocks(const std::string&) {}
  void put_unlogged(uint64_t, uint64_t) {}
  uint64_t put_synced(uint64_t, unsigned, double) { return 0; }
  void settle() {}
  uint64_t get(const std::vector<Key>&) { return 0; }
  double bytes() const { return 0; }
#endif
};

}  // namespace fb::bench
