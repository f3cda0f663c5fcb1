# SPDX-License-Identifier: Apache-2.0
"""DeleteObject."""
from harness import S3Case


class DeleteObject(S3Case):
    def test_delete(self):
        self.put("a", b"x")
        answer = self.raw("DELETE", f"/{self.bucket}/a")
        self.assertEqual((204, b""), (answer.status, answer.body))
        with self.refused("NoSuchKey", 404):
            self.body("a")

    def test_deleting_what_is_not_there_succeeds(self):
        self.assertEqual(204, self.raw("DELETE", f"/{self.bucket}/never").status)
        answer = self.raw("DELETE", f"/{self.bucket}-missing/never")
        self.assertEqual((404, "NoSuchBucket"), (answer.status, answer.code))

    def test_neighbours_stay(self):
        for key in ("a", "a/", "a/b", "ab"):
            self.put(key, b"x")
        self.s3.delete_object(Bucket=self.bucket, Key="a")
        self.assertEqual(["a/", "a/b", "ab"], self.keys())

    def test_after_delete_a_put_begins_anew(self):
        self.put("a", b"x", Metadata={"old": "1"})
        self.s3.delete_object(Bucket=self.bucket, Key="a")
        self.put("a", b"y")
        self.assertEqual({}, self.s3.head_object(Bucket=self.bucket, Key="a")["Metadata"])
