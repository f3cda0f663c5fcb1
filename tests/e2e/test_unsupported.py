# SPDX-License-Identifier: Apache-2.0
"""What is not built is refused with 501, and with 405 where S3 has no such method: never a wrong 200, never something else done."""
from harness import S3Case

BUCKET_SUBRESOURCES = ("accelerate", "acl", "analytics", "cors", "encryption", "intelligent-tiering", "inventory", "lifecycle", "logging", "metrics",
                       "notification", "object-lock", "ownershipControls", "policy", "policyStatus", "publicAccessBlock", "replication",
                       "requestPayment", "tagging", "versioning", "versions", "website")
OBJECT_SUBRESOURCES = ("acl", "attributes", "legal-hold", "restore", "retention", "select", "tagging", "torrent")


class Unsupported(S3Case):
    def setUp(self):
        super().setUp()
        self.put("a", b"data")

    def assert_refused(self, method, path, name):
        answer = self.raw(method, path, query=[(name, None)], body=b"<X/>" if method in ("PUT", "POST") else b"")
        with self.subTest(method=method, name=name):
            self.assertIn((answer.status, answer.code), ((501, "NotImplemented"), (405, "MethodNotAllowed")), answer)
        return answer.status

    def test_bucket_subresources(self):
        for name in BUCKET_SUBRESOURCES:
            statuses = {self.assert_refused(method, f"/{self.bucket}", name) for method in ("GET", "PUT", "DELETE")}
            self.assertIn(501, statuses, name)
        self.assertEqual(["a"], self.keys())

    def test_object_subresources(self):
        for name in OBJECT_SUBRESOURCES:
            statuses = {self.assert_refused(method, f"/{self.bucket}/a", name) for method in ("GET", "PUT", "DELETE", "POST")}
            self.assertIn(501, statuses, name)
        self.assertEqual((["a"], b"data"), (self.keys(), self.body("a")))

    def test_form_uploads(self):
        boundary = "frontier"
        body = f'--{boundary}\r\nContent-Disposition: form-data; name="key"\r\n\r\nform\r\n--{boundary}--\r\n'.encode()
        answer = self.raw.anonymous("POST", f"/{self.bucket}", {"content-type": f"multipart/form-data; boundary={boundary}"}, body)
        self.assertIn(answer.status, (403, 501))
        self.assertEqual(["a"], self.keys())

    def test_headers_that_would_change_a_read(self):
        for name in ("x-amz-server-side-encryption-customer-algorithm",):
            answer = self.raw("GET", f"/{self.bucket}/a", headers={name: "AES256"})
            self.assertIn(answer.status, (400, 501))

    def test_bucket_headers(self):
        for name, value in (("x-amz-bucket-object-lock-enabled", "true"), ("x-amz-acl", "public-read"), ("x-amz-object-ownership", "ObjectWriter")):
            answer = self.raw("PUT", f"/{self.bucket}-new", headers={name: value})
            self.assertEqual((501, "NotImplemented"), (answer.status, answer.code), name)
        with self.refused("404", 404):
            self.s3.head_bucket(Bucket=f"{self.bucket}-new")
