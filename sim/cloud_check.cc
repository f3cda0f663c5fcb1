// SPDX-License-Identifier: Apache-2.0
#include "cloud_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <pugixml.hpp>
#include <set>
#include <vector>

#include "cli/tier_map_command.h"
#include "s3/uri.h"
#include "server_main.h"
#include "tier/keys.h"

namespace fb::sim {
namespace {

constexpr Duration kCallTimeout = Duration::seconds(10);
constexpr Duration kPause = Duration::seconds(5);
constexpr int kLooksMax = 60;
constexpr int kTriesMax = 20;       // of a request
constexpr size_t kReplacedMax = 8;  // keys
constexpr size_t kReplacementBytes = 100 * kKiB;

std::string path_of(std::string_view bucket, std::string_view key) {
  return fmt::format("/{}/{}", bucket, s3::uri_encode(key, s3::Slash::keep));
}

std::string decoded(const char* text) { return s3::decode_query(text).value_or(""); }

// Asks until there is an answer of that status.
Task<bool> ask(World& world, Env& env, S3Client& client, const S3Request& request, int status,
               S3Answer& answer) {
  for (int tries = 0; tries < kTriesMax; ++tries) {
    answer = co_await client.call(request);
    if (answer.answered() && answer.status == status) co_return true;
    (void)co_await sleep_for(env, Duration::seconds(1));
  }
  world.fail(fmt::format("{} {}?{} is answered {} {}", request.method, request.path, request.query,
                         answer.status, answer.error_code()));
  co_return false;
}

struct Upload {
  std::string key;
  std::string id;
};

Task<bool> list_uploads(World& world, Env& env, S3Client& client, std::string_view bucket,
                        std::vector<Upload>& uploads) {
  S3Answer answer;
  const S3Request request{
      .method = "GET", .path = fmt::format("/{}", bucket), .query = "encoding-type=url&uploads="};
  if (!co_await ask(world, env, client, request, 200, answer)) co_return false;
  pugi::xml_document document;
  document.load_string(answer.body.c_str());
  uploads.clear();
  for (const pugi::xml_node& node : document.child("ListMultipartUploadsResult").children("Upload"))
    uploads.push_back({decoded(node.child_value("Key")), node.child_value("UploadId")});
  co_return true;
}

Task<bool> list_keys(World& world, Env& env, S3Client& client, std::set<std::string>& keys) {
  keys.clear();
  std::string token;
  for (;;) {
    S3Request request{
        .method = "GET", .path = fmt::format("/{}", kCloudBucket), .query = "encoding-type=url&list-type=2"};
    if (!token.empty())
      request.query =
          fmt::format("continuation-token={}&{}", s3::uri_encode(token, s3::Slash::encode), request.query);
    S3Answer answer;
    if (!co_await ask(world, env, client, request, 200, answer)) co_return false;
    pugi::xml_document document;
    document.load_string(answer.body.c_str());
    const pugi::xml_node result = document.child("ListBucketResult");
    for (const pugi::xml_node& node : result.children("Contents"))
      keys.insert(decoded(node.child_value("Key")));
    if (std::string_view(result.child_value("IsTruncated")) != "true") co_return true;
    token = result.child_value("NextContinuationToken");
  }
}

// What is wrong; empty: nothing.
std::string difference(const std::set<std::string>& found, const std::vector<Upload>& uploads,
                       const NamedPieces& names) {
  std::set<std::string> wanted = {tier::marker_key(kCloudPrefix)};
  for (const auto& [key, piece] : names) wanted.insert(key);
  std::vector<std::string> missing;
  std::ranges::set_difference(wanted, found, std::back_inserter(missing));
  if (!missing.empty())
    return fmt::format("{} of {} are missing, as {}", missing.size(), wanted.size(), missing[0]);
  std::vector<std::string> leaked;
  std::ranges::set_difference(found, wanted, std::back_inserter(leaked));
  if (!leaked.empty()) return fmt::format("{} are named by nothing, as {}", leaked.size(), leaked[0]);
  if (!uploads.empty())
    return fmt::format("{} uploads are unfinished, as of {}", uploads.size(), uploads[0].key);
  return {};
}

Task<void> check_bytes(World& world, Env& env, S3Client& client, const NamedPieces& names) {
  for (const auto& [key, piece] : names) {
    const auto model = world.keys.find(piece.object);
    const auto value = model == world.keys.end() ? std::nullopt : model->second.certain();
    if (!value || *value == nullptr)
      co_return world.fail(fmt::format("{} is named by '{}', which there is not", key, piece.object));
    S3Answer answer;
    const S3Request request{.method = "GET", .path = path_of(kCloudBucket, key)};
    if (!co_await ask(world, env, client, request, 200, answer)) co_return;
    const std::string content = (*value)->content();
    if (piece.offset + piece.size > content.size() ||
        answer.body != std::string_view(content).substr(piece.offset, piece.size)) {
      co_return world.fail(fmt::format("{} in the cloud does not hold bytes {} to {} of '{}'", key,
                                       piece.offset, piece.offset + piece.size, piece.object));
    }
  }
}

Task<bool> write(World& world, Env& env, S3Client& client, const std::string& key, const ValuePtr& value) {
  KeyModel& model = world.keys.at(key);
  S3Request request{.method = value ? "PUT" : "DELETE", .path = path_of(kBucket, key)};
  if (value) request.body = value->content();
  model.write_begins(value);
  S3Answer answer;
  if (!co_await ask(world, env, client, request, value ? 200 : 204, answer)) co_return false;
  model.write_acknowledged();
  co_return true;
}

}  // namespace

Task<void> end_uploads(World& world, Env& env) {
  S3Client client(env, world.server.endpoint(kServerPort), world.identity, kCallTimeout);
  std::vector<Upload> uploads;
  do {
    if (!co_await list_uploads(world, env, client, kBucket, uploads)) break;
    for (const Upload& upload : uploads) {
      S3Answer answer;
      const S3Request abort{
          .method = "DELETE", .path = path_of(kBucket, upload.key), .query = "uploadId=" + upload.id};
      if (!co_await ask(world, env, client, abort, 204, answer)) break;
    }
  } while (!uploads.empty() && !world.failed());
  co_await client.close();
}

Task<void> read_names(World& world, Env& env, bool on_device, NamedPieces& names) {
  const auto take = [&](const MappedObject& object) {
    uint64_t offset = 0;
    for (const MappedObject::Piece& piece : object.pieces) {
      if (!piece.cloud_key.empty() &&
          !names.try_emplace(piece.cloud_key, NamedPiece{object.key, offset, piece.size_bytes}).second)
        world.fail(fmt::format("{} in the cloud is named twice", piece.cloud_key));
      offset += piece.size_bytes;
    }
  };
  const TierMapOptions options{.data_dir = kStoreDirectory,
                               .device = on_device ? kStoreDevice : std::string(),
                               .prefix = kCloudPrefix,
                               .namespace_memory_bytes = kNamespaceMemoryBytes,
                               .tuning = tuning_of(world.simulation.seed())};
  const CommandOutcome outcome = co_await map_directory(env, options, take);
  if (outcome.status != 0) world.fail("the store cannot be read at rest: " + outcome.message);
}

Task<void> replace_and_delete(World& world, Env& env, NamedPieces& names) {
  S3Client client(env, world.server.endpoint(kServerPort), world.identity, kCallTimeout);
  std::vector<std::string> keys;
  for (const auto& [key, model] : world.keys) keys.push_back(key);
  for (size_t i = 0; i < keys.size() && i < kReplacedMax && !world.failed(); ++i) {
    const ValuePtr first = Value::make(world.next_value++, kReplacementBytes);
    const ValuePtr second = Value::make(world.next_value++, kReplacementBytes);
    for (const ValuePtr& value : {first, second, ValuePtr()}) {
      if (!co_await write(world, env, client, keys[i], value)) break;
    }
    std::erase_if(names, [&](const auto& named) { return named.second.object == keys[i]; });
  }
  co_await client.close();
}

Task<void> check_cloud(World& world, Env& env, const Endpoint& cloud, const NamedPieces& names) {
  S3Client client(env, cloud, world.identity, kCallTimeout);
  std::string wrong;
  for (int looks = 0; looks < kLooksMax; ++looks) {
    std::set<std::string> found;
    std::vector<Upload> uploads;
    if (!co_await list_keys(world, env, client, found)) break;
    if (!co_await list_uploads(world, env, client, kCloudBucket, uploads)) break;
    wrong = difference(found, uploads, names);
    if (wrong.empty()) break;
    (void)co_await sleep_for(env, kPause);
  }
  if (!wrong.empty()) world.fail("what the cloud bucket holds: " + wrong);
  if (!world.failed()) co_await check_bytes(world, env, client, names);
  co_await client.close();
}

}  // namespace fb::sim
