// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "s3/auth/signature_chain.h"
#include "s3/auth/sigv4.h"
#include "s3/encoding.h"

namespace fb::s3 {

// Writes aws-chunked bodies as ChunkedDecoder reads them: for this project's own clients and for tests.
class ChunkedEncoder {
 public:
  // Name in lower case and value; in the order of their names.
  using Trailer = std::pair<std::string_view, std::string_view>;

  // `chain` is for the signed kinds.
  explicit ChunkedEncoder(PayloadKind kind, const SignatureChain* chain = nullptr);
  // One chunk; `data` is not empty.
  void append_chunk(Bytes data, std::string& out);
  // The last chunk and, for the kinds that have one, the trailer.
  void append_end(std::span<const Trailer> trailers, std::string& out);

 private:
  void append_header(Bytes data, std::string& out);

  PayloadKind kind_;
  std::optional<SignatureChain> chain_;
};

}  // namespace fb::s3
