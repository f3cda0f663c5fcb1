// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/config.h"
#include "tier/cloud_requests.h"

namespace fb::tier {

// Guards the prefix by two things: the marker object, which names the store that owns it, and a file in the
// data directory with the marker that must be there (docs/tiering.md). Used on core 0 only.
//
// A start gives the marker the next generation and a new token. The file is written first, with the present
// token and the next one, so that a crash between the two writes leaves a marker that the next start knows.
// The file is written again afterwards, so that the old token, which a copy of the data directory may have,
// is no longer valid.
class Guard {
 public:
  Guard(CloudRequests& requests, TierShared& shared) : requests_(requests), shared_(shared) {}

  // The whole check of a start: bucket, rights, marker. Sets the state that all cores see. Returns a message
  // if something is wrong that only a person can put right; no message and GuardState::unchecked if the cloud
  // does not answer.
  Task<ConfigResult<void>> check_at_start();
  // BlobError::unavailable unless the marker was ours at most kGuardAge ago.
  Task<Result<void>> check_before_delete();

 private:
  struct Marker {
    std::string store;
    uint64_t generation = 0;
    std::string token;
  };
  struct State {
    uint64_t generation = 0;
    std::string token;       // of the marker; empty: none written yet
    std::string next_token;  // may be the marker's, too
  };
  static std::string write_marker(const Marker& marker);
  static std::optional<Marker> parse_marker(std::string_view text);
  Task<ConfigResult<State>> read_state();
  Task<ConfigResult<void>> write_state(const State& state);
  Task<ConfigResult<std::optional<Marker>>> read_marker();
  Task<ConfigResult<void>> claim();
  Task<ConfigResult<void>> check_rights();
  Task<Result<bool>> verifies_checksums(std::string_view key);
  Task<ConfigResult<void>> check_empty();
  std::string explain(const CloudAnswer& answer, std::string_view doing) const;
  std::string where() const;

  CloudRequests& requests_;
  TierShared& shared_;
  std::string token_;  // of the marker that this process wrote
  Instant good_until_{};
  bool unreachable_ = false;
};

}  // namespace fb::tier
