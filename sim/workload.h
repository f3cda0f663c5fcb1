// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "world.h"

namespace fb::sim {

// One S3 client: does one random operation after the other and holds every answer against the model. Only it
// writes its own keys; it reads and lists everybody's.
class Workload {
 public:
  Workload(World& world, Env& env, unsigned number);

  // Until the world stops.
  Task<void> run();
  // Reads and lists everything once. Retries until each read is answered.
  Task<void> verify();
  Task<void> create_bucket();
  Task<void> close() { return client_.close(); }

  // The keys of client `number`.
  static std::vector<std::string> keys_of(unsigned number);

 private:
  enum class Verdict : uint8_t { done, refused, unknown };
  struct Expect {
    std::initializer_list<int> done;
    std::initializer_list<int> refused = {};
  };

  Task<S3Answer> call(const char* operation, const S3Request& request);
  Verdict judge(const S3Answer& answer, const Expect& expect);
  bool late() const;
  // Tells the model how the write of `key` ended.
  void settle(KeyModel& key, Verdict verdict);
  void fail(const S3Answer& answer, std::string_view what);

  Task<void> put(const std::string& key);
  // A condition that holds, does not, or may: what it adds to a PUT, and which answers are right.
  struct PutCondition {
    std::string header;
    std::string value;
    bool may_hold = true;
    bool may_fail = false;
    int refused = 412;
  };
  PutCondition put_condition(const KeyModel& key);
  Task<bool> get(const std::string& key, bool head, bool range);
  Task<void> remove(const std::string& key);
  Task<void> remove_several();
  Task<void> copy(const std::string& from, const std::string& to);
  Task<bool> list();
  Task<void> multipart(const std::string& key);
  Task<void> rename_object();
  Task<void> rename_directory();
  // What a rename is to move; nothing else is written meanwhile.
  struct Move {
    std::string from;
    std::string to;
    ValuePtr value;
  };
  struct Renaming {
    std::vector<Move> moves;
    Instant server_started;  // of the process that may still carry it out
  };
  std::optional<std::vector<Move>> moves_between(const std::string& from, const std::string& to,
                                                 bool& occupied);
  Task<void> rename(S3Request request, std::vector<Move> moves);
  Task<void> look_at_unanswered_rename();
  Task<void> bucket_life();

  bool check_identity(const S3Answer& answer, const std::string& key, KeyModel::Observation& seen,
                      ValuePtr& value);
  struct Range {
    uint64_t first = 0;
    uint64_t last = 0;
    bool wanted = false;
  };
  void check_body(const S3Answer& answer, const std::string& key, const Value& value, const Range& range);
  struct Page;
  void check_page(const S3Answer& answer, const Page& page,
                  std::map<std::string, KeyModel::Observation>& seen);

  // None that a rename without an answer may still move.
  const std::string& own_key();
  const std::string& any_key();
  size_t random_size();
  std::string path_of(std::string_view key) const;

  World& world_;
  Env& env_;
  const unsigned number_;
  Random random_;
  S3Client client_;
  std::vector<std::string> own_;
  const char* operation_ = "";
  unsigned buckets_made_ = 0;
  unsigned renames_made_ = 0;
  std::optional<Renaming> unanswered_;
};

}  // namespace fb::sim
