#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`./dev bench rename`: renames of directories over S3, beside one durable put over the same connection.

    rename.py [--objects 100000] [--renames 1000] [--data-dir DIR]

The server runs on core 0, the client on core 1, one request at a time. Directories with 1, 1,000 and `--objects` objects
beneath move behind `moved/` and back, first after a restart (each directory for the first time), then warm; after each rename
one object is put. One line a figure: name, ours in ms (p50), a durable put in ms, ratio. What 10 million objects cost, and
what gets meanwhile wait, is measured in process: `./dev bench namespace`.
"""
import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "e2e"))
import harness
import raw
import sigv4

PIPELINED = 64
BUCKET = "rename"


class Client:
    """One connection, requests one after the other or pipelined."""

    def __init__(self, server):
        self.requester = raw.Requester(harness.endpoint_of(server))
        self.connection = self.requester.connect()

    def put(self, key):
        return self.requester.build("PUT", f"/{BUCKET}/{key}", body=b"x")

    def rename(self, source, destination):
        return self.requester.build("PUT", f"/{BUCKET}/{destination}", query=[("renameObject", None)],
                                    headers={"x-amz-rename-source": sigv4.encode(source)})

    def timed(self, request):
        """Milliseconds from sending to the whole answer."""
        begun = time.perf_counter()
        self.connection.send(request)
        answer = self.connection.response("PUT")
        took = (time.perf_counter() - begun) * 1000
        if answer.status != 200:
            sys.exit(f"{request[:80]}: {answer}")
        return took

    def fill(self, keys):
        keys = iter(keys)
        while batch := [self.put(key) for _, key in zip(range(PIPELINED), keys)]:
            self.connection.send(b"".join(batch))
            for _ in batch:
                if (answer := self.connection.response("PUT")).status != 200:
                    sys.exit(f"filling: {answer}")


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def measure(client, name, directories, renames):
    """There and back, each directory in turn."""
    times, puts = [], []
    for number in range(renames):
        directory = directories[number // 2 % len(directories)]
        ends = (directory, f"moved/{directory}")
        times.append(client.timed(client.rename(*(ends if number % 2 == 0 else ends[::-1]))))
        puts.append(client.timed(client.put("one")))
    ours, put = statistics.median(times), statistics.median(puts)
    print(f"{name:<44} ours {ours:.3f} ms  one durable put {put:.3f}  ratio {ours / put:.2f}"
          f"  (p99 {percentile(times, 0.99):.2f} ms, put p99 {percentile(puts, 0.99):.2f} ms, {renames} renames)", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=100_000, help="beneath the largest directory")
    parser.add_argument("--renames", type=int, default=1000, help="of each kind, warm")
    parser.add_argument("--data-dir", help="on the disk to measure")
    options = parser.parse_args()
    os.sched_setaffinity(0, {1})
    folder = tempfile.mkdtemp(prefix="fb-bench-", dir=options.data_dir)
    server = harness.Server(data_dir=os.path.join(folder, "data"),
                            command=["taskset", "-c", "0", harness.BINARY, "server", "--threads", "1"])
    kinds = [("1 object", [f"one/{number:04}/" for number in range(500)], 1),
             ("1000 objects", [f"thousand/{number:02}/" for number in range(50)], 1000),
             (f"{options.objects} objects", ["all/"], options.objects)]
    try:
        server.start()
        client = Client(server)
        client.timed(client.requester.build("PUT", f"/{BUCKET}"))
        for _, directories, count in kinds:
            client.fill(f"{directory}{number:08}.jpg" for directory in directories for number in range(count))
        for name, directories, _ in kinds:
            server.stop()
            server.start()
            client = Client(server)
            measure(client, f"rename: {name}, after a restart", directories, 2 * len(directories))
            measure(client, f"rename: {name}, warm", directories, options.renames)
    finally:
        server.kill()
        harness.clean_up()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
