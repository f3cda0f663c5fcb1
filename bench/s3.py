#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`./dev bench s3`: the server beside its peers, on the same cores, in one run.

    s3.py [get|put ...] [--rounds 5] [--seconds 8] [--connections 64] [--data-dir DIR]

The server runs on core 0 and wrk on core 1, 64 connections, 4 KiB objects, every request with a SigV4 presigned URL.
get stands beside nginx (bench/nginx.conf) serving one 4 KiB file on core 0; put beside fio (bench/fio_randwrite.fio)
doing durable random writes on core 0 and the same file system, while our server is stopped. Ours and the peer take
turns; each figure is the median of the rounds, the spread is (max - min) / median. A round with errors is no result and
fails the run. One line a figure: name, ours, peer or limit, ratio.
"""
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "e2e"))
import harness

OBJECT_BYTES = 4096
PER_REQUEST = {  # metric: (name of the figure, target of docs/status.md)
    "fractalbits_allocations_total": ("allocations per request", 2),
    "fractalbits_io_enters_total": ("io_uring_enter calls per request", 1),
    "fractalbits_bytes_copied_total": ("bytes copied per request", OBJECT_BYTES),
}


def pinned(core, command):
    return ["taskset", "-c", str(core), *command]


def cpu_seconds(pid):
    """User and system time of a process, its kernel workers for I/O included (they are its threads)."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Bench:
    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="fb-bench-", dir=options.data_dir)
        os.chmod(self.folder, 0o755)  # nginx reads it as another user
        self.server = harness.Server(data_dir=os.path.join(self.folder, "data"),
                                     command=pinned(0, [harness.BINARY, "server", "--threads", "1"]))
        self.costs = {}
        self.uploaded = False

    def close(self):
        self.server.stop()
        harness.clean_up()
        shutil.rmtree(self.folder, ignore_errors=True)

    def wrk(self, operation, seconds, *arguments):
        """wrk against ours, from core 1; errors end the run."""
        command = [sys.executable, os.path.join(HERE, "s3wrk.py"), operation, "--endpoint", self.server.endpoint, "--access-key",
                   harness.ACCESS_KEY, "--secret-key", harness.SECRET_KEY, "--size", str(OBJECT_BYTES), "--objects",
                   str(self.options.objects), "--connections", str(self.options.connections), "--seconds", str(seconds), *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{operation}: {done.stderr}\n{self.server.output()}")
        result = json.loads(done.stdout.strip().split("\n")[-1])
        if result["errors"]:
            sys.exit(f"{operation}: {result['errors']} errors; a run with errors is no result\n{self.server.output()}")
        return result

    def ours(self, operation):
        """One round of ours: requests a second. Notes what a request cost."""
        if self.server.process is None or self.server.process.poll() is not None:
            self.server.start()
        if operation == "get" and not self.uploaded:
            self.wrk("get", 1)
            self.uploaded = True
        before, cpu = self.counters(), cpu_seconds(self.server.process.pid)
        result = self.wrk(operation, self.options.seconds, "--skip-upload")
        after, cpu = self.counters(), cpu_seconds(self.server.process.pid) - cpu
        requests = after["fractalbits_http_requests_total"] - before["fractalbits_http_requests_total"]
        for name in PER_REQUEST:
            self.note(operation, name, (after[name] - before[name]) / requests)
        self.note(operation, "cpu", cpu / requests * 1e6)
        self.note(operation, "p50_us", result["p50_us"])
        self.note(operation, "p99_us", result["p99_us"])
        return result["rps"]

    def note(self, operation, name, value):
        self.costs.setdefault((operation, name), []).append(value)

    def counters(self):
        return {name: self.server.metric(name) for name in ("fractalbits_http_requests_total", *PER_REQUEST)}

    def nginx(self):
        folder = os.path.join(self.folder, "nginx")
        os.makedirs(os.path.join(folder, "www"), exist_ok=True)
        port = harness.free_port()
        with open(os.path.join(HERE, "nginx.conf")) as file:
            text = file.read().replace("@FOLDER@", folder).replace("@PORT@", str(port))
        with open(os.path.join(folder, "nginx.conf"), "w") as file:
            file.write(text)
        with open(os.path.join(folder, "www", "object"), "wb") as file:
            file.write(os.urandom(OBJECT_BYTES))
        process = subprocess.Popen(pinned(0, ["nginx", "-p", folder, "-c", os.path.join(folder, "nginx.conf")]), stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            if process.poll() is not None:
                sys.exit("nginx did not start")
            output = subprocess.run(pinned(1, ["wrk", "-t1", f"-c{self.options.connections}", f"-d{self.options.seconds}s", "--timeout", "10s",
                                               f"http://127.0.0.1:{port}/object"]), check=True, capture_output=True, text=True).stdout
        finally:
            process.terminate()
            process.wait()
        if "Non-2xx" in output or "Socket errors" in output:
            sys.exit(f"nginx answered with errors:\n{output}")
        return float(re.search(r"Requests/sec: *([\d.]+)", output)[1])

    def fio(self, section):
        command = pinned(0, ["fio", "--output-format=json", f"--directory={self.folder}", f"--section={section}",
                             os.path.join(HERE, "fio_randwrite.fio")])
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return json.loads(output[output.index("{"):])["jobs"][0]["write"]["iops"]

    def peer_of_put(self):
        self.server.stop()
        if not os.path.exists(os.path.join(self.folder, "peer.dat")):
            self.fio("prepare")
        return self.fio("measure")

    def compare(self, name, operation, peer_name, peer, target):
        ours, peers = [], []
        for _ in range(self.options.rounds):
            ours.append(self.ours(operation))
            peers.append(peer())
        report(name, ours, peers, f"{peer_name}, target {target}")
        report_value(f"{operation} p50 (us)", self.costs[operation, "p50_us"])
        report_value(f"{operation} p99 (us)", self.costs[operation, "p99_us"])
        report_value(f"{operation} server CPU time per request (us)", self.costs[operation, "cpu"])
        for metric, (figure, limit) in PER_REQUEST.items():
            report_value(f"{operation} {figure}", self.costs[operation, metric], limit)


def spread(values):
    return (max(values) - min(values)) / statistics.median(values) * 100 if statistics.median(values) else 0.0


def line(name, ours, peer, ratio, remark):
    print(f"{name:46} {ours:>12} {peer:>12} {ratio:>7}  {remark}", flush=True)


def report(name, ours, peers, remark):
    mine, theirs = statistics.median(ours), statistics.median(peers)
    line(name, f"{mine:,.0f}", f"{theirs:,.0f}", f"{mine / theirs:.2f}", f"{remark}; spread {spread(ours):.0f} %, {spread(peers):.0f} %")


def report_value(name, values, limit=None):
    value = statistics.median(values)
    line(name, f"{value:,.2f}", "-" if limit is None else f"{limit:,}", "-" if limit is None else f"{value / limit:.2f}",
         f"spread {spread(values):.0f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operations", nargs="*", choices=["get", "put", []], help="both unless named")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--objects", type=int, default=10000)
    parser.add_argument("--data-dir", help="where to make the store and the peer's file (same file system for both)")
    options = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("two cores are needed: one for the server, one for the load")
    bench = Bench(options)
    line("figure", "ours", "peer/limit", "ratio", "remark")
    try:
        for operation in options.operations or ["get", "put"]:
            if operation == "get":
                bench.compare("GET 4 KiB (requests/s)", "get", "nginx static file", bench.nginx, 0.7)
            else:
                bench.compare("PUT 4 KiB (requests/s)", "put", "fio dsync IOPS", bench.peer_of_put, 0.3)
    finally:
        bench.close()


if __name__ == "__main__":
    main()
