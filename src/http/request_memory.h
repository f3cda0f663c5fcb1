// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/header_writer.h"
#include "base/poison.h"
#include "http/http_parser.h"
#include "http/input_memory.h"

namespace fb {

// A connection needs this only while a request is on its way: the parsed fields, the response's head, arrays
// for input that does not fit into the environment's buffers. Reused from request to request and from
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
  InputArrays arrays;
};

class RequestMemoryPool {
 public:
  explicit RequestMemoryPool(const HttpLimits& limits) : limits_(limits) {}
  std::unique_ptr<RequestMemory> take();
  void give_back(std::unique_ptr<RequestMemory> memory);

 private:
  // With AddressSanitizer none is kept: a view that outlived its request is then a use after free.
  static constexpr size_t kKeptMax = kPoisoning ? 0 : 256;
  const HttpLimits& limits_;
  std::vector<std::unique_ptr<RequestMemory>> free_;
};

}  // namespace fb
