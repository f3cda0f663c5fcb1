#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The harness's own signer and checksums against the examples that AWS and the CRC catalogue publish."""
import datetime
import unittest

import checksums
import sigv4

WHEN = datetime.datetime(2013, 5, 24, tzinfo=datetime.timezone.utc)
HOST = "examplebucket.s3.amazonaws.com"


class SignerExamples(unittest.TestCase):
    def setUp(self):
        self.signer = sigv4.Signer("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")

    def signature(self, headers):
        return headers["authorization"].rsplit("=", 1)[1]

    def test_get_with_range(self):
        headers = self.signer.authorize("GET", "/test.txt", [], {"host": HOST, "range": "bytes=0-9"}, sigv4.EMPTY_HASH, WHEN)
        self.assertEqual("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", self.signature(headers))

    def test_query_is_sorted_and_empty_values_kept(self):
        headers = self.signer.authorize("GET", "/", [("lifecycle", "")], {"host": HOST}, sigv4.EMPTY_HASH, WHEN)
        self.assertEqual("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", self.signature(headers))

    def test_presigned(self):
        query = self.signer.presign("GET", "/test.txt", [], {"host": HOST}, 86400, WHEN)
        self.assertTrue(query.endswith("aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"), query)

    def test_signed_chunks(self):
        headers = {"host": "s3.amazonaws.com", "x-amz-storage-class": "REDUCED_REDUNDANCY", "content-encoding": "aws-chunked",
                   "x-amz-decoded-content-length": "66560", "content-length": "66824"}
        signed = self.signer.authorize("PUT", "/examplebucket/chunkObject.txt", [], headers, sigv4.SIGNED_CHUNKS, WHEN)
        seed = self.signature(signed)
        self.assertEqual("4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", seed)
        framed = self.signer.frame_signed([b"a" * 65536, b"a" * 1024], seed, WHEN)
        self.assertEqual(66824, len(framed))
        for signature in (b"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
                          b"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
                          b"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"):
            self.assertIn(signature, framed)


class Checksums(unittest.TestCase):
    def test_catalogue_values(self):
        self.assertEqual("cbf43926", checksums.DIGESTS["crc32"](b"123456789").hex())
        self.assertEqual("e3069283", checksums.DIGESTS["crc32c"](b"123456789").hex())
        self.assertEqual("ae8b14860a799888", checksums.DIGESTS["crc64nvme"](b"123456789").hex())


if __name__ == "__main__":
    unittest.main()
