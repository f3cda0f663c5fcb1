#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""This build beside another one: pairs.py OTHER_BINARY [OPERATION...]

15 pairs (of put and get of 4 KiB unless told). For each, both are started anew on stores of their own, in turns as the first, one
thread each, on core 0; the load on core 1 goes to them in turns. Says the ratio of the rates and each one's CPU a request.
"""
import contextlib
import os
import shutil
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "e2e"))
import harness
import s3_rig
from harness import Server, boto3_client

OBJECTS = 10_000


def costs(server):
    return s3_rig.cpu_seconds(server.process.pid), server.metric("fractalbits_http_requests_total")


def started(binary, stack):
    server = Server(command=s3_rig.pinned("0", [binary, "server", "--threads", "1"])).start()
    stack.callback(shutil.rmtree, server.home)
    stack.callback(server.kill)
    boto3_client(server.endpoint).create_bucket(Bucket=s3_rig.BUCKET)
    s3_rig.run_load("put", server.port, s3_rig.BUCKET, "1", server.output, objects=OBJECTS, once=True)
    return server


def pair(binaries, operations, number, rates, cpu):
    with contextlib.ExitStack() as stack:
        servers = {index: started(binaries[index], stack) for index in ((0, 1), (1, 0))[number % 2]}
        for operation in operations:
            before = [costs(servers[index]) for index in (0, 1)]
            rates[operation].append(s3_rig.in_turns(servers, s3_rig.BUCKET, operation, number % 2, objects=OBJECTS))
            after = [costs(servers[index]) for index in (0, 1)]
            cpu[operation].append([(b[0] - a[0]) / (b[1] - a[1]) * 1e6 for a, b in zip(before, after)])


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    binaries, operations = (os.path.abspath(sys.argv[1]), harness.BINARY), sys.argv[2:] or ["put", "get"]
    rates, cpu = ({operation: [] for operation in operations} for _ in range(2))
    try:
        for number in range(s3_rig.PAIRS):
            pair(binaries, operations, number, rates, cpu)
    finally:
        harness.clean_up()
    for operation in operations:
        other, ours = (statistics.median(values) for values in zip(*cpu[operation]))
        print(f"{operation}: {s3_rig.ratio_of_pairs(rates[operation])} of the other's rate; CPU a request {ours:.2f} us, the other's {other:.2f} us")


if __name__ == "__main__":
    main()
