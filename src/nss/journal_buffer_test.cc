// SPDX-License-Identifier: Apache-2.0
#include "nss/journal_buffer.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "base/checksum.h"
#include "bss/journal/journal_file.h"
#include "io/runtime.h"
#include "io/sim/simulation.h"
#include "nss/nss_test_world.h"

namespace fb {
namespace {

std::span<const std::byte> as_span(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string body_of(uint64_t seed, size_t size) {
  std::string body(size, '\0');
  std::mt19937_64 random(seed);
  for (char& c : body) c = static_cast<char>(random());
  return body;
}

// A journal in memory, whose writer and reader are one core.
class MemoryJournal : public JournalClient {
 public:
  explicit MemoryJournal(Env& env) : env_(env) {}
  Bounds bounds() const override { return {.next_sequence = frames.size() + 1, .epoch = epoch}; }
  size_t frame_size_max() const override { return kMiB; }
  uint64_t segment_bytes() const override { return kMiB; }
  uint64_t written_bytes() const override { return 0; }
  uint64_t room_bytes() const override { return kMiB; }
  bool low() const override { return false; }
  void set_low_handler(std::function<void()>) override {}
  Task<Result<void>> seal(const CallContext&, uint64_t new_epoch) override {
    epoch = new_epoch;
    co_return Result<void>();
  }
  Task<Result<uint64_t>> submit(const CallContext&, std::span<const std::byte> payload) override {
    const uint64_t sequence = frames.size() + submitted_.size() + 1;
    submitted_.push_back(
        {.sequence = sequence,
         .epoch = epoch,
         .payload = std::string(reinterpret_cast<const char*>(payload.data()), payload.size())});
    co_return sequence;
  }
  Task<Result<void>> wait_durable(uint64_t sequence) override {
    (void)co_await sleep_for(env_, Duration::microseconds(50));
    if (frames.size() >= fail_at) co_return JournalError::unavailable;
    while (frames.size() < sequence) {
      frames.push_back(std::move(submitted_.front()));
      submitted_.pop_front();
    }
    co_return Result<void>();
  }
  Task<Result<std::vector<Frame>>> read(const CallContext&, uint64_t) override { co_return frames; }
  Task<Result<void>> trim(const CallContext&, uint64_t) override { co_return Result<void>(); }

  size_t taken() const { return frames.size() + submitted_.size(); }

  std::vector<Frame> frames;
  uint64_t epoch = 1;
  size_t fail_at = SIZE_MAX;

 private:
  Env& env_;
  std::deque<Frame> submitted_;
};

// One whose writes end in the order that a test says.
class HeldJournal final : public MemoryJournal {
 public:
  explicit HeldJournal(Env& env) : MemoryJournal(env), ended_(env) {}
  void end_write(uint64_t sequence, bool written = true) {
    writes_[sequence] = written;
    ended_.notify_all();
  }
  Task<Result<void>> wait_durable(uint64_t sequence) override {
    for (uint64_t each = 1; each <= sequence; ++each) {
      while (!writes_.contains(each)) co_await ended_.wait();
      if (!writes_[each]) co_return JournalError::unavailable;
    }
    co_return co_await MemoryJournal::wait_durable(sequence);
  }

 private:
  Notification ended_;
  std::map<uint64_t, bool> writes_;
};

std::vector<std::string> bodies_of(const std::vector<JournalClient::Frame>& frames, uint64_t from = 0) {
  std::vector<std::string> bodies;
  JournalStreamReader reader(from);
  for (const JournalClient::Frame& frame : frames) {
    EXPECT_TRUE(reader.feed(frame));
    for (;;) {
      const auto record = reader.next();
      EXPECT_TRUE(record);
      if (!record || !*record) break;
      bodies.emplace_back((*record)->body);
    }
  }
  return bodies;
}

// Frames of one epoch whose stream holds `bodies`, cut into pieces of `piece` bytes.
std::vector<JournalClient::Frame> frames_of(const std::vector<std::string>& bodies, uint64_t position,
                                            size_t piece, uint64_t epoch = 1) {
  std::string stream;
  for (const std::string& body : bodies) {
    JournalRecordHeader header{.body_bytes = static_cast<uint32_t>(body.size())};
    header.checksum = journal_record_checksum(xxh3(as_span(body)), header.body_bytes, header.kind,
                                              position + stream.size());
    std::array<std::byte, kJournalRecordHeaderBytes> bytes;
    header.encode(bytes);
    stream.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    stream += body;
  }
  std::vector<JournalClient::Frame> frames;
  for (size_t at = 0; at < stream.size(); at += piece) {
    const uint64_t begin = position + at;
    std::string payload(reinterpret_cast<const char*>(&begin), sizeof(begin));
    payload += stream.substr(at, piece);
    frames.push_back({.sequence = frames.size() + 1, .epoch = epoch, .payload = std::move(payload)});
  }
  return frames;
}

TEST(JournalStream, FramesCutAnywhere) {
  const std::vector<std::string> bodies = {body_of(1, 0), body_of(2, 1), body_of(3, 300), body_of(4, 17)};
  for (size_t piece = 1; piece < 400; ++piece) EXPECT_EQ(bodies_of(frames_of(bodies, 1000, piece)), bodies);
}

TEST(JournalStream, BeginsBehindAPosition) {
  const std::vector<std::string> bodies = {body_of(1, 40), body_of(2, 50), body_of(3, 60)};
  const uint64_t second = 1000 + kJournalRecordHeaderBytes + 40;
  for (size_t piece = 1; piece < 200; ++piece) {
    EXPECT_EQ(bodies_of(frames_of(bodies, 1000, piece), second),
              std::vector<std::string>(bodies.begin() + 1, bodies.end()));
  }
}

TEST(JournalStream, ARecordCutByTheEndOfAnEpochIsPassedOver) {
  const std::vector<std::string> bodies = {body_of(1, 40), body_of(2, 50)};
  auto frames = frames_of(bodies, 0, 80);
  ASSERT_EQ(frames.size(), 2U);
  frames.pop_back();
  for (auto& frame : frames_of({body_of(3, 60)}, 80, 30, 2)) frames.push_back(std::move(frame));
  EXPECT_EQ(bodies_of(frames), (std::vector<std::string>{bodies[0], body_of(3, 60)}));
}

TEST(JournalStream, EveryChangedBitIsNoticed) {
  const auto frames = frames_of({body_of(1, 20)}, 512, 1000);
  for (size_t bit = 0; bit < frames[0].payload.size() * 8; ++bit) {
    auto changed = frames[0];
    changed.payload[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    JournalStreamReader reader(0);
    ASSERT_TRUE(reader.feed(changed));
    const auto record = reader.next();
    // A larger size makes the record one that is not all there; the reserved bytes mean nothing.
    const bool in_reserved =
        bit / 8 >= kJournalFrameHeaderBytes + 5 && bit / 8 < kJournalFrameHeaderBytes + 8;
    EXPECT_TRUE(!record || !*record || in_reserved) << bit;
  }
}

TEST(JournalStream, AMissingFrameIsNoticed) {
  auto frames = frames_of({body_of(1, 300)}, 0, 100);
  JournalStreamReader reader(0);
  ASSERT_TRUE(reader.feed(frames[0]));
  EXPECT_FALSE(reader.feed(frames[2]));
}

// Cores append and wait; what is told durable stands in the journal, in the order of positions.
Task<void> append_many(Env& env, JournalBuffer& buffer, JournalPort& port, int count,
                       std::map<uint64_t, std::string>* acknowledged) {
  std::mt19937_64 random(env.core() + 1);
  for (int i = 0; i < count; ++i) {
    const std::string body = body_of(random(), random() % (i % 50 == 0 ? 300'000 : 400));
    auto reservation = co_await port.reserve({}, JournalBuffer::record_bytes(body.size()) + random() % 100);
    CO_CHECK_OK(reservation);
    const Lsn lsn = port.append(*reservation, JournalRecordKind::change, as_span(body));
    CO_CHECK_OK(co_await port.wait_durable(lsn.position));
    CO_CHECK(buffer.durable() >= lsn.position);
    CO_CHECK(acknowledged->emplace(lsn.position, body).second);
  }
}

struct Crowd {
  std::map<uint64_t, std::string> acknowledged[4];
  std::atomic<unsigned> cores_done{0};
  std::atomic<bool> over{false};
};

Task<void> append_from(Env& env, JournalBuffer& buffer, Crowd& crowd, int workers, int count) {
  JournalPort& port = buffer.attach(env);
  Scope scope(env);
  for (int i = 0; i < workers; ++i) {
    scope.spawn(&append_many, std::ref(env), std::ref(buffer), std::ref(port), count,
                &crowd.acknowledged[env.core()]);
  }
  co_await scope.join();
  crowd.cores_done.fetch_add(1);
}

// A core must run until no message is on its way to it.
Task<void> append_and_stay(Env& env, JournalBuffer& buffer, Crowd& crowd) {
  co_await append_from(env, buffer, crowd, 4, 200);
  while (!crowd.over.load()) (void)co_await sleep_for(env, Duration::milliseconds(1));
}

Task<void> write_until_done(Env& env, JournalBuffer& buffer, JournalClient& journal, Crowd& crowd,
                            unsigned cores) {
  Scope scope(env);
  scope.spawn(&JournalBuffer::run, std::ref(env), std::ref(buffer), std::ref(journal));
  co_await append_from(env, buffer, crowd, 4, 200);
  while (crowd.cores_done.load() != cores) (void)co_await sleep_for(env, Duration::milliseconds(1));
  buffer.stop();
  co_await scope.join();
  co_await buffer.drain(env);
  crowd.over.store(true);
}

void check_crowd(const Crowd& crowd, const std::vector<JournalClient::Frame>& frames) {
  std::map<uint64_t, std::string> all;
  for (const auto& part : crowd.acknowledged) all.insert(part.begin(), part.end());
  std::vector<std::string> expected;
  for (const auto& [position, body] : all) expected.push_back(body);
  EXPECT_EQ(bodies_of(frames), expected);
}

TEST(JournalBuffer, CoresOfASimulatedMachine) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    constexpr unsigned kCores = 3;
    World world(seed, kCores);
    // A core that is left between two steps of an append, for longer than a frame takes.
    if (seed % 2 == 0) world.simulation.set_switch_chance(300'000);
    Crowd crowd;
    JournalBuffer buffer({.core_count = kCores, .ring_bytes = 8u << 20, .frame_bytes_max = 10'000});
    std::vector<JournalClient::Frame> frames;
    world.run([&](Env& env) -> Task<void> {
      if (env.core() != 0) {
        co_await append_and_stay(env, buffer, crowd);
        co_return;
      }
      MemoryJournal journal(env);
      co_await write_until_done(env, buffer, journal, crowd, kCores);
      frames = journal.frames;
    });
    check_crowd(crowd, frames);
    EXPECT_EQ(crowd.acknowledged[1].size(), 800U);
  }
}

TEST(JournalBufferThreads, RealCores) {
  constexpr unsigned kCores = 3;
  Crowd crowd;
  JournalBuffer buffer({.core_count = kCores, .ring_bytes = 8u << 20, .frame_bytes_max = 100'000});
  std::vector<JournalClient::Frame> frames;
  ASSERT_TRUE(run_cores({.cores = kCores}, [&](Env& env) -> Task<void> {
                if (env.core() != 0) {
                  co_await append_and_stay(env, buffer, crowd);
                  co_return;
                }
                MemoryJournal journal(env);
                co_await write_until_done(env, buffer, journal, crowd, kCores);
                frames = journal.frames;
              }).has_value());
  check_crowd(crowd, frames);
}

// Reservations of all that the ring holds: appends wait for room, and what is given back unused wakes them.
TEST(JournalBuffer, RoomIsWaitedFor) {
  World world;
  JournalBuffer buffer({.ring_bytes = 8u << 20});
  world.run([&](Env& env) -> Task<void> {
    JournalPort& port = buffer.attach(env);
    CO_CHECK((co_await port.reserve({}, (4u << 20) + 1)).error().is(JournalError::full));
    auto first = co_await port.reserve({}, 4u << 20);
    auto second = co_await port.reserve({}, 4u << 20);
    CO_CHECK_OK(first);
    CO_CHECK_OK(second);
    CO_CHECK((co_await port.reserve({.deadline = env.now()}, 1)).error().is(JournalError::timed_out));
    bool given_back = false;
    co_await when_all(
        [&]() -> Task<void> {
          const auto third = co_await port.reserve({}, 1000);
          CO_CHECK_OK(third);
          CO_CHECK(given_back);
        },
        [&]() -> Task<void> {
          (void)co_await sleep_for(env, Duration::milliseconds(5));
          given_back = true;
          *first = JournalPort::Reservation();
        });
    *second = JournalPort::Reservation();
    co_await buffer.drain(env);
  });
}

TEST(JournalBuffer, AFailedWriteFailsEveryWaiter) {
  World world;
  JournalBuffer buffer({.ring_bytes = 8u << 20});
  world.run([&](Env& env) -> Task<void> {
    MemoryJournal journal(env);
    journal.fail_at = 1;
    JournalPort& port = buffer.attach(env);
    Scope scope(env);
    scope.spawn(&JournalBuffer::run, std::ref(env), std::ref(buffer), std::ref(journal));
    auto room = co_await port.reserve({}, 1000);
    CO_CHECK_OK(room);
    const Lsn first = port.append(*room, JournalRecordKind::change, as_span("first"));
    CO_CHECK_OK(co_await port.wait_durable(first.position));
    const Lsn second = port.append(*room, JournalRecordKind::change, as_span("second"));
    const Result<void> waited = co_await port.wait_durable(second.position);
    CO_CHECK(!waited && waited.error().is(JournalError::outcome_unknown));
    CO_CHECK_OK(co_await port.wait_durable(first.position));
    CO_CHECK((co_await port.reserve({}, 10)).error().is(JournalError::unavailable));
    co_await scope.join();
    *room = JournalPort::Reservation();
    co_await buffer.drain(env);
  });
}

using Numbers = std::vector<uint64_t>;

// Records that are worth a frame each, appended one by one, over a journal whose writes a test ends.
struct FrameRun {
  FrameRun(Env& env_in, JournalBuffer& buffer)
      : env(env_in), journal(env_in), port(buffer.attach(env_in)), scope(env_in) {
    scope.spawn(&JournalBuffer::run, std::ref(env), std::ref(buffer), std::ref(journal));
  }
  Task<void> reserve(uint64_t records) {
    auto reserved = co_await port.reserve({}, records * JournalBuffer::record_bytes(kBodyBytes));
    CO_CHECK_OK(reserved);
    room = std::move(*reserved);
  }
  static std::string body(uint64_t number) { return body_of(number, kBodyBytes); }
  static Task<void> append_one(FrameRun& self, uint64_t number) {
    const Lsn lsn = self.port.append(self.room, JournalRecordKind::change, as_span(body(number)));
    const Result<void> waited = co_await self.port.wait_durable(lsn.position);
    if (!waited) EXPECT_TRUE(waited.error().is(JournalError::outcome_unknown)) << waited.error().to_string();
    (waited ? self.durable : self.failed).push_back(number);
  }
  Task<void> append(uint64_t number) {
    scope.spawn(&FrameRun::append_one, std::ref(*this), number);
    co_await settle();
  }
  Task<void> end_write(uint64_t sequence, bool written = true) {
    journal.end_write(sequence, written);
    co_await settle();
  }
  // Until nothing goes on any more.
  Task<void> settle() { (void)co_await sleep_for(env, Duration::milliseconds(10)); }

  static constexpr size_t kBodyBytes = JournalBuffer::kFrameBytesWorth;
  Env& env;
  HeldJournal journal;
  JournalPort& port;
  Scope scope;
  JournalPort::Reservation room;
  Numbers durable, failed;  // in the order in which they were told
};

// Whatever the order in which the frames' writes end.
TEST(JournalBuffer, FramesInFlightAreAcknowledgedInOrder) {
  World world;
  JournalBuffer buffer({.ring_bytes = 8u << 20});
  world.run([&](Env& env) -> Task<void> {
    FrameRun run(env, buffer);
    co_await run.reserve(5);
    for (uint64_t number = 1; number <= 5; ++number) {
      co_await run.append(number);
      EXPECT_EQ(run.journal.taken(), std::min<uint64_t>(number, 4));
    }
    co_await run.end_write(3);
    EXPECT_EQ(run.durable, Numbers());
    co_await run.end_write(1);
    EXPECT_EQ(run.durable, Numbers({1}));
    EXPECT_EQ(run.journal.taken(), 5U);
    co_await run.end_write(2);
    EXPECT_EQ(run.durable, Numbers({1, 2, 3}));
    co_await run.end_write(5);
    EXPECT_EQ(run.durable, Numbers({1, 2, 3}));
    co_await run.end_write(4);
    EXPECT_EQ(run.durable, Numbers({1, 2, 3, 4, 5}));
    EXPECT_EQ(run.failed, Numbers());
    std::vector<std::string> bodies;
    for (const uint64_t number : run.durable) bodies.push_back(FrameRun::body(number));
    EXPECT_EQ(bodies_of(run.journal.frames), bodies);
    buffer.stop();
    co_await run.scope.join();
    co_await buffer.drain(env);
  });
}

// Also those whose own writes went well, and what had not been written yet. What is before it stays durable.
TEST(JournalBuffer, AFailedFrameFailsThoseBehindIt) {
  World world;
  JournalBuffer buffer({.ring_bytes = 8u << 20});
  world.run([&](Env& env) -> Task<void> {
    FrameRun run(env, buffer);
    co_await run.reserve(7);
    for (uint64_t number = 1; number <= 6; ++number) co_await run.append(number);
    co_await run.end_write(1);
    EXPECT_EQ(run.journal.taken(), 5U);
    co_await run.end_write(3, false);
    co_await run.end_write(4);
    EXPECT_EQ(run.durable, Numbers({1}));
    EXPECT_EQ(run.failed, Numbers());
    co_await run.end_write(2);
    EXPECT_EQ(run.durable, Numbers({1, 2}));
    std::ranges::sort(run.failed);
    EXPECT_EQ(run.failed, Numbers({3, 4, 5, 6}));
    co_await run.append(7);
    EXPECT_EQ(run.failed, Numbers({3, 4, 5, 6, 7}));
    EXPECT_EQ(run.journal.taken(), 5U);
    EXPECT_EQ(run.journal.frames.size(), 2U);
    co_await run.scope.join();
    run.room = {};
    co_await buffer.drain(env);
  });
}

// On a journal on disk, with a crash in the middle: what was told durable is read again, and the stream goes
// on in a new epoch behind it.
TEST(JournalBuffer, CrashAndGoOn) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    World world(seed);
    std::map<uint64_t, std::string> acknowledged;
    std::vector<std::string> seen;
    for (uint64_t epoch = 1; epoch <= 4; ++epoch) {
      if (epoch < 4) {
        world.node.crash_at(
            epoch % 2 == 0 ? sim::SimNode::CrashPoint::io_before : sim::SimNode::CrashPoint::io_after,
            20 + (seed * 7 + epoch * 13) % 60, sim::CrashKind::power_loss);
      }
      world.run([&](Env& env) -> Task<void> {
        CO_CHECK_OK(co_await ensure_directory(env, "/journal"));
        auto journal = co_await JournalFile::open(
            env, {.directory = "/journal", .segment_bytes = 256 * kKiB, .size_bytes_max = 4 * kMiB});
        CO_CHECK_OK(journal);
        JournalStreamReader reader(0);
        std::map<uint64_t, std::string> found;
        for (uint64_t next = 1; next < (*journal)->bounds().next_sequence;) {
          const auto frames = co_await (*journal)->read({}, next);
          CO_CHECK_OK(frames);
          for (const auto& frame : *frames) {
            next = frame.sequence + 1;
            CO_CHECK_OK(reader.feed(frame));
            for (;;) {
              const auto record = reader.next();
              CO_CHECK_OK(record);
              if (!*record) break;
              found.emplace((*record)->lsn.position, (*record)->body);
            }
          }
        }
        for (const auto& [position, body] : acknowledged)
          CO_CHECK(found.contains(position) && found[position] == body);
        CO_CHECK_OK(co_await (*journal)->seal({}, epoch));
        JournalBuffer buffer(
            {.position = reader.end(), .epoch = epoch, .ring_bytes = 8u << 20, .frame_bytes_max = 5000});
        {
          JournalPort& port = buffer.attach(env);
          Scope scope(env);
          scope.spawn(&JournalBuffer::run, std::ref(env), std::ref(buffer), std::ref(**journal));
          co_await append_many(env, buffer, port, 60, &acknowledged);
          buffer.stop();
          co_await scope.join();
          co_await buffer.drain(env);
        }
        CO_CHECK_OK(co_await (*journal)->close());
      });
    }
    EXPECT_GT(acknowledged.size(), 60U) << seed;
  }
}

}  // namespace
}  // namespace fb
