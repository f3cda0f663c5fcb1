// SPDX-License-Identifier: Apache-2.0
#include "io/sim/sim_network.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "io/sim/simulation.h"

namespace fb::sim {
namespace {

constexpr uint16_t kPortMin = 32768;
constexpr Duration kConnectRetry = Duration::seconds(1);

bool is_any(const Endpoint& endpoint) {
  const std::array<uint8_t, 16> none{};
  return endpoint.address == none || endpoint.address == Endpoint::ipv4(0, 0, 0, 0, 0).address;
}

}  // namespace

SimNetwork::SimNetwork(Simulation& simulation, Random& random, FaultCounts& counts)
    : simulation_(simulation), random_(random), counts_(counts) {}

void SimNetwork::set_partition(const SimNode& a, const SimNode& b, bool is_cut) {
  const std::pair<unsigned, unsigned> link = std::minmax(a.index(), b.index());
  if (!is_cut) {
    cuts_.erase(link);
  } else if (cuts_.insert(link).second) {
    counts_.add(Fault::partition);
  }
}

bool SimNetwork::cut(const SimNode& from, const SimNode& to) const {
  const std::pair<unsigned, unsigned> link = std::minmax(from.index(), to.index());
  return cuts_.contains(link);
}

Duration SimNetwork::latency(const SimNode& from, const SimNode& to) {
  const Duration first = &from == &to ? Duration::microseconds(3) : timing_.latency_min;
  const Duration last = &from == &to ? Duration::microseconds(20) : timing_.latency_max;
  return Duration::nanoseconds(
      static_cast<int64_t>(random_.between(static_cast<uint64_t>(first.ns), static_cast<uint64_t>(last.ns))));
}

SimNode* SimNetwork::node_at(SimNode& from, const Endpoint& endpoint) const {
  if (endpoint.is_loopback()) return &from;
  for (const auto& node : simulation_.nodes()) {
    if (node->endpoint(0).address == endpoint.address) return node.get();
  }
  return nullptr;
}

SimNetwork::Socket* SimNetwork::open_socket(uint64_t id) {
  const auto found = sockets_.find(id);
  return found == sockets_.end() || found->second.closed ? nullptr : &found->second;
}

uint64_t SimNetwork::add_socket(SimNode& node, SimNode& peer_node, const Endpoint& remote) {
  const uint64_t id = next_id_++;
  sockets_[id] = Socket{.node = &node, .peer_node = &peer_node, .remote = remote};
  return id;
}

void SimNetwork::start(SimNode& node, uint64_t operation, IoRequest& request) {
  const uint64_t id = node.socket_of(request.handle);
  Socket* socket = open_socket(id);
  const auto listener = listeners_.find(id);
  const auto soon = [&](auto action) {
    simulation_.at(simulation_.now() + latency(node, node), &node.env_of(operation), [=, this, &node] {
      if (node.waiting(operation)) action(this, node);
    });
  };
  const auto answer = [&](int64_t result) {
    soon([=](SimNetwork*, SimNode& at) { at.complete(operation, result); });
  };
  switch (request.kind) {
    case IoKind::listen:
      return soon([=](SimNetwork* self, SimNode& at) { self->listen(at, operation); });
    case IoKind::connect: {
      const Instant started = simulation_.now();
      SimNode* target = node_at(node, *request.endpoint);
      if (target == nullptr) return answer(-EHOSTUNREACH);
      return simulation_.at(started + latency(node, *target), nullptr,
                            [=, this, &node] { connect(node, operation, started); });
    }
    case IoKind::resolve: {
      const auto longest = static_cast<uint64_t>((timing_.lookup_max - timing_.lookup_min).ns);
      const Duration delay = Duration::nanoseconds(static_cast<int64_t>(random_.between(0, longest)));
      return simulation_.at(simulation_.now() + timing_.lookup_min + delay, &node.env_of(operation),
                            [=, this, &node] {
                              if (node.waiting(operation))
                                node.complete(operation, look_up(node.request(operation)));
                            });
    }
    case IoKind::accept:
      if (listener == listeners_.end()) return answer(-EBADF);
      listener->second.accept_operation = operation;
      return soon([=](SimNetwork* self, SimNode&) { self->accept(id); });
    case IoKind::receive:
    case IoKind::receive_pooled:
      if (socket == nullptr) return answer(-EBADF);
      FB_ASSERT(!node.waiting(socket->receive_operation), operation);
      socket->receive_operation = operation;
      return soon([=](SimNetwork* self, SimNode&) { self->receive(id); });
    case IoKind::send:
      if (socket == nullptr) return answer(-EBADF);
      FB_ASSERT(!node.waiting(socket->send_operation), operation);
      socket->send_operation = operation;
      return soon([=](SimNetwork* self, SimNode&) { self->send(id); });
    case IoKind::shutdown:
    case IoKind::finish_sending: {
      if (socket == nullptr) return answer(-EBADF);
      const bool both_ways = request.kind == IoKind::shutdown;
      return soon([=](SimNetwork* self, SimNode& at) { self->shutdown(at, operation, id, both_ways); });
    }
    case IoKind::close:
      if (listener != listeners_.end()) {
        abandon_listener(id);
      } else if (socket != nullptr) {
        close(id);
      } else {
        return answer(-EBADF);
      }
      node.forget_handle(request.handle);
      return answer(0);
    default:
      FB_UNREACHABLE();
  }
}

void SimNetwork::listen(SimNode& node, uint64_t operation) {
  IoRequest& request = node.request(operation);
  Endpoint endpoint = *request.endpoint;
  if (!is_any(endpoint) && node_at(node, endpoint) != &node) return node.complete(operation, -EADDRNOTAVAIL);
  if (endpoint.port == 0) {
    endpoint.port = next_port_;
    next_port_ = static_cast<uint16_t>(next_port_ == UINT16_MAX ? kPortMin : next_port_ + 1);
  }
  const uint64_t id = next_id_++;
  listeners_[id] = Listener{.node = &node, .endpoint = endpoint};
  if (request.out != nullptr) *static_cast<Endpoint*>(request.out) = endpoint;
  node.complete(operation, node.add_handle(id));
}

// Any of the listeners that share the port, as SO_REUSEPORT does.
SimNetwork::Listener* SimNetwork::choose_listener(SimNode& target, const Endpoint& endpoint, bool local) {
  std::vector<Listener*> candidates;
  for (auto& [id, listener] : listeners_) {
    const bool matches = is_any(listener.endpoint) || listener.endpoint.address == endpoint.address ||
                         (local && listener.endpoint.is_loopback() && endpoint.is_loopback());
    if (listener.node == &target && listener.endpoint.port == endpoint.port && matches) {
      candidates.push_back(&listener);
    }
  }
  return candidates.empty() ? nullptr : candidates[random_.below(candidates.size())];
}

void SimNetwork::connect(SimNode& node, uint64_t operation, Instant started) {
  if (!node.waiting(operation)) return;
  const Endpoint endpoint = *node.request(operation).endpoint;
  SimNode& target = *node_at(node, endpoint);
  Listener* listener = nullptr;
  if (target.powered() && !cut(node, target)) {
    listener = choose_listener(target, endpoint, &node == &target);
    if (listener == nullptr || random_.chance(faults_.connect_refused_ppm)) {
      if (listener != nullptr) counts_.add(Fault::connect_refused);
      simulation_.at(simulation_.now() + latency(target, node), nullptr, [=, &node] {
        if (node.waiting(operation)) node.complete(operation, -ECONNREFUSED);
      });
      return;
    }
  }
  if (listener == nullptr || listener->backlog.size() >= kBacklog) {
    // Nobody answers: ask again.
    if (simulation_.now() - started >= kConnectTimeout) return node.complete(operation, -ETIMEDOUT);
    simulation_.at(simulation_.now() + kConnectRetry, nullptr,
                   [=, this, &node] { connect(node, operation, started); });
    return;
  }
  next_port_ = static_cast<uint16_t>(next_port_ == UINT16_MAX ? kPortMin : next_port_ + 1);
  const Endpoint from = &node == &target ? Endpoint::loopback(next_port_) : node.endpoint(next_port_);
  const uint64_t here = add_socket(node, target, endpoint);
  const uint64_t there = add_socket(target, node, from);
  sockets_.at(here).peer = there;
  sockets_.at(there).peer = here;
  listener->backlog.push_back(there);
  for (auto& [id, candidate] : listeners_) {
    if (&candidate == listener) accept(id);
  }
  simulation_.at(simulation_.now() + latency(target, node), nullptr,
                 [=, this, &node] { finish_connect(node, operation, here); });
}

int64_t SimNetwork::look_up(const IoRequest& request) {
  if (random_.chance(faults_.lookup_failed_ppm)) {
    counts_.add(Fault::lookup_failed);
    return -EREMOTEIO;
  }
  const auto found = names_.find(request.path);
  if (found == names_.end() || found->second.empty()) return -ENOENT;
  auto& addresses = *static_cast<std::vector<Endpoint>*>(request.out);
  addresses = found->second;
  for (Endpoint& address : addresses) address.port = static_cast<uint16_t>(request.length);
  return 0;
}

void SimNetwork::finish_connect(SimNode& node, uint64_t operation, uint64_t socket) {
  if (!node.waiting(operation)) return close(socket);  // cancelled meanwhile, or the process is gone
  if (open_socket(socket) == nullptr) return node.complete(operation, -ECONNRESET);
  node.complete(operation, node.add_handle(socket));
}

void SimNetwork::accept(uint64_t id) {
  const auto found = listeners_.find(id);
  if (found == listeners_.end()) return;
  Listener& listener = found->second;
  if (listener.backlog.empty() || !listener.node->waiting(listener.accept_operation)) return;
  const uint64_t socket = listener.backlog.front();
  listener.backlog.pop_front();
  if (open_socket(socket) == nullptr) return accept(id);
  const uint64_t operation = listener.accept_operation;
  IoRequest& request = listener.node->request(operation);
  if (request.out != nullptr) *static_cast<Endpoint*>(request.out) = sockets_.at(socket).remote;
  listener.node->complete(operation, listener.node->add_handle(socket));
}

void SimNetwork::receive(uint64_t id) {
  Socket* socket = open_socket(id);
  if (socket == nullptr || !socket->node->waiting(socket->receive_operation)) return;
  SimNode& node = *socket->node;
  const uint64_t operation = socket->receive_operation;
  IoRequest& request = node.request(operation);
  if (socket->unread() == 0) {
    if (socket->error != 0) return node.complete(operation, -socket->error);
    if (socket->peer_finished || socket->deaf) return node.complete(operation, 0);
    return;  // waits
  }
  size_t count = std::min<uint64_t>(socket->unread(), request.length);
  if (random_.below(4) == 0) count = random_.between(1, count);
  if (request.kind == IoKind::receive_pooled) {
    node.env_of(operation).lend_pooled(request);
  }
  std::byte* into = request.kind == IoKind::receive_pooled ? request.pooled_data : request.data;
  std::memcpy(into, socket->received.data() + socket->received_begin, count);
  socket->received_begin += count;
  if (socket->unread() == 0) {
    socket->received.clear();
    socket->received_begin = 0;
  }
  node.complete(operation, static_cast<int64_t>(count));
  // The window has room: the peer is told.
  const uint64_t peer = socket->peer;
  simulation_.at(simulation_.now() + latency(node, *socket->peer_node), nullptr, [=, this] { send(peer); });
}

void SimNetwork::send(uint64_t id) {
  Socket* socket = open_socket(id);
  if (socket == nullptr || !socket->node->waiting(socket->send_operation)) return;
  SimNode& node = *socket->node;
  const uint64_t operation = socket->send_operation;
  if (socket->error != 0) return node.complete(operation, -socket->error);
  if (socket->finished) return node.complete(operation, -EPIPE);
  const Socket* peer = open_socket(socket->peer);
  const size_t outstanding = socket->wire_bytes + (peer == nullptr ? 0 : peer->unread());
  if (outstanding >= kWindowBytes) return;  // waits until the peer has read
  const IoRequest& request = node.request(operation);
  const std::span vectors(request.vectors, request.vector_count);
  size_t total = 0;
  for (const iovec& vector : vectors) total += vector.iov_len;
  size_t count = std::min(total, kWindowBytes - outstanding);
  if (count > 1 && random_.below(4) == 0) count = random_.between(1, count);
  std::vector<std::byte> data(count);
  size_t copied = 0;
  for (const iovec& vector : vectors) {
    const size_t piece = std::min(vector.iov_len, count - copied);
    if (piece > 0) std::memcpy(data.data() + copied, vector.iov_base, piece);
    copied += piece;
  }
  simulation_.trace_bytes(data);
  if (!data.empty()) transmit(id, std::move(data));
  if (node.waiting(operation)) node.complete(operation, static_cast<int64_t>(count));
}

void SimNetwork::transmit(uint64_t id, std::vector<std::byte> data) {
  Socket& socket = sockets_.at(id);
  Instant arrival =
      simulation_.now() + latency(*socket.node, *socket.peer_node) +
      Duration::nanoseconds(static_cast<int64_t>(data.size() * 1'000'000'000 / timing_.bytes_per_second));
  if (random_.chance(faults_.segment_dropped_ppm)) {
    counts_.add(Fault::segment_dropped);
    arrival = arrival + kRetransmit;
  }
  if (random_.chance(faults_.reset_ppm)) {
    counts_.add(Fault::connection_reset);
    reset_later(id);
    reset_later(socket.peer);
  }
  if (!socket.silent && random_.chance(faults_.half_open_ppm)) {
    counts_.add(Fault::half_open);
    socket.silent = true;
    if (Socket* peer = open_socket(socket.peer)) peer->silent = true;
  }
  socket.last_arrival = std::max(socket.last_arrival, arrival);
  socket.wire_bytes += data.size();
  socket.wire.push_back({std::move(data), simulation_.now(), socket.last_arrival});
  if (socket.wire.size() == 1) schedule_arrival(id, socket.last_arrival);
}

void SimNetwork::schedule_arrival(uint64_t id, Instant at) {
  simulation_.at(at, nullptr, [=, this] { arrive(id); });
}

void SimNetwork::arrive(uint64_t id) {
  const auto found = sockets_.find(id);
  if (found == sockets_.end() || found->second.wire.empty()) return;
  Socket& from = found->second;
  if (from.wire.front().arrival > simulation_.now()) return;  // the wire was emptied and filled again
  if (from.silent || !from.peer_node->powered() || cut(*from.node, *from.peer_node)) {
    if (simulation_.now() - from.wire.front().first_sent >= kRetransmitTimeout) return fail(id, ETIMEDOUT);
    return schedule_arrival(id, simulation_.now() + kRetransmit);
  }
  Segment segment = std::move(from.wire.front());
  from.wire.pop_front();
  from.wire_bytes -= segment.data.size();
  if (!from.wire.empty()) schedule_arrival(id, from.wire.front().arrival);
  const uint64_t peer_id = from.peer;
  Socket* peer = open_socket(peer_id);
  if (peer == nullptr || peer->error != 0) {
    if (!segment.data.empty()) reset_later(id);
  } else if (segment.data.empty()) {
    peer->peer_finished = true;
    receive(peer_id);
  } else {
    peer->received.insert(peer->received.end(), segment.data.begin(), segment.data.end());
    receive(peer_id);
  }
  forget_if_done(id);
}

void SimNetwork::reset_later(uint64_t id) {
  const Socket* socket = open_socket(id);
  if (socket == nullptr) return;
  simulation_.at(simulation_.now() + latency(*socket->peer_node, *socket->node), nullptr,
                 [=, this] { fail(id, ECONNRESET); });
}

void SimNetwork::fail(uint64_t id, int error) {
  const auto found = sockets_.find(id);
  if (found == sockets_.end()) return;
  Socket& socket = found->second;
  if (socket.error == 0) socket.error = error;
  socket.wire.clear();
  socket.wire_bytes = 0;
  if (socket.closed) {
    sockets_.erase(found);
    return;
  }
  wake(id);
}

void SimNetwork::wake(uint64_t id) {
  receive(id);
  send(id);
}

void SimNetwork::finish_stream(uint64_t id) {
  Socket& socket = sockets_.at(id);
  if (socket.finished || socket.error != 0) return;
  socket.finished = true;
  transmit(id, {});
}

void SimNetwork::shutdown(SimNode& node, uint64_t operation, uint64_t id, bool both_ways) {
  Socket* socket = open_socket(id);
  if (socket == nullptr || socket->error != 0) return node.complete(operation, -ENOTCONN);
  if (both_ways) socket->deaf = true;
  finish_stream(id);
  node.complete(operation, 0);
  wake(id);
}

// With bytes unread the peer gets a reset, otherwise the end of the stream after all that was sent.
void SimNetwork::close(uint64_t id) {
  Socket* socket = open_socket(id);
  if (socket == nullptr) return;
  SimNode& node = *socket->node;
  for (const uint64_t operation : {socket->receive_operation, socket->send_operation}) {
    if (node.waiting(operation)) node.complete(operation, -ECANCELED);
  }
  if (socket->unread() > 0) {
    socket->wire.clear();
    socket->wire_bytes = 0;
    reset_later(socket->peer);
  } else {
    finish_stream(id);
  }
  socket->closed = true;
  forget_if_done(id);
}

void SimNetwork::forget_if_done(uint64_t id) {
  const auto found = sockets_.find(id);
  if (found != sockets_.end() && found->second.closed && found->second.wire.empty()) sockets_.erase(found);
}

void SimNetwork::abandon_listener(uint64_t id) {
  Listener& listener = listeners_.at(id);
  if (listener.node->waiting(listener.accept_operation)) {
    listener.node->complete(listener.accept_operation, -ECANCELED);
  }
  for (const uint64_t socket : listener.backlog) {
    if (const Socket* waiting = open_socket(socket)) {
      reset_later(waiting->peer);
      sockets_.erase(socket);
    }
  }
  listeners_.erase(id);
}

// A kill closes everything the process had; a machine without power says nothing to anybody.
void SimNetwork::crash(SimNode& node, CrashKind kind) {
  std::vector<uint64_t> listeners;
  for (const auto& [id, listener] : listeners_) {
    if (listener.node == &node) listeners.push_back(id);
  }
  std::vector<uint64_t> sockets;
  for (const auto& [id, socket] : sockets_) {
    if (socket.node == &node) sockets.push_back(id);
  }
  for (const uint64_t id : listeners) {
    if (kind == CrashKind::kill) {
      abandon_listener(id);
    } else {
      listeners_.erase(id);
    }
  }
  for (const uint64_t id : sockets) {
    if (kind == CrashKind::kill) {
      close(id);
    } else {
      sockets_.erase(id);
    }
  }
}

}  // namespace fb::sim
