// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "base/config.h"
#include "base/secret.h"
#include "io/env.h"

namespace fb {

// Looks an environment variable up; "" if unset.
using EnvironmentLookup = std::function<std::string(const char*)>;

// Options of a command line, with the names of the AWS CLI; empty: not given.
struct AwsFlags {
  std::string endpoint_url;
  std::string profile;
  std::string region;
  std::string ca_bundle;
};

// The S3 endpoint and the user's credentials, for the commands that are S3 clients. They are looked up where
// the AWS CLI finds them, so that a user of the AWS CLI has nothing to set.
struct AwsSettings {
  std::string endpoint_url;
  std::string access_key;
  Secret secret_key;
  std::string session_token;  // empty: none
  std::string region;
  std::string ca_bundle;
};

// The paths in AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE, else ~/.aws/credentials and ~/.aws/config;
// empty if there is no home either. Also the contents of these files.
struct AwsFiles {
  std::string credentials;
  std::string config;
};
AwsFiles aws_file_paths(const EnvironmentLookup& environment);
// The contents of the files; "" if there is none.
Task<AwsFiles> read_aws_files(Env& env, const EnvironmentLookup& environment);

// Flags win over variables, variables over the files, whose contents are `text`. Credentials from variables
// count unless --profile is given.
ConfigResult<AwsSettings> resolve_aws_settings(const AwsFlags& flags, const EnvironmentLookup& environment,
                                               const AwsFiles& text);

inline constexpr std::string_view kDefaultEndpointUrl = "http://127.0.0.1:8080";
inline constexpr std::string_view kDefaultCaBundle = "/etc/ssl/certs/ca-certificates.crt";

}  // namespace fb
