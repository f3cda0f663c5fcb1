// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "io/durability.h"
#include "io/io_awaiter.h"
#include "io/mount.h"

namespace fb {

inline constexpr size_t kWriteVectorsMax = 1024;  // IOV_MAX of Linux

struct OpenOptions {
  bool write = false;
  bool create = false;  // if missing; the entry is durable only after sync_directory() of its folder
  // With create: IoError::exists if the file is there. Without, for a block device: IoError::in_use if it is
  // mounted, or another process has opened it so.
  bool exclusive = false;
  bool truncate = false;
  bool directory = false;
  bool direct = false;  // O_DIRECT; if the file system refuses, opened without: see File::direct()
  FileRole role = FileRole::other;
  uint32_t mode = 0644;
  Durability durability = Durability::strict;  // for overwrite_durable()
};

// A file of one core's Env. Must be closed with `co_await close()`; the destructor asserts that it was.
// With direct(), data, length and offset of reads and writes are multiples of kDirectIoAlignment.
// Other cores of the process may read with it by read_on(), as long as the owner neither closes, moves,
// lengthens nor shortens it; the users must tell the owner when they have ended.
class File {
 public:
  File() = default;
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  static Task<Result<File>> open(Env& env, const std::string& path, const OpenOptions& options);

  bool is_open() const { return handle_ >= 0; }
  bool direct() const { return direct_; }
  // For mounts, which keep their files in parts of this one.
  int32_t handle() const { return handle_; }
  Env& env() const { return *env_; }

  // One operation; may transfer less than asked (end of file, or a full disk half-way).
  CountAwaiter read(std::span<std::byte> data, uint64_t offset, const IoLimits& limits = {}) const;
  // Reads from another core, the one of `reader`: on that core's ring, into its memory. Such a read is never
  // polled.
  CountAwaiter read_on(Env& reader, std::span<std::byte> data, uint64_t offset,
                       const IoLimits& limits = {}) const;
  CountAwaiter write(std::span<const std::byte> data, uint64_t offset, const IoLimits& limits = {}) const;
  // Acknowledged means on stable media (RWF_DSYNC), size included.
  CountAwaiter write_durable(std::span<const std::byte> data, uint64_t offset,
                             const IoLimits& limits = {}) const;

  // Writes durably from several pieces of memory, at most kWriteVectorsMax, each aligned if direct(). The
  // caller keeps the vectors and the bytes until the write has ended.
  CountAwaiter write_durable(std::span<const iovec> vectors, uint64_t offset,
                             const IoLimits& limits = {}) const;

  // Writes as durably as the file's mode asks for, into blocks that have all been written before and synced
  // since. With Durability::plp and direct() this is a plain write, otherwise write_durable.
  CountAwaiter overwrite_durable(std::span<const std::byte> data, uint64_t offset,
                                 const IoLimits& limits = {}) const;
  CountAwaiter overwrite_durable(std::span<const iovec> vectors, uint64_t offset,
                                 const IoLimits& limits = {}) const;
  // How many bytes from `offset` on one operation can read or write: any number in a file of the file system;
  // in a file of a mount (mount.h), the bytes that lie in one piece.
  uint64_t bytes_in_one_piece(uint64_t offset) const;
  // Whether a plain write to blocks that were written and synced before is durable when it has ended.
  bool keeps_overwrites() const { return durability_ == Durability::plp && direct_; }

  // Reads all of `data`, or fails (IoError::end_of_file if the file ends before).
  Task<Result<void>> read_exactly(std::span<std::byte> data, uint64_t offset);
  Task<Result<void>> write_all(std::span<const std::byte> data, uint64_t offset);
  Task<Result<void>> write_all_durable(std::span<const std::byte> data, uint64_t offset);
  Task<Result<void>> overwrite_all_durable(std::span<const std::byte> data, uint64_t offset);

  Task<Result<void>> sync() const;
  Task<Result<void>> allocate(uint64_t offset, uint64_t length_bytes) const;
  Task<Result<void>> truncate(uint64_t size_bytes) const;
  VoidAwaiter lock() const;
  Task<Result<FileStat>> stat() const;
  Task<Result<void>> close();

 private:
  Task<Result<void>> write_fully(std::span<const std::byte> data, uint64_t offset, bool durable);
  CountAwaiter start_write(std::span<const std::byte> data, uint64_t offset, bool durable,
                           const IoLimits& limits) const;
  CountAwaiter start_vectored_write(std::span<const iovec> vectors, uint64_t offset, bool durable,
                                    const IoLimits& limits) const;
  Env* env_ = nullptr;
  int32_t handle_ = -1;
  FileRole role_ = FileRole::other;
  Durability durability_ = Durability::strict;
  bool direct_ = false;
  bool directory_ = false;
  std::unique_ptr<MountedFile> mounted_;  // null: a file of the file system
};

// Operations on names. Renames, new and removed entries are durable only after sync_directory() of the
// folder.
Task<Result<void>> rename_file(Env& env, const std::string& from, const std::string& to);
Task<Result<void>> remove_file(Env& env, const std::string& path);
Task<Result<void>> make_directory(Env& env, const std::string& path);
Task<Result<void>> sync_directory(Env& env, const std::string& path);
// Makes a folder durably: made if missing, and its parent synced in any case, since a process that was killed
// may have made it without the sync.
Task<Result<void>> ensure_directory(Env& env, const std::string& path);
// Names without "." and "..", sorted by bytes.
Task<Result<std::vector<std::string>>> list_directory(Env& env, const std::string& path);
Task<Result<FileSystemSpace>> file_system_space(Env& env, const std::string& path);
// A small file as a whole; IoError::limit if it is larger than `size_max_bytes`.
Task<Result<std::string>> read_small_file(Env& env, const std::string& path, size_t size_max_bytes);
// Replaces a small file atomically and durably: writes `path` + ".new", syncs, renames, syncs the folder.
Task<Result<void>> replace_small_file(Env& env, const std::string& path, std::string_view contents,
                                      uint32_t mode, FileRole role);

}  // namespace fb
