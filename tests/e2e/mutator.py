#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mutated requests against a real server, best one built with AddressSanitizer: `mutator.py [--seconds N] [--seed S]`.

Each case takes a valid request of some operation in some form of payload, changes head, query, headers, body or framing,
signs it again (or does not), changes bytes of what was rendered (or does not), and sends it, perhaps with others, cut
anywhere. The server must live, answer whole messages, never 500, and serve a well-formed request at once afterwards; its
memory must not grow on and on, no answer may hold what only its memory holds, and fsck must find the store sound.

Case I of seed S is always the same: `--seed S --first I --cases 1` sends it again. What was sent is kept beside it.
"""
import argparse
import contextlib
import os
import random
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from xml.etree import ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import checksums
import harness
import raw
import sigv4
from split_proxy import MODES, cut, send_cut

BUCKETS = ("mutated", "mutated-too")
KEYS = ["a", "b/c", "b/", "é/ü", "with space", "long/" + "k" * 900, "x" * 1024, "%", "plus+plus", "..", "uploads/1"]
UPLOAD = "0123456789abcdef0123456789abcdef"
WORKERS = 6
PROBE_EVERY = 25
ANSWER_SECONDS = 20
GROWTH_BYTES_MAX = 192 << 20
# A name may hold characters that XML 1.0 does not have. S3 writes them as references, which only clients that allow
# for them can read; https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html names `encoding-type` for it.
ILLEGAL_REFERENCE = re.compile(rb"&#x(?:[1-8bcef]|1[0-9a-f]|fff[ef]);")
WARM_SHARE = 0.3  # of the run: from then on memory counts

VALUES = ["", " ", "0", "-1", "1", "2147483648", "18446744073709551616", "9" * 40, "a" * 300, "a" * 5000, "%00", "%", "%zz", "\x1e", "\x7f", "é", "*",
          "null", "true", "bytes=0-0", "bytes=5-1", "bytes=-0", "bytes=0-18446744073709551615", "W/\"x\"", "\"\"", ",", ";", "=", "../..",
          "Thu, 01 Jan 1970 00:00:00 GMT", "2038-01-19T03:14:08Z", "chunked", "gzip", "aws-chunked", "aws-chunked,gzip", "close",
          "keep-alive", "100-continue", "COPY", "REPLACE", "CRC32", "CRC64NVME", "SHA256", "FULL_OBJECT", "COMPOSITE", "url", UPLOAD,
          sigv4.UNSIGNED, sigv4.SIGNED_CHUNKS, sigv4.SIGNED_CHUNKS_TRAILER, sigv4.UNSIGNED_TRAILER, "x-amz-checksum-crc32", "AAAAAA=="]
QUERY_NAMES = ["acl", "uploads", "uploadId", "partNumber", "delete", "list-type", "prefix", "delimiter", "marker", "max-keys", "start-after",
               "continuation-token", "encoding-type", "fetch-owner", "versionId", "versions", "versioning", "location", "renameObject",
               "response-content-type", "response-expires", "key-marker", "upload-id-marker", "max-uploads", "max-parts",
               "part-number-marker", "attributes", "tagging", "policy", "X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Expires", "x-id", "%00", ""]
HEADER_NAMES = ["content-length", "transfer-encoding", "content-type", "content-md5", "content-encoding", "expect", "connection", "range",
                "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "x-amz-acl", "x-amz-copy-source",
                "x-amz-copy-source-range", "x-amz-copy-source-if-match", "x-amz-rename-source", "x-amz-rename-source-if-match",
                "x-amz-client-token", "x-amz-metadata-directive", "x-amz-meta-a", "x-amz-meta-é", "x-amz-decoded-content-length",
                "x-amz-trailer", "x-amz-content-sha256", "x-amz-date", "date", "x-amz-security-token", "x-amz-sdk-checksum-algorithm",
                "x-amz-checksum-crc32", "x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode", "x-amz-storage-class",
                "x-amz-tagging", "x-amz-expected-bucket-owner", "x-amz-mp-object-size", "x-amz-server-side-encryption", "host", "origin",
                "authorization", "user-agent", "x", ""]
METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "get", "", "X" * 40, "GE T"]


class Request:
    """Parts of a request before it is signed. `pieces` are the body's, of chunks where there are any."""

    def __init__(self, method, path, query=(), headers=(), body=b"", payload="hash", trailer=None, http_chunks=0):
        self.method, self.path, self.query, self.headers = method, path, list(query), list(headers)
        self.body, self.payload, self.trailer, self.http_chunks = body, payload, trailer, http_chunks
        self.presigned = self.spoil_framing = False
        self.content_length = None


def valid_request(chance, netloc):
    bucket, key = chance.choice(BUCKETS), chance.choice(KEYS)
    other = f"/{chance.choice(BUCKETS)}/{sigv4.encode_path(chance.choice(KEYS))}"
    body = chance.randbytes(chance.choice((0, 1, 100, 3000, 70_000)))
    at = f"/{bucket}/{sigv4.encode_path(key)}"
    part = [("partNumber", str(chance.choice((1, 2, 10_000)))), ("uploadId", UPLOAD)]
    checksum = ("x-amz-checksum-crc32", checksums.checksum("crc32", body))
    xml_keys = "".join(f"<Object><Key>{key}</Key></Object>" for key in chance.sample(["a", "b/c", "z", "é/ü"], 3))
    deletion = f"<Delete>{xml_keys}</Delete>".encode()
    complete = ("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"" + "0" * 32 + "\"</ETag></Part></CompleteMultipartUpload>").encode()
    location = b"<CreateBucketConfiguration><LocationConstraint>us-east-1</LocationConstraint></CreateBucketConfiguration>"

    def put(**options):
        return Request("PUT", at, body=body, **options)

    made = chance.choice([
        lambda: Request("GET", at), lambda: Request("GET", at, headers=[("range", "bytes=1-5")]), lambda: Request("HEAD", at),
        lambda: Request("GET", at, [("partNumber", "1")]), lambda: Request("GET", at, [("response-content-type", "text/x")]),
        put, lambda: put(payload=sigv4.UNSIGNED), lambda: put(http_chunks=700), lambda: put(payload=sigv4.UNSIGNED, http_chunks=1),
        lambda: put(payload=sigv4.SIGNED_CHUNKS), lambda: put(payload=sigv4.SIGNED_CHUNKS, http_chunks=1000),
        lambda: put(payload=sigv4.SIGNED_CHUNKS_TRAILER, trailer=checksum), lambda: put(payload=sigv4.UNSIGNED_TRAILER, trailer=checksum),
        lambda: put(payload=sigv4.UNSIGNED_TRAILER, trailer=checksum, http_chunks=333),
        lambda: put(headers=[("x-amz-meta-a", "b"), ("content-type", "text/plain"), ("content-encoding", "gzip")]),
        lambda: put(headers=[checksum]), lambda: put(headers=[("content-md5", checksums.content_md5(body))]),
        lambda: put(headers=[("if-none-match", "*")]), lambda: put(headers=[("if-match", "\"x\"")]),
        lambda: Request("PUT", at, headers=[("x-amz-copy-source", other)]),
        lambda: Request("PUT", at, [("renameObject", None)], [("x-amz-rename-source", sigv4.encode_path(key)), ("x-amz-client-token", "t")]),
        lambda: Request("DELETE", at), lambda: Request("GET", f"/{bucket}", [("list-type", "2"), ("prefix", "b"), ("delimiter", "/")]),
        lambda: Request("GET", f"/{bucket}", [("max-keys", "2"), ("encoding-type", "url")]), lambda: Request("GET", "/"),
        lambda: Request("GET", f"/{bucket}", [("list-type", "2"), ("continuation-token", "AQAAAAAA"), ("max-keys", "1")]),
        lambda: Request("PUT", f"/{bucket}", body=location), lambda: Request("HEAD", f"/{bucket}"),
        lambda: Request("DELETE", f"/{bucket}-none"), lambda: Request("GET", f"/{bucket}", [("location", None)]),
        lambda: Request("POST", f"/{bucket}", [("delete", None)], [("content-md5", checksums.content_md5(deletion))], deletion),
        lambda: Request("POST", at, [("uploads", None)], [("x-amz-checksum-algorithm", "CRC32")]),
        lambda: Request("PUT", at, part, body=body), lambda: Request("PUT", at, part, [("x-amz-copy-source", other)]),
        lambda: Request("POST", at, part[1:], body=complete), lambda: Request("DELETE", at, part[1:]), lambda: Request("GET", at, part[1:]),
        lambda: Request("GET", f"/{bucket}", [("uploads", None)]), lambda: Request("GET", at, [("acl", None)]),
        lambda: Request("OPTIONS", at, headers=[("origin", "http://x"), ("access-control-request-method", "PUT")]),
        lambda: Request("POST", f"/{bucket}", headers=[("content-type", "multipart/form-data; boundary=x")], body=b"--x--\r\n"),
    ])()
    made.headers.insert(0, ("host", netloc))
    made.presigned = made.payload in ("hash", sigv4.UNSIGNED) and chance.random() < 0.15
    return made


def change_text(chance, text):
    """One of a few edits."""
    if not text or chance.random() < 0.4:
        return chance.choice(VALUES)
    at = chance.randrange(len(text))
    return chance.choice([text[:at], text[at:], text[:at] + text, text[:at] + chr(chance.randrange(256)) + text[at + 1:], text + text,
                          text.upper(), f" {text} ", text[:at] + chance.choice(VALUES) + text[at:], text[:at] + "%" + text[at:]])


def change_pairs(chance, pairs, names):
    edit = chance.randrange(5) if pairs else 0
    if edit == 0:
        pairs.insert(chance.randint(0, len(pairs)), (chance.choice(names), chance.choice(VALUES)))
        return
    at = chance.randrange(len(pairs))
    name, value = pairs[at]
    if edit == 1:
        pairs[at] = (name, change_text(chance, value or ""))
    elif edit == 2:
        pairs[at] = (change_text(chance, name), value)
    elif edit == 3:
        del pairs[at]
    else:
        pairs.append(chance.choice([(name, value), (name, change_text(chance, value or ""))]))


def change(chance, request):
    what = chance.randrange(10)
    if what == 0:
        request.method = chance.choice(METHODS)
    elif what == 1:
        request.path = "/" + change_text(chance, request.path[1:])
    elif what in (2, 3):
        change_pairs(chance, request.query, QUERY_NAMES)
    elif what in (4, 5, 6):
        change_pairs(chance, request.headers, HEADER_NAMES)
    elif what == 7:
        at = chance.randint(0, len(request.body))
        request.body = chance.choice([request.body[:at], request.body + b"x", request.body[:at] + chance.randbytes(3) + request.body[at:],
                                      b"", b"<a>" * 300, request.body[:at] + b"&#0;" + request.body[at:]])
    elif what == 8:
        request.payload = chance.choice(["hash", "0" * 64, *VALUES[-6:-2]])
    else:
        request.http_chunks = chance.choice([0, 1, 50, 100_000])
        request.content_length = chance.choice([None, 0, 1, len(request.body) + 5, 1 << 40, -1])


def framed_body(chance, request, signer, signature, when):
    body = request.body
    if request.payload.startswith("STREAMING"):
        size = chance.choice((1000, 9000, 70_000))
        pieces = [body[at:at + size] for at in range(0, len(body), size)]
        if request.payload == sigv4.UNSIGNED_TRAILER:
            body = sigv4.frame_unsigned(pieces, request.trailer)
        else:
            body = signer.frame_signed(pieces, signature or "0" * 64, when, request.trailer)
        if request.spoil_framing:
            body = change_bytes(chance, body)
    return raw.chunked(body, request.http_chunks) if request.http_chunks else body


def render(chance, request, signer, signed):
    """The bytes of a request; signed, if it is, with all headers that are sent but those that proxies change."""
    when = sigv4.now()
    headers = {}
    for name, value in request.headers:  # the last of equal names is signed; all are sent
        headers[name.lower()] = value or ""
    payload_hash = sigv4.sha256(request.body) if request.payload == "hash" else request.payload
    target, query, authorization = request.path, request.query, []
    if request.payload.startswith("STREAMING"):
        headers.setdefault("x-amz-decoded-content-length", str(len(request.body)))
        if request.trailer:
            headers.setdefault("x-amz-trailer", request.trailer[0])
    signature = None
    text = "&".join(sigv4.encode(key, "-_.~%") + ("" if value is None else "=" + sigv4.encode(value, "-_.~%")) for key, value in query)
    if signed and request.presigned:
        text = signer.presign(request.method, target, query, {"host": headers.get("host", "")}, 300, when)
    elif signed:
        authorized = signer.authorize(request.method, target, query, headers, payload_hash, when)
        signature = authorized["authorization"].rsplit("=", 1)[1]
        authorization = [(name, value) for name, value in authorized.items() if name not in dict(request.headers)]
    body = framed_body(chance, request, signer, signature, when)
    sent = {name.lower() for name, _ in request.headers}
    framing = []
    if request.http_chunks:
        framing = [("transfer-encoding", "chunked")]
    elif "content-length" not in sent and (body or request.method in ("PUT", "POST")):
        framing = [("content-length", str(len(body) if request.content_length is None else request.content_length))]
    lines = "".join(f"{name}: {value}\r\n" for name, value in [*request.headers, *authorization, *framing])
    head = f"{request.method} {target}{'?' + text if text else ''} HTTP/1.1\r\n{lines}\r\n"
    return head.encode("utf-8", "replace"), body


def change_bytes(chance, data):
    for _ in range(chance.choice((1, 1, 1, 3, 20))):
        if not data:
            return data
        at, end = sorted((chance.randrange(len(data)), chance.randrange(len(data))))
        end = min(end, at + 200)
        data = chance.choice([
            lambda: data[:at] + bytes([chance.randrange(256)]) + data[at + 1:], lambda: data[:at] + data[at + 1:],
            lambda: data[:at] + data[end:], lambda: data[:end] + data[at:], lambda: data[:at] + chance.randbytes(4) + data[at:],
            lambda: data[:at] + b"\r\n" + data[at:], lambda: data[:at] + b"\0" + data[at:], lambda: data.replace(b"\r\n", b"\n", 1),
            lambda: data[:at] + data[at:end].swapcase() + data[end:], lambda: data[:at],
        ])()
    return data


class Case:
    """One case: what is sent, in order, and how it is cut."""

    def __init__(self, seed, number, netloc, signer):
        self.number, self.chance = number, random.Random(f"{seed}-{number}")
        chance, requests, changed = self.chance, [], False
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            request = valid_request(chance, netloc)
            for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 4))):
                change(chance, request)
            request.spoil_framing = chance.random() < 0.15
            if chance.random() < 0.2:  # a long head, and little room behind it
                request.headers.append(("x-pad", "p" * chance.choice((3000, 7000, 10_000, 16_000, 30_000))))
            head, body = render(chance, request, signer, chance.random() < 0.85)
            if chance.random() < 0.2:
                head, changed = change_bytes(chance, head), True
            if chance.random() < 0.1:
                body, changed = change_bytes(chance, body), True
            requests.append((head, body))
        # Where several come, or bytes were changed, only the server knows which bytes are a request's method.
        self.method = requests[0][0].split(b" ")[0].decode("latin-1") if len(requests) == 1 and not changed else None
        self.heads = [head for head, _ in requests]
        self.data = b"".join(head + body for head, body in requests)
        self.mode = chance.choice(("whole", "whole", *MODES))
        self.late = chance.random() < 0.15  # the last bytes come a moment after the others
        self.ending = chance.choice(("finish",) * 8 + ("close", "reset"))

    def send(self, connection):
        pieces = [self.data] if self.mode == "whole" else cut(self.data, self.mode, self.chance)
        if self.late and len(self.data) > 2:
            at = min(len(self.data) - 1, max(1, len(self.heads[0]) + self.chance.randint(-2, 40)))
            with contextlib.suppress(OSError, ssl.SSLError):
                send_cut(connection, [self.data[:at]])
                time.sleep(0.01)
            pieces = [self.data[at:]]
        with contextlib.suppress(OSError, ssl.SSLError):  # it may have answered and closed
            send_cut(connection, pieces)


class Failed(Exception):
    pass


class Run:
    def __init__(self, options):
        self.options = options
        self.lock, self.next_case, self.answers, self.failure = threading.Lock(), options.first, {}, None
        self.until = self.rss_warm = None

    def take_number(self):
        with self.lock:
            if self.failure or time.monotonic() >= self.until or self.next_case >= self.options.first + self.options.cases:
                return None
            self.next_case += 1
            return self.next_case - 1

    def count(self, status):
        with self.lock:
            self.answers[status] = self.answers.get(status, 0) + 1

    def fail(self, case, why):
        with self.lock:
            if self.failure:
                return
            name = f"server-{self.options.seed}-{case.number if case else 'end'}"
            os.makedirs(self.options.failures, exist_ok=True)
            path = os.path.join(self.options.failures, name)
            if case:
                with open(path, "wb") as file:
                    file.write(case.data)
            self.failure = f"{why}\nsent bytes: {path}\nagain: tests/e2e/mutator.py --seed {self.options.seed} " + (
                f"--first {case.number} --cases 1" if case else "")

    def exchange(self, case, endpoint):
        with contextlib.closing(endpoint.connect(timeout=ANSWER_SECONDS)) as connection:
            case.send(connection)
            if case.ending == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            if case.ending != "finish":
                return
            with contextlib.suppress(OSError):
                if not endpoint.tls:
                    connection.shutdown(socket.SHUT_WR)  # so that it does not wait for the rest of a body
            if endpoint.tls:
                connection.settimeout(2)
            reader = raw.Connection(connection)
            try:
                if case.method is None:
                    self.check_answers(reader.rest())
                    return
                answer = reader.response(case.method)
                while answer.status == 100:
                    answer = reader.response(case.method)
                self.check_answer(answer)
            except (raw.Disconnected, TimeoutError, ssl.SSLError, OSError) as error:
                # Nothing more came: right for a request that was cut short or refused before.
                if isinstance(error, TimeoutError) and not endpoint.tls:
                    raise Failed(f"no answer within {ANSWER_SECONDS} s") from None
                self.count("none")

    def check_answers(self, received):
        if received and not received.startswith(b"HTTP/1.1 "):
            raise Failed(f"no answer: {received[:400]!r}")
        statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d\d\d) ", received)]
        for status in statuses or ["none"]:
            self.count(status)
        if 500 in statuses:
            raise Failed(f"an answer 500 among {received[:2000]!r}")

    def check_answer(self, answer):
        self.count(answer.status)
        if answer.status == 500:
            raise Failed(f"an answer 500: {answer}")
        if answer.body.startswith(b"<?xml") and answer.header("content-type") == "application/xml":
            try:
                root = ElementTree.fromstring(ILLEGAL_REFERENCE.sub(b"?", answer.body))
            except ElementTree.ParseError as error:
                raise Failed(f"an answer that is no XML ({error}): {answer}") from None
            if root.tag.endswith("Error") and ILLEGAL_REFERENCE.search(answer.body):
                raise Failed(f"an error with a character that XML does not have: {answer}")

    def probe(self, requester, worker):
        path, body = f"/{BUCKETS[0]}/probe-{worker}", os.urandom(50)
        put, got = requester("PUT", path, body=body), requester("GET", path)
        if (put.status, got.status, got.body) != (200, 200, body):
            raise Failed(f"a well-formed request is not served: {put} {got}")

    def work(self, server, worker):
        endpoints = [harness.endpoint_of(each) for each in server]
        requesters = [raw.Requester(endpoint) for endpoint in endpoints]
        done = 0
        while (number := self.take_number()) is not None:
            which = 1 if number % 8 == 7 else 0
            case = None
            try:
                case = Case(self.options.seed, number, endpoints[which].netloc, requesters[which].signer)
                self.exchange(case, endpoints[which])
                done += 1
                if done % PROBE_EVERY == 0 or self.options.cases == 1:
                    self.probe(requesters[which], worker)
                if worker == 0 and done % PROBE_EVERY == 0:
                    self.watch(server)
            except (Failed, AssertionError, raw.Disconnected, OSError) as error:
                self.fail(case, f"case {number}: {error or traceback.format_exc()}")
            except Exception:
                self.fail(case, f"case {number}: {traceback.format_exc()}")

    def watch(self, servers):
        for server in servers:
            if server.process.poll() is not None:
                raise Failed(f"the server ended with {server.process.returncode}:\n{server.output()}")
        share = 1 - (self.until - time.monotonic()) / self.options.seconds
        if share > WARM_SHARE and self.rss_warm is None:
            self.rss_warm = [server.resident_bytes() for server in servers]

    def check_growth(self, servers):
        for warm, server in zip(self.rss_warm or [], servers):
            grown = server.resident_bytes() - warm
            print(f"memory: {warm >> 20} MiB after warming up, {grown >> 20} MiB more at the end")
            if grown > GROWTH_BYTES_MAX:
                self.fail(None, f"the server's memory has grown by {grown >> 20} MiB")

    def check_store(self, server):
        """Nothing that no request can have named, nothing lost."""
        done = subprocess.run([harness.BINARY, "fsck", "--data-dir", server.data_dir], capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            self.fail(None, f"fsck answers {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def prepare(server):
    client = harness.endpoint_of(server).boto3()
    for bucket in BUCKETS:
        client.create_bucket(Bucket=bucket)
        for key in KEYS[:4]:
            client.put_object(Bucket=bucket, Key=key, Body=key.encode() * 10)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--cases", type=int, default=1 << 60)
    parser.add_argument("--failures", default=os.path.join(harness.ROOT, "build", "fuzz", "failures"))
    options = parser.parse_args()
    print(f"seed {options.seed}, server {harness.BINARY}", flush=True)
    options_of_asan = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=32", "detect_leaks=1"]))
    run = Run(options)
    try:
        servers = [harness.Server(tls=tls, environment={"ASAN_OPTIONS": options_of_asan}, split=None).start() for tls in (False, True)]
        for server in servers:
            prepare(server)
        run.until = time.monotonic() + options.seconds
        workers = [threading.Thread(target=run.work, args=(servers, number)) for number in range(1 if options.cases == 1 else WORKERS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for server in servers:
            if server.process.poll() is not None:
                run.fail(None, f"the server ended with {server.process.returncode}")
        if not run.failure:
            run.check_growth(servers)
        for server in servers:
            status = server.stop()
            if status != 0:
                run.fail(None, f"the server ended with {status}")
            if not run.failure:
                run.check_store(server)
        if run.failure:
            for server in servers:
                print(f"---- log of {server.endpoint}\n{server.output()}----", file=sys.stderr)
    finally:
        harness.clean_up()
    cases = run.next_case - options.first
    answers = ", ".join(f"{status}: {count}" for status, count in sorted(run.answers.items(), key=str))
    print(f"{cases} cases; answers {answers}")
    if run.failure:
        sys.exit(f"FAILED: {run.failure}")


if __name__ == "__main__":
    main()
