// SPDX-License-Identifier: Apache-2.0
// Rates of the first namespace engine on one core, in a folder of the real file system.
//
//     fb_namespace_v1_bench [FOLDER] [KEYS]      one line a figure: name, value, unit
#include <fmt/core.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "client/record.h"
#include "io/runtime.h"
#include "nss/namespace_front.h"

namespace {

using namespace fb;
using Clock = std::chrono::steady_clock;

constexpr BucketId kBucket{1};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string key_of(uint64_t i) {
  const uint64_t mixed = (i + 1) * 0x9e3779b97f4a7c15ull;
  return fmt::format("datasets/imagenet-{:02}/train/class-{:04}/shard-{:03}/{:016x}.jpg", mixed % 20,
                     mixed / 20 % 1000, mixed / 20000 % 100, mixed);
}

std::string record_of(uint64_t i, Incarnation incarnation) {
  ObjectRecord record;
  record.size_bytes = 4096;
  record.metadata = "content-type: image/jpeg";
  record.checksum = {.algorithm = RecordChecksumAlgorithm::crc32c, .size = 4};
  record.content = {
      .kind = Locator::Kind::blob, .blob = {.incarnation = incarnation, .number = i}, .length_bytes = 4096};
  return record.encode();
}

Task<void> put_range(NamespaceFront* front, uint64_t first, uint64_t last) {
  for (uint64_t i = first; i < last; ++i) {
    const std::string key = key_of(i);
    const std::string record = record_of(i, front->incarnation());
    const auto put = co_await front->apply({}, kBucket, {.key = key, .record = record});
    FB_ASSERT(put.has_value());
  }
}

Task<void> put_with(Env& env, NamespaceFront& front, uint64_t clients, uint64_t first, uint64_t count) {
  Scope scope(env);
  for (uint64_t c = 0; c < clients; ++c) {
    scope.spawn(&put_range, &front, first + count * c / clients, first + count * (c + 1) / clients);
  }
  co_await scope.join();
}

Task<void> measure(Env& env, std::string folder, uint64_t keys) {
  auto engine = co_await NamespaceEngine::open(env, {.directory = folder});
  FB_ASSERT(engine.has_value());
  auto front = co_await NamespaceFront::open(env, **engine);
  FB_ASSERT((co_await front->create_tree({}, kBucket)).has_value());
  const uint64_t durable = std::min<uint64_t>(keys / 4, 100'000);
  auto start = Clock::now();
  co_await put_with(env, *front, 64, 0, durable);
  fmt::print("put_durable_64_clients {:.0f} puts/s\n", static_cast<double>(durable) / seconds_since(start));
  start = Clock::now();
  co_await put_range(front.get(), durable, durable + 2000);
  fmt::print("put_durable_1_client {:.0f} puts/s\n", 2000 / seconds_since(start));
  start = Clock::now();
  co_await put_with(env, *front, 1024, durable + 2000, keys - durable - 2000);
  fmt::print("put_durable_1024_clients {:.0f} puts/s\n",
             static_cast<double>(keys - durable - 2000) / seconds_since(start));
  const auto statistics = (*engine)->statistics();
  fmt::print("memory {:.0f} bytes/key\n",
             static_cast<double>(statistics.memory_bytes) / static_cast<double>(keys));
  std::vector<std::string> names;
  for (uint64_t i = 0; i < 200'000; ++i) names.push_back(key_of(i * 7919 % keys));
  start = Clock::now();
  for (const std::string& name : names) {
    const auto found = co_await front->get({}, kBucket, Space::objects, name);
    FB_ASSERT(found.has_value());
  }
  fmt::print("get {:.0f} ns\n", seconds_since(start) * 1e9 / static_cast<double>(names.size()));
  start = Clock::now();
  std::string after;
  uint64_t listed = 0;
  while (listed < 200'000 && listed < keys) {
    const auto page = co_await front->list({}, {.bucket = kBucket, .start_after = after});
    FB_ASSERT(page.has_value());
    listed += page->entries.size();
    if (!page->truncated) break;
    after = page->entries.back().key;
  }
  fmt::print("list {:.0f} keys/s\n", static_cast<double>(listed) / seconds_since(start));
  start = Clock::now();
  FB_ASSERT((co_await (*engine)->take_snapshot()).has_value());
  fmt::print("snapshot {:.3f} s\n", seconds_since(start));
  co_await front->close();
  FB_ASSERT((co_await (*engine)->close()).has_value());
  start = Clock::now();
  auto again = co_await NamespaceEngine::open(env, {.directory = folder});
  FB_ASSERT(again.has_value());
  fmt::print("open {:.3f} s\n", seconds_since(start));
  FB_ASSERT((co_await (*again)->close()).has_value());
}

}  // namespace

int main(int argc, char** argv) {
  const std::string folder = argc > 1 ? argv[1] : "namespace-bench";
  const uint64_t keys = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1'000'000;
  std::filesystem::remove_all(folder);
  const auto ran = run_cores({.cores = 1}, [&](Env& env) { return measure(env, folder, keys); });
  std::filesystem::remove_all(folder);
  return ran ? 0 : 1;
}
