# SPDX-License-Identifier: Apache-2.0
"""The five forms of a payload: hashed, unsigned, signed chunks, signed chunks with trailer, unsigned with trailer."""
import os
import re
import time

import raw as http
import sigv4
from checksums import DIGESTS, checksum
from harness import MIB, S3Case

SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER = sigv4.SIGNED_CHUNKS, sigv4.SIGNED_CHUNKS_TRAILER, sigv4.UNSIGNED_TRAILER


class Payloads(S3Case):
    def setUp(self):
        super().setUp()
        self.path = f"/{self.bucket}/a"

    def assert_stored(self, answer, data):
        self.assertEqual(200, answer.status, answer)
        self.assertTrue(data == self.raw("GET", self.path).body)

    def assert_refused(self, answer, *expected):
        self.assertIn((answer.status, answer.code), expected)
        self.assertEqual([], self.keys())

    def test_unsigned_payload(self):
        data = os.urandom(100000)
        self.assert_stored(self.raw("PUT", self.path, body=data, payload_hash=sigv4.UNSIGNED), data)

    def test_signed_chunks(self):
        for sizes in ((), (1,), (65536, 1024), (65536,) * 20 + (7,), (3 * MIB,), (8192, 1, 1, 1, 8192, 5)):
            with self.subTest(sizes=sizes):
                pieces = [os.urandom(size) for size in sizes]
                self.assert_stored(self.raw.put_chunked(self.path, pieces, payload=SIGNED), b"".join(pieces))

    def test_trailers_with_each_checksum(self):
        pieces = [os.urandom(65536), os.urandom(100)]
        data = b"".join(pieces)
        for payload in (SIGNED_TRAILER, UNSIGNED_TRAILER):
            for algorithm in DIGESTS:
                with self.subTest(payload=payload, algorithm=algorithm):
                    trailer = (f"x-amz-checksum-{algorithm}", checksum(algorithm, data))
                    answer = self.raw.put_chunked(self.path, pieces, payload=payload, trailer=trailer)
                    self.assert_stored(answer, data)
                    head = self.raw("HEAD", self.path, headers={"x-amz-checksum-mode": "ENABLED"})
                    self.assertEqual(trailer[1], head.header(trailer[0]))

    def test_wrong_trailer_checksum(self):
        for payload in (SIGNED_TRAILER, UNSIGNED_TRAILER):
            answer = self.raw.put_chunked(self.path, [b"data"], payload=payload, trailer=("x-amz-checksum-crc32", checksum("crc32", b"other")))
            self.assert_refused(answer, (400, "BadDigest"))

    def test_missing_trailer(self):
        trailer = ("x-amz-checksum-crc32", checksum("crc32", b"data"))
        answer = self.raw.put_chunked(self.path, [b"data"], payload=UNSIGNED_TRAILER, trailer=trailer, spoil=lambda _: b"4\r\ndata\r\n0\r\n\r\n")
        self.assert_refused(answer, (400, "MalformedTrailerError"), (400, "IncompleteBody"), (400, "InvalidRequest"))

    def test_undeclared_trailer(self):
        trailer = ("x-amz-checksum-crc32", checksum("crc32", b"data"))
        answer = self.raw.put_chunked(self.path, [b"data"], payload=UNSIGNED_TRAILER, trailer=trailer,
                                      spoil=lambda framed: framed.replace(b"crc32:", b"sha1:"))
        self.assert_refused(answer, (400, "MalformedTrailerError"), (400, "InvalidRequest"))

    def test_wrong_trailer_signature(self):
        trailer = ("x-amz-checksum-crc32", checksum("crc32", b"data"))
        for spoil in (lambda framed: re.sub(rb"(trailer-signature:)[0-9a-f]{4}", rb"\g<1>0000", framed),
                      lambda framed: re.sub(rb"x-amz-trailer-signature:[0-9a-f]+\r\n", b"", framed)):
            answer = self.raw.put_chunked(self.path, [b"data"], payload=SIGNED_TRAILER, trailer=trailer, spoil=spoil)
            self.assert_refused(answer, (403, "SignatureDoesNotMatch"), (400, "MalformedTrailerError"), (400, "IncompleteBody"), (400, "InvalidRequest"))

    def test_wrong_chunk_signatures(self):
        pieces = [b"a" * 70000, b"b" * 70000, b"c" * 5]
        for index in range(4):
            def spoil(framed, index=index):
                found = list(re.finditer(rb"chunk-signature=([0-9a-f]{64})", framed))[index]
                other = b"0" if framed[found.start(1):found.start(1) + 1] != b"0" else b"1"
                return framed[:found.start(1)] + other + framed[found.start(1) + 1:]
            with self.subTest(index=index):
                self.assert_refused(self.raw.put_chunked(self.path, pieces, spoil=spoil), (403, "SignatureDoesNotMatch"))

    def test_changed_chunk_data(self):
        self.assert_refused(self.raw.put_chunked(self.path, [b"data" * 1000], spoil=lambda framed: framed.replace(b"datadata", b"datadatA", 1)),
                            (403, "SignatureDoesNotMatch"))

    def test_chunks_without_signatures(self):
        answer = self.raw.put_chunked(self.path, [b"data"], spoil=lambda _: b"4\r\ndata\r\n0\r\n\r\n")
        self.assert_refused(answer, (403, "SignatureDoesNotMatch"), (400, "IncompleteBody"), (400, "InvalidRequest"), (400, "InvalidChunk"))

    def test_damaged_framing(self):
        for spoil in (lambda framed: b"xyz" + framed, lambda framed: framed.replace(b"\r\ndata", b"\ndata"), lambda framed: framed[:-30],
                      lambda framed: framed.replace(b"4;", b"5;", 1), lambda framed: framed.replace(b"4;", b"3;", 1),
                      lambda framed: framed.replace(b"4;", b"FFFFFFFFFFFFFFFFFF;", 1), lambda framed: framed.replace(b"4;", b"-4;", 1),
                      lambda framed: framed + b"extra", lambda _: b"data", lambda framed: b"4" * 100000 + framed):
            answer = self.raw.put_chunked(self.path, [b"data"], spoil=spoil)
            self.assertIn(answer.status, (400, 403), answer)
            self.assertEqual([], self.keys())

    def test_decoded_length_must_agree(self):
        for length in (3, 5, 0):
            for payload, trailer in ((SIGNED, None), (UNSIGNED_TRAILER, ("x-amz-checksum-crc32", checksum("crc32", b"data")))):
                answer = self.raw.put_chunked(self.path, [b"data"], payload=payload, trailer=trailer, decoded_length=length)
                self.assert_refused(answer, (400, "IncompleteBody"), (400, "InvalidRequest"), (400, "UnexpectedContent"))

    def test_decoded_length_is_required(self):
        answer = self.raw("PUT", self.path, body=b"0\r\n\r\n", payload_hash=UNSIGNED_TRAILER, headers={"content-encoding": "aws-chunked"})
        self.assertIn((answer.status, answer.code), ((411, "MissingContentLength"), (400, "InvalidRequest"), (400, "InvalidArgument")))

    def test_aws_chunked_inside_http_chunks(self):
        data = os.urandom(200000)
        trailer = ("x-amz-checksum-crc64nvme", checksum("crc64nvme", data))
        framed = sigv4.frame_unsigned([data[:70000], data[70000:]], trailer)
        headers = {"host": self.endpoint.netloc, "content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(data)),
                   "x-amz-trailer": trailer[0], "transfer-encoding": "chunked"}
        signed = self.raw.signer.authorize("PUT", self.path, [], headers, UNSIGNED_TRAILER)
        chunked = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (framed[i:i + 10007] for i in range(0, len(framed), 10007)))
        self.assert_stored(self.raw.exchange(http.render("PUT", self.path, signed, chunked + b"0\r\n\r\n"), "PUT"), data)

    def test_framing_split_anywhere(self):
        pieces = [b"abc" * 10, b"d"]
        captured = []
        self.raw.put_chunked(self.path, pieces, spoil=lambda framed: captured.append(framed) or framed)
        size = len(captured[0])
        for cut in (*range(1, 90, 7), *range(size - 90, size, 11)):
            when = sigv4.now()
            headers = {"host": self.endpoint.netloc, "content-encoding": "aws-chunked", "x-amz-decoded-content-length": "31"}
            signed = self.raw.signer.authorize("PUT", self.path, [], headers, SIGNED, when)
            framed = self.raw.signer.frame_signed(pieces, signed["authorization"].rsplit("=", 1)[1], when)
            signed["content-length"] = str(len(framed))
            with self.raw.connect() as connection:
                connection.send(http.render("PUT", self.path, signed, framed[:cut]))
                time.sleep(0.01)
                connection.send(framed[cut:])
                self.assertEqual(200, connection.response("PUT").status, cut)
        self.assertEqual(b"".join(pieces), self.body("a"))

    def test_streaming_parts(self):
        upload = self.s3.create_multipart_upload(Bucket=self.bucket, Key="a")["UploadId"]
        data = b"part data"
        headers = {"host": self.endpoint.netloc, "content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(data)),
                   "x-amz-trailer": "x-amz-checksum-crc32"}
        framed = sigv4.frame_unsigned([data], ("x-amz-checksum-crc32", checksum("crc32", data)))
        query = [("partNumber", "1"), ("uploadId", upload)]
        signed = self.raw.signer.authorize("PUT", self.path, query, headers, UNSIGNED_TRAILER)
        signed["content-length"] = str(len(framed))
        target = f"{self.path}?partNumber=1&uploadId={sigv4.encode(upload)}"
        answer = self.raw.exchange(http.render("PUT", target, signed, framed), "PUT")
        self.assertEqual(200, answer.status, answer)
        self.assertEqual([len(data)], [part["Size"] for part in self.s3.list_parts(Bucket=self.bucket, Key="a", UploadId=upload)["Parts"]])


class PayloadsTls(Payloads):
    tls = True
