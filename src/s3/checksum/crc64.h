// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "s3/encoding.h"

// CRC-64/NVME: polynomial 0xad93d23594c93659, reflected, all ones before and after. "123456789" gives
// 0xae8b14860a799888.

namespace fb::s3 {

// Continues `crc`, the value for the bytes so far (0 for none).
uint64_t crc64nvme(uint64_t crc, Bytes bytes);
// The same by table alone, for processors without carry-less multiplication, and to test the other against.
uint64_t crc64nvme_by_table(uint64_t crc, Bytes bytes);

}  // namespace fb::s3
