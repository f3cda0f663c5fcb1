# SPDX-License-Identifier: Apache-2.0
"""Presigned URLs: GET, PUT, HEAD, DELETE; expiry; made by boto3 and by hand."""
import datetime
import urllib.error
import urllib.request

import sigv4
from harness import S3Case


class Presigned(S3Case):
    def setUp(self):
        super().setUp()
        self.put("a", b"data")
        self.path = f"/{self.bucket}/a"

    def fetch(self, url, method="GET", body=None, headers=None):
        import ssl
        context = ssl.create_default_context(cafile=self.endpoint.ca) if self.tls else None
        request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
        with urllib.request.urlopen(request, context=context, timeout=30) as response:
            return response.status, response.read(), response.headers

    def url(self, operation, key="a", expires=60, **arguments):
        return self.s3.generate_presigned_url(operation, Params={"Bucket": self.bucket, "Key": key, **arguments}, ExpiresIn=expires)

    def test_each_method_with_boto3(self):
        self.assertEqual((200, b"data"), self.fetch(self.url("get_object"))[:2])
        self.assertEqual("4", self.fetch(self.url("head_object"), "HEAD")[2]["Content-Length"])
        self.assertEqual(200, self.fetch(self.url("put_object", "b"), "PUT", b"put")[0])
        self.assertEqual(b"put", self.body("b"))
        self.assertEqual(204, self.fetch(self.url("delete_object", "b"), "DELETE")[0])
        self.assertEqual(["a"], self.keys())

    def test_keys_that_need_encoding(self):
        for key in ("sp ace+plus", "ünï/çødé", "a%2Fb", "q?x=1&y#z"):
            self.put(key, b"x")
            self.assertEqual(b"x", self.fetch(self.url("get_object", key))[1], key)

    def test_response_overrides(self):
        headers = self.fetch(self.url("get_object", ResponseContentType="text/x-over", ResponseContentDisposition="attachment"))[2]
        self.assertEqual(("text/x-over", "attachment"), (headers["Content-Type"], headers["Content-Disposition"]))

    def test_ranges(self):
        self.assertEqual((206, b"at"), self.fetch(self.url("get_object"), headers={"Range": "bytes=1-2"})[:2])

    def test_the_method_is_signed(self):
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.fetch(self.url("get_object"), "DELETE")
        self.assertEqual(403, caught.exception.code)
        self.assertEqual(["a"], self.keys())

    def test_expiry(self):
        for ago, expires, status in ((0, 1, 200), (10, 5, 403), (600000, 604800, 200), (604900, 604800, 403)):
            with self.subTest(ago=ago, expires=expires):
                answer = self.raw.presigned("GET", self.path, expires=expires, when=sigv4.now() - datetime.timedelta(seconds=ago))
                self.assertEqual(status, answer.status, answer)
                if status == 403:
                    self.assertEqual("AccessDenied", answer.code)

    def test_expiry_out_of_bounds(self):
        for expires in (0, -1, 604801, "x", ""):
            with self.subTest(expires=expires):
                answer = self.raw.presigned("GET", self.path, expires=expires)
                self.assertIn((answer.status, answer.code), ((400, "AuthorizationQueryParametersError"), (403, "AccessDenied")))

    def test_dated_in_the_future(self):
        answer = self.raw.presigned("GET", self.path, when=sigv4.now() + datetime.timedelta(minutes=20))
        self.assertEqual(403, answer.status)

    def test_spoiled_queries(self):
        for spoil in (lambda query: query[:-1] + ("0" if query[-1] != "0" else "1"), lambda query: query.replace("X-Amz-Expires=300", "X-Amz-Expires=3000"),
                      lambda query: query.replace("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders="), lambda query: query.split("&X-Amz-Signature")[0],
                      lambda query: query + "&response-content-type=text%2Fhtml", lambda query: query.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
                      lambda query: query + "&" + query):
            answer = self.raw.presigned("GET", self.path, spoil=spoil)
            self.assertIn(answer.status, (400, 403), answer)

    def test_metadata_headers_cannot_be_added(self):
        answer = self.raw.presigned("PUT", self.path, unsigned={"x-amz-meta-added": "1"}, body=b"x")
        self.assertEqual(403, answer.status)
        self.assertEqual(b"data", self.body("a"))

    def test_amz_items_of_the_query_count_as_headers(self):
        """The JavaScript and Ruby SDKs move headers there."""
        query = [("x-amz-meta-colour", "dark blue"), ("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-sdk-checksum-algorithm", "CRC32"),
                 ("X-Amz-Storage-Class", "STANDARD"), ("x-id", "PutObject")]
        self.assertEqual(200, self.raw.presigned("PUT", self.path, query=query, body=b"new").status)
        head = self.s3.head_object(Bucket=self.bucket, Key="a")
        self.assertEqual(({"colour": "dark blue"}, 3), (head["Metadata"], head["ContentLength"]))
        upload = self.raw.presigned("POST", f"/{self.bucket}/parts", query=[("uploads", None), ("x-amz-meta-k", "v")])
        self.assertEqual(200, upload.status, upload)

    def test_what_is_refused_as_a_header_is_refused_as_an_item(self):
        for name, value in (("x-amz-acl", "public-read"), ("X-Amz-Server-Side-Encryption", "AES256"), ("x-amz-tagging", "a=b"),
                            ("x-amz-storage-class", "GLACIER"), ("x-amz-website-redirect-location", "/x"), ("x-amz-grant-read", "id=1"),
                            ("x-amz-object-lock-mode", "GOVERNANCE")):
            answer = self.raw.presigned("PUT", self.path, query=[(name, value)], body=b"new")
            self.assertEqual((501, "NotImplemented"), (answer.status, answer.code), name)
        for name, value in (("x-amz-copy-source", f"/{self.bucket}/a"), ("x-amz-meta-a", "1\r\nx-evil: 1"), ("x-amz-meta-a\r\nevil", "1")):
            answer = self.raw.presigned("PUT", self.path, query=[(name, value)], body=b"new")
            self.assertEqual(400, answer.status, name)
        self.assertEqual(b"data", self.body("a"))

    def test_pages_are_sandboxed(self):
        self.put("page", b"<script>1</script>", ContentType="text/html; charset=utf-8")
        for key, policy in (("page", "sandbox allow-downloads"), ("a", None)):
            headers = self.fetch(self.url("get_object", key))[2]
            self.assertEqual((policy, "nosniff"), (headers["Content-Security-Policy"], headers["X-Content-Type-Options"]))


class PresignedTls(Presigned):
    tls = True
