// SPDX-License-Identifier: Apache-2.0
#include "io/name_lookups.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "io/error.h"

namespace fb {

NameLookup::~NameLookup() { ::close(event_); }

void NameLookup::look(const LookUpFunction& function) {
  answer_ = function(host_, port_);
  answered_.store(true, std::memory_order_release);
  const uint64_t one = 1;
  FB_ASSERT(::write(event_, &one, sizeof one) == sizeof one, errno);
}

struct NameLookups::State {
  explicit State(LookUpFunction function_in) : function(std::move(function_in)) {}
  const LookUpFunction function;
  std::mutex mutex;
  std::deque<std::shared_ptr<NameLookup>> waiting;
  size_t threads = 0;
};

NameLookups::NameLookups(LookUpFunction function) : state_(std::make_shared<State>(std::move(function))) {}

NameLookups::~NameLookups() {
  const std::lock_guard lock(state_->mutex);
  state_->waiting.clear();
}

Result<std::shared_ptr<NameLookup>> NameLookups::begin(std::string host, uint16_t port) {
  const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event < 0) return io_error(errno);
  auto lookup = std::make_shared<NameLookup>(std::move(host), port, event);
  const std::lock_guard lock(state_->mutex);
  State& state = *state_;
  std::erase_if(state.waiting, [](const auto& waiting) { return waiting->abandoned(); });
  if (state.waiting.size() >= kWaitingMax) return IoError::limit;
  if (state.threads < kThreadsMax) {
    try {
      std::thread thread([kept = state_] { run(kept); });
      pthread_setname_np(thread.native_handle(), "fb-names");
      thread.detach();
      ++state.threads;
    } catch (const std::system_error&) {
      if (state.threads == 0) return IoError::limit;  // otherwise another thread takes it
    }
  }
  state.waiting.push_back(lookup);
  return lookup;
}

// Null if none waits: the thread then ends.
std::shared_ptr<NameLookup> NameLookups::next(State& state) {
  const std::lock_guard lock(state.mutex);
  while (!state.waiting.empty()) {
    std::shared_ptr<NameLookup> lookup = std::move(state.waiting.front());
    state.waiting.pop_front();
    if (!lookup->abandoned()) return lookup;
  }
  --state.threads;
  return nullptr;
}

void NameLookups::run(const std::shared_ptr<State>& state) {
  while (const std::shared_ptr<NameLookup> lookup = next(*state)) lookup->look(state->function);
}

}  // namespace fb
