# SPDX-License-Identifier: Apache-2.0
"""Clients that hold what the server has and do not let go (docs/admission.md), and a well-behaved one beside them.

Each attack is a context manager that has begun when its block does: `with drip_put(target, count=160): ...`.
"""
import contextlib
import http.client
import os
import socket
import ssl
import threading
import time

import sigv4
from harness import MIB

SEGMENT = 536 - 12  # payload of a segment of the smallest kind, with timestamps
SMALL_WINDOW = 4096  # of a client that does not read: little fits into the kernel
PAIRS_PAUSE = 0.002


class Target:
    """A server with a bucket `abuse`, and a large object in it."""

    def __init__(self, requester, port, size=8 * MIB):
        self.raw, self.port = requester, port
        if requester("PUT", "/abuse").status not in (200, 409):
            raise AssertionError("the bucket could not be made")
        body = os.urandom(size)
        if requester("PUT", "/abuse/large", body=body, payload_hash=sigv4.UNSIGNED).status != 200:
            raise AssertionError("the large object could not be put")

    def connect(self, window=None):
        client = socket.socket()
        client.settimeout(10)
        if window:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        client.connect(("127.0.0.1", self.port))
        return client

    def presigned(self, method, path, headers=()):
        host = self.raw.endpoint.netloc
        query = self.raw.signer.presign(method, path, [], {"host": host}, 3600)
        lines = "".join(f"{name}: {value}\r\n" for name, value in dict(headers).items())
        return f"{method} {path}?{query} HTTP/1.1\r\nhost: {host}\r\n{lines}\r\n".encode()


@contextlib.contextmanager
def connections(target, count, first, window=None, each_second=b"", pause=1, again=False):
    """`count` connections that send `first` and read nothing, then `each_second` after each pause of so many seconds. With
    `again` those that the server closes come again at once."""
    clients, done = [], threading.Event()

    def send(client, data):
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError, OSError):
            client.send(data)

    def begin():
        with contextlib.suppress(OSError):
            client = target.connect(window)
            send(client, first)
            clients.append(client)

    def is_over(client):
        try:
            return client.recv(4096) is not None  # an answer, or the end
        except BlockingIOError:
            return False
        except OSError:
            return True

    def go_on():
        while not done.wait(pause):
            for client in list(clients):
                if again and is_over(client):
                    clients.remove(client)
                    client.close()
                    begin()
                elif each_second:
                    send(client, each_second)

    for _ in range(count):
        begin()
    dripping = threading.Thread(target=go_on)
    dripping.start()
    try:
        yield clients
    finally:
        done.set()
        dripping.join()
        for client in clients:
            client.close()


def refusals_unread(target, count, requests=60):
    """Anonymous requests, one behind the other, whose refusals are larger than they are and that nobody reads. Each is one
    segment, so that the server never has a part of one, which it would keep elsewhere."""
    rest = " HTTP/1.1\r\nhost: x\r\n\r\n"
    begin = "GET /abuse/"
    request = (begin + '"' * (SEGMENT - len(begin + rest)) + rest).encode()
    return connections(target, count, request * requests, window=SMALL_WINDOW)


def drip_put(target, count, at_once=0):
    """One presigned URL, 2 MiB declared, `at_once` bytes soon and then 300 bytes a second."""
    head = target.presigned("PUT", "/abuse/dripped", {"content-length": 2 * MIB})
    return connections(target, count, head + bytes(at_once), each_second=bytes(300))


def declared_put(target, count):
    """One presigned URL, a length that is worth a buffer, and no body; who is refused comes again."""
    head = target.presigned("PUT", "/abuse/declared", {"content-length": 64 * 1024})
    return connections(target, count, head, pause=0.05, again=True)


def put_above_the_floor(target, count, bytes_per_second):
    """Bodies that begin well and then come just quickly enough not to be cut at once; who is cut comes again."""
    head = target.presigned("PUT", "/abuse/crowding", {"content-length": 500 * MIB})
    return connections(target, count, head + bytes(70_000), each_second=bytes(bytes_per_second // 5), pause=0.2, again=True)


def xml_texts(target, count, size, sent):
    """CompleteMultipartUpload whose text stops after `sent` of `size` bytes."""
    host = target.raw.endpoint.netloc
    query = target.raw.signer.presign("POST", "/abuse/texts", [("uploadId", "0" * 32)], {"host": host}, 3600)
    head = f"POST /abuse/texts?{query} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {size}\r\n\r\n".encode()
    return sent_whole(target, count, head + b" " * sent)


@contextlib.contextmanager
def sent_whole(target, count, text):
    """`count` connections that have sent all of `text`, and go on with a space now and then."""
    with connections(target, 0, b"", each_second=b" ") as clients:
        for _ in range(count):
            with contextlib.suppress(OSError):  # it is closed before it has sent all
                client = target.connect()
                clients.append(client)
                client.sendall(text)
        yield clients


class SteadyReader(threading.Thread):
    """Reads the large object at one rate for some seconds; `cut` says when its connection ended before."""

    def __init__(self, target, path, bytes_per_second, seconds):
        super().__init__()
        self.client = target.connect()
        self.client.sendall(target.presigned("GET", path))
        self.rate, self.seconds, self.cut = bytes_per_second, seconds, None
        self.start()

    def run(self):
        begun, got = time.monotonic(), 0
        with self.client:
            while (passed := time.monotonic() - begun) < self.seconds:
                piece = self.client.recv(8192)
                if not piece:
                    self.cut = passed
                    return
                got += len(piece)
                time.sleep(max(0, got / self.rate - passed))


def get_unread(target, count):
    """Readers of a large object that do not read."""
    return connections(target, count, target.presigned("GET", "/abuse/large"), window=SMALL_WINDOW)


def unfinished_heads(target, count):
    """Heads of 28 KiB whose last line does not end."""
    fields = b"".join(b"x-h%d: %s\r\n" % (i, b"b" * 1000) for i in range(15))
    return sent_whole(target, count, b"GET /" + b"a" * 13_000 + b" HTTP/1.1\r\n" + fields)


def declared_xml(target, count):
    """Heads of XML requests that declare as much as is allowed, and no body."""
    host = target.raw.endpoint.netloc
    headers = {"host": host, "content-length": str(4 * MIB), "content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}
    signed = target.raw.signer.authorize("POST", "/abuse", [("delete", "")], headers, sigv4.UNSIGNED)
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    return connections(target, count, f"POST /abuse?delete= HTTP/1.1\r\n{lines}\r\n".encode())


def idle(target, count):
    """Connections that never send anything."""
    return connections(target, count, b"")


@contextlib.contextmanager
def half_records(target, count):
    """TLS handshakes, and then the first half of a record."""
    context = ssl._create_unverified_context()
    clients = []
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            with contextlib.suppress(OSError):
                client = stack.enter_context(context.wrap_socket(target.connect(), server_hostname="localhost"))
                beneath = socket.socket(fileno=os.dup(client.fileno()))
                beneath.send(bytes([23, 3, 3, 0x40, 0]) + bytes(8000))
                clients.append(stack.enter_context(beneath))
        yield clients


class WellBehaved:
    """Puts and gets one object over one connection, and with every tenth pair over a new one; notes each latency."""

    def __init__(self, target):
        self.target = target
        self.body = os.urandom(4096)
        self.latencies, self.problems = [], []
        self.connection = None

    def _exchange(self, method, body=b""):
        request = self.target.raw.build(method, "/abuse/well-behaved", body=body)
        begun = time.perf_counter()
        try:
            if self.connection is None:
                self.connection = self.target.raw.connect(timeout=60)
            self.connection.send(request)
            answer = self.connection.response(method)
            if answer.status != 200:
                self.problems.append(f"{method}: {answer}")
            if answer.header("connection") == "close":
                self._close()
        except Exception as error:
            self.problems.append(f"{method}: {error!r}")
            self._close()
        self.latencies.append((time.perf_counter() - begun) * 1000)

    def _close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def run(self, seconds):
        end = time.monotonic() + seconds
        for number in range(10_000_000):
            if time.monotonic() >= end:
                break
            if number % 10 == 9:
                self._close()
            self._exchange("PUT", self.body)
            self._exchange("GET")
            time.sleep(PAIRS_PAUSE)
        self._close()
        return self

    def percentile(self, share):
        return sorted(self.latencies)[min(len(self.latencies) - 1, int(len(self.latencies) * share))]


def health_ms(port, timeout=60):
    begun = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    with contextlib.closing(connection):
        connection.request("GET", "/health")
        if connection.getresponse().status != 200:
            raise AssertionError("/health is not well")
    return (time.perf_counter() - begun) * 1000
