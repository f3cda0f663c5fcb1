# SPDX-License-Identifier: Apache-2.0
"""ListParts and ListMultipartUploads, with markers."""
from checksums import etag
from harness import S3Case


class ListParts(S3Case):
    def test_pages(self):
        upload = self.s3.create_multipart_upload(Bucket=self.bucket, Key="m")["UploadId"]
        for number in (5, 1, 3, 9, 7):
            self.s3.upload_part(Bucket=self.bucket, Key="m", UploadId=upload, PartNumber=number, Body=b"x" * number)
        numbers, marker = [], 0
        while True:
            page = self.s3.list_parts(Bucket=self.bucket, Key="m", UploadId=upload, MaxParts=2, PartNumberMarker=marker)
            for part in page["Parts"]:
                self.assertEqual((part["PartNumber"], etag(b"x" * part["PartNumber"])), (part["Size"], part["ETag"]))
            numbers += [part["PartNumber"] for part in page["Parts"]]
            if not page["IsTruncated"]:
                break
            marker = page["NextPartNumberMarker"]
        self.assertEqual([1, 3, 5, 7, 9], numbers)
        self.assertEqual(("STANDARD", upload, "m", self.bucket), (page["StorageClass"], page["UploadId"], page["Key"], page["Bucket"]))

    def test_unknown_upload(self):
        with self.refused("NoSuchUpload", 404):
            self.s3.list_parts(Bucket=self.bucket, Key="m", UploadId="unknown")


class ListMultipartUploads(S3Case):
    def test_prefix_delimiter_and_order(self):
        uploads = {key: self.s3.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"] for key in ("b/1", "a", "b/2", "c")}
        page = self.s3.list_multipart_uploads(Bucket=self.bucket)
        self.assertEqual([(key, uploads[key]) for key in sorted(uploads)], [(item["Key"], item["UploadId"]) for item in page["Uploads"]])
        page = self.s3.list_multipart_uploads(Bucket=self.bucket, Delimiter="/")
        self.assertEqual((["a", "c"], ["b/"]), ([item["Key"] for item in page["Uploads"]], [item["Prefix"] for item in page["CommonPrefixes"]]))
        page = self.s3.list_multipart_uploads(Bucket=self.bucket, Prefix="b/")
        self.assertEqual(["b/1", "b/2"], [item["Key"] for item in page["Uploads"]])

    def test_pages(self):
        expected = sorted((key, self.s3.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"]) for key in ("a", "a", "b", "c", "c", "c"))
        found, more = [], {}
        while True:
            page = self.s3.list_multipart_uploads(Bucket=self.bucket, MaxUploads=2, **more)
            found += [(item["Key"], item["UploadId"]) for item in page["Uploads"]]
            if not page["IsTruncated"]:
                break
            more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
        self.assertEqual(expected, sorted(found))
        self.assertEqual([key for key, _ in expected], [key for key, _ in found])

    def test_uploads_leave_the_list(self):
        done = self.s3.create_multipart_upload(Bucket=self.bucket, Key="done")["UploadId"]
        gone = self.s3.create_multipart_upload(Bucket=self.bucket, Key="gone")["UploadId"]
        tag = self.s3.upload_part(Bucket=self.bucket, Key="done", UploadId=done, PartNumber=1, Body=b"x")["ETag"]
        self.s3.complete_multipart_upload(Bucket=self.bucket, Key="done", UploadId=done, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
        self.s3.abort_multipart_upload(Bucket=self.bucket, Key="gone", UploadId=gone)
        self.assertNotIn("Uploads", self.s3.list_multipart_uploads(Bucket=self.bucket))
