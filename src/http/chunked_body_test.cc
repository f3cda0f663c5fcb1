// SPDX-License-Identifier: Apache-2.0
#include "http/chunked_body.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "http/error.h"

namespace fb {
namespace {

struct Decoded {
  std::string payload;
  bool done = false;
  size_t used = 0;
};

// Nothing if the framing is wrong.
std::optional<Decoded> decode(std::string_view text, size_t step) {
  ChunkedDecoder decoder;
  Decoded out;
  for (size_t end = std::min(step, text.size());; end = std::min(end + step, text.size())) {
    std::string_view input = text.substr(out.used, end - out.used);
    while (!input.empty() && !decoder.done()) {
      const auto consumed = decoder.consume(input);
      if (!consumed) {
        EXPECT_TRUE(consumed.error().is(HttpError::malformed));
        return std::nullopt;
      }
      input.remove_prefix(*consumed);
      out.used += *consumed;
      const size_t count = std::min<size_t>(decoder.payload_due(), input.size());
      out.payload.append(input.substr(0, count));
      decoder.take_payload(count);
      input.remove_prefix(count);
      out.used += count;
    }
    out.done = decoder.done();
    if (out.done || end == text.size()) return out;
  }
}

TEST(ChunkedDecoder, EverySplit) {
  const std::string text =
      "5\r\nhello\r\n6;name=value;other=\"q\"\r\n world\r\n00a\r\n0123456789\r\n0;x\r\nTrailer: a "
      "b\r\nB:\r\n\r\nNEXT";
  for (size_t step = 1; step <= text.size(); ++step) {
    const auto decoded = decode(text, step);
    ASSERT_TRUE(decoded) << step;
    EXPECT_EQ(decoded->payload, "hello world0123456789");
    EXPECT_TRUE(decoded->done);
    EXPECT_EQ(text.substr(decoded->used), "NEXT");
  }
}

TEST(ChunkedDecoder, Unfinished) {
  const std::string text = "5\r\nhello\r\n0\r\n\r\n";
  for (size_t size = 0; size < text.size(); ++size) {
    const auto decoded = decode(text.substr(0, size), 3);
    ASSERT_TRUE(decoded);
    EXPECT_FALSE(decoded->done);
  }
}

TEST(ChunkedDecoder, Refused) {
  using std::string_literals::operator""s;
  const std::string texts[] = {
      "\r\n",
      "g\r\n",
      ";\r\n",
      " 5\r\nhello\r\n",
      "5 \r\nhello\r\n",
      "5 5\r\nhello\r\n",
      "0x5\r\nhello\r\n",
      "-5\r\nhello\r\n",
      "+5\r\nhello\r\n",
      "5\nhello\r\n",
      "5\r\r\nhello",
      "5\r\nhello\n",
      "5\r\nhelloX\r\n",
      "5\r\nhello\r0\r\n",
      "5;a\0\r\nhello\r\n"s,
      "5;a\nb\r\nhello\r\n",
      "10000000000000000\r\n",
      "ffffffffffffffffff\r\n",
      "0\r\n\n",
      "0\r\nA\r\n\r\n",
      "0\r\nA : b\r\n\r\n",
      "0\r\n: b\r\n\r\n",
      "0\r\n A: b\r\n\r\n",
      "0\r\nA: b\n\r\n",
      "0\r\nA: b\r\r\n",
      "0\r\n\rX",
      "5;" + std::string(kChunkLineBytesMax, 'e') + "\r\nhello\r\n",
      std::string(kChunkLineBytesMax + 1, '0') + "\r\n",
      "0\r\nA: " + std::string(kTrailerBytesMax, 't') + "\r\n\r\n",
  };
  for (const std::string& text : texts) {
    for (const size_t step : {1, 2, 3, 100000}) EXPECT_FALSE(decode(text, step)) << text.substr(0, 40);
  }
}

}  // namespace
}  // namespace fb
