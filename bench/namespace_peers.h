// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "namespace_workload.h"
#ifdef FB_BENCH_LMDB
#include <lmdb.h>
#endif
#ifdef FB_BENCH_ROCKSDB
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#endif

// LMDB and RocksDB as the namespace's benchmark needs them. Without their libraries these give 0.

namespace fb::bench {

class Lmdb {
 public:
#ifdef FB_BENCH_LMDB
  // `syncs`: every transaction; otherwise MDB_NOSYNC | MDB_WRITEMAP.
  Lmdb(const std::string& folder, bool syncs) {
    std::filesystem::create_directories(folder);
    check(mdb_env_create(&env_));
    check(mdb_env_set_mapsize(env_, size_t{64} << 30));
    const unsigned flags = MDB_NORDAHEAD | (syncs ? 0u : unsigned{MDB_NOSYNC | MDB_WRITEMAP});
    check(mdb_env_open(env_, folder.c_str(), flags, 0644));
    MDB_txn* txn = nullptr;
    check(mdb_txn_begin(env_, nullptr, 0, &txn));
    check(mdb_dbi_open(txn, nullptr, 0, &dbi_));
    check(mdb_txn_commit(txn));
  }
  ~Lmdb() { mdb_env_close(env_); }
  Lmdb(const Lmdb&) = delete;
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
  double bytes() const {
    MDB_stat stat{};
    mdb_env_stat(env_, &stat);
    return static_cast<double>(stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) *
           stat.ms_psize;
  }

 private:
  static void check(int code) { FB_ASSERT(code == 0, code); }
  static MDB_val val(std::string_view bytes) { return {bytes.size(), const_cast<char*>(bytes.data())}; }
  MDB_env* env_ = nullptr;
  MDB_dbi dbi_ = 0;
#else
  Lmdb(const std::string&, bool) {}
  uint64_t put(uint64_t, uint64_t count, uint64_t, double) { return 0 * count; }
  uint64_t get(const std::vector<Key>&) { return 0; }
  double bytes() const { return 0; }
#endif
};

class Rocks {
 public:
#ifdef FB_BENCH_ROCKSDB
  explicit Rocks(const std::string& folder) : folder_(folder) {
    rocksdb::Options options;
    options.create_if_missing = true;
    options.compression = rocksdb::kNoCompression;
    options.write_buffer_size = size_t{256} << 20;
    rocksdb::BlockBasedTableOptions table;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    table.block_cache = rocksdb::NewLRUCache(size_t{8} << 30);
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    rocksdb::DB* db = nullptr;
    const auto opened = rocksdb::DB::Open(options, folder, &db);
    FB_ASSERT(opened.ok(), opened.ToString());
    db_.reset(db);
  }
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
  double bytes() const {
    uint64_t bytes = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder_)) {
      if (file.path().extension() == ".sst") bytes += file.file_size();
    }
    return static_cast<double>(bytes);
  }

 private:
  static rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
  bool put_one(const rocksdb::WriteOptions& options, uint64_t number, Value& values) {
    const Key key(number);
    return db_->Put(options, slice(key.view()), slice(values.of(number))).ok();
  }
  std::string folder_;
  std::unique_ptr<rocksdb::DB> db_;
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
