// SPDX-License-Identifier: Apache-2.0
#include "cli/aws_settings.h"

#include <fmt/format.h>

#include <initializer_list>
#include <map>
#include <optional>

#include "base/ascii.h"
#include "io/file.h"

namespace fb {
namespace {

constexpr size_t kFileBytesMax = kMiB;
constexpr std::string_view kDefaultProfile = "default";
constexpr std::string_view kDefaultRegion = "us-east-1";

using Profile = std::map<std::string, std::string, std::less<>>;

std::string_view take_line(std::string_view& rest) {
  const size_t end = rest.find('\n');
  std::string_view line = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// "[name]", or "[profile name]" as ~/.aws/config has it; nothing for other lines.
std::optional<std::string_view> section_name(std::string_view line) {
  line = ascii_trim(line);
  if (!line.starts_with('[') || !line.ends_with(']')) return std::nullopt;
  line = ascii_trim(line.substr(1, line.size() - 2));
  constexpr std::string_view kPrefix = "profile ";
  if (line.starts_with(kPrefix)) line = ascii_trim(line.substr(kPrefix.size()));
  return line;
}

// Adds the settings of one profile; true if it is there. An indented line belongs to the setting before it;
// none of these is needed here.
bool read_profile(std::string_view text, std::string_view name, Profile& out) {
  bool found = false;
  bool inside = false;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (const auto section = section_name(line)) {
      inside = *section == name;
      found |= inside;
      continue;
    }
    const bool setting =
        !line.empty() && line[0] != ' ' && line[0] != '\t' && line[0] != '#' && line[0] != ';';
    const size_t equals = line.find('=');
    if (!inside || !setting || equals == std::string_view::npos) continue;
    out.emplace(ascii_trim(line.substr(0, equals)), ascii_trim(line.substr(equals + 1)));
  }
  return found;
}

// The first value that is not empty.
std::string first(std::initializer_list<std::string> values) {
  for (const std::string& value : values) {
    if (!value.empty()) return value;
  }
  return {};
}

std::string setting(const Profile& profile, std::string_view name) {
  const auto found = profile.find(name);
  return found == profile.end() ? std::string() : found->second;
}

struct Credentials {
  std::string access_key;
  std::string secret_key;
  std::string session_token;
};

ConfigResult<Credentials> checked(Credentials credentials, std::string_view where) {
  if (!credentials.access_key.empty() && !credentials.secret_key.empty()) return credentials;
  return std::unexpected(fmt::format(
      "{} holds only half of the credentials; give both the access key and the secret key", where));
}

ConfigResult<Credentials> find_credentials(const AwsFlags& flags, const EnvironmentLookup& environment,
                                           const Profile& profile, std::string_view profile_name) {
  const Credentials given{environment("AWS_ACCESS_KEY_ID"), environment("AWS_SECRET_ACCESS_KEY"),
                          environment("AWS_SESSION_TOKEN")};
  const bool any_given = !given.access_key.empty() || !given.secret_key.empty();
  if (any_given && flags.profile.empty()) return checked(given, "the environment");
  const Credentials stored{setting(profile, "aws_access_key_id"), setting(profile, "aws_secret_access_key"),
                           setting(profile, "aws_session_token")};
  if (!stored.access_key.empty() || !stored.secret_key.empty())
    return checked(stored, fmt::format("the profile '{}'", profile_name));
  return std::unexpected(
      std::string("no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of "
                  "~/.aws/credentials with --profile"));
}

}  // namespace

AwsFiles aws_file_paths(const EnvironmentLookup& environment) {
  AwsFiles paths{environment("AWS_SHARED_CREDENTIALS_FILE"), environment("AWS_CONFIG_FILE")};
  const std::string home = environment("HOME");
  if (home.empty()) return paths;
  if (paths.credentials.empty()) paths.credentials = home + "/.aws/credentials";
  if (paths.config.empty()) paths.config = home + "/.aws/config";
  return paths;
}

Task<AwsFiles> read_aws_files(Env& env, const EnvironmentLookup& environment) {
  const AwsFiles paths = aws_file_paths(environment);
  AwsFiles files;
  for (const auto& [path, text] :
       {std::pair(&paths.credentials, &files.credentials), std::pair(&paths.config, &files.config)}) {
    if (path->empty()) continue;
    if (auto read = co_await read_small_file(env, *path, kFileBytesMax)) *text = std::move(*read);
  }
  co_return files;
}

ConfigResult<AwsSettings> resolve_aws_settings(const AwsFlags& flags, const EnvironmentLookup& environment,
                                               const AwsFiles& text) {
  const std::string wanted = first({flags.profile, environment("AWS_PROFILE")});
  const std::string name = wanted.empty() ? std::string(kDefaultProfile) : wanted;
  Profile profile;
  const bool in_credentials = read_profile(text.credentials, name, profile);
  const bool in_config = read_profile(text.config, name, profile);
  if (!wanted.empty() && !in_credentials && !in_config) {
    return std::unexpected(
        fmt::format("there is no profile '{}' in ~/.aws/credentials or ~/.aws/config", wanted));
  }
  auto credentials = find_credentials(flags, environment, profile, name);
  if (!credentials) return std::unexpected(credentials.error());
  return AwsSettings{
      .endpoint_url =
          first({flags.endpoint_url, environment("AWS_ENDPOINT_URL_S3"), environment("AWS_ENDPOINT_URL"),
                 setting(profile, "endpoint_url"), std::string(kDefaultEndpointUrl)}),
      .access_key = std::move(credentials->access_key),
      .secret_key = Secret(std::move(credentials->secret_key)),
      .session_token = std::move(credentials->session_token),
      .region = first({flags.region, environment("AWS_REGION"), environment("AWS_DEFAULT_REGION"),
                       setting(profile, "region"), std::string(kDefaultRegion)}),
      .ca_bundle = first({flags.ca_bundle, environment("AWS_CA_BUNDLE"), setting(profile, "ca_bundle"),
                          std::string(kDefaultCaBundle)})};
}

}  // namespace fb
