# SPDX-License-Identifier: Apache-2.0
# fb_module(NAME [DEPS ...] [PRIVATE ...]): the folder's *.cc become library fb_NAME, its *_test.cc the test
# fb_NAME_test. Sources are found by pattern, so a new file needs no edit here.
include(GoogleTest)

function(fb_module name)
  cmake_parse_arguments(arg "" "" "DEPS;PRIVATE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  if(sources)
    add_library(fb_${name} STATIC ${sources})
    target_link_libraries(fb_${name} PUBLIC fb_options ${arg_DEPS} PRIVATE ${arg_PRIVATE})
  else()
    add_library(fb_${name} INTERFACE)
    target_link_libraries(fb_${name} INTERFACE fb_options ${arg_DEPS})
  endif()
  if(tests AND NOT FB_FUZZ)
    fb_test(fb_${name}_test ${tests})
    target_link_libraries(fb_${name}_test PRIVATE fb_${name} ${arg_PRIVATE})
  endif()
endfunction()

# One ctest entry per GoogleTest binary keeps GoogleTest's own closing summary visible.
function(fb_test target)
  add_executable(${target} ${ARGN})
  target_link_libraries(${target} PRIVATE fb_options GTest::gmock GTest::gtest GTest::gtest_main)
  target_precompile_headers(${target} PRIVATE <gtest/gtest.h>)
  add_test(NAME ${target} COMMAND ${target} --gtest_brief=1 WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
  set_tests_properties(${target} PROPERTIES LABELS unit TIMEOUT 1800)
endfunction()

# The same test again, with its clients' bytes cut anywhere (src/http/cut_stream.h).
function(fb_test_cut target)  # further arguments go to the test
  if(TARGET ${target})
    string(REGEX REPLACE "_test$" "_test_cut" name ${target})
    add_test(NAME ${name} COMMAND ${target} --gtest_brief=1 ${ARGN} WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
    set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 1800 ENVIRONMENT FB_TEST_SPLIT=each)
  endif()
endfunction()
