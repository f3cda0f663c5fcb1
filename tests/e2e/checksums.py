# SPDX-License-Identifier: Apache-2.0
"""The checksums of S3 in plain Python, for small inputs, and base64 as S3's headers carry them."""
import base64
import hashlib
import zlib


def _table(polynomial):
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (polynomial if byte & 1 else 0)
        table.append(byte)
    return table


_CRC32C = _table(0x82F63B78)
_CRC64NVME = _table(0x9A6C9329AC4BC9B5)


def _crc(table, bits, data):
    ones = (1 << bits) - 1
    crc = ones
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return (crc ^ ones).to_bytes(bits // 8, "big")


DIGESTS = {
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "crc32c": lambda data: _crc(_CRC32C, 32, data),
    "crc64nvme": lambda data: _crc(_CRC64NVME, 64, data),
    "sha1": lambda data: hashlib.sha1(data).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
}


def checksum(algorithm, data):
    return base64.b64encode(DIGESTS[algorithm](data)).decode()


def composite(algorithm, parts):
    """The checksum of a multipart object of type COMPOSITE."""
    return base64.b64encode(DIGESTS[algorithm](b"".join(map(DIGESTS[algorithm], parts)))).decode() + f"-{len(parts)}"


def content_md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def etag(data):
    return f'"{hashlib.md5(data).hexdigest()}"'


def multipart_etag(parts):
    return f'"{hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()}-{len(parts)}"'
