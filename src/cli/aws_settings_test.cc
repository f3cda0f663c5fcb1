// SPDX-License-Identifier: Apache-2.0
#include "cli/aws_settings.h"

#include <gtest/gtest.h>

#include <map>

namespace fb {
namespace {

using Variables = std::map<std::string, std::string>;

EnvironmentLookup lookup(const Variables& variables) {
  return [variables](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::string() : found->second;
  };
}

constexpr std::string_view kCredentials =
    "# mine\n"
    "[default]\r\n"
    "aws_access_key_id = DEFAULTKEY\r\n"
    "aws_secret_access_key=default/secret=\n"
    "\n"
    "[ work ]\n"
    "aws_access_key_id=WORKKEY\n"
    "aws_secret_access_key = work secret\n"
    "aws_session_token = token\n"
    "[half]\n"
    "aws_access_key_id=HALF\n";
constexpr std::string_view kConfig =
    "[default]\n"
    "region = eu-west-1\n"
    "s3 =\n"
    "  endpoint_url = http://nested.test\n"
    "[profile work]\n"
    "endpoint_url = https://work.test:9000\n"
    "ca_bundle = /work.pem\n"
    "[profile bare]\n"
    "region = x\n";

ConfigResult<AwsSettings> resolve(const AwsFlags& flags, const Variables& variables = {}, bool files = true) {
  AwsFiles text;
  if (files) text = {std::string(kCredentials), std::string(kConfig)};
  return resolve_aws_settings(flags, lookup(variables), text);
}

std::string complaint(const AwsFlags& flags, const Variables& variables = {}, bool files = true) {
  const auto resolved = resolve(flags, variables, files);
  return resolved ? std::string("accepted") : resolved.error();
}

TEST(AwsSettings, Files) {
  const auto settings = resolve({});
  ASSERT_TRUE(settings) << settings.error();
  EXPECT_EQ(settings->access_key, "DEFAULTKEY");
  EXPECT_EQ(settings->secret_key.reveal(), "default/secret=");
  EXPECT_EQ(settings->session_token, "");
  EXPECT_EQ(settings->region, "eu-west-1");
  EXPECT_EQ(settings->endpoint_url, kDefaultEndpointUrl) << "what is nested is another setting";
  EXPECT_EQ(settings->ca_bundle, kDefaultCaBundle);
  for (const bool flag : {true, false}) {
    const auto work = flag ? resolve({.profile = "work"}) : resolve({}, {{"AWS_PROFILE", "work"}});
    ASSERT_TRUE(work) << work.error();
    EXPECT_EQ(work->access_key, "WORKKEY");
    EXPECT_EQ(work->secret_key.reveal(), "work secret");
    EXPECT_EQ(work->session_token, "token");
    EXPECT_EQ(work->endpoint_url, "https://work.test:9000");
    EXPECT_EQ(work->ca_bundle, "/work.pem");
    EXPECT_EQ(work->region, "us-east-1");
  }
}

TEST(AwsSettings, VariablesAndFlagsWin) {
  Variables variables = {{"AWS_ACCESS_KEY_ID", "ENVKEY"},         {"AWS_SECRET_ACCESS_KEY", "env secret"},
                         {"AWS_ENDPOINT_URL", "http://env.test"}, {"AWS_DEFAULT_REGION", "r1"},
                         {"AWS_CA_BUNDLE", "/env.pem"},           {"AWS_PROFILE", "work"}};
  auto settings = resolve({}, variables);
  ASSERT_TRUE(settings) << settings.error();
  EXPECT_EQ(settings->access_key, "ENVKEY");
  EXPECT_EQ(settings->session_token, "");
  EXPECT_EQ(settings->endpoint_url, "http://env.test");
  EXPECT_EQ(settings->region, "r1");
  EXPECT_EQ(settings->ca_bundle, "/env.pem");
  variables["AWS_ENDPOINT_URL_S3"] = "http://s3.test";
  variables["AWS_REGION"] = "r2";
  settings = resolve({}, variables);
  EXPECT_EQ(settings->endpoint_url, "http://s3.test");
  EXPECT_EQ(settings->region, "r2");
  settings = resolve(
      {.endpoint_url = "http://flag.test", .profile = "default", .region = "r3", .ca_bundle = "/flag.pem"},
      variables);
  EXPECT_EQ(settings->endpoint_url, "http://flag.test");
  EXPECT_EQ(settings->region, "r3");
  EXPECT_EQ(settings->ca_bundle, "/flag.pem");
  EXPECT_EQ(settings->access_key, "DEFAULTKEY") << "who names a profile means its credentials";
  EXPECT_TRUE(resolve({}, {{"AWS_ACCESS_KEY_ID", "A"}, {"AWS_SECRET_ACCESS_KEY", "S"}}, false));
}

TEST(AwsSettings, Complaints) {
  EXPECT_NE(complaint({}, {}, false).find("set AWS_ACCESS_KEY_ID"), std::string::npos);
  EXPECT_NE(complaint({.profile = "bare"}).find("no credentials"), std::string::npos);
  EXPECT_NE(complaint({.profile = "none"}).find("no profile 'none'"), std::string::npos);
  EXPECT_NE(complaint({}, {{"AWS_PROFILE", "none"}}).find("no profile 'none'"), std::string::npos);
  EXPECT_NE(complaint({.profile = "half"}).find("profile 'half' holds only half"), std::string::npos);
  EXPECT_NE(complaint({}, {{"AWS_SECRET_ACCESS_KEY", "S"}}).find("environment holds only half"),
            std::string::npos);
}

TEST(AwsSettings, WhereTheFilesAre) {
  EXPECT_EQ(aws_file_paths(lookup({})).credentials, "");
  EXPECT_EQ(aws_file_paths(lookup({{"HOME", "/home/me"}})).credentials, "/home/me/.aws/credentials");
  EXPECT_EQ(aws_file_paths(lookup({{"HOME", "/home/me"}})).config, "/home/me/.aws/config");
  const Variables both = {{"HOME", "/h"}, {"AWS_CONFIG_FILE", "/c"}, {"AWS_SHARED_CREDENTIALS_FILE", "/s"}};
  EXPECT_EQ(aws_file_paths(lookup(both)).credentials, "/s");
  EXPECT_EQ(aws_file_paths(lookup(both)).config, "/c");
}

}  // namespace
}  // namespace fb
