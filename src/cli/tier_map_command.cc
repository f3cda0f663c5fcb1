// SPDX-License-Identifier: Apache-2.0
#include "cli/tier_map_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "cli/process.h"
#include "nss/partition_front.h"
#include "rss/embedded_registry.h"
#include "server/store_at_rest.h"
#include "tier/keys.h"

namespace fb {
namespace {

constexpr std::string_view kAbout =
    "Say where in the cloud bucket the content of large objects is: a line of JSON for each of them, with "
    "its "
    "pieces in order.\n\n"
    "  fractalbits tier-map --data-dir ./fractalbits-data       of a server that is stopped\n\n"
    "The store is opened as a start would open it, which redoes what its journal holds.";
constexpr std::string_view kMore = "Exit status: 0 shown, 1 it could not be read, 2 wrong usage.";
constexpr uint32_t kKeysAtATime = 1000;

std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += fmt::format("\\{}", c);
    } else if (static_cast<unsigned char>(c) < ' ') {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}

std::string json_object(const MappedObject& object) {
  std::string pieces;
  for (const MappedObject::Piece& piece : object.pieces) {
    pieces += pieces.empty() ? "" : ",";
    pieces += piece.cloud_key.empty()
                  ? fmt::format("{{\"local\":{}}}", piece.size_bytes)
                  : fmt::format("{{\"cloud\":{},\"size\":{}}}", json_text(piece.cloud_key), piece.size_bytes);
  }
  return fmt::format("{{\"bucket\":{},\"key\":{},\"size\":{},\"etag\":{},\"pieces\":[{}]}}",
                     json_text(object.bucket), json_text(object.key), object.size_bytes,
                     json_text(object.etag), pieces);
}

MappedObject::Piece piece_of(const Locator& content, std::string_view store_prefix) {
  const bool in_cloud = content.kind == Locator::Kind::cloud;
  return {.cloud_key = in_cloud ? tier::object_key(store_prefix, content.blob) : std::string(),
          .size_bytes = content.length_bytes};
}

MappedObject object_of(std::string_view bucket, std::string_view key, const ObjectRecord& record,
                       std::string_view store_prefix) {
  MappedObject object{.bucket = std::string(bucket),
                      .key = std::string(key),
                      .etag = record.etag.text(),
                      .size_bytes = record.size_bytes,
                      .pieces = {}};
  if (record.parts.empty()) object.pieces.push_back(piece_of(record.content, store_prefix));
  for (const RecordPart& part : record.parts) object.pieces.push_back(piece_of(part.content, store_prefix));
  return object;
}

Task<Result<void>> map_bucket(NamespaceClient& names, const BucketInfo& bucket, std::string_view store_prefix,
                              const std::function<void(const MappedObject&)>& take) {
  std::string after;
  for (;;) {
    FB_CO_TRY(const ListPage page, co_await names.list({}, {.bucket = bucket.id,
                                                            .space = Space::objects,
                                                            .start_after = after,
                                                            .entries_max = kKeysAtATime}));
    for (const ListEntry& entry : page.entries) {
      FB_CO_TRY(const ObjectRecord record, ObjectRecord::decode(entry.record));
      const MappedObject object = object_of(bucket.name, entry.key, record, store_prefix);
      const bool in_cloud =
          std::ranges::any_of(object.pieces, [](const auto& piece) { return !piece.cloud_key.empty(); });
      if (in_cloud) take(object);
    }
    if (!page.truncated || page.entries.empty()) co_return Result<void>();
    after = page.entries.back().key;
  }
}

// Needs both engines open, since long records lie among the blobs.
Task<Result<void>> map_engines(Env& env, Partition& partition, BlobClient& blobs,
                               std::string_view store_prefix,
                               const std::function<void(const MappedObject&)>& take) {
  auto names = co_await PartitionFront::open(env, partition);
  names->use_blobs(blobs);
  EmbeddedRegistryGroup group(1);
  auto roots = co_await EmbeddedRegistry::open(
      env, group, *names, [&](const CallContext& context) { return names->trees(context); }, {});
  Result<void> outcome;
  if (!roots) outcome = roots.error();
  if (roots) {
    const auto buckets = co_await (*roots)->list_buckets({});
    if (!buckets) outcome = buckets.error();
    for (size_t i = 0; outcome && i < buckets->size(); ++i)
      outcome = co_await map_bucket(*names, (*buckets)[i], store_prefix, take);
    co_await (*roots)->close();
  }
  co_await names->close();
  co_return outcome;
}

}  // namespace

Task<CommandOutcome> map_directory(Env& env, const TierMapOptions& options,
                                   const std::function<void(const MappedObject&)>& take) {
  auto store = co_await StoreAtRest::open(env, {.data_dir = options.data_dir,
                                                .device = options.device,
                                                .memory_bytes = options.namespace_memory_bytes,
                                                .tuning = options.tuning});
  if (!store) co_return CommandOutcome{kExitFailed, store.error().message};
  const std::string prefix = tier::store_prefix(options.prefix, (*store)->store_id());
  const auto mapped = co_await map_engines(env, (*store)->partition(), (*store)->blobs(), prefix, take);
  co_await (*store)->close();
  if (mapped) co_return CommandOutcome{};
  co_return CommandOutcome{kExitFailed, fmt::format("{} cannot be read: {}; see `fractalbits fsck`",
                                                    options.data_dir, mapped.error().to_string())};
}

void add_tier_map_command(CommandLine& line) {
  const auto options = std::make_shared<TierMapOptions>();
  CommandOptions map = line.add("tier-map", kAbout, kMore, [options] {
    const auto take = [](const MappedObject& object) { print_line(json_object(object)); };
    return finish(run_on_core(
        [&](Env& env) -> Task<CommandOutcome> { co_return co_await map_directory(env, *options, take); }));
  });
  map.text("--data-dir", options->data_dir, "DIR",
           "The server's data directory. Default: ./fractalbits-data.");
  map.text("--device", options->device, "PATH", "The device that holds the store, if one does.");
  map.text("--tier-prefix", options->prefix, "TEXT", "As the server has it.");
}

}  // namespace fb
