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
        self.assertEqual((501, "NotImplemented"), (answer.status, answer.code))
        self.assertEqual(["a"], self.keys())

    def test_preflights_need_no_signature(self):
        wanted = {"origin": "https://app.example", "access-control-request-method": "PUT"}
        for path, resource in ((f"/{self.bucket}", "BUCKET"), (f"/{self.bucket}/a", "OBJECT"), ("/nobody-s-bucket/a", "OBJECT"),
                               (f"/{self.bucket}?list-type=2", "BUCKET"), (f"/{self.bucket}?delete", "BUCKET"),
                               (f"/{self.bucket}/a?uploads", "OBJECT"), (f"/{self.bucket}/a?partNumber=1&uploadId=x", "OBJECT"),
                               (f"/{self.bucket}/a?acl&tagging", "OBJECT")):
            answer = self.raw.anonymous("OPTIONS", path, wanted)
            self.assertEqual((403, "AccessForbidden", "CORSResponse: CORS is not enabled for this bucket."),
                             (answer.status, answer.code, answer.xml.findtext("Message")))
            self.assertEqual(("PUT", resource), (answer.xml.findtext("Method"), answer.xml.findtext("ResourceType")))
            self.assertFalse([name for name in answer.headers if name.startswith("access-control-")])
        for headers in ({}, {"origin": "https://app.example"}, wanted | {"access-control-request-method": "MOVE"}):
            answer = self.raw.anonymous("OPTIONS", f"/{self.bucket}/a", headers)
            self.assertEqual((400, "BadRequest"), (answer.status, answer.code))

    def test_a_refusal_names_the_value_and_what_is_taken(self):
        answer = self.raw("PUT", f"/{self.bucket}/a", headers={"x-amz-acl": "public-read"})
        message = answer.xml.findtext("Message")
        for part in ("x-amz-acl", "public-read", "private", "bucket-owner-full-control"):
            self.assertIn(part, message)
        answer = self.raw("PUT", f"/{self.bucket}/a", headers={"x-amz-acl": "nonsense"})
        self.assertEqual((400, "InvalidArgument"), (answer.status, answer.code))

    def test_sizes_of_heads(self):
        answer = self.raw("PUT", f"/{self.bucket}/new", headers={"x-amz-meta-a": "v" * 2048})
        self.assertEqual((400, "MetadataTooLarge", "2048"), (answer.status, answer.code, answer.xml.findtext("MaxSizeAllowed")))
        answer = self.raw("PUT", f"/{self.bucket}/new", headers={"x-amz-custom-header": "d" * 8192})
        self.assertEqual((400, "RequestHeaderSectionTooLarge", "8192"), (answer.status, answer.code, answer.xml.findtext("MaxSizeAllowed")))
        self.assertEqual(200, self.raw("PUT", f"/{self.bucket}/new", headers={"x-amz-meta-a": "v" * 2000, "x-filler": "f" * 5000}).status)

    def test_the_account_of_the_bucket(self):
        for account, status in (("000000000001", 200), ("000000000002", 403), ("1", 400)):
            self.assertEqual(status, self.raw("GET", f"/{self.bucket}/a", headers={"x-amz-expected-bucket-owner": account}).status)

    def test_overrides_are_in_latin_1(self):
        def get(value):
            return self.raw("GET", f"/{self.bucket}/a", query=[("response-content-disposition", value)])
        self.assertEqual("inline; filename=\u00fc", get("inline; filename=\u00fc").header("content-disposition"))
        answer = get("inline; filename=\u20ac")
        self.assertEqual((400, "InvalidArgument"), (answer.status, answer.code))

    def test_copy_sources_are_decoded_as_queries(self):
        self.put("with space", b"space")
        self.put("with+plus", b"plus")
        for source, body in (("with+space", b"space"), ("with%20space", b"space"), ("with%2Bplus", b"plus")):
            answer = self.raw("PUT", f"/{self.bucket}/copy", headers={"x-amz-copy-source": f"{self.bucket}/{source}"})
            self.assertEqual((200, body), (answer.status, self.body("copy")))
        answer = self.raw("PUT", f"/{self.bucket}/copy", headers={"x-amz-copy-source": "Not_A_Bucket/a"})
        self.assertEqual((400, "InvalidArgument"), (answer.status, answer.code))

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
