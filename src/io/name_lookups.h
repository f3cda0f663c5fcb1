// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/endpoint.h"

namespace fb {

using LookUpFunction = std::function<Result<std::vector<Endpoint>>(const std::string& host, uint16_t port)>;

// One name that is being looked up. The waiting core and the look-up thread share it; the last of them frees
// it.
class NameLookup {
 public:
  NameLookup(std::string host, uint16_t port, int event)
      : host_(std::move(host)), port_(port), event_(event) {}
  ~NameLookup();
  NameLookup(const NameLookup&) = delete;
  NameLookup& operator=(const NameLookup&) = delete;

  // For the core. The event becomes readable when the answer is there.
  int event() const { return event_; }
  bool answered() const { return answered_.load(std::memory_order_acquire); }
  const Result<std::vector<Endpoint>>& answer() const { return answer_; }
  void abandon() { abandoned_.store(true, std::memory_order_relaxed); }

  // For the thread.
  bool abandoned() const { return abandoned_.load(std::memory_order_relaxed); }
  void look(const LookUpFunction& function);

 private:
  const std::string host_;
  const uint16_t port_;
  const int event_;
  std::atomic<bool> abandoned_ = false;
  std::atomic<bool> answered_ = false;
  Result<std::vector<Endpoint>> answer_;
};

// The threads that look names up for all cores of a process. A thread is made for a look-up, goes on with
// waiting look-ups, and ends. A look-up cannot be called off, so nobody joins the thread: it holds all that
// it needs.
class NameLookups {
 public:
  static constexpr size_t kThreadsMax = 4;
  static constexpr size_t kWaitingMax = 256;

  explicit NameLookups(LookUpFunction function);
  // Waiting look-ups are dropped; those under way end by themselves.
  ~NameLookups();
  NameLookups(const NameLookups&) = delete;
  NameLookups& operator=(const NameLookups&) = delete;

  // Called by any core. IoError::limit if there is no room, thread or descriptor.
  Result<std::shared_ptr<NameLookup>> begin(std::string host, uint16_t port);

 private:
  struct State;
  static void run(const std::shared_ptr<State>& state);
  static std::shared_ptr<NameLookup> next(State& state);

  std::shared_ptr<State> state_;
};

}  // namespace fb
