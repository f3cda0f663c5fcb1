// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "client/cloud_client.h"
#include "client/unnamed_blobs.h"
#include "tier/cloud_requests.h"
#include "tier/upload_budget.h"

namespace fb::tier {

// The cloud bucket as one core of the API server sees it.
class CloudStore final : public CloudClient {
 public:
  // `blobs` is the local store: it holds checksums that are too many for a record. All must outlive it.
  CloudStore(Env& env, const TierOptions& options, TierShared& shared, Incarnation incarnation,
             UnnamedBlobs& unnamed, BlobClient& blobs, CredentialSource& credentials, const TlsContext& tls);

  uint64_t threshold_bytes() const override { return options_.threshold_bytes; }
  Task<Result<CloudContent>> store(CloudSource& source, const StoreOptions& options) override;
  Task<Result<CloudContent>> copy(const Locator& source, const StoreOptions& options) override;
  std::unique_ptr<CloudReader> open(const Locator& content, uint64_t offset, uint64_t length) override;

  // No request begins after `deadline`.
  void end_by(Instant deadline) { requests_.end_by(deadline); }
  Task<void> close();
  CloudRequests& requests() { return requests_; }
  const TierStats& stats() { return requests_.stats(); }

 private:
  BlobId new_id();
  std::string key_of(const BlobId& id) const;
  Task<Result<void>> store_sums(std::string_view sums, const StoreOptions& options, CloudContent& content);
  Task<Result<std::string>> sums_of(const Locator& source);

  Env& env_;
  const TierOptions& options_;
  TierShared& shared_;
  const Incarnation incarnation_;
  UnnamedBlobs& unnamed_;
  BlobClient& blobs_;
  CloudRequests requests_;
  UploadBudget budget_;
  std::string store_prefix_;
  uint64_t last_number_ = 0;
};

}  // namespace fb::tier
