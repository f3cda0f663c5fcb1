// SPDX-License-Identifier: Apache-2.0
#include "admin/fsck.h"

#include <fmt/format.h>

#include <unordered_set>

namespace fb {
namespace {

constexpr size_t kProblemsShown = 200;

std::string plural(uint64_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

}  // namespace

std::string FsckReport::to_string() const {
  std::string text;
  if (sound()) {
    text = fmt::format("{}: nothing is wrong with this store.\n", kFsckSound);
  } else {
    text = fmt::format("damaged: {} found.\n", plural(problems.size(), "problem", "problems"));
  }
  text += fmt::format("  buckets          {}\n", names.trees == 0 ? 0 : names.trees - 1);
  text += fmt::format("  keys             {}\n", names.keys);
  text += fmt::format("  pages            {}, {:.0f} % full, at most {} deep\n", names.pages,
                      100 * names.fill(), names.depth_max);
  text += fmt::format("  pages stored     {}\n  journal frames   {}\n", metadata.pages, metadata.frames);
  text += fmt::format("  blobs named      {}\n  blocks stored    {}\n", names.named.size(), blocks_stored);
  text += fmt::format("  garbage          {} to be freed\n", plural(names.garbage.size(), "blob", "blobs"));
  if (!in_use) text += fmt::format("  without a name   {}, freed after the next start\n", blobs_unnamed);
  if (cloud_objects != 0) {
    text += fmt::format("  in the cloud     {}{}\n", plural(cloud_objects, "object", "objects"),
                        cloud_looked_at ? "" : ", which were not looked for");
  }
  if (names.counts_not_compared != 0) {
    text += fmt::format("  not compared     the counts of {}, in which objects were changed meanwhile\n",
                        plural(names.counts_not_compared, "bucket", "buckets"));
  }
  for (size_t i = 0; i < problems.size() && i < kProblemsShown; ++i)
    text += fmt::format("- {}\n", problems[i]);
  if (problems.size() > kProblemsShown) {
    text += fmt::format("- and {} more\n", problems.size() - kProblemsShown);
  }
  return text;
}

Task<Result<FsckReport>> check_store(Partition& partition, bss::MetadataStore& metadata, BlobClient& blobs,
                                     FsckScope scope) {
  const bool in_use = scope.in_use;
  FsckReport report{.in_use = in_use};
  FB_CO_TRY(report.names, co_await partition.verify(in_use));
  report.problems = report.names.problems;
  report.metadata = co_await metadata.scrub();
  for (const auto& [count, what] :
       {std::pair(report.metadata.pages_damaged, "a stored page is damaged; the log names it"),
        std::pair(report.metadata.frames_damaged, "a frame of the journal is damaged; the log names it"),
        std::pair(report.metadata.checkpoints_damaged, "a copy of the checkpoint is damaged")}) {
    if (count != 0) report.problems.push_back(fmt::format("{} ({} times)", what, count));
  }
  // Blocks that are named and have not been found yet.
  std::unordered_map<BlobId, uint32_t> lacking = report.names.named;
  for (const auto& [blob, blocks] : lacking) report.cloud_objects += is_cloud(blob) ? 1 : 0;
  report.cloud_looked_at = scope.with_cloud;
  if (!scope.with_cloud) std::erase_if(lacking, [](const auto& blob) { return is_cloud(blob.first); });
  std::unordered_set<BlobId> unnamed;
  for (uint16_t shard = 0; shard < blobs.shard_count(); ++shard) {
    uint64_t cursor = 0;
    do {
      FB_CO_TRY(const BlobPage page, co_await blobs.enumerate({}, shard, cursor));
      for (const BlobKey& key : page.keys) {
        ++report.blocks_stored;
        const auto named = lacking.find(key.id);
        if (named != lacking.end() && named->second != 0) {
          --named->second;
        } else if (named == lacking.end() && !report.names.garbage.contains(key.id)) {
          unnamed.insert(key.id);
        }
      }
      cursor = page.next_cursor;
    } while (cursor != 0);
  }
  std::erase_if(lacking, [](const auto& blob) { return blob.second == 0; });
  report.blobs_missing = lacking.size();
  report.blobs_unnamed = unnamed.size();
  if (!lacking.empty()) {
    std::unordered_set<BlobId> lost;
    for (const auto& [blob, blocks] : lacking) lost.insert(blob);
    FB_CO_TRY(const std::vector<std::string> keys, co_await partition.keys_naming(lost));
    // If the store is in use, a blob that nothing names any more was freed meanwhile. No blob is named again
    // later.
    if (in_use) report.blobs_missing = keys.size();
    for (const std::string& key : keys) report.problems.push_back(key + ": content is missing");
    if (keys.empty() && !in_use)
      report.problems.push_back(plural(lost.size(), "blob is missing", "blobs are missing"));
  }
  co_return report;
}

}  // namespace fb
