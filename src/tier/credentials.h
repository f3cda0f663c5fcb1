// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/secret.h"
#include "http/outbound_pool.h"
#include "io/sync.h"

namespace fb::tier {

struct CloudCredentials {
  std::string access_key;
  Secret secret_key;
  Secret session_token;  // empty: none
};

// The source of the credentials that sign requests. One instance a core.
class CredentialSource {
 public:
  virtual ~CredentialSource() = default;
  // Credentials for the next request. The pointer is valid until the next call.
  virtual Task<Result<const CloudCredentials*>> get(const IoLimits& limits) = 0;
  // Called if the cloud says that the credentials have expired.
  virtual void invalidate() = 0;
  virtual Task<void> close() = 0;
};

class FixedCredentials final : public CredentialSource {
 public:
  explicit FixedCredentials(CloudCredentials credentials) : credentials_(std::move(credentials)) {}
  Task<Result<const CloudCredentials*>> get(const IoLimits&) override { co_return &credentials_; }
  void invalidate() override {}
  Task<void> close() override { co_return; }

 private:
  CloudCredentials credentials_;
};

// The credentials of the role of an EC2 instance, from its metadata service (version 2: with a session
// token). Fetched again five minutes before they expire; if that fails, the old ones are used until they do.
class MetadataCredentials final : public CredentialSource {
 public:
  MetadataCredentials(Env& env, const Endpoint& service);
  Task<Result<const CloudCredentials*>> get(const IoLimits& limits) override;
  void invalidate() override { fresh_until_ = {}; }
  Task<void> close() override;

 private:
  Task<Result<void>> fetch(const IoLimits& limits);
  Task<Result<std::string>> ask(std::string_view method, std::string_view path, HeaderField header,
                                const IoLimits& limits);

  Env& env_;
  TlsContext no_tls_;
  OutboundPool pool_;
  AsyncMutex fetching_;
  CloudCredentials credentials_;
  UnixTime fresh_until_;
  UnixTime expires_;
};

// The address of the metadata service on every EC2 instance.
inline const Endpoint kMetadataService = Endpoint::ipv4(169, 254, 169, 254, 80);

// A text field of a flat JSON object; nothing if the text is no JSON object or has no such field. Fields of
// other types are skipped; nested objects and arrays are refused.
std::optional<std::string> json_text_field(std::string_view json, std::string_view name);

}  // namespace fb::tier
