// SPDX-License-Identifier: Apache-2.0
#include "server/nss_role.h"

#include <fmt/format.h>

#include "io/log.h"

namespace fb {

NssRole::NssRole(const ServerSettings& settings) : settings_(settings), fronts_(settings.threads) {}

Task<ConfigResult<void>> NssRole::open(Env& env, const MetadataClients& clients,
                                       const std::string& directory) {
  const Partition::Options options{.memory_bytes = settings_.namespace_memory_bytes,
                                   .sweep_always = settings_.has_tier()};
  auto opened = co_await Partition::open(env, options, clients);
  if (!opened) {
    co_return std::unexpected(
        fmt::format("{}: the namespace could not be opened: {}; the log says where it is damaged", directory,
                    opened.error().to_string()));
  }
  partition_ = std::move(*opened);
  co_return ConfigResult<void>();
}

Task<void> NssRole::start(Env& env, BlobClient& blobs) {
  std::unique_ptr<PartitionFront>& front = fronts_[env.core()];
  front = co_await PartitionFront::open(env, *partition_);
  front->use_blobs(blobs);
}

Task<void> NssRole::close(Env& env) {
  if (fronts_[env.core()]) co_await fronts_[env.core()]->close();
}

Task<void> NssRole::close_partition(Env& env, bool unnamed_left) {
  if (!partition_) co_return;
  if (unnamed_left) partition_->leave_to_sweep();
  if (auto closed = co_await partition_->close(); !closed) {
    log(env, LogLevel::error, "the namespace did not close in order; the next start replays its journal",
        {{"reason", closed.error().to_string()}});
  }
}

void NssRole::release(Env& env) {
  fronts_[env.core()].reset();
  if (env.core() == 0) partition_.reset();
}

}  // namespace fb
