# SPDX-License-Identifier: Apache-2.0
"""If-Match and If-None-Match on PutObject, CopyObject, CompleteMultipartUpload, DeleteObject and DeleteObjects. Debian's
boto3 does not know these parameters, so the requests are made by hand; js/suite.mjs makes them with an SDK."""
import base64
import concurrent.futures
import hashlib

from checksums import etag
from harness import S3Case

OLD, NEW = b"what was there", b"what is written"
OTHER = etag(b"something else")


class ConditionalWrites(S3Case):
    def check(self, answer, status, code=None, condition=None):
        self.assertEqual((status, code), (answer.status, answer.code if status >= 400 else None), answer)
        self.assertEqual(condition, answer.xml.findtext("Condition") if status == 412 else None)
        return answer

    def conditional(self, headers, key="a", body=NEW):
        return self.raw("PUT", f"/{self.bucket}/{key}", headers=headers, body=body)

    def upload(self, key="a", body=NEW):
        upload = self.s3.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"]
        part = self.s3.upload_part(Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=1, Body=body)["ETag"]
        document = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part}</ETag></Part></CompleteMultipartUpload>".encode()
        return lambda headers: self.raw("POST", f"/{self.bucket}/{key}", query=[("uploadId", upload)], headers=headers, body=document)

    def writes(self):
        """Each way to write the key "a", with what it leaves there."""
        self.put("source", NEW)
        copy = {"x-amz-copy-source": f"{self.bucket}/source"}
        yield "put", self.conditional
        yield "copy", lambda headers: self.raw("PUT", f"/{self.bucket}/a", headers=copy | headers)
        yield "complete", self.upload()

    def test_only_where_the_key_is_free(self):
        for name, write in self.writes():
            with self.subTest(name):
                self.put("a", OLD)
                self.check(write({"if-none-match": "*"}), 412, "PreconditionFailed", "If-None-Match")
                self.assertEqual(OLD, self.body("a"))
                self.s3.delete_object(Bucket=self.bucket, Key="a")
                self.check(write({"if-none-match": "*"}), 200)
                self.assertEqual(NEW, self.body("a"))

    def test_only_where_the_object_is_the_same(self):
        for name, write in self.writes():
            with self.subTest(name):
                self.s3.delete_object(Bucket=self.bucket, Key="a")
                for value in (etag(OLD), "*"):
                    self.check(write({"if-match": value}), 404, "NoSuchKey")
                self.put("a", OLD)
                for value in (OTHER, "W/" + etag(OLD), ""):
                    self.check(write({"if-match": value}), 412, "PreconditionFailed", "If-Match")
                self.assertEqual(OLD, self.body("a"))
                self.check(write({"if-match": etag(OLD)}), 200)
                self.assertEqual(NEW, self.body("a"))

    def test_etags_without_quotes_and_any(self):
        self.put("a", OLD)
        self.check(self.conditional({"if-match": etag(OLD).strip('"')}), 200)
        self.check(self.conditional({"if-match": "*"}), 200)

    def test_what_is_not_built_is_501(self):
        self.put("a", OLD)
        for headers in ({"if-none-match": OTHER}, {"if-match": f"{OTHER}, {etag(OLD)}"}, {"if-match": etag(OLD), "if-none-match": "*"},
                        {"if-unmodified-since": "Fri, 02 Jan 2026 03:04:05 GMT"}, {"x-amz-if-match-size": "14"}):
            for key in ("a", "b"):
                with self.subTest(headers=headers, key=key):
                    self.check(self.conditional(headers, key), 501, "NotImplemented")
        for headers in ({"if-none-match": "*"}, {"x-amz-if-match-size": "14"},
                        {"x-amz-if-match-last-modified-time": "Fri, 02 Jan 2026 03:04:05 GMT"}):
            self.check(self.raw("DELETE", f"/{self.bucket}/a", headers=headers), 501, "NotImplemented")
        self.check(self.raw("POST", f"/{self.bucket}/a", query=[("uploads", None)], headers={"if-none-match": "*"}), 501, "NotImplemented")
        self.assertEqual((["a"], OLD), (self.keys(), self.body("a")))

    def test_a_multipart_etag_matches(self):
        self.multipart("a", [bytes(5 << 20), b"tail"])
        tag = self.s3.head_object(Bucket=self.bucket, Key="a")["ETag"]
        self.assertIn("-2", tag)
        self.check(self.conditional({"if-match": tag.replace("-2", "-3")}), 412, "PreconditionFailed", "If-Match")
        self.check(self.conditional({"if-match": tag}), 200)

    def test_a_complete_that_is_repeated(self):
        complete = self.upload()
        first = self.check(complete({"if-none-match": "*"}), 200)
        again = self.check(complete({"if-none-match": "*"}), 200)
        self.assertEqual(first.xml.findtext("ETag"), again.xml.findtext("ETag"))

    def test_delete(self):
        delete = lambda value: self.raw("DELETE", f"/{self.bucket}/a", headers={"if-match": value})
        for value in (etag(OLD), "*"):
            self.check(delete(value), 404, "NoSuchKey")
            self.put("a", OLD)
            self.check(delete(OTHER), 412, "PreconditionFailed", "If-Match")
            self.assertEqual(OLD, self.body("a"))
            self.check(delete(value), 204)
            self.assertEqual([], self.keys())

    def test_bulk_delete(self):
        for key in ("plain", "same", "any", "other"):
            self.put(key, OLD)
        tags = {"plain": None, "same": etag(OLD), "any": "*", "other": OTHER, "missing": etag(OLD), "gone": None}
        objects = "".join(f"<Object><Key>{key}</Key>{f'<ETag>{tag}</ETag>' if tag else ''}</Object>" for key, tag in tags.items())
        document = f"<Delete>{objects}</Delete>".encode()
        md5 = base64.b64encode(hashlib.md5(document).digest()).decode()
        answer = self.check(self.raw("POST", f"/{self.bucket}", query=[("delete", None)], headers={"content-md5": md5}, body=document), 200)
        self.assertEqual(["plain", "same", "any", "gone"], [item.findtext("Key") for item in answer.xml.iter("Deleted")])
        self.assertEqual([("other", "PreconditionFailed"), ("missing", "NoSuchKey")],
                         [(item.findtext("Key"), item.findtext("Code")) for item in answer.xml.iter("Error")])
        self.assertEqual(["other"], self.keys())

    def test_refused_before_the_body(self):
        self.put("a", OLD)
        with self.raw.connect() as connection:
            connection.send(self.raw.build("PUT", f"/{self.bucket}/a", payload_hash="UNSIGNED-PAYLOAD",
                                           headers={"content-length": str(1 << 30), "expect": "100-continue", "if-none-match": "*"}))
            self.check(connection.response(), 412, "PreconditionFailed", "If-None-Match")

    def test_one_of_many_wins(self):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for round_number in range(5):
                key = f"lock-{round_number}"
                answers = list(pool.map(lambda owner: self.conditional({"if-none-match": "*"}, key, b"%d" % owner), range(16)))
                winners = [owner for owner, answer in enumerate(answers) if answer.status == 200]
                self.assertEqual(1, len(winners), answers)
                self.assertEqual({200, 412}, {answer.status for answer in answers})
                self.assertEqual(b"%d" % winners[0], self.body(key))

    def test_compare_and_swap_counts_exactly(self):
        self.put("a", b"0")

        def increment(_):
            while True:
                got = self.raw("GET", f"/{self.bucket}/a")
                answer = self.conditional({"if-match": got.header("etag")}, body=b"%d" % (int(got.body) + 1))
                if answer.status == 200:
                    return
                self.assertEqual(412, answer.status)

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(increment, range(80)))
        self.assertEqual(b"80", self.body("a"))
