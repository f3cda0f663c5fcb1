# SPDX-License-Identifier: Apache-2.0
"""Requests in every form of payload, cut at every class of boundary: what is stored never depends on where a client's
bytes are cut. FB_E2E_SPLIT runs the other files so, too; here the cuts are dense."""
import os
import time

import checksums
import harness
import raw as http
import sigv4
from harness import S3Case
from split_proxy import MODES, cut, cut_at, ends_of

PAUSE_SECONDS = 0.0001
LATE_SECONDS = 0.02
CRC = "x-amz-checksum-crc32"


def send_apart(connection, pieces, pause):
    for piece in pieces:
        connection.send(piece)
        time.sleep(pause)


class Splits(S3Case):
    def setUp(self):
        super().setUp()
        self.stored = {}

    def forms(self, prefix, size=300, headers=None):
        """Requests that each put an object: (name of the form, bytes). `self.stored` learns what must be there."""
        hashed = {"x-amz-content-sha256": sigv4.UNSIGNED}

        def path(form, body):
            key = f"{prefix}/{form}/{'k' * 40}"
            self.stored[key] = body
            return f"/{self.bucket}/{key}"

        def put(form, **options):
            body = os.urandom(size)
            return form, options.pop("make")(path(form, body), body, **options)

        def plain(target, body, payload_hash):
            return self.raw.build("PUT", target, headers=headers, body=body, payload_hash=payload_hash or sigv4.sha256(body))

        def chunked(target, body, chunk):
            return self.raw.build("PUT", target, headers={**(headers or {}), "transfer-encoding": "chunked"},
                                  body=http.chunked(body, chunk), payload_hash=sigv4.sha256(body))

        def aws_chunked(target, body, payload, trailer=False, http_chunks=None):
            pieces = [body[at:at + 100] for at in range(0, len(body), 100)]
            value = (CRC, checksums.checksum("crc32", body)) if trailer else None
            return self.raw.build_chunked(target, pieces, payload=payload, trailer=value, headers=headers, http_chunks=http_chunks)

        yield put("plain", make=plain, payload_hash=None)
        yield put("unsigned", make=plain, payload_hash=hashed["x-amz-content-sha256"])
        yield put("chunked", make=chunked, chunk=70)
        yield put("one-chunk", make=chunked, chunk=size)
        yield put("aws-chunked", make=aws_chunked, payload=sigv4.SIGNED_CHUNKS)
        yield put("signed-trailer", make=aws_chunked, payload=sigv4.SIGNED_CHUNKS_TRAILER, trailer=True)
        yield put("unsigned-trailer", make=aws_chunked, payload=sigv4.UNSIGNED_TRAILER, trailer=True)
        yield put("both-chunked", make=aws_chunked, payload=sigv4.UNSIGNED_TRAILER, trailer=True, http_chunks=90)

    def expect_stored(self):
        self.assertEqual(sorted(self.stored), self.keys())
        for key, body in self.stored.items():
            self.assertEqual(body, self.body(key), key)

    def test_every_form_at_every_boundary(self):
        for mode in MODES:
            for form, request in self.forms(mode):
                pieces = cut_at(request, range(len(request))) if mode == "bytes" else cut(request, mode)
                with self.subTest(mode=mode, form=form), self.raw.connect() as connection:
                    send_apart(connection, pieces, PAUSE_SECONDS)
                    self.assertEqual(200, connection.response("PUT").status)
        self.expect_stored()

    def test_pipelined(self):
        """All forms on one connection: in one piece, and cut so that one request's end comes with the next one's begin."""
        for mode in (*MODES, "behind"):
            forms = list(self.forms(f"pipelined-{mode}"))
            stream = b"".join(request for _, request in forms)
            places = [end for end in ends_of(stream, b" HTTP/1.1")] if mode == "behind" else []
            pieces = cut_at(stream, places) if mode == "behind" else cut(stream, mode)
            with self.subTest(mode=mode), self.raw.connect() as connection:
                send_apart(connection, pieces, PAUSE_SECONDS)
                self.assertEqual([200] * len(forms), [connection.response("PUT").status for _ in forms])
        self.expect_stored()

    def test_late_body_behind_a_head_in_pieces(self):
        """Little room behind the head where it was received, and the framing of the body comes when a handler already waits."""
        for padding in (10, 2000, 4000, 6000, 7000):
            for first in (1, 60, 700, 4000):
                for form, request in self.forms(f"late-{padding}-{first}", headers={"x-pad": "p" * padding}):
                    if form in ("unsigned", "one-chunk"):
                        self.stored.pop(f"late-{padding}-{first}/{form}/{'k' * 40}")
                        continue
                    head = next(ends_of(request, b"\r\n\r\n"))
                    with self.subTest(padding=padding, first=first, form=form), self.raw.connect() as connection:
                        send_apart(connection, cut_at(request, [first, head, head + 2, head + 150]), LATE_SECONDS / 4)
                        self.assertEqual(200, connection.response("PUT").status)
        self.expect_stored()

    def test_every_cut_in_two(self):
        """A body with framing and a request behind it, cut at each place."""
        body = b"<Delete><Object><Key>nothing</Key></Object><Quiet>true</Quiet></Delete>"
        first = self.raw.build("POST", f"/{self.bucket}", query=[("delete", None)], payload_hash=sigv4.sha256(body),
                               headers={"transfer-encoding": "chunked", "content-md5": checksums.content_md5(body)},
                               body=http.chunked(body, 30))
        second = self.raw.build("GET", f"/{self.bucket}", query=[("list-type", "2")])
        stream = first + second
        ends = {end - back for end in ends_of(stream, b"\r\n") for back in (0, 1, 2)}
        for place in sorted(ends | set(range(1, len(stream), 7))):
            with self.raw.connect() as connection:
                send_apart(connection, cut_at(stream, [place]), 0.001)
                self.assertEqual((200, 200), (connection.response("POST").status, connection.response().status), place)


class SplitsOverTls(Splits):
    """Each piece is a record of its own."""
    tls = True


@harness.needs_own_server
class ThroughTheProxy(S3Case):
    """What a client library sends, cut by the proxy: with TLS that cuts within records."""

    def test_library(self):
        for tls in (False, True):
            with harness.Server(tls=tls, split="each") as server:
                endpoint = harness.endpoint_of(server)
                for number in range(len(MODES)):
                    client = endpoint.boto3()  # a connection of its own
                    with self.subTest(tls=tls, number=number):
                        if number == 0:
                            client.create_bucket(Bucket="split")
                        data = os.urandom(200_000)
                        client.put_object(Bucket="split", Key=f"k{number}", Body=data)
                        self.assertEqual(data, client.get_object(Bucket="split", Key=f"k{number}")["Body"].read())
                    client.close()
                keys = [item["Key"] for item in endpoint.boto3().list_objects_v2(Bucket="split")["Contents"]]
                self.assertEqual([f"k{number}" for number in range(len(MODES))], keys)
