// SPDX-License-Identifier: Apache-2.0
#include "namespace_load.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>

#include "io/runtime.h"

namespace fb::bench {
namespace {

Task<void> put_client(PutLoad* load) {
  Value values;
  while (wall_now() < load->until) {
    const uint64_t number = load->next++;
    const Key key(number);
    const double begun = wall_now();
    const auto put =
        co_await load->front->apply({}, kBucket, {.key = key.view(), .record = values.of(number)});
    FB_ASSERT(put);
    if (load->micros != nullptr) load->micros->push_back(static_cast<float>((wall_now() - begun) * 1e6));
    ++load->done;
  }
}

}  // namespace

void with_store(const Settings::Options& options, unsigned cores, const Body& body) {
  NoBlobs blobs;
  unsigned others_done = 0;
  const Result<void> ran = run_cores(
      {.cores = cores, .pin = true, .on_notice = [](Env&, std::string_view) {}}, [&](Env& env) -> Task<void> {
        if (env.core() != 0) {
          while (!std::atomic_ref(others_done).load())
            (void)co_await sleep_for(env, Duration::milliseconds(20));
          co_return;
        }
        const double begun = wall_now();
        auto stores = co_await bss::MetadataStore::open(env, options.stores);
        FB_ASSERT(stores);
        auto partition = co_await Partition::open(env, options.engine, (*stores)->clients());
        FB_ASSERT(partition);
        auto front = co_await PartitionFront::open(env, **partition);
        Store store{env, **partition, *front, wall_now() - begun};
        front->use_blobs(blobs);
        (*partition)->start_background(blobs);
        co_await body(store);
        co_await front->close();
        FB_ASSERT(co_await (*partition)->close());
        FB_ASSERT(co_await (*stores)->close());
        std::atomic_ref(others_done).store(1);
      });
  FB_ASSERT(ran);
}

Task<void> warm(Store& store) {
  std::string after;
  for (;;) {
    const auto page = co_await store.front.list(
        {}, {.bucket = kBucket, .start_after = after, .entries_max = 10'000, .with_records = false});
    FB_ASSERT(page);
    if (!page->truncated) break;
    after = page->entries.back().key;
  }
}

Task<double> put_for(Store& store, PutLoad& load, unsigned clients, double seconds) {
  load.front = &store.front;
  load.done = 0;
  const double begun = wall_now();
  load.until = begun + seconds;
  Scope scope(store.env);
  for (unsigned i = 0; i < clients; ++i) scope.spawn(&put_client, &load);
  co_await scope.join();
  co_return static_cast<double>(load.done) / (wall_now() - begun);
}

Task<void> get_client(GetLoad* load) {
  while (wall_now() < load->until) {
    const Key& key = (*load->keys)[load->next++ % load->keys->size()];
    const double begun = wall_now();
    FB_ASSERT(co_await load->front->get({}, kBucket, Space::objects, key.view()));
    load->micros.push_back(static_cast<float>((wall_now() - begun) * 1e6));
    co_await yield(*load->env);
  }
}

uint64_t device_bytes() {
  std::ifstream file("/proc/self/io");
  std::string name;
  uint64_t value = 0;
  while (file >> name >> value) {
    if (name == "write_bytes:") return value;
  }
  return 0;
}

uint64_t fresh_numbers() { return static_cast<uint64_t>(time(nullptr)) << 28; }

void in_child(const std::function<void()>& run, bool may_be_killed) {
  std::fflush(stdout);
  const pid_t child = fork();
  FB_ASSERT(child >= 0);
  if (child == 0) {
    run();
    std::fflush(stdout);
    _exit(0);
  }
  int status = 0;
  FB_ASSERT(waitpid(child, &status, 0) == child);
  const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && may_be_killed;
  FB_ASSERT(killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0), status);
}

}  // namespace fb::bench
