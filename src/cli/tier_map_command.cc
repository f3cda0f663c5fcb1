// SPDX-License-Identifier: Apache-2.0
#include "cli/tier_map_command.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/store_at_rest.h"
#include "io/runtime.h"
#include "nss/partition_front.h"
#include "rss/embedded_registry.h"
#include "tier/keys.h"

namespace fb {
namespace {

constexpr int kExitFailed = 1;
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

// With both engines open, since long records lie among the blobs.
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

CommandOutcome run_tier_map(const TierMapOptions& options,
                            const std::function<void(std::string_view)>& print) {
  RuntimeOptions runtime;
  runtime.on_notice = [](Env&, std::string_view) {};
  CommandOutcome outcome;
  const auto take = [&](const MappedObject& object) { print(json_object(object)); };
  const auto ran = run_cores(
      runtime, [&](Env& env) -> Task<void> { outcome = co_await map_directory(env, options, take); });
  if (!ran) return {kExitFailed, fmt::format("cannot start: {}", ran.error().to_string())};
  return outcome;
}

}  // namespace fb
