# SPDX-License-Identifier: Apache-2.0
"""DeleteObjects: up to 1000 keys, quiet mode, errors by key, Content-MD5 or any checksum."""
from xml.sax.saxutils import escape

from checksums import DIGESTS, checksum, content_md5
from harness import S3Case


def document(keys, quiet=False):
    items = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
    return f"<Delete>{'<Quiet>true</Quiet>' if quiet else ''}{items}</Delete>".encode()


class DeleteObjects(S3Case):
    def post(self, body, headers=None):
        return self.raw("POST", f"/{self.bucket}", query=[("delete", None)], headers=headers, body=body)

    def test_1000_keys(self):
        keys = [f"k{i:04}" for i in range(1000)]
        for key in keys[::50]:
            self.put(key)
        answer = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in keys]})
        self.assertEqual(keys, sorted(item["Key"] for item in answer["Deleted"]))
        self.assertEqual([], self.keys())

    def test_more_than_1000_keys_are_refused(self):
        body = document([f"k{i}" for i in range(1001)])
        answer = self.post(body, {"content-md5": content_md5(body)})
        self.assertEqual((400, "MalformedXML"), (answer.status, answer.code))

    def test_quiet(self):
        self.put("a")
        answer = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "b"}], "Quiet": True})
        self.assertNotIn("Deleted", answer)
        self.assertNotIn("Errors", answer)
        self.assertEqual([], self.keys())

    def test_any_checksum_will_do(self):
        for algorithm in DIGESTS:
            with self.subTest(algorithm=algorithm):
                self.put("a")
                body = document(["a"])
                answer = self.post(body, {f"x-amz-checksum-{algorithm}": checksum(algorithm, body)})
                self.assertEqual(200, answer.status, answer)
                self.assertEqual([], self.keys())

    def test_wrong_checksums_delete_nothing(self):
        self.put("a")
        body = document(["a"])
        for headers in ({"content-md5": content_md5(b"other")}, {"x-amz-checksum-crc32": checksum("crc32", b"other")}):
            with self.subTest(headers=headers):
                answer = self.post(body, headers)
                self.assertEqual((400, "BadDigest"), (answer.status, answer.code))
        self.assertEqual(["a"], self.keys())

    def test_a_digest_is_required(self):
        self.put("a")
        answer = self.post(document(["a"]))
        self.assertEqual((400, "InvalidRequest"), (answer.status, answer.code))
        self.assertEqual(["a"], self.keys())

    def test_errors_by_key(self):
        self.put("a")
        body = document(["a", "k" * 1025])
        answer = self.post(body, {"content-md5": content_md5(body)})
        self.assertEqual(200, answer.status)
        self.assertEqual(["a"], [element.text for element in answer.xml.findall("Deleted/Key")])
        self.assertEqual(["KeyTooLongError"], [element.text for element in answer.xml.findall("Error/Code")])

    def test_keys_that_need_escaping(self):
        keys = ["a&b", "<tag>", 'quote"', "ünï", "sp ace+plus", "percent%20"]
        for key in keys:
            self.put(key)
        answer = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in keys]})
        self.assertEqual(sorted(keys), sorted(item["Key"] for item in answer["Deleted"]))
        self.assertEqual([], self.keys())

    def test_malformed_xml(self):
        for body in (b"", b"<Delete>", b"<Delete><Object></Object></Delete>", b"<Delete/>", b"<Other/>", b"\xff\xfe", b"{}",
                     b'<!DOCTYPE x [<!ENTITY e "x">]><Delete><Object><Key>&e;</Key></Object></Delete>'):
            with self.subTest(body=body):
                self.put("x")
                answer = self.post(body, {"content-md5": content_md5(body)})
                self.assertEqual(400, answer.status)
                self.assertIn(answer.code, ("MalformedXML", "MissingRequestBodyError"))
                self.assertEqual(["x"], self.keys())

    def test_an_entity_bomb_is_refused(self):
        entities = '<!ENTITY a "aaaaaaaaaa">' + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi"))
        body = f"<!DOCTYPE x [{entities}]><Delete><Object><Key>&i;</Key></Object></Delete>".encode()
        answer = self.post(body, {"content-md5": content_md5(body)})
        self.assertEqual((400, "MalformedXML"), (answer.status, answer.code))

    def test_an_endless_document_is_refused(self):
        body = b"<Delete>" + b"<Object><Key>k</Key></Object>" * 200000 + b"</Delete>"
        answer = self.post(body, {"content-md5": content_md5(body)})
        self.assertEqual(400, answer.status)
        self.assertIn(answer.code, ("MalformedXML", "MaxMessageLengthExceeded", "EntityTooLarge"))
