// SPDX-License-Identifier: Apache-2.0
#include "s3/request/chunked_encoder.h"

#include <fmt/format.h>

#include <iterator>

#include "base/assert.h"

namespace fb::s3 {

ChunkedEncoder::ChunkedEncoder(PayloadKind kind, const SignatureChain* chain) : kind_(kind) {
  FB_ASSERT(is_streaming(kind), kind);
  if (kind == PayloadKind::streaming_unsigned_trailer) return;
  FB_ASSERT(chain != nullptr);
  chain_ = *chain;
}

void ChunkedEncoder::append_header(Bytes data, std::string& out) {
  fmt::format_to(std::back_inserter(out), "{:x}", data.size());
  if (chain_) out.append(";chunk-signature=").append(as_view(chain_->chunk(sha256(data))));
  out.append("\r\n");
}

void ChunkedEncoder::append_chunk(Bytes data, std::string& out) {
  FB_ASSERT(!data.empty());
  append_header(data, out);
  out.append(reinterpret_cast<const char*>(data.data()), data.size());
  out.append("\r\n");
}

void ChunkedEncoder::append_end(std::span<const Trailer> trailers, std::string& out) {
  append_header({}, out);
  if (kind_ == PayloadKind::streaming_signed) {
    FB_ASSERT(trailers.empty());
  } else {
    Sha256 hash;
    for (const auto& [name, value] : trailers) {
      fmt::format_to(std::back_inserter(out), "{}:{}\r\n", name, value);
      hash.update(fmt::format("{}:{}\n", name, value));
    }
    if (chain_)
      out.append("x-amz-trailer-signature:").append(as_view(chain_->trailer(hash.finish()))).append("\r\n");
  }
  out.append("\r\n");
}

}  // namespace fb::s3
