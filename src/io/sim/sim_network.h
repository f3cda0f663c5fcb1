// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "io/endpoint.h"
#include "io/sim/fault.h"
#include "io/sim/random.h"
#include "io/stream.h"

namespace fb::sim {

class Simulation;
class SimNode;

// TCP between the nodes of a simulation, and within one. Bytes of a connection arrive in order and are split
// anywhere; connections overtake each other. A segment lost on the wire, or stopped by a partition or by a
// machine without power, is sent again until kRetransmitTimeout; then its sender's connection fails. A
// machine that answers but knows nothing of the connection (its process died, or it lost its power meanwhile)
// resets it. A program that only receives from a machine without power waits until its own deadline.
class SimNetwork {
 public:
  struct Timing {
    Duration latency_min = Duration::microseconds(30);
    Duration latency_max = Duration::microseconds(400);
    uint64_t bytes_per_second = 1'000'000'000;
    Duration lookup_min = Duration::microseconds(200);
    Duration lookup_max = Duration::milliseconds(30);
  };
  static constexpr Duration kRetransmit = Duration::milliseconds(200);
  static constexpr Duration kRetransmitTimeout = Duration::seconds(120);
  static constexpr Duration kConnectTimeout = Duration::seconds(30);
  static constexpr size_t kWindowBytes = 128 * kKiB;  // sent and not yet received by the peer's program
  static constexpr size_t kBacklog = 128;

  SimNetwork(Simulation& simulation, Random& random, FaultCounts& counts);
  SimNetwork(const SimNetwork&) = delete;
  SimNetwork& operator=(const SimNetwork&) = delete;

  NetworkFaults& faults() { return faults_; }
  Timing& timing() { return timing_; }
  // Cuts or mends the link between two nodes.
  void set_partition(const SimNode& a, const SimNode& b, bool cut);
  void heal_all() { cuts_.clear(); }
  // Sets the addresses that look-ups of `host` find if they end from now on; each look-up chooses the port.
  // None: there is no such name.
  void set_name(const std::string& host, std::vector<Endpoint> addresses) {
    names_[host] = std::move(addresses);
  }
  size_t connection_count() const { return sockets_.size(); }

  // For SimNode. Operations are named by number, so that one cancelled or abandoned is simply not found any
  // more.
  void start(SimNode& node, uint64_t operation, IoRequest& request);
  void close(uint64_t socket);
  void crash(SimNode& node, CrashKind kind);

 private:
  struct Segment {
    std::vector<std::byte> data;  // empty: the end of the stream
    Instant first_sent;
    Instant arrival;
  };
  struct Socket {
    SimNode* node;
    SimNode* peer_node;
    uint64_t peer;
    Endpoint remote;
    std::deque<Segment> wire;  // sent, not yet arrived
    size_t wire_bytes = 0;
    Instant last_arrival;
    std::vector<std::byte> received;
    size_t received_begin = 0;
    bool peer_finished = false;  // the end of the stream has arrived
    bool finished = false;       // this side has ended its stream
    bool deaf = false;           // this side receives nothing any more
    bool closed = false;         // no handle any more; kept while the wire holds bytes
    bool silent = false;         // half-open: nothing arrives
    int error = 0;
    uint64_t receive_operation = 0;  // waiting; 0 for none
    uint64_t send_operation = 0;
    size_t unread() const { return received.size() - received_begin; }
  };
  struct Listener {
    SimNode* node;
    Endpoint endpoint;
    std::deque<uint64_t> backlog;
    uint64_t accept_operation = 0;
  };

  Duration latency(const SimNode& from, const SimNode& to);
  bool cut(const SimNode& from, const SimNode& to) const;
  Socket* open_socket(uint64_t id);
  void listen(SimNode& node, uint64_t operation);
  void connect(SimNode& node, uint64_t operation, Instant started);
  Listener* choose_listener(SimNode& target, const Endpoint& endpoint, bool local);
  void finish_connect(SimNode& node, uint64_t operation, uint64_t socket);
  int64_t look_up(const IoRequest& request);
  void accept(uint64_t listener);
  void receive(uint64_t socket);
  void send(uint64_t socket);
  void shutdown(SimNode& node, uint64_t operation, uint64_t socket, bool both_ways);
  void transmit(uint64_t socket, std::vector<std::byte> data);
  void schedule_arrival(uint64_t socket, Instant at);
  void arrive(uint64_t socket);
  void reset_later(uint64_t socket);
  void fail(uint64_t socket, int error);
  void wake(uint64_t socket);
  void finish_stream(uint64_t socket);
  void abandon_listener(uint64_t listener);
  uint64_t add_socket(SimNode& node, SimNode& peer_node, const Endpoint& remote);
  void forget_if_done(uint64_t socket);
  SimNode* node_at(SimNode& from, const Endpoint& endpoint) const;

  Simulation& simulation_;
  Random& random_;
  FaultCounts& counts_;
  NetworkFaults faults_;
  Timing timing_;
  std::map<uint64_t, Socket> sockets_;
  std::map<uint64_t, Listener> listeners_;
  std::set<std::pair<unsigned, unsigned>> cuts_;
  std::map<std::string, std::vector<Endpoint>> names_;
  uint64_t next_id_ = 1;
  uint16_t next_port_ = 32768;
};

}  // namespace fb::sim
