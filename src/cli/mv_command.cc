// SPDX-License-Identifier: Apache-2.0
// One request of RenameObject, sent again with the same client token until an answer comes: the server does
// it once, however often the request arrives.

#include "cli/mv_command.h"

#include <fmt/format.h>

#include <array>
#include <memory>

#include "cli/process.h"
#include "cli/s3_client.h"
#include "http/error.h"
#include "io/error.h"
#include "s3/encoding.h"
#include "s3/response/error.h"
#include "s3/uri.h"

namespace fb {
namespace {

constexpr std::string_view kAbout =
    "Rename an object, or a directory with everything beneath it, in one step.";

constexpr std::string_view kMore =
    "Whatever the size, who lists or reads meanwhile sees all of it under the old name or all of it under "
    "the new:\n\n"
    "  fractalbits mv s3://photos/new.jpg s3://photos/2026/first.jpg\n"
    "  fractalbits mv s3://lake/jobs/17/_temporary/ s3://lake/tables/events/\n\n"
    "A directory is a name that ends with '/'; then both must. An object replaces the one that is there, "
    "unless\n--no-clobber; a directory only takes a name under which nothing lies. Names are literal: "
    "nothing in them is\ndecoded or expanded.\n\n"
    "Endpoint and credentials are found where the AWS CLI finds them: in flags, in AWS_ENDPOINT_URL, "
    "AWS_ACCESS_KEY_ID and\nAWS_SECRET_ACCESS_KEY, in ~/.aws/credentials and ~/.aws/config.\n\n"
    "It is safe to interrupt and to repeat. The exit status is 0 when renamed, 3 when the source is not "
    "there, 4 when the\ndestination is taken, 2 when the command line is wrong, 1 for anything else.";

constexpr int kAttemptsMax = 5;
constexpr Duration kAttemptTimeout = Duration::seconds(60);
constexpr Duration kBackoffFirst = Duration::milliseconds(200);
constexpr size_t kTokenBytes = 16;

struct S3Url {
  std::string bucket;
  std::string key;
  bool is_directory() const { return key.ends_with('/'); }
};

ConfigResult<S3Url> parse_s3_url(std::string_view text) {
  constexpr std::string_view kScheme = "s3://";
  const auto wrong = [&] {
    return std::unexpected(
        fmt::format("'{}' names no object; write s3://BUCKET/KEY or s3://BUCKET/DIRECTORY/", text));
  };
  if (!text.starts_with(kScheme)) return wrong();
  const std::string_view rest = text.substr(kScheme.size());
  const size_t slash = rest.find('/');
  if (slash == 0 || slash == std::string_view::npos || slash + 1 == rest.size()) return wrong();
  return S3Url{std::string(rest.substr(0, slash)), std::string(rest.substr(slash + 1))};
}

struct Move {
  S3Url source;
  S3Url destination;
  S3Endpoint endpoint;
  AwsSettings settings;
};

ConfigResult<Move> plan_move(const MvOptions& options, const EnvironmentLookup& environment,
                             const AwsFiles& files) {
  auto source = parse_s3_url(options.source);
  if (!source) return std::unexpected(source.error());
  auto destination = parse_s3_url(options.destination);
  if (!destination) return std::unexpected(destination.error());
  if (source->bucket != destination->bucket) {
    return std::unexpected(fmt::format(
        "a rename stays within one bucket; to move from {} to {}, copy and delete, as `aws s3 mv` does",
        source->bucket, destination->bucket));
  }
  if (source->is_directory() != destination->is_directory()) {
    return std::unexpected(
        std::string("end both names with '/' to rename a directory, or neither to rename an object"));
  }
  auto settings = resolve_aws_settings(options.aws, environment, files);
  if (!settings) return std::unexpected(settings.error());
  auto endpoint = S3Endpoint::parse(settings->endpoint_url);
  if (!endpoint) return std::unexpected(endpoint.error());
  return Move{std::move(*source), std::move(*destination), std::move(*endpoint), std::move(*settings)};
}

// Explains the answer to the user.
CommandOutcome explain(const Move& move, const MvOptions& options, const S3Answer& answer) {
  const auto failed = [](int status, std::string text) { return CommandOutcome{status, std::move(text)}; };
  if (answer.status == 200 && !answer.has_etag) {
    if (options.quiet) return {};
    return {0, fmt::format("renamed {} to {}", options.source, options.destination)};
  }
  if (answer.status == 200) {
    return failed(
        kExitFailed,
        fmt::format("{} does not know RenameObject and took the request for an upload: an empty object "
                    "may now be at {}; nothing was renamed",
                    move.endpoint.url(), options.destination));
  }
  if (answer.code == "NoSuchKey") {
    return failed(
        kExitNoSource,
        fmt::format("{} {}", move.source.is_directory() ? "there is nothing under" : "there is no object",
                    options.source));
  }
  if (answer.code == "DirectoryNotEmpty") {
    return failed(
        kExitDestinationTaken,
        fmt::format("something lies under {} already; choose another name, or delete what is there first",
                    options.destination));
  }
  if (answer.code == "PreconditionFailed") {
    return failed(kExitDestinationTaken,
                  fmt::format("{} exists; leave out --no-clobber to replace it", options.destination));
  }
  if (answer.code == "NoSuchBucket")
    return failed(kExitNoSource, fmt::format("there is no bucket {}", move.source.bucket));
  if (answer.code.empty()) {
    return failed(kExitFailed,
                  fmt::format("{} answered with status {} and no S3 error; is it an S3 endpoint?",
                              move.endpoint.url(), answer.status));
  }
  return failed(kExitFailed, fmt::format("{} ({})", answer.message, answer.code));
}

bool worth_repeating(const S3Answer& answer) {
  return answer.status == 500 || answer.status == 502 || answer.status == 503 || answer.status == 504 ||
         answer.code == to_string(s3::S3Error::RequestTimeout);
}

std::string make_token(Env& env) {
  std::array<std::byte, kTokenBytes> bytes;
  env.random_bytes(bytes);
  return s3::hex_encode({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

// The pause doubles after each attempt; a random part of up to as much again is added, so that many clients
// do not come back at once.
Duration backoff(Env& env, int attempt) {
  const int64_t base = kBackoffFirst.ns << attempt;
  return {base + static_cast<int64_t>(env.random() % static_cast<uint64_t>(base))};
}

Task<CommandOutcome> send_until_answered(Env& env, const Move& move, const MvOptions& options,
                                         const TlsContext& tls) {
  S3Client client(env, move.endpoint, move.settings, tls);
  const std::string target =
      fmt::format("/{}/{}?renameObject", s3::uri_encode(move.destination.bucket, s3::Slash::encode),
                  s3::uri_encode(move.destination.key, s3::Slash::keep));
  const std::string source = s3::uri_encode(move.source.key, s3::Slash::encode);
  const std::string token = make_token(env);
  std::vector<HeaderField> headers = {{"x-amz-rename-source", source}, {"x-amz-client-token", token}};
  if (options.no_clobber) headers.push_back({"If-None-Match", "*"});
  std::string message;
  for (int attempt = 0;; ++attempt) {
    const auto answer = co_await client.send("PUT", target, headers, env.now() + kAttemptTimeout, message);
    const bool last = attempt + 1 == kAttemptsMax;
    const bool untrusted = !answer && answer.error().is(HttpError::tls_failed);
    if (answer && (last || !worth_repeating(*answer))) co_return explain(move, options, *answer);
    if (!answer && (last || untrusted)) {
      if (message.empty()) message = answer.error().to_string();
      co_return CommandOutcome{kExitFailed, message};
    }
    (void)co_await sleep_for(env, backoff(env, attempt));
  }
}

}  // namespace

Task<CommandOutcome> move_objects(Env& env, const MvOptions& options, const EnvironmentLookup& environment) {
  const AwsFiles files = co_await read_aws_files(env, environment);
  const auto move = plan_move(options, environment, files);
  if (!move) co_return CommandOutcome{kExitUsage, move.error()};
  TlsContext tls;
  if (move->endpoint.tls) {
    std::string message;
    if (!co_await tls.load_client(env, move->settings.ca_bundle, message))
      co_return CommandOutcome{kExitFailed, message};
  }
  co_return co_await send_until_answered(env, *move, options, tls);
}

void add_mv_command(CommandLine& line) {
  const auto options = std::make_shared<MvOptions>();
  CommandOptions mv = line.add("mv", kAbout, kMore, [options] {
    return finish(run_on_core([&](Env& env) -> Task<CommandOutcome> {
      co_return co_await move_objects(env, *options, environment);
    }));
  });
  mv.positional("SOURCE", options->source, "What to rename: s3://BUCKET/KEY or s3://BUCKET/DIRECTORY/.");
  mv.positional("DESTINATION", options->destination, "Its new name, in the same bucket.");
  mv.flag("-n,--no-clobber", options->no_clobber,
          "Do not replace an object that is there: end with status 4.");
  mv.flag("-q,--quiet", options->quiet, "Say nothing when it is done.");
  mv.text("--endpoint-url", options->aws.endpoint_url, "URL",
          "Where S3 is. Default: http://127.0.0.1:8080, where `fractalbits server` listens. "
          "[AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL]");
  mv.text("--profile", options->aws.profile, "NAME",
          "The profile of ~/.aws/credentials and ~/.aws/config to use. [AWS_PROFILE]");
  mv.text("--region", options->aws.region, "NAME",
          "What the signature is made for. Default: us-east-1. [AWS_REGION, AWS_DEFAULT_REGION]");
  mv.text("--ca-bundle", options->aws.ca_bundle, "FILE",
          "The authorities to trust, in PEM. Default: the system's. [AWS_CA_BUNDLE]");
}

}  // namespace fb
