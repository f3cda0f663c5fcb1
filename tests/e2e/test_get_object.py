# SPDX-License-Identifier: Apache-2.0
"""GetObject and HeadObject: ranges, conditions, response overrides, part numbers, errors."""
import datetime
import email.utils
import os

from checksums import etag
from harness import MIB, S3Case


class GetObject(S3Case):
    def setUp(self):
        super().setUp()
        self.data = os.urandom(3 * MIB + 123)
        self.put("a", self.data, Metadata={"k": "v"})
        self.path = f"/{self.bucket}/a"

    def both(self, **headers):
        """The answers of GET and HEAD, of which all but the body must agree."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        get, head = self.raw("GET", self.path, headers=headers), self.raw("HEAD", self.path, headers=headers)
        self.assertEqual(get.status, head.status)
        self.assertEqual(b"", head.body)
        for name in ("content-length", "content-range", "etag", "last-modified", "content-type", "x-amz-meta-k", "accept-ranges"):
            if get.status < 400:
                self.assertEqual(get.header(name), head.header(name), name)
        return get

    def test_headers(self):
        got = self.both()
        self.assertEqual((200, etag(self.data), str(len(self.data)), "bytes", "v"),
                         (got.status, got.header("etag"), got.header("content-length"), got.header("accept-ranges"), got.header("x-amz-meta-k")))
        modified = email.utils.parsedate_to_datetime(got.header("last-modified"))
        self.assertLess(abs(datetime.datetime.now(datetime.timezone.utc) - modified), datetime.timedelta(minutes=5))
        self.assertTrue(got.header("last-modified").endswith("GMT"))
        for name in ("date", "x-amz-request-id", "x-amz-id-2"):
            self.assertTrue(got.header(name), name)
        self.assertNotEqual(got.header("x-amz-request-id"), self.both().header("x-amz-request-id"))

    def test_ranges(self):
        size = len(self.data)
        for spec, first, last in (("0-0", 0, 0), ("0-9", 0, 9), ("5-", 5, size - 1), ("-7", size - 7, size - 1),
                                  (f"{size - 1}-", size - 1, size - 1), (f"{MIB - 5}-{MIB + 5}", MIB - 5, MIB + 5),
                                  (f"65530-{2 * MIB + 7}", 65530, 2 * MIB + 7), (f"10-{size * 10}", 10, size - 1), (f"-{size * 2}", 0, size - 1)):
            with self.subTest(spec=spec):
                got = self.both(range=f"bytes={spec}")
                self.assertEqual((206, f"bytes {first}-{last}/{size}"), (got.status, got.header("content-range")))
                self.assertEqual(str(last - first + 1), got.header("content-length"))
                self.assertTrue(self.data[first:last + 1] == got.body)

    def test_ranges_that_cannot_be_satisfied(self):
        for spec in (f"{len(self.data)}-", f"{len(self.data)}-{len(self.data) + 5}", "-0"):
            with self.subTest(spec=spec):
                got = self.both(range=f"bytes={spec}")
                self.assertEqual((416, "InvalidRange"), (got.status, got.code))

    def test_malformed_ranges_are_ignored(self):
        for spec in ("bytes=x-y", "bytes=5-2", "bytes=", "bytes=-", "chars=0-5", "0-5", "bytes=0-1,4-5"):
            with self.subTest(spec=spec):
                got = self.both(range=spec)
                self.assertEqual((200, len(self.data)), (got.status, len(got.body)))

    def test_ranges_of_an_empty_object(self):
        self.put("a", b"")
        self.assertEqual((200, b""), (self.both(range="bytes=-5").status, self.both(range="bytes=-5").body))
        self.assertEqual(416, self.both(range="bytes=0-5").status)

    def test_conditions(self):
        tag = etag(self.data)
        before, after = "Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2044 00:00:00 GMT"
        for headers, status in (({"if_match": tag}, 200), ({"if_match": tag.strip('"')}, 200), ({"if_match": "*"}, 200),
                                ({"if_match": f'"x", {tag}'}, 200), ({"if_match": '"x"'}, 412), ({"if_none_match": tag}, 304),
                                ({"if_none_match": tag.strip('"')}, 304), ({"if_none_match": "*"}, 304), ({"if_none_match": '"x"'}, 200),
                                ({"if_modified_since": before}, 200), ({"if_modified_since": self.both().header("last-modified")}, 304),
                                ({"if_unmodified_since": before}, 412), ({"if_unmodified_since": after}, 200),
                                ({"if_match": tag, "if_unmodified_since": before}, 200),
                                ({"if_none_match": '"x"', "if_modified_since": after}, 200)):
            with self.subTest(headers=headers):
                got = self.both(**headers)
                self.assertEqual(status, got.status)
                if status == 304:
                    self.assertEqual((b"", tag), (got.body, got.header("etag")))
                if status == 412:
                    self.assertEqual("PreconditionFailed", got.code)

    def test_response_overrides(self):
        overrides = {"content-type": "text/x-test", "content-language": "fr", "expires": "Thu, 01 Dec 2044 16:00:00 GMT",
                     "cache-control": "no-store", "content-disposition": 'attachment; filename="ü.txt"', "content-encoding": "br"}
        got = self.raw("GET", self.path, query=[(f"response-{name}", value) for name, value in overrides.items()])
        self.assertEqual(200, got.status, got)
        for name, value in overrides.items():
            self.assertEqual(value, got.header(name))  # headers are in ISO-8859-1

    def test_response_overrides_need_a_signature(self):
        answer = self.raw.anonymous("GET", f"{self.path}?response-content-type=text/html")
        self.assertIn(answer.status, (400, 403))

    def test_unknown_query_items_are_ignored(self):
        self.assertEqual(200, self.raw("GET", self.path, query=[("x-id", "GetObject"), ("whatever", "1")]).status)

    def test_part_number(self):
        parts = [os.urandom(5 * MIB), os.urandom(5 * MIB), b"end"]
        self.multipart("m", parts)
        for number, part in enumerate(parts, 1):
            got = self.s3.get_object(Bucket=self.bucket, Key="m", PartNumber=number)
            self.assertEqual((206, 3, len(part)), (got["ResponseMetadata"]["HTTPStatusCode"], got["PartsCount"], got["ContentLength"]))
            self.assertTrue(part == got["Body"].read())
            self.assertEqual(len(part), self.s3.head_object(Bucket=self.bucket, Key="m", PartNumber=number)["ContentLength"])
        answer = self.raw("GET", f"/{self.bucket}/m", query=[("partNumber", "4")])
        self.assertEqual((416, "InvalidPartNumber"), (answer.status, answer.code))
        self.assertTrue(self.data == self.raw("GET", self.path, query=[("partNumber", "1")]).body)

    def test_missing_key(self):
        answer = self.raw("GET", f"/{self.bucket}/missing")
        self.assertEqual((404, "NoSuchKey", "missing"), (answer.status, answer.code, answer.xml.findtext("Key")))
        self.assertEqual("application/xml", answer.header("content-type"))
        self.assertEqual(answer.header("x-amz-request-id"), answer.xml.findtext("RequestId"))
        self.assertTrue(answer.xml.findtext("Resource"))
        head = self.raw("HEAD", f"/{self.bucket}/missing")
        self.assertEqual((404, b""), (head.status, head.body))

    def test_a_prefix_is_no_object(self):
        self.put("dir/file", b"x")
        for key in ("dir", "dir/", "di", "dir/fil", "dir/file/"):
            with self.subTest(key=key):
                self.assertEqual(404, self.raw("GET", f"/{self.bucket}/{key}").status)

    def test_version_id(self):
        self.assertEqual(200, self.raw("GET", self.path, query=[("versionId", "null")]).status)
        answer = self.raw("GET", self.path, query=[("versionId", "3HL4kqtJlcpXroDTDmjVBH40Nrjfkd")])
        self.assertIn(answer.status, (400, 404, 501))


class GetObjectTls(GetObject):
    tls = True
