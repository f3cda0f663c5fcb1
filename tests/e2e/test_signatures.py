# SPDX-License-Identifier: Apache-2.0
"""Authentication: what a wrong signature, date or key gets, on every operation and with every kind of authentication."""
import datetime
import hashlib

import raw as http
import sigv4
from harness import ACCESS_KEY, S3Case

MINUTE = datetime.timedelta(minutes=1)


class Signatures(S3Case):
    def setUp(self):
        super().setUp()
        self.put("a", b"secret")
        self.path = f"/{self.bucket}/a"

    def operations(self):
        """One request of every kind that there is: (method, path, query, headers, body)."""
        delete = b"<Delete><Object><Key>a</Key></Object></Delete>"
        copy = {"x-amz-copy-source": self.path}
        return [
            ("GET", "/", [], {}, b""), ("PUT", f"/{self.bucket}-other", [], {}, b""), ("HEAD", f"/{self.bucket}", [], {}, b""),
            ("GET", f"/{self.bucket}", [("location", None)], {}, b""), ("GET", f"/{self.bucket}", [], {}, b""),
            ("GET", f"/{self.bucket}", [("list-type", "2")], {}, b""), ("GET", f"/{self.bucket}", [("uploads", None)], {}, b""),
            ("POST", f"/{self.bucket}", [("delete", None)], {}, delete), ("DELETE", f"/{self.bucket}", [], {}, b""),
            ("GET", self.path, [], {}, b""), ("HEAD", self.path, [], {}, b""), ("PUT", self.path, [], {}, b"new"),
            ("PUT", self.path, [], copy, b""), ("DELETE", self.path, [], {}, b""), ("POST", self.path, [("uploads", None)], {}, b""),
            ("PUT", self.path, [("partNumber", "1"), ("uploadId", "x")], {}, b"part"),
            ("PUT", self.path, [("partNumber", "1"), ("uploadId", "x")], copy, b""), ("GET", self.path, [("uploadId", "x")], {}, b""),
            ("POST", self.path, [("uploadId", "x")], {}, b"<CompleteMultipartUpload/>"), ("DELETE", self.path, [("uploadId", "x")], {}, b""),
        ]

    def assert_refused(self, answer, method, codes, statuses=(403,)):
        self.assertIn(answer.status, statuses, answer)
        if method != "HEAD":
            self.assertIn(answer.code, codes)

    def assert_untouched(self):
        self.assertEqual((["a"], b"secret"), (self.keys(), self.body("a")))
        self.assertNotIn("Uploads", self.s3.list_multipart_uploads(Bucket=self.bucket))

    def test_every_operation_refuses_what_is_not_authentic(self):
        wrong = http.Requester(self.endpoint, secret_key="not the secret key")
        stranger = http.Requester(self.endpoint, access_key="AKIASTRANGER")
        old = sigv4.now() - 16 * MINUTE
        for method, path, query, headers, body in self.operations():
            target = path + ("?" + "&".join(key if value is None else f"{key}={value}" for key, value in query) if query else "")
            with self.subTest(method=method, target=target, kind="anonymous"):
                self.assert_refused(self.raw.anonymous(method, target, headers, body), method, {"AccessDenied"})
            with self.subTest(method=method, target=target, kind="wrong secret"):
                self.assert_refused(wrong(method, path, query, headers, body), method, {"SignatureDoesNotMatch"})
            with self.subTest(method=method, target=target, kind="unknown key"):
                self.assert_refused(stranger(method, path, query, headers, body), method, {"InvalidAccessKeyId"})
            with self.subTest(method=method, target=target, kind="skewed clock"):
                self.assert_refused(self.raw(method, path, query, headers, body, when=old), method, {"RequestTimeTooSkewed"})
            with self.subTest(method=method, target=target, kind="presigned, wrong secret"):
                self.assert_refused(wrong.presigned(method, path, query=query, headers=headers, body=body), method, {"SignatureDoesNotMatch"})
            with self.subTest(method=method, target=target, kind="presigned, expired"):
                answer = self.raw.presigned(method, path, expires=60, query=query, headers=headers, body=body, when=sigv4.now() - 5 * MINUTE)
                self.assert_refused(answer, method, {"AccessDenied"})
        self.assert_untouched()

    def test_what_is_signed_cannot_be_changed(self):
        for after in ({"x-amz-date": "20200101T000000Z"}, {"host": "other.example"}, {"x-amz-meta-k": "other"},
                      {"x-amz-content-sha256": sigv4.sha256(b"other")}):
            with self.subTest(after=after):
                request = self.raw.build("PUT", self.path, headers={"x-amz-meta-k": "v"}, body=b"new", after=after)
                answer = self.raw.exchange(request, "PUT")
                self.assertIn(answer.status, (400, 403))
        self.assert_untouched()

    def test_amz_headers_must_be_signed(self):
        request = self.raw.build("PUT", self.path, body=b"new", after={"x-amz-meta-added": "later"})
        self.assertEqual(403, self.raw.exchange(request, "PUT").status)
        self.assert_untouched()

    def test_host_must_be_signed(self):
        when = sigv4.now()
        headers = {"x-amz-date": f"{when:%Y%m%dT%H%M%SZ}", "x-amz-content-sha256": sigv4.EMPTY_HASH}
        signed = self.raw.signer.authorize("GET", self.path, [], headers, sigv4.EMPTY_HASH, when)
        answer = self.raw.exchange(http.render("GET", self.path, {"host": self.endpoint.netloc, **signed}))
        self.assertIn(answer.status, (400, 403))

    def test_query_and_path_are_signed(self):
        request = self.raw.build("GET", self.path).replace(b"/a HTTP", b"/b HTTP")
        self.assertEqual("SignatureDoesNotMatch", self.raw.exchange(request).code)
        request = self.raw.build("GET", self.path).replace(b"/a HTTP", b"/a?versionId=null HTTP")
        self.assertEqual("SignatureDoesNotMatch", self.raw.exchange(request).code)

    def test_clocks_within_a_quarter_of_an_hour(self):
        for minutes, status in ((-14, 200), (14, 200), (-16, 403), (16, 403)):
            with self.subTest(minutes=minutes):
                answer = self.raw("GET", self.path, when=sigv4.now() + minutes * MINUTE)
                self.assertEqual(status, answer.status)
                if status == 403:
                    self.assertEqual("RequestTimeTooSkewed", answer.code)

    def test_malformed_authorization(self):
        good = self.raw.signer.authorize("GET", self.path, [], {"host": self.endpoint.netloc}, sigv4.EMPTY_HASH)
        value = good["authorization"]
        for bad in ("", "AWS4-HMAC-SHA256", value.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"), value.replace("/s3/", "/ec2/"),
                    value.replace("aws4_request", "aws5_request"), value.replace("Credential=", "Credential"), value.split(", Signature")[0],
                    value[:-1], value + "0", value.replace("Signature=", "Signature=zz"), value.replace(f"={ACCESS_KEY}/", "=/"),
                    value.replace("SignedHeaders=", "SignedHeaders=;"), f"AWS {ACCESS_KEY}:c2lnbmF0dXJl", "Basic dXNlcjpwYXNz", "Bearer x",
                    value + ", " + value, "AWS4-HMAC-SHA256 " + "x" * 5000):
            with self.subTest(bad=bad[:80]):
                answer = self.raw.exchange(http.render("GET", self.path, {**good, "authorization": bad}))
                self.assertIn(answer.status, (400, 403), answer)
                self.assertIn(answer.code, ("AuthorizationHeaderMalformed", "AccessDenied", "InvalidRequest", "SignatureDoesNotMatch",
                                            "InvalidArgument", "InvalidAccessKeyId", "AuthorizationQueryParametersError"))

    def test_malformed_dates(self):
        for date in ("", "yesterday", "20240230T000000Z", "2024-01-01T00:00:00Z", "99999999T999999Z"):
            with self.subTest(date=date):
                request = self.raw.build("GET", self.path, after={"x-amz-date": date or None})
                self.assertIn(self.raw.exchange(request).status, (400, 403))

    def test_any_region_is_accepted(self):
        for region in ("eu-central-1", "auto", "garage"):
            requester = http.Requester(self.endpoint)
            requester.signer.region = region
            self.assertEqual(200, requester("GET", self.path).status, region)

    def test_header_forms_are_canonicalised_as_aws_does(self):
        headers = {"host": self.endpoint.netloc, "x-amz-meta-spaces": "a  b   c", "x-amz-meta-edge": "v"}
        signed = self.raw.signer.authorize("PUT", self.path, [], {**headers, "content-length": "1"}, hashlib.sha256(b"x").hexdigest())
        request = http.render("PUT", self.path, signed, b"x").decode()
        for old, new in (("x-amz-meta-spaces: a  b", "X-AMZ-Meta-Spaces:   a  b"), ("x-amz-meta-edge: v", "X-Amz-meta-EDGE:\tv  \t"),
                         ("authorization: ", "AUTHORIZATION:   ")):
            request = request.replace(old, new)
        self.assertEqual(200, self.raw.exchange(request.encode(), "PUT").status)

    def test_repeated_headers_are_joined(self):
        headers = {"host": self.endpoint.netloc, "x-amz-meta-list": "one,two", "content-length": "1"}
        signed = self.raw.signer.authorize("PUT", self.path, [], headers, hashlib.sha256(b"x").hexdigest())
        request = http.render("PUT", self.path, signed, b"x").replace(b"x-amz-meta-list: one,two", b"x-amz-meta-list: one\r\nx-amz-meta-list: two")
        self.assertEqual(200, self.raw.exchange(request, "PUT").status)
        self.assertEqual("one,two", self.s3.head_object(Bucket=self.bucket, Key="a")["Metadata"]["list"])

    def test_a_hash_is_required(self):
        request = self.raw.build("PUT", self.path, body=b"new", after={"x-amz-content-sha256": None})
        self.assertIn(self.raw.exchange(request, "PUT").status, (400, 403))
        for value in ("xyz", "0" * 63, "STREAMING-OTHER", "unsigned-payload"):
            answer = self.raw("PUT", self.path, body=b"new", payload_hash=value)
            self.assertEqual(400, answer.status, answer)
        self.assert_untouched()

    def test_both_kinds_at_once_are_refused(self):
        query = self.raw.signer.presign("GET", self.path, [], {"host": self.endpoint.netloc}, 60)
        good = self.raw.signer.authorize("GET", self.path, [], {"host": self.endpoint.netloc}, sigv4.EMPTY_HASH)
        self.assertEqual(400, self.raw.exchange(http.render("GET", f"{self.path}?{query}", good)).status)


class SignaturesTls(Signatures):
    tls = True
