# SPDX-License-Identifier: Apache-2.0
"""Starts the real server and gives tests a clean way to it: clients, raw connections, a world without AWS_* settings.

Against another endpoint: FB_E2E_ENDPOINT, FB_E2E_ACCESS_KEY, FB_E2E_SECRET_KEY (and FB_E2E_CA, a file, for its TLS).
Tests that must own the server's process then skip themselves (`needs_own_server`).

FB_E2E_SPLIT=MODE puts a proxy before every server, which cuts the clients' bytes (split_proxy.py: its MODES, or `each`).
"""
import contextlib
import fcntl
import functools
import http.client
import itertools
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
import uuid
from urllib.parse import urlsplit

from split_proxy import SplitProxy

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("FB_E2E_BINARY", os.path.join(ROOT, "build", "fractalbits"))
EXTERNAL = os.environ.get("FB_E2E_ENDPOINT")
ACCESS_KEY = os.environ.get("FB_E2E_ACCESS_KEY", "e2e-access-key")
SECRET_KEY = os.environ.get("FB_E2E_SECRET_KEY", "e2e/secret+key-0123456789abcdefghij")
REGION = "us-east-1"
SLOW = os.environ.get("FB_E2E_SLOW") == "1"
SPLIT = os.environ.get("FB_E2E_SPLIT")
SANITIZED = any(f"/build/{preset}/" in BINARY for preset in ("asan", "tsan"))
READY_SECONDS_MAX = 20
STOP_SECONDS_MAX = 30
MIB = 1 << 20

# botocore reads these when it is imported and when a client is made.
for name in [name for name in os.environ if name.startswith(("AWS_", "FRACTALBITS_", "BOTO_", "RESTIC_", "RCLONE_", "S3CMD_"))]:
    del os.environ[name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = "/dev/null"

needs_own_server = unittest.skipIf(EXTERNAL, "needs a server of its own, and FB_E2E_ENDPOINT names another")
needs_root = unittest.skipUnless(os.geteuid() == 0, "needs root")
slow_tier = unittest.skipUnless(SLOW, "slow tier: FB_E2E_SLOW=1, or ./dev soak e2e")


PORTS = range(10_000, 32_000)  # below those that the kernel gives to outgoing connections
PORTS_EACH = 200


@functools.cache
def port_share():
    """Ports that no other process of these tests takes while this one runs, round and round."""
    folder = os.path.join(tempfile.gettempdir(), "fb-e2e-ports")
    os.makedirs(folder, exist_ok=True)
    for first in PORTS[::PORTS_EACH]:
        lock = os.open(os.path.join(folder, str(first)), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # kept until the process ends
            return itertools.cycle(range(first, first + PORTS_EACH))
        os.close(lock)
    raise AssertionError(f"all ports of the tests are taken; see {folder}")


def free_port():
    for port in itertools.islice(port_share(), PORTS_EACH):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("none of this process's ports is free")


def client_environment(home, **extra):
    """What a client program gets: a path, a home of its own, and nothing of the caller's settings."""
    return {"PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8", "TZ": "UTC", "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_DEFAULT_REGION": REGION,
            "AWS_PAGER": "", **extra}


def run(command, *, env=None, cwd=None, timeout=600, ok=True, input=None):
    """Runs a client; a failure shows the command and all it said."""
    done = subprocess.run(command, env=env, cwd=cwd, timeout=timeout, input=input, capture_output=True)
    if ok and done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}\n{done.stdout.decode(errors='replace')[-4000:]}\n"
                             f"{done.stderr.decode(errors='replace')[-4000:]}")
    return done


def diff_trees(left, right):
    done = run(["diff", "-r", "--no-dereference", left, right], ok=False)
    if done.returncode != 0:
        raise AssertionError(f"trees differ:\n{done.stdout.decode(errors='replace')[:4000]}")


_scratch = []  # folders to remove, and
_shared = {}  # servers to stop, by `tls`, when all tests are done


@functools.lru_cache(maxsize=None)
def certificate(name="first"):
    """A self-signed certificate for 127.0.0.1, made once a run: (certificate file, key file)."""
    folder = scratch_folder()
    cert, key = os.path.join(folder, f"{name}.crt"), os.path.join(folder, f"{name}.key")
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}.fractalbits.test", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out", cert])
    return cert, key


@functools.lru_cache(maxsize=None)
def scratch_folder():
    folder = tempfile.mkdtemp(prefix="fb-e2e-", dir=os.environ.get("FB_E2E_TMP"))
    _scratch.append(folder)
    return folder


def clean_up(show_logs=False):
    """Called once by the runner, after the last test. Answers what went wrong with the shared servers themselves."""
    problems = []
    for server in _shared.values():
        try:
            status = server.stop()
        except AssertionError as error:
            status = error
        if status != 0:
            problems.append(f"{server.endpoint} ended with {status}")
        if status != 0 or show_logs:
            print(f"---- log of {server.endpoint}\n{server.output()}----", file=sys.stderr)
    _shared.clear()
    for folder in _scratch:
        shutil.rmtree(folder, ignore_errors=True)
    return problems


class Server:
    """A server process of our own. Use as a context manager, or stop() / kill() it."""

    def __init__(self, *, data_dir=None, tls=False, arguments=(), environment=None, credentials=True, port=None, command=None,
                 split=SPLIT):
        self.tls, self.split, self.proxy = tls, split, None
        self.home = tempfile.mkdtemp(prefix="server-", dir=scratch_folder())
        self.data_dir = data_dir or os.path.join(self.home, "data")
        self.port, self.management_port = port or free_port(), free_port()
        self.own_port = free_port() if split else self.port  # behind the proxy, if there is one
        self.endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.log = os.path.join(self.home, "log")
        sanitizers = {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}
        self.environment = {"PATH": os.environ["PATH"], "HOME": self.home, **sanitizers, **(environment or {})}
        if credentials:
            self.environment |= {"FRACTALBITS_ACCESS_KEY": ACCESS_KEY, "FRACTALBITS_SECRET_KEY": SECRET_KEY}
        self.command = [*(command or [BINARY, "server"]), "--data-dir", self.data_dir, "--listen", f"127.0.0.1:{self.own_port}",
                        "--mgmt-listen", f"127.0.0.1:{self.management_port}", *arguments]
        if tls:
            cert, key = certificate()
            self.command += ["--tls-cert", cert, "--tls-key", key]
        self.process = None
        self.end_expected = False  # a test waits for it to end by itself

    def start(self, wait=True):
        self.end_expected = False
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment,
                                            cwd=self.home, start_new_session=True)
        if self.split and self.proxy is None:
            self.proxy = SplitProxy(("127.0.0.1", self.own_port), self.port, self.split)
        if wait:
            self.ready_seconds = self.wait_ready()
        return self

    def wait_ready(self, seconds=READY_SECONDS_MAX):
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            if self.process.poll() is not None:
                self.end_expected = True
                raise AssertionError(f"the server ended with {self.process.returncode} before it was ready:\n{self.output()}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.management("/ready").status == 200:
                    return time.monotonic() - start
            time.sleep(0.005)
        raise AssertionError(f"the server was not ready after {seconds} s:\n{self.output()}")

    def management(self, path, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.management_port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path, headers=headers or {})
            response = connection.getresponse()
            response.text = response.read().decode()
            return response

    def metric(self, name):
        """The sum of a metric over its labels."""
        total, found = 0.0, False
        for line in self.management("/metrics").text.split("\n"):
            if line.startswith((name + " ", name + "{")):
                total, found = total + float(line.rsplit(" ", 1)[1]), True
        if not found:
            raise AssertionError(f"no metric {name}")
        return total

    def output(self):
        with open(self.log, errors="replace") as log:
            return log.read()[-6000:]

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))

    def wait_exit(self, seconds=STOP_SECONDS_MAX):
        self.end_expected = True
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not end within {seconds} s:\n{self.output()}") from None

    def close_proxy(self):
        if self.proxy:
            self.proxy.close()
            self.proxy = None

    def stop(self):
        self.close_proxy()
        if self.process is None:
            return None
        if self.process.poll() is not None:
            self.check_end()
            return self.process.returncode
        self.process.send_signal(signal.SIGTERM)
        return self.wait_exit()

    def kill(self):
        """Fails if the server has ended by itself, as one does whose assertion failed or that a sanitizer stopped."""
        self.close_proxy()
        if self.process and self.process.poll() is None:
            self.end_expected = True
            self.process.kill()
            self.process.wait()
        elif self.process:
            self.check_end()

    def check_end(self):
        """Of a process that has ended: nobody but a test may have ended it."""
        if not self.end_expected and self.process.returncode not in (0, -signal.SIGKILL):
            self.end_expected = True
            raise AssertionError(f"the server ended by itself with {self.process.returncode}:\n{self.output()}")

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if kind is None:
            status = self.stop()
            if status not in (0, -signal.SIGKILL):
                raise AssertionError(f"the server ended with {status}:\n{self.output()}")
        else:
            self.kill()
            print(f"---- log of the server\n{self.output()}----", file=sys.stderr)


class Endpoint:
    """Where tests send requests: our own shared server, or FB_E2E_ENDPOINT."""

    def __init__(self, url, ca=None, server=None):
        self.url, self.ca, self.server = url, ca, server
        parts = urlsplit(url)
        self.host, self.tls = parts.hostname, parts.scheme == "https"
        self.port = parts.port or (443 if self.tls else 80)
        self.netloc = parts.netloc

    def connect(self, timeout=30):
        connection = socket.create_connection((self.host, self.port), timeout=timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            context = ssl.create_default_context(cafile=self.ca)
            connection = context.wrap_socket(connection, server_hostname=self.host)
        return connection

    def boto3(self, **config):
        return boto3_client(self.url, ca=self.ca, **config)


def boto3_client(url, *, access_key=ACCESS_KEY, secret_key=SECRET_KEY, ca=None, **config):
    import boto3
    from botocore.config import Config
    settings = {"signature_version": "s3v4", "s3": {"addressing_style": "path"}, "retries": {"max_attempts": 1, "mode": "standard"},
                "max_pool_connections": 64, "read_timeout": 120, **config}
    return boto3.client("s3", endpoint_url=url, aws_access_key_id=access_key, aws_secret_access_key=secret_key,
                        region_name=REGION, verify=ca, config=Config(**settings))


def endpoint(tls=False):
    if EXTERNAL:
        if tls != EXTERNAL.startswith("https:"):
            raise unittest.SkipTest(f"FB_E2E_ENDPOINT is not {'TLS' if tls else 'plain'}")
        return Endpoint(EXTERNAL, ca=os.environ.get("FB_E2E_CA"))
    if tls not in _shared:
        _shared[tls] = Server(tls=tls).start()
    return endpoint_of(_shared[tls])


def endpoint_of(server):
    return Endpoint(server.endpoint, ca=certificate()[0] if server.tls else None, server=server)


def empty_bucket(client, bucket):
    for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    while True:
        keys = [{"Key": item["Key"]} for item in client.list_objects_v2(Bucket=bucket).get("Contents", [])]
        if not keys:
            return
        client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})


class S3Case(unittest.TestCase):
    """A test with a bucket of its own: self.s3 (boto3), self.bucket, self.raw (see raw.py). `tls` picks the scheme."""
    tls = False
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        import raw
        cls.endpoint = endpoint(cls.tls)
        cls.s3 = cls.endpoint.boto3()
        cls.raw = raw.Requester(cls.endpoint)

    def setUp(self):
        self.bucket = self.make_bucket()

    def make_bucket(self):
        bucket = f"e2e-{uuid.uuid4().hex[:16]}"
        self.s3.create_bucket(Bucket=bucket)
        self.addCleanup(self.remove_bucket, bucket)
        return bucket

    def remove_bucket(self, bucket):
        with contextlib.suppress(self.s3.exceptions.NoSuchBucket):
            empty_bucket(self.s3, bucket)
            self.s3.delete_bucket(Bucket=bucket)

    def folder(self):
        path = tempfile.mkdtemp(prefix="test-", dir=scratch_folder())
        self.addCleanup(shutil.rmtree, path, ignore_errors=True)
        return path

    def put(self, key, body=b"", **arguments):
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **arguments)

    def body(self, key, **arguments):
        return self.s3.get_object(Bucket=self.bucket, Key=key, **arguments)["Body"].read()

    def keys(self):
        return [item["Key"] for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
                for item in page.get("Contents", [])]

    def multipart(self, key, parts, **arguments):
        """Uploads `parts` (bytes by part number, or a list) and completes; answers the result of Complete."""
        parts = parts if isinstance(parts, dict) else dict(enumerate(parts, 1))
        upload = self.s3.create_multipart_upload(Bucket=self.bucket, Key=key, **arguments)["UploadId"]
        done = [{"PartNumber": number, "ETag": self.s3.upload_part(
            Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=number, Body=part)["ETag"]} for number, part in parts.items()]
        return self.s3.complete_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload,
                                                 MultipartUpload={"Parts": sorted(done, key=lambda part: part["PartNumber"])})

    @contextlib.contextmanager
    def refused(self, code, status):
        """The boto3 call inside must be refused with this S3 code (a HEAD has none: its status) and status."""
        from botocore.exceptions import ClientError
        with self.assertRaises(ClientError) as caught:
            yield
        response = caught.exception.response
        self.assertEqual((code, status), (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]))
