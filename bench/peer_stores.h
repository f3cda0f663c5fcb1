// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/assert.h"
#ifdef FB_BENCH_LMDB
#include <lmdb.h>
#endif
#ifdef FB_BENCH_ROCKSDB
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#endif

// LMDB and RocksDB as every benchmark opens them, and how large they are: what is measured derives from
// these. Only where the libraries are there.

namespace fb::bench {

#ifdef FB_BENCH_LMDB
class LmdbStore {
 public:
  LmdbStore(const LmdbStore&) = delete;

 protected:
  // `syncs`: every transaction; otherwise MDB_NOSYNC | MDB_WRITEMAP.
  LmdbStore(const std::string& folder, bool syncs) {
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
  ~LmdbStore() { mdb_env_close(env_); }
  uint64_t stored_bytes() const {
    MDB_stat stat{};
    mdb_env_stat(env_, &stat);
    return (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) * stat.ms_psize;
  }
  static void check(int code) { FB_ASSERT(code == 0, code); }
  static MDB_val val(std::string_view bytes) { return {bytes.size(), const_cast<char*>(bytes.data())}; }

  MDB_env* env_ = nullptr;
  MDB_dbi dbi_ = 0;
};
#endif

#ifdef FB_BENCH_ROCKSDB
class RocksStore {
 protected:
  explicit RocksStore(const std::string& folder) : folder_(folder) {
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
  uint64_t stored_bytes() const {
    uint64_t bytes = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder_)) {
      if (file.path().extension() == ".sst") bytes += file.file_size();
    }
    return bytes;
  }
  static rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }

  std::string folder_;
  std::unique_ptr<rocksdb::DB> db_;
};
#endif

}  // namespace fb::bench
