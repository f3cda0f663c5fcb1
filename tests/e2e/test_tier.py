# SPDX-License-Identifier: Apache-2.0
"""Large objects in a cloud bucket: a second server is the cloud, behind a proxy that can be made to fail."""
import base64
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import harness
import raw
import sigv4
from faulty_proxy import ConnectProxy, FaultyProxy
from harness import ACCESS_KEY, MIB, SECRET_KEY, SLOW, Server, boto3_client, needs_own_server, slow_tier

CLOUD_BUCKET = "large-objects"
PREFIX = "store/"
MARKER = PREFIX + "fractalbits-store"
KEYS = {"FRACTALBITS_TIER_ACCESS_KEY": ACCESS_KEY, "FRACTALBITS_TIER_SECRET_KEY": SECRET_KEY}


def content(size, seed=0):
    return random.Random(seed * 1_000_003 + size).randbytes(size)


def etag(data):
    return f'"{hashlib.md5(data).hexdigest()}"'


def tier_arguments(url, *more, bucket=CLOUD_BUCKET, prefix=PREFIX):
    return ["--tier-endpoint", url, "--tier-bucket", bucket, "--tier-prefix", prefix, "--threads", "2", *more]


def wait_until(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)


@needs_own_server
class TierCase(unittest.TestCase):
    def setUp(self):
        self.cloud = self.start(Server())
        self.cloud_s3 = boto3_client(self.cloud.endpoint)
        self.cloud_s3.create_bucket(Bucket=CLOUD_BUCKET)
        self.proxy = FaultyProxy(("127.0.0.1", self.cloud.port), harness.free_port())
        self.addCleanup(self.proxy.close)

    def start(self, server, wait=True):
        server.start(wait)
        self.addCleanup(server.kill)
        return server

    def start_server(self, *more, **options):
        self.server = self.start(Server(arguments=tier_arguments(self.proxy.url, *more), environment=KEYS, **options))
        self.s3 = boto3_client(self.server.endpoint)
        return self.server

    def start_with_bucket(self, *more):
        self.start_server(*more)
        self.s3.create_bucket(Bucket="bucket")

    def put(self, key, data, **arguments):
        return self.s3.put_object(Bucket="bucket", Key=key, Body=data, **arguments)

    def put_without_length(self, key, data):
        requester = raw.Requester(harness.endpoint_of(self.server))
        head = requester.build("PUT", f"/bucket/{key}", headers={"transfer-encoding": "chunked"}, payload_hash=sigv4.sha256(data))
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (data[at:at + 100_000] for at in range(0, len(data), 100_000)))
        response = requester.exchange(head + chunks + b"0\r\n\r\n", "PUT")
        self.assertEqual(200, response.status, response)

    def get(self, key, **arguments):
        return self.s3.get_object(Bucket="bucket", Key=key, **arguments)["Body"].read()

    def cloud_sizes(self):
        """Of everything in the cloud bucket but the marker, sorted."""
        pages = self.cloud_s3.get_paginator("list_objects_v2").paginate(Bucket=CLOUD_BUCKET)
        return sorted(item["Size"] for page in pages for item in page.get("Contents", []) if item["Key"] != MARKER)

    def cloud_uploads(self):
        return self.cloud_s3.list_multipart_uploads(Bucket=CLOUD_BUCKET).get("Uploads", [])

    def expect_cloud(self, sizes, seconds=60):
        sizes = sorted(sizes)
        with contextlib.suppress(AssertionError):
            wait_until("the cloud's content", lambda: self.cloud_sizes() == sizes and not self.cloud_uploads(), seconds)
        self.assertEqual(sizes, self.cloud_sizes(), self.server.output())
        self.assertEqual([], self.cloud_uploads(), self.server.output())

    def refused(self, call, status):
        from botocore.exceptions import ClientError
        with self.assertRaises(ClientError) as caught:
            call()
        self.assertEqual(status, caught.exception.response["ResponseMetadata"]["HTTPStatusCode"], caught.exception)

    def health(self):
        return self.server.management("/health").text.split("\n")[1]


class Tier(TierCase):
    def test_sizes_reads_overwrites_deletes(self):
        self.start_with_bucket()
        self.assertEqual("tier: ok", self.health())
        sizes = [0, 1, 4096, MIB - 1, MIB, MIB + 1, 3 * MIB + 7, 8 * MIB, 8 * MIB + 1, 20 * MIB + 5]
        for size in sizes:
            data = content(size)
            self.assertEqual(etag(data), self.put(f"key-{size}", data)["ETag"])
        self.expect_cloud([size for size in sizes if size >= MIB])
        for size in sizes:
            data, key = content(size), f"key-{size}"
            head = self.s3.head_object(Bucket="bucket", Key=key)
            self.assertEqual((size, etag(data)), (head["ContentLength"], head["ETag"]))
            self.assertEqual(data, self.get(key))
            for first, last in ((0, 0), (0, size - 1), (size // 2, size // 2 + 9), (size - 1, size - 1), (MIB - 1, MIB), (MIB, 3 * MIB)):
                if first < size and 0 <= first <= last:
                    self.assertEqual(data[first:last + 1], self.get(key, Range=f"bytes={first}-{last}"), (size, first, last))
        # What lies in the cloud is the content itself.
        stored = [item["Key"] for item in self.cloud_s3.list_objects_v2(Bucket=CLOUD_BUCKET)["Contents"] if item["Key"] != MARKER]
        found = {self.cloud_s3.get_object(Bucket=CLOUD_BUCKET, Key=key)["Body"].read() for key in stored}
        self.assertEqual({content(size) for size in sizes if size >= MIB}, found)
        self.put("key-8388608", b"small now")
        self.put("key-1", content(2 * MIB, 1))
        self.expect_cloud([size for size in sizes if size >= MIB and size != 8 * MIB] + [2 * MIB])
        self.server.stop()
        self.start_server(data_dir=self.server.data_dir)
        self.assertEqual(content(20 * MIB + 5), self.get(f"key-{20 * MIB + 5}"))
        self.s3.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": f"key-{size}"} for size in sizes]})
        self.expect_cloud([])

    def test_checksums_and_unknown_lengths(self):
        self.start_with_bucket()
        data = content(3 * MIB)
        sha256 = base64.b64encode(hashlib.sha256(data).digest()).decode()
        self.put("with", data, ChecksumSHA256=sha256)
        self.assertEqual(sha256, self.s3.get_object(Bucket="bucket", Key="with", ChecksumMode="ENABLED")["ChecksumSHA256"])
        self.refused(lambda: self.put("wrong", data, ContentMD5=base64.b64encode(b"x" * 16).decode()), 400)
        self.expect_cloud([len(data)])
        for size in (MIB - 1, MIB, 5 * MIB + 3):
            self.put_without_length(f"chunked-{size}", content(size))
            self.assertEqual(content(size), self.get(f"chunked-{size}"))
        self.expect_cloud([len(data), MIB, 5 * MIB + 3])

    def test_threshold_of_unknown_length(self):
        self.start_with_bucket("--tier-threshold", "3MiB")
        for size in (3 * MIB - 1, 3 * MIB, 6 * MIB + 3):
            self.put_without_length(f"chunked-{size}", content(size))
            self.assertEqual(content(size), self.get(f"chunked-{size}"))
        self.expect_cloud([3 * MIB, 6 * MIB + 3])
        self.put("declared", content(3 * MIB - 1))
        self.expect_cloud([3 * MIB, 6 * MIB + 3])

    def test_copies_and_renames(self):
        self.start_with_bucket()
        data = content(5 * MIB)
        self.put("from", data, Metadata={"a": "b"})
        source = {"Bucket": "bucket", "Key": "from"}
        self.s3.copy_object(Bucket="bucket", Key="copy", CopySource=source)
        self.assertEqual(1, self.server.metric("fractalbits_tier_copied_objects_total"))
        self.s3.copy_object(Bucket="bucket", Key="copy-sha", CopySource=source, ChecksumAlgorithm="SHA256")
        self.s3.copy_object(Bucket="bucket", Key="from", CopySource=source, MetadataDirective="REPLACE", Metadata={"c": "d"})
        for key in ("from", "copy", "copy-sha"):
            self.assertEqual(data, self.get(key))
            self.assertEqual(etag(data), self.s3.head_object(Bucket="bucket", Key=key)["ETag"])
        self.assertEqual({"c": "d"}, self.s3.head_object(Bucket="bucket", Key="from")["Metadata"])
        self.expect_cloud([5 * MIB] * 3)
        self.s3.delete_object(Bucket="bucket", Key="from")
        self.assertEqual(data, self.get("copy"))
        self.expect_cloud([5 * MIB] * 2)

    def test_multipart(self):
        self.start_with_bucket()
        parts = [content(5 * MIB, 1), content(9 * MIB, 2), content(100, 3)]
        upload = self.s3.create_multipart_upload(Bucket="bucket", Key="many")["UploadId"]
        done = []
        for number, part in enumerate(parts, 1):
            if number == 1:
                self.s3.upload_part(Bucket="bucket", Key="many", UploadId=upload, PartNumber=1, Body=content(6 * MIB))
            tag = self.s3.upload_part(Bucket="bucket", Key="many", UploadId=upload, PartNumber=number, Body=part)["ETag"]
            self.assertEqual(etag(part), tag)
            done.append({"PartNumber": number, "ETag": tag})
        self.s3.complete_multipart_upload(Bucket="bucket", Key="many", UploadId=upload, MultipartUpload={"Parts": done})
        whole = b"".join(parts)
        self.assertEqual(whole, self.get("many"))
        self.assertEqual(parts[1], self.get("many", PartNumber=2))
        self.assertEqual(whole[5 * MIB - 3:14 * MIB + 50], self.get("many", Range=f"bytes={5 * MIB - 3}-{14 * MIB + 49}"))
        self.expect_cloud([5 * MIB, 9 * MIB])
        self.s3.copy_object(Bucket="bucket", Key="copy", CopySource={"Bucket": "bucket", "Key": "many"})
        self.assertEqual(whole, self.get("copy"))
        self.expect_cloud([5 * MIB, 9 * MIB, len(whole)])
        upload = self.s3.create_multipart_upload(Bucket="bucket", Key="gone")["UploadId"]
        self.s3.upload_part(Bucket="bucket", Key="gone", UploadId=upload, PartNumber=1, Body=parts[0])
        self.s3.upload_part_copy(Bucket="bucket", Key="gone", UploadId=upload, PartNumber=2, CopySource={"Bucket": "bucket", "Key": "many"},
                                 CopySourceRange=f"bytes=1-{2 * MIB}")
        self.expect_cloud([5 * MIB, 9 * MIB, len(whole), 5 * MIB, 2 * MIB])
        self.s3.abort_multipart_upload(Bucket="bucket", Key="gone", UploadId=upload)
        self.expect_cloud([5 * MIB, 9 * MIB, len(whole)])
        self.put("small", b"not in the map")
        self.server.stop()
        done = harness.run([harness.BINARY, "tier-map", "--data-dir", self.server.data_dir, "--tier-prefix", PREFIX])
        mapped = {item["key"]: item for item in map(json.loads, done.stdout.decode().splitlines())}
        self.assertEqual({"many", "copy"}, set(mapped))
        for key in ("many", "copy"):
            self.assertEqual(len(whole), mapped[key]["size"])
            pieces = [self.cloud_s3.get_object(Bucket=CLOUD_BUCKET, Key=piece["cloud"])["Body"].read() if "cloud" in piece
                      else parts[2] for piece in mapped[key]["pieces"]]
            self.assertEqual(whole, b"".join(pieces))
        self.start_server(data_dir=self.server.data_dir)
        self.s3.delete_object(Bucket="bucket", Key="many")
        self.expect_cloud([len(whole)])

    def test_fsck_and_a_start_without_the_tier(self):
        self.start_with_bucket()
        self.put("large", content(2 * MIB))
        self.put("small", b"small")
        from test_fsck import fsck
        status, report, said = fsck("--mgmt-url", f"http://127.0.0.1:{self.server.management_port}")
        self.assertEqual(0, status, report + said)
        self.assertIn("in the cloud     1 object\n", report)
        self.server.stop()
        status, report, said = fsck("--data-dir", self.server.data_dir)
        self.assertEqual(0, status, report + said)
        self.assertIn("in the cloud     1 object, which were not looked for\n", report)
        without = self.start(Server(data_dir=self.server.data_dir))
        self.s3 = boto3_client(without.endpoint)
        self.assertEqual(b"small", self.get("small"))
        self.refused(lambda: self.get("large"), 503)
        self.assertIn("without --tier-bucket", without.output())
        self.assertEqual("ok\n", without.management("/health").text)
        self.s3.delete_object(Bucket="bucket", Key="large")
        without.stop()
        # The bucket still has it, and nothing names it: the sweep of the next start with the tier finds that.
        self.assertEqual([2 * MIB], self.cloud_sizes())
        self.start_server(data_dir=self.server.data_dir)
        self.expect_cloud([])

    def test_sync(self):
        self.start_with_bucket()
        folder = os.path.join(self.server.home, "tree")
        os.makedirs(os.path.join(folder, "sub"))
        sizes = [1024, 100_000, MIB, 7 * MIB, 8 * MIB - 1] + ([2 << 30] if SLOW else [40 * MIB])
        for size in sizes:
            with open(os.path.join(folder, "sub" if size % 3 else ".", f"file-{size}"), "wb") as file:
                for at in range(0, size, 64 * MIB):
                    file.write(content(min(64 * MIB, size - at), at))
        environment = harness.client_environment(self.server.home)
        aws = ["aws", "--endpoint-url", self.server.endpoint, "s3"]
        harness.run([*aws, "sync", "--quiet", folder, "s3://bucket/tree"], env=environment, timeout=1800)
        self.assertEqual(sum(size for size in sizes if size >= MIB), sum(self.cloud_sizes()))
        back = os.path.join(self.server.home, "back")
        harness.run([*aws, "sync", "--quiet", "s3://bucket/tree", back], env=environment, timeout=1800)
        harness.diff_trees(folder, back)
        harness.run([*aws, "rm", "--quiet", "--recursive", "s3://bucket/tree"], env=environment)
        self.expect_cloud([])


class TierFailures(TierCase):
    def test_cloud_goes_and_comes_back(self):
        self.start_with_bucket()
        self.put("large", content(3 * MIB))
        self.put("doomed", content(2 * MIB))
        self.proxy.go_down()
        self.refused(lambda: self.put("other", content(2 * MIB)), 503)
        self.assertEqual("tier: unavailable", self.health())
        self.refused(lambda: self.get("large"), 503)
        self.put("small", b"small")
        self.assertEqual(b"small", self.get("small"))
        self.s3.head_object(Bucket="bucket", Key="large")
        self.s3.delete_object(Bucket="bucket", Key="doomed")
        self.refused(lambda: self.get("other"), 404)
        # Garbage here is freed all the same.
        self.put("small", b"other")
        wait_until("local garbage", lambda: self.server.metric("fractalbits_namespace_freed_blobs_total") >= 1)
        self.proxy.down = False
        wait_until("the cloud is back", lambda: self.answers(lambda: self.get("large") == content(3 * MIB)))
        self.put("other", content(2 * MIB))
        self.expect_cloud([3 * MIB, 2 * MIB])
        self.assertEqual("tier: ok", self.health())

    @staticmethod
    def answers(call):
        from botocore.exceptions import ClientError
        try:
            return call()
        except ClientError:
            return False

    def test_cloud_is_away_at_start(self):
        self.proxy.go_down()
        self.server = Server(arguments=tier_arguments(self.proxy.url), environment=KEYS)
        self.start(self.server, wait=False)
        self.server.wait_ready(60)
        self.s3 = boto3_client(self.server.endpoint)
        self.s3.create_bucket(Bucket="bucket")
        self.assertEqual("tier: unchecked", self.health())
        self.put("small", b"small")
        self.refused(lambda: self.put("large", content(MIB)), 503)
        self.proxy.down = False
        wait_until("the check", lambda: self.health() == "tier: ok")
        self.put("large", content(MIB))
        self.expect_cloud([MIB])

    def test_names_of_the_cloud(self):
        # Of the addresses of this one only 127.0.0.1 answers.
        arguments = tier_arguments(self.proxy.url.replace("127.0.0.1", "localhost"))
        self.server = self.start(Server(arguments=arguments, environment=KEYS))
        self.s3 = boto3_client(self.server.endpoint)
        self.s3.create_bucket(Bucket="bucket")
        self.assertEqual("tier: ok", self.health())
        for key in range(6):
            self.put(f"key-{key}", content(MIB, key))
        self.expect_cloud([MIB] * 6)
        self.server.stop()
        # RFC 6761: no such name exists. A start waits for it as for a cloud that is away, a stop does not.
        server = Server(arguments=tier_arguments("http://cloud.invalid:9000"), environment=KEYS, data_dir=self.server.data_dir)
        self.server = self.start(server, wait=False)
        server.wait_ready(60)
        self.s3 = boto3_client(server.endpoint)
        self.assertEqual("tier: unchecked", self.health())
        self.put("small", b"small")
        self.refused(lambda: self.put("large", content(MIB)), 503)
        self.assertIn("cloud.invalid cannot be found", server.output())
        began = time.monotonic()
        server.stop()
        self.assertLess(time.monotonic() - began, 20)

    def test_slow_clients(self):
        """One that holds the memory for uploads while others wait for it is stopped."""
        # One thread, so that both meet at the same memory.
        arguments = tier_arguments(self.proxy.url, "--tier-memory", "8MiB")
        arguments[arguments.index("--threads") + 1] = "1"
        self.server = self.start(Server(arguments=arguments, environment=KEYS))
        self.s3 = boto3_client(self.server.endpoint)
        self.s3.create_bucket(Bucket="bucket")
        requester = raw.Requester(harness.endpoint_of(self.server))
        head = requester.build("PUT", "/bucket/slow", headers={"content-length": str(20 * MIB)}, payload_hash="UNSIGNED-PAYLOAD")
        with requester.connect(60) as slow:
            slow.send(head + content(100_000))
            began = time.monotonic()
            self.put("large", content(9 * MIB))
            self.assertLess(time.monotonic() - began, 28, "its own time-out is 30 s")
            response = slow.response("PUT")
            self.assertEqual((400, "RequestTimeout"), (response.status, response.code))
        self.expect_cloud([9 * MIB])
        self.assertIn("fractalbits_tier_slow_clients_total 1\n", self.server.management("/metrics").text)

    def test_refused_starts(self):
        def message_of(*arguments, environment=KEYS, data_dir=None):
            server = Server(arguments=arguments, environment=environment, data_dir=data_dir)
            self.start(server, wait=False)
            self.assertNotEqual(0, server.wait_exit(60))
            return server.output()

        url = self.proxy.url
        self.assertIn("does not exist", message_of(*tier_arguments(url, bucket="no-such-bucket")))
        wrong = {**KEYS, "FRACTALBITS_TIER_SECRET_KEY": "another secret"}
        self.assertIn("SignatureDoesNotMatch", message_of(*tier_arguments(url), environment=wrong))
        self.cloud_s3.put_object(Bucket=CLOUD_BUCKET, Key="used/by-others", Body=b"x")
        self.assertIn("no marker", message_of(*tier_arguments(url, prefix="used/")))
        self.start_server()
        self.assertIn("belongs to another store", message_of(*tier_arguments(url)))
        self.assertIn("--tier-threshold", message_of(*tier_arguments(url, "--tier-threshold", "1")))
        self.cloud_s3.delete_object(Bucket=CLOUD_BUCKET, Key="used/by-others")

    def test_a_copy_of_the_store_stops_deletes(self):
        self.start_with_bucket()
        self.put("large", content(2 * MIB))
        self.server.stop()
        clone_dir = self.server.data_dir + "-clone"
        shutil.copytree(self.server.data_dir, clone_dir)
        self.start_server(data_dir=self.server.data_dir)
        clone = Server(arguments=tier_arguments(self.proxy.url), environment=KEYS, data_dir=clone_dir)
        self.start(clone, wait=False)
        self.assertNotEqual(0, clone.wait_exit(60))
        self.assertIn("a copy of this store has been started", clone.output())
        # Somebody takes the prefix while this one runs: nothing is deleted any more, and reads go on.
        self.cloud_s3.put_object(Bucket=CLOUD_BUCKET, Key=MARKER, Body=b"another's")
        time.sleep(11)
        self.put("large-2", content(MIB))
        self.s3.delete_object(Bucket="bucket", Key="large-2")
        wait_until("the mismatch", lambda: self.health() == "tier: mismatch")
        self.refused(lambda: self.put("large-3", content(MIB)), 503)
        self.assertEqual(content(2 * MIB), self.get("large"))
        time.sleep(2)
        self.assertEqual([MIB, 2 * MIB], self.cloud_sizes())

    def test_kill_leaves_nothing_after_the_sweep(self):
        self.start_with_bucket()
        kept = {}
        for round_number in range(3):
            self.put(f"kept-{round_number}", content(2 * MIB, round_number))
            kept[f"kept-{round_number}"] = content(2 * MIB, round_number)
            clients = [subprocess.Popen(["curl", "-s", "-o", "/dev/null", "-T", "-", self.presigned(f"lost-{i}")],
                                        stdin=subprocess.PIPE) for i in range(3)]
            for number, client in enumerate(clients):
                try:
                    client.stdin.write(content(9 * MIB + number * MIB))
                    client.stdin.flush()
                except BrokenPipeError:
                    pass
            self.server.process.send_signal(signal.SIGKILL)
            self.server.process.wait()
            for client in clients:
                client.kill()
                client.wait()
                client.stdin.close()
            self.start_server(data_dir=self.server.data_dir)
        for key, data in kept.items():
            self.assertEqual(data, self.get(key))
        self.expect_cloud([2 * MIB] * len(kept))

    def presigned(self, key):
        return self.s3.generate_presigned_url("put_object", {"Bucket": "bucket", "Key": key})

    def rounds(self, count):
        """Random work over a cloud that fails; a model says what must be there."""
        from botocore.exceptions import BotoCoreError, ClientError
        self.start_with_bucket()
        draw = random.Random(7)
        model, outcomes = {}, {"done": 0, "refused": 0}
        sizes = [10, 4096, MIB - 1, MIB, 2 * MIB + 5, 9 * MIB + 1]
        for number in range(count):
            self.proxy.chance = draw.choice([0.0, 0.05, 0.2])
            key, size = f"key-{draw.randrange(8)}", draw.choice(sizes)
            known = model.get(key, {None})
            action = draw.choice(["put", "put", "get", "get", "delete", "copy"])
            try:
                if action == "put":
                    model[key] = known | {(size, number)}
                    self.put(key, content(size, number))
                    model[key] = {(size, number)}
                elif action == "delete":
                    model[key] = known | {None}
                    self.s3.delete_object(Bucket="bucket", Key=key)
                    model[key] = {None}
                elif action == "copy":
                    target = f"key-{draw.randrange(8)}"
                    if target != key:
                        old = model.get(target, {None})
                        model[target] = old | (known - {None})
                        self.s3.copy_object(Bucket="bucket", Key=target, CopySource={"Bucket": "bucket", "Key": key})
                        model[target] = known - {None}
                else:
                    self.check(key, self.get(key), model)
                outcomes["done"] += 1
            except ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                if status == 404:
                    self.assertIn(None, known, (number, action, key))
                    if action == "copy" and target != key:
                        model[target] = old
                else:
                    self.assertEqual(503, status, (number, action, error, self.server.output()))
                outcomes["refused"] += 1
            except (BotoCoreError, OSError):
                outcomes["refused"] += 1  # cut while a large object was read
        self.proxy.chance = 0.0
        time.sleep(3)
        present = {}
        for key in model:
            try:
                data = self.get(key)
            except ClientError as error:
                self.assertEqual(404, error.response["ResponseMetadata"]["HTTPStatusCode"], (key, error))
                self.assertIn(None, model[key], key)
                continue
            self.check(key, data, model)
            present[key] = len(data)
        # The sweep takes what requests of unknown outcome have left.
        self.server.stop()
        self.start_server(data_dir=self.server.data_dir)
        self.expect_cloud([size for size in present.values() if size >= MIB])
        return outcomes

    def check(self, key, data, model):
        possible = [entry for entry in model.get(key, {None}) if entry is not None]
        self.assertIn(hashlib.md5(data).hexdigest(), [hashlib.md5(content(*entry)).hexdigest() for entry in possible], key)

    def test_rounds_over_a_failing_cloud(self):
        outcomes = self.rounds(500 if SLOW else 60)
        self.assertGreater(sum(self.proxy.faults.values()), 20, self.proxy.faults)
        self.assertGreater(outcomes["done"], outcomes["refused"], outcomes)


class TierWays(TierCase):
    """TLS to the cloud, and proxies on the way."""

    def setUp(self):
        self.cloud = self.start(Server(tls=True))
        self.cloud_s3 = boto3_client(self.cloud.endpoint, ca=harness.certificate()[0])
        self.cloud_s3.create_bucket(Bucket=CLOUD_BUCKET)

    def start_server(self, *more, **options):
        self.server = self.start(Server(arguments=tier_arguments(self.cloud.endpoint, *more), environment=KEYS, **options))
        self.s3 = boto3_client(self.server.endpoint)

    def round_trip(self):
        for size in (MIB, 9 * MIB):
            self.put(f"key-{size}", content(size))
            self.assertEqual(content(size), self.get(f"key-{size}"))
        self.expect_cloud([MIB, 9 * MIB])

    def test_tls_is_verified(self):
        self.start_with_bucket("--tier-ca", harness.certificate()[0])
        self.assertEqual("tier: ok", self.health())
        self.round_trip()
        self.server.stop()
        server = Server(arguments=tier_arguments(self.cloud.endpoint, "--tier-ca", harness.certificate("second")[0]),
                        environment=KEYS, data_dir=self.server.data_dir)
        self.server = self.start(server, wait=False)
        server.wait_ready(60)
        self.assertEqual("tier: unchecked", self.health())
        self.assertIn("no TLS with", server.output())

    def test_through_a_proxy(self):
        proxy = ConnectProxy(harness.free_port())
        self.addCleanup(proxy.close)
        self.start_with_bucket("--tier-ca", harness.certificate()[0], "--tier-proxy", proxy.url)
        self.round_trip()
        self.assertEqual({f"CONNECT 127.0.0.1:{self.cloud.port}"}, set(proxy.asked))


class TierElsewhere(TierCase):
    """s3rver, an S3 server by others: no checksums, ETags of its own, no aborts and no listing of uploads."""

    def setUp(self):
        folder = tempfile.mkdtemp(prefix="s3rver-", dir=harness.scratch_folder())
        port = harness.free_port()
        program = os.path.join(harness.ROOT, "tests", "e2e", "js", "node_modules", "s3rver", "bin", "s3rver.js")
        process = subprocess.Popen(["node", program, "-d", folder, "-p", str(port), "-s", "--no-vhost-buckets",
                                    "--configure-bucket", CLOUD_BUCKET], stdin=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.cloud_s3 = boto3_client(f"http://127.0.0.1:{port}", access_key="S3RVER", secret_key="S3RVER")
        wait_until("s3rver", lambda: self.lists())
        self.proxy = FaultyProxy(("127.0.0.1", port), harness.free_port())
        self.addCleanup(self.proxy.close)

    def lists(self):
        from botocore.exceptions import BotoCoreError
        try:
            return self.cloud_sizes() == []
        except BotoCoreError:
            return False

    def expect_cloud(self, sizes, seconds=60):
        wait_until("the cloud's content", lambda: self.cloud_sizes() == sorted(sizes), seconds)

    def start_server(self, *more, **options):
        keys = {"FRACTALBITS_TIER_ACCESS_KEY": "S3RVER", "FRACTALBITS_TIER_SECRET_KEY": "S3RVER"}
        self.server = self.start(Server(arguments=tier_arguments(self.proxy.url, *more), environment=keys, **options))
        self.s3 = boto3_client(self.server.endpoint)
        return self.server

    def test_round_trip(self):
        self.start_with_bucket()
        sizes = [0, MIB - 1, MIB, 8 * MIB, 8 * MIB + 1, 30 * MIB]
        for size in sizes:
            self.assertEqual(etag(content(size)), self.put(f"key-{size}", content(size))["ETag"])
        self.expect_cloud([size for size in sizes if size >= MIB])
        for size in sizes:
            self.assertEqual(content(size), self.get(f"key-{size}"))
        self.assertEqual(content(30 * MIB)[MIB + 1:9 * MIB], self.get(f"key-{30 * MIB}", Range=f"bytes={MIB + 1}-{9 * MIB - 1}"))
        self.s3.copy_object(Bucket="bucket", Key="copy", CopySource={"Bucket": "bucket", "Key": f"key-{8 * MIB}"})
        self.assertEqual(content(8 * MIB), self.get("copy"))
        self.server.kill()
        self.start_server(data_dir=self.server.data_dir)
        for size in sizes:
            self.assertEqual(content(size), self.get(f"key-{size}"))
        self.s3.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": f"key-{size}"} for size in sizes] + [{"Key": "copy"}]})
        self.expect_cloud([])


class TierSize(TierCase):
    @slow_tier
    def test_one_gib_in_bounded_memory(self):
        self.start_with_bucket()
        size = 1 << 30
        path = os.path.join(self.server.home, "gib")
        with open(path, "wb") as file:
            for at in range(0, size, 64 * MIB):
                file.write(content(64 * MIB, at))
        self.put("warm", content(20 * MIB))
        self.get("warm")
        before = self.server.resident_bytes()
        with open(path, "rb") as file:
            self.s3.put_object(Bucket="bucket", Key="gib", Body=file)
        after_put = self.server.resident_bytes()
        digest = hashlib.md5()
        for piece in self.s3.get_object(Bucket="bucket", Key="gib")["Body"].iter_chunks(MIB):
            digest.update(piece)
        with open(path, "rb") as file:
            self.assertEqual(hashlib.file_digest(file, "md5").hexdigest(), digest.hexdigest())
        self.assertLess(max(after_put, self.server.resident_bytes()) - before, 64 * MIB)
        self.assertEqual([20 * MIB, size], self.cloud_sizes())
