// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/assert.h"

// Errors are values. Each module has one enum of codes (`enum class IoError`, say) and, beside it, in
// namespace fb:
//     inline const ErrorDomain& error_domain(IoError) { static constexpr ErrorDomain kDomain{"io", ...};
//     return kDomain; } std::string_view to_string(IoError);
// An Error then is made from a code alone and remembers where. `src/s3/response/error.h` maps (domain, code)
// to S3's errors.
//
//   Result<File> open(...);            FB_TRY(File file, open(...));          returns the error to the caller
//   Task<Result<void>> sync(...);      FB_CO_CHECK(co_await file.sync());     the same inside a coroutine

namespace fb {

struct ErrorDomain {
  const char* name;                    // unique per module
  std::string_view (*code_name)(int);  // short lower-case text for a code
};

template <class E>
concept ErrorCode = std::is_enum_v<E> && requires(E code) {
  { error_domain(code) } -> std::same_as<const ErrorDomain&>;
};

class [[nodiscard]] Error {
 public:
  template <ErrorCode E>
  Error(E code, int os_errno = 0,
        std::source_location where = std::source_location::current())  // NOLINT: implicit
      : domain_(&error_domain(code)),
        file_(where.file_name()),
        line_(where.line()),
        code_(static_cast<int>(code)),
        os_errno_(os_errno) {}

  template <ErrorCode E>
  bool is(E code) const {
    return domain_ == &error_domain(code) && code_ == static_cast<int>(code);
  }
  const ErrorDomain& domain() const { return *domain_; }
  int code() const { return code_; }
  // The errno of the system call that failed, 0 if there was none.
  int os_errno() const { return os_errno_; }
  // "io.not_found (errno 2, No such file or directory) at src/io/file.cc:12"; for logs, not for users of S3.
  std::string to_string() const;

 private:
  const ErrorDomain* domain_;
  const char* file_;
  uint32_t line_;
  int code_;
  int os_errno_;
};

template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
  using Base = std::expected<T, Error>;

 public:
  using Base::Base;
  Result(Error error) : Base(std::unexpect, error) {}  // NOLINT: implicit
  template <ErrorCode E>
  Result(E code, std::source_location where = std::source_location::current())  // NOLINT: implicit
      : Base(std::unexpect, Error(code, 0, where)) {}
};

template <>
class [[nodiscard]] Result<void> : public std::expected<void, Error> {
  using Base = std::expected<void, Error>;

 public:
  using Base::Base;
  Result(Error error) : Base(std::unexpect, error) {}  // NOLINT: implicit
  template <ErrorCode E>
  Result(E code, std::source_location where = std::source_location::current())  // NOLINT: implicit
      : Base(std::unexpect, Error(code, 0, where)) {}
};

}  // namespace fb

#define FB_CONCAT_(a, b) a##b
#define FB_CONCAT(a, b) FB_CONCAT_(a, b)

#define FB_TRY_IMPL_(keyword, temporary, target, ...) \
  auto temporary = (__VA_ARGS__);                     \
  if (!temporary) [[unlikely]]                        \
    keyword temporary.error();                        \
  target = std::move(*temporary)
#define FB_CHECK_IMPL_(keyword, ...)                               \
  do {                                                             \
    if (auto fb_result_ = (__VA_ARGS__); !fb_result_) [[unlikely]] \
      keyword fb_result_.error();                                  \
  } while (false)

// FB_TRY(auto x, f()) declares or assigns; FB_CHECK(f()) is for Result<void>.
#define FB_TRY(target, ...) FB_TRY_IMPL_(return, FB_CONCAT(fb_try_, __COUNTER__), target, __VA_ARGS__)
#define FB_CO_TRY(target, ...) FB_TRY_IMPL_(co_return, FB_CONCAT(fb_try_, __COUNTER__), target, __VA_ARGS__)
#define FB_CHECK(...) FB_CHECK_IMPL_(return, __VA_ARGS__)
#define FB_CO_CHECK(...) FB_CHECK_IMPL_(co_return, __VA_ARGS__)
