# SPDX-License-Identifier: Apache-2.0
"""What the figures of bench/s3.py are measured with: the server and its peers on core 0, the load on core 1."""
import contextlib
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "e2e"))
import harness

LOAD = os.path.join(HERE, "..", "build", "release", "bench", "fb_s3_load")
BUCKET = "bench"
PAIRS = 15
STUDENT_95 = 2.145  # of 14 degrees of freedom
PER_REQUEST = {  # metric: what it counts
    "fractalbits_allocations_total": "allocations",
    "fractalbits_io_enters_total": "io_uring_enter calls",
    "fractalbits_bytes_copied_total": "bytes copied",
}


def pinned(core, command):
    return ["taskset", "-c", str(core), *command]


def run_load(operation, port, bucket, cpus, context=lambda: "", **flags):
    """One run of the load; a run with errors ends everything, and says `context`. Flags: --connections and so on, True for a switch."""
    command = pinned(cpus, [LOAD, operation, "--port", str(port), "--bucket", bucket])
    for name, value in flags.items():
        command += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    environment = {**os.environ, "FRACTALBITS_ACCESS_KEY": harness.ACCESS_KEY, "FRACTALBITS_SECRET_KEY": harness.SECRET_KEY}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}\n{context()}")
    return json.loads(done.stdout.strip().split("\n")[-1])


def cpu_seconds(pid):
    """User and system time of a process, its kernel workers for I/O included (they are its threads)."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def in_turns(servers, bucket, operation, second_first, **flags):
    """The rates of two servers that take turns of a second, since a virtual machine's pace changes within seconds. The load is on core 1."""
    totals = [0, 0]
    for index in (1, 0, 0, 1) if second_first else (0, 1, 1, 0):
        server = servers[index]
        totals[index] += run_load(operation, server.port, bucket, "1", server.output, **{"seconds": 1, **flags})["rps"] / 2
    return totals


def ratio_of_pairs(rates):
    """The second's rate over the first's, as text: the geometric mean of the pairs, and the 95 % interval by Student's distribution."""
    logarithms = [math.log(second / first) for first, second in rates]
    middle = statistics.mean(logarithms)
    half = STUDENT_95 * statistics.stdev(logarithms) / math.sqrt(len(logarithms))
    return f"{math.exp(middle):.3f} (95 % interval {math.exp(middle - half):.3f} to {math.exp(middle + half):.3f}, {len(logarithms)} pairs)"


class Rig:
    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="fb-bench-", dir=options.data_dir)
        os.chmod(self.folder, 0o755)  # nginx reads it as another user
        self.running = None
        self.costs = {}

    def close(self):
        if self.running:
            self.running.kill()
        harness.clean_up()
        shutil.rmtree(self.folder, ignore_errors=True)

    def server(self, store="data", cpus="0", threads=1, tls=False, arguments=()):
        """A server on its own store of that name, started; the one before is stopped first."""
        self.stop()
        command = pinned(cpus, [harness.BINARY, "server", "--threads", str(threads)])
        self.running = harness.Server(data_dir=os.path.join(self.folder, store), command=command, tls=tls, arguments=arguments).start()
        with contextlib.suppress(Exception):
            harness.endpoint_of(self.running).boto3().create_bucket(Bucket=BUCKET)
        return self.running

    def server_again(self, store):
        """The same, where none runs: a peer may have had its turn."""
        return self.running or self.server(store=store)

    def stop(self):
        if self.running:
            self.running.stop()
            self.running = None

    def drop_store(self, store):
        self.stop()
        shutil.rmtree(os.path.join(self.folder, store), ignore_errors=True)

    def load(self, operation, port=None, cpus="1", **flags):
        """One run of the load on the server that runs, or on a peer's port."""
        server = self.running
        flags = {"connections": self.options.connections, "seconds": self.options.seconds, **flags}
        if server and server.tls and port is None:
            flags["tls"] = harness.certificate()[0]
        return run_load(operation, port or server.port, BUCKET, cpus, lambda: server.output() if server else "", **flags)

    def fill(self, objects, size=4096):
        return self.load("put", objects=objects, size=size, once=True)

    @contextlib.contextmanager
    def costs_of(self, name):
        """Notes what a request costs the server while the block runs."""
        server = self.running
        before, cpu = self.counters(), cpu_seconds(server.process.pid)
        yield
        after, cpu = self.counters(), cpu_seconds(server.process.pid) - cpu
        requests = after["fractalbits_http_requests_total"] - before["fractalbits_http_requests_total"]
        for metric, counted in PER_REQUEST.items():
            self.note(name, counted, (after[metric] - before[metric]) / requests)
        self.note(name, "us of CPU", cpu / requests * 1e6)

    def note(self, name, what, value):
        self.costs.setdefault(name, {}).setdefault(what, []).append(value)

    def cost_line(self, name):
        return ", ".join(f"{statistics.median(values):,.2f} {what}" for what, values in self.costs[name].items())

    def counters(self):
        return {name: self.running.metric(name) for name in ("fractalbits_http_requests_total", *PER_REQUEST)}

    @contextlib.contextmanager
    def nginx(self, body):
        """One nginx worker on core 0 that serves `body` as /object; gives its port."""
        folder = os.path.join(self.folder, "nginx")
        os.makedirs(os.path.join(folder, "www"), exist_ok=True)
        port = harness.free_port()
        with open(os.path.join(HERE, "nginx.conf")) as file:
            text = file.read().replace("@FOLDER@", folder).replace("@PORT@", str(port))
        with open(os.path.join(folder, "nginx.conf"), "w") as file:
            file.write(text)
        with open(os.path.join(folder, "www", "object"), "wb") as file:
            file.write(body)
        process = subprocess.Popen(pinned(0, ["nginx", "-p", folder, "-c", os.path.join(folder, "nginx.conf")]), stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            if process.poll() is not None:
                sys.exit("nginx did not start")
            yield port
        finally:
            process.terminate()
            process.wait()

    def fio(self, section):
        """Operations a second of a section of peer.fio, with no server of ours running."""
        self.stop()
        if section != "prepare" and not os.path.exists(os.path.join(self.folder, "peer.dat")):
            self.fio("prepare")
        command = pinned(0, ["fio", "--output-format=json", f"--directory={self.folder}", f"--section={section}",
                             os.path.join(HERE, "peer.fio")])
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        job = json.loads(output[output.index("{"):])["jobs"][0]
        return max(job["write"]["iops"], job["read"]["iops"])


def spread(values):
    return (max(values) - min(values)) / statistics.median(values) * 100 if statistics.median(values) else 0.0


def line(name, ours, peer, ratio, remark=""):
    print(f"{name:46} {ours:>12} {peer:>12} {ratio:>7}  {remark}", flush=True)


def report(name, ours, peers, remark, digits=0):
    mine, theirs = statistics.median(ours), statistics.median(peers)
    line(name, f"{mine:,.{digits}f}", f"{theirs:,.{digits}f}", f"{mine / theirs:.2f}",
         f"{remark}; spread {spread(ours):.0f} %, {spread(peers):.0f} %")


def report_value(name, value, remark="", digits=2):
    line(name, f"{value:,.{digits}f}", "-", "-", remark)
