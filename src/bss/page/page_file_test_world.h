// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <set>

#include "bss/page/page_file.h"
#include "bss/test_world.h"
#include "client/outcome.h"

// For the tests of the page store: pages whose bytes follow from id and version, a model of what must be
// stored, a workload of many clients.

namespace fb {

inline PageFile::Options small_pages(StoreId store_id = {5}) {
  return {.directory = "/p",
          .store_id = store_id,
          .slot_bytes = 4 * kKiB,
          .log_bytes = 2 * kPageLogGroupBytesMax,
          .growth_bytes = 64 * kKiB,
          .reserve_pages = 4};
}

inline std::string page_content(PageId id, Lsn version, uint32_t length_max) {
  std::mt19937_64 random(id.value * 1'000'003 + version.epoch * 7'919 + version.position);
  std::string bytes(random() % (length_max + 1), '\0');
  for (size_t at = 0; at < bytes.size(); at += 8) {
    const uint64_t word = random();
    std::memcpy(bytes.data() + at, &word, std::min<size_t>(8, bytes.size() - at));
  }
  return bytes;
}

inline Task<PageClient::Page> make_page(Env& env, PageId id, Lsn version, uint32_t length_max) {
  const std::string bytes = page_content(id, version, length_max);
  PageClient::Page page{.buffer = co_await env.buffers().allocate(length_max + 1),
                        .length = static_cast<uint32_t>(bytes.size()),
                        .version = version};
  if (!bytes.empty()) std::memcpy(page.buffer.data(), bytes.data(), bytes.size());
  co_return page;
}

inline bool page_is_right(PageId id, const PageClient::Page& page, uint32_t length_max) {
  return page_content(id, page.version, length_max) ==
         std::string_view(reinterpret_cast<const char*>(page.buffer.data()), page.length);
}

// Ends the process here, as a crash does.
inline Task<void> die(World& world, Env& env, sim::CrashKind kind) {
  world.node.crash_at(sim::SimNode::CrashPoint::resume, world.node.resumptions() + 1, kind);
  (void)co_await sleep_for(env, Duration::seconds(1));
}

// The pages that were acknowledged, and the changes that may have happened: they were under way when a crash
// came, or were answered with `outcome_unknown`.
struct PageModel {
  std::map<uint64_t, Lsn> stored;
  std::map<uint64_t, std::set<Lsn>> writing;
  std::set<uint64_t> erasing;
  uint64_t next_id = 1;
  uint64_t next_position = 1;
  std::vector<std::string> problems;
  uint64_t damaged = 0;   // reads that said so
  uint64_t not_done = 0;  // changes that were answered so: none of them may be found

  void problem(std::string text) { problems.push_back(std::move(text)); }
};

// Each worker changes pages of its own and reads those of all.
struct PageWorkload {
  Env& env;
  PageFile& store;
  PageModel& model;
  std::mt19937_64& random;
  uint64_t epoch = 1;
  unsigned width = 4;
  unsigned checkpoint_percent = 1;
  uint64_t failed = 0;

  uint32_t length_max() const { return store.page_length_max(); }
  std::vector<uint64_t> own(unsigned worker, size_t count) {
    std::vector<uint64_t> ids;
    for (size_t tries = 0; tries < 4 * count && !model.stored.empty(); ++tries) {
      auto at = model.stored.lower_bound(random() % model.next_id);
      if (at == model.stored.end()) at = model.stored.begin();
      const bool fits = at->first % width == worker && std::ranges::find(ids, at->first) == ids.end();
      if (fits) ids.push_back(at->first);
      if (ids.size() == count) break;
    }
    return ids;
  }
  Task<void> write_some(unsigned worker) {
    std::vector<uint64_t> ids = own(worker, random() % 12);
    for (uint64_t fresh = random() % 4; fresh > 0; --fresh) {
      while (++model.next_id % width != worker) {
      }
      ids.push_back(model.next_id);
    }
    std::vector<PageClient::Write> writes;
    for (const uint64_t id : ids) {
      const Lsn version{epoch, model.next_position++};
      PageClient::Page page = co_await make_page(env, {id}, version, length_max());
      writes.push_back({.id = {id}, .page = std::move(page), .result = {}});
    }
    for (const auto& write : writes) model.writing[write.id.value].insert(write.page.version);
    (void)co_await store.write_pages({}, epoch, writes);
    for (const auto& write : writes) {
      failed += !write.result;
      if (!write.result && outcome_of(write.result.error()) != Outcome::unknown) {
        ++model.not_done;
        model.writing[write.id.value].erase(write.page.version);
      }
      if (!write.result) continue;
      model.writing.erase(write.id.value);
      model.erasing.erase(write.id.value);
      model.stored[write.id.value] = write.page.version;
    }
  }
  Task<void> erase_some(unsigned worker) {
    std::vector<PageClient::Erase> erases;
    std::set<uint64_t> no_doubt;  // so far
    for (const uint64_t id : own(worker, 1 + random() % 6)) {
      erases.push_back({.id = {id}, .version = {epoch, model.next_position++}, .result = {}});
      if (model.erasing.insert(id).second) no_doubt.insert(id);
    }
    (void)co_await store.erase_pages({}, epoch, erases);
    for (const auto& erase : erases) {
      failed += !erase.result;
      const bool not_made = !erase.result && outcome_of(erase.result.error()) != Outcome::unknown;
      if (not_made && no_doubt.contains(erase.id.value)) model.erasing.erase(erase.id.value);
      model.not_done += not_made;
      if (!erase.result) continue;
      model.writing.erase(erase.id.value);
      model.erasing.erase(erase.id.value);
      model.stored.erase(erase.id.value);
    }
  }
  Task<void> read_one() {
    auto at = model.stored.lower_bound(random() % model.next_id);
    if (at == model.stored.end()) co_return;
    const auto [id, least] = *at;
    const bool may_go = model.erasing.contains(id);
    const Result<PageClient::Page> page = co_await store.read_page({}, {id});
    if (page && (page->version < least || !page_is_right({id}, *page, length_max()))) {
      model.problem(fmt::format("read of {}: wrong", id));
    } else if (!page && page.error().is(PageError::damaged)) {
      ++model.damaged;
    } else if (!page && !may_go && model.stored.contains(id) && !model.erasing.contains(id)) {
      model.problem(fmt::format("read of {}: {}", id, page.error().to_string()));
    }
  }
  static Task<void> worker(PageWorkload* self, unsigned worker, int operations) {
    for (int i = 0; i < operations; ++i) {
      const uint64_t dice = self->random() % 100;
      if (dice < 50) {
        co_await self->write_some(worker);
      } else if (dice < 70) {
        co_await self->erase_some(worker);
      } else if (dice < 100 - self->checkpoint_percent) {
        co_await self->read_one();
      } else {
        (void)co_await self->store.checkpoint();
      }
    }
  }
  Task<void> run(int operations) {
    Scope scope(env);
    for (unsigned i = 0; i < width; ++i) {
      scope.spawn(&PageWorkload::worker, this, i, operations / static_cast<int>(width));
    }
    co_await scope.join();
  }
};

// Every acknowledged page is there, nothing erased is, and nothing else but what was under way; then the
// model is what was found. Where `faults` were made, a page may be damaged.
inline Task<void> settle_pages(PageFile& store, PageModel& model, bool faults) {
  std::map<uint64_t, Lsn> listed;
  uint64_t cursor = 0;
  do {
    const Result<PageClient::Listing> listing = co_await store.enumerate({}, cursor);
    CO_CHECK_OK(listing);
    for (const auto& [id, version] : listing->pages) {
      if (!listed.emplace(id.value, version).second)
        model.problem(fmt::format("{} is listed twice", id.value));
    }
    cursor = listing->next_cursor;
  } while (cursor != 0);
  for (const auto& [id, version] : model.stored) {
    if (!listed.contains(id) && !model.erasing.contains(id)) model.problem(fmt::format("{} is lost", id));
  }
  for (const auto& [id, version] : listed) {
    const auto stored = model.stored.find(id);
    const auto writing = model.writing.find(id);
    const bool known = (stored != model.stored.end() && stored->second == version) ||
                       (writing != model.writing.end() && writing->second.contains(version));
    if (!known) model.problem(fmt::format("{} version {} is not what it was", id, version.position));
    const Result<PageClient::Page> page = co_await store.read_page({}, {id});
    if (page && (page->version != version || !page_is_right({id}, *page, store.page_length_max()))) {
      model.problem(fmt::format("{} is wrong", id));
    }
    if (!page && faults && page.error().is(PageError::damaged)) {
      ++model.damaged;
    } else if (!page) {
      model.problem(fmt::format("{} is {}", id, page.error().to_string()));
    }
    model.next_id = std::max(model.next_id, id + 1);
    model.next_position = std::max(model.next_position, version.position + 1);
  }
  if (!store.verify()) model.problem("the table does not agree with itself");
  model.stored = std::move(listed);
  model.writing.clear();
  model.erasing.clear();
}

}  // namespace fb
