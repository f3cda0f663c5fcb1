// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "sigv4_fuzz.h"

namespace {

// Names of other characters do not pass src/http.
bool is_token(std::string_view name) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::ranges::all_of(name, [&](char c) {
    return fb::ascii_is_alpha(c) || fb::ascii_is_digit(c) || kMarks.find(c) != kMarks.npos;
  });
}

bool is_set_by_signer(std::string_view name) {
  return fb::ascii_iequals(name, "authorization") || fb::ascii_iequals(name, "x-amz-date") ||
         fb::ascii_iequals(name, "x-amz-content-sha256");
}

}  // namespace

// The input is a request in the text form of TestRequest. What the signer signs, the verifier accepts.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fb::s3;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  TestRequest request(text);
  check_claims(request.head());

  TestRequest to_sign(text);
  std::erase_if(to_sign.fields(), [](const fb::HeaderField& field) {
    return !is_token(field.name) || is_set_by_signer(field.name);
  });
  to_sign.add("x-amz-date", "20130524T000000Z");
  to_sign.add("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
  const SigningIdentity identity{.access_key = "key", .secret = kFuzzSecret};
  const auto authorization = sign_request(to_sign.head(), identity);
  if (!authorization) return 0;
  to_sign.add("Authorization", *authorization);
  const auto auth = parse_auth(to_sign.head());
  if (!auth) return 0;  // a presigned query besides
  const auto verified = verify(to_sign.head(), *auth, SigningKey(kFuzzSecret, auth->credential), kFuzzTime);
  FB_ASSERT(verified.has_value(), verified.error().code());
  return 0;
}
