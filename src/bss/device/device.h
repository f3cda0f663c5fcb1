// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bss/device/device_format.h"
#include "io/file.h"
#include "io/sync.h"

// A block device, or a file of fixed size, that holds the files of a store: a mount (io/mount.h) over extents
// and a table of names. docs/blobs.md has the reasons, docs/formats/device.md the bytes.
//
// Core 0 has the table in memory, and the other cores ask it. A change is made there at once and becomes
// durable with the next write of the table, which takes all changes along that came until it began. The whole
// table is written, first over the copy that is not the newest one that is known to be whole, then over the
// other: a crash tears at most one.
//
// Invariants
// - An extent that a durable table gives to a file is given to no other before a table that does not is
//   durable in both copies: what a crash brings back finds its bytes as they were.
// - A file that was removed, or replaced by a rename, keeps its extents until it is closed by all.
// - The table always fits its place: a change that would make it too long is IoError::no_space.
// - Size and extents of a file become durable when it is synced or written durably beyond its size; names
//   when a folder is synced. As with any file system, more may become durable than was asked for.

namespace fb::bss {

class Device final : public FileMount {
 public:
  struct Options {
    std::string path;
    bool read_only = false;  // for looking: no lock, nothing is repaired
  };
  // On core 0, which it is mounted on from then on. DeviceError, with a line in the log.
  static Task<Result<std::unique_ptr<Device>>> open(Env& env, const Options& options);
  ~Device() override;
  // On each further core that uses its files.
  Task<Result<void>> attach(Env& env);
  Task<void> detach(Env& env);
  // On core 0, after all others; every file is closed.
  Task<Result<void>> close();

  // "device:" and the device's path: beneath it are its files.
  const std::string& path() const override { return mount_path_; }
  static std::string mount_path_of(const std::string& device_path) { return "device:" + device_path; }
  const DeviceSuperblock& superblock() const { return superblock_; }
  bool is_block_device() const { return block_device_; }

  struct Stats {
    uint64_t tables = 0, table_bytes = 0;  // written, both copies
    uint64_t tables_damaged = 0;           // copies that were not whole at the start
    uint64_t superblocks_damaged = 0;
  };
  const Stats& stats() const { return stats_; }
  uint64_t free_extents() const { return free_count_; }
  // The table in memory agrees with itself: each extent is free, waits to be, or belongs to one file.
  bool verify() const;

  Task<Result<Opened>> open(Env& env, const std::string& path, const OpenOptions& options) override;
  Task<Result<void>> rename(Env& env, const std::string& from, const std::string& to) override;
  Task<Result<void>> remove(Env& env, const std::string& path) override;
  Task<Result<void>> make_directory(Env& env, const std::string& path) override;
  Task<Result<void>> sync_names(Env& env) override;
  Task<Result<std::vector<std::string>>> list(Env& env, const std::string& path) override;
  Task<Result<FileSystemSpace>> space(Env& env) override;
  Task<Result<std::string>> read_small(Env& env, const std::string& path) override;
  Task<Result<void>> replace_small(Env& env, const std::string& path, std::string_view contents) override;

 private:
  class OpenFile;
  // A file of the table, and of those who have it open.
  struct Node {
    TableEntry entry;
    unsigned opens = 0;
    bool removed = false;
  };
  using NodePtr = std::shared_ptr<Node>;
  struct Shape {
    uint64_t size_bytes = 0;
    std::vector<ExtentRun> runs;
  };

  Device(Env& env, const Options& options);
  Task<Result<void>> load();
  Task<Result<File>> open_for_this_process();
  Task<Result<void>> open_device();
  Task<Result<void>> load_superblock();
  Task<Result<void>> load_table();
  Task<std::optional<std::pair<uint64_t, DeviceTable>>> read_table(size_t copy);
  void adopt(DeviceTable&& table);
  Error refuse(std::string_view what, DeviceError code) const;
  std::string name_of(std::string_view path) const;
  template <class Function>
  auto on_first(Env& env, Function function);

  // Core 0's.
  Result<NodePtr> open_node(const std::string& name, const OpenOptions& options);
  Result<void> add(const std::string& name, NodePtr node);
  void take_out(const std::string& name);
  void forget(Node& node);
  Result<void> extend(Node& node, uint64_t size_bytes);
  void shrink(Node& node, uint64_t size_bytes);
  void close_node(Node& node);
  bool has_folder(std::string_view name) const;
  Result<std::vector<ExtentRun>> take_extents(const std::vector<ExtentRun>& have, uint64_t count);
  void give_free(ExtentRun run);
  void take_free(ExtentRun run);
  Task<Result<void>> commit();
  Task<Result<void>> write_tables();
  void changed() { ++change_; }

  Env& env_;
  Options options_;
  std::string mount_path_;
  bool block_device_ = false;
  bool overwrites_in_place_ = false;
  std::vector<File> handles_;  // by core
  DeviceSuperblock superblock_;
  std::map<std::string, NodePtr> nodes_;
  size_t table_used_ = kTableHeadBytes;
  std::map<uint32_t, uint32_t> free_;  // first and count
  uint64_t free_count_ = 0;
  std::vector<ExtentRun> freed_;  // free once a table is durable that does not have them
  uint64_t change_ = 0;
  uint64_t durable_change_ = 0;
  uint64_t table_number_ = 0;
  size_t newest_ = 0;  // the copy that is known to hold the newest whole table
  AsyncMutex table_mutex_;
  Stats stats_;
  bool closed_ = false;
};

}  // namespace fb::bss
