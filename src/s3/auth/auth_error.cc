// SPDX-License-Identifier: Apache-2.0
#include "s3/auth/auth_error.h"

#include <span>
#include <string>

namespace fb::s3 {
namespace {

struct Answer {
  std::string_view name;
  S3Error error;
  std::string_view message;  // empty: the error's own
};

#define FB_S3_ANSWER(code, error, message) {#code, S3Error::error, message},
constexpr Answer kAuthAnswers[] = {FB_S3_AUTH_ERRORS(FB_S3_ANSWER)};
constexpr Answer kBodyAnswers[] = {FB_S3_BODY_ERRORS(FB_S3_ANSWER)};
#undef FB_S3_ANSWER
static_assert(std::size(kAuthAnswers) == kAuthErrorCount);
static_assert(std::size(kBodyAnswers) == kBodyErrorCount);

// A code that is none of these is a mistake of ours: refused, with a name that shows it.
constexpr Answer kUnknown = {"unknown", S3Error::AccessDenied, ""};

const Answer& answer_at(std::span<const Answer> answers, int code) {
  const auto index = static_cast<size_t>(code);  // a negative one is out of range, too
  return index < answers.size() ? answers[index] : kUnknown;
}

S3Failure failure_of(const Answer& answer) { return {answer.error, std::string(answer.message)}; }

}  // namespace

std::string_view to_string(AuthError error) { return answer_at(kAuthAnswers, static_cast<int>(error)).name; }
std::string_view to_string(BodyError error) { return answer_at(kBodyAnswers, static_cast<int>(error)).name; }

const ErrorDomain& error_domain(AuthError) {
  static constexpr ErrorDomain kDomain{
      "s3.auth", [](int code) -> std::string_view { return to_string(static_cast<AuthError>(code)); }};
  return kDomain;
}

const ErrorDomain& error_domain(BodyError) {
  static constexpr ErrorDomain kDomain{
      "s3.body", [](int code) -> std::string_view { return to_string(static_cast<BodyError>(code)); }};
  return kDomain;
}

std::optional<S3Failure> auth_failure(const Error& error) {
  if (&error.domain() == &error_domain(AuthError::expired))
    return failure_of(answer_at(kAuthAnswers, error.code()));
  if (&error.domain() == &error_domain(BodyError::incomplete))
    return failure_of(answer_at(kBodyAnswers, error.code()));
  return std::nullopt;
}

}  // namespace fb::s3
