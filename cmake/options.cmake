# SPDX-License-Identifier: Apache-2.0
# Compiler, linker and sanitizer flags that hold for every target.
add_library(fb_options INTERFACE)
target_compile_options(fb_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wimplicit-fallthrough -Werror=return-type -Werror=unused-result
  -Wno-gnu-zero-variadic-macro-arguments -Wno-missing-field-initializers -Wno-c99-designator
  -fno-omit-frame-pointer -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
# x86-64-v3 (AVX2, 2013 onwards) is the oldest processor served; wider instructions are chosen at run time.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(fb_options INTERFACE -march=x86-64-v3 -mtune=generic)
endif()
target_include_directories(fb_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_link_options(fb_options INTERFACE -fuse-ld=lld-19)
if(FB_ASAN)
  target_compile_options(fb_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined)
  target_link_options(fb_options INTERFACE -fsanitize=address,undefined)
  target_compile_definitions(fb_options INTERFACE FB_SANITIZE=1)
endif()
if(FB_TSAN)
  target_compile_options(fb_options INTERFACE -fsanitize=thread)
  target_link_options(fb_options INTERFACE -fsanitize=thread)
  target_compile_definitions(fb_options INTERFACE FB_SANITIZE=1)
endif()
if(FB_FUZZ)
  target_compile_options(fb_options INTERFACE -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined)
  target_link_options(fb_options INTERFACE -fsanitize=address,undefined)
  target_compile_definitions(fb_options INTERFACE FB_SANITIZE=1)
endif()
# A test may leave a safeguard out (src/base/safeguard.h). Never in a build that serves users.
if(FB_SAFEGUARDS_SWITCHABLE)
  target_compile_definitions(fb_options INTERFACE FB_SAFEGUARDS_SWITCHABLE=1)
endif()
