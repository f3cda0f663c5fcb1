// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "http/chunked_body.h"
#include "http/http_parser.h"

// The first byte chooses what is parsed and in which steps the rest arrives. Whatever the bytes, nothing is
// read out of bounds, and the verdict and all that was parsed are the same in steps as in one piece.

namespace {

using namespace fb;

const HttpLimits kLimits{.request_line_bytes = 200, .header_section_bytes = 400, .header_count = 12};

std::string describe(const HeadParser& parser, ParseState state, std::span<const HeaderField> headers) {
  std::string text = std::to_string(static_cast<int>(state)) + " " + std::to_string(parser.error_status());
  if (state != ParseState::complete) return text;
  const MessageFraming& framing = parser.framing();
  text += " " + std::to_string(parser.head_size()) + (framing.chunked ? "c" : "-") +
          (framing.connection_close ? "x" : "-") + (framing.expect_continue ? "e" : "-") +
          (framing.content_length ? std::to_string(*framing.content_length) : "none");
  for (const HeaderField& field : headers) {
    for (const std::string_view part : {field.name, field.value}) {
      FB_ASSERT(part.find_first_of(std::string_view("\0\r\n", 3)) == std::string_view::npos);
      text.append("|").append(part);
    }
  }
  return text;
}

template <class Parser>
ParseState parse_in_steps(Parser& parser, std::string_view text, size_t step) {
  for (size_t size = std::min(step, text.size());; size = std::min(size + step, text.size())) {
    // A copy of just these bytes lets the sanitizer see a read beyond them; the parser then begins anew, as
    // it does where a connection's bytes move.
    const std::string copy(text.substr(0, size));
    std::array<HeaderField, kHeaderCountMax> fields;
    Parser fresh(fields, kLimits);
    const ParseState there = fresh.parse(copy);
    const ParseState state = parser.parse(text.substr(0, size));
    FB_ASSERT(there == state);
    if (state != ParseState::need_more || size == text.size()) return state;
  }
}

void fuzz_request(std::string_view text, size_t step) {
  std::array<HeaderField, kHeaderCountMax> fields;
  std::array<HeaderField, kHeaderCountMax> fields_in_steps;
  RequestParser whole(fields, kLimits);
  RequestParser stepped(fields_in_steps, kLimits);
  const ParseState state = whole.parse(text);
  const ParseState state_in_steps = parse_in_steps(stepped, text, step);
  FB_ASSERT(describe(whole, state, whole.head().headers) ==
            describe(stepped, state_in_steps, stepped.head().headers));
  if (state != ParseState::complete) return;
  const RequestHead& head = whole.head();
  FB_ASSERT(head.path.starts_with('/'));
  FB_ASSERT(!(whole.framing().chunked && whole.framing().content_length));
  FB_ASSERT(head.method == stepped.head().method);
  FB_ASSERT(head.target == stepped.head().target);
  FB_ASSERT(head.path == stepped.head().path);
  FB_ASSERT(head.query == stepped.head().query);
  const std::string moved(text.substr(0, whole.head_size()));
  const std::string before = describe(whole, state, head.headers);
  whole.rebase(text.data(), moved.data());
  FB_ASSERT(describe(whole, state, head.headers) == before);
}

void fuzz_response(std::string_view text, size_t step) {
  std::array<HeaderField, kHeaderCountMax> fields;
  std::array<HeaderField, kHeaderCountMax> fields_in_steps;
  ResponseParser whole(fields, kLimits);
  ResponseParser stepped(fields_in_steps, kLimits);
  const ParseState state = whole.parse(text);
  const ParseState state_in_steps = parse_in_steps(stepped, text, step);
  FB_ASSERT(describe(whole, state, whole.head().headers) ==
            describe(stepped, state_in_steps, stepped.head().headers));
  FB_ASSERT(state != ParseState::complete || whole.head().status == stepped.head().status);
}

std::string decode(std::string_view text, size_t step) {
  ChunkedDecoder decoder;
  std::string payload;
  size_t used = 0;
  for (size_t end = std::min(step, text.size());; end = std::min(end + step, text.size())) {
    while (used < end && !decoder.done()) {
      const auto consumed = decoder.consume(text.substr(used, end - used));
      if (!consumed) return payload + " refused";
      used += *consumed;
      const size_t count = std::min<uint64_t>(decoder.payload_due(), end - used);
      payload.append(text.substr(used, count));
      decoder.take_payload(count);
      used += count;
    }
    if (decoder.done()) return payload + " done " + std::to_string(used);
    if (end == text.size()) return payload + " unfinished";
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t step = 1 + data[0] / 4 % 32;
  switch (data[0] % 4) {
    case 0:
    case 1:
      fuzz_request(text, step);
      break;
    case 2:
      fuzz_response(text, step);
      break;
    default:
      FB_ASSERT(decode(text, text.size() + 1) == decode(text, step));
  }
  return 0;
}
