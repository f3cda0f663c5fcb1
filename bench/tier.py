#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a cloud bucket behind the server costs: tier.py [MiB [PAIRS]]

Two servers of one thread each, the second being the cloud. An object of that size is put and got straight there and
through the first server, alternately; then objects of 4 KiB on a server with a cloud bucket and on one without, in CPU time.
"""
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "e2e"))
import harness
from harness import ACCESS_KEY, MIB, SECRET_KEY, Server, boto3_client

KEYS = {"FRACTALBITS_TIER_ACCESS_KEY": ACCESS_KEY, "FRACTALBITS_TIER_SECRET_KEY": SECRET_KEY}
SMALL_OBJECTS = 300
SMALL_ROUNDS = 7


def url(server, action):
    return boto3_client(server.endpoint).generate_presigned_url(action, {"Bucket": "bucket", "Key": "large"})


def timed(*command):
    start = time.monotonic()
    subprocess.run(["curl", "-sf", *command], check=True)
    return time.monotonic() - start


def cpu_us(server):
    folder = f"/proc/{server.process.pid}/task"
    total = 0
    for thread in os.listdir(folder):
        with open(f"{folder}/{thread}/schedstat") as file:
            total += int(file.read().split()[0])
    return total / 1000


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
    def work(server):
        client = boto3_client(server.endpoint)
        start = cpu_us(server)
        for number in range(SMALL_OBJECTS):
            client.put_object(Bucket="bucket", Key=f"small-{number}", Body=b"x" * 4096)
        middle = cpu_us(server)
        for number in range(SMALL_OBJECTS):
            client.get_object(Bucket="bucket", Key=f"small-{number}")["Body"].read()
        return (middle - start) / SMALL_OBJECTS, (cpu_us(server) - middle) / SMALL_OBJECTS

    for server in (plain, tier):
        work(server)
    rounds = [(work(plain), work(tier)) for _ in range(SMALL_ROUNDS)]
    for index, name in enumerate(("put", "get")):
        ratios = [with_tier[index] / without[index] for without, with_tier in rounds]
        print(f"{name} of 4 KiB: CPU time with a tier {statistics.median(ratios):.2f} of that without ({min(ratios):.2f} to {max(ratios):.2f})")


def main():
    size = (int(sys.argv[1]) if len(sys.argv) > 1 else 1024) * MIB
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    servers = [Server(arguments=["--threads", "1"]).start() for _ in range(2)]
    try:
        for server in servers:
            boto3_client(server.endpoint).create_bucket(Bucket="bucket")
        cloud, plain = servers
        boto3_client(cloud.endpoint).create_bucket(Bucket="large-objects")
        tier = Server(arguments=["--threads", "1", "--tier-endpoint", cloud.endpoint, "--tier-bucket", "large-objects"], environment=KEYS)
        servers.append(tier.start())
        boto3_client(tier.endpoint).create_bucket(Bucket="bucket")
        large(cloud, tier, size, pairs)
        small(plain, tier)
    finally:
        for server in reversed(servers):
            server.kill()
        harness.clean_up()


if __name__ == "__main__":
    main()
