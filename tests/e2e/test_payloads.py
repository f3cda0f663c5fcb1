# SPDX-License-Identifier: Apache-2.0
"""The five forms of a payload: hashed, unsigned, signed chunks, signed chunks with trailer, unsigned with trailer."""
import itertools
import os
import re
import time

import raw as http
import sigv4
from checksums import DIGESTS, checksum, content_md5
from harness import MIB, ROOT, S3Case

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
        self.assert_refused(answer, (400, "MalformedTrailerError"))

    def test_malformed_trailer_value(self):
        for payload in (SIGNED_TRAILER, UNSIGNED_TRAILER):
            answer = self.raw.put_chunked(self.path, [b"data"], payload=payload, trailer=("x-amz-checksum-crc32", "AAAA"))
            self.assert_refused(answer, (400, "InvalidRequest"))
            self.assertEqual("Value for x-amz-checksum-crc32 trailing header is invalid.", answer.xml.findtext("Message"))

    def test_undeclared_trailer(self):
        trailer = ("x-amz-checksum-crc32", checksum("crc32", b"data"))
        answer = self.raw.put_chunked(self.path, [b"data"], payload=UNSIGNED_TRAILER, trailer=trailer,
                                      spoil=lambda framed: framed.replace(b"crc32:", b"sha1:"))
        self.assert_refused(answer, (400, "MalformedTrailerError"))

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
        self.assert_refused(answer, (400, "IncompleteBody"))

    def test_damaged_framing(self):
        for spoil in (lambda framed: b"xyz" + framed, lambda framed: framed.replace(b"\r\ndata", b"\ndata"), lambda framed: framed[:-30],
                      lambda framed: framed.replace(b"4;", b"5;", 1), lambda framed: framed.replace(b"4;", b"3;", 1),
                      lambda framed: framed.replace(b"4;", b"FFFFFFFFFFFFFFFFFF;", 1), lambda framed: framed.replace(b"4;", b"-4;", 1),
                      lambda framed: framed + b"extra", lambda _: b"data", lambda framed: b"4" * 100000 + framed):
            answer = self.raw.put_chunked(self.path, [b"data"], spoil=spoil)
            self.assert_refused(answer, (400, "IncompleteBody"), (403, "SignatureDoesNotMatch"))

    def test_decoded_length_must_agree(self):
        for length in (3, 5, 0):
            for payload, trailer in ((SIGNED, None), (UNSIGNED_TRAILER, ("x-amz-checksum-crc32", checksum("crc32", b"data")))):
                answer = self.raw.put_chunked(self.path, [b"data"], payload=payload, trailer=trailer, decoded_length=length)
                self.assert_refused(answer, (400, "IncompleteBody"))

    def test_decoded_length_is_required(self):
        answer = self.raw("PUT", self.path, body=b"0\r\n\r\n", payload_hash=UNSIGNED_TRAILER, headers={"content-encoding": "aws-chunked"})
        self.assertEqual((411, "MissingContentLength"), (answer.status, answer.code))

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


CRC32, SHA1 = "x-amz-checksum-crc32", "x-amz-checksum-sha1"
FORMS = ("hash", sigv4.UNSIGNED, SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER)


def documented():
    """The answers of docs/payloads.md: status and code by the number of the rule."""
    with open(os.path.join(ROOT, "docs", "payloads.md")) as page:
        rows = (re.match(r"\| (\d+) \|.*?\| (\d{3}) (\w+) \|", line) for line in page)
        return {int(row[1]): (int(row[2]), row[3]) for row in rows if row}


class PayloadMatrix(S3Case):
    """What may be said of a body, and what may not, by the table of docs/payloads.md."""

    def setUp(self):
        super().setUp()
        self.path = f"/{self.bucket}/a"

    def deliver(self, form, body, headers=None, trailer=None, http_chunked=False, twice=None, query=(), method="PUT", path=None):
        """A signed request in that form. `trailer` is a (name, value); `twice` names a header that is sent two times."""
        path, when = path or self.path, sigv4.now()
        said = {"host": self.endpoint.netloc}
        if form.startswith("STREAMING"):
            said |= {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(body))}
        if trailer:
            said["x-amz-trailer"] = trailer[0]
        said = {name: value for name, value in (said | (headers or {})).items() if value is not None}
        value = said.get(twice)
        if twice:
            said[twice] = f"{value},{value}"
        signed = self.raw.signer.authorize(method, path, list(query), said, sigv4.sha256(body) if form == "hash" else form, when)
        pieces = [body] if body else []
        if form == UNSIGNED_TRAILER:
            body = sigv4.frame_unsigned(pieces, trailer)
        elif form.startswith("STREAMING"):
            body = self.raw.signer.frame_signed(pieces, signed["authorization"].rsplit("=", 1)[1], when,
                                                trailer if form == SIGNED_TRAILER else None)
            if form == SIGNED_TRAILER and not trailer:
                text = "\n".join(["AWS4-HMAC-SHA256-TRAILER", f"{when:%Y%m%dT%H%M%SZ}", self.raw.signer.scope(when),
                                  re.findall(rb"chunk-signature=(\w+)", body)[-1].decode(), sigv4.EMPTY_HASH])
                body = body[:-2] + f"x-amz-trailer-signature:{self.raw.signer.sign(text, when)}\r\n\r\n".encode()
        if http_chunked:
            signed["transfer-encoding"] = "chunked"
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[i:i + 4099] for i in range(0, len(body), 4099)))
            body += b"0\r\n\r\n"
        else:
            signed["content-length"] = str(len(body))
        if query:
            path += "?" + "&".join(f"{name}={sigv4.encode(item)}" for name, item in query)
        request = http.render(method, path, signed, body)
        if twice:
            request = request.replace(f"{twice}: {value},{value}\r\n".encode(), f"{twice}: {value}\r\n{twice}: {value}\r\n".encode())
        return self.raw.exchange(request, method)

    def upload(self, **headers):
        created = self.raw("POST", self.path, query=[("uploads", None)], headers={name.replace("_", "-"): text for name, text in headers.items()})
        return created.xml.findtext("UploadId")

    def test_what_is_stored(self):
        ways = [(None, None), ("crc32", "header"), ("sha256", "header"), ("crc64nvme", "header"), ("crc32c", "trailer")]
        for form, (algorithm, place), body, http_chunked in itertools.product(FORMS, ways, (b"", b"body", os.urandom(70000)), (False, True)):
            if place == "trailer" and not form.endswith("TRAILER"):
                continue
            if algorithm == "crc32c" and len(body) > 4:
                body = body[:5000]  # the sums here are made in Python
            with self.subTest(form=form, algorithm=algorithm, place=place, size=len(body), http_chunked=http_chunked):
                expected = algorithm or "crc64nvme"
                name, value = f"x-amz-checksum-{expected}", checksum(expected, body)
                headers = {"content-md5": content_md5(body)} | ({name: value, "x-amz-sdk-checksum-algorithm": algorithm} if place == "header" else {})
                answer = self.deliver(form, body, headers, (name, value) if place == "trailer" else None, http_chunked)
                self.assertEqual((200, value, "FULL_OBJECT"), (answer.status, answer.header(name), answer.header("x-amz-checksum-type")), answer)
                got = self.raw("GET", self.path, headers={"x-amz-checksum-mode": "ENABLED"})
                self.assertTrue(body == got.body)
                self.assertEqual((value, "FULL_OBJECT", None),
                                 (got.header(name), got.header("x-amz-checksum-type"), got.header("content-encoding")))

    def refusals(self):
        """(rule, forms, what to deliver)"""
        x, unframed, framed, trailers = b"x", FORMS[:2], FORMS[2:], FORMS[3:]
        crc32, sha1 = checksum("crc32", x), checksum("sha1", x)
        yield 1, FORMS, {"headers": {"content-md5": content_md5(x)}, "twice": "content-md5"}
        yield 1, FORMS, {"headers": {CRC32: crc32}, "twice": CRC32}
        yield 1, FORMS, {"headers": {CRC32: crc32, "x-amz-sdk-checksum-algorithm": "CRC32"}, "twice": "x-amz-sdk-checksum-algorithm"}
        yield 1, framed, {"twice": "x-amz-decoded-content-length"}
        yield 1, trailers, {"trailer": (CRC32, crc32), "twice": "x-amz-trailer"}
        yield 2, FORMS, {"headers": {"content-md5": "AAAA"}}
        yield 3, unframed, {"headers": {"content-encoding": "aws-chunked"}}
        yield 3, unframed, {"headers": {"content-encoding": "gzip, AWS-CHUNKED"}}
        yield 5, FORMS, {"headers": {"x-amz-decoded-content-length": "1x"}}
        yield 6, framed, {"headers": {"x-amz-decoded-content-length": None}}
        yield 7, framed, {"headers": {"x-amz-decoded-content-length": "100000"}}
        yield 8, unframed, {"headers": {"x-amz-decoded-content-length": "2"}}
        yield 9, FORMS[:3], {"trailer": (CRC32, crc32)}
        yield 10, trailers, {"trailer": ("x-amz-meta-a", "b")}
        yield 10, trailers, {"trailer": ("x-amz-checksum-crc32,x-amz-checksum-sha1", crc32)}
        yield 11, FORMS, {"headers": {"x-amz-checksum-md9": crc32}}
        yield 12, FORMS, {"headers": {CRC32: crc32, SHA1: sha1}}
        yield 12, trailers, {"headers": {SHA1: sha1}, "trailer": (CRC32, crc32)}
        yield 12, trailers, {"headers": {CRC32: crc32}, "trailer": (CRC32, crc32)}
        yield 13, FORMS, {"headers": {CRC32: "AAAA"}}
        yield 14, FORMS, {"headers": {"x-amz-sdk-checksum-algorithm": "CRC32"}}
        yield 14, FORMS, {"headers": {"x-amz-sdk-checksum-algorithm": "MD9"}}
        yield 15, FORMS, {"headers": {SHA1: sha1, "x-amz-sdk-checksum-algorithm": "CRC32"}}
        yield 15, trailers, {"headers": {"x-amz-sdk-checksum-algorithm": "SHA1"}, "trailer": (CRC32, crc32)}
        yield 21, framed, {"headers": {"x-amz-decoded-content-length": "0"}}
        yield 21, framed, {"headers": {"x-amz-decoded-content-length": "2"}, "http_chunked": True}
        yield 21, unframed, {"headers": {"x-amz-decoded-content-length": "2"}, "http_chunked": True}
        yield 24, trailers, {"trailer": (CRC32, "AAAA")}
        yield 26, FORMS, {"headers": {"content-md5": content_md5(b"y")}}
        yield 26, FORMS, {"headers": {CRC32: checksum("crc32", b"y")}}
        yield 26, trailers, {"trailer": (CRC32, checksum("crc32", b"y"))}
        yield 26, trailers, {"headers": {"content-md5": content_md5(b"y")}, "trailer": (CRC32, crc32)}

    def test_what_is_refused(self):
        rules, query = documented(), [("partNumber", "1"), ("uploadId", self.upload())]
        for rule, forms, what in self.refusals():
            for form, target in itertools.product(forms, ((), query)):
                with self.subTest(rule=rule, form=form, part=bool(target), what=what):
                    answer = self.deliver(form, b"x", query=target, **what)
                    self.assertEqual(rules[rule], (answer.status, answer.code), answer)
        self.assertEqual([], self.keys())
        self.assertNotIn("Parts", self.s3.list_parts(Bucket=self.bucket, Key="a", UploadId=query[1][1]))

    def test_parts_fit_their_upload(self):
        rules, value = documented(), checksum("crc32", b"x")
        for kind in ("COMPOSITE", "FULL_OBJECT"):
            query = [("partNumber", "1"), ("uploadId", self.upload(x_amz_checksum_algorithm="CRC32", x_amz_checksum_type=kind))]
            for form in FORMS:
                with self.subTest(kind=kind, form=form):
                    answer = self.deliver(form, b"x", query=query)
                    if kind == "COMPOSITE":
                        self.assertEqual(rules[17], (answer.status, answer.code), answer)
                    else:
                        self.assertEqual((200, value), (answer.status, answer.header(CRC32)), answer)
                    self.assertEqual(200, self.deliver(form, b"x", {CRC32: value}, query=query).status)
                    answer = self.deliver(form, b"x", {SHA1: checksum("sha1", b"x")}, query=query)
                    self.assertEqual(rules[16], (answer.status, answer.code), answer)

    def test_xml_bodies(self):
        rules, body = documented(), b"<Delete><Object><Key>a</Key></Object></Delete>"
        said = {"query": [("delete", "")], "method": "POST", "path": f"/{self.bucket}"}
        for form in FORMS:
            with self.subTest(form=form):
                answer = self.deliver(form, body, **said)
                self.assertEqual(rules[18], (answer.status, answer.code), answer)
                answer = self.deliver(form, body, {CRC32: checksum("crc32", b"y")}, **said)
                self.assertEqual(rules[26], (answer.status, answer.code), answer)
                answer = self.deliver(form, body, {SHA1: checksum("sha1", body), "x-amz-sdk-checksum-algorithm": "CRC32"}, **said)
                self.assertEqual(rules[15], (answer.status, answer.code), answer)
                self.assertEqual(200, self.deliver(form, body, {SHA1: checksum("sha1", body)}, **said).status)

    def test_presigned_checksums_in_the_query_are_passed_over(self):
        query = [("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-sdk-checksum-algorithm", "CRC32")]
        answer = self.raw.presigned("PUT", self.path, query=query, body=b"body")
        self.assertEqual((200, checksum("crc64nvme", b"body")), (answer.status, answer.header("x-amz-checksum-crc64nvme")), answer)


class PayloadsTls(Payloads):
    tls = True


class PayloadMatrixTls(PayloadMatrix):
    tls = True
