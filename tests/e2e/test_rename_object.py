# SPDX-License-Identifier: Apache-2.0
"""RenameObject, of objects as AWS has it and of directories. Debian's boto3 does not know the call, so the requests are made
by hand; js/suite.mjs makes them with an SDK."""
import concurrent.futures
import os
import random
import threading
import time
import unittest
import uuid
from email.utils import formatdate

import harness
import raw as http
import sigv4
from checksums import etag
from harness import S3Case, Server, needs_own_server

OLD, NEW = b"what was there", b"what is renamed"


class RenameCase(S3Case):
    def rename(self, destination, source, headers=None, token=None):
        headers = {"x-amz-rename-source": sigv4.encode(source), **(headers or {}), **({"x-amz-client-token": token} if token else {})}
        return self.raw("PUT", f"/{self.bucket}/{destination}", query=[("renameObject", None)], headers=headers)

    def check(self, answer, status, code=None, condition=None):
        self.assertEqual((status, code), (answer.status, answer.code if status >= 400 else None), answer)
        self.assertEqual(condition, answer.xml.findtext("Condition") if status == 412 else None)


class RenameObject(RenameCase):
    def test_an_object_keeps_all_but_its_name(self):
        self.put("dir/a+b c ü", NEW, ContentType="a/b", Metadata={"m": "v"})
        before = self.s3.head_object(Bucket=self.bucket, Key="dir/a+b c ü")
        time.sleep(1.1)
        self.check(self.rename("other/日本", "dir/a+b c ü"), 200)
        after = self.s3.head_object(Bucket=self.bucket, Key="other/日本")
        for name in ("ETag", "LastModified", "ContentType", "ContentLength", "Metadata"):
            self.assertEqual(before[name], after[name])
        self.assertEqual((NEW, ["other/日本"]), (self.body("other/日本"), self.keys()))

    def test_it_replaces_unless_told_otherwise(self):
        self.put("from", NEW)
        self.put("to", OLD)
        self.check(self.rename("to", "from", {"if-none-match": "*"}), 412, "PreconditionFailed", "If-None-Match")
        self.assertEqual(OLD, self.body("to"))
        self.check(self.rename("to", "from"), 200)
        self.assertEqual((NEW, ["to"]), (self.body("to"), self.keys()))

    def test_the_source_may_begin_with_a_slash(self):
        self.put("from", NEW)
        self.put("/rooted", OLD)
        answer = self.raw("PUT", f"/{self.bucket}/to", query=[("renameObject", None)], headers={"x-amz-rename-source": "/from"})
        self.check(answer, 200)
        self.check(self.rename("to2", "/rooted"), 200)  # encoded, it belongs to the key
        self.assertEqual(["to", "to2"], self.keys())
        self.check(self.rename("x", f"{self.bucket}/to"), 404, "NoSuchKey")

    def test_multipart_objects(self):
        self.multipart("m", [bytes(5 << 20), b"tail"])
        self.check(self.rename("n", "m"), 200)
        self.assertEqual(bytes(5 << 20) + b"tail", self.body("n"))
        self.assertEqual(b"tail", self.body("n", PartNumber=2))

    def test_conditions(self):
        past, future = formatdate(time.time() - 1000, usegmt=True), formatdate(time.time() + 100000, usegmt=True)
        for name, value, holds in (("If-Match", etag(OLD), True), ("If-Match", "*", True), ("If-Match", '"x"', False),
                                   ("If-Modified-Since", past, True), ("If-Modified-Since", future, False),
                                   ("If-Unmodified-Since", future, True), ("If-Unmodified-Since", past, False)):
            for prefix in ("", "x-amz-rename-source-"):
                with self.subTest(name=prefix + name, value=value):
                    self.put("to", OLD)
                    self.put("from", NEW)
                    sent = etag(NEW) if prefix and value == etag(OLD) else value
                    answer = self.rename("to", "from", {prefix + name: sent})
                    self.check(answer, *((200,) if holds else (412, "PreconditionFailed", prefix + name)))
                    self.assertEqual(NEW if holds else OLD, self.body("to"))
        self.put("from", NEW)
        for value in ("*", etag(NEW)):
            self.check(self.rename("to", "from", {"x-amz-rename-source-if-none-match": value}), 412, "PreconditionFailed",
                       "x-amz-rename-source-If-None-Match")

    def test_refusals(self):
        self.put("key", NEW)
        self.put("dir/key", NEW)
        long = "n" * 1024
        for destination, source, status, code in (
                ("to", "none", 404, "NoSuchKey"), ("to", "dir", 404, "NoSuchKey"), ("to/", "none/", 404, "NoSuchKey"),
                ("to/", "key/", 404, "NoSuchKey"), ("to", "dir/", 400, "InvalidRequest"), ("to/", "key", 400, "InvalidRequest"),
                ("key", "key", 400, "InvalidRequest"), ("dir/", "dir/", 400, "InvalidRequest"), ("dir/sub/", "dir/", 400, "InvalidRequest"),
                ("to", long + "n", 400, "KeyTooLongError"), (long + "n", "key", 400, "KeyTooLongError"),
                (long[:1021] + "/", "dir/", 400, "KeyTooLongError"), ("to", "", 400, "InvalidArgument")):
            with self.subTest(destination=destination[:20], source=source[:20]):
                self.check(self.rename(destination, source), status, code)
        self.check(self.rename("to", "key", {"if-none-match": '"x"'}), 501, "NotImplemented")
        self.check(self.rename("to", "key", {"if-modified-since": "yesterday"}), 400, "InvalidArgument")
        self.check(self.rename("to/", "dir/", {"if-match": "*"}), 501, "NotImplemented")
        self.assertEqual(["dir/key", "key"], self.keys())


class RenameDirectory(RenameCase):
    def test_everything_beneath_moves(self):
        keys = ["dir/", "dir/a", "dir/sub/", "dir/sub/b", "dir/ü"]
        for key in (*keys, "dir", "dir-x", "dir0"):
            self.put(key, key.encode())
        self.check(self.rename("to/there/", "dir/"), 200)
        moved = ["to/there/" + key.removeprefix("dir/") for key in keys]
        self.assertEqual(sorted([*moved, "dir", "dir-x", "dir0"], key=str.encode), self.keys())
        for before, after in zip(keys, moved):
            self.assertEqual(before.encode(), self.body(after))

    def test_a_thousand_keys_there_and_back(self):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda number: self.put(f"d/{number % 7}/{number:04}", b"%d" % number), range(1000)))
        before = self.keys()
        self.check(self.rename("e/", "d/"), 200)
        self.assertEqual([key.replace("d/", "e/", 1) for key in before], self.keys())
        self.assertEqual(b"123", self.body("e/4/0123"))
        self.check(self.rename("f/0/", "e/0/", {"if-none-match": "*"}), 200)
        self.check(self.rename("e/0/", "f/0/"), 200)
        self.check(self.rename("d/", "e/"), 200)
        self.assertEqual(before, self.keys())

    def test_an_occupied_destination(self):
        self.put("dir/a", NEW)
        self.put("marker/", b"")
        self.put("plain", b"")
        self.put("full/sub/a", OLD)
        for destination in ("marker/", "full/", "full/sub/"):
            self.check(self.rename(destination, "dir/"), 409, "DirectoryNotEmpty")
        self.check(self.rename("full/", "full/sub/"), 409, "DirectoryNotEmpty")
        self.check(self.rename("plain/", "dir/"), 200)
        self.assertEqual(["full/sub/a", "marker/", "plain", "plain/a"], self.keys())

    def test_who_lists_meanwhile_sees_one_name_or_the_other(self):
        for number in range(40):
            self.put(f"a/{number}", b"x")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            renames = pool.submit(lambda: [self.rename(to, source).status for to, source in (("b/", "a/"), ("a/", "b/")) * 25])
            while not renames.done():
                keys = self.keys()
                self.assertEqual((40, 1), (len(keys), len({key[0] for key in keys})), keys)
            self.assertEqual({200}, set(renames.result()))


class ClientTokens(RenameCase):
    def test_a_repetition_does_nothing(self):
        for slash in ("", "/"):
            token = str(uuid.uuid4())
            self.put("from" + slash, NEW)
            self.check(self.rename("to" + slash, "from" + slash, token=token), 200)
            self.put("from" + slash, OLD)
            self.check(self.rename("to" + slash, "from" + slash, token=token), 200)
            self.assertEqual((OLD, NEW), (self.body("from" + slash), self.body("to" + slash)))
            self.check(self.rename("x" + slash, "from" + slash, token=token), 400, "IdempotencyParameterMismatch")
            self.check(self.rename("to" + slash, "from" + slash, {"if-none-match": "*"}, token=token), 400, "IdempotencyParameterMismatch")

    def test_what_fails_is_not_remembered(self):
        self.check(self.rename("to", "from", token="t"), 404, "NoSuchKey")
        self.put("from", NEW)
        self.check(self.rename("to", "from", token="t"), 200)

    def test_malformed_tokens(self):
        self.put("from", NEW)
        for token in ("t" * 65, "a b"):
            self.check(self.rename("to", "from", token=token), 400, "InvalidArgument")

    def test_repetitions_that_meet(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for number in range(5):
                self.put(f"from{number}", NEW)
                answers = list(pool.map(lambda _: self.rename(f"to{number}", f"from{number}", token=f"t{number}").status, range(8)))
                self.assertEqual([200] * 8, answers)

    def test_a_bucket_with_tokens_is_empty_once_its_objects_are_gone(self):
        self.put("from", NEW)
        self.check(self.rename("to", "from", token="t"), 200)
        self.s3.delete_object(Bucket=self.bucket, Key="to")
        self.s3.delete_bucket(Bucket=self.bucket)


class AwsCli(RenameCase):
    def test_rename_object(self):
        def rename(destination, source, *flags, ok=True):
            command = ["aws", "--endpoint-url", self.endpoint.url, "s3api", "rename-object", "--bucket", self.bucket, "--key", destination,
                       "--rename-source", source, *flags]
            done = harness.run(command, env=harness.client_environment(self.home), ok=False)
            if b"nvalid choice" in done.stderr:
                self.skipTest("this AWS CLI does not know the call")
            self.assertEqual(ok, done.returncode == 0, done.stderr)
            return done.stderr

        self.home = self.folder()
        self.put("dir/a b", NEW)
        self.put("plain", OLD)
        rename("to/there/", "dir/")
        self.assertIn(b"PreconditionFailed", rename("plain", "to/there/a%20b", "--destination-if-none-match", "*", ok=False))
        rename("plain", "to/there/a%20b", "--source-if-match", etag(NEW))
        self.assertEqual((["plain"], NEW), (self.keys(), self.body("plain")))


class Chain:
    """An object or a directory that gets one name after the other, each under a client token of its own."""

    def __init__(self, index, raw):
        self.index, self.raw = index, raw
        self.keys = [""] if index % 2 else [f"/{number:02}" for number in range(30)]
        self.step, self.renamed, self.failure = 0, 0, None
        for key in self.keys:
            assert raw("PUT", f"/crash/{self.name(0)}{key}", body=self.name(0).encode()).status == 200

    def name(self, step):
        return f"c{self.index}/n{step}"

    def rename(self):
        """From this step's name to the next one's."""
        slash = "" if self.index % 2 else "/"
        headers = {"x-amz-rename-source": sigv4.encode(self.name(self.step) + slash), "x-amz-client-token": f"{self.index}-{self.step}"}
        answer = self.raw("PUT", f"/crash/{self.name(self.step + 1)}{slash}", query=[("renameObject", None)], headers=headers)
        if answer.status != 200:
            raise AssertionError(answer)
        self.step += 1
        self.renamed += 1

    def run(self, until):
        try:
            while not until.is_set():
                self.rename()
        except (OSError, http.Disconnected):
            pass  # the process is gone; whether the last one was done, nobody knows
        except AssertionError as error:
            self.failure = error

    def listed(self):
        answer = self.raw("GET", "/crash", query=[("list-type", "2"), ("prefix", f"c{self.index}/")])
        return [item.findtext("Key") for item in answer.xml.iter("Contents")]


@needs_own_server
class Crash(unittest.TestCase):
    ROUNDS = int(os.environ.get("FB_E2E_KILL_ROUNDS", "200" if harness.SLOW else "20"))

    def test_a_rename_whose_answer_was_lost_is_done_once(self):
        dice = random.Random(int(os.environ.get("FB_E2E_SEED", "0")) or None)
        with Server() as server:
            raw = http.Requester(harness.endpoint_of(server))
            self.assertEqual(200, raw("PUT", "/crash").status)
            chains = [Chain(index, raw) for index in range(6)]
            for _ in range(self.ROUNDS):
                until = threading.Event()
                threads = [threading.Thread(target=chain.run, args=(until,)) for chain in chains]
                for thread in threads:
                    thread.start()
                time.sleep(dice.uniform(0.02, 0.3))
                server.kill()
                until.set()
                for thread in threads:
                    thread.join()
                server.start()
                for chain in chains:
                    self.assertIsNone(chain.failure)
                    here, there = ([chain.name(step) + key for key in chain.keys] for step in (chain.step, chain.step + 1))
                    self.assertIn(chain.listed(), (here, there), "all of it has one name")
                    chain.rename()
                    self.assertEqual(there, chain.listed())
                    key = chain.keys[dice.randrange(len(chain.keys))]
                    self.assertEqual(chain.name(0).encode(), raw("GET", f"/crash/{chain.name(chain.step)}{key}").body)
            print(f"renames that were acknowledged: {sum(chain.renamed for chain in chains)} in {self.ROUNDS} rounds")
