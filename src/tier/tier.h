// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "base/config.h"
#include "io/scope.h"
#include "tier/cloud_store.h"
#include "tier/guard.h"
#include "tier/tiered_blobs.h"

namespace fb::tier {

// All settings of a server about the cloud bucket.
struct TierConfig {
  TierOptions options;
  CloudCredentials credentials;  // without an access key: from the instance's metadata service
  Endpoint metadata_service = kMetadataService;
  std::string authorities_path;  // PEM; needed with TLS
};

// The cloud bucket on one core. Made, used and closed there.
class TierCore {
 public:
  // `incarnation` belongs to this process's blobs. All references must outlive it. A message if the
  // authorities cannot be loaded.
  static Task<ConfigResult<std::unique_ptr<TierCore>>> open(Env& env, const TierConfig& config,
                                                            TierShared& shared, Incarnation incarnation,
                                                            UnnamedBlobs& unnamed, BlobClient& blobs);
  CloudStore& store() { return *store_; }
  // Called when nothing uses it any more.
  Task<void> close();

 private:
  TierCore() = default;
  TlsContext tls_;
  std::unique_ptr<CredentialSource> credentials_;
  std::unique_ptr<CloudStore> store_;
};

// The part of the tier that exists once, on core 0: the check at start, its repetition while the cloud does
// not answer, the abort of uploads that dead processes left, and the blobs as the namespace frees them.
//
//   Tier tier(env, core0, local_blobs, shared, incarnation);
//   co_await tier.start();              a message: the server must not start
//   partition.start_background(tier.blobs());
//   ... tier.stop(); co_await partition.close(); co_await tier.close();
class Tier {
 public:
  Tier(Env& env, TierCore& core, BlobClient& local, TierShared& shared, Incarnation incarnation);

  Task<ConfigResult<void>> start();
  TieredBlobs& blobs() { return blobs_; }
  void stop();
  Task<void> close();

 private:
  static Task<void> run(Tier* self);

  Env& env_;
  CloudRequests& requests_;
  TierShared& shared_;
  Incarnation incarnation_;
  Guard guard_;
  TieredBlobs blobs_;
  CancelSource stop_;
  Scope background_;
};

}  // namespace fb::tier
