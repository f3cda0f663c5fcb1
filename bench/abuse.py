#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`./dev bench abuse`: a well-behaved client beside clients that hold what they get (docs/admission.md).

    abuse.py [--seconds 10] [--threads 1] [--backend auto] [--only NAME] [--data-dir DIR]

The server runs on core 0 with its default memory, the clients on core 1. For each attack: p99 of puts and gets of 4 KiB while
it goes on, over p99 just before it, and how many of them were refused or failed. The attack begins while they are measured.
One line a figure: name, with, without, ratio, refused, the slowest, /health, and what the server did.
"""
import argparse
import contextlib
import functools
import multiprocessing
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "e2e"))
import attacks
import harness
import raw

MIB = harness.MIB
RATIO_MAX = 3
COUNTERS = ("connections_shed_total", "bodies_cut_total", "answers_cut_total", "buffer_refused_total", "requests_refused_total")

# name: (attack, TLS, limit of descriptors)
ATTACKS = {
    "1,700 clients read no refusals": (functools.partial(attacks.refusals_unread, count=1700), False, None),
    "3,800 clients read no refusals": (functools.partial(attacks.refusals_unread, count=3800), False, None),
    "160 bodies of 2 MiB drip 300 B/s": (functools.partial(attacks.drip_put, count=160), False, None),
    "160 bodies bring 900 kB and drip": (functools.partial(attacks.drip_put, count=160, at_once=900_000), False, None),
    "1,500 bodies of 64 KiB declared": (functools.partial(attacks.declared_put, count=1500), False, None),
    "40 bodies just above the floor": (functools.partial(attacks.put_above_the_floor, count=40, bytes_per_second=170_000), False, None),
    "4 XML texts of 8 MiB stop": (functools.partial(attacks.xml_texts, count=4, size=8 * MIB, sent=8 * MIB - 1000), False, None),
    "2,048 XML texts declared": (functools.partial(attacks.xml_texts, count=2048, size=16384, sent=0), False, None),
    "3,000 unfinished heads": (functools.partial(attacks.unfinished_heads, count=3000), False, None),
    "160 readers of 8 MiB do not read": (functools.partial(attacks.get_unread, count=160), False, None),
    "3,000 half records of TLS": (functools.partial(attacks.half_records, count=3000), True, None),
    "100 XML bodies of 4 MiB declared": (functools.partial(attacks.declared_xml, count=100), False, None),
    "400 idle connections, 300 descriptors": (functools.partial(attacks.idle, count=400), False, 300),
    "10,000 idle connections": (functools.partial(attacks.idle, count=10_000), False, None),
}


def attack_until(attack, target, begun, done):
    with attack(target):
        begun.set()
        done.wait()


def start(options, folder, tls, descriptors):
    command = ["taskset", "-c", "0"] + (["prlimit", f"--nofile={descriptors}:{descriptors}"] if descriptors else [])
    command += [harness.BINARY, "server", "--threads", str(options.threads), "--io-backend", options.backend]
    data = tempfile.mkdtemp(prefix="data-", dir=folder)
    server = harness.Server(data_dir=data, command=command, tls=tls).start()
    return server, attacks.Target(raw.Requester(harness.endpoint_of(server)), server.port)


def measure(options, folder, name):
    attack, tls, descriptors = ATTACKS[name]
    server, target = start(options, folder, tls, descriptors)
    attacks.WellBehaved(target).run(1)
    without = attacks.WellBehaved(target).run(options.seconds)
    resident = server.resident_bytes()
    begun, done = multiprocessing.Event(), multiprocessing.Event()
    attacker = multiprocessing.Process(target=attack_until, args=(attack, target, begun, done), daemon=True)
    attacker.start()
    beside = attacks.WellBehaved(target).run(options.seconds)  # while it begins, and
    begun.wait()
    beside.run(options.seconds)  # all of it
    health = attacks.health_ms(server.management_port)
    growth = server.resident_bytes() - resident
    did = {counter: 0 for counter in COUNTERS}
    with contextlib.suppress(AssertionError):  # of an older server
        did = {counter: int(server.metric(f"fractalbits_admission_{counter}")) for counter in COUNTERS}
    done.set()
    attacker.join()
    server.stop()
    ratio = beside.percentile(0.99) / without.percentile(0.99)
    said = ", ".join(f"{value} {counter.removesuffix('_total').replace('_', ' ')}" for counter, value in did.items() if value)
    print(f"{name:<40} p99 with {beside.percentile(0.99):.2f} ms  without {without.percentile(0.99):.2f}  ratio {ratio:.2f}  refused "
          f"{len(beside.problems)} of {len(beside.latencies)}  (slowest {max(beside.latencies):.1f} ms, /health {health:.1f} ms, "
          f"memory grew {growth / MIB:.0f} MiB{', ' + said if said else ''})", flush=True)
    for problem in beside.problems[:3]:
        print(f"    {problem[:200]}", flush=True)
    return ratio <= RATIO_MAX and not beside.problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--only", default="")
    parser.add_argument("--data-dir")
    options = parser.parse_args()
    os.sched_setaffinity(0, {os.cpu_count() - 1})
    folder = tempfile.mkdtemp(prefix="fb-abuse-", dir=options.data_dir)
    try:
        good = [measure(options, folder, name) for name in ATTACKS if options.only in name]
    finally:
        harness.clean_up()
        shutil.rmtree(folder, ignore_errors=True)
    if not all(good):
        sys.exit(f"the target is a ratio of {RATIO_MAX} at most, and none refused")


if __name__ == "__main__":
    main()
