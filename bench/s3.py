#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`./dev bench s3`: the server beside its peers, on the same cores, in one run.

    s3.py [FIGURE ...] [--rounds 5] [--seconds 8] [--connections 64] [--keys 1000000] [--data-dir DIR]

The server (one thread) and its peers run on core 0, the load on core 1, with 64 connections and every request signed.
`get` and `put` are loaded by wrk, which no store's author wrote, the rest by bench/s3_load.cc, our own; `ceiling` shows
how fast that one is. Ours and the peer take turns; each figure is the median of the rounds, the spread is
(max - min) / median. A round with errors is no result and fails the run. One line a figure: name, ours, peer or limit,
ratio.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time

from s3_rig import BUCKET, HERE, Rig, harness, line, report, report_value

KIB4, MIB1 = 4096, 1 << 20
OBJECTS = 10_000
COLD_OBJECTS = 262_144  # 1 GiB of 4 KiB, no cache
LARGE_OBJECTS = 512
LARGE_CACHED = 128  # as nginx's file, they fit into memory
IDLE_CONNECTIONS = 10_000
MANY_URLS = 1_000_000


def wrk(rig, operation, seconds, *arguments):
    """wrk against ours, from core 1; errors end the run."""
    command = [sys.executable, os.path.join(HERE, "s3wrk.py"), operation, "--endpoint", rig.running.endpoint, "--access-key",
               harness.ACCESS_KEY, "--secret-key", harness.SECRET_KEY, "--size", str(KIB4), "--objects", str(OBJECTS),
               "--connections", str(rig.options.connections), "--seconds", str(seconds), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    result = json.loads(done.stdout.strip().split("\n")[-1]) if done.returncode == 0 else {"errors": done.stderr}
    if result["errors"]:
        sys.exit(f"{operation}: {result['errors']}; a run with errors is no result\n{rig.running.output()}")
    return result


def by_wrk(rig, operation, peer, peer_name, target):
    ours, peers, p50, p99 = [], [], [], []
    for _ in range(rig.options.rounds):
        rig.server()
        if operation == "get" and not ours:
            wrk(rig, "get", 1)
        with rig.costs_of(operation):
            result = wrk(rig, operation, rig.options.seconds, "--skip-upload")
        ours.append(result["rps"])
        p50.append(result["p50_us"])
        p99.append(result["p99_us"])
        rig.stop()
        peers.append(peer())
    report(f"{operation.upper()} 4 KiB (requests/s)", ours, peers, f"{peer_name}, target {target}")
    line("  p50, p99 (us)", f"{statistics.median(p50):,.0f}", f"{statistics.median(p99):,.0f}", "-")
    line("  a request costs", "-", "-", "-", rig.cost_line(operation))


def get(rig):
    def nginx():
        with rig.nginx(os.urandom(KIB4)) as port:
            output = subprocess.run(["taskset", "-c", "1", "wrk", "-t1", f"-c{rig.options.connections}", f"-d{rig.options.seconds}s",
                                     "--timeout", "10s", f"http://127.0.0.1:{port}/object"],
                                    check=True, capture_output=True, text=True).stdout
        if "Non-2xx" in output or "Socket errors" in output:
            sys.exit(f"nginx answered with errors:\n{output}")
        return float(output.split("Requests/sec:")[1].split()[0])
    by_wrk(rig, "get", nginx, "nginx, static file", 1.0)


def put(rig):
    by_wrk(rig, "put", lambda: rig.fio("dsync-4k"), "fio dsync IOPS, depth 32", 0.5)


def ceiling(rig):
    """The load against nginx serving 4 KiB: wrk does the same at that rate."""
    with rig.nginx(os.urandom(KIB4)) as port:
        results = [rig.load("raw", port=port, path="/object") for _ in range(rig.options.rounds)]
    busy = statistics.median(result["cpu_us_per_request"] for result in results)
    report_value("load: raw GET 4 KiB from nginx (requests/s)", statistics.median(result["rps"] for result in results),
                 f"{busy:.2f} us of the load's core a request, so at most {1e6 / busy:,.0f}/s", 0)


def pairs(rig, name, ours, peer, remark, digits=0):
    mine, theirs = [], []
    for _ in range(rig.options.rounds):
        mine.append(ours())
        theirs.append(peer())
    report(name, mine, theirs, remark, digits)
    return statistics.median(mine), statistics.median(theirs)


def get_cold(rig):
    rig.server(store="cold")
    rig.fill(COLD_OBJECTS)

    def ours():
        rig.server(store="cold", arguments=("--cache-size", "0"))
        rig.load("head", objects=COLD_OBJECTS, once=True)  # the namespace is in memory, the content is not
        with rig.costs_of("cold"):
            return rig.load("get", objects=COLD_OBJECTS, random=True)["rps"]
    pairs(rig, "GET 4 KiB, cold, no cache (requests/s)", ours, lambda: rig.fio("randread-4k"), "fio random reads, depth 64, target 0.9")
    line("  a request costs", "-", "-", "-", rig.cost_line("cold"))
    rig.drop_store("cold")


def put_hash(rig):
    rig.server()
    pairs(rig, "PUT 4 KiB with x-amz-content-sha256 (requests/s)", lambda: rig.load("put", objects=OBJECTS, hash=True)["rps"],
          lambda: rig.load("put", objects=OBJECTS)["rps"], "PUT with UNSIGNED-PAYLOAD, target 0.85")


def head_delete(rig):
    rig.server()
    rig.fill(OBJECTS)
    pairs(rig, "HEAD (requests/s)", lambda: rig.load("head", objects=OBJECTS)["rps"], lambda: rig.load("get", objects=OBJECTS)["rps"],
          "GET 4 KiB, target 1.0")
    count = 20 * OBJECTS

    def puts():
        return rig.load("put", objects=count, once=True)["rps"]
    puts()
    pairs(rig, "DELETE 4 KiB (requests/s)", lambda: rig.load("delete", objects=count, once=True)["rps"], puts,
          "PUT 4 KiB of new keys, target 1.0")


def large(rig):
    body = os.urandom(MIB1)
    rig.server(store="large")
    rig.fill(LARGE_OBJECTS, MIB1)

    def ours():
        rig.server_again("large")
        for _ in range(2):  # what has been read twice is cached
            rig.load("get", objects=LARGE_CACHED, size=MIB1, once=True)
        return rig.load("get", objects=LARGE_CACHED, size=MIB1)["mib_per_s"]

    def nginx():
        rig.stop()
        with rig.nginx(body) as port:
            return rig.load("raw", port=port, path="/object")["mib_per_s"]
    pairs(rig, "GET 1 MiB (MiB/s)", ours, nginx, "nginx, static file, target 0.9")
    speed = subprocess.run(["taskset", "-c", "0", "openssl", "speed", "-seconds", "2", "-bytes", str(MIB1), "-mr", "-evp", "md5"],
                           check=True, capture_output=True, text=True).stdout
    md5 = float(speed.strip().split("\n")[-1].split(":")[-1]) / MIB1

    def puts():
        rig.server_again("large")
        return rig.load("put", objects=LARGE_OBJECTS, size=MIB1)["mib_per_s"]
    pairs(rig, "PUT 1 MiB (MiB/s)", puts, lambda: min(md5, rig.fio("dsync-1m")), f"lower of fio dsync and MD5 ({md5:,.0f}), target 0.7")
    rig.drop_store("large")


def listing(rig):
    keys = rig.options.keys
    server = rig.server(store="list")
    filled = rig.fill(keys, 8)
    report_value(f"PUT of {keys:,} keys of 8 bytes (requests/s)", filled["rps"], digits=0)
    report_value("  memory of the server (MiB)", server.resident_bytes() / MIB1, digits=0)
    client = harness.endpoint_of(server).boto3()
    url = client.generate_presigned_url("list_objects_v2", Params={"Bucket": BUCKET, "MaxKeys": 1000})
    body = harness.run(["curl", "-sS", url]).stdout

    def ours():
        rig.server_again("list")
        return rig.load("list", objects=keys, random=True)["rps"]

    def nginx():
        rig.stop()
        with rig.nginx(body) as port:
            return rig.load("raw", port=port, path="/object")["rps"]
    pairs(rig, f"LIST 1000 of {keys:,} keys (requests/s)", ours, nginx, "nginx serving the same XML, target 0.5")
    rig.stop()
    for name, stop in (("clean", "stop"), ("after kill -9", "kill")):
        server = rig.server(store="list")
        rig.load("put", objects=OBJECTS, size=8, seconds=2)
        getattr(server, stop)()
        rig.running = None
        begun = time.monotonic()
        rig.server(store="list")
        rig.load("get", objects=1, size=8, once=True, connections=1)
        report_value(f"restart with {keys:,} objects, {name}, to the first GET (s)", time.monotonic() - begun)
    rig.drop_store("list")


def mixed(rig):
    rig.server()
    rig.fill(OBJECTS)
    shares = {"get": 70, "put": 25, "list": 5}
    mix = ",".join(f"{operation}={share}" for operation, share in shares.items())

    def parts():
        seconds = sum(share / 100 / rig.load(operation, objects=OBJECTS, random=True)["rps"] for operation, share in shares.items())
        return 1 / seconds
    pairs(rig, f"mixed {mix} (requests/s)", lambda: rig.load(mix, objects=OBJECTS)["rps"], parts, "weighted sum of the parts, target 0.9")


def paced(rig):
    def p99(name, remark, *arguments, **flags):
        top = statistics.median(rig.load(*arguments, **flags)["rps"] for _ in range(3))
        results = [rig.load(*arguments, rate=0.7 * top, **flags) for _ in range(rig.options.rounds)]
        report(f"{name} at 70 % of {top:,.0f}/s, open loop, p99 (us)", [result["p99_us"] for result in results],
               [result["p50_us"] for result in results], remark)
    rig.server()
    rig.fill(OBJECTS)
    for operation in ("get", "put"):
        p99(operation.upper(), "p50, target 4", operation, objects=OBJECTS, random=True)
    rig.stop()
    with rig.nginx(os.urandom(KIB4)) as port:  # what the machine and the generator make of it
        p99("nginx", "p50", "raw", port=port, path="/object")


def highest_during(value, run):
    """What `run` gives, and the highest that `value` was meanwhile."""
    ended = threading.Event()
    seen = [value()]

    def sample():
        while not ended.wait(0.1):
            seen.append(value())
    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        return run(), max(seen)
    finally:
        ended.set()
        sampler.join()


def idle(rig):
    server = rig.server(store="idle")
    rig.fill(OBJECTS)
    before = server.resident_bytes()
    rate = rig.load("get", objects=OBJECTS)["rps"]
    base = server.resident_bytes()
    loaded = []
    peers = []
    highest = 0
    for _ in range(rig.options.rounds):
        result, bytes_used = highest_during(server.resident_bytes, lambda: rig.load("get", objects=OBJECTS, idle=IDLE_CONNECTIONS))
        highest = max(highest, bytes_used)
        loaded.append(result["rps"])
        peers.append(rig.load("get", objects=OBJECTS)["rps"])
    report_value(f"memory of {IDLE_CONNECTIONS:,} idle connections (bytes each)", (highest - base) / IDLE_CONNECTIONS,
                 "target 8192; what the kernel holds is not counted", 0)
    report(f"GET 4 KiB beside {IDLE_CONNECTIONS:,} idle connections", loaded, peers, "without them, target 0.95")
    report_value("memory at 64 connections under load (MiB)", base / MIB1, f"{before / MIB1:,.0f} before, {rate:,.0f} GET/s", 0)


def tls(rig):
    def ours():
        rig.server(tls=True)
        return rig.load("get", objects=OBJECTS)["rps"]

    def plain():
        rig.server()
        return rig.load("get", objects=OBJECTS)["rps"]
    rig.server()
    rig.fill(OBJECTS)
    pairs(rig, "GET 4 KiB over TLS (requests/s)", ours, plain, "plain, target 0.7")


def urls(rig):
    """The result of a verification must not be what is cached: many URLs cost no more than few."""
    rig.server(store="urls", arguments=("--cache-size", "0"))
    rig.fill(MANY_URLS, 8)
    pairs(rig, f"HEAD, {MANY_URLS:,} distinct URLs (requests/s)", lambda: rig.load("head", objects=MANY_URLS)["rps"],
          lambda: rig.load("head", objects=OBJECTS)["rps"], f"{OBJECTS:,} URLs, target 0.9")
    rig.drop_store("urls")


def cores(rig):
    """Load from the same two cores, so what it takes is missing on both sides."""
    def with_threads(threads, operation):
        rig.server(cpus="0-1" if threads == 2 else "0", threads=threads)
        return rig.load(operation, objects=OBJECTS, cpus="0-1")["rps"]
    rig.server()
    rig.fill(OBJECTS)
    for operation in ("get", "put"):
        pairs(rig, f"{operation.upper()} 4 KiB, two threads (requests/s)", lambda: with_threads(2, operation),
              lambda: with_threads(1, operation), "one thread, load on both cores; reported")


FIGURES = {"get": get, "put": put, "ceiling": ceiling, "get-cold": get_cold, "put-hash": put_hash, "head-delete": head_delete,
           "large": large, "list": listing, "mixed": mixed, "paced": paced, "idle": idle, "tls": tls, "urls": urls, "cores": cores}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(FIGURES)}; get and put unless named; all for all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--keys", type=int, default=1_000_000, help="of the listing and the restart")
    parser.add_argument("--data-dir", help="where to make the store and the peer's file (same file system for both)")
    options = parser.parse_args()
    names = list(FIGURES) if options.figures == ["all"] else options.figures or ["get", "put"]
    for name in names:
        if name not in FIGURES:
            parser.error(f"no figure '{name}'; there are: {', '.join(FIGURES)}")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("two cores are needed: one for the server, one for the load")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rig = Rig(options)
    line("figure", "ours", "peer/limit", "ratio", "remark")
    try:
        for name in names:
            FIGURES[name](rig)
            rig.stop()
    finally:
        rig.close()


if __name__ == "__main__":
    main()
