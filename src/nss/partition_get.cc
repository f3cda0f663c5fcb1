// SPDX-License-Identifier: Apache-2.0
// Gets. Those of one turn of the loop go through the tree together (art::Tree::get_many): while the memory
// that one look-up needs is on its way, the others go on.
#include "nss/partition_front.h"

namespace fb {
namespace {

constexpr size_t kKeyBytesMax = 1 + kTreeKeySizeMax;

}  // namespace

// One look-up. The first of a turn is resumed behind all that is ready now, and looks up for whoever has come
// by then; where nothing else is ready, there is nobody to wait for.
class PartitionFront::Lookup {
 public:
  Lookup(PartitionFront& front, Handle& handle, std::string_view key, std::string& value)
      : front_(front), handle_(handle), key_(key), value_(value) {}

  bool await_ready() {
    if (!front_.lookups_.empty() || front_.env_.has_ready()) return false;
    answer_ = handle_.tree.get(
        key_, [this](uint8_t value_flags, std::string_view value) { take(value_flags, value); });
    return true;
  }
  void await_suspend(std::coroutine_handle<> waiter) {
    leads_ = front_.lookups_.empty();
    waiter_ = waiter;
    front_.lookups_.push_back(this);
    if (leads_) front_.env_.schedule(waiter);
  }
  const art::Answer& await_resume() {
    if (leads_) front_.look_up_gathered();
    return answer_;
  }
  uint8_t flags() const { return flags_; }

 private:
  friend class PartitionFront;
  void take(uint8_t value_flags, std::string_view value) {
    flags_ = value_flags;
    value_.assign(value);
  }

  PartitionFront& front_;
  Handle& handle_;
  std::string_view key_;
  std::string& value_;
  uint8_t flags_ = 0;
  bool leads_ = false;
  art::Answer answer_;
  std::coroutine_handle<> waiter_;
};

void PartitionFront::look_up_gathered() {
  batch_.lookups.swap(lookups_);
  while (!batch_.lookups.empty()) {
    Handle& handle = batch_.lookups.front()->handle_;
    batch_.of_tree.clear();
    batch_.keys.clear();
    std::erase_if(batch_.lookups, [&](Lookup* lookup) {
      if (&lookup->handle_ != &handle) return false;
      batch_.of_tree.push_back(lookup);
      batch_.keys.push_back(lookup->key_);
      return true;
    });
    batch_.answers.assign(batch_.keys.size(), {});
    handle.tree.get_many(batch_.keys, batch_.answers,
                         [this](size_t index, uint8_t value_flags, std::string_view value) {
                           batch_.of_tree[index]->take(value_flags, value);
                         });
    for (size_t i = 0; i < batch_.of_tree.size(); ++i) {
      Lookup& lookup = *batch_.of_tree[i];
      lookup.answer_ = batch_.answers[i];
      if (!lookup.leads_) env_.schedule(lookup.waiter_);
    }
  }
}

Task<Result<Found>> PartitionFront::get(const CallContext& context, BucketId bucket, Space space,
                                        std::string_view key) {
  Found found;
  found.pin = pin();
  if (key.size() > kTreeKeySizeMax) co_return NamespaceError::not_found;
  HandleRef handle = find_open(bucket);
  if (handle == nullptr) {
    FB_CO_TRY(handle, co_await find_slowly(context, bucket));
  }
  char bytes[kKeyBytesMax];
  bytes[0] = static_cast<char>(space);
  std::memcpy(bytes + 1, key.data(), key.size());
  const std::string_view tree_key(bytes, 1 + key.size());
  uint8_t flags = 0;
  PageId gone;
  for (;;) {
    Lookup lookup(*this, *handle, tree_key, found.record);
    const art::Answer answer = co_await lookup;
    // A tree that went meanwhile has given its root's frame away.
    if (handle->state->state.load() == TreeState::State::dropped) {
      FB_CO_TRY(handle, co_await find_slowly(context, bucket));
      continue;
    }
    if (answer.outcome == art::Outcome::done || answer.outcome == art::Outcome::absent) {
      const Result<void> written =
          co_await ports_.journal->wait_durable(answer.lsn.position, context.deadline);
      if (!written) co_return from_journal(written.error());
      if (answer.outcome == art::Outcome::absent) co_return NamespaceError::not_found;
      flags = lookup.flags();
      break;
    }
    FB_CO_CHECK(co_await after(context, answer, gone));
    FB_CO_CHECK(co_await begin_again(context));
  }
  const std::optional<TreeValue> value = decode_value(flags, found.record);
  if (!value) co_return NamespaceError::damaged;
  found.version = value->version;
  if (!value->spilled) {
    found.record.erase(0, found.record.size() - value->record.size());
    co_return found;
  }
  const SpilledRecord spilled = *value->spilled;
  FB_CO_TRY(found.record, co_await read_spilled(context, spilled));
  co_return found;
}

Task<Result<std::string>> PartitionFront::read_spilled(const CallContext& context,
                                                       const SpilledRecord& spilled) {
  if (blobs_ == nullptr) co_return NamespaceError::unavailable;
  const Result<BlobData> data = co_await blobs_->get(context, {spilled.blob, 0}, 0, spilled.length_bytes);
  if (!data) {
    if (data.error().is(BlobError::timed_out)) co_return NamespaceError::timed_out;
    const bool lost = data.error().is(BlobError::damaged) || data.error().is(BlobError::not_found);
    co_return lost ? NamespaceError::damaged : NamespaceError::unavailable;
  }
  if (data->length != spilled.length_bytes) co_return NamespaceError::damaged;
  co_return std::string(reinterpret_cast<const char*>(data->bytes().data()), data->length);
}

}  // namespace fb
