// SPDX-License-Identifier: Apache-2.0
#include "bss/device/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "bss/aligned_bytes.h"
#include "io/call_on.h"
#include "io/claim.h"
#include "io/log.h"

namespace fb::bss {

// Runs on core 0, where the table is.
template <class Function>
auto Device::on_first(Env& env, Function function) {
  return CallOn<Function>(env, env_.core(), std::move(function));
}

// A file as one File of one core has it open.
class Device::OpenFile final : public MountedFile {
 public:
  OpenFile(Device& device, Env& env, NodePtr node, Shape shape)
      : device_(device), env_(env), node_(std::move(node)) {
    take(std::move(shape));
  }

  Task<Result<void>> extend(uint64_t size_bytes) override {
    if (size_bytes <= size_) co_return Result<void>();
    Shape shape;
    FB_CO_CHECK(co_await device_.on_first(env_, [&](Env&) -> Task<Result<void>> {
      FB_CO_CHECK(device_.extend(*node_, size_bytes));
      shape = {node_->entry.size_bytes, node_->entry.runs};
      co_return Result<void>();
    }));
    take(std::move(shape));
    changed_ = true;
    co_return Result<void>();
  }
  Task<Result<void>> truncate(uint64_t size_bytes) override {
    if (size_bytes > size_) co_return co_await extend(size_bytes);
    Shape shape;
    FB_CO_CHECK(co_await device_.on_first(env_, [&](Env&) -> Task<Result<void>> {
      device_.shrink(*node_, size_bytes);
      shape = {node_->entry.size_bytes, node_->entry.runs};
      co_return Result<void>();
    }));
    take(std::move(shape));
    changed_ = true;
    co_return Result<void>();
  }
  Task<Result<void>> settle() override {
    if (!changed_) co_return Result<void>();
    FB_CO_CHECK(co_await device_.on_first(env_, [&](Env&) { return device_.commit(); }));
    changed_ = false;
    co_return Result<void>();
  }
  Task<Result<void>> close() override {
    co_return co_await device_.on_first(env_, [&](Env&) -> Task<Result<void>> {
      device_.close_node(*node_);
      node_.reset();
      co_return Result<void>();
    });
  }

 private:
  void take(Shape shape) {
    const uint64_t extent_bytes = device_.superblock_.extent_bytes;
    size_ = shape.size_bytes;
    runs_.clear();
    uint64_t offset = 0;
    for (const ExtentRun& run : shape.runs) {
      const uint64_t length = run.count * extent_bytes;
      runs_.push_back({.offset = offset,
                       .place = device_.superblock_.extents_offset + run.first * extent_bytes,
                       .length = length});
      offset += length;
    }
  }

  Device& device_;
  Env& env_;
  NodePtr node_;
  bool changed_ = false;
};

Device::Device(Env& env, const Options& options)
    : env_(env),
      options_(options),
      mount_path_(mount_path_of(options.path)),
      handles_(env.core_count()),
      table_mutex_(env) {}

Device::~Device() { FB_ASSERT(closed_ || env_.abandoned()); }

std::string Device::name_of(std::string_view path) const {
  FB_ASSERT(holds(path));
  path.remove_prefix(std::min(path.size(), mount_path_.size() + 1));
  return std::string(path);
}

Task<Result<void>> Device::attach(Env& env) {
  if (env.core() != env_.core()) {
    File& handle = handles_[env.core()];
    FB_CO_TRY(handle,
              co_await File::open(env, options_.path,
                                  {.write = !options_.read_only, .direct = true, .role = FileRole::data}));
    // For as long as a write through it is in flight; see open_for_this_process().
    Result<void> claimed;
    if (!options_.read_only) claimed = co_await claim(env, handle, {.shared = true, .patience = {}});
    if (!claimed) {
      (void)co_await handle.close();
      co_return claimed;
    }
  }
  env.mount(this);
  co_return Result<void>();
}

Task<void> Device::detach(Env& env) {
  env.mount(nullptr);
  (void)co_await handles_[env.core()].close();
}

Task<Result<void>> Device::close() {
  FB_ASSERT(!closed_);
  Result<void> result;
  if (env_.mounted() == this) {
    for (const auto& [name, node] : nodes_) FB_ASSERT(node->opens == 0, name);
    if (!options_.read_only) result = co_await commit();
  }
  co_await detach(env_);
  closed_ = true;
  co_return result;
}

// --- names ---

bool Device::has_folder(std::string_view name) const {
  const auto slash = name.rfind('/');
  if (slash == std::string_view::npos) return true;
  const auto folder = nodes_.find(std::string(name.substr(0, slash)));
  return folder != nodes_.end() && folder->second->entry.kind == TableEntry::Kind::directory;
}

Result<void> Device::add(const std::string& name, NodePtr node) {
  if (!has_folder(name)) return IoError::not_found;
  if (name.empty() || name.size() > kNameBytesMax) return IoError::limit;
  const size_t bytes = table_entry_bytes(name, node->entry);
  if (table_used_ + bytes > superblock_.table_bytes) return IoError::no_space;
  table_used_ += bytes;
  const bool fresh = nodes_.emplace(name, std::move(node)).second;
  FB_ASSERT(fresh, name);
  changed();
  return {};
}

// The name only.
void Device::take_out(const std::string& name) {
  const auto found = nodes_.find(name);
  FB_ASSERT(found != nodes_.end(), name);
  table_used_ -= table_entry_bytes(name, found->second->entry);
  nodes_.erase(found);
  changed();
}

// What has no name any more.
void Device::forget(Node& node) {
  node.removed = true;
  if (node.opens == 0) shrink(node, 0);
}

void Device::close_node(Node& node) {
  FB_ASSERT(node.opens > 0);
  --node.opens;
  if (node.removed && node.opens == 0) shrink(node, 0);
}

Result<Device::NodePtr> Device::open_node(const std::string& name, const OpenOptions& options) {
  const auto found = nodes_.find(name);
  if (found == nodes_.end()) {
    if (!options.create) return IoError::not_found;
    auto node = std::make_shared<Node>();
    node->entry.kind = TableEntry::Kind::file;
    FB_CHECK(add(name, node));
    ++node->opens;
    return node;
  }
  if (options.create && options.exclusive) return IoError::exists;
  const NodePtr& node = found->second;
  // Small files are read and replaced as a whole.
  if (node->entry.kind != TableEntry::Kind::file) return IoError::unsupported;
  if (options.truncate) shrink(*node, 0);
  ++node->opens;
  return node;
}

Task<Result<FileMount::Opened>> Device::open(Env& env, const std::string& path, const OpenOptions& options) {
  const std::string name = name_of(path);
  NodePtr node;
  Shape shape;
  FB_CO_CHECK(co_await on_first(env, [&](Env&) -> Task<Result<void>> {
    FB_CO_TRY(node, open_node(name, options));
    shape = {node->entry.size_bytes, node->entry.runs};
    co_return Result<void>();
  }));
  const File& handle = handles_[env.core()];
  FB_ASSERT(handle.is_open(), env.core());
  co_return Opened{.handle = handle.handle(),
                   .direct = handle.direct(),
                   .file = std::make_unique<OpenFile>(*this, env, std::move(node), std::move(shape))};
}

Task<Result<void>> Device::rename(Env& env, const std::string& from, const std::string& to) {
  co_return co_await on_first(env, [&](Env&) -> Task<Result<void>> {
    const std::string source = name_of(from);
    const std::string destination = name_of(to);
    const auto found = nodes_.find(source);
    if (found == nodes_.end() || !has_folder(destination)) co_return IoError::not_found;
    if (source == destination) co_return Result<void>();
    if (destination.size() > kNameBytesMax) co_return IoError::limit;
    const NodePtr node = found->second;
    const auto replaced = nodes_.find(destination);
    const NodePtr old = replaced == nodes_.end() ? nullptr : replaced->second;
    const bool of_files = node->entry.kind != TableEntry::Kind::directory &&
                          (old == nullptr || old->entry.kind != TableEntry::Kind::directory);
    if (!of_files) co_return IoError::unsupported;
    const size_t more = destination.size() - std::min(destination.size(), source.size());
    if (old == nullptr && table_used_ + more > superblock_.table_bytes) co_return IoError::no_space;
    if (old != nullptr) take_out(destination);
    take_out(source);
    FB_CO_CHECK(add(destination, node));
    if (old != nullptr) forget(*old);
    co_return Result<void>();
  });
}

Task<Result<void>> Device::remove(Env& env, const std::string& path) {
  co_return co_await on_first(env, [&](Env&) -> Task<Result<void>> {
    const std::string name = name_of(path);
    const auto found = nodes_.find(name);
    if (found == nodes_.end()) co_return IoError::not_found;
    const NodePtr node = found->second;
    if (node->entry.kind == TableEntry::Kind::directory) co_return IoError::unsupported;
    take_out(name);
    forget(*node);
    co_return Result<void>();
  });
}

Task<Result<void>> Device::make_directory(Env& env, const std::string& path) {
  co_return co_await on_first(env, [&](Env&) -> Task<Result<void>> {
    const std::string name = name_of(path);
    if (name.empty() || nodes_.contains(name)) co_return IoError::exists;
    co_return add(name, std::make_shared<Node>());
  });
}

Task<Result<void>> Device::sync_names(Env& env) {
  co_return co_await on_first(env, [&](Env&) { return commit(); });
}

Task<Result<std::vector<std::string>>> Device::list(Env& env, const std::string& path) {
  co_return co_await on_first(env, [&](Env&) -> Task<Result<std::vector<std::string>>> {
    const std::string name = name_of(path);
    if (!name.empty()) {
      const auto found = nodes_.find(name);
      const bool is_folder =
          found != nodes_.end() && found->second->entry.kind == TableEntry::Kind::directory;
      if (!is_folder) co_return IoError::not_found;
    }
    const std::string prefix = name.empty() ? name : name + "/";
    std::vector<std::string> names;
    for (auto at = nodes_.lower_bound(prefix); at != nodes_.end() && at->first.starts_with(prefix); ++at) {
      const std::string rest = at->first.substr(prefix.size());
      if (!rest.contains('/')) names.push_back(rest);
    }
    co_return names;
  });
}

Task<Result<FileSystemSpace>> Device::space(Env& env) {
  co_return co_await on_first(env, [&](Env&) -> Task<Result<FileSystemSpace>> {
    co_return FileSystemSpace{.total_bytes = superblock_.extent_count * superblock_.extent_bytes,
                              .available_bytes = free_count_ * superblock_.extent_bytes,
                              .overwrites_in_place = overwrites_in_place_};
  });
}

Task<Result<std::string>> Device::read_small(Env& env, const std::string& path) {
  co_return co_await on_first(env, [&](Env&) -> Task<Result<std::string>> {
    const auto found = nodes_.find(name_of(path));
    if (found == nodes_.end()) co_return IoError::not_found;
    if (found->second->entry.kind != TableEntry::Kind::small_file) co_return IoError::unsupported;
    co_return found->second->entry.contents;
  });
}

// Part of the table, so atomic with it.
Task<Result<void>> Device::replace_small(Env& env, const std::string& path, std::string_view contents) {
  if (contents.size() > kSmallFileBytesMax) co_return IoError::limit;
  co_return co_await on_first(env, [&](Env&) -> Task<Result<void>> {
    const std::string name = name_of(path);
    const auto found = nodes_.find(name);
    if (found != nodes_.end() && found->second->entry.kind != TableEntry::Kind::small_file)
      co_return IoError::unsupported;
    auto node = std::make_shared<Node>();
    node->entry = {.kind = TableEntry::Kind::small_file,
                   .size_bytes = contents.size(),
                   .contents = std::string(contents)};
    const size_t had = found == nodes_.end() ? 0 : table_entry_bytes(name, found->second->entry);
    if (table_used_ - had + table_entry_bytes(name, node->entry) > superblock_.table_bytes)
      co_return IoError::no_space;
    if (found != nodes_.end()) take_out(name);
    FB_CO_CHECK(add(name, std::move(node)));
    co_return co_await commit();
  });
}

// --- extents ---

void Device::give_free(ExtentRun run) {
  free_count_ += run.count;
  auto next = free_.lower_bound(run.first);
  FB_ASSERT(next == free_.end() || next->first >= run.first + run.count, run.first, run.count);
  if (next != free_.end() && next->first == run.first + run.count) {
    run.count += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    FB_ASSERT(before->first + before->second <= run.first, run.first, before->first);
    if (before->first + before->second == run.first) {
      before->second += run.count;
      return;
    }
  }
  free_.emplace(run.first, run.count);
}

// A part of one free run.
void Device::take_free(ExtentRun run) {
  const auto at = std::prev(free_.upper_bound(run.first));
  const ExtentRun whole{at->first, at->second};
  FB_ASSERT(run.first + run.count <= whole.first + whole.count, run.first, run.count);
  free_.erase(at);
  if (run.first > whole.first) free_.emplace(whole.first, run.first - whole.first);
  const uint32_t end = run.first + run.count;
  if (end < whole.first + whole.count) free_.emplace(end, whole.first + whole.count - end);
  free_count_ -= run.count;
}

// `count` more, behind the last one where they are free, else in the smallest run that has room for all of
// them. What begins a file is in one piece, or there is no space; what is added may be in several.
Result<std::vector<ExtentRun>> Device::take_extents(const std::vector<ExtentRun>& have, uint64_t count) {
  if (count > free_count_) return IoError::no_space;
  std::vector<ExtentRun> runs = have;
  const auto append = [&](ExtentRun run) {
    take_free(run);
    count -= run.count;
    if (!runs.empty() && runs.back().first + runs.back().count == run.first) {
      runs.back().count += run.count;
    } else {
      runs.push_back(run);
    }
  };
  if (!runs.empty()) {
    const auto behind = free_.find(runs.back().first + runs.back().count);
    if (behind != free_.end())
      append({behind->first, static_cast<uint32_t>(std::min<uint64_t>(count, behind->second))});
  }
  while (count > 0) {
    const std::pair<const uint32_t, uint32_t>* best = nullptr;
    const std::pair<const uint32_t, uint32_t>* largest = nullptr;
    for (const auto& run : free_) {
      if (run.second >= count && (best == nullptr || run.second < best->second)) best = &run;
      if (largest == nullptr || run.second > largest->second) largest = &run;
    }
    if (best == nullptr && have.empty()) return IoError::no_space;
    const auto& chosen = best != nullptr ? *best : *largest;
    append({chosen.first, static_cast<uint32_t>(std::min<uint64_t>(count, chosen.second))});
  }
  return runs;
}

Result<void> Device::extend(Node& node, uint64_t size_bytes) {
  if (size_bytes <= node.entry.size_bytes) return {};
  size_bytes = align_up(size_bytes, kDeviceBlock);
  uint64_t have = 0;
  for (const ExtentRun& run : node.entry.runs) have += run.count;
  const uint64_t wanted = (size_bytes + superblock_.extent_bytes - 1) / superblock_.extent_bytes;
  if (wanted > have) {
    FB_TRY(std::vector<ExtentRun> runs, take_extents(node.entry.runs, wanted - have));
    const size_t more = (runs.size() - node.entry.runs.size()) * sizeof(ExtentRun);
    if (!node.removed && table_used_ + more > superblock_.table_bytes) {
      // Taken in vain: they are in no table.
      node.entry.runs = std::move(runs);
      table_used_ += more;
      shrink(node, node.entry.size_bytes);
      return IoError::no_space;
    }
    if (!node.removed) table_used_ += more;
    node.entry.runs = std::move(runs);
  }
  node.entry.size_bytes = size_bytes;
  changed();
  return {};
}

// Extents that a smaller size does not need are free once a table is durable without them.
void Device::shrink(Node& node, uint64_t size_bytes) {
  node.entry.size_bytes = std::min(node.entry.size_bytes, align_up(size_bytes, kDeviceBlock));
  uint64_t keep = (node.entry.size_bytes + superblock_.extent_bytes - 1) / superblock_.extent_bytes;
  std::vector<ExtentRun> kept;
  for (const ExtentRun& run : node.entry.runs) {
    const auto count = static_cast<uint32_t>(std::min<uint64_t>(run.count, keep));
    if (count > 0) kept.push_back({run.first, count});
    if (count < run.count) freed_.push_back({run.first + count, run.count - count});
    keep -= count;
  }
  if (!node.removed) table_used_ -= (node.entry.runs.size() - kept.size()) * sizeof(ExtentRun);
  node.entry.runs = std::move(kept);
  changed();
}

bool Device::verify() const {
  std::vector<bool> taken(superblock_.extent_count);
  uint64_t count = 0;
  const auto claim = [&](ExtentRun run) {
    for (uint64_t at = run.first; at < uint64_t{run.first} + run.count; ++at, ++count) {
      if (at >= taken.size() || taken[at]) return false;
      taken[at] = true;
    }
    return true;
  };
  size_t used = kTableHeadBytes;
  for (const auto& [first, length] : free_) {
    if (!claim({first, length})) return false;
  }
  if (count != free_count_) return false;
  for (const ExtentRun& run : freed_) {
    if (!claim(run)) return false;
  }
  for (const auto& [name, node] : nodes_) {
    used += table_entry_bytes(name, node->entry);
    for (const ExtentRun& run : node->entry.runs) {
      if (!claim(run)) return false;
    }
  }
  // What is neither is of files that were removed and are open still.
  return used == table_used_;
}

// --- the table on the device ---

// Makes every change durable that was made before the call.
Task<Result<void>> Device::commit() {
  const uint64_t wanted = change_;
  const auto held = co_await table_mutex_.acquire();
  if (durable_change_ >= wanted) co_return Result<void>();
  const uint64_t taken = change_;
  std::vector<ExtentRun> freed = std::exchange(freed_, {});
  const Result<void> written = co_await write_tables();
  if (!written) {
    freed_.insert(freed_.end(), freed.begin(), freed.end());
    co_return written;
  }
  durable_change_ = taken;
  for (const ExtentRun& run : freed) give_free(run);
  co_return Result<void>();
}

// As it is when this begins.
Task<Result<void>> Device::write_tables() {
  DeviceTable table;
  for (const auto& [name, node] : nodes_) table.emplace_hint(table.end(), name, node->entry);
  const std::string image = encode_table(table, superblock_.id, ++table_number_);
  FB_ASSERT(image.size() <= superblock_.table_bytes, image.size());
  AlignedBytes bytes;
  bytes.append(image.data(), image.size());
  const auto padded = bytes.pad();
  for (int i = 0; i < 2; ++i) {
    const size_t other = 1 - newest_;
    const Result<void> written =
        co_await handles_[env_.core()].write_all_durable(padded, superblock_.table_offsets[other]);
    if (!written) {
      log(env_, LogLevel::error, "device: its table could not be written",
          {{"device", options_.path}, {"copy", other}, {"error", written.error().to_string()}});
      co_return written;
    }
    newest_ = other;
    ++stats_.tables;
    stats_.table_bytes += padded.size();
  }
  co_return Result<void>();
}

}  // namespace fb::bss
