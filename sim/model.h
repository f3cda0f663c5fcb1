// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

// What a store may answer, given what was asked of it and what it has answered.
//
// A key has one writer at a time and any number of readers. For each key the model keeps every value that a
// read may find:
//   possible   what the key may hold now; one value where its last write was acknowledged or its value was
//   seen pending    a write that has been asked for and not answered late       writes that were given up
//   without an answer; each may still happen while the process lives that got it
// "Absent" is a value. A read may give any value that was allowed at some moment while it ran; what it gives
// is from then on the only possible one, if nothing changed meanwhile: nothing once seen is taken back. A
// crash ends what is late: it has happened or never will.

namespace fb::sim {

// Contents are made from numbers, so that the model need not hold them.
struct Value {
  struct Piece {
    uint64_t seed;
    size_t size;
  };
  std::string id;  // sent as user metadata
  std::vector<Piece> pieces;
  std::string etag;  // without quotes

  size_t size() const;
  std::string content() const;
  // Bytes of one piece.
  static std::string piece_content(const Piece& piece);
  static std::shared_ptr<const Value> make(uint64_t seed, size_t size);
  static std::shared_ptr<const Value> make_multipart(uint64_t seed, const std::vector<size_t>& part_sizes);
};
using ValuePtr = std::shared_ptr<const Value>;  // null: absent

class KeyModel {
 public:
  // What a read that is under way may give.
  class Observation {
   public:
    explicit Observation(KeyModel& key);
    Observation(const Observation&) = delete;
    Observation& operator=(const Observation&) = delete;
    ~Observation();
    const std::set<ValuePtr>& allowed() const { return allowed_; }
    bool may_be_absent() const { return allowed_.contains(nullptr); }
    bool must_be_absent() const { return allowed_.size() == 1 && may_be_absent(); }
    // The allowed value of that id; nothing where there is none.
    std::optional<ValuePtr> with_id(const std::string& id) const;
    std::vector<ValuePtr> with_etag(const std::string& etag, size_t size) const;
    // The read gave `value`, which is allowed.
    void saw(const ValuePtr& value);

   private:
    friend class KeyModel;
    KeyModel& key_;
    uint64_t changes_;
    std::set<ValuePtr> allowed_;
  };

  void write_begins(const ValuePtr& value);
  void write_acknowledged();
  void write_refused();
  // No answer. `late`: the process that got it still lives.
  void write_unknown(bool late);
  void process_died();

  bool writing() const { return writing_; }
  // The one value that it must hold, if that is certain.
  std::optional<ValuePtr> certain() const;

 private:
  std::set<ValuePtr> possible_ = {nullptr};
  std::set<ValuePtr> late_;
  ValuePtr pending_;
  bool writing_ = false;
  bool pending_seen_ = false;  // the pending write has happened: a read gave its value
  uint64_t changes_ = 0;
  std::set<Observation*> observations_;
};

}  // namespace fb::sim
