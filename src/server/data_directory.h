// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>

#include "base/config.h"
#include "base/secret.h"
#include "io/file.h"

namespace fb {

// The server's directory:
//
//   STORE          makes the directory a store: format version and store id, in text
//   LOCK           locked while a process serves it
//   credentials    the root access key, readable by its owner only
//   tier           the marker that the cloud bucket must have; only if there is such a bucket
//   DEVICE         names the device that holds the store; if there is none:
//   namespace/     pages and journal
//   blobs/         blobs
//
// An empty or missing directory becomes a store; any other one that has no STORE file is left alone.
class DataDirectory {
 public:
  // Messages are for people: they name the directory and what to do.
  static Task<ConfigResult<DataDirectory>> open(Env& env, const std::string& path);
  Task<void> close();

  const std::string& path() const { return path_; }
  std::string tier_path() const { return path_ + "/tier"; }
  std::string credentials_path() const { return path_ + "/credentials"; }
  const std::array<uint8_t, 16>& store_id() const { return store_id_; }

  struct Credentials {
    std::string access_key;
    Secret secret_key;
    bool made_now = false;
  };
  // Reads the credentials, or makes new ones.
  Task<ConfigResult<Credentials>> root_credentials(Env& env) const;

 private:
  std::string path_;
  File lock_;
  std::array<uint8_t, 16> store_id_{};
};

// A file with lines "access_key ..." and "secret_key ...".
Task<ConfigResult<DataDirectory::Credentials>> read_credentials_file(Env& env, const std::string& path);

}  // namespace fb
