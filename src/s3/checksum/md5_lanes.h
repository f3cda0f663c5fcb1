// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "s3/checksum/hash.h"

// MD5 of whole messages, several at a time. MD5 is one long chain of dependent steps, so a processor that
// hashes one message waits most of the time; eight messages in the lanes of a vector register take little
// longer than one, and sixteen little longer than eight.

namespace fb::s3 {

struct Md5Message {
  Bytes bytes;
  Md5Digest digest{};
};

// Fills in every digest. Best where the messages are of like sizes.
void md5_together(std::span<Md5Message> messages);

}  // namespace fb::s3
