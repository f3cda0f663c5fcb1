// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "world.h"

namespace fb::sim {

// Whether the cloud bucket holds what the store's records name, and nothing else: at the end of a run, when
// nobody writes any more.

// A part of an object of kBucket.
struct NamedPiece {
  std::string object;
  uint64_t offset = 0;
  uint64_t size = 0;
};
using NamedPieces = std::map<std::string, NamedPiece>;  // by their keys in the cloud bucket

// Aborts what clients have not completed, so that only objects name anything.
Task<void> end_uploads(World& world, Env& env);
// On the machine of the store, while its server is stopped.
Task<void> read_names(World& world, Env& env, bool on_device, NamedPieces& names);
// Writes some keys over and deletes them. What a process has put itself and leaks, no sweep finds before the
// next start: so the ledger must have freed it.
Task<void> replace_and_delete(World& world, Env& env, NamedPieces& names);
// Looks again and again until it is so; a failure of the world where it never is. What is no longer named is
// freed within minutes.
Task<void> check_cloud(World& world, Env& env, const Endpoint& cloud, const NamedPieces& names);

}  // namespace fb::sim
