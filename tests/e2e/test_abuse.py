# SPDX-License-Identifier: Apache-2.0
"""Clients that hold what they get: the others are served beside them, none of them refused (docs/admission.md)."""
import base64
import hashlib
import resource
import time
import unittest

import attacks
import harness
import raw as http
import sigv4
from harness import MIB, Server, needs_own_server

LATENCY_MS_MAX = 12_000  # on a slow machine, with sanitizers; a server that is held stops for 30 s and more
SECONDS = 2


class Abuse(unittest.TestCase):
    tls = False
    arguments = ()
    command = None

    def setUp(self):
        # Little memory, so that few clients are many. No proxy that splits: it would be the client that the server sees.
        self.server = Server(tls=self.tls, command=self.command, split=None,
                             arguments=["--threads", "1", "--request-memory", "16MiB", "--cache-size", "0", *self.arguments])
        self.server.__enter__()
        self.addCleanup(self.server.__exit__, None)
        self.target = attacks.Target(http.Requester(harness.endpoint_of(self.server)), self.server.port)

    def expect_served(self, attack, name):
        with attack:
            served = attacks.WellBehaved(self.target).run(SECONDS)
            health = attacks.health_ms(self.server.management_port)
        print(f"{name}: p99 {served.percentile(0.99):.1f} ms, longest {max(served.latencies):.1f} ms, /health {health:.1f} ms, "
              f"{len(served.latencies)} requests", flush=True)
        self.assertEqual([], served.problems)
        self.assertLess(max(served.latencies), LATENCY_MS_MAX)
        self.assertLess(health, LATENCY_MS_MAX)


@needs_own_server
class HeldMemory(Abuse):
    def test_bodies_that_drip(self):
        self.expect_served(attacks.drip_put(self.target, 64), "bodies that drip")

    def test_bodies_that_begin_well_and_drip(self):
        self.expect_served(attacks.drip_put(self.target, 64, at_once=100_000), "bodies that begin well")

    def test_declared_bodies_that_never_come(self):
        self.expect_served(attacks.declared_put(self.target, 1200), "declared bodies that never come")

    def expect_large_puts(self, attack, name):
        body = bytes(4 * MIB)
        longest = 0
        with attack:
            time.sleep(3)  # their first blocks have filled the share
            for _ in range(4):
                begun = time.monotonic()
                answer = self.target.raw("PUT", "/abuse/quick", body=body, payload_hash=sigv4.UNSIGNED)
                longest = max(longest, time.monotonic() - begun)
                self.assertEqual(200, answer.status, answer)
        print(f"{name}: the longest of four 4 MiB took {longest:.2f} s", flush=True)

    def test_many_bodies_just_above_the_floor(self):
        self.expect_large_puts(attacks.put_above_the_floor(self.target, 40, 170_000), "40 bodies at 170 kB/s")

    def expect_deletions(self, attack, name):
        body = b"<Delete><Object><Key>a</Key></Object></Delete>"
        md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
        with attack:
            time.sleep(1)
            for _ in range(4):
                answer = self.target.raw("POST", "/abuse", query=[("delete", "")], body=body, headers={"content-md5": md5})
                self.assertEqual(200, answer.status, answer)
        cut = self.server.metric("fractalbits_admission_bodies_cut_total")
        print(f"{name}: {cut:.0f} bodies were cut", flush=True)

    def test_xml_texts_that_stop(self):
        self.expect_deletions(attacks.xml_texts(self.target, 4, 8 * MIB, 8 * MIB - 1000), "4 texts of 8 MiB")

    def test_xml_texts_that_never_come(self):
        self.expect_deletions(attacks.xml_texts(self.target, 2048, 16384, 0), "2,048 texts declared")

    def test_unfinished_heads(self):
        before = self.server.resident_bytes()
        with attacks.unfinished_heads(self.target, 2000):
            served = attacks.WellBehaved(self.target).run(1)
            grew = self.server.resident_bytes() - before
        self.assertEqual([], served.problems)
        print(f"2,000 unfinished heads: memory grew {grew / MIB:.0f} MiB", flush=True)
        # A sanitizer keeps what is freed, and its own notes beside what is in use.
        self.assertLess(grew, (512 if harness.SANITIZED else 64) * MIB)

    def test_readers_that_do_not_read(self):
        self.expect_served(attacks.get_unread(self.target, 64), "readers that do not read")

    def test_steady_readers_beside_them_stay(self):
        self.target.raw("PUT", "/abuse/film", body=bytes(32 * MIB), payload_hash=sigv4.UNSIGNED)
        readers = [attacks.SteadyReader(self.target, "/abuse/film", MIB, 8) for _ in range(3)]
        time.sleep(3)  # the kernel has learnt how much it may take for them
        with attacks.get_unread(self.target, 90):
            for reader in readers:
                reader.join()
        self.assertEqual([None] * 3, [reader.cut for reader in readers])

    def test_refusals_that_nobody_reads(self):
        self.expect_served(attacks.refusals_unread(self.target, 1700), "refusals that nobody reads")

    def test_declared_lengths_take_no_memory(self):
        before = self.server.resident_bytes()
        with attacks.declared_xml(self.target, 100):
            served = attacks.WellBehaved(self.target).run(1)
            self.assertLess(self.server.resident_bytes() - before, (256 if harness.SANITIZED else 32) * MIB)
        self.assertEqual([], served.problems)

    def test_an_error_repeats_little_of_a_request(self):
        answer = self.target.raw.anonymous("GET", f"/abuse/{'&' * 15000}")
        self.assertEqual(403, answer.status)
        self.assertLess(len(answer.body), 8192)
        answer = self.target.raw("GET", f"/abuse/key?{'&' * 5000}", after={"authorization": None})
        self.assertLess(len(answer.body), 24 * 1024)


@needs_own_server
class PortableBackend(HeldMemory):
    arguments = ("--io-backend", "portable")


@needs_own_server
class HalfRecords(Abuse):
    tls = True

    def test_half_records(self):
        self.expect_served(attacks.half_records(self.target, 400), "half records of TLS")


@needs_own_server
class FewDescriptors(Abuse):
    def setUp(self):
        self.command = ["prlimit", "--nofile=300:300", harness.BINARY, "server"]
        super().setUp()

    def test_idle_connections(self):
        self.expect_served(attacks.idle(self.target, 400), "400 idle connections, 300 descriptors")
        self.assertGreater(self.server.metric("fractalbits_admission_connections_shed_total"), 0)


if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 4000:
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(20_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
