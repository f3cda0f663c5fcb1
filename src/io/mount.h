// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/io_request.h"
#include "io/task.h"

// Files that are not in the file system but in parts of one large file or block device. Their users do not
// notice: a mount (Env::mount) answers for all paths beneath its own, and File, list_directory and their like
// ask it instead of the kernel. These promise as much as elsewhere, with three limits: small files, those of
// replace_small_file, are read and replaced as a whole and not opened; sizes are multiples of
// kDirectIoAlignment; a write by File::write and its like stops at the end of the file.

namespace fb {

struct OpenOptions;

// One file of a mount as one File has it open; on that File's core.
class MountedFile {
 public:
  MountedFile() = default;
  MountedFile(const MountedFile&) = delete;
  virtual ~MountedFile() = default;

  // In the order of the file, without gaps.
  struct Run {
    uint64_t offset;  // in the file
    uint64_t place;   // in the file or device beneath
    uint64_t length;
  };
  uint64_t size_bytes() const { return size_; }
  // The place of `offset`, and how much of `length` from there is in one piece; 0 at the end of the file.
  struct Place {
    uint64_t place = 0;
    uint64_t length = 0;
  };
  Place find(uint64_t offset, uint64_t length) const;

  // Makes room for `size_bytes` and the size at least that; in one piece if the file was empty.
  virtual Task<Result<void>> extend(uint64_t size_bytes) = 0;
  virtual Task<Result<void>> truncate(uint64_t size_bytes) = 0;
  // Makes size and place durable if they have changed; File has taken care of the bytes.
  virtual Task<Result<void>> settle() = 0;
  virtual Task<Result<void>> close() = 0;

 protected:
  uint64_t size_ = 0;
  std::vector<Run> runs_;
};

class FileMount {
 public:
  virtual ~FileMount() = default;

  // The beginning of its paths: it serves "PATH" and "PATH/...".
  virtual const std::string& path() const = 0;
  bool holds(std::string_view name) const {
    const std::string& own = path();
    return name.starts_with(own) && (name.size() == own.size() || name[own.size()] == '/');
  }

  // Callable on any core that it is mounted on. Each answers as the operation on a file system does.
  struct Opened {
    int32_t handle = -1;  // of the file or device beneath, on this core
    bool direct = false;
    std::unique_ptr<MountedFile> file;
  };
  virtual Task<Result<Opened>> open(Env& env, const std::string& path, const OpenOptions& options) = 0;
  virtual Task<Result<void>> rename(Env& env, const std::string& from, const std::string& to) = 0;
  virtual Task<Result<void>> remove(Env& env, const std::string& path) = 0;
  virtual Task<Result<void>> make_directory(Env& env, const std::string& path) = 0;
  virtual Task<Result<void>> sync_names(Env& env) = 0;
  virtual Task<Result<std::vector<std::string>>> list(Env& env, const std::string& path) = 0;
  virtual Task<Result<FileSystemSpace>> space(Env& env) = 0;
  virtual Task<Result<std::string>> read_small(Env& env, const std::string& path) = 0;
  virtual Task<Result<void>> replace_small(Env& env, const std::string& path, std::string_view contents) = 0;
};

}  // namespace fb
