# SPDX-License-Identifier: Apache-2.0
"""CopyObject: metadata directive, conditions on the source, large objects, self-copy."""
import os

from checksums import DIGESTS, checksum, etag
from harness import MIB, S3Case
from sigv4 import encode


class CopyObject(S3Case):
    def setUp(self):
        super().setUp()
        self.data = os.urandom(70000)
        self.put("source", self.data, ContentType="text/plain", Metadata={"k": "v"})

    def copy(self, target, source="source", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.raw("PUT", f"/{self.bucket}/{target}", headers={"x-amz-copy-source": f"/{self.bucket}/{encode(source)}", **headers})

    def test_copies_data_and_metadata(self):
        answer = self.s3.copy_object(Bucket=self.bucket, Key="target", CopySource={"Bucket": self.bucket, "Key": "source"})
        self.assertEqual(etag(self.data), answer["CopyObjectResult"]["ETag"])
        self.assertIn("LastModified", answer["CopyObjectResult"])
        got = self.s3.get_object(Bucket=self.bucket, Key="target")
        self.assertEqual((self.data, "text/plain", {"k": "v"}), (got["Body"].read(), got["ContentType"], got["Metadata"]))

    def test_the_copy_stands_alone(self):
        self.copy("target")
        self.s3.delete_object(Bucket=self.bucket, Key="source")
        self.assertEqual(self.data, self.body("target"))

    def test_between_buckets(self):
        other = self.make_bucket()
        self.s3.copy_object(Bucket=other, Key="t", CopySource={"Bucket": self.bucket, "Key": "source"})
        self.assertEqual(self.data, self.s3.get_object(Bucket=other, Key="t")["Body"].read())

    def test_replace(self):
        self.assertEqual(200, self.copy("target", x_amz_metadata_directive="REPLACE", content_type="image/png", x_amz_meta_new="1").status)
        head = self.s3.head_object(Bucket=self.bucket, Key="target")
        self.assertEqual(("image/png", {"new": "1"}), (head["ContentType"], head["Metadata"]))
        self.assertEqual(400, self.copy("target", x_amz_metadata_directive="OTHER").status)

    def test_copy_directive_ignores_new_metadata(self):
        self.copy("target", content_type="image/png", x_amz_meta_new="1")
        head = self.s3.head_object(Bucket=self.bucket, Key="target")
        self.assertEqual(("text/plain", {"k": "v"}), (head["ContentType"], head["Metadata"]))

    def test_onto_itself(self):
        answer = self.copy("source")
        self.assertEqual((400, "InvalidRequest"), (answer.status, answer.code))
        self.assertEqual(200, self.copy("source", x_amz_metadata_directive="REPLACE", x_amz_meta_n="2").status)
        self.assertEqual(({"n": "2"}, self.data), (self.s3.head_object(Bucket=self.bucket, Key="source")["Metadata"], self.body("source")))

    def test_conditions_on_the_source(self):
        tag, before, after = etag(self.data), "Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2044 00:00:00 GMT"
        for headers, status in (({"x_amz_copy_source_if_match": tag}, 200), ({"x_amz_copy_source_if_match": '"x"'}, 412),
                                ({"x_amz_copy_source_if_none_match": tag}, 412), ({"x_amz_copy_source_if_none_match": '"x"'}, 200),
                                ({"x_amz_copy_source_if_modified_since": before}, 200), ({"x_amz_copy_source_if_unmodified_since": before}, 412),
                                ({"x_amz_copy_source_if_unmodified_since": after}, 200)):
            with self.subTest(headers=headers):
                answer = self.copy("target", **headers)
                self.assertEqual(status, answer.status, answer)
                if status == 412:
                    self.assertEqual("PreconditionFailed", answer.code)

    def test_missing_and_malformed_sources(self):
        answer = self.copy("target", "missing")
        self.assertEqual((404, "NoSuchKey"), (answer.status, answer.code))
        for source in ("", "/", "nokey", f"{self.bucket}", f"/{self.bucket}/", f"/{self.bucket}/a%00", f"/{self.bucket}/%zz"):
            with self.subTest(source=source):
                answer = self.raw("PUT", f"/{self.bucket}/t", headers={"x-amz-copy-source": source})
                self.assertIn(answer.status, (400, 404), answer)
        self.assertEqual(["source"], self.keys())

    def test_source_names(self):
        for key in ("sp ace", "pl+us", "ünï/çødé", "per%cent", "q?x=1&y", "a//b"):
            with self.subTest(key=key):
                self.put(key, key.encode())
                self.s3.copy_object(Bucket=self.bucket, Key="t", CopySource={"Bucket": self.bucket, "Key": key})
                self.assertEqual(key.encode(), self.body("t"))

    def test_source_version(self):
        answer = self.raw("PUT", f"/{self.bucket}/t", headers={"x-amz-copy-source": f"/{self.bucket}/source?versionId=null"})
        self.assertEqual(200, answer.status, answer)

    def test_large_and_multipart_sources(self):
        parts = [os.urandom(5 * MIB), os.urandom(6 * MIB)]
        self.multipart("large", parts, Metadata={"m": "1"})
        self.s3.copy_object(Bucket=self.bucket, Key="t", CopySource={"Bucket": self.bucket, "Key": "large"})
        self.assertTrue(b"".join(parts) == self.body("t"))
        self.assertEqual({"m": "1"}, self.s3.head_object(Bucket=self.bucket, Key="t")["Metadata"])

    def test_checksums_travel(self):
        for algorithm in DIGESTS:
            name = f"x-amz-checksum-{algorithm}"
            self.raw("PUT", f"/{self.bucket}/c", headers={name: checksum(algorithm, self.data)}, body=self.data)
            self.assertEqual(200, self.copy("t", "c").status)
            got = self.raw("HEAD", f"/{self.bucket}/t", headers={"x-amz-checksum-mode": "ENABLED"})
            self.assertEqual(checksum(algorithm, self.data), got.header(name), algorithm)
