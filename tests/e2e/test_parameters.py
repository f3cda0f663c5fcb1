# SPDX-License-Identifier: Apache-2.0
"""No parameter vanishes. Each one that the AWS SDKs know for an operation that is built (s3_parameters.txt, made by
tools/s3_parameters.py) is sent, and does what stands here: it changes the outcome, is refused with the right error, or
is harmless for the reason given. Then come names that nobody knows, misspelt ones, and those given twice."""
import base64
import contextlib
import hashlib
import os
import re
from dataclasses import dataclass, field

from harness import S3Case


@dataclass
class Used:
    """With this value the outcome differs from the one without."""
    value: str
    also: dict = field(default_factory=dict)  # headers or query items of both requests


@dataclass
class Refused:
    value: str
    status: int = 501
    code: str = "NotImplemented"


@dataclass
class Harmless:
    """The outcome is the same, which is right because of `reason`."""
    value: str
    reason: str


@dataclass
class Elsewhere:
    test: str


LONG_AGO, REPLACE = "Sat, 01 Jan 2000 00:00:00 GMT", {"x-amz-metadata-directive": "REPLACE"}
LAST_MODIFIED = "the object's own"  # replaced by its Last-Modified: not modified since
CONDITIONS = {"if-match": Used('"0"'), "if-none-match": Used("*"), "if-modified-since": Used(LAST_MODIFIED),
              "if-unmodified-since": Used(LONG_AGO)}


def zeros(size):
    return base64.b64encode(bytes(size)).decode()


HEADERS = {
    "x-amz-acl": Refused("public-read"),
    "x-amz-bucket-namespace": Refused("account-regional"),
    "x-amz-bucket-object-lock-enabled": Refused("true"),
    "x-amz-bypass-governance-retention": Harmless("true", "nothing is ever retained"),
    "x-amz-checksum-algorithm": Used("SHA256"),
    "x-amz-checksum-crc32": Used(zeros(4)), "x-amz-checksum-crc32c": Used(zeros(4)), "x-amz-checksum-crc64nvme": Used(zeros(8)),
    "x-amz-checksum-sha1": Used(zeros(20)), "x-amz-checksum-sha256": Used(zeros(32)),
    **{f"x-amz-checksum-{kind}": Refused(zeros(8)) for kind in ("md5", "sha512", "xxhash3", "xxhash64", "xxhash128")},
    "x-amz-checksum-mode": Used("ENABLED"),
    "x-amz-checksum-type": Used("NONSENSE"),
    "x-amz-client-token": Used("with a space"),
    "x-amz-copy-source": Used("{bucket}/b/1"),
    **{f"x-amz-copy-source-{name}": used for name, used in CONDITIONS.items()},
    "x-amz-copy-source-range": Used("bytes=0-1"),
    **{f"x-amz-{which}server-side-encryption-customer-{name}": Refused(value) for which in ("", "copy-source-")
       for name, value in (("algorithm", "AES256"), ("key", zeros(32)), ("key-MD5", zeros(16)))},
    "x-amz-server-side-encryption": Refused("AES256"),
    "x-amz-server-side-encryption-aws-kms-key-id": Refused("key"),
    "x-amz-server-side-encryption-bucket-key-enabled": Refused("true"),
    "x-amz-server-side-encryption-context": Refused("e30="),
    "x-amz-expected-bucket-owner": Used("999999999999"),
    "x-amz-source-expected-bucket-owner": Used("999999999999"),
    **{f"x-amz-grant-{right}": Refused("id=1") for right in ("full-control", "read", "read-acp", "write", "write-acp")},
    "x-amz-if-match-initiated-time": Refused(LONG_AGO),
    "x-amz-if-match-last-modified-time": Refused(LONG_AGO),
    "x-amz-if-match-size": Refused("4"),
    "x-amz-metadata-directive": Used("REPLACE"),
    "x-amz-mfa": Refused("serial 123456"),
    "x-amz-mp-object-size": Used("1"),
    "x-amz-object-lock-legal-hold": Refused("ON"),
    "x-amz-object-lock-mode": Refused("GOVERNANCE"),
    "x-amz-object-lock-retain-until-date": Refused("2100-01-01T00:00:00Z"),
    "x-amz-object-ownership": Refused("ObjectWriter"),
    "x-amz-optional-object-attributes": Harmless("RestoreStatus", "nothing was ever restored, so there is nothing to list"),
    "x-amz-rename-source": Used("b/1"),
    **{f"x-amz-rename-source-{name}": used for name, used in CONDITIONS.items()},
    "x-amz-request-payer": Harmless("requester", "nobody pays"),
    "x-amz-sdk-checksum-algorithm": Elsewhere("test_payloads: it is held against the checksum that comes"),
    "x-amz-storage-class": Refused("GLACIER"),
    "x-amz-tagging": Refused("a=b"),
    "x-amz-tagging-directive": Harmless("REPLACE", "there are no tags, so both leave none"),
    "x-amz-website-redirect-location": Refused("/elsewhere"),
    "x-amz-write-offset-bytes": Refused("0"),
    "cache-control": Used("no-cache"), "content-disposition": Used("inline"), "content-encoding": Used("gzip"),
    "content-language": Used("de"), "content-type": Used("text/x-test"), "expires": Used(LONG_AGO),
    "content-length": Elsewhere("test_http"),
    "content-md5": Used(zeros(16)),
    "x-amz-meta-": Used("blue"),
    "range": Used("bytes=0-1"),
    **CONDITIONS,
}
QUERY = {
    "bucket-region": Used("eu-nowhere-1"), "continuation-token": Used("nonsense"), "delimiter": Used("/"), "encoding-type": Used("url"),
    "fetch-owner": Used("true"), "key-marker": Used("zzz"), "marker": Used("a"), "max-buckets": Used("none"), "max-keys": Used("1"),
    "max-parts": Used("0"), "max-uploads": Used("0"), "part-number-marker": Used("5"), "partNumber": Used("2"), "prefix": Used("b"),
    **{f"response-{name}": Used("Sat, 01 Jan 2000 00:00:00 GMT") for name in
       ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires")},
    "start-after": Used("a"), "upload-id-marker": Used("nonsense", {"key-marker": "uploaded"}), "uploadId": Used("0" * 32),
    "versionId": Refused("abc"),
}
BODY = {
    # Checked, then passed over: there is one place, which answers to every region (docs/parameters.md).
    "CreateBucketConfiguration/LocationConstraint": Used("<LocationConstraint>not a region</LocationConstraint>"),
    **dict.fromkeys(("CreateBucketConfiguration/Location", "CreateBucketConfiguration/Location/Type", "CreateBucketConfiguration/Location/Name"),
                    Refused("<Location><Name>usw2-az1</Name><Type>AvailabilityZone</Type></Location>")),
    **dict.fromkeys(("CreateBucketConfiguration/Bucket", "CreateBucketConfiguration/Bucket/DataRedundancy", "CreateBucketConfiguration/Bucket/Type"),
                    Refused("<Bucket><DataRedundancy>SingleAvailabilityZone</DataRedundancy><Type>Directory</Type></Bucket>")),
    **dict.fromkeys(("CreateBucketConfiguration/Tags", "CreateBucketConfiguration/Tags/Key", "CreateBucketConfiguration/Tags/Value"),
                    Refused("<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>")),
    "Delete/Object": Used("<Object><Key>b/1</Key></Object>"), "Delete/Object/Key": Used("<Object><Key>b/1</Key></Object>"),
    "Delete/Object/VersionId": Used("<VersionId>abc</VersionId>"), "Delete/Object/ETag": Used("<ETag>0</ETag>"),
    "Delete/Object/LastModifiedTime": Used(f"<LastModifiedTime>{LONG_AGO}</LastModifiedTime>"), "Delete/Object/Size": Used("<Size>4</Size>"),
    "Delete/Quiet": Used("<Quiet>true</Quiet>"),
    "CompleteMultipartUpload/Part": Used("<Part><PartNumber>2</PartNumber><ETag>0</ETag></Part>"),
    "CompleteMultipartUpload/Part/ETag": Used("<Part><PartNumber>2</PartNumber><ETag>0</ETag></Part>"),
    "CompleteMultipartUpload/Part/PartNumber": Used("<Part><PartNumber>1</PartNumber><ETag>0</ETag></Part>"),
    **{f"CompleteMultipartUpload/Part/Checksum{kind}": Used(f"<Checksum{kind}>{zeros(size)}</Checksum{kind}>")
       for kind, size in (("CRC32", 4), ("CRC32C", 4), ("CRC64NVME", 8), ("SHA1", 20), ("SHA256", 32))},
    **{f"CompleteMultipartUpload/Part/Checksum{kind}": Refused(f"<Checksum{kind}>{zeros(8)}</Checksum{kind}>")
       for kind in ("MD5", "SHA512", "XXHASH3", "XXHASH64", "XXHASH128")},
}
# Where an operation differs from the rest.
SPECIAL = {
    **{("CopyObject", "header", name): Used(HEADERS[name].value, REPLACE) for name in (
        "cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires", "x-amz-meta-")},
    ("CopyObject", "header", "x-amz-checksum-algorithm"): Used("SHA1"),  # the source has SHA256
    ("GetObject", "query", "partNumber"): Used("1"), ("HeadObject", "query", "partNumber"): Used("1"),
    ("CreateMultipartUpload", "header", "x-amz-checksum-algorithm"): Used("CRC64NVME"),  # others want checksums of parts
    ("CreateMultipartUpload", "header", "x-amz-checksum-type"): Used("COMPOSITE"),
    # One of an algorithm that the parts do not have cannot be compared, as at AWS.
    **{("CompleteMultipartUpload", "header", f"x-amz-checksum-{kind}"): Elsewhere("test_multipart: of the object")
       for kind in ("crc32", "crc32c", "sha1", "sha256")},
}


def table():
    with open(os.path.join(os.path.dirname(__file__), "s3_parameters.txt"), encoding="utf-8") as file:
        return [tuple(line.split()) for line in file if not line.startswith("#")]


def expectation(operation, where, name):
    name = name.lower() if where == "header" and not name.startswith("x-amz") else name
    return SPECIAL.get((operation, where, name)) or {"header": HEADERS, "query": QUERY, "body": BODY}[where][name]


@dataclass
class Request:
    method: str
    path: str
    query: dict = field(default_factory=dict)
    headers: dict = field(default_factory=dict)
    body: bytes = b""


VOLATILE = re.compile(rb"<(RequestId|HostId|LastModified|Initiated|CreationDate|UploadId|Resource)>[^<]*</\1>")
KEPT_HEADERS = {"date", "x-amz-request-id", "x-amz-id-2", "last-modified", "location", "content-length"}


class Parameters(S3Case):
    OBJECT_OPERATIONS = ("GetObject", "HeadObject", "PutObject", "CopyObject", "DeleteObject", "CreateMultipartUpload", "UploadPart",
                         "UploadPartCopy", "CompleteMultipartUpload", "AbortMultipartUpload", "ListParts", "RenameObject")
    OPERATIONS = OBJECT_OPERATIONS + ("ListBuckets", "CreateBucket", "DeleteBucket", "HeadBucket", "GetBucketLocation", "ListObjects",
                                      "ListObjectsV2", "ListMultipartUploads", "DeleteObjects")

    def setUp(self):
        super().setUp()
        self.other = f"{self.bucket}-other"
        self.addCleanup(self.remove_bucket, self.other)
        for key in ("b/1", "b/2 with a space"):
            self.put(key, key.encode())
        self.upload = None

    def prepare(self, operation):
        """A good request for the operation, on objects and uploads made anew."""
        self.put("a", b"data", ContentType="text/plain", ChecksumAlgorithm="SHA256")
        self.put("there", b"was here")
        if self.upload:
            with contextlib.suppress(self.s3.exceptions.NoSuchUpload):
                self.s3.abort_multipart_upload(Bucket=self.bucket, Key="uploaded", UploadId=self.upload)
        self.upload = self.s3.create_multipart_upload(Bucket=self.bucket, Key="uploaded")["UploadId"]
        self.put("uploaded", b"was here")
        etag = self.raw("PUT", f"/{self.bucket}/uploaded", [("partNumber", "1"), ("uploadId", self.upload)], body=b"part").header("etag")
        if operation == "DeleteBucket":
            self.s3.create_bucket(Bucket=self.other)
        else:
            self.remove_bucket(self.other)
        root, a, there, uploaded = f"/{self.bucket}", f"/{self.bucket}/a", f"/{self.bucket}/there", f"/{self.bucket}/uploaded"
        copy, of_upload = {"x-amz-copy-source": f"{self.bucket}/a"}, {"uploadId": self.upload}
        deletion = b"<Delete><Object><Key>a</Key></Object></Delete>"
        parts = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>".encode()
        return {
            "ListBuckets": Request("GET", "/"), "CreateBucket": Request("PUT", f"/{self.other}"),
            "DeleteBucket": Request("DELETE", f"/{self.other}"), "HeadBucket": Request("HEAD", root),
            "GetBucketLocation": Request("GET", root, {"location": None}), "ListObjects": Request("GET", root),
            "ListObjectsV2": Request("GET", root, {"list-type": "2"}), "ListMultipartUploads": Request("GET", root, {"uploads": None}),
            "DeleteObjects": Request("POST", root, {"delete": None}, {"content-md5": md5_base64(deletion)}, deletion),
            "GetObject": Request("GET", a), "HeadObject": Request("HEAD", a), "PutObject": Request("PUT", a, body=b"new"),
            "CopyObject": Request("PUT", there, headers=copy), "DeleteObject": Request("DELETE", a),
            "CreateMultipartUpload": Request("POST", uploaded, {"uploads": None}),
            "UploadPart": Request("PUT", uploaded, {"partNumber": "1", **of_upload}, body=b"again"),
            "UploadPartCopy": Request("PUT", uploaded, {"partNumber": "1", **of_upload}, copy),
            "CompleteMultipartUpload": Request("POST", uploaded, of_upload, body=parts),
            "AbortMultipartUpload": Request("DELETE", uploaded, of_upload), "ListParts": Request("GET", uploaded, of_upload),
            "RenameObject": Request("PUT", there, {"renameObject": None}, {"x-amz-rename-source": "a"}),
        }[operation]

    def apply(self, request, where, name, value):
        value = value.replace("{bucket}", self.bucket)
        if value == LAST_MODIFIED:
            key = request.path.split("/", 2)[2] if name in CONDITIONS else "a"
            value = self.raw("HEAD", f"/{self.bucket}/{key}").header("last-modified")
        if where == "header":
            request.headers["x-amz-meta-colour" if name == "x-amz-meta-" else name.lower()] = value
        elif where == "query":
            request.query[name] = value
        else:
            self.apply_to_body(request, name, value)

    def apply_to_body(self, request, path, text):
        root, *inner = path.split("/")
        body = request.body.decode() or f"<{root}></{root}>"
        if inner and inner[0] in ("Object", "Part") and len(inner) == 2 and not text.startswith(f"<{inner[0]}>"):
            body = body.replace(f"</{inner[0]}>", f"{text}</{inner[0]}>", 1)
        else:
            body = body.replace(f"</{root}>", f"{text}</{root}>")
        request.body = body.encode()
        if "content-md5" in request.headers:
            request.headers["content-md5"] = md5_base64(request.body)

    def send(self, request):
        return self.raw(request.method, request.path, list(request.query.items()), request.headers, request.body)

    def effects(self, operation, answer):
        """All that tells one outcome from another: the answer, and what the bucket holds afterwards."""
        seen = [answer.status, {name: value for name, value in answer.headers.items() if name not in KEPT_HEADERS},
                VOLATILE.sub(b"", answer.body).replace(self.upload.encode(), b"the upload")]
        if operation == "CreateMultipartUpload" and answer.status == 200:
            upload = answer.xml.findtext("UploadId")
            etag = self.raw("PUT", f"/{self.bucket}/uploaded", [("partNumber", "1"), ("uploadId", upload)], body=b"part").header("etag")
            self.s3.complete_multipart_upload(Bucket=self.bucket, Key="uploaded", UploadId=upload,
                                              MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
        for key in ("a", "there", "uploaded", "b/1"):
            got = self.raw("GET", f"/{self.bucket}/{key}")
            seen += [key, got.status, {name: value for name, value in got.headers.items() if name not in KEPT_HEADERS}]
        parts = self.raw("GET", f"/{self.bucket}/uploaded", [("uploadId", self.upload)])
        return seen + [VOLATILE.sub(b"", parts.body)]

    def outcome(self, operation, extra):
        request = self.prepare(operation)
        for where, name, value in extra:
            self.apply(request, where, name, value)
        answer = self.send(request)
        return answer, self.effects(operation, answer)

    def check(self, operation, where, name, expected):
        also = [("query" if key in QUERY else "header", key, value) for key, value in getattr(expected, "also", {}).items()]
        answer, effects = self.outcome(operation, [*also, (where, name, expected.value)])
        if isinstance(expected, Refused):
            status = expected.status
            self.assertEqual(status, answer.status, answer)
            if answer.body:
                self.assertEqual(expected.code, answer.code, answer)
            return
        plain, without = self.outcome(operation, also)
        self.assertLess(plain.status, 300, plain)
        if isinstance(expected, Used):
            self.assertNotEqual(without, effects)
        else:
            self.assertEqual(without, effects, expected.reason)

    def test_every_parameter(self):
        for operation, where, name in table():
            with self.subTest(operation=operation, where=where, name=name):
                expected = expectation(operation, where, name)
                if not isinstance(expected, Elsewhere):
                    self.check(operation, where, name, expected)

    def test_the_table_is_whole(self):
        self.assertEqual(set(self.OPERATIONS), {operation for operation, _, _ in table()} | {"ListBuckets"})
        known = {"header": HEADERS, "query": QUERY, "body": BODY}
        named = {(where, name if where != "header" or name.startswith("x-amz") else name.lower()) for _, where, name in table()}
        self.assertEqual(named, {(where, name) for where, names in known.items() for name in names})

    def assert_unchanged(self, operation, extra, status, code):
        """Refused, and nothing done."""
        request = self.prepare(operation)
        before = self.keys(), self.body("a"), self.body("there"), self.body("uploaded")
        for where, name, value in extra:
            self.apply(request, where, name, value)
        answer = self.send(request)
        self.assertEqual((status, code if answer.body else None), (answer.status, answer.code if answer.body else None), answer)
        self.assertEqual(before, (self.keys(), self.body("a"), self.body("there"), self.body("uploaded")))
        return answer

    def test_headers_that_nobody_knows(self):
        for operation in self.OPERATIONS:
            with self.subTest(operation=operation):
                answer = self.assert_unchanged(operation, [("header", "x-amz-new-thing", "on")], 501, "NotImplemented")
                if answer.body:
                    self.assertEqual(("x-amz-new-thing", "on"), (answer.xml.findtext("Header"), answer.xml.findtext("Value")))

    def test_headers_of_other_operations(self):
        copy = [("header", "x-amz-copy-source-if-match", '"0"')]
        for operation in ("PutObject", "DeleteObject", "UploadPart", "CompleteMultipartUpload", "GetObject"):
            self.assert_unchanged(operation, copy, 400, "InvalidArgument")
        self.assert_unchanged("DeleteObject", [("header", "x-amz-copy-source", "{bucket}/b/1")], 400, "InvalidArgument")
        self.assert_unchanged("PutObject", [("header", "x-amz-rename-source", "b/1")], 501, "NotImplemented")
        self.assert_unchanged("CopyObject", [("header", "x-amz-copy-source-range", "bytes=0-1")], 400, "InvalidArgument")
        self.assert_unchanged("CopyObject", [("header", "x-amz-checksum-crc32", zeros(4))], 501, "NotImplemented")
        for operation in ("UploadPart", "CompleteMultipartUpload", "RenameObject"):
            self.assert_unchanged(operation, [("header", "x-amz-meta-", "blue")], 400, "InvalidArgument")
        self.assert_unchanged("PutObject", [("header", "x-amz-checksum-algorithm", "CRC32")], 501, "NotImplemented")

    def test_versions_and_parts(self):
        for operation in self.OBJECT_OPERATIONS:
            with self.subTest(operation=operation):
                self.assert_unchanged(operation, [("query", "versionId", "")], 400, "InvalidArgument")
                self.assert_unchanged(operation, [("query", "versionid", "null")], 400, "InvalidArgument")
                if operation not in ("GetObject", "HeadObject", "UploadPart", "UploadPartCopy"):
                    self.assert_unchanged(operation, [("query", "partNumber", "1")], 400, "InvalidArgument")
                if operation not in ("GetObject", "HeadObject", "DeleteObject"):
                    self.assert_unchanged(operation, [("query", "versionId", "null")], 400, "InvalidArgument")

    def test_misspelt_and_misplaced_items(self):
        for name in ("response-content-typ", "response-content-length", "response-Content-Type", "response-"):
            self.assert_unchanged("GetObject", [("query", name, "x")], 400, "InvalidArgument")
        self.assert_unchanged("PutObject", [("query", "response-content-type", "x")], 400, "InvalidArgument")
        self.assert_unchanged("ListObjectsV2", [("query", "marker", "a")], 400, "InvalidArgument")
        self.assert_unchanged("ListObjects", [("query", "start-after", "a")], 400, "InvalidArgument")
        self.assert_unchanged("ListParts", [("query", "prefix", "a")], 400, "InvalidArgument")

    def test_arguments_given_twice(self):
        answer = self.raw("DELETE", f"/{self.bucket}/b/1", [("versionId", "null"), ("versionId", "abc")])
        self.assertEqual((400, "InvalidArgument"), (answer.status, answer.code))
        answer = self.raw("GET", f"/{self.bucket}", [("prefix", "a"), ("prefix", "b")])
        self.assertEqual((400, "InvalidArgument"), (answer.status, answer.code))
        self.assertIn("b/1", self.keys())

    def test_elements_that_nobody_knows(self):
        for text in (b"<Etag>0</Etag>", b"<Key>b/2</Key>", b"<VersionId></VersionId>"):
            body = b"<Delete><Object><Key>b/1</Key>" + text + b"</Object></Delete>"
            answer = self.raw("POST", f"/{self.bucket}", [("delete", None)], {"content-md5": md5_base64(body)}, body)
            self.assertIn((answer.status, answer.code or answer.xml.findtext("Error/Code")), ((400, "MalformedXML"), (200, "InvalidArgument")), answer)
        self.assertIn("b/1", self.keys())
        request = self.prepare("CompleteMultipartUpload")
        request.body = request.body.replace(b"</Part>", b"<CheckSumCRC32>AAAAAA==</CheckSumCRC32></Part>")
        self.assertEqual("MalformedXML", self.send(request).code)

    def test_what_passes(self):
        for operation in self.OPERATIONS:
            with self.subTest(operation=operation):
                extra = [("query", "x-id", operation), ("query", "unknown", "1"), ("header", "x-amz-te", "append-md5"),
                         ("header", "x-amz-user-agent", "a browser"), ("header", "amz-sdk-request", "attempt=1"),
                         ("header", "x-amz-cf-id", "an id"), ("header", "x-amz-request-payer", "requester")]
                answer, effects = self.outcome(operation, extra)
                self.assertLess(answer.status, 300, answer)
                self.assertEqual(self.outcome(operation, [])[1], effects)
        # jclouds and boto 2 ask so whether a bucket exists.
        self.assertEqual(200, self.raw("HEAD", f"/{self.bucket}", [("max-keys", "0")]).status)


def md5_base64(body):
    return base64.b64encode(hashlib.md5(body).digest()).decode()
