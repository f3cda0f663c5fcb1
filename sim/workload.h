// SPDX-License-Identifier: Apache-2.0
#pragma once

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
  Task<bool> get(const std::string& key, bool head, bool range);
  Task<void> remove(const std::string& key);
  Task<void> remove_several();
  Task<void> copy(const std::string& from, const std::string& to);
  Task<bool> list();
  Task<void> multipart(const std::string& key);
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

  const std::string& own_key() { return own_[random_.below(own_.size())]; }
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
};

}  // namespace fb::sim
