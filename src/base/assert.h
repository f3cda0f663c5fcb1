// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <type_traits>

// Assertions state what the program itself guarantees: pre- and postconditions, ownership, sizes, state
// changes. They stay on in release builds. Bytes from network or disk are checked by errors, never by
// assertions.
//
//   FB_ASSERT(offset <= size_, offset, size_);   prints the values of the further arguments and aborts
//   FB_DCHECK(tree.verify());                    only in debug and sanitizer builds: for costly checks

namespace fb {

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line,
                                   const std::string& values);

namespace detail {
template <class T>
void append_value(std::string& out, std::string_view& names, const T& value) {
  const auto comma = names.find(',');
  std::string_view name = names.substr(0, comma);
  names = comma == std::string_view::npos ? std::string_view() : names.substr(comma + 1);
  while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
  out.append(" ").append(name).append("=");
  if constexpr (std::is_enum_v<T>) {
    out.append(fmt::format("{}", static_cast<long long>(value)));
  } else if constexpr (fmt::is_formattable<T>::value) {
    out.append(fmt::format("{}", value));
  } else {
    out.append("?");
  }
}
template <class... Ts>
[[noreturn]] [[gnu::cold]] [[gnu::noinline]] void fail(const char* expression, const char* file, int line,
                                                       std::string_view names, const Ts&... values) {
  std::string text;
  (append_value(text, names, values), ...);
  assertion_failed(expression, file, line, text);
}
}  // namespace detail
}  // namespace fb

#define FB_ASSERT(condition, ...)                                                                  \
  do {                                                                                             \
    if (!(condition)) [[unlikely]] {                                                               \
      ::fb::detail::fail(#condition, __FILE__, __LINE__, #__VA_ARGS__ __VA_OPT__(, ) __VA_ARGS__); \
    }                                                                                              \
  } while (false)

#if !defined(NDEBUG) || defined(FB_SANITIZE)
#define FB_DCHECK(condition, ...) FB_ASSERT(condition __VA_OPT__(, ) __VA_ARGS__)
#else
#define FB_DCHECK(condition, ...) \
  do {                            \
  } while (false)
#endif
#define FB_UNREACHABLE() ::fb::detail::fail("unreachable", __FILE__, __LINE__, "")
