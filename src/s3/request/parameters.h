// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "s3/request/requests.h"

// Which x-amz-* headers and query items each operation takes. Nothing that a client asks for may vanish: a
// parser of requests reads what it knows by name, so what it does not know has to be found here. Every
// request passes through check_parameters() before its operation runs, whatever its parser does:
//
//   an x-amz-* header that the operation takes      its parser's business
//   one of a function that is not built             passes with the value that is S3's default
//   (parameters.cc) one that is listed as harmless                  passes, for the reason given beside it
//   any other, and so any name unknown here         501 NotImplemented with <Header> and <Value>
//
//   a query item that the operation takes           its parser's business
//   a version, part, response-* or position of a    400 InvalidArgument
//   listing that the operation does not take
//   an item known here that is given twice          400 InvalidArgument
//   an unknown item, such as x-id                   passes; X-Amz-* are the signature's
//
// A header that stands for one value and is given twice with different ones is 400 InvalidArgument.
// tests/e2e/test_parameters.py sends every parameter that the AWS SDKs know to every operation.

namespace fb::s3 {

S3Result<void> check_parameters(const ParseContext& context);

// S3 takes so many bytes of header names and values; RequestHeaderSectionTooLarge beyond.
constexpr size_t kHeaderSectionSizeMax = 8 << 10;
S3Result<void> check_header_section(const RequestHead& head);

}  // namespace fb::s3
