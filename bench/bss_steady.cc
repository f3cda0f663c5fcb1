// SPDX-License-Identifier: Apache-2.0
// Steady state: a store 80 % full, of which blobs of 4 KiB are overwritten at random for long, uniformly or
// four fifths of the time a fifth of them. Beside it the same overwrites in the store while it was a fifth
// full and compaction had nothing to do. And what one small object costs.
#include <bit>
#include <cmath>

#include "bss_load.h"
#include "nss/partition.h"

namespace fb::bench {
namespace {

constexpr unsigned kFreshPercent = 20;
constexpr unsigned kFullPercent = 80;
constexpr double kFreshShare = 0.1;  // of the capacity: overwritten while fresh
constexpr uint32_t kTinyBytes = 100;
constexpr uint64_t kTinyCount = 100'000;

// Latencies in buckets of about 4 %.
class Latencies {
 public:
  void add(double seconds) {
    const double at = std::max(0.0, std::log2(seconds * 1e6) * kBucketsPerOctave);
    ++counts_[std::min(counts_.size() - 1, static_cast<size_t>(at))];
    ++total_;
  }
  // Milliseconds.
  double percentile(double share) const {
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (static_cast<double>(seen) >= share * static_cast<double>(total_))
        return std::exp2(static_cast<double>(i + 1) / kBucketsPerOctave) / 1000;
    }
    return 0;
  }

 private:
  static constexpr double kBucketsPerOctave = 16;
  std::array<uint64_t, 512> counts_{};
  uint64_t total_ = 0;
};

struct Phase {
  double seconds = 0;
  uint64_t overwrites = 0;
  uint64_t device_bytes = 0;
  uint64_t compacted_bytes = 0;
  uint64_t checkpoint_bytes = 0;
  double cpu_micros = 0;
  Latencies puts;
  double rate() const { return static_cast<double>(overwrites) / seconds; }
  double a_user_byte(uint64_t bytes) const {
    return static_cast<double>(bytes) / (static_cast<double>(overwrites) * kSmallBytes);
  }
  double amplification() const { return a_user_byte(device_bytes); }
};

class Overwrites {
 public:
  Overwrites(Load& load, bss::BlobFront& front, bool skewed) : load_(load), front_(front), skewed_(skewed) {}

  Task<Phase> run(double seconds, uint64_t count_max) {
    phase_ = {};
    count_max_ = count_max;
    const double begun = wall_now();
    const double cpu = cpu_seconds();
    const uint64_t written = load_.env().stats().file_write_bytes;
    const bss::BlobStats before = front_.stats();
    end_ = begun + seconds;
    Scope scope(load_.env());
    writing_ = kSmallWidth;
    for (unsigned i = 0; i < kSmallWidth; ++i) scope.spawn(&Overwrites::worker, std::ref(*this), i);
    scope.spawn(&Overwrites::eraser, std::ref(*this));
    co_await scope.join();
    phase_.seconds = wall_now() - begun;
    phase_.cpu_micros = (cpu_seconds() - cpu) * 1e6 / static_cast<double>(phase_.overwrites);
    phase_.device_bytes = load_.env().stats().file_write_bytes - written;
    const bss::BlobStats& after = front_.stats();
    phase_.compacted_bytes = after.compacted_bytes - before.compacted_bytes;
    phase_.checkpoint_bytes = after.checkpoint_bytes - before.checkpoint_bytes;
    co_return phase_;
  }

 private:
  size_t victim() {
    random_ = mix(random_ + 1);
    const size_t count = load_.keys.size();
    const size_t hot = count / 5;
    if (!skewed_) return random_ % count;
    const uint64_t place = random_ >> 8;
    return random_ % 256 < 205 ? place % hot : hot + place % (count - hot);
  }
  static Task<void> worker(Overwrites& self, unsigned number) {
    const Buffer buffer = co_await self.load_.env().buffers().allocate(kSmallBytes);
    for (uint32_t at = 0; at < kSmallBytes; at += 8) {
      const uint64_t word = mix(uint64_t{number} << 32 | at);
      std::memcpy(buffer.data() + at, &word, sizeof(word));
    }
    while (self.phase_.overwrites < self.count_max_ && wall_now() < self.end_) {
      ++self.phase_.overwrites;
      const BlobKey key{.id = self.front_.new_blob()};
      std::memcpy(buffer.data(), &key.id.number, sizeof(key.id.number));
      const double begun = wall_now();
      const BlobWrite write{.id = key.id,
                            .buffer = buffer,
                            .length = kSmallBytes,
                            .checksum = blob_checksum(buffer.span(0, kSmallBytes))};
      if (const auto put = co_await self.front_.put({}, write); !put)
        give_up("put: " + put.error().to_string());
      self.phase_.puts.add(wall_now() - begun);
      const BlobKey old = std::exchange(self.load_.keys[self.victim()], key);
      self.replaced_.push_back({.id = old.id, .block_count = 1});
    }
    --self.writing_;
  }
  // As the namespace's worker frees what its ledger holds.
  static Task<void> eraser(Overwrites& self) {
    while (self.writing_ > 0 || !self.replaced_.empty()) {
      const std::vector<BlobExtent> round = std::exchange(self.replaced_, {});
      for (std::span<const BlobExtent> rest = round; !rest.empty();) {
        const auto call = rest.first(std::min(rest.size(), Partition::kFreeBatchMax));
        if (const auto erased = co_await self.front_.erase({}, call); !erased)
          give_up("erase: " + erased.error().to_string());
        rest = rest.subspan(call.size());
      }
      if (self.writing_ > 0) (void)co_await sleep_for(self.load_.env(), Partition::Options{}.free_delay);
    }
  }

  Load& load_;
  bss::BlobFront& front_;
  const bool skewed_;
  uint64_t random_ = 1;
  uint64_t count_max_ = 0;
  double end_ = 0;
  Phase phase_;
  unsigned writing_ = 0;
  std::vector<BlobExtent> replaced_;  // and not erased yet
};

Task<void> fill_to(Load& load, bss::BlobFront& front, unsigned percent) {
  const BlobSpace space = (co_await front.space({})).value();
  const uint64_t most = space.available_bytes + space.used_bytes;
  const uint64_t wanted = most / 100 * percent;
  if (wanted > space.used_bytes)
    (void)co_await load.run(&Load::put, kSmallWidth, kSmallBytes, 3600,
                            (wanted - space.used_bytes) / kSmallBytes);
}

}  // namespace

void measure_steady(const Settings& settings, bool skewed) {
  Phase fresh;
  Phase steady;
  double overwritten = 0;
  with_store(settings, Durability::strict, 64 * kMiB, [&](Load& load, bss::BlobFront& front) -> Task<void> {
    Overwrites overwrites(load, front, skewed);
    co_await fill_to(load, front, kFreshPercent);
    const auto fresh_count =
        static_cast<uint64_t>(kFreshShare * static_cast<double>(settings.capacity_bytes()) / kSmallBytes);
    fresh = co_await overwrites.run(settings.steady_seconds / 4, fresh_count);
    co_await fill_to(load, front, kFullPercent);
    // What comes first only brings it to where it stays.
    const Phase settling = co_await overwrites.run(settings.steady_seconds / 2, UINT64_MAX);
    steady = co_await overwrites.run(settings.steady_seconds / 2, UINT64_MAX);
    overwritten = static_cast<double>(settling.overwrites) / static_cast<double>(load.keys.size());
  });
  const std::string name = skewed ? "overwrites at 80 %, 80/20" : "overwrites at 80 %, uniform";
  print_figure(name, steady.rate(), "/s", {{"at 20 %", fresh.rate()}},
               fmt::format("target 0.5; begun when {:.2f} of the store had been overwritten", overwritten));
  print_figure(name + ": p99 of puts", steady.puts.percentile(0.99), "ms",
               {{"at 20 %", fresh.puts.percentile(0.99)}}, "target at most 5");
  print_figure(name + ": p99.9 of puts", steady.puts.percentile(0.999), "ms",
               {{"at 20 %", fresh.puts.percentile(0.999)}}, "compaction all the time");
  print_figure(
      name + ": write amplification", steady.amplification(), "device bytes a user byte", {},
      fmt::format("target at most {}; {:.2f} of it moved by compaction, {:.2f} checkpoints; {:.2f} at 20 %",
                  skewed ? 2.0 : 3.0, steady.a_user_byte(steady.compacted_bytes),
                  steady.a_user_byte(steady.checkpoint_bytes), fresh.amplification()));
  print_figure(name + ": CPU time", steady.cpu_micros, "us/overwrite", {{"at 20 %", fresh.cpu_micros}});
}

void measure_space(const Settings& settings) {
  for (const auto& [bytes, count] : {std::pair{kTinyBytes, kTinyCount}, {kSmallBytes, kTinyCount}}) {
    double space = 0;
    double device = 0;
    with_store(settings, Durability::strict, 0, [&](Load& load, bss::BlobFront& front) -> Task<void> {
      const uint64_t before = load.env().stats().file_write_bytes;
      (void)co_await load.run(&Load::put, kSmallWidth, bytes, 3600, count);
      const bss::BlobUsage usage = front.usage_here();
      space = static_cast<double>(usage.live_bytes + usage.garbage_bytes) / static_cast<double>(count);
      device = static_cast<double>(load.env().stats().file_write_bytes - before) / static_cast<double>(count);
    });
    print_figure(fmt::format("space of an object of {} bytes", bytes), space, "bytes");
    print_figure(fmt::format("written for an object of {} bytes", bytes), device, "bytes", {},
                 fmt::format("{:.2f} a user byte; zeros ahead and checkpoints included", device / bytes));
  }
}

}  // namespace fb::bench
