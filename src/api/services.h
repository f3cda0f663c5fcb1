// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "client/blob_client.h"
#include "client/blob_writer.h"
#include "client/cloud_client.h"
#include "client/namespace_client.h"
#include "io/env.h"

namespace fb::api {

inline constexpr Duration kCallTimeout = Duration::seconds(60);

// The services that one core's request handlers call.
struct Services {
  Env& env;
  NamespaceClient& names;
  BlobClient& blobs;
  UnnamedBlobs& unnamed;
  CloudClient* cloud = nullptr;  // null: no cloud bucket

  // For one call to another service. A stream makes one for each block: it may take as long as its client
  // needs.
  CallContext context() const { return {.deadline = env.now() + kCallTimeout}; }
  BlobWriter writer() const { return {blobs, unnamed}; }
};

}  // namespace fb::api
