# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 as spoken on the wire: keep-alive, pipelining, chunked bodies, Expect, limits, malformed requests."""
import os
import time

import raw as http
import sigv4
from checksums import etag
from harness import MIB, S3Case


class Http(S3Case):
    def setUp(self):
        super().setUp()
        self.data = os.urandom(5000)
        self.put("a", self.data)
        self.path = f"/{self.bucket}/a"

    def test_keep_alive(self):
        with self.raw.connect() as connection:
            for _ in range(50):
                connection.send(self.raw.build("GET", self.path))
                self.assertEqual(self.data, connection.response().body)

    def test_connection_close(self):
        with self.raw.connect() as connection:
            connection.send(self.raw.build("GET", self.path, headers={"connection": "close"}))
            answer = connection.response()
            self.assertEqual((200, "close"), (answer.status, answer.header("connection")))
            self.assertTrue(connection.closed_within(5))

    def test_pipelining(self):
        requests = [("GET", self.path, b""), ("HEAD", self.path, b""), ("PUT", f"/{self.bucket}/b", b"new"), ("GET", f"/{self.bucket}/b", b""),
                    ("GET", f"/{self.bucket}/missing", b""), ("DELETE", f"/{self.bucket}/b", b""), ("GET", self.path, b"")]
        with self.raw.connect() as connection:
            connection.send(b"".join(self.raw.build(method, path, body=body) for method, path, body in requests))
            answers = [connection.response(method) for method, _, _ in requests]
        self.assertEqual([200, 200, 200, 200, 404, 204, 200], [answer.status for answer in answers])
        self.assertEqual([self.data, b"", b"", b"new"], [answer.body for answer in answers[:4]])
        self.assertEqual(self.data, answers[-1].body)

    def test_hundreds_pipelined_at_once(self):
        with self.raw.connect() as connection:
            connection.send(self.raw.build("GET", self.path) * 300)
            self.assertEqual([200] * 300, [connection.response().status for _ in range(300)])

    def test_requests_in_single_bytes(self):
        with self.raw.connect() as connection:
            for byte in self.raw.build("PUT", f"/{self.bucket}/slow", body=b"body"):
                connection.send(bytes([byte]))
            self.assertEqual(200, connection.response("PUT").status)
        self.assertEqual(b"body", self.body("slow"))

    def test_expect_100_continue(self):
        with self.raw.connect(timeout=5) as connection:
            request = self.raw.build("PUT", f"/{self.bucket}/e", headers={"expect": "100-continue"}, body=b"body")
            connection.send(request[:-4])
            self.assertEqual(100, connection.response("PUT").status)
            connection.send(b"body")
            answer = connection.response("PUT")
        self.assertEqual((200, etag(b"body")), (answer.status, answer.header("etag")))

    def test_expect_is_answered_finally_on_refusal(self):
        wrong = http.Requester(self.endpoint, secret_key="wrong")
        with self.raw.connect(timeout=5) as connection:
            connection.send(wrong.build("PUT", f"/{self.bucket}/e", headers={"expect": "100-continue"}, body=b"body")[:-4])
            answer = connection.response("PUT")
        self.assertEqual((403, "SignatureDoesNotMatch"), (answer.status, answer.code))

    def test_expect_without_a_body(self):
        with self.raw.connect(timeout=5) as connection:
            connection.send(self.raw.build("GET", self.path, headers={"expect": "100-continue"}))
            answer = connection.response()
            answer = connection.response() if answer.status == 100 else answer
        self.assertEqual(200, answer.status)

    def test_other_expectations_are_ignored(self):
        for value in ("the-unexpected", "200", ""):
            with self.subTest(value), self.raw.connect(timeout=5) as connection:
                connection.send(self.raw.build("PUT", self.path, headers={"expect": value}, body=b"x"))
                answer = connection.response("PUT")
                self.assertEqual((200, etag(b"x")), (answer.status, answer.header("etag")))

    def chunked_put(self, key, chunks, end=b"0\r\n\r\n"):
        request = self.raw.build("PUT", f"/{self.bucket}/{key}", headers={"transfer-encoding": "chunked"}, payload_hash=sigv4.UNSIGNED)
        return self.raw.exchange(request + chunks + end, "PUT")

    def test_chunked_bodies(self):
        """S3 wants a length: either the upload works, or it is 411. Never half of it."""
        answer = self.chunked_put("chunked", b"5\r\nhello\r\n6;extension=1\r\n world\r\n")
        if answer.status == 411:
            self.assertEqual("MissingContentLength", answer.code)
        else:
            self.assertEqual((200, b"hello world"), (answer.status, self.body("chunked")))

    def test_damaged_chunks(self):
        for chunks in (b"zz\r\nhello\r\n", b"5\r\nhelloX\r\n", b"-5\r\nhello\r\n", b"FFFFFFFFFFFFFFFFF\r\nhello\r\n", b"5\nhello\n", b"5 \r\nhel"):
            with self.subTest(chunks=chunks):
                self.assertIn(self.chunked_put("damaged", chunks).status, (400, 411))
        self.assertEqual(["a"], self.keys())

    def test_head_has_no_body(self):
        with self.raw.connect() as connection:
            connection.send(self.raw.build("HEAD", self.path) + self.raw.build("HEAD", f"/{self.bucket}/missing") + self.raw.build("GET", self.path))
            self.assertEqual("5000", connection.response("HEAD").header("content-length"))
            self.assertEqual(404, connection.response("HEAD").status)
            self.assertEqual(self.data, connection.response().body)

    MALFORMED = (
        b"\x00\x01\x02\x03\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n", b"GET  / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost : x\r\n\r\n", b"GET / HTTP/1.1\r\n host: x\r\n\r\n", b"GET / HTTP/1.1\r\nhost: x\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", b"GET / HTTP/1.1\nhost: x\n\n",
        b"G\x80T / HTTP/1.1\r\nhost: x\r\n\r\n", b"GET / HTTP/1.1\r\nhost: x\r\nx: \x00\r\n\r\n", b"GET /\x7f HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n", b"PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        b"PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"PUT / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        b"PUT / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n", b"GET / HTTP/9.9\r\nhost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n",
    )

    def test_malformed_requests(self):
        for request in self.MALFORMED:
            with self.subTest(request=request), self.raw.connect(timeout=10) as connection:
                connection.send_quietly(request)
                answer = connection.response()
                self.assertIn(answer.status, (400, 501, 505), answer)
                self.assertTrue(connection.closed_within(10), "what follows a malformed request must not be read as another")
        self.assertEqual(200, self.raw("GET", self.path).status)

    def test_long_request_lines_and_headers(self):
        for request, statuses in ((b"GET /" + b"k" * 100000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", (400, 414)),
                                  (b"GET / HTTP/1.1\r\nhost: x\r\nbig: " + b"v" * 200000 + b"\r\n\r\n", (400, 431)),
                                  (b"GET / HTTP/1.1\r\nhost: x\r\n" + b"n: v\r\n" * 50000 + b"\r\n", (400, 431))):
            with self.raw.connect() as connection:
                connection.send_quietly(request)
                try:
                    self.assertIn(connection.response().status, statuses)
                except http.Disconnected:
                    self.fail("no answer before the connection was closed")

    def test_10_mib_of_headers(self):
        with self.raw.connect() as connection:
            connection.send_quietly(b"GET / HTTP/1.1\r\nhost: x\r\n")
            line = b"x-filler: " + b"v" * 1000 + b"\r\n"
            for _ in range(10 * MIB // len(line) // 64):
                connection.send_quietly(line * 64)
            try:
                self.assertIn(connection.response().status, (400, 431))
            except http.Disconnected:
                pass  # answered and closed long ago; the reset may have overtaken the answer
        self.assertEqual(200, self.raw("GET", self.path).status)

    def test_truncated_bodies_store_nothing(self):
        for size, sent in ((10, 3), (5 * MIB, 4 * MIB), (70000, 65536)):
            request = self.raw.build("PUT", f"/{self.bucket}/cut", body=os.urandom(size))
            with self.raw.connect() as connection:
                connection.send(request[:len(request) - size + sent])
        with self.raw.connect() as connection:
            connection.send(request[:-10])
            if not self.tls:
                connection.finish_sending()
                with_answer = connection.rest()
                self.assertTrue(not with_answer or b"IncompleteBody" in with_answer or b" 400 " in with_answer, with_answer[:200])
        time.sleep(0.2)
        self.assertEqual(["a"], self.keys())

    def test_oversized_bodies_are_the_next_request(self):
        """What exceeds Content-Length is no part of the object, and no valid request either."""
        request = self.raw.build("PUT", f"/{self.bucket}/over", body=b"12345") + b"67890\r\n\r\n"
        with self.raw.connect() as connection:
            connection.send(request)
            self.assertEqual(200, connection.response("PUT").status)
            self.assertEqual(400, connection.response().status)
        self.assertEqual(b"12345", self.body("over"))

    def test_a_client_that_vanishes_while_downloading(self):
        self.put("large", os.urandom(8 * MIB))
        for _ in range(20):
            with self.raw.connect() as connection:
                connection.send(self.raw.build("GET", f"/{self.bucket}/large"))
                connection.socket.recv(1000)
        self.assertEqual(8 * MIB, len(self.body("large")))

    def test_many_connections(self):
        connections = [self.raw.connect() for _ in range(300)]
        try:
            for connection in connections:
                connection.send(self.raw.build("GET", self.path))
            self.assertTrue(all(connection.response().body == self.data for connection in connections))
        finally:
            for connection in connections:
                connection.close()

    def test_options_and_unknown_methods(self):
        for method in ("PATCH", "TRACE", "BREW", "CONNECT"):
            with self.subTest(method=method):
                self.assertIn(self.raw(method, self.path).status, (400, 403, 405, 501))
        answer = self.raw("POST", self.path)
        self.assertIn((answer.status, answer.code), ((405, "MethodNotAllowed"), (501, "NotImplemented"), (412, "PreconditionFailed")))

    def test_absolute_form(self):
        signed = self.raw.signer.authorize("GET", self.path, [], {"host": self.endpoint.netloc}, sigv4.EMPTY_HASH)
        self.assertIn(self.raw.exchange(http.render("GET", self.endpoint.url + self.path, signed)).status, (200, 400))


class HttpTls(Http):
    tls = True

    def test_plain_http_on_a_tls_port(self):
        import socket
        with socket.create_connection((self.endpoint.host, self.endpoint.port), timeout=10) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            try:
                self.assertNotIn(b" 200 ", plain.recv(1000))
            except ConnectionResetError:
                pass
        self.assertEqual(200, self.raw("GET", self.path).status)
