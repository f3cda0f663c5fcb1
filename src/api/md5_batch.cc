// SPDX-License-Identifier: Apache-2.0
#include "api/md5_batch.h"

namespace fb::api {

void Md5Batch::Awaiter::await_suspend(std::coroutine_handle<> waiter) {
  waiter_ = waiter;
  leads_ = batch_.waiting_.empty();
  batch_.waiting_.push_back(this);
  if (leads_) batch_.env_.schedule(waiter);
}

s3::Md5Digest Md5Batch::Awaiter::await_resume() {
  if (leads_) batch_.run();
  return message_.digest;
}

void Md5Batch::run() {
  messages_.clear();
  for (const Awaiter* awaiter : waiting_) messages_.push_back(awaiter->message_);
  s3::md5_together(messages_);
  for (size_t i = 0; i < waiting_.size(); ++i) {
    waiting_[i]->message_.digest = messages_[i].digest;
    if (!waiting_[i]->leads_) env_.schedule(waiting_[i]->waiter_);
  }
  waiting_.clear();
}

}  // namespace fb::api
