# SPDX-License-Identifier: Apache-2.0
"""CreateBucket, HeadBucket, ListBuckets, DeleteBucket, GetBucketLocation."""
import unittest
import uuid

from harness import S3Case


class Buckets(S3Case):
    def test_create_head_list_delete(self):
        name = f"e2e.with.dots-{uuid.uuid4().hex[:8]}"
        answer = self.s3.create_bucket(Bucket=name)
        self.assertEqual(f"/{name}", answer["Location"])
        self.assertEqual(200, self.s3.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"])
        listed = {bucket["Name"]: bucket["CreationDate"] for bucket in self.s3.list_buckets()["Buckets"]}
        self.assertIn(name, listed)
        self.assertEqual(sorted(listed), list(listed))
        self.assertEqual(204, self.s3.delete_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"])
        with self.refused("404", 404):
            self.s3.head_bucket(Bucket=name)

    def test_creating_a_bucket_one_owns_succeeds(self):
        self.s3.create_bucket(Bucket=self.bucket)
        self.put("kept", b"x")
        self.s3.create_bucket(Bucket=self.bucket)
        self.assertEqual(b"x", self.body("kept"))

    def test_a_bucket_that_is_not_empty_stays(self):
        self.put("a")
        with self.refused("BucketNotEmpty", 409):
            self.s3.delete_bucket(Bucket=self.bucket)
        self.assertEqual(["a"], self.keys())

    def test_a_deleted_bucket_comes_back_empty(self):
        self.put("a")
        self.s3.delete_object(Bucket=self.bucket, Key="a")
        self.s3.delete_bucket(Bucket=self.bucket)
        self.s3.create_bucket(Bucket=self.bucket)
        self.assertEqual([], self.keys())

    def test_missing_bucket(self):
        missing = f"missing-{uuid.uuid4().hex}"
        with self.refused("NoSuchBucket", 404):
            self.s3.delete_bucket(Bucket=missing)
        with self.refused("NoSuchBucket", 404):
            self.s3.list_objects_v2(Bucket=missing)
        with self.refused("NoSuchBucket", 404):
            self.s3.put_object(Bucket=missing, Key="a", Body=b"x")
        with self.refused("NoSuchBucket", 404):
            self.s3.get_object(Bucket=missing, Key="a")

    def test_bad_names_are_refused(self):
        for name in ("ab", "a" * 64, "Upper-Case", "under_score", "-begins", "ends-", "two..dots", "192.168.0.1", "dot.-dash", "xn--puny",
                     "name-s3alias", "sp ace", "ümlaut"):
            with self.subTest(name=name):
                answer = self.raw("PUT", f"/{name}")
                self.assertEqual((400, "InvalidBucketName"), (answer.status, answer.code))

    def test_names_that_no_path_may_hold(self):
        for name in (b"nul%00l", b"%FF%FEx", b"%zz"):
            answer = self.raw.exchange(self.raw.build("PUT", "/name").replace(b"/name", b"/" + name, 1), "PUT")
            self.assertIn(answer.status, (400, 403), answer)

    def test_location_constraint(self):
        name = f"e2e-{uuid.uuid4().hex[:16]}"
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-east-1"})
        self.addCleanup(self.remove_bucket, name)
        self.assertIsNone(self.s3.get_bucket_location(Bucket=name)["LocationConstraint"])

    def test_malformed_configuration(self):
        for body in (b"<CreateBucketConfiguration><Location", b"not xml", b"<Other/>"):
            with self.subTest(body=body):
                answer = self.raw("PUT", f"/e2e-{uuid.uuid4().hex[:16]}", body=body)
                self.assertEqual((400, "MalformedXML"), (answer.status, answer.code))

    def test_region_of_head_bucket(self):
        answer = self.raw("HEAD", f"/{self.bucket}")
        self.assertEqual((200, "us-east-1", b""), (answer.status, answer.header("x-amz-bucket-region"), answer.body))


if __name__ == "__main__":
    unittest.main()
