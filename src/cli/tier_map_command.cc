// SPDX-License-Identifier: Apache-2.0
#include "cli/tier_map_command.h"

#include <fmt/format.h>

#include "cli/store_at_rest.h"
#include "io/runtime.h"
#include "nss/partition_front.h"
#include "rss/embedded_registry.h"
#include "tier/keys.h"

namespace fb {
namespace {

constexpr int kExitFailed = 1;
constexpr uint64_t kNamespaceMemoryBytes = 256 * kMiB;
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

std::string json_piece(const Locator& content, std::string_view store_prefix) {
  if (content.kind != Locator::Kind::cloud) return fmt::format("{{\"local\":{}}}", content.length_bytes);
  return fmt::format("{{\"cloud\":{},\"size\":{}}}", json_text(tier::object_key(store_prefix, content.blob)),
                     content.length_bytes);
}

// Empty where nothing of the object is in the cloud.
std::string json_object(std::string_view bucket, std::string_view key, const ObjectRecord& record,
                        std::string_view store_prefix) {
  bool in_cloud = record.content.kind == Locator::Kind::cloud;
  std::string pieces = record.parts.empty() ? json_piece(record.content, store_prefix) : std::string();
  for (const RecordPart& part : record.parts) {
    in_cloud |= part.content.kind == Locator::Kind::cloud;
    pieces += fmt::format("{}{}", pieces.empty() ? "" : ",", json_piece(part.content, store_prefix));
  }
  if (!in_cloud) return {};
  return fmt::format("{{\"bucket\":{},\"key\":{},\"size\":{},\"etag\":{},\"pieces\":[{}]}}",
                     json_text(bucket), json_text(key), record.size_bytes, json_text(record.etag.text()),
                     pieces);
}

Task<Result<void>> map_bucket(NamespaceClient& names, const BucketInfo& bucket, std::string_view store_prefix,
                              const std::function<void(std::string_view)>& print) {
  std::string after;
  for (;;) {
    FB_CO_TRY(const ListPage page, co_await names.list({}, {.bucket = bucket.id,
                                                            .space = Space::objects,
                                                            .start_after = after,
                                                            .entries_max = kKeysAtATime}));
    for (const ListEntry& entry : page.entries) {
      FB_CO_TRY(const ObjectRecord record, ObjectRecord::decode(entry.record));
      const std::string line = json_object(bucket.name, entry.key, record, store_prefix);
      if (!line.empty()) print(line);
    }
    if (!page.truncated || page.entries.empty()) co_return Result<void>();
    after = page.entries.back().key;
  }
}

// With both engines open, since long records lie among the blobs.
Task<Result<void>> map_engines(Env& env, Partition& partition, BlobClient& blobs,
                               std::string_view store_prefix,
                               const std::function<void(std::string_view)>& print) {
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
      outcome = co_await map_bucket(*names, (*buckets)[i], store_prefix, print);
    co_await (*roots)->close();
  }
  co_await names->close();
  co_return outcome;
}

}  // namespace

Task<CommandOutcome> map_directory(Env& env, const TierMapOptions& options,
                                   const std::function<void(std::string_view)>& print) {
  auto store = co_await StoreAtRest::open(
      env, {.data_dir = options.data_dir, .device = options.device, .memory_bytes = kNamespaceMemoryBytes});
  if (!store) co_return CommandOutcome{kExitFailed, store.error().message};
  const std::string prefix = tier::store_prefix(options.prefix, (*store)->store_id());
  const auto mapped = co_await map_engines(env, (*store)->partition(), (*store)->blobs(), prefix, print);
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
  const auto ran = run_cores(
      runtime, [&](Env& env) -> Task<void> { outcome = co_await map_directory(env, options, print); });
  if (!ran) return {kExitFailed, fmt::format("cannot start: {}", ran.error().to_string())};
  return outcome;
}

}  // namespace fb
