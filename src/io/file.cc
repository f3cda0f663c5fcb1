// SPDX-License-Identifier: Apache-2.0
#include "io/file.h"

#include <fcntl.h>

#include <algorithm>

namespace fb {
namespace {

constexpr size_t kTransferBytesMax = 1024 * kMiB;  // per operation
// Only the process's own user may read objects and keys: no caller can ask for a wider mode, see
// private_files.h.
constexpr uint32_t kModeMax = 0600;

uint32_t open_flags(const OpenOptions& options) {
  int flags = O_CLOEXEC | (options.write ? O_RDWR : O_RDONLY);
  // If somebody has put a link at the path of a new file, following it would write another file.
  if (options.create) flags |= O_CREAT | O_NOFOLLOW;
  if (options.exclusive) flags |= O_EXCL;
  if (options.truncate) flags |= O_TRUNC;
  if (options.directory) flags |= O_DIRECTORY;
  if (options.direct) flags |= O_DIRECT;
  return static_cast<uint32_t>(flags);
}

class OpenAwaiter : public IoAwaiter {
 public:
  using IoAwaiter::IoAwaiter;
  struct Opened {
    int32_t handle;
    bool direct;
  };
  Result<Opened> await_resume() const {
    FB_TRY(const int64_t handle, take_result());
    return Opened{static_cast<int32_t>(handle), request_.direct_granted};
  }
};

VoidAwaiter path_operation(Env& env, IoKind kind, const std::string& path, const char* path2 = nullptr,
                           void* out = nullptr) {
  return VoidAwaiter(env, IoLimits{}, [&](IoRequest& request) {
    request.kind = kind;
    request.path = path.c_str();
    request.path2 = path2;
    request.out = out;
  });
}

// The mount that answers for this path; null: the file system does.
FileMount* mount_of(Env& env, const std::string& path) {
  FileMount* mount = env.mounted();
  return mount != nullptr && mount->holds(path) ? mount : nullptr;
}

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Writes, syncs; the caller closes and renames.
Task<Result<void>> fill_new_file(File& file, std::string_view contents) {
  FB_CO_CHECK(co_await file.write_all(std::as_bytes(std::span(contents)), 0));
  co_return co_await file.sync();
}

Task<Result<std::string>> read_whole(File& file, size_t size_max_bytes) {
  FB_CO_TRY(const FileStat stat, co_await file.stat());
  if (stat.size_bytes > size_max_bytes) co_return IoError::limit;
  std::string contents(stat.size_bytes, '\0');
  if (!contents.empty()) {
    FB_CO_CHECK(co_await file.read_exactly(std::as_writable_bytes(std::span(contents)), 0));
  }
  co_return contents;
}

}  // namespace

File::File(File&& other) noexcept
    : env_(other.env_),
      handle_(std::exchange(other.handle_, -1)),
      role_(other.role_),
      durability_(other.durability_),
      direct_(other.direct_),
      directory_(other.directory_),
      mounted_(std::move(other.mounted_)) {}

File& File::operator=(File&& other) noexcept {
  FB_ASSERT(handle_ < 0 || env_->abandoned(), handle_);
  env_ = other.env_;
  handle_ = std::exchange(other.handle_, -1);
  role_ = other.role_;
  durability_ = other.durability_;
  direct_ = other.direct_;
  directory_ = other.directory_;
  mounted_ = std::move(other.mounted_);
  return *this;
}

File::~File() { FB_ASSERT(handle_ < 0 || env_->abandoned(), handle_); }

Task<Result<File>> File::open(Env& env, const std::string& path, const OpenOptions& options) {
  File file;
  file.env_ = &env;
  file.role_ = options.role;
  file.durability_ = options.durability;
  file.directory_ = options.directory;
  if (FileMount* mount = mount_of(env, path)) {
    FB_CO_TRY(FileMount::Opened opened, co_await mount->open(env, path, options));
    file.handle_ = opened.handle;
    file.direct_ = opened.direct;
    file.mounted_ = std::move(opened.file);
    co_return file;
  }
  FB_CO_TRY(const OpenAwaiter::Opened opened, co_await OpenAwaiter(env, IoLimits{}, [&](IoRequest& request) {
              request.kind = IoKind::open;
              request.role = options.role;
              request.flags = open_flags(options);
              request.length = options.mode & kModeMax;
              request.path = path.c_str();
            }));
  file.handle_ = opened.handle;
  file.direct_ = opened.direct;
  co_return file;
}

CountAwaiter File::read(std::span<std::byte> data, uint64_t offset, const IoLimits& limits) const {
  return read_on(*env_, data, offset, limits);
}

// A handle belongs to the whole process in every environment, and the members read here do not change while
// the file is open.
CountAwaiter File::read_on(Env& reader, std::span<std::byte> data, uint64_t offset,
                           const IoLimits& limits) const {
  FB_ASSERT(handle_ >= 0);
  FB_ASSERT(data.size() <= kTransferBytesMax, data.size());
  FB_DCHECK(
      !direct_ || (is_aligned(offset, kDirectIoAlignment) && is_aligned(data.size(), kDirectIoAlignment) &&
                   is_aligned(reinterpret_cast<uintptr_t>(data.data()), kDirectIoAlignment)),
      offset, data.size());
  MountedFile::Place place{.place = offset, .length = data.size()};
  if (mounted_) place = mounted_->find(offset, data.size());
  return CountAwaiter(reader, limits, [&](IoRequest& request) {
    request.kind = IoKind::read;
    request.role = role_;
    request.handle = handle_;
    request.data = data.data();
    request.length = place.length;
    request.offset = place.place;
    request.direct_granted = direct_;
  });
}

uint64_t File::bytes_in_one_piece(uint64_t offset) const {
  return mounted_ ? mounted_->find(offset, UINT64_MAX).length : UINT64_MAX;
}

CountAwaiter File::start_vectored_write(std::span<const iovec> vectors, uint64_t offset, bool durable,
                                        const IoLimits& limits) const {
  FB_ASSERT(handle_ >= 0);
  FB_ASSERT(!vectors.empty() && vectors.size() <= kWriteVectorsMax, vectors.size());
  uint64_t length = 0;
  for (const iovec& piece : vectors) {
    length += piece.iov_len;
    FB_DCHECK(!direct_ ||
                  (is_aligned(offset, kDirectIoAlignment) && is_aligned(piece.iov_len, kDirectIoAlignment) &&
                   is_aligned(reinterpret_cast<uintptr_t>(piece.iov_base), kDirectIoAlignment)),
              offset, piece.iov_len);
  }
  MountedFile::Place place{.place = offset, .length = length};
  if (mounted_) place = mounted_->find(offset, length);
  FB_ASSERT(place.length == length, offset, length);  // a mounted file: the range is in one piece
  return CountAwaiter(*env_, limits, [&](IoRequest& request) {
    request.kind = IoKind::writev;
    request.role = role_;
    request.flags = durable ? IoRequest::kDurable : 0;
    request.handle = handle_;
    request.vectors = vectors.data();
    request.vector_count = static_cast<uint32_t>(vectors.size());
    request.offset = place.place;
    request.direct_granted = direct_;
  });
}

CountAwaiter File::start_write(std::span<const std::byte> data, uint64_t offset, bool durable,
                               const IoLimits& limits) const {
  FB_ASSERT(handle_ >= 0);
  FB_ASSERT(data.size() <= kTransferBytesMax, data.size());
  FB_DCHECK(
      !direct_ || (is_aligned(offset, kDirectIoAlignment) && is_aligned(data.size(), kDirectIoAlignment) &&
                   is_aligned(reinterpret_cast<uintptr_t>(data.data()), kDirectIoAlignment)),
      offset, data.size());
  MountedFile::Place place{.place = offset, .length = data.size()};
  if (mounted_) place = mounted_->find(offset, data.size());
  return CountAwaiter(*env_, limits, [&](IoRequest& request) {
    request.kind = IoKind::write;
    request.role = role_;
    request.flags = durable ? IoRequest::kDurable : 0;
    request.handle = handle_;
    request.data = const_cast<std::byte*>(data.data());  // only read
    request.length = place.length;
    request.offset = place.place;
    request.direct_granted = direct_;
  });
}

CountAwaiter File::write(std::span<const std::byte> data, uint64_t offset, const IoLimits& limits) const {
  return start_write(data, offset, false, limits);
}

CountAwaiter File::write_durable(std::span<const std::byte> data, uint64_t offset,
                                 const IoLimits& limits) const {
  return start_write(data, offset, true, limits);
}

CountAwaiter File::write_durable(std::span<const iovec> vectors, uint64_t offset,
                                 const IoLimits& limits) const {
  return start_vectored_write(vectors, offset, true, limits);
}

CountAwaiter File::overwrite_durable(std::span<const std::byte> data, uint64_t offset,
                                     const IoLimits& limits) const {
  return start_write(data, offset, !keeps_overwrites(), limits);
}

CountAwaiter File::overwrite_durable(std::span<const iovec> vectors, uint64_t offset,
                                     const IoLimits& limits) const {
  return start_vectored_write(vectors, offset, !keeps_overwrites(), limits);
}

Task<Result<void>> File::read_exactly(std::span<std::byte> data, uint64_t offset) {
  while (!data.empty()) {
    FB_CO_TRY(const size_t count, co_await read(data, offset));
    // Direct I/O cannot go on from an unaligned place, and stops at one only at the end of the file.
    const bool ended =
        count == 0 || (direct_ && count < data.size() && !is_aligned(count, kDirectIoAlignment));
    if (ended) co_return IoError::end_of_file;
    data = data.subspan(count);
    offset += count;
  }
  co_return Result<void>();
}

Task<Result<void>> File::write_fully(std::span<const std::byte> data, uint64_t offset, bool durable) {
  const uint64_t end = offset + data.size();
  if (mounted_ && end > mounted_->size_bytes()) FB_CO_CHECK(co_await mounted_->extend(end));
  while (!data.empty()) {
    FB_CO_TRY(const size_t count, co_await start_write(data, offset, durable, {}));
    if (count == 0) co_return IoError::no_space;
    data = data.subspan(count);
    offset += count;
  }
  if (mounted_ && durable) co_return co_await mounted_->settle();
  co_return Result<void>();
}

Task<Result<void>> File::write_all(std::span<const std::byte> data, uint64_t offset) {
  co_return co_await write_fully(data, offset, false);
}

Task<Result<void>> File::write_all_durable(std::span<const std::byte> data, uint64_t offset) {
  co_return co_await write_fully(data, offset, true);
}

Task<Result<void>> File::overwrite_all_durable(std::span<const std::byte> data, uint64_t offset) {
  co_return co_await write_fully(data, offset, !keeps_overwrites());
}

Task<Result<void>> File::sync() const {
  FB_ASSERT(handle_ >= 0);
  FB_CO_CHECK(co_await VoidAwaiter(*env_, IoLimits{}, [&](IoRequest& request) {
    request.kind = IoKind::sync;
    request.flags = directory_ ? IoRequest::kFullSync : 0;
    request.role = role_;
    request.handle = handle_;
  }));
  if (mounted_) co_return co_await mounted_->settle();
  co_return Result<void>();
}

Task<Result<void>> File::allocate(uint64_t offset, uint64_t length_bytes) const {
  FB_ASSERT(handle_ >= 0);
  if (mounted_) co_return co_await mounted_->extend(offset + length_bytes);
  co_return co_await VoidAwaiter(*env_, IoLimits{}, [&](IoRequest& request) {
    request.kind = IoKind::allocate;
    request.role = role_;
    request.handle = handle_;
    request.offset = offset;
    request.length = length_bytes;
  });
}

Task<Result<void>> File::truncate(uint64_t size_bytes) const {
  FB_ASSERT(handle_ >= 0);
  if (mounted_) co_return co_await mounted_->truncate(size_bytes);
  co_return co_await VoidAwaiter(*env_, IoLimits{}, [&](IoRequest& request) {
    request.kind = IoKind::truncate;
    request.role = role_;
    request.handle = handle_;
    request.length = size_bytes;
  });
}

VoidAwaiter File::lock() const {
  FB_ASSERT(handle_ >= 0 && mounted_ == nullptr);
  return VoidAwaiter(*env_, IoLimits{}, [&](IoRequest& request) {
    request.kind = IoKind::lock;
    request.role = role_;
    request.handle = handle_;
  });
}

Task<Result<FileStat>> File::stat() const {
  FB_ASSERT(handle_ >= 0);
  if (mounted_) co_return FileStat{.size_bytes = mounted_->size_bytes()};
  FileStat stat;
  FB_CO_CHECK(co_await VoidAwaiter(*env_, IoLimits{}, [&](IoRequest& request) {
    request.kind = IoKind::stat;
    request.role = role_;
    request.handle = handle_;
    request.out = &stat;
  }));
  co_return stat;
}

Task<Result<void>> File::close() {
  if (handle_ < 0) co_return Result<void>();
  if (mounted_) {
    handle_ = -1;  // the handle belongs to the mount
    const std::unique_ptr<MountedFile> file = std::move(mounted_);
    co_return co_await file->close();
  }
  co_return co_await VoidAwaiter(*env_, IoLimits{}, [&](IoRequest& request) {
    request.kind = IoKind::close;
    request.role = role_;
    request.handle = std::exchange(handle_, -1);
  });
}

Task<Result<void>> rename_file(Env& env, const std::string& from, const std::string& to) {
  if (FileMount* mount = mount_of(env, from)) co_return co_await mount->rename(env, from, to);
  co_return co_await path_operation(env, IoKind::rename, from, to.c_str());
}

Task<Result<void>> remove_file(Env& env, const std::string& path) {
  if (FileMount* mount = mount_of(env, path)) co_return co_await mount->remove(env, path);
  co_return co_await path_operation(env, IoKind::unlink, path);
}

Task<Result<void>> make_directory(Env& env, const std::string& path) {
  if (FileMount* mount = mount_of(env, path)) co_return co_await mount->make_directory(env, path);
  co_return co_await path_operation(env, IoKind::make_directory, path);
}

Task<Result<void>> ensure_directory(Env& env, const std::string& path) {
  const Result<void> made = co_await make_directory(env, path);
  if (!made && !made.error().is(IoError::exists)) co_return made;
  co_return co_await sync_directory(env, folder_of(path));
}

Task<Result<void>> sync_directory(Env& env, const std::string& path) {
  if (FileMount* mount = mount_of(env, path)) co_return co_await mount->sync_names(env);
  FB_CO_TRY(File directory, co_await File::open(env, path, {.directory = true}));
  const Result<void> synced = co_await directory.sync();
  const Result<void> closed = co_await directory.close();
  co_return synced ? closed : synced;
}

Task<Result<std::vector<std::string>>> list_directory(Env& env, const std::string& path) {
  if (FileMount* mount = mount_of(env, path)) co_return co_await mount->list(env, path);
  std::vector<std::string> names;
  FB_CO_CHECK(co_await path_operation(env, IoKind::list_directory, path, nullptr, &names));
  std::ranges::sort(names);
  co_return names;
}

Task<Result<FileSystemSpace>> file_system_space(Env& env, const std::string& path) {
  if (FileMount* mount = mount_of(env, path)) co_return co_await mount->space(env);
  FileSystemSpace space;
  FB_CO_CHECK(co_await path_operation(env, IoKind::statfs, path, nullptr, &space));
  co_return space;
}

Task<Result<std::string>> read_small_file(Env& env, const std::string& path, size_t size_max_bytes) {
  if (FileMount* mount = mount_of(env, path)) {
    FB_CO_TRY(std::string contents, co_await mount->read_small(env, path));
    if (contents.size() > size_max_bytes) co_return IoError::limit;
    co_return contents;
  }
  FB_CO_TRY(File file, co_await File::open(env, path, {}));
  Result<std::string> contents = co_await read_whole(file, size_max_bytes);
  FB_CO_CHECK(co_await file.close());
  co_return contents;
}

Task<Result<void>> replace_small_file(Env& env, const std::string& path, std::string_view contents,
                                      uint32_t mode, FileRole role) {
  if (FileMount* mount = mount_of(env, path)) co_return co_await mount->replace_small(env, path, contents);
  const std::string new_path = path + ".new";
  const OpenOptions options{.write = true, .create = true, .truncate = true, .role = role, .mode = mode};
  FB_CO_TRY(File file, co_await File::open(env, new_path, options));
  const Result<void> filled = co_await fill_new_file(file, contents);
  FB_CO_CHECK(co_await file.close());
  FB_CO_CHECK(filled);
  FB_CO_CHECK(co_await rename_file(env, new_path, path));
  co_return co_await sync_directory(env, folder_of(path));
}

}  // namespace fb
