# SPDX-License-Identifier: Apache-2.0
"""Slow and idle clients: they are timed out, they hold no one up, and memory stays bounded."""
import os
import time
import unittest

import harness
import raw as http
import sigv4
from harness import MIB, SLOW, Server, needs_own_server

GROWTH_BYTES_MAX = 64 * MIB
UPLOAD_BYTES = (5120 if SLOW else 1024) * MIB


@needs_own_server
class SlowClients(unittest.TestCase):
    def setUp(self):
        self.server = Server(arguments=["--threads", "1"])
        self.server.__enter__()
        self.addCleanup(self.server.__exit__, None)
        self.raw = http.Requester(harness.endpoint_of(self.server))
        self.assertEqual(200, self.raw("PUT", "/bucket-one").status)

    def peak_growth(self, act):
        """The highest resident size while `act` (a generator) goes on, over the size before."""
        before = peak = self.server.resident_bytes()
        for _ in act:
            peak = max(peak, self.server.resident_bytes())
        return peak - before

    def test_a_large_upload_takes_little_memory(self):
        piece = os.urandom(4 * MIB)

        def upload():
            request = self.raw.build("PUT", "/bucket-one/large", payload_hash=sigv4.UNSIGNED, headers={"content-length": str(UPLOAD_BYTES)})
            with self.raw.connect(timeout=120) as connection:
                connection.send(request)
                for _ in range(UPLOAD_BYTES // len(piece)):
                    connection.send(piece)
                    yield
                self.assertEqual(200, connection.response("PUT").status)

        def download():
            with self.raw.connect(timeout=120) as connection:
                connection.send(self.raw.build("GET", "/bucket-one/large"))
                got = 0
                while got < UPLOAD_BYTES:
                    data = connection.socket.recv(4 * MIB)
                    self.assertTrue(data, "the download ended early")
                    got += len(data)
                    yield

        self.raw("PUT", "/bucket-one/warm", body=piece)
        for name, act in (("upload", upload), ("download", download)):
            growth = self.peak_growth(act())
            print(f"{name} of {UPLOAD_BYTES // MIB} MiB: memory grew by {growth / MIB:.1f} MiB", flush=True)
            self.assertLess(growth, GROWTH_BYTES_MAX, name)

    def test_readers_that_do_not_read(self):
        self.raw("PUT", "/bucket-one/large", body=os.urandom(64 * MIB))
        connections = [self.raw.connect() for _ in range(64)]

        def stall():
            for connection in connections:
                connection.send(self.raw.build("GET", "/bucket-one/large"))
                yield
            for _ in range(20):
                time.sleep(0.05)
                yield

        growth = self.peak_growth(stall())
        print(f"64 stalled downloads: memory grew by {growth / MIB:.1f} MiB", flush=True)
        self.assertLess(growth, 4 * GROWTH_BYTES_MAX)
        start = time.monotonic()
        self.assertEqual(200, self.raw("GET", "/").status)
        self.assertLess(time.monotonic() - start, 2)
        for connection in connections:
            connection.close()

    def test_slow_writers_hold_no_one_up(self):
        connections = [self.raw.connect() for _ in range(200)]
        for connection in connections:
            connection.send(self.raw.build("PUT", "/bucket-one/slow", body=bytes(100000))[:-50000])
        start = time.monotonic()
        for i in range(20):
            self.assertEqual(200, self.raw("PUT", f"/bucket-one/fast{i}", body=b"x").status)
        self.assertLess(time.monotonic() - start, 5)
        for connection in connections:
            connection.close()

    def test_headers_that_never_end_are_timed_out(self):
        """However often a byte arrives, a request head has a deadline of its own."""
        with self.raw.connect(timeout=1) as connection:
            connection.send(b"GET / HTTP/1.1\r\nhost: x\r\n")
            start = time.monotonic()
            while time.monotonic() - start < 90:
                try:
                    connection.send(b"x-drip: 1\r\n")
                    time.sleep(1)
                    if connection.closed_within(0.1):
                        break
                except OSError:
                    break
            self.assertLess(time.monotonic() - start, 90, "the connection is still open")
