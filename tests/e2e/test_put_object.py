# SPDX-License-Identifier: Apache-2.0
"""PutObject: contents, ETag, metadata, checksums, headers that pass and headers that do not."""
import base64
import hashlib
import os

from checksums import DIGESTS, checksum, content_md5, etag
from harness import MIB, S3Case, slow_tier
import raw as http
import sigv4


class PutObject(S3Case):
    def test_sizes_come_back_whole(self):
        for size in (0, 1, 4095, 4096, 4097, 65535, 65536, 65537, MIB - 1, MIB, MIB + 1, 5 * MIB, 8 * MIB + 3):
            with self.subTest(size=size):
                data = os.urandom(size)
                self.assertEqual(etag(data), self.put("sized", data)["ETag"])
                got = self.s3.get_object(Bucket=self.bucket, Key="sized")
                self.assertEqual((size, etag(data)), (got["ContentLength"], got["ETag"]))
                self.assertEqual(hashlib.sha256(data).digest(), hashlib.sha256(got["Body"].read()).digest())

    def test_100_mib(self):
        data = os.urandom(MIB) * 100
        self.assertEqual(etag(data), self.put("large", data)["ETag"])
        self.assertEqual(hashlib.md5(data).digest(), hashlib.md5(self.body("large")).digest())

    @slow_tier
    def test_2_gib(self):
        path = os.path.join(self.folder(), "large")
        digest = hashlib.md5()
        with open(path, "wb") as file:
            for _ in range(2048):
                piece = os.urandom(MIB)
                digest.update(piece)
                file.write(piece)
        with open(path, "rb") as file:
            self.assertEqual(f'"{digest.hexdigest()}"', self.put("large", file)["ETag"])
        back = hashlib.md5()
        for piece in self.s3.get_object(Bucket=self.bucket, Key="large")["Body"].iter_chunks(MIB):
            back.update(piece)
        self.assertEqual(digest.digest(), back.digest())

    def test_overwrite_replaces_everything(self):
        self.put("a", b"first", ContentType="text/plain", Metadata={"one": "1"})
        self.put("a", b"second")
        got = self.s3.get_object(Bucket=self.bucket, Key="a")
        self.assertEqual((b"second", "binary/octet-stream", {}), (got["Body"].read(), got["ContentType"], got["Metadata"]))

    def test_system_headers_come_back(self):
        self.put("a", b"x", ContentType="text/html; charset=utf-8", CacheControl="max-age=5", ContentDisposition="attachment; filename=x",
                 ContentLanguage="de", ContentEncoding="gzip", Expires="Thu, 01 Dec 2044 16:00:00 GMT")
        for answer in (self.raw("GET", f"/{self.bucket}/a"), self.raw("HEAD", f"/{self.bucket}/a")):
            self.assertEqual(["text/html; charset=utf-8", "max-age=5", "attachment; filename=x", "de", "gzip", "Thu, 01 Dec 2044 16:00:00 GMT"],
                             [answer.header(name) for name in ("content-type", "cache-control", "content-disposition", "content-language",
                                                               "content-encoding", "expires")])

    def test_user_metadata(self):
        self.put("a", b"x", Metadata={"plain": "value  with  spaces", "Mixed-Case": "V", "empty": ""})
        self.assertEqual({"plain": "value  with  spaces", "mixed-case": "V", "empty": ""},
                         {name: value for name, value in self.s3.head_object(Bucket=self.bucket, Key="a")["Metadata"].items()})

    def test_user_metadata_in_utf8_comes_back_as_rfc_2047(self):
        request = self.raw.build("PUT", f"/{self.bucket}/a", headers={"x-amz-meta-name": "Grüße"}, body=b"x")
        self.assertEqual(200, self.raw.exchange(request, "PUT").status)
        value = self.raw("HEAD", f"/{self.bucket}/a").header("x-amz-meta-name")
        if not value.startswith("=?UTF-8?"):
            self.assertEqual("Grüße", value.encode("latin-1").decode())
        else:
            _, _, kind, text, _ = value.split("?")
            decoded = base64.b64decode(text) if kind.upper() == "B" else text.encode("ascii").decode("ascii").encode()
            self.assertIn("Gr", decoded.decode(errors="replace"))

    def test_user_metadata_over_2_kib_is_refused(self):
        answer = self.raw("PUT", f"/{self.bucket}/a", headers={"x-amz-meta-big": "v" * 2100}, body=b"x")
        self.assertEqual((400, "MetadataTooLarge"), (answer.status, answer.code))

    def test_aws_chunked_is_stripped_from_the_encoding(self):
        answer = self.raw.put_chunked(f"/{self.bucket}/a", [b"payload"], headers={"content-encoding": "aws-chunked,gzip"})
        self.assertEqual(200, answer.status, answer)
        got = self.raw("GET", f"/{self.bucket}/a")
        self.assertEqual(("gzip", b"payload"), (got.header("content-encoding"), got.body))
        self.raw.put_chunked(f"/{self.bucket}/b", [b"payload"])
        self.assertIsNone(self.raw("GET", f"/{self.bucket}/b").header("content-encoding"))

    def test_content_md5(self):
        self.assertEqual(200, self.raw("PUT", f"/{self.bucket}/a", headers={"content-md5": content_md5(b"x")}, body=b"x").status)
        answer = self.raw("PUT", f"/{self.bucket}/b", headers={"content-md5": content_md5(b"y")}, body=b"x")
        self.assertEqual((400, "BadDigest"), (answer.status, answer.code))
        answer = self.raw("PUT", f"/{self.bucket}/b", headers={"content-md5": "no digest"}, body=b"x")
        self.assertEqual((400, "InvalidDigest"), (answer.status, answer.code))
        self.assertEqual(["a"], self.keys())

    def test_wrong_payload_hash_stores_nothing(self):
        answer = self.raw("PUT", f"/{self.bucket}/a", body=b"x", payload_hash=hashlib.sha256(b"y").hexdigest())
        self.assertEqual((400, "XAmzContentSHA256Mismatch"), (answer.status, answer.code))
        self.assertEqual([], self.keys())

    def test_wrong_payload_hash_leaves_the_old_object(self):
        self.put("a", b"old")
        self.raw("PUT", f"/{self.bucket}/a", body=b"new", payload_hash=hashlib.sha256(b"other").hexdigest())
        self.assertEqual(b"old", self.body("a"))

    def test_each_checksum_is_verified_stored_and_returned(self):
        data = os.urandom(10000)
        for algorithm in DIGESTS:
            with self.subTest(algorithm=algorithm):
                name, value = f"x-amz-checksum-{algorithm}", checksum(algorithm, data)
                put = self.raw("PUT", f"/{self.bucket}/{algorithm}", headers={name: value, "x-amz-sdk-checksum-algorithm": algorithm.upper()},
                               body=data)
                self.assertEqual((200, value), (put.status, put.header(name)), put)
                asked = self.raw("GET", f"/{self.bucket}/{algorithm}", headers={"x-amz-checksum-mode": "ENABLED"})
                self.assertEqual((value, "FULL_OBJECT"), (asked.header(name), asked.header("x-amz-checksum-type")))
                self.assertIsNone(self.raw("GET", f"/{self.bucket}/{algorithm}").header(name))
                wrong = self.raw("PUT", f"/{self.bucket}/wrong", headers={name: checksum(algorithm, b"other")}, body=data)
                self.assertEqual((400, "BadDigest"), (wrong.status, wrong.code))
                broken = self.raw("PUT", f"/{self.bucket}/wrong", headers={name: "AAA"}, body=data)
                self.assertEqual((400, "InvalidRequest"), (broken.status, broken.code))
        self.assertEqual(sorted(DIGESTS), self.keys())

    def test_an_object_put_without_a_checksum_gets_crc64nvme(self):
        for data in (b"", b"123456789", os.urandom(10000)):
            expected = (checksum("crc64nvme", data), "FULL_OBJECT")
            for answer in (self.raw("PUT", f"/{self.bucket}/a", body=data),
                           self.raw("HEAD", f"/{self.bucket}/a", headers={"x-amz-checksum-mode": "ENABLED"})):
                self.assertEqual(expected, (answer.header("x-amz-checksum-crc64nvme"), answer.header("x-amz-checksum-type")), answer)
            self.assertIsNone(self.raw("HEAD", f"/{self.bucket}/a").header("x-amz-checksum-crc64nvme"))
        self.assertEqual("rosUhgp5mIg=", checksum("crc64nvme", b"123456789"))

    def test_two_checksums_are_refused(self):
        headers = {f"x-amz-checksum-{name}": checksum(name, b"x") for name in ("crc32", "sha1")}
        answer = self.raw("PUT", f"/{self.bucket}/a", headers=headers, body=b"x")
        self.assertEqual((400, "InvalidRequest"), (answer.status, answer.code))

    def test_defaults_of_unsupported_headers_pass(self):
        for name, value in (("x-amz-acl", "private"), ("x-amz-storage-class", "STANDARD"), ("amz-sdk-request", "attempt=1")):
            with self.subTest(name=name):
                self.assertEqual(200, self.raw("PUT", f"/{self.bucket}/a", headers={name: value}, body=b"x").status)

    def test_other_values_of_unsupported_headers_are_501(self):
        for name, value in (("x-amz-acl", "public-read"), ("x-amz-storage-class", "GLACIER"), ("x-amz-tagging", "a=b"),
                            ("x-amz-server-side-encryption", "aws:kms"), ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
                            ("x-amz-object-lock-mode", "GOVERNANCE"), ("x-amz-object-lock-legal-hold", "ON"),
                            ("x-amz-website-redirect-location", "/b"), ("x-amz-grant-read", "id=x")):
            with self.subTest(name=name):
                answer = self.raw("PUT", f"/{self.bucket}/b", headers={name: value}, body=b"x")
                self.assertEqual((501, "NotImplemented"), (answer.status, answer.code))
        self.assertEqual([], self.keys())

    def test_length_required(self):
        headers = self.raw.signer.authorize("PUT", f"/{self.bucket}/a", [], {"host": self.endpoint.netloc}, sigv4.EMPTY_HASH)
        answer = self.raw.exchange(http.render("PUT", f"/{self.bucket}/a", headers), "PUT")
        self.assertEqual((411, "MissingContentLength"), (answer.status, answer.code))

    def test_over_5_gib_is_refused_before_the_body(self):
        with self.raw.connect() as connection:
            connection.send(self.raw.build("PUT", f"/{self.bucket}/a", payload_hash="UNSIGNED-PAYLOAD",
                                           headers={"content-length": str(5 * 1024 * MIB + 1), "expect": "100-continue"}))
            answer = connection.response("PUT")
        self.assertEqual((400, "EntityTooLarge"), (answer.status, answer.code))

    def test_keys_of_every_kind(self):
        keys = ["a", "a/", "a/b", "a//b", "/lead", "./dot", "a/../b", "sp ace", "pl+us", "per%cent", "%2F", "q?x=1", "h#ash", "a&b=c",
                "co:lon,comma;semi", "ünï/çødé", "日本語", "emoji😀", "tab\tkey", "quote\"'<>", "back\\slash", "~tilde", "x" * 1024, "trail ", " lead"]
        for key in keys:
            self.put(key, key.encode())
        for key in keys:
            with self.subTest(key=key):
                self.assertEqual(key.encode(), self.raw("GET", f"/{self.bucket}/{key}").body)
        self.assertEqual(sorted(keys, key=lambda key: key.encode()), self.raw_keys())

    def raw_keys(self):
        from urllib.parse import unquote
        answer = self.raw("GET", f"/{self.bucket}", query=[("list-type", "2"), ("encoding-type", "url")])
        return [unquote(element.text.replace("+", "%20")) for element in answer.xml.findall("Contents/Key")]

    def test_bad_keys(self):
        for target, status, codes in ((f"/{self.bucket}/{'k' * 1025}", 400, {"KeyTooLongError"}),
                                      (f"/{self.bucket}/a%00b", 400, {"InvalidArgument"}),
                                      (f"/{self.bucket}/a%FFb", 400, {"InvalidArgument"}),
                                      (f"/{self.bucket}/a%C0%AFb", 400, {"InvalidArgument"}),
                                      (f"/{self.bucket}/a%ED%A0%80b", 400, {"InvalidArgument"}),
                                      (f"/{self.bucket}/a%zzb", 400, {"InvalidURI"}),
                                      (f"/{self.bucket}/../up", 400, {"InvalidURI"}),
                                      (f"/{self.bucket}/a/../../up", 400, {"InvalidURI"}),
                                      (f"/{self.bucket}/a%4", 400, {"InvalidURI"})):
            with self.subTest(target=target[-20:]):
                headers = {"host": self.endpoint.netloc, "content-length": "1"}
                signed = self.raw.signer.authorize("PUT", target, [], headers, hashlib.sha256(b"x").hexdigest())
                answer = self.raw.exchange(http.render("PUT", target, signed, b"x"), "PUT")
                self.assertEqual(status, answer.status, answer)
                self.assertIn(answer.code, codes)
        self.assertEqual([], self.keys())

    def test_directory_markers(self):
        self.put("d/", b"", ContentType="application/x-directory")
        self.put("d", b"file")
        self.put("d/x", b"below")
        self.assertEqual(["d", "d/", "d/x"], self.keys())
        self.assertEqual("application/x-directory", self.s3.head_object(Bucket=self.bucket, Key="d/")["ContentType"])
        self.s3.delete_object(Bucket=self.bucket, Key="d/")
        self.assertEqual(["d", "d/x"], self.keys())


class PutObjectTls(PutObject):
    tls = True
