# SPDX-License-Identifier: Apache-2.0
"""CreateMultipartUpload, UploadPart, CompleteMultipartUpload, AbortMultipartUpload."""
import os

from checksums import DIGESTS, checksum, composite, content_md5, multipart_etag
from harness import MIB, S3Case

PART = 5 * MIB


class Multipart(S3Case):
    def create(self, key="m", **arguments):
        return self.s3.create_multipart_upload(Bucket=self.bucket, Key=key, **arguments)["UploadId"]

    def part(self, upload, number, body, key="m"):
        return self.s3.upload_part(Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)["ETag"]

    def complete(self, upload, parts, key="m"):
        return self.s3.complete_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload, MultipartUpload={
            "Parts": [{"PartNumber": number, "ETag": tag} for number, tag in parts]})

    def test_parts_in_any_order(self):
        data = {3: os.urandom(1234), 1: os.urandom(PART), 2: os.urandom(PART + 1)}
        answer = self.multipart("m", data, ContentType="text/x", Metadata={"k": "v"})
        whole = [data[number] for number in sorted(data)]
        self.assertEqual(multipart_etag(whole), answer["ETag"])
        self.assertEqual((self.bucket, "m"), (answer["Bucket"], answer["Key"]))
        got = self.s3.get_object(Bucket=self.bucket, Key="m")
        self.assertEqual((multipart_etag(whole), "text/x", {"k": "v"}), (got["ETag"], got["ContentType"], got["Metadata"]))
        self.assertTrue(b"".join(whole) == got["Body"].read())

    def test_ranges_across_parts(self):
        parts = [os.urandom(PART), os.urandom(PART), os.urandom(99)]
        self.multipart("m", parts)
        whole = b"".join(parts)
        for first, last in ((PART - 3, PART + 2), (0, 2 * PART), (2 * PART - 1, 2 * PART + 98), (PART, PART)):
            self.assertTrue(whole[first:last + 1] == self.body("m", Range=f"bytes={first}-{last}"), (first, last))

    def test_part_numbers_with_gaps(self):
        data = {1: os.urandom(PART), 77: os.urandom(PART), 10000: b"end"}
        self.multipart("m", data)
        self.assertTrue(b"".join(data.values()) == self.body("m"))

    def test_a_part_uploaded_again_replaces_the_first(self):
        upload = self.create()
        self.part(upload, 1, b"old")
        tag = self.part(upload, 1, b"new")
        self.complete(upload, [(1, tag)])
        self.assertEqual(b"new", self.body("m"))

    def test_complete_names_the_part_it_means(self):
        upload = self.create()
        old = self.part(upload, 1, b"old")
        self.part(upload, 1, b"new")
        with self.refused("InvalidPart", 400):
            self.complete(upload, [(1, old)])

    def test_parts_left_out_are_left_out(self):
        upload = self.create()
        tags = {number: self.part(upload, number, os.urandom(PART) if number == 1 else b"x" * number) for number in (1, 2, 3)}
        self.complete(upload, [(1, tags[1]), (3, tags[3])])
        self.assertEqual(PART + 3, self.s3.head_object(Bucket=self.bucket, Key="m")["ContentLength"])

    def test_small_parts_are_refused_except_the_last(self):
        upload = self.create()
        tags = [self.part(upload, 1, b"small"), self.part(upload, 2, b"last")]
        with self.refused("EntityTooSmall", 400):
            self.complete(upload, list(enumerate(tags, 1)))
        tag = self.part(upload, 1, os.urandom(PART))
        self.complete(upload, [(1, tag), (2, tags[1])])

    def test_order_missing_parts_and_empty_lists(self):
        upload = self.create()
        first, second = self.part(upload, 1, os.urandom(PART)), self.part(upload, 2, b"x")
        with self.refused("InvalidPartOrder", 400):
            self.complete(upload, [(2, second), (1, first)])
        with self.refused("InvalidPartOrder", 400):
            self.complete(upload, [(1, first), (1, first)])
        with self.refused("InvalidPart", 400):
            self.complete(upload, [(1, first), (3, second)])
        with self.refused("MalformedXML", 400):
            self.complete(upload, [])
        self.assertEqual([], self.keys())
        self.complete(upload, [(1, first), (2, second)])

    def test_part_numbers_are_1_to_10000(self):
        upload = self.create()
        for number in ("0", "10001", "-1", "x", "99999999999999999999", ""):
            with self.subTest(number=number):
                answer = self.raw("PUT", f"/{self.bucket}/m", query=[("partNumber", number), ("uploadId", upload)], body=b"x")
                self.assertEqual((400, "InvalidArgument"), (answer.status, answer.code))

    def test_complete_again_answers_the_same(self):
        upload = self.create()
        tag = self.part(upload, 1, b"data")
        first = self.complete(upload, [(1, tag)])
        self.assertEqual(first["ETag"], self.complete(upload, [(1, tag)])["ETag"])
        self.assertEqual(b"data", self.body("m"))

    def test_complete_again_for_something_else_is_refused(self):
        upload = self.create()
        one, two = (self.part(upload, number, body) for number, body in ((1, b"one"), (2, b"two")))
        self.complete(upload, [(1, one)])
        path, query = f"/{self.bucket}/m", [("uploadId", upload)]

        def again(parts, headers=None):
            listed = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>" for number, tag in parts)
            body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
            answer = self.raw("POST", path, query=query, headers=headers or {}, body=body)
            return answer.status, answer.code

        self.assertEqual((200, None), again([(1, one)]))
        self.assertEqual((200, None), again([(1, one)], {"x-amz-mp-object-size": "3"}))
        gone = (404, "NoSuchUpload")
        for parts in ([(2, two)], [(1, one), (2, two)], [(1, two)], [(7, '"abc"')]):
            self.assertEqual(gone, again(parts), parts)
        self.assertEqual(gone, again([(1, one)], {"x-amz-mp-object-size": "99"}))
        self.assertEqual(gone, again([(1, one)], {"x-amz-checksum-crc64nvme": "AAAAAAAAAAA="}))
        self.assertEqual(b"one", self.body("m"))

    def test_complete_again_does_not_undo_what_came_after(self):
        upload = self.create()
        tag = self.part(upload, 1, b"data")
        self.complete(upload, [(1, tag)])
        self.put("m", b"later")
        try:
            self.complete(upload, [(1, tag)])
        except self.s3.exceptions.ClientError as error:
            self.assertEqual("NoSuchUpload", error.response["Error"]["Code"])
        self.assertEqual(b"later", self.body("m"))

    def test_abort(self):
        upload = self.create()
        tag = self.part(upload, 1, b"data")
        self.assertEqual(204, self.s3.abort_multipart_upload(Bucket=self.bucket, Key="m", UploadId=upload)["ResponseMetadata"]["HTTPStatusCode"])
        for call in (lambda: self.part(upload, 2, b"x"), lambda: self.complete(upload, [(1, tag)]),
                     lambda: self.s3.list_parts(Bucket=self.bucket, Key="m", UploadId=upload)):
            with self.refused("NoSuchUpload", 404):
                call()
        self.assertEqual([], self.keys())

    def test_unknown_uploads(self):
        for upload in ("x", "0" * 64, "../../etc", "\u00fc"):
            answer = self.raw("PUT", f"/{self.bucket}/m", query=[("partNumber", "1"), ("uploadId", upload)], body=b"x")
            self.assertEqual((404, "NoSuchUpload"), (answer.status, answer.code))

    def test_an_upload_belongs_to_its_key(self):
        upload = self.create("m")
        with self.refused("NoSuchUpload", 404):
            self.part(upload, 1, b"x", key="other")

    def test_nothing_is_visible_before_complete(self):
        upload = self.create()
        self.part(upload, 1, b"x")
        with self.refused("NoSuchKey", 404):
            self.body("m")
        self.assertEqual([], self.keys())

    def test_uploads_of_one_key_are_independent(self):
        one, two = self.create(), self.create()
        tags = self.part(one, 1, b"one"), self.part(two, 1, b"two")
        self.complete(two, [(1, tags[1])])
        self.complete(one, [(1, tags[0])])
        self.assertEqual(b"one", self.body("m"))

    def test_a_part_is_verified(self):
        upload = self.create()
        query = [("partNumber", "1"), ("uploadId", upload)]
        answer = self.raw("PUT", f"/{self.bucket}/m", query=query, body=b"x", headers={"content-md5": content_md5(b"y")})
        self.assertEqual((400, "BadDigest"), (answer.status, answer.code))
        self.assertNotIn("Parts", self.s3.list_parts(Bucket=self.bucket, Key="m", UploadId=upload))

    def with_checksums(self, algorithm, kind, parts, final=None):
        """Creates, uploads and completes over raw requests; answers the response to Complete."""
        name = f"x-amz-checksum-{algorithm}"
        path = f"/{self.bucket}/c-{algorithm}"
        created = self.raw("POST", path, query=[("uploads", None)],
                           headers={"x-amz-checksum-algorithm": algorithm.upper(), "x-amz-checksum-type": kind})
        self.assertEqual(200, created.status, created)
        upload = created.xml.findtext("UploadId")
        items = ""
        for number, part in enumerate(parts, 1):
            done = self.raw("PUT", path, query=[("partNumber", str(number)), ("uploadId", upload)], body=part,
                            headers={name: checksum(algorithm, part)})
            self.assertEqual((200, checksum(algorithm, part)), (done.status, done.header(name)), done)
            tag = "Checksum" + algorithm.upper()
            items += (f"<Part><PartNumber>{number}</PartNumber><ETag>{done.header('etag')}</ETag>"
                      f"<{tag}>{checksum(algorithm, part)}</{tag}></Part>")
        headers = {"x-amz-checksum-type": kind, **({name: final} if final else {})}
        return self.raw("POST", path, query=[("uploadId", upload)], headers=headers,
                        body=f"<CompleteMultipartUpload>{items}</CompleteMultipartUpload>".encode())

    def returned(self, algorithm):
        head = self.raw("HEAD", f"/{self.bucket}/c-{algorithm}", headers={"x-amz-checksum-mode": "ENABLED"})
        return head.header(f"x-amz-checksum-{algorithm}"), head.header("x-amz-checksum-type")

    def test_composite_checksums(self):
        parts = [bytes(PART), b"tail"]
        for algorithm in ("crc32", "sha1", "sha256"):
            with self.subTest(algorithm=algorithm):
                answer = self.with_checksums(algorithm, "COMPOSITE", parts)
                self.assertEqual(200, answer.status, answer)
                self.assertEqual(composite(algorithm, parts), answer.xml.findtext(f"Checksum{algorithm.upper()}"))
                self.assertEqual((composite(algorithm, parts), "COMPOSITE"), self.returned(algorithm))

    def test_full_object_checksums(self):
        parts = [bytes(PART), b"tail"]
        for algorithm in ("crc32", "crc32c", "crc64nvme"):
            with self.subTest(algorithm=algorithm):
                whole = checksum(algorithm, b"".join(parts))
                answer = self.with_checksums(algorithm, "FULL_OBJECT", parts, final=whole)
                self.assertEqual(200, answer.status, answer)
                self.assertEqual((whole, "FULL_OBJECT"), self.returned(algorithm))

    def test_a_wrong_full_object_checksum_completes_nothing(self):
        answer = self.with_checksums("crc32", "FULL_OBJECT", [bytes(PART), b"tail"], final=checksum("crc32", b"other"))
        self.assertEqual((400, "BadDigest"), (answer.status, answer.code))
        self.assertEqual([], self.keys())

    def test_a_composite_checksum_is_taken_without_its_number_of_parts(self):
        parts = [bytes(PART), b"tail"]
        for algorithm in ("crc32", "sha256"):
            value = composite(algorithm, parts)
            for stated, expected in ((value, 200), (value.split("-")[0], 200), (value.replace("-2", "-3"), 400), (checksum(algorithm, b"x"), 400)):
                with self.subTest(algorithm=algorithm, stated=stated):
                    answer = self.with_checksums(algorithm, "COMPOSITE", parts, final=stated)
                    self.assertEqual(expected, answer.status, answer)
                    if expected == 400:
                        self.assertEqual("BadDigest", answer.code)
                    else:
                        self.assertEqual((value, "COMPOSITE"), self.returned(algorithm))

    def test_the_object_of_an_upload_without_algorithm_gets_crc64nvme(self):
        data = [bytes(PART), b"tail"]
        whole = b"".join(data)
        crc64nvme = checksum("crc64nvme", whole)
        for name, stated, code in (("x-amz-checksum-crc64nvme", crc64nvme, None),
                                   ("x-amz-checksum-crc64nvme", checksum("crc64nvme", b"other"), "BadDigest"),
                                   ("x-amz-checksum-sha256", checksum("sha256", whole), None), ("x-amz-checksum-type", "FULL_OBJECT", None),
                                   ("x-amz-checksum-type", "COMPOSITE", "InvalidRequest")):
            with self.subTest(name=name, stated=stated):
                upload = self.create()
                items = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{self.part(upload, number, part)}</ETag></Part>"
                                for number, part in enumerate(data, 1))
                answer = self.raw("POST", f"/{self.bucket}/m", query=[("uploadId", upload)], headers={name: stated},
                                  body=f"<CompleteMultipartUpload>{items}</CompleteMultipartUpload>".encode())
                if code:
                    self.assertEqual((400, code), (answer.status, answer.code), answer)
                    continue
                self.assertEqual((200, crc64nvme), (answer.status, answer.xml.findtext("ChecksumCRC64NVME")), answer)
                head = self.raw("HEAD", f"/{self.bucket}/m", headers={"x-amz-checksum-mode": "ENABLED"})
                self.assertEqual((crc64nvme, "FULL_OBJECT"),
                                 (head.header("x-amz-checksum-crc64nvme"), head.header("x-amz-checksum-type")))

    def test_complete_lists_the_checksum_of_each_composite_part(self):
        created = self.raw("POST", f"/{self.bucket}/m", query=[("uploads", None)], headers={"x-amz-checksum-algorithm": "SHA256"})
        upload = created.xml.findtext("UploadId")
        query = [("partNumber", "1"), ("uploadId", upload)]
        sha256 = checksum("sha256", b"x")
        tag = self.raw("PUT", f"/{self.bucket}/m", query=query, body=b"x", headers={"x-amz-checksum-sha256": sha256}).header("etag")
        for listed, code in (("", "InvalidRequest"), (f"<ChecksumSHA1>{checksum('sha1', b'x')}</ChecksumSHA1>", "BadDigest"),
                             (f"<ChecksumSHA256>{checksum('sha256', b'y')}</ChecksumSHA256>", "InvalidPart"),
                             (f"<ChecksumSHA256>{sha256}</ChecksumSHA256><ChecksumSHA1>{checksum('sha1', b'x')}</ChecksumSHA1>", "InvalidArgument"),
                             (f"<ChecksumSHA256>{sha256}</ChecksumSHA256>", None)):
            with self.subTest(listed=listed):
                body = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag>{listed}</Part></CompleteMultipartUpload>"
                answer = self.raw("POST", f"/{self.bucket}/m", query=[("uploadId", upload)], body=body.encode())
                self.assertEqual((400, code) if code else (200, None), (answer.status, None if answer.status == 200 else answer.code), answer)

    def test_types_that_do_not_exist(self):
        for algorithm, kind in (("sha1", "FULL_OBJECT"), ("sha256", "FULL_OBJECT"), ("crc64nvme", "COMPOSITE"), ("md5", "COMPOSITE")):
            answer = self.raw("POST", f"/{self.bucket}/c", query=[("uploads", None)],
                              headers={"x-amz-checksum-algorithm": algorithm.upper(), "x-amz-checksum-type": kind})
            self.assertEqual((400, "InvalidRequest"), (answer.status, answer.code), (algorithm, kind))

    def test_malformed_complete(self):
        upload = self.create()
        self.part(upload, 1, b"x")
        for body in (b"", b"<CompleteMultipartUpload>", b"<Other/>", b"<CompleteMultipartUpload><Part/></CompleteMultipartUpload>",
                     b"<CompleteMultipartUpload><Part><PartNumber>x</PartNumber><ETag>y</ETag></Part></CompleteMultipartUpload>"):
            with self.subTest(body=body):
                answer = self.raw("POST", f"/{self.bucket}/m", query=[("uploadId", upload)], body=body)
                self.assertEqual((400, "MalformedXML"), (answer.status, answer.code))

    def test_etags_in_complete_with_and_without_quotes(self):
        for form in ("{}", '"{}"', "&quot;{}&quot;"):
            upload = self.create()
            tag = self.part(upload, 1, b"x").strip('"')
            body = (f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{form.format(tag)}</ETag></Part>"
                    "</CompleteMultipartUpload>").encode()
            answer = self.raw("POST", f"/{self.bucket}/m", query=[("uploadId", upload)], body=body)
            self.assertEqual(200, answer.status, answer)

    def test_delete_of_a_multipart_object(self):
        self.multipart("m", [os.urandom(PART), b"x"])
        self.s3.delete_object(Bucket=self.bucket, Key="m")
        self.assertEqual([], self.keys())
