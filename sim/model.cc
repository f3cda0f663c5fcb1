// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include <fmt/core.h>

#include <cstring>

#include "base/assert.h"
#include "io/sim/random.h"
#include "s3/checksum/hash.h"
#include "s3/response/etag.h"

namespace fb::sim {
namespace {

constexpr uint64_t kContentStream = 0xc0;

}  // namespace

size_t Value::size() const {
  size_t sum = 0;
  for (const Piece& piece : pieces) sum += piece.size;
  return sum;
}

std::string Value::piece_content(const Piece& piece) {
  Random random(piece.seed, kContentStream);
  std::string text(piece.size, '\0');
  for (size_t at = 0; at < text.size(); at += sizeof(uint64_t)) {
    const uint64_t word = random.next();
    std::memcpy(text.data() + at, &word, std::min(sizeof(word), text.size() - at));
  }
  return text;
}

std::string Value::content() const {
  std::string text;
  for (const Piece& piece : pieces) text += piece_content(piece);
  return text;
}

ValuePtr Value::make(uint64_t seed, size_t size) {
  auto value = std::make_shared<Value>();
  value->id = fmt::format("{:x}", seed);
  value->pieces = {{seed, size}};
  value->etag = s3::hex_encode(s3::md5(s3::as_bytes(value->content())));
  return value;
}

ValuePtr Value::make_multipart(uint64_t seed, const std::vector<size_t>& part_sizes) {
  auto value = std::make_shared<Value>();
  value->id = fmt::format("{:x}", seed);
  std::vector<s3::Md5Digest> digests;
  for (size_t i = 0; i < part_sizes.size(); ++i) {
    value->pieces.push_back({seed + (i + 1) * 0x10'0000'0000ULL, part_sizes[i]});
    digests.push_back(s3::md5(s3::as_bytes(piece_content(value->pieces.back()))));
  }
  value->etag = s3::Etag::of_parts(digests).text();
  return value;
}

KeyModel::Observation::Observation(KeyModel& key)
    : key_(key), changes_(key.changes_), allowed_(key.possible_) {
  allowed_.insert(key.late_.begin(), key.late_.end());
  if (key.writing_ && !key.pending_seen_) allowed_.insert(key.pending_);
  key.observations_.insert(this);
}

KeyModel::Observation::~Observation() { key_.observations_.erase(this); }

std::optional<ValuePtr> KeyModel::Observation::with_id(const std::string& id) const {
  for (const ValuePtr& value : allowed_) {
    if (value != nullptr && value->id == id) return value;
  }
  return std::nullopt;
}

std::vector<ValuePtr> KeyModel::Observation::with_etag(const std::string& etag, size_t size) const {
  std::vector<ValuePtr> found;
  for (const ValuePtr& value : allowed_) {
    if (value != nullptr && value->etag == etag && value->size() == size) found.push_back(value);
  }
  return found;
}

void KeyModel::Observation::saw(const ValuePtr& value) {
  FB_ASSERT(allowed_.contains(value));
  if (changes_ != key_.changes_) return;  // it may have been overtaken
  if (!key_.possible_.contains(value)) {
    // A write without an answer has happened.
    key_.late_.erase(value);
    if (key_.writing_ && key_.pending_ == value) key_.pending_seen_ = true;
  } else if (key_.possible_.size() == 1) {
    return;
  }
  key_.possible_ = {value};
  ++key_.changes_;
}

void KeyModel::write_begins(const ValuePtr& value) {
  FB_ASSERT(!writing_);
  writing_ = true;
  pending_seen_ = false;
  pending_ = value;
  ++changes_;
  for (Observation* observation : observations_) observation->allowed_.insert(value);
}

void KeyModel::write_acknowledged() {
  FB_ASSERT(writing_);
  writing_ = false;
  ++changes_;
  if (!pending_seen_) possible_ = {pending_};
}

void KeyModel::write_refused() {
  FB_ASSERT(writing_);
  writing_ = false;
  ++changes_;
}

void KeyModel::write_unknown(bool late) {
  FB_ASSERT(writing_);
  writing_ = false;
  ++changes_;
  if (pending_seen_) return;
  if (late) {
    late_.insert(pending_);
  } else {
    possible_.insert(pending_);
  }
}

void KeyModel::process_died() {
  ++changes_;
  possible_.insert(late_.begin(), late_.end());
  late_.clear();
}

std::optional<ValuePtr> KeyModel::certain() const {
  if (writing_ || possible_.size() != 1 || !late_.empty()) return std::nullopt;
  return *possible_.begin();
}

}  // namespace fb::sim
