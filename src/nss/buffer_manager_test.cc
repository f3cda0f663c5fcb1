// SPDX-License-Identifier: Apache-2.0
#include "nss/buffer_manager.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "art/cursor.h"
#include "art/tree.h"
#include "art/tree_check.h"
#include "io/runtime.h"
#include "io/sim/thinning.h"
#include "nss/nss_test_world.h"

namespace fb {
namespace {

// Pages in memory behind the interface of a store that is slow, with its versions.
class SlowPages final : public PageClient {
 public:
  explicit SlowPages(Env& env) : env_(env) {}
  uint32_t page_length_max() const override { return kPageBytes; }
  uint32_t page_memory_bytes() const override { return kPageBytes; }
  Task<Result<Page>> read_page(const CallContext&, PageId) override { co_return PageError::unavailable; }
  Task<Result<Found>> read_page_into(const CallContext&, PageId id, std::span<std::byte> memory) override {
    (void)co_await sleep_for(env_, Duration::microseconds(100));
    const auto found = pages.find(id);
    if (found == pages.end()) co_return PageError::not_found;
    FB_ASSERT(memory.size() >= found->second.bytes.size());
    std::memcpy(memory.data(), found->second.bytes.data(), found->second.bytes.size());
    co_return Found{.length = static_cast<uint32_t>(found->second.bytes.size()),
                    .version = found->second.version};
  }
  Task<Result<void>> write_pages(const CallContext&, uint64_t, std::span<Write> writes) override {
    (void)co_await sleep_for(env_, Duration::microseconds(300));
    if (fails) co_return PageError::full;
    for (Write& write : writes) {
      Stored& stored = pages[write.id];
      EXPECT_LE(stored.version, write.page.version);
      EXPECT_LE(write.page.version.position, journal->durable());
      stored = {std::string(reinterpret_cast<const char*>(write.page.buffer.data()), write.page.length),
                write.page.version};
    }
    co_return Result<void>();
  }
  Task<Result<void>> erase_pages(const CallContext&, uint64_t, std::span<Erase>) override {
    co_return PageError::unavailable;
  }
  Task<Result<void>> seal(const CallContext&, uint64_t) override { co_return Result<void>(); }
  Task<Result<Listing>> enumerate(const CallContext&, uint64_t) override { co_return PageError::unavailable; }
  Task<Result<Space>> space(const CallContext&) override { co_return Space(); }
  uint64_t page_count() const override { return pages.size(); }
  uint64_t sealed_epoch() const override { return 0; }

  static constexpr uint32_t kPageBytes = 4096;
  struct Stored {
    std::string bytes;
    Lsn version;
  };
  std::map<PageId, Stored> pages;
  const JournalBuffer* journal = nullptr;
  bool fails = false;

 private:
  Env& env_;
};

// Takes every frame at once.
class NoJournal final : public JournalClient {
 public:
  explicit NoJournal(Env& env) : env_(env) {}
  Bounds bounds() const override { return {}; }
  size_t frame_size_max() const override { return kMiB; }
  uint64_t segment_bytes() const override { return kMiB; }
  uint64_t written_bytes() const override { return 0; }
  uint64_t room_bytes() const override { return kMiB; }
  bool low() const override { return false; }
  void set_low_handler(std::function<void()>) override {}
  Task<Result<void>> seal(const CallContext&, uint64_t) override { co_return Result<void>(); }
  Task<Result<uint64_t>> submit(const CallContext&, std::span<const std::byte>) override {
    co_return ++frames_;
  }
  Task<Result<void>> wait_durable(uint64_t) override {
    (void)co_await sleep_for(env_, Duration::microseconds(200));
    co_return Result<void>();
  }
  Task<Result<std::vector<Frame>>> read(const CallContext&, uint64_t) override {
    co_return JournalError::missing;
  }
  Task<Result<void>> trim(const CallContext&, uint64_t) override { co_return Result<void>(); }

 private:
  Env& env_;
  uint64_t frames_ = 0;
};

struct Appender {
  JournalPort* port;
  JournalPort::Reservation reservation;
  Lsn append(std::string_view record) {
    return port->append(reservation, JournalRecordKind::change, std::as_bytes(std::span(record)));
  }
};
using TestTree = art::Tree<TreeSource, Appender>;
constexpr uint64_t kOperationBytes = 128 * 1024;

std::string key_of(unsigned core, uint64_t i) {
  return "dataset/core-" + std::to_string(core) + "/class-" + std::to_string(i % 37) + "/object-" +
         std::to_string(i);
}

// What all cores share, and what each does.
struct Machine {
  explicit Machine(unsigned cores_in, uint32_t frames_in, uint64_t keys_in)
      : cores(cores_in),
        frames(frames_in),
        keys(keys_in),
        gate(cores_in),
        journal({.core_count = cores_in, .epoch = 1}),
        models(cores_in) {}

  Task<void> run_core(Env& env) {
    if (env.core() == 0) {
      owned_pages = std::make_unique<SlowPages>(env);
      owned_pages->journal = &journal;
      no_journal = std::make_unique<NoJournal>(env);
      manager = std::make_unique<BufferManager>(
          BufferManager::Options{.core_count = cores, .frame_count = frames, .epoch = 1}, *owned_pages,
          journal);
      co_await run_owner(env);
      co_return;
    }
    while (!begun.load()) (void)co_await sleep_for(env, Duration::milliseconds(1));
    JournalPort& port = journal.attach(env);
    BufferPort& buffer = manager->attach(env);
    co_await work(env, port, buffer);
    working.fetch_sub(1);
    while (!over.load()) (void)co_await sleep_for(env, Duration::milliseconds(1));
  }

  Task<void> run_owner(Env& env) {
    JournalPort& port = journal.attach(env);
    BufferPort& buffer = manager->attach(env);
    Scope scope(env);
    scope.spawn(&JournalBuffer::run, std::ref(env), std::ref(journal), std::ref(*no_journal));
    scope.spawn(&BufferManager::run, std::ref(env), std::ref(*manager), std::ref(port));
    {
      // The root: an empty page that a record creates.
      Appender appender{&port, {}};
      auto room = co_await port.reserve({}, kOperationBytes);
      CO_CHECK_OK(room);
      appender.reservation = std::move(*room);
      root = static_cast<BufferFrame*>(buffer.create());
      root->pins.fetch_add(1);
      const Lsn lsn = appender.append("root");
      art::PageHeader& header = art::PageEditor(*root).header();
      header.lsn_epoch = lsn.epoch;
      header.lsn_position = lsn.position;
      buffer.changed(*root);
      root->latch.release();
    }
    working.store(cores);
    begun.store(true);
    co_await work(env, port, buffer);
    working.fetch_sub(1);
    while (working.load() != 0) (void)co_await sleep_for(env, Duration::milliseconds(1));
    EXPECT_EQ(manager->verify(), "");
    CO_CHECK_OK(co_await manager->flush(env, port, journal.published(env)));
    EXPECT_EQ(manager->dirty_count(), 0U);
    EXPECT_EQ(manager->verify(), "");
    manager->stop();
    journal.stop();
    co_await scope.join();
    co_await journal.drain(env);
    over.store(true);
  }

  // A core's own keys against a map; the pages are everybody's.
  Task<void> work(Env& env, JournalPort& port, BufferPort& buffer) {
    Scope scope(env);
    for (unsigned i = 0; i < 4; ++i) {
      scope.spawn(&Machine::worker, std::ref(*this), std::ref(env), std::ref(port), std::ref(buffer), i);
    }
    co_await scope.join();
  }

  // Runs `operation` until it does not end for lack of a page or a frame.
  template <class Operation>
  static Task<art::Answer> until_answered(BufferPort& buffer, Operation operation) {
    for (;;) {
      const art::Answer answer = operation();
      if (answer.outcome == art::Outcome::missing) {
        const Result<void> loaded = co_await buffer.load({}, answer.page);
        EXPECT_TRUE(loaded) << loaded.error().to_string();
        if (!loaded) co_return answer;
      } else if (answer.outcome == art::Outcome::no_frames) {
        EXPECT_TRUE(co_await buffer.make_room({}, 4));
      } else {
        co_return answer;
      }
    }
  }

  static Task<void> worker(Machine& self, Env& env, JournalPort& port, BufferPort& buffer, unsigned index) {
    std::map<std::string, std::string>& model = self.models[env.core()];
    TreeSource source(buffer, *self.root);
    Appender appender{&port, {}};
    TestTree tree(source, appender, self.gate, {.core = env.core()});
    std::mt19937_64 random(env.core() * 100 + index);
    for (uint64_t n = 0; n < self.keys; ++n) {
      // Each worker has keys of its own.
      const std::string key = key_of(env.core(), random() % self.keys * 4 + index);
      const uint64_t dice = random() % 100;
      auto room = co_await port.reserve({}, kOperationBytes);
      CO_CHECK_OK(room);
      appender.reservation = std::move(*room);
      if (dice < 60) {
        const std::string value = std::to_string(random()) + std::string(random() % 200, 'v');
        const art::Answer answer = co_await until_answered(buffer, [&] { return tree.put(key, value); });
        CO_CHECK(answer.outcome == art::Outcome::done);
        model[key] = value;
        if (dice < 5) CO_CHECK_OK(co_await port.wait_durable(answer.lsn.position));
      } else if (dice < 75) {
        const art::Answer answer = co_await until_answered(buffer, [&] { return tree.erase(key); });
        CO_CHECK((answer.outcome == art::Outcome::done) == (model.erase(key) == 1));
      } else {
        std::string got;
        const art::Answer answer = co_await until_answered(
            buffer, [&] { return tree.get(key, [&](uint8_t, std::string_view value) { got = value; }); });
        const auto expected = model.find(key);
        CO_CHECK((answer.outcome == art::Outcome::done) == (expected != model.end()));
        if (expected != model.end()) CO_CHECK(got == expected->second);
      }
      appender.reservation = {};
      if (n % 16 == 0) co_await yield(env);
      if (self.evicts_more) CO_CHECK_OK(co_await buffer.make_room({}, 1 + random() % 11));
    }
  }

  unsigned cores;
  uint32_t frames;
  uint64_t keys;
  art::RenameGate gate;
  JournalBuffer journal;
  std::vector<std::map<std::string, std::string>> models;
  std::unique_ptr<SlowPages> owned_pages;
  std::unique_ptr<NoJournal> no_journal;
  std::unique_ptr<BufferManager> manager;
  BufferFrame* root = nullptr;
  bool evicts_more = false;
  std::atomic<bool> begun{false};
  std::atomic<bool> over{false};
  std::atomic<unsigned> working{0};
};

// The stored pages alone hold exactly what the models do.
void check_stored(Machine& machine) {
  std::map<std::string, std::string> expected;
  for (const auto& model : machine.models) expected.insert(model.begin(), model.end());
  World world;
  world.run([&](Env& env) -> Task<void> {
    SlowPages pages(env);
    pages.pages = machine.owned_pages->pages;
    JournalBuffer journal({});
    pages.journal = &journal;
    (void)journal.attach(env);
    BufferManager manager({.frame_count = static_cast<uint32_t>(pages.pages.size()) + 64}, pages, journal);
    BufferPort& buffer = manager.attach(env);
    auto root = co_await buffer.pin({}, machine.root->page_id.load());
    CO_CHECK_OK(root);
    TreeSource source(buffer, **root);
    art::TreeCheck check = art::TreeCheck();
    for (;;) {
      check = art::verify_tree(source);
      if (check.missing.value == 0) break;
      CO_CHECK_OK(co_await buffer.load({}, check.missing));
    }
    EXPECT_EQ(check.error, "");
    EXPECT_EQ(check.values, expected.size());
    art::RenameGate gate(1);
    art::Cursor<TreeSource> cursor(source, gate);
    cursor.begin();
    auto next = expected.begin();
    for (art::Answer answer = cursor.seek(""); answer.outcome == art::Outcome::done;
         answer = cursor.next(), ++next) {
      CO_CHECK(next != expected.end());
      EXPECT_EQ(cursor.key(), next->first);
      EXPECT_EQ(cursor.value(), next->second);
    }
    EXPECT_EQ(next, expected.end());
    EXPECT_EQ(manager.verify(), "");
  });
}

TEST(BufferManager, ATreeOfManyTimesTheFrames) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    Machine machine(2, 96, 1000);
    World world(seed, 2);
    world.run([&](Env& env) { return machine.run_core(env); });
    EXPECT_GT(machine.owned_pages->pages.size(), 150U);
    EXPECT_GT(machine.manager->statistics().evictions.load(), 500U);
    EXPECT_GT(machine.manager->statistics().second_chances.load(), 0U);
    check_stored(machine);
  }
}

// All cores take frames from one another, left at any point of it.
TEST(BufferManager, CoresThatEvictInTheMiddleOfLoads) {
  constexpr uint64_t kSeeds = 100 / sim::kThinning;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Machine machine(3, 66, 400);
    machine.evicts_more = true;
    World world(seed, 3);
    world.simulation.set_switch_chance(100'000);
    world.run([&](Env& env) { return machine.run_core(env); });
    check_stored(machine);
  }
}

TEST(BufferManagerThreads, RealCores) {
  Machine machine(3, 96, 1500);
  ASSERT_TRUE(run_cores({.cores = 3}, [&](Env& env) { return machine.run_core(env); }).has_value());
  EXPECT_GT(machine.manager->statistics().evictions.load(), 1000U);
  check_stored(machine);
}

}  // namespace
}  // namespace fb
