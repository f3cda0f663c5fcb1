// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/header_writer.h"
#include "http/http_parser.h"

namespace fb {

// What a connection needs only while a request is on its way: the parsed fields, the response's head, an
// input buffer for what does not fit into the environment's. Reused from request to request and from
// connection to connection of one core, so that a steady state allocates nothing and an idle connection holds
// none of it.
struct RequestMemory {
  explicit RequestMemory(const HttpLimits& limits) : parser(fields, limits) {}
  RequestMemory(const RequestMemory&) = delete;

  std::array<HeaderField, kHeaderCountMax> fields;
  RequestParser parser;
  HeaderWriter headers;
  std::string response_head;
  std::vector<iovec> vectors;
  std::unique_ptr<std::byte[]> input;
  size_t input_capacity = 0;

  // Room for `capacity` bytes; the first `used` are kept. True where they moved.
  bool reserve_input(size_t capacity, size_t used);
};

class RequestMemoryPool {
 public:
  explicit RequestMemoryPool(const HttpLimits& limits) : limits_(limits) {}
  std::unique_ptr<RequestMemory> take();
  void give_back(std::unique_ptr<RequestMemory> memory);

 private:
  static constexpr size_t kKeptMax = 256;
  static constexpr size_t kInputBytesKeptMax = 32 * kKiB;
  const HttpLimits& limits_;
  std::vector<std::unique_ptr<RequestMemory>> free_;
};

}  // namespace fb
