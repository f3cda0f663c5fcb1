// SPDX-License-Identifier: Apache-2.0
#include "io/sim/sim_node.h"

#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <cerrno>

#include "io/claim.h"
#include "io/sim/simulation.h"

namespace fb::sim {
namespace {

constexpr uint64_t kDiskBytesPerMicrosecond = 2'000;
constexpr Duration kLandingSoon = Duration::milliseconds(5);

bool is_file_operation(IoKind kind) { return kind <= IoKind::statfs; }

bool is_write(const IoRequest& request) {
  return request.kind == IoKind::write || request.kind == IoKind::writev;
}

uint64_t transfer_bytes(const IoRequest& request) {
  if (request.kind != IoKind::writev) return request.length;
  uint64_t bytes = 0;
  for (const iovec& piece : std::span(request.vectors, request.vector_count)) bytes += piece.iov_len;
  return bytes;
}

// The bytes of a vectored write in one piece of memory.
std::vector<std::byte> gather(const IoRequest& request) {
  std::vector<std::byte> bytes;
  bytes.reserve(transfer_bytes(request));
  for (const iovec& piece : std::span(request.vectors, request.vector_count)) {
    const auto* begin = static_cast<const std::byte*>(piece.iov_base);
    bytes.insert(bytes.end(), begin, begin + piece.iov_len);
  }
  return bytes;
}

bool is_direct_io(const IoRequest& request) {
  const auto aligned = [](const void* data, uint64_t length) {
    return is_aligned(length, kDirectIoAlignment) &&
           is_aligned(reinterpret_cast<uintptr_t>(data), kDirectIoAlignment);
  };
  if (!is_aligned(request.offset, kDirectIoAlignment)) return false;
  if (request.kind != IoKind::writev) return aligned(request.data, request.length);
  return std::ranges::all_of(std::span(request.vectors, request.vector_count),
                             [&](const iovec& piece) { return aligned(piece.iov_base, piece.iov_len); });
}

// Whether the operation, once submitted, can leave a trace on the disk.
bool changes_disk(const IoRequest& request) {
  switch (request.kind) {
    case IoKind::write:
    case IoKind::writev:
    case IoKind::sync:
    case IoKind::allocate:
    case IoKind::truncate:
    case IoKind::rename:
    case IoKind::unlink:
    case IoKind::make_directory:
      return true;
    case IoKind::open:
      return (request.flags & (O_CREAT | O_TRUNC)) != 0;
    default:
      return false;
  }
}

std::string_view kind_name(IoKind kind) {
  switch (kind) {
    case IoKind::open:
      return "create";
    case IoKind::write:
    case IoKind::writev:
      return "write";
    case IoKind::sync:
      return "sync";
    case IoKind::allocate:
      return "allocate";
    case IoKind::truncate:
      return "truncate";
    case IoKind::rename:
      return "rename";
    case IoKind::unlink:
      return "unlink";
    case IoKind::make_directory:
      return "make_directory";
    default:
      return "other";
  }
}

std::string_view role_name(FileRole role) {
  switch (role) {
    case FileRole::data:
      return "data";
    case FileRole::journal:
      return "journal";
    case FileRole::snapshot:
      return "snapshot";
    case FileRole::other:
      return "other";
  }
  return "other";
}

}  // namespace

SimNode::SimNode(Simulation& simulation, unsigned index, Options options, Random& disk_random)
    : simulation_(simulation),
      index_(index),
      options_(std::move(options)),
      random_(disk_random),
      disk_(options_.disk, disk_random, simulation.faults()) {}

SimNode::~SimNode() { FB_ASSERT(cores_.empty(), index_); }

Endpoint SimNode::endpoint(uint16_t port) const {
  return Endpoint::ipv4(10, 0, static_cast<uint8_t>(index_ / 250), static_cast<uint8_t>(index_ % 250 + 1),
                        port);
}

RootTask SimNode::run_main(const Main& main, Env& env) { co_await main(env); }

void SimNode::start(Main main) {
  FB_ASSERT(!running(), index_);
  main_ = std::move(main);
  powered_ = true;
  crashed_ = false;
  ++boots_;
  failures_counted_ = 0;
  changes_ = 0;
  resumptions_ = 0;
  points_ = 0;
  running_mains_ = options_.cores;
  for (unsigned core = 0; core < options_.cores; ++core) {
    cores_.push_back(std::make_unique<Core>());
    cores_.back()->env = std::make_unique<SimEnv>(
        simulation_, *this,
        Env::Options{.core = core, .core_count = options_.cores, .buffers = options_.buffers});
  }
  for (const auto& core : cores_) {
    // The first step of a main is a step of the scheduler like any other.
    simulation_.at(simulation_.now(), core->env.get(),
                   [raw = core.get()] { raw->env->run_turn(&SimNode::start_main, raw); });
  }
}

void SimNode::start_main(void* core_in) {
  Core& core = *static_cast<Core*>(core_in);
  SimNode& node = core.env->node();
  core.main = run_main(node.main_, *core.env);
  core.main.start([](void* ended) { --static_cast<SimNode*>(ended)->running_mains_; }, &node);
}

bool SimNode::reached(CrashPoint point, uint64_t count) {
  if (planned_.n != count || planned_.point != point || crash_pending_) return false;
  crash_pending_ = true;
  pending_kind_ = planned_.kind;
  planned_ = {};
  return true;
}

bool SimNode::before_resume() {
  if (ending()) return false;
  return !reached(CrashPoint::resume, ++resumptions_);
}

void SimNode::at_point() { reached(CrashPoint::point, ++points_); }

void SimNode::settle() {
  if (crash_pending_) {
    crash(pending_kind_);
    return;
  }
  if (running_mains_ > 0 || in_turn()) return;
  FB_ASSERT(operations_.empty(), operations_.size());
  end_process();
}

void SimNode::crash(CrashKind kind) {
  FB_ASSERT(running(), index_);
  if (simulation_.current() != nullptr && &simulation_.current()->node() == this) {
    // Its own coroutine is running: the crash happens when that suspends, and nothing it does until then has
    // effect.
    crash_pending_ = true;
    pending_kind_ = kind;
    return;
  }
  end_turns();
  simulation_.faults().add(kind == CrashKind::kill ? Fault::kill : Fault::power_loss);
  simulation_.write_log(options_.name, kind == CrashKind::kill ? "(killed)" : "(power lost)");
  finish_in_flight(kind);
  for (const auto& core : cores_) core->env->abandon();
  detail::teardown_in_progress = true;
  end_process();
  detail::teardown_in_progress = false;
  crashed_ = true;
  if (kind == CrashKind::power_loss) {
    lose_landings();
    for (const std::string& loss : disk_.lose_power()) simulation_.write_log(options_.name + " disk", loss);
    powered_ = false;
  }
  simulation_.network().crash(*this, kind);
}

bool SimNode::in_turn() const {
  return std::ranges::any_of(cores_, [](const auto& core) { return core->env->in_turn(); });
}

// A core's stack is not unwound, so turns that were left in the middle go on to their suspension, side by
// side, since one may spin for another. Nothing they do has effect any more.
void SimNode::end_turns() {
  crash_pending_ = true;
  while (in_turn()) {
    for (const auto& core : cores_) {
      if (core->env->in_turn()) core->env->go_on();
    }
  }
}

// Operations submitted and not yet answered happen now, or not, or in part; in any order.
void SimNode::finish_in_flight(CrashKind kind) {
  std::vector<Operation> under_way;
  for (const auto& [number, operation] : operations_) {
    if (changes_disk(*operation.request)) under_way.push_back(operation);
  }
  if (under_way.empty()) simulation_.note_crash_point("idle");
  for (size_t i = under_way.size(); i > 1; --i) std::swap(under_way[i - 1], under_way[random_.below(i)]);
  for (const Operation& operation : under_way) {
    IoRequest& request = *operation.request;
    simulation_.note_crash_point(fmt::format("{} {}", kind_name(request.kind), role_name(request.role)));
    if (is_write(request)) {
      finish_write(operation, kind);
    } else if (random_.coin()) {
      perform(request, operation.open_file.get());
    }
  }
}

void SimNode::finish_write(const Operation& operation, CrashKind kind) {
  const OpenFilePtr& open_file = operation.open_file;
  const IoRequest& request = *operation.request;
  if (open_file == nullptr || !open_file->writable) return;
  std::vector<std::byte> gathered;
  if (request.kind == IoKind::writev) gathered = gather(request);
  const std::span<const std::byte> data =
      request.kind == IoKind::writev ? gathered : std::span(request.data, request.length);
  if (kind == CrashKind::power_loss) {
    disk_.tear_in_flight(*open_file->file, request.offset, data);
  } else if (open_file->direct) {
    land_later(open_file, request.offset, data);
  } else {
    disk_.cut_in_flight(*open_file->file, request.offset, data);
  }
}

// Either the drive has the write, or the kernel has not come to it and never will.
void SimNode::land_later(const OpenFilePtr& open_file, uint64_t offset, std::span<const std::byte> data) {
  if (random_.below(4) == 0) return;
  simulation_.faults().add(Fault::write_in_flight);
  const Duration longest = random_.coin() ? kLandingSoon : kLandingMax;
  const uint64_t number = ++next_landing_;
  landings_[number] = {open_file, offset, {data.begin(), data.end()}};
  simulation_.after(Duration::nanoseconds(static_cast<int64_t>(random_.below(longest.ns))),
                    [this, number] { land(number); });
}

void SimNode::land(uint64_t number) {
  const auto found = landings_.find(number);
  if (found == landings_.end()) return;
  const Landing& landing = found->second;
  simulation_.trace(landing.open_file->file->id);
  simulation_.trace(landing.offset);
  disk_.land(*landing.open_file->file, landing.offset, landing.data);
  landings_.erase(found);
}

// In any order: the power goes while the drive is at them.
void SimNode::lose_landings() {
  std::vector<Landing> under_way;
  for (auto& [number, landing] : landings_) under_way.push_back(std::move(landing));
  landings_.clear();
  for (size_t i = under_way.size(); i > 1; --i) std::swap(under_way[i - 1], under_way[random_.below(i)]);
  for (const Landing& landing : under_way)
    disk_.tear_in_flight(*landing.open_file->file, landing.offset, landing.data);
}

// Frames go first, then the state that the mains share, then the environments that both refer to.
void SimNode::end_process() {
  for (const auto& core : cores_) core->main.destroy();
  main_ = nullptr;
  for (const auto& core : cores_) simulation_.forget(*core->env);
  cores_.clear();
  operations_.clear();
  handles_.clear();
  signals_.clear();
  crash_pending_ = false;
  planned_ = {};
}

std::string SimNode::describe_waiting() const {
  if (!running()) return "not running";
  std::string text;
  for (const auto& core : cores_) {
    text += fmt::format("core {}: {} timers", core->env->core(), core->env->timers().size());
    if (core->env->in_turn()) text += fmt::format(", in a turn left at {}", core->env->place());
    for (const auto& [number, operation] : operations_) {
      if (operation.env != core->env.get()) continue;
      text += fmt::format(", operation {} {}", static_cast<int>(operation.request->kind),
                          role_name(operation.request->role));
    }
    text += "; ";
  }
  return text + fmt::format("{} resumptions", resumptions_);
}

void SimNode::signal(int number) {
  FB_ASSERT(running(), index_);
  signals_.push_back(number);
  deliver_signals();
}

void SimNode::deliver_signals() {
  for (const auto& [number, operation] : operations_) {
    if (signals_.empty()) return;
    if (operation.request->kind != IoKind::wait_signal) continue;
    const int signal = signals_.front();
    signals_.erase(signals_.begin());
    complete(number, signal);
    return;
  }
}

int32_t SimNode::add_handle(uint64_t socket) {
  const int32_t handle = next_handle_++;
  handles_[handle].socket = socket;
  return handle;
}

uint64_t SimNode::socket_of(int32_t handle) const {
  const auto found = handles_.find(handle);
  return found == handles_.end() ? 0 : found->second.socket;
}

void SimNode::complete(uint64_t operation, int64_t result) {
  const auto found = operations_.find(operation);
  FB_ASSERT(found != operations_.end(), operation);
  const Operation done = found->second;
  operations_.erase(found);
  simulation_.trace(operation);
  simulation_.trace(static_cast<uint64_t>(result));
  done.env->complete_request(*done.request, result);
}

void SimNode::submit(SimEnv& env, IoRequest& request) {
  if (crash_pending_) return;
  const uint64_t number = simulation_.next_operation();
  request.env_word[0] = number;
  const auto handle = handles_.find(request.handle);
  operations_[number] = {&env, &request, handle == handles_.end() ? nullptr : handle->second.open_file};
  simulation_.trace(number << 8 | static_cast<uint64_t>(request.kind));
  if (request.kind == IoKind::wait_signal) {
    deliver_signals();
  } else if (is_file_operation(request.kind) && socket_of(request.handle) == 0) {
    simulation_.at(simulation_.now() + file_latency(request), &env,
                   [this, number] { run_file_operation(number); });
  } else {
    simulation_.network().start(*this, number, request);
  }
}

void SimNode::cancel(IoRequest& request) {
  const uint64_t number = request.env_word[0];
  if (!waiting(number) || &this->request(number) != &request) return;
  // A file operation may be past recall; it then completes as if nothing had been asked.
  if (is_file_operation(request.kind) && random_.coin()) return;
  complete(number, -ECANCELED);
}

Duration SimNode::file_latency(const IoRequest& request) {
  const auto between = [&](uint64_t first, uint64_t last) {
    return Duration::microseconds(static_cast<int64_t>(random_.between(first, last)));
  };
  Duration latency = between(5, 50);
  if (request.kind == IoKind::read || is_write(request)) {
    const bool durable = is_write(request) && (request.flags & IoRequest::kDurable) != 0;
    latency = durable ? between(60, 600) : between(20, 200);
    latency = latency + Duration::microseconds(
                            static_cast<int64_t>(transfer_bytes(request) / kDiskBytesPerMicrosecond));
  } else if (request.kind == IoKind::sync) {
    latency = between(80, 1'500);
  }
  const DiskFaults& faults = disk_.faults();
  if (random_.chance(faults.stall_ppm)) {
    simulation_.faults().add(Fault::stall);
    latency = latency + Duration::nanoseconds(static_cast<int64_t>(random_.below(faults.stall_max.ns)));
  }
  if (disk_answers_from_ > simulation_.now()) latency = latency + (disk_answers_from_ - simulation_.now());
  return latency;
}

void SimNode::freeze_disk(Duration duration) {
  simulation_.faults().add(Fault::stall);
  simulation_.write_log(options_.name, "(the disk stands still)");
  disk_answers_from_ = simulation_.now() + duration;
}

bool SimNode::fails_as_planned(const IoRequest& request) {
  const bool is_it =
      planned_failure_.kind == IoKind::write ? is_write(request) : request.kind == planned_failure_.kind;
  return is_it && ++failures_counted_ == planned_failure_.n;
}

void SimNode::run_file_operation(uint64_t number) {
  if (!waiting(number)) return;
  IoRequest& wanted = request(number);
  const bool changes = changes_disk(wanted);
  if (changes && reached(CrashPoint::io_before, ++changes_)) return;
  // A reference of its own, since the operation's answer may be a crash.
  const OpenFilePtr open_file = operations_.at(number).open_file;
  int64_t result = 0;
  if (changes && fails_as_planned(wanted)) {
    if (planned_failure_.how != FailureEffect::not_made) {
      if (planned_failure_.how == FailureEffect::readable) wanted.flags &= ~IoRequest::kDurable;
      (void)perform(wanted, open_file.get());
    } else if (wanted.kind == IoKind::sync && open_file != nullptr) {
      open_file->file->lose_unsynced();  // as the kernel does; the next sync does not report it
    }
    result = -EIO;
  } else {
    result = perform_or_fail(wanted, open_file.get());
  }
  if (changes && reached(CrashPoint::io_after, changes_)) {
    simulation_.note_crash_point(fmt::format("after {} {}", kind_name(wanted.kind), role_name(wanted.role)));
    operations_.erase(number);
    return;
  }
  complete(number, result);
}

int64_t SimNode::perform_open(IoRequest& request) {
  const uint32_t flags = request.flags;
  SimDisk::FilePtr file;
  const SimDisk::OpenFlags how{.create = (flags & O_CREAT) != 0,
                               .exclusive = (flags & O_EXCL) != 0,
                               .truncate = (flags & O_TRUNC) != 0,
                               .directory = (flags & O_DIRECTORY) != 0};
  if (const int64_t result = disk_.open(request.path, how, request.role, file); result < 0) return result;
  const bool writable = (flags & O_ACCMODE) != O_RDONLY;
  if (writable && file->directory) return -EISDIR;
  request.direct_granted = (flags & O_DIRECT) != 0 && disk_.options().direct_io;
  const int32_t handle = next_handle_++;
  handles_[handle].open_file = std::make_shared<OpenFile>(std::move(file), request.direct_granted, writable);
  return handle;
}

int64_t SimNode::perform_close(IoRequest& request) {
  const auto handle = handles_.find(request.handle);
  if (handle == handles_.end()) return -EBADF;
  handles_.erase(handle);
  return 0;
}

int64_t SimNode::perform_transfer(IoRequest& request, const OpenFile& open_file) {
  if (open_file.direct && !is_direct_io(request)) return -EINVAL;
  simulation_.trace(open_file.file->id);
  simulation_.trace(request.offset);
  if (request.kind == IoKind::read) {
    const std::span<std::byte> data(request.data, request.length);
    const int64_t count = disk_.read(*open_file.file, request.offset, data);
    if (count > 0) simulation_.trace_bytes(data.first(static_cast<size_t>(count)));
    return count;
  }
  if (!open_file.writable) return -EBADF;
  std::vector<std::byte> gathered;
  if (request.kind == IoKind::writev) gathered = gather(request);
  const std::span<const std::byte> data =
      request.kind == IoKind::writev ? gathered : std::span(request.data, request.length);
  simulation_.trace_bytes(data);
  return disk_.write(*open_file.file, request.offset, data, (request.flags & IoRequest::kDurable) != 0,
                     open_file.direct);
}

bool SimNode::draws_name_error(const IoRequest& request, const OpenFile* open_file) {
  switch (request.kind) {
    case IoKind::sync:
      if (open_file == nullptr || !open_file->file->directory) return false;
      break;
    case IoKind::rename:
    case IoKind::unlink:
    case IoKind::make_directory:
    case IoKind::truncate:
    case IoKind::allocate:
      break;
    default:
      return false;
  }
  return random_.chance(disk_.faults().name_error_ppm);
}

// A change that failed may have happened all the same; a sync that failed has not.
int64_t SimNode::perform_or_fail(IoRequest& request, OpenFile* open_file) {
  if (!draws_name_error(request, open_file)) return perform(request, open_file);
  simulation_.faults().add(Fault::name_error);
  if (request.kind != IoKind::sync && random_.coin()) (void)perform(request, open_file);
  return -EIO;
}

int64_t SimNode::perform(IoRequest& request, OpenFile* open_file) {
  SimFile* file = open_file == nullptr ? nullptr : open_file->file.get();
  switch (request.kind) {
    case IoKind::open:
      return perform_open(request);
    case IoKind::close:
      return perform_close(request);
    case IoKind::read:
    case IoKind::write:
    case IoKind::writev:
      return file == nullptr ? -EBADF : perform_transfer(request, *open_file);
    case IoKind::sync:
      return file == nullptr ? -EBADF : disk_.sync(*file);
    case IoKind::allocate:
      return file == nullptr ? -EBADF : disk_.allocate(*file, request.offset, request.length);
    case IoKind::truncate:
      if (file == nullptr) return -EBADF;
      return open_file->writable ? disk_.truncate(*file, request.length) : -EINVAL;
    case IoKind::stat: {
      auto& out = *static_cast<FileStat*>(request.out);
      if (file == nullptr) return request.path == nullptr ? -EBADF : disk_.stat(request.path, out);
      out = {.size_bytes = file->size(), .directory = file->directory};
      return 0;
    }
    case IoKind::rename:
      return disk_.rename(request.path, request.path2);
    case IoKind::unlink:
      return disk_.unlink(request.path);
    case IoKind::make_directory:
      return disk_.make_directory(request.path);
    case IoKind::list_directory:
      return disk_.list(request.path, *static_cast<std::vector<std::string>*>(request.out));
    case IoKind::lock: {
      const bool shared = (request.flags & kSharedLock) != 0;
      if (file == nullptr) return -EBADF;
      return open_file->lock(shared ? OpenFile::Lock::shared : OpenFile::Lock::exclusive) ? 0 : -EWOULDBLOCK;
    }
    case IoKind::statfs:
      return disk_.space(request.path, *static_cast<FileSystemSpace*>(request.out));
    default:
      FB_UNREACHABLE();
  }
}

}  // namespace fb::sim
