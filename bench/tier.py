#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a cloud bucket behind the server costs: tier.py [MiB [PAIRS]]

Two servers of one thread each, the second being the cloud. An object of that size is put and got straight there and
through the first server, alternately; then 64 connections put and get objects of 4 KiB on a server with a cloud bucket and on
one without, in pairs. Servers are on core 0 there, the load on core 1.
"""
import contextlib
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "e2e"))
import harness
import s3_rig
from harness import ACCESS_KEY, MIB, SECRET_KEY, Server, boto3_client

KEYS = {"FRACTALBITS_TIER_ACCESS_KEY": ACCESS_KEY, "FRACTALBITS_TIER_SECRET_KEY": SECRET_KEY}


def url(server, action):
    return boto3_client(server.endpoint).generate_presigned_url(action, {"Bucket": "bucket", "Key": "large"})


def timed(*command):
    start = time.monotonic()
    subprocess.run(["curl", "-sf", *command], check=True)
    return time.monotonic() - start


def large(cloud, server, size, pairs):
    path = os.path.join(server.home, "large")
    with open(path, "wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
    timed("-T", path, url(server, "put_object"))
    timed("-o", os.devnull, url(server, "get_object"))
    before = server.resident_bytes()
    ratios = {"put": [], "get": []}
    for _ in range(pairs):
        for name, arguments in (("put", ("-T", path)), ("get", ("-o", os.devnull))):
            direct, tier = (timed(*arguments, url(target, f"{name}_object")) for target in (cloud, server))
            ratios[name].append(direct / tier)
            print(f"{name}: straight {size / MIB / direct:.0f} MiB/s, through the tier {size / MIB / tier:.0f} MiB/s", flush=True)
    for name, values in ratios.items():
        print(f"{name}: {statistics.median(values):.2f} of the rate ({min(values):.2f} to {max(values):.2f})")
    print(f"memory: {(server.resident_bytes() - before) / MIB:+.0f} MiB")


def small(plain, tier):
    for operation in ("put", "get"):
        s3_rig.in_turns((plain, tier), "bucket", operation, False)
        ratio = s3_rig.ratio_of_pairs([s3_rig.in_turns((plain, tier), "bucket", operation, number % 2) for number in range(s3_rig.PAIRS)])
        print(f"{operation} of 4 KiB: with a tier {ratio} of the rate without (target: reaches 0.97)", flush=True)


@contextlib.contextmanager
def servers(cpus):
    """The cloud, one without a tier, and one with the first as its tier; each has the bucket."""
    with contextlib.ExitStack() as stack:
        def start(**more):
            server = Server(command=s3_rig.pinned(cpus, [harness.BINARY, "server", "--threads", "1"]), **more).start()
            stack.callback(server.kill)
            boto3_client(server.endpoint).create_bucket(Bucket="bucket")
            return server

        cloud, plain = start(), start()
        boto3_client(cloud.endpoint).create_bucket(Bucket="large-objects")
        arguments = ["--tier-endpoint", cloud.endpoint, "--tier-bucket", "large-objects"]
        yield cloud, plain, start(arguments=arguments, environment=KEYS)


def main():
    size = (int(sys.argv[1]) if len(sys.argv) > 1 else 1024) * MIB
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    try:
        with servers("0,1") as (cloud, _, tier):
            large(cloud, tier, size, pairs)
        with servers("0") as (_, plain, tier):
            small(plain, tier)
    finally:
        harness.clean_up()


if __name__ == "__main__":
    main()
