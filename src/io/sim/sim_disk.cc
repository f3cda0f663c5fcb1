// SPDX-License-Identifier: Apache-2.0
#include "io/sim/sim_disk.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>

namespace fb::sim {

SimDisk::SimDisk(const Options& options, Random& random, FaultCounts& counts)
    : options_(options), random_(random), counts_(counts), root_(new_file(true)) {}

SimDisk::FilePtr SimDisk::new_file(bool directory) {
  return std::make_shared<SimFile>(next_id_++, directory);
}

template <class Visit>
void SimDisk::walk(const FilePtr& directory, const Visit& visit) {
  for (const auto& [name, file] : directory->entries) {
    visit(file);
    if (file->directory) walk(file, visit);
  }
}

// Paths are taken from the root, whether or not they begin with a slash.
SimDisk::Place SimDisk::look_up(std::string_view path) const {
  Place place{nullptr, {}, root_};
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (part.empty() || part == ".") continue;
    if (place.file == nullptr || !place.file->directory) return {};
    place.directory = place.file;
    place.name = part;
    const auto entry = place.directory->entries.find(place.name);
    place.file = entry == place.directory->entries.end() ? nullptr : entry->second;
  }
  return place;
}

SimDisk::FilePtr SimDisk::find(std::string_view path) const { return look_up(path).file; }

void SimDisk::link(const Place& place, const FilePtr& file) {
  file->name = place.name;
  place.directory->entries[place.name] = file;
  changes_.push_back({EntryChange::Kind::link, place.directory, place.name, file, nullptr, {}});
}

int64_t SimDisk::open(std::string_view path, const OpenFlags& flags, FileRole role, FilePtr& out) {
  const Place place = look_up(path);
  if (place.file == nullptr) {
    if (!flags.create || place.directory == nullptr) return -ENOENT;
    out = new_file(false);
    out->role = role;
    link(place, out);
    return 0;
  }
  if (flags.create && flags.exclusive) return -EEXIST;
  if (flags.directory && !place.file->directory) return -ENOTDIR;
  out = place.file;
  if (role != FileRole::other) out->role = role;
  if (flags.truncate && !out->directory && out->size() > 0) out->truncate(0);
  return 0;
}

uint64_t SimDisk::used_bytes() const {
  uint64_t pages = 0;
  walk(root_, [&](const FilePtr& file) { pages += file->page_count(); });
  return pages * kPageSize;
}

// How much of a write or reservation finds room: whole pages until the disk is full.
size_t SimDisk::fitting(const SimFile& file, uint64_t offset, size_t length) const {
  uint64_t missing = 0;
  for (uint64_t page = offset / kPageSize; page * kPageSize < offset + length; ++page)
    missing += !file.has_page(page);
  if (missing == 0) return length;
  const uint64_t used = used_bytes();
  uint64_t free = used >= options_.capacity_bytes ? 0 : (options_.capacity_bytes - used) / kPageSize;
  if (missing <= free) return length;
  uint64_t page = offset / kPageSize;
  for (;; ++page) {
    if (file.has_page(page)) continue;
    if (free == 0) break;
    --free;
  }
  return std::max(page * kPageSize, offset) - offset;
}

void SimDisk::damage(Fault fault, const SimFile& file, uint64_t offset, uint64_t length) {
  counts_.add(fault);
  damages_.push_back({fault, file.role, file.name, offset, length});
}

bool SimDisk::rot(SimFile& file, uint64_t offset, uint64_t length) {
  const uint64_t end = std::min(offset + length, file.size());
  if (offset >= end) return false;
  const uint64_t at = random_.between(offset, end - 1);
  if (!file.synced_sector(at / kSectorSize)) return false;
  file.flip_bit(at, static_cast<unsigned>(random_.below(8)));
  damage(Fault::rot, file, at, 1);
  return true;
}

int64_t SimDisk::read(SimFile& file, uint64_t offset, std::span<std::byte> out) {
  if (file.directory) return -EISDIR;
  if (draw(file, faults_.read_error_ppm)) {
    // Half of the unreadable sectors come back, the others are lost for ever.
    const uint64_t sector = offset / kSectorSize;
    if (file.synced_sector(sector) && random_.coin()) file.make_unreadable(sector);
    damage(Fault::read_error, file, offset, out.size());
    return -EIO;
  }
  if (file.unreadable(offset, out.size())) return -EIO;
  if (draw(file, faults_.rot_ppm)) rot(file, offset, out.size());
  return static_cast<int64_t>(file.read(offset, out));
}

// The bytes land in the same or another file of the same role, at a place of the same alignment.
void SimDisk::misdirect(SimFile& file, uint64_t offset, std::span<const std::byte> data) {
  std::vector<FilePtr> targets;
  walk(root_, [&](const FilePtr& candidate) {
    if (!candidate->directory && candidate->role == file.role && candidate->size() >= data.size()) {
      targets.push_back(candidate);
    }
  });
  damage(Fault::misdirected_write, file, offset, data.size());
  if (targets.empty()) return;
  SimFile& target = *targets[random_.below(targets.size())];
  const uint64_t grain = is_aligned(offset, kPageSize) ? kPageSize : kSectorSize;
  const uint64_t at = align_down(random_.between(0, target.size() - data.size()), grain);
  if (&target == &file && at == offset) return;
  target.write(at, data, true, random_);
  damages_.push_back({Fault::misdirected_write, target.role, target.name, at, data.size()});
}

bool SimDisk::omits(const SimFile& file) const {
  switch (options_.omit) {
    case OmitFlush::data:
      return file.role == FileRole::data || file.role == FileRole::snapshot;
    case OmitFlush::journal:
      return file.role == FileRole::journal;
    default:
      return false;
  }
}

int64_t SimDisk::write(SimFile& file, uint64_t offset, std::span<const std::byte> data, bool durable,
                       bool direct) {
  if (file.directory) return -EISDIR;
  const bool sync_fails = durable && draw(file, faults_.sync_error_ppm);
  if (sync_fails || draw(file, faults_.write_error_ppm)) {
    // The bytes after a failed write are unknown.
    damage(sync_fails ? Fault::sync_error : Fault::write_error, file, offset, data.size());
    if (faults_.failed_writes_do_nothing) return -EIO;
    file.write_torn(offset, data.first(fitting(file, offset, data.size())), torn_unreadable_ppm(file),
                    random_, counts_);
    return -EIO;
  }
  const size_t room = fitting(file, offset, data.size());
  if (room < data.size()) counts_.add(Fault::disk_full);
  if (room == 0 && !data.empty()) return -ENOSPC;
  data = data.first(room);
  const bool inside = offset + data.size() <= file.size();
  if (inside && draw(file, faults_.lost_write_ppm)) {
    damage(Fault::lost_write, file, offset, data.size());
  } else if (inside && draw(file, faults_.misdirected_write_ppm)) {
    misdirect(file, offset, data);
  } else {
    const bool kept = options_.power_loss_protection && direct && file.settled(offset, data.size());
    file.write(offset, data, (durable || kept) && !omits(file), random_);
  }
  return static_cast<int64_t>(data.size());
}

int64_t SimDisk::sync(SimFile& file) {
  if (file.directory) {
    sync_directory(file);
    return 0;
  }
  if (draw(file, faults_.sync_error_ppm)) {
    damage(Fault::sync_error, file, 0, file.size());
    file.lose_unsynced();
    return -EIO;
  }
  if (!omits(file)) file.sync();
  return 0;
}

int64_t SimDisk::allocate(SimFile& file, uint64_t offset, uint64_t length) {
  if (file.directory) return -EISDIR;
  if (fitting(file, offset, length) < length) {
    counts_.add(Fault::disk_full);
    return -ENOSPC;
  }
  file.allocate(offset, length);
  return 0;
}

int64_t SimDisk::truncate(SimFile& file, uint64_t size) {
  if (file.directory) return -EISDIR;
  file.truncate(size);
  return 0;
}

int64_t SimDisk::stat(std::string_view path, FileStat& out) const {
  const Place place = look_up(path);
  if (place.file == nullptr) return -ENOENT;
  out.size_bytes = place.file->size();
  out.directory = place.file->directory;
  return 0;
}

int64_t SimDisk::rename(std::string_view from, std::string_view to) {
  const Place source = look_up(from);
  const Place target = look_up(to);
  if (source.file == nullptr || source.directory == nullptr || target.directory == nullptr) return -ENOENT;
  if (target.file == source.file) return 0;
  if (target.file != nullptr && target.file->directory) {
    if (!source.file->directory) return -EISDIR;
    if (!target.file->entries.empty()) return -ENOTEMPTY;
  }
  source.directory->entries.erase(source.name);
  target.directory->entries[target.name] = source.file;
  source.file->name = target.name;
  changes_.push_back(
      {EntryChange::Kind::rename, target.directory, target.name, source.file, source.directory, source.name});
  return 0;
}

int64_t SimDisk::unlink(std::string_view path) {
  const Place place = look_up(path);
  if (place.file == nullptr || place.directory == nullptr) return -ENOENT;
  if (place.file->directory && !place.file->entries.empty()) return -ENOTEMPTY;
  place.directory->entries.erase(place.name);
  changes_.push_back({EntryChange::Kind::unlink, place.directory, place.name, place.file, nullptr, {}});
  return 0;
}

int64_t SimDisk::make_directory(std::string_view path) {
  const Place place = look_up(path);
  if (place.file != nullptr) return -EEXIST;
  if (place.directory == nullptr) return -ENOENT;
  link(place, new_file(true));
  return 0;
}

int64_t SimDisk::list(std::string_view path, std::vector<std::string>& names) const {
  const Place place = look_up(path);
  if (place.file == nullptr) return -ENOENT;
  if (!place.file->directory) return -ENOTDIR;
  for (const auto& [name, file] : place.file->entries) names.push_back(name);
  return 0;
}

int64_t SimDisk::space(std::string_view path, FileSystemSpace& out) const {
  if (look_up(path).file == nullptr) return -ENOENT;
  const uint64_t used = used_bytes();
  out.total_bytes = options_.capacity_bytes;
  out.overwrites_in_place = true;
  out.available_bytes = used >= options_.capacity_bytes ? 0 : options_.capacity_bytes - used;
  return 0;
}

void SimDisk::make_durable(const EntryChange& change) {
  auto& entries = change.directory->durable_entries;
  switch (change.kind) {
    case EntryChange::Kind::link:
      entries[change.name] = change.file;
      break;
    case EntryChange::Kind::unlink:
      entries.erase(change.name);
      break;
    case EntryChange::Kind::rename: {
      auto& from = change.from_directory->durable_entries;
      const auto old = from.find(change.from_name);
      if (old != from.end() && old->second == change.file) from.erase(old);
      entries[change.name] = change.file;
      break;
    }
  }
}

void SimDisk::sync_directory(SimFile& directory) {
  std::vector<EntryChange> rest;
  for (EntryChange& change : changes_) {
    const bool omitted = change.kind == EntryChange::Kind::link     ? options_.omit == OmitFlush::directory
                         : change.kind == EntryChange::Kind::rename ? options_.omit == OmitFlush::rename
                                                                    : false;
    if (change.directory.get() != &directory || omitted) {
      rest.push_back(std::move(change));
      continue;
    }
    make_durable(change);
    // A file that moved away durably can no longer appear under the name it was created by.
    if (change.kind == EntryChange::Kind::rename) {
      std::erase_if(rest, [&](const EntryChange& earlier) {
        return earlier.kind == EntryChange::Kind::link && earlier.file == change.file;
      });
    }
  }
  changes_ = std::move(rest);
}

void SimDisk::tear_in_flight(SimFile& file, uint64_t offset, std::span<const std::byte> data) {
  counts_.add(Fault::write_in_flight);
  file.write_torn(offset, data.first(fitting(file, offset, data.size())), torn_unreadable_ppm(file), random_,
                  counts_);
}

void SimDisk::cut_in_flight(SimFile& file, uint64_t offset, std::span<const std::byte> data) {
  counts_.add(Fault::write_in_flight);
  data = data.first(fitting(file, offset, data.size()));
  const uint64_t pages = random_.below(data.size() / kPageSize + 2);
  const size_t length = std::min<uint64_t>(data.size(), pages * kPageSize);
  if (length > 0) file.write(offset, data.first(length), false, random_);
}

// No program waits for this write any more, so it is durable only if the drive keeps overwrites.
void SimDisk::land(SimFile& file, uint64_t offset, std::span<const std::byte> data) {
  counts_.add(Fault::write_landed_late);
  data = data.first(fitting(file, offset, data.size()));
  const bool kept = options_.power_loss_protection && file.settled(offset, data.size());
  if (!data.empty()) file.write(offset, data, kept && !omits(file), random_);
}

std::vector<std::string> SimDisk::lose_power() {
  std::vector<std::string> losses;
  const uint64_t kept_in_8 = random_.coin() ? random_.below(9) : random_.coin() * 8;
  for (const EntryChange& change : changes_) {
    const bool kept = random_.below(8) < kept_in_8;
    counts_.add(kept ? Fault::entry_kept : Fault::entry_dropped);
    if (kept) {
      make_durable(change);
    } else {
      const char* kind = change.kind == EntryChange::Kind::link     ? "created"
                         : change.kind == EntryChange::Kind::rename ? "renamed"
                                                                    : "removed";
      losses.push_back(fmt::format("undone: {} '{}'", kind, change.name));
    }
  }
  changes_.clear();
  root_->entries = root_->durable_entries;
  walk(root_, [&](const FilePtr& file) {
    if (file->directory) {
      file->entries = file->durable_entries;
    } else {
      const uint64_t size = file->size();
      const size_t dropped = file->lose_power(random_, counts_);
      if (dropped > 0 || file->size() != size) {
        losses.push_back(
            fmt::format("'{}' lost {} sectors, size {} was {}", file->name, dropped, file->size(), size));
      }
    }
  });
  return losses;
}

}  // namespace fb::sim
