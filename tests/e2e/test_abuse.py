# SPDX-License-Identifier: Apache-2.0
"""Clients that hold what they get: the others are served beside them, none of them refused (docs/admission.md)."""
import resource
import unittest

import attacks
import harness
import raw as http
from harness import MIB, Server, needs_own_server

LATENCY_MS_MAX = 12_000  # on a slow machine, with sanitizers; a server that is held stops for 30 s and more
SECONDS = 2


class Abuse(unittest.TestCase):
    tls = False
    arguments = ()
    command = None

    def setUp(self):
        # Little memory, so that few clients are many.
        self.server = Server(tls=self.tls, command=self.command,
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

    def test_readers_that_do_not_read(self):
        self.expect_served(attacks.get_unread(self.target, 64), "readers that do not read")

    def test_refusals_that_nobody_reads(self):
        self.expect_served(attacks.refusals_unread(self.target, 1700), "refusals that nobody reads")

    def test_declared_lengths_take_no_memory(self):
        before = self.server.resident_bytes()
        with attacks.declared_xml(self.target, 100):
            served = attacks.WellBehaved(self.target).run(1)
            self.assertLess(self.server.resident_bytes() - before, 32 * MIB)
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
