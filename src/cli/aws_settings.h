// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "base/config.h"
#include "base/secret.h"
#include "io/env.h"

namespace fb {

// Looks an environment variable up; "" where unset.
using EnvironmentLookup = std::function<std::string(const char*)>;

// What may be given on a command line, named as the AWS CLI names it; empty: not given.
struct AwsFlags {
  std::string endpoint_url;
  std::string profile;
  std::string region;
  std::string ca_bundle;
};

// Where S3 is and who asks, for the commands that are its clients: found where the AWS CLI finds it, so that
// who uses that one has nothing to set.
struct AwsSettings {
  std::string endpoint_url;
  std::string access_key;
  Secret secret_key;
  std::string session_token;  // empty: none
  std::string region;
  std::string ca_bundle;
};

// ~/.aws/credentials and ~/.aws/config, or what AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE say. Empty
// where there is no home.
struct AwsFiles {
  std::string credentials;
  std::string config;
};
AwsFiles aws_file_paths(const EnvironmentLookup& environment);
// What they hold; "" where there is none.
Task<AwsFiles> read_aws_files(Env& env, const EnvironmentLookup& environment);

// Flags win over variables, variables over the files, of which `text` holds the content. Credentials from
// variables count unless --profile is given.
ConfigResult<AwsSettings> resolve_aws_settings(const AwsFlags& flags, const EnvironmentLookup& environment,
                                               const AwsFiles& text);

inline constexpr std::string_view kDefaultEndpointUrl = "http://127.0.0.1:8080";
inline constexpr std::string_view kDefaultCaBundle = "/etc/ssl/certs/ca-certificates.crt";

}  // namespace fb
