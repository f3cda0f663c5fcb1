# SPDX-License-Identifier: Apache-2.0
"""ListObjects V1 and V2. The second class holds the mistakes that others made, each by its name."""
import random
from urllib.parse import unquote_plus

from harness import S3Case


class Listing(S3Case):
    """What both versions must do, over raw requests: pages are followed and compared with a model."""
    version = 2

    def fill(self, *keys):
        for key in keys:
            self.put(key, b"x")

    def page(self, **arguments):
        query = [(name.replace("_", "-"), str(value)) for name, value in arguments.items()]
        if self.version == 2:
            query.append(("list-type", "2"))
        answer = self.raw("GET", f"/{self.bucket}", query=query)
        self.assertEqual(200, answer.status, answer)
        return answer.xml

    def start(self, key):
        return {"start_after" if self.version == 2 else "marker": key}

    def walk(self, **arguments):
        """All pages: (keys, prefixes, items by page). Tokens are opaque; V1 goes on from NextMarker or the last key."""
        keys, prefixes, sizes, more = [], [], [], {}
        for _ in range(10000):
            xml = self.page(**{**arguments, **more})
            page_keys = [element.text for element in xml.findall("Contents/Key")]
            page_prefixes = [element.text for element in xml.findall("CommonPrefixes/Prefix")]
            keys += page_keys
            prefixes += page_prefixes
            sizes.append(len(page_keys) + len(page_prefixes))
            if xml.findtext("IsTruncated") == "false":
                self.assertIsNone(xml.findtext("NextContinuationToken"))
                self.assertIsNone(xml.findtext("NextMarker"))
                return keys, prefixes, sizes
            self.assertGreater(sizes[-1], 0, "a truncated page without an item")
            if self.version == 2:
                more = {"continuation_token": xml.findtext("NextContinuationToken")}
            else:
                more = {"marker": xml.findtext("NextMarker") or page_keys[-1]}
        self.fail("the listing does not end")

    def model(self, keys, prefix="", delimiter="", start=""):
        listed, prefixes = [], []
        for key in sorted(keys, key=str.encode):
            if not key.startswith(prefix) or key.encode() <= start.encode():
                continue
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            if end < 0:
                listed.append(key)
            else:
                common = key[:end + len(delimiter)]
                # V1 goes on from NextMarker, so that a marker that is a prefix has been shown; start-after is but a key.
                shown = common in prefixes or (self.version == 1 and common == start)
                if not shown:
                    prefixes.append(common)
        return listed, prefixes

    def compare(self, keys, **arguments):
        expected = self.model(keys, arguments.get("prefix", ""), arguments.get("delimiter", ""),
                              arguments.get("start_after", arguments.get("marker", "")))
        listed, prefixes, sizes = self.walk(**arguments)
        self.assertEqual(expected, (listed, prefixes), arguments)
        limit = min(arguments.get("max_keys", 1000), 1000)
        self.assertTrue(all(size == limit for size in sizes[:-1]), sizes)

    KEYS = ("a", "a-b", "a/", "a/b", "a/b/c", "a/b/d", "a0", "b/1", "b/2", "b/3/x", "b/3/y", "c", "photos/2024/01/a.jpg",
            "photos/2024/01/b.jpg", "photos/2024/02/c.jpg", "photos/index", "z//z", "z/y")

    def test_against_a_model_at_every_page_size(self):
        self.fill(*self.KEYS)
        for arguments in ({}, {"delimiter": "/"}, {"prefix": "a"}, {"prefix": "a", "delimiter": "/"}, {"prefix": "a/", "delimiter": "/"},
                          {"prefix": "photos/", "delimiter": "/"}, {"prefix": "photos/2024/", "delimiter": "/"}, {"delimiter": "b"},
                          {"delimiter": "/b"}, {"delimiter": "2024"}, {"prefix": "nothing"}, {"prefix": "z/", "delimiter": "/"},
                          self.start("a/b"), {**self.start("b/"), "delimiter": "/"}, {**self.start("b/2"), "delimiter": "/"},
                          {**self.start("photos/2024/01/a.jpg"), "prefix": "photos/", "delimiter": "/"}):
            for size in (1, 2, 3, 5, 1000):
                with self.subTest(size=size, **arguments):
                    self.compare(self.KEYS, max_keys=size, **arguments)

    def test_random_keys_against_a_model(self):
        dice = random.Random(7)
        keys = sorted({"".join(dice.choice("ab/-0") for _ in range(dice.randint(1, 9))) for _ in range(150)})
        self.fill(*keys)
        for _ in range(60):
            sample = dice.choice(keys)
            arguments = {"max_keys": dice.choice((1, 3, 7, 50)), "prefix": sample[:dice.randint(0, 3)], "delimiter": dice.choice(("", "/", "-", "a/"))}
            if dice.random() < 0.4:
                arguments |= self.start(dice.choice(keys))
            with self.subTest(**arguments):
                self.compare(keys, **{name: value for name, value in arguments.items() if value != ""})

    def test_fields(self):
        self.put("a", b"12345")
        item = self.page().find("Contents")
        self.assertEqual(("a", "5", "STANDARD"), (item.findtext("Key"), item.findtext("Size"), item.findtext("StorageClass")))
        self.assertEqual('"827ccb0eea8a706c4c34a16891f84e7b"', item.findtext("ETag"))
        self.assertRegex(item.findtext("LastModified"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    def test_max_keys(self):
        self.fill("a", "b")
        xml = self.page(max_keys=0)
        self.assertEqual(("false", []), (xml.findtext("IsTruncated"), xml.findall("Contents")))
        self.assertEqual("1000", self.page(max_keys=5000).findtext("MaxKeys").replace("5000", "1000"))
        for bad in ("-1", "x", "99999999999999999999"):
            answer = self.raw("GET", f"/{self.bucket}", query=[("list-type", "2"), ("max-keys", bad)])
            self.assertEqual((400, "InvalidArgument"), (answer.status, answer.code))

    def test_encoding_type_url(self):
        keys = ["a+b", "a:b", "a b", "a,b", "a%b", "ünï", "日本/x", "q?x=1", "a&b", "tab\tkey", "nl\nkey"]
        self.fill(*keys)
        xml = self.page(encoding_type="url")
        self.assertEqual("url", xml.findtext("EncodingType"))
        self.assertEqual(sorted(keys, key=str.encode), [unquote_plus(element.text) for element in xml.findall("Contents/Key")])
        for element in xml.findall("Contents/Key"):
            self.assertTrue(element.text.isascii() and " " not in element.text, element.text)
        xml = self.page(encoding_type="url", prefix="日", delimiter="/", **self.start("a b"))
        self.assertEqual(("日", ["日本/"]), (unquote_plus(xml.findtext("Prefix")), [unquote_plus(e.text) for e in xml.findall("CommonPrefixes/Prefix")]))
        self.assertEqual("a b", unquote_plus(xml.findtext("StartAfter" if self.version == 2 else "Marker")))
        answer = self.raw("GET", f"/{self.bucket}", query=[("encoding-type", "base64")])
        self.assertEqual((400, "InvalidArgument"), (answer.status, answer.code))

    def test_echoes(self):
        xml = self.page(prefix="p", delimiter="d", max_keys=7)
        self.assertEqual((self.bucket, "p", "d", "7"), tuple(xml.findtext(name) for name in ("Name", "Prefix", "Delimiter", "MaxKeys")))


class ListingV1(Listing):
    version = 1

    def test_next_marker_with_a_delimiter(self):
        self.fill("a/1", "a/2", "b/1", "c")
        xml = self.page(delimiter="/", max_keys=1)
        self.assertEqual(("true", "a/"), (xml.findtext("IsTruncated"), xml.findtext("NextMarker")))
        xml = self.page(delimiter="/", max_keys=1, marker="a/")
        self.assertEqual("b/", xml.findtext("CommonPrefixes/Prefix"))

    def test_owner(self):
        self.fill("a")
        self.assertTrue(self.page().findtext("Contents/Owner/ID"))


class ListingV2(S3Case):
    def test_key_count_and_tokens(self):
        for key in "abc":
            self.put(key)
        first = self.s3.list_objects_v2(Bucket=self.bucket, MaxKeys=2)
        self.assertEqual((2, True), (first["KeyCount"], first["IsTruncated"]))
        second = self.s3.list_objects_v2(Bucket=self.bucket, MaxKeys=2, ContinuationToken=first["NextContinuationToken"])
        self.assertEqual((1, False, ["c"]), (second["KeyCount"], second["IsTruncated"], [item["Key"] for item in second["Contents"]]))
        self.assertEqual(first["NextContinuationToken"], second["ContinuationToken"])

    def test_the_token_outranks_start_after(self):
        for key in "abc":
            self.put(key)
        token = self.s3.list_objects_v2(Bucket=self.bucket, MaxKeys=2)["NextContinuationToken"]
        page = self.s3.list_objects_v2(Bucket=self.bucket, StartAfter="a", ContinuationToken=token)
        self.assertEqual(["c"], [item["Key"] for item in page["Contents"]])

    def test_tokens_that_are_not_ours(self):
        for token in ("garbage", "%%%", "AAAA"):
            answer = self.raw("GET", f"/{self.bucket}", query=[("list-type", "2"), ("continuation-token", token)])
            self.assertEqual((400, "InvalidArgument"), (answer.status, answer.code), token)

    def test_an_empty_token_says_nothing(self):
        self.put("a")
        page = self.s3.list_objects_v2(Bucket=self.bucket, ContinuationToken="")
        self.assertEqual(("", ["a"]), (page["ContinuationToken"], [item["Key"] for item in page["Contents"]]))

    def test_fetch_owner(self):
        self.put("a")
        self.assertNotIn("Owner", self.s3.list_objects_v2(Bucket=self.bucket)["Contents"][0])
        self.assertTrue(self.s3.list_objects_v2(Bucket=self.bucket, FetchOwner=True)["Contents"][0]["Owner"]["ID"])

    def test_a_token_outlives_the_key_it_was_made_at(self):
        for key in "abcd":
            self.put(key)
        token = self.s3.list_objects_v2(Bucket=self.bucket, MaxKeys=2)["NextContinuationToken"]
        for key in "bc":
            self.s3.delete_object(Bucket=self.bucket, Key=key)
        page = self.s3.list_objects_v2(Bucket=self.bucket, ContinuationToken=token)
        self.assertEqual(["d"], [item["Key"] for item in page["Contents"]])


class MistakesOfOthers(S3Case):
    def prefixes(self, **arguments):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, **arguments)
        return [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])]

    def test_deep_trees_are_not_empty(self):
        key = "/".join("d" * 3 for _ in range(200))
        self.put(key)
        self.assertEqual([key], self.keys())
        self.assertEqual(["ddd/"], self.prefixes(Delimiter="/"))
        self.assertEqual([key[:400]], self.prefixes(Delimiter="/", Prefix=key[:397]))

    def test_no_key_comes_twice(self):
        keys = [f"d/{i:03}" for i in range(250)]
        for key in keys:
            self.put(key)
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, PaginationConfig={"PageSize": 7})
        self.assertEqual(keys, [item["Key"] for page in pages for item in page["Contents"]])

    def test_no_synthetic_directories(self):
        self.put("a/b/c")
        self.assertEqual(["a/b/c"], self.keys())
        self.assertNotIn("Contents", self.s3.list_objects_v2(Bucket=self.bucket, Prefix="a/b/", Delimiter="x", StartAfter="a/b/c"))

    def test_no_phantom_prefix_after_its_last_key(self):
        self.put("a/b")
        self.put("c")
        self.assertEqual(["a/"], self.prefixes(Delimiter="/"))
        self.s3.delete_object(Bucket=self.bucket, Key="a/b")
        self.assertEqual([], self.prefixes(Delimiter="/"))

    def test_a_page_that_ends_inside_a_common_prefix(self):
        for prefix in "abc":
            for i in range(5):
                self.put(f"{prefix}/{i}")
        for size in (1, 2):
            self.assertEqual(["a/", "b/", "c/"], self.prefixes(Delimiter="/", PaginationConfig={"PageSize": size}))

    def test_a_key_is_not_hidden_by_keys_below_it(self):
        self.put("a")
        self.put("a/b")
        page = self.s3.list_objects_v2(Bucket=self.bucket, Delimiter="/")
        self.assertEqual((["a"], ["a/"]), ([item["Key"] for item in page["Contents"]], [item["Prefix"] for item in page["CommonPrefixes"]]))

    def test_order_is_by_bytes(self):
        for key in ("a0", "a/b", "a-b", "a", "B", "ä", "\U0001f600", "\uffee"):
            self.put(key)
        self.assertEqual(["B", "a", "a-b", "a/b", "a0", "ä", "\uffee", "\U0001f600"], self.keys())

    def test_thousands_below_one_prefix_count_as_one(self):
        for i in range(1200):
            self.put(f"many/{i:05}")
        self.put("z")
        page = self.s3.list_objects_v2(Bucket=self.bucket, Delimiter="/")
        self.assertEqual((2, False), (page["KeyCount"], page["IsTruncated"]))
        self.assertEqual(1201, len(self.keys()))
