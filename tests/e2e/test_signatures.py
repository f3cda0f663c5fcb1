# SPDX-License-Identifier: Apache-2.0
"""Authentication: what a wrong signature, date or key gets, on every operation and with every kind of authentication."""
import datetime
import hashlib
import html

import raw as http
import sigv4
import harness
from harness import ACCESS_KEY, S3Case, Server, needs_own_server

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


    def test_an_empty_region(self):
        requester = http.Requester(self.endpoint)
        requester.signer.region = ""
        self.assertEqual(200, requester("GET", self.path).status)

    def test_a_host_signed_without_its_port(self):
        when = sigv4.now()
        signed = self.raw.signer.authorize("GET", self.path, [], {"host": self.endpoint.host}, sigv4.EMPTY_HASH, when)
        self.assertEqual(200, self.raw.exchange(http.render("GET", self.path, {**signed, "host": self.endpoint.netloc})).status)
        signed = self.raw.signer.authorize("GET", self.path, [], {"host": "elsewhere"}, sigv4.EMPTY_HASH, when)
        self.assertEqual(403, self.raw.exchange(http.render("GET", self.path, {**signed, "host": self.endpoint.netloc})).status)

    def test_a_token_of_nobody(self):
        self.assertEqual("InvalidToken", self.raw("GET", self.path, headers={"x-amz-security-token": "t"}).code)
        self.assertEqual("InvalidToken", self.raw.presigned("GET", self.path, query=[("X-Amz-Security-Token", "t")]).code)

    def test_a_mismatch_is_explained(self):
        answer = http.Requester(self.endpoint, secret_key="not the secret key")("GET", self.path)
        texts = {name: answer.xml.findtext(name) for name in ("StringToSign", "StringToSignBytes", "CanonicalRequest", "CanonicalRequestBytes")}
        for name in ("StringToSign", "CanonicalRequest"):
            self.assertEqual(texts[name].encode(), bytes.fromhex(texts[name + "Bytes"]))
        self.assertTrue(texts["StringToSign"].endswith(sigv4.sha256(texts["CanonicalRequest"].encode())))
        self.assertEqual(ACCESS_KEY, answer.xml.findtext("AWSAccessKeyId"))

    def test_refusals_say_what_is_wrong(self):
        def elements(answer, *names):
            return [answer.xml.findtext(name) for name in names]

        old = sigv4.now() - 20 * MINUTE
        skewed = self.raw("GET", self.path, when=old)
        self.assertEqual(["RequestTimeTooSkewed", f"{old:%Y%m%dT%H%M%SZ}", "900000"],
                         elements(skewed, "Code", "RequestTime", "MaxAllowedSkewMilliseconds"))
        expired = self.raw.presigned("GET", self.path, expires=60, when=old)
        self.assertEqual(["AccessDenied", "Request has expired", "60", f"{old + MINUTE:%Y-%m-%dT%H:%M:%SZ}"],
                         elements(expired, "Code", "Message", "X-Amz-Expires", "Expires"))
        for answer in (skewed, expired):
            self.assertRegex(answer.xml.findtext("ServerTime"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        added = self.raw.exchange(self.raw.build("PUT", self.path, body=b"new", after={"x-amz-meta-added": "later"}), "PUT")
        self.assertEqual(["AccessDenied", "x-amz-meta-added"], elements(added, "Code", "HeadersNotSigned"))
        for expires, message in ((-1, "must be non-negative"), (604801, "must be less than a week"), ("x", "should be a number")):
            refused = self.raw.presigned("GET", self.path, expires=expires)
            self.assertEqual("AuthorizationQueryParametersError", refused.code)
            self.assertIn(f"X-Amz-Expires {message}", refused.xml.findtext("Message"))

    def test_an_anonymous_head_of_a_bucket_tells_the_region(self):
        answer = self.raw.anonymous("HEAD", f"/{self.bucket}")
        self.assertEqual((403, "us-east-1"), (answer.status, answer.header("x-amz-bucket-region")))


def mend_path(request, **_):
    """Debian 12's botocore (1.29) signs an operation's own query ("?uploads") twice, once as a part of the path. AWS refuses
    that as the server does, and later versions do what this does."""
    if request.auth_path:
        path = request.auth_path.split("?")[0]
        request.auth_path = path if path.count("/") > 1 else path + "/"


class VersionTwo(S3Case):
    """Signature version 2, signed by botocore."""

    def setUp(self):
        super().setUp()
        self.v2 = self.endpoint.boto3(signature_version="s3")
        self.v2.meta.events.register_first("before-sign.s3", mend_path)
        self.path = f"/{self.bucket}/a"

    def test_operations(self):
        self.v2.put_object(Bucket=self.bucket, Key="a b/ü+c", Body=b"data", ContentType="text/x", Metadata={"k": "v  w"}, ContentDisposition="inline")
        got = self.v2.get_object(Bucket=self.bucket, Key="a b/ü+c", ResponseContentLanguage="de, en", Range="bytes=1-2")
        self.assertEqual((b"at", "de, en", "text/x"), (got["Body"].read(), got["ContentLanguage"], got["ContentType"]))
        self.v2.copy_object(Bucket=self.bucket, Key="copy", CopySource={"Bucket": self.bucket, "Key": "a b/ü+c"})
        self.assertEqual(["a b/ü+c", "copy"], [item["Key"] for item in self.v2.list_objects_v2(Bucket=self.bucket)["Contents"]])
        upload = self.v2.create_multipart_upload(Bucket=self.bucket, Key="parts")["UploadId"]
        part = self.v2.upload_part(Bucket=self.bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"x" * 100)
        self.v2.list_parts(Bucket=self.bucket, Key="parts", UploadId=upload)
        self.v2.complete_multipart_upload(Bucket=self.bucket, Key="parts", UploadId=upload, MultipartUpload={
            "Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
        self.v2.delete_objects(Bucket=self.bucket, Delete={"Objects": [{"Key": "copy"}, {"Key": "parts"}]})
        self.v2.delete_object(Bucket=self.bucket, Key="a b/ü+c")
        self.assertEqual([], self.keys())
        self.v2.get_bucket_location(Bucket=self.bucket)
        self.assertIn(self.bucket, [bucket["Name"] for bucket in self.v2.list_buckets()["Buckets"]])

    def test_urls(self):
        def fetch(url, method, body=b"", headers=None):
            return self.raw.anonymous(method, url.split(self.endpoint.netloc, 1)[1], headers, body)
        url = self.v2.generate_presigned_url("put_object", Params={
            "Bucket": self.bucket, "Key": "a", "ContentType": "text/x", "Metadata": {"k": "v w"}})
        self.assertIn("AWSAccessKeyId=", url)
        self.assertEqual(200, fetch(url, "PUT", b"one").status)
        head = self.s3.head_object(Bucket=self.bucket, Key="a")
        self.assertEqual(("text/x", {"k": "v w"}), (head["ContentType"], head["Metadata"]))
        self.assertEqual(200, fetch(url, "PUT", b"two", {"content-type": "text/x", "x-amz-meta-k": "v w"}).status)
        self.assertEqual(403, fetch(url, "PUT", b"no", {"content-type": "text/html"}).status)
        self.assertEqual(403, fetch(url.replace("v%20w", "v%20x"), "PUT", b"no").status)
        url = self.v2.generate_presigned_url("get_object", Params={"Bucket": self.bucket, "Key": "a", "ResponseContentType": "text/a b"})
        answer = fetch(url, "GET")
        self.assertEqual((b"two", "text/a b"), (answer.body, answer.header("content-type")))
        for spoiled in (url.replace("/a?", "/b?"), url + "&versionId=1", url + "&uploads", url.replace("text%2Fa", "text%2Fb"),
                        url.replace("Expires=1", "Expires=2"), url.replace("Signature=", "Signature=x")):
            self.assertIn(fetch(spoiled, "GET").status, (400, 403), spoiled)
        self.assertEqual(403, fetch(url, "DELETE").status)
        url = self.v2.generate_presigned_url("get_object", Params={"Bucket": self.bucket, "Key": "a"}, ExpiresIn=-10)
        self.assertEqual("AccessDenied", fetch(url, "GET").code)
        url = self.v2.generate_presigned_url("get_object", Params={"Bucket": self.bucket, "Key": "a"}, ExpiresIn=9 * 24 * 3600)
        self.assertEqual("AuthorizationQueryParametersError", fetch(url, "GET").code)

    def test_what_boto3_presigns_by_default(self):
        import boto3
        client = boto3.client("s3", endpoint_url=self.endpoint.url, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=harness.SECRET_KEY,
                              region_name="us-east-1", verify=self.endpoint.ca)
        self.put("a", b"data")
        url = client.generate_presigned_url("get_object", Params={"Bucket": self.bucket, "Key": "a"})
        self.assertEqual(b"data", self.raw.anonymous("GET", url.split(self.endpoint.netloc, 1)[1]).body)

    def test_streaming_needs_version_4(self):
        import time
        self.put("a", b"data")
        query = self.raw.signer.presign_v2("GET", self.path, int(time.time()) + 60)
        self.assertEqual(b"data", self.raw.anonymous("GET", f"{self.path}?{query}").body)
        for payload in (sigv4.SIGNED_CHUNKS, sigv4.SIGNED_CHUNKS_TRAILER, sigv4.UNSIGNED_TRAILER):
            answer = self.raw.anonymous("PUT", f"{self.path}?{query}", {"x-amz-content-sha256": payload}, b"0\r\n\r\n")
            self.assertEqual((400, "InvalidRequest"), (answer.status, answer.code))

    def test_the_rename_is_not_covered(self):
        import time
        self.put("a", b"data")
        query = self.raw.signer.presign_v2("PUT", self.path, int(time.time()) + 60)
        answer = self.raw.anonymous("PUT", f"{self.path}?{query}&renameObject", {"x-amz-rename-source": "b"})
        self.assertEqual(403, answer.status)

    @needs_own_server
    def test_it_can_be_switched_off(self):
        with Server(arguments=["--sigv2", "off"]) as server:
            harness.boto3_client(server.endpoint).create_bucket(Bucket="bucket-one")
            old = harness.boto3_client(server.endpoint, signature_version="s3")
            url = old.generate_presigned_url("list_objects_v2", Params={"Bucket": "bucket-one"})
            answers = [http.Requester(harness.endpoint_of(server)).anonymous("GET", url.split(f":{server.port}", 1)[1])]
            answers.append(http.Requester(harness.endpoint_of(server)).anonymous("GET", "/bucket-one", {
                "date": "Tue, 27 Mar 2007 19:36:42 GMT", "authorization": f"AWS {ACCESS_KEY}:x"}))
            for answer in answers:
                self.assertEqual((400, "InvalidRequest"), (answer.status, answer.code))
                self.assertIn("signature_version='s3v4'", html.unescape(answer.body.decode()))


class SignaturesTls(Signatures):
    tls = True
