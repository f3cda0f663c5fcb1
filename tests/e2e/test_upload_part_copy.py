# SPDX-License-Identifier: Apache-2.0
"""UploadPartCopy, with and without ranges."""
import os

from checksums import multipart_etag
from harness import MIB, S3Case


class UploadPartCopy(S3Case):
    def setUp(self):
        super().setUp()
        self.data = os.urandom(11 * MIB)
        self.put("source", self.data)
        self.upload = self.s3.create_multipart_upload(Bucket=self.bucket, Key="m")["UploadId"]

    def copy(self, number, **arguments):
        return self.s3.upload_part_copy(Bucket=self.bucket, Key="m", UploadId=self.upload, PartNumber=number,
                                        CopySource={"Bucket": self.bucket, "Key": "source"}, **arguments)["CopyPartResult"]["ETag"]

    def test_ranges(self):
        half = 6 * MIB
        tags = [self.copy(1, CopySourceRange=f"bytes=0-{half - 1}"), self.copy(2, CopySourceRange=f"bytes={half}-{len(self.data) - 1}")]
        answer = self.s3.complete_multipart_upload(Bucket=self.bucket, Key="m", UploadId=self.upload, MultipartUpload={
            "Parts": [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]})
        self.assertEqual(multipart_etag([self.data[:half], self.data[half:]]), answer["ETag"])
        self.assertTrue(self.data == self.body("m"))

    def test_whole(self):
        tag = self.copy(1)
        self.s3.complete_multipart_upload(Bucket=self.bucket, Key="m", UploadId=self.upload,
                                          MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
        self.assertTrue(self.data == self.body("m"))

    def test_bad_ranges(self):
        for spec in (f"bytes=0-{len(self.data)}", f"bytes={len(self.data)}-{len(self.data)}", "bytes=5-", "bytes=-5", "0-5", "bytes=5-2", "bytes=x-y"):
            with self.subTest(spec=spec):
                answer = self.raw("PUT", f"/{self.bucket}/m", query=[("partNumber", "1"), ("uploadId", self.upload)], headers={
                    "x-amz-copy-source": f"/{self.bucket}/source", "x-amz-copy-source-range": spec})
                self.assertIn((answer.status, answer.code), ((400, "InvalidArgument"), (416, "InvalidRange"), (400, "InvalidRange")))

    def test_conditions(self):
        with self.refused("PreconditionFailed", 412):
            self.copy(1, CopySourceIfMatch='"x"')
        with self.refused("PreconditionFailed", 412):
            self.copy(1, CopySourceIfUnmodifiedSince="Sat, 01 Jan 2000 00:00:00 GMT")

    def test_missing_source(self):
        with self.refused("NoSuchKey", 404):
            self.s3.upload_part_copy(Bucket=self.bucket, Key="m", UploadId=self.upload, PartNumber=1, CopySource=f"{self.bucket}/missing")
