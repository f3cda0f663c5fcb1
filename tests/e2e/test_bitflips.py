# SPDX-License-Identifier: Apache-2.0
"""1,000 single-bit flips over the files of a store, one at a time: refused or reported, never served.

Each round copies a cleanly stopped store, flips one bit, starts the server and reads everything back. Accepted are: the
right bytes (the flip hit nothing that lives), an error status, and a server that refuses to start and says why. An
object that is silently gone, or any wrong byte, header or listing, is a failure. Half of the flips fall on bytes that
are not zero, since most of a preallocated file is.
"""
import os
import random
import re
import shutil
import threading
import unittest

import harness
import raw as http_raw
from checksums import etag
from harness import MIB, Server, needs_own_server

FLIPS = int(os.environ.get("FB_E2E_BIT_FLIPS", "1000"))
PARALLEL = max(2, os.cpu_count() or 2)
REPORTED = re.compile(r"checksum|corrupt|damage|mismatch|bad |invalid|unreadable|lost", re.IGNORECASE)
# What a listing and a read show of an object.
OBJECTS = {
    "empty": b"", "one": b"1", "small/inline": b"inline bytes " * 8, "block": random.Random(1).randbytes(4096),
    "blocks": random.Random(2).randbytes(70001), "large": random.Random(3).randbytes(MIB + 4097), "a/b/c/d": b"deep", "a": b"a", "a/": b"",
    **{f"many/{i:03}": random.Random(i).randbytes(200 + i) for i in range(40)},
}


class Outcome:
    def __init__(self):
        self.lock = threading.Lock()
        self.counts = {"no effect": 0, "refused to start": 0, "reported": 0}
        self.failures = []

    def count(self, kind):
        with self.lock:
            self.counts[kind] += 1

    def fail(self, text):
        with self.lock:
            self.failures.append(text)


@needs_own_server
class BitFlips(unittest.TestCase):
    def test_flips(self):
        seed = int(os.environ.get("FB_E2E_SEED", random.randrange(1 << 32)))
        print(f"{FLIPS} flips, FB_E2E_SEED={seed}", flush=True)
        store = self.make_store()
        places = self.choose_places(store, random.Random(seed))
        outcome = Outcome()
        threads = [threading.Thread(target=self.work, args=(store, places[index::PARALLEL], outcome)) for index in range(PARALLEL)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(", ".join(f"{kind}: {count}" for kind, count in outcome.counts.items()), flush=True)
        self.assertEqual([], outcome.failures[:10], f"{len(outcome.failures)} failures, seed {seed}")
        self.assertEqual(FLIPS, sum(outcome.counts.values()))
        self.assertGreater(outcome.counts["refused to start"] + outcome.counts["reported"], 0, "no flip had an effect: is this the store?")

    def make_store(self):
        with Server() as server:
            client = harness.boto3_client(server.endpoint)
            client.create_bucket(Bucket="flips")
            for key, data in OBJECTS.items():
                client.put_object(Bucket="flips", Key=key, Body=b"overwritten")
                client.put_object(Bucket="flips", Key=key, Body=data, Metadata={"key": key.replace("/", "-")})
            upload = client.create_multipart_upload(Bucket="flips", Key="parts")["UploadId"]
            client.upload_part(Bucket="flips", Key="parts", UploadId=upload, PartNumber=1, Body=b"part")
            client.put_object(Bucket="flips", Key="deleted", Body=b"gone")
            client.delete_object(Bucket="flips", Key="deleted")
        # Zeros become holes once, so that each round copies only what is there.
        template = server.data_dir + ".template"
        harness.run(["cp", "-r", "--sparse=always", server.data_dir, template])
        return template

    def choose_places(self, store, dice):
        """(file, offset, bit) triples: half anywhere, weighted by size; half on bytes that are not zero."""
        sizes, used = [], []
        for folder, _, names in os.walk(store):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    start = 0
                    while piece := file.read(MIB):
                        if piece.count(0) != len(piece):
                            used += [(path, start + match.start()) for match in re.finditer(rb"[^\0]", piece)][::7]
                        start += len(piece)
                sizes.append((path, start))
        total = sum(size for _, size in sizes)
        print(f"{len(sizes)} files, {total / MIB:.1f} MiB", flush=True)
        places = []
        for index in range(FLIPS):
            if index % 2:
                path, offset = dice.choice(used)
            else:
                offset = dice.randrange(total)
                for path, size in sizes:
                    if offset < size:
                        break
                    offset -= size
            places.append((os.path.relpath(path, store), offset, dice.randrange(8)))
        return places

    def work(self, store, places, outcome):
        for name, offset, bit in places:
            where = f"{name} at {offset}, bit {bit}"
            try:
                self.one_flip(store, name, offset, bit, where, outcome)
            except Exception as error:  # noqa: BLE001 - a thread's failure is the test's
                outcome.fail(f"{where}: {error!r}")

    def one_flip(self, store, name, offset, bit, where, outcome):
        server = Server(arguments=["--threads", "1"])
        harness.run(["cp", "-r", "--sparse=auto", store, server.data_dir])
        try:
            with open(os.path.join(server.data_dir, name), "r+b") as file:
                file.seek(offset)
                byte = file.read(1)[0]
                file.seek(offset)
                file.write(bytes([byte ^ (1 << bit)]))
            try:
                server.start()
            except AssertionError:
                if server.process.poll() is None or server.process.returncode < 0 or not server.output().strip():
                    outcome.fail(f"{where}: not a refusal: {server.process.returncode} {server.output()[-400:]}")
                else:
                    outcome.count("refused to start")
                return
            wrong, errors = self.read_all(server)
            if wrong and not (all(line.startswith("gone") for line in wrong) and REPORTED.search(server.output())):
                outcome.fail(f"{where}: {wrong[:3]}")
            else:
                outcome.count("reported" if errors or wrong else "no effect")
        finally:
            server.kill()
            shutil.rmtree(server.home, ignore_errors=True)

    def read_all(self, server):
        """(what was served wrongly, how many requests ended in an error)"""
        raw, wrong, errors = http_raw.Requester(harness.endpoint_of(server)), [], 0
        with raw.connect() as connection:
            def ask(path, query=()):
                connection.send(raw.build("GET", path, query=query))
                return connection.response()

            for key, data in OBJECTS.items():
                try:
                    answer = ask(f"/flips/{key}")
                except (http_raw.Disconnected, OSError):  # a body cut short is an error that was reported
                    errors += 1
                    connection.close()
                    connection.socket, connection.buffer = raw.endpoint.connect(), b""
                    continue
                if answer.status == 404:
                    wrong.append(f"gone: {key}")
                elif answer.status >= 500:
                    errors += 1
                elif (answer.status, answer.body, answer.header("etag"), answer.header("x-amz-meta-key")) != (
                        200, data, etag(data), key.replace("/", "-")):
                    wrong.append(f"served: {key}: {answer}")
            if ask("/flips/deleted").status == 200:
                wrong.append("served: deleted")
            answer = ask("/flips", [("list-type", "2")])
            if answer.status == 200:
                listed = {item.findtext("Key"): item.findtext("ETag") for item in answer.xml.findall("Contents")}
                expected = {key: etag(data) for key, data in OBJECTS.items()}
                if listed != expected:
                    missing = all(expected.get(key) == tag for key, tag in listed.items())
                    wrong.append("gone from the listing" if missing else f"served: listing {set(listed.items()) ^ set(expected.items())}")
            else:
                errors += 1
        return wrong, errors
