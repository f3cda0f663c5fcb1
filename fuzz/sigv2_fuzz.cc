// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "s3/auth/request_auth.h"
#include "s3/request/effective_head.h"
#include "sigv4_fuzz.h"

namespace {

using namespace fb::s3;

// Header fields as src/http lets them pass.
bool is_possible(const fb::HeaderField& field) {
  const auto printable = [](char c) { return c == '\t' || (static_cast<uint8_t>(c) >= 0x20 && c != '\x7f'); };
  return !field.name.empty() && std::ranges::all_of(field.name, printable) &&
         field.name.find(' ') == field.name.npos && std::ranges::all_of(field.value, printable);
}

}  // namespace

// The input is a request in the text form of TestRequest. With an authorization of version 2 added: the
// string to sign is a function of the request, a signature made with the secret verifies, one character of it
// changed does not, and the header fields that come of the query could stand on the wire.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  TestRequest sent(text);
  check_claims(sent.head());
  const EffectiveHead effective(sent.head(), sent.head().query);
  const size_t own = sent.head().headers.size();
  for (const fb::HeaderField& field : effective.head().headers.subspan(own)) FB_ASSERT(is_possible(field));

  TestRequest request(text);
  std::erase_if(request.fields(), [](const fb::HeaderField& field) {
    return !is_possible(field) || fb::ascii_iequals(field.name, "authorization") ||
           fb::ascii_iequals(field.name, "x-amz-date") || fb::ascii_iequals(field.name, "date");
  });
  request.add("Date", "Fri, 24 May 2013 00:00:00 GMT");
  request.add("Authorization", "AWS key:x");
  const auto claims = parse_auth(request.head());
  if (!claims || claims->version != SignatureVersion::v2) return 0;
  const auto to_sign = string_to_sign_v2(request.head(), *claims, std::nullopt);
  if (!to_sign) return 0;
  const std::string authorization = "AWS key:" + signature_v2(kFuzzSecret, *to_sign);
  request.fields().back().value = authorization;
  const auto auth = parse_auth(request.head());
  FB_ASSERT(auth.has_value());
  FB_ASSERT(string_to_sign_v2(request.head(), *auth, std::nullopt).value_or("") == *to_sign);
  FB_ASSERT(verify_v2(request.head(), *auth, kFuzzSecret, kFuzzTime, std::nullopt).has_value());
  std::string forged = authorization;
  forged[forged.size() - 3] = forged[forged.size() - 3] == 'A' ? 'B' : 'A';
  request.fields().back().value = forged;
  const auto other = parse_auth(request.head());
  FB_ASSERT(!verify_v2(request.head(), *other, kFuzzSecret, kFuzzTime, std::nullopt));
  return 0;
}
