# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the real process under mixed load: everything acknowledged is there and intact, restart under a second.

Each worker owns its keys, and so knows for each what the store may hold: the last acknowledged state, or, for the one
operation that was in flight when the process died, the state it would have made. Once read after a restart, the answer
counts as the state: what was seen may not be taken back by a later round.
"""
import hashlib
import os
import random
import threading
import time
import unittest

import harness
import raw as http
from checksums import etag
from harness import MIB, SLOW, Server, needs_own_server

ROUNDS = int(os.environ.get("FB_E2E_KILL_ROUNDS", "200" if SLOW else "20"))
RESTART_SECONDS_MAX = 10.0 if harness.SANITIZED else 1.0
WORKERS = 8
KEYS_PER_WORKER = 40
ABSENT = None  # the state of a key that is not there; others are (SHA-256, ETag)


def state_of(data, tag=None):
    return hashlib.sha256(data).digest(), tag or etag(data)


class Worker:
    """One connection at a time, one operation at a time, its own keys."""

    def __init__(self, index, raw, seed):
        self.index, self.raw, self.dice = index, raw, random.Random(seed)
        self.states = {}  # key -> the states that a read may show: one, or two while the outcome is unknown
        self.acknowledged = 0
        self.failures = []

    def key(self):
        return f"w{self.index}/dir-{self.dice.randrange(4)}/k{self.dice.randrange(KEYS_PER_WORKER)}"

    def run(self, until):
        try:
            with self.raw.connect() as connection:
                while not until.is_set():
                    self.step(connection)
        except (OSError, http.Disconnected):
            pass  # the process is gone; what was in flight stays of unknown outcome
        except Exception as error:  # noqa: BLE001 - handed to the test's thread, which raises it
            self.failures.append(error)

    def send(self, connection, method, path, body=b"", **options):
        connection.send(self.raw.build(method, path, body=body, **options))
        return connection.response(method)

    def expect(self, answer, *statuses):
        if answer.status not in statuses:
            self.failures.append(AssertionError(f"worker {self.index}: {answer}"))

    def step(self, connection):
        key, kind = self.key(), self.dice.random()
        path, before = f"/crash/{key}", self.states.get(key, [ABSENT])
        if kind < 0.6:
            data = self.dice.randbytes(self.dice.choice((0, 1, 100, 4096, 4096, 4096, 20000, 70000, 300000, 2 * MIB)))
            self.change(key, before, state_of(data), lambda: self.send(connection, "PUT", path, data), 200)
        elif kind < 0.75:
            self.change(key, before, ABSENT, lambda: self.send(connection, "DELETE", path), 204)
        elif kind < 0.82:
            self.copy(connection, key, path, before)
        elif kind < 0.86:
            self.multipart(connection, key, path, before)
        elif kind < 0.96:
            self.check(self.send(connection, "GET", path), key)
        else:
            self.expect(self.send(connection, "GET", "/crash", query=[("list-type", "2"), ("prefix", f"w{self.index}/")]), 200)

    def change(self, key, before, after, act, status):
        self.states[key] = [*before, after]
        answer = act()
        self.expect(answer, status)
        if answer.status == status:
            self.states[key] = [after]
            self.acknowledged += 1
        elif answer.status < 500:
            self.states[key] = before

    def copy(self, connection, key, path, before):
        source = self.key()
        states = self.states.get(source, [ABSENT])
        if source == key or states == [ABSENT] or "-" in states[0][1]:
            return  # (a copy of a multipart object has an ETag of its own)
        self.change(key, before, states[0], lambda: self.send(connection, "PUT", path, headers={"x-amz-copy-source": f"/crash/{source}"}), 200)

    def multipart(self, connection, key, path, before):
        created = self.send(connection, "POST", path, query=[("uploads", None)])
        self.expect(created, 200)
        upload = created.xml.findtext("UploadId")
        parts = [self.dice.randbytes(5 * MIB), self.dice.randbytes(self.dice.randrange(1, 100000))]
        items = ""
        for number, part in enumerate(parts, 1):
            done = self.send(connection, "PUT", path, part, query=[("partNumber", str(number)), ("uploadId", upload)])
            self.expect(done, 200)
            items += f"<Part><PartNumber>{number}</PartNumber><ETag>{done.header('etag')}</ETag></Part>"
        digest = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()
        after = state_of(b"".join(parts), f'"{digest}-{len(parts)}"')
        body = f"<CompleteMultipartUpload>{items}</CompleteMultipartUpload>".encode()
        self.change(key, before, after, lambda: self.send(connection, "POST", path, body, query=[("uploadId", upload)]), 200)

    def check(self, answer, key):
        """What a read shows must be a state the key may be in; from then on it is the state."""
        allowed = self.states.get(key, [ABSENT])
        shown = ABSENT if answer.status == 404 else state_of(answer.body, answer.header("etag")) if answer.status == 200 else answer.status
        if shown not in allowed:
            self.failures.append(AssertionError(f"{key}: read {answer.status} {answer.header('etag')} of {len(answer.body)} bytes, allowed {allowed}"))
        self.states[key] = [shown] if shown in allowed else allowed


@needs_own_server
class Crash(unittest.TestCase):
    rounds = ROUNDS

    def make_server(self):
        return Server()

    def test_kill_9_under_load(self):
        seed = int(os.environ.get("FB_E2E_SEED", random.randrange(1 << 32)))
        print(f"{self.rounds} rounds of kill -9, FB_E2E_SEED={seed}", flush=True)
        dice, server = random.Random(seed), self.make_server().start()
        self.addCleanup(server.kill)
        raw = http.Requester(harness.endpoint_of(server))
        self.assertEqual(200, raw("PUT", "/crash").status)
        workers = [Worker(index, raw, dice.random()) for index in range(WORKERS)]
        restarts, verified = [], 0
        for round_index in range(self.rounds):
            self.load_and_kill(server, workers, dice.uniform(0.1, 1.5))
            server.start()
            restarts.append(server.ready_seconds)
            verified += self.verify(raw, workers, f"round {round_index}, seed {seed}")
        acknowledged = sum(worker.acknowledged for worker in workers)
        print(f"{acknowledged} writes acknowledged, {verified} states verified, restart {max(restarts) * 1000:.0f} ms at most", flush=True)
        self.assertGreater(acknowledged, self.rounds * 20, "too little load to prove anything")
        self.assertLess(max(restarts), RESTART_SECONDS_MAX)
        self.assertEqual(0, server.stop())
        server.start()
        self.verify(raw, workers, "after a clean stop")

    def load_and_kill(self, server, workers, seconds):
        until = threading.Event()
        threads = [threading.Thread(target=worker.run, args=(until,)) for worker in workers]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        self.assertIsNone(server.process.poll(), server.output())
        server.kill()
        until.set()
        for thread in threads:
            thread.join()
        self.raise_failures(workers, "under load")

    def raise_failures(self, workers, when):
        failures = [failure for worker in workers for failure in worker.failures]
        if failures:
            self.fail(f"{when}: {len(failures)} failures, the first: {failures[0]!r}")

    def verify(self, raw, workers, when):
        """Reads every key, and compares the listing with what the reads showed."""
        count = 0
        with raw.connect(timeout=120) as connection:
            for worker in workers:
                for key in sorted(worker.states):
                    worker.check(worker.send(connection, "GET", f"/crash/{key}"), key)
                    count += 1
        self.raise_failures(workers, when)
        client = harness.boto3_client(raw.endpoint.url)
        listed = {item["Key"]: item["ETag"] for page in client.get_paginator("list_objects_v2").paginate(Bucket="crash")
                  for item in page.get("Contents", [])}
        expected = {key: states[0][1] for worker in workers for key, states in worker.states.items() if states[0] is not ABSENT}
        self.assertEqual(expected, listed, when)
        return count
