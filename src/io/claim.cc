// SPDX-License-Identifier: Apache-2.0
#include "io/claim.h"

#include <utility>

#include "base/safeguard.h"
#include "io/error.h"
#include "io/io_awaiter.h"
#include "io/log.h"
#include "io/mount.h"

namespace fb {
namespace {

constexpr Duration kPoll = Duration::milliseconds(5);
constexpr Duration kLogAfter = Duration::seconds(1);

bool is_mounted(Env& env, const std::string& path) {
  return env.mounted() != nullptr && env.mounted()->holds(path);
}

VoidAwaiter lock_shared(Env& env, const File& file) {
  return VoidAwaiter(env, IoLimits{}, [&](IoRequest& request) {
    request.kind = IoKind::lock;
    request.flags = kSharedLock;
    request.handle = file.handle();
  });
}

// Waits until no write of a former process is under way any more.
Task<Result<void>> claim_path(Env& env, const File& file, const std::string& path) {
  const Instant began = env.now();
  ClaimOptions options;
  const Duration patience = options.patience;
  options.patience = kLogAfter;
  Result<void> claimed = co_await claim(env, file, options);
  if (claimed || !claimed.error().is(IoError::in_use)) co_return claimed;
  log(env, LogLevel::warn, "start: waiting for writes of a process that has ended", {{"file", path}});
  options.patience = patience;
  claimed = co_await claim(env, file, options);
  if (!claimed) {
    log(env, LogLevel::error,
        "start: a write of a process that has ended is still under way; see to the device, then start again",
        {{"file", path}});
  } else {
    log(env, LogLevel::info, "start: they have ended",
        {{"file", path}, {"waited_ms", static_cast<uint64_t>((env.now() - began).ns / 1'000'000)}});
  }
  co_return claimed;
}

}  // namespace

Task<Result<void>> claim(Env& env, const File& file, const ClaimOptions& options) {
  const Instant given_up = env.now() + options.patience;
  if (!FB_SAFEGUARD(claim_waits)) co_return Result<void>();
  for (;;) {
    Result<void> locked;
    if (options.shared) {
      locked = co_await lock_shared(env, file);
    } else {
      locked = co_await file.lock();
    }
    if (locked || !locked.error().is(IoError::in_use) || env.now() >= given_up) co_return locked;
    (void)co_await sleep_for(env, kPoll);
  }
}

Task<Result<File>> open_claimed(Env& env, const std::string& path, OpenOptions options) {
  FB_ASSERT(options.write);
  if (is_mounted(env, path)) co_return co_await File::open(env, path, options);
  const bool truncates = std::exchange(options.truncate, false);
  FB_CO_TRY(File file, co_await File::open(env, path, options));
  Result<void> ready = co_await claim_path(env, file, path);
  if (ready && truncates) ready = co_await file.truncate(0);
  if (ready) co_return file;
  (void)co_await file.close();
  co_return ready.error();
}

}  // namespace fb
