# SPDX-License-Identifier: Apache-2.0
"""HTTP by hand: requests that no library would send, and responses with every byte accounted for."""
import socket
import ssl
import xml.etree.ElementTree as ElementTree

import harness
import sigv4


class Response:
    def __init__(self, status, reason, headers, body):
        self.status, self.reason, self.headers, self.body = status, reason, headers, body

    def header(self, name):
        return self.headers.get(name.lower())

    @property
    def xml(self):
        root = ElementTree.fromstring(self.body)
        for element in root.iter():
            element.tag = element.tag.rsplit("}", 1)[-1]
        return root

    @property
    def code(self):
        """The code of an S3 error, or None."""
        return self.xml.findtext("Code") if self.body else None

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:400]!r}>"


class Disconnected(Exception):
    """The server closed the connection before a whole response."""


class Connection:
    """One connection: send bytes, read responses."""

    def __init__(self, connection):
        self.socket, self.buffer = connection, b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def send_quietly(self, data):
        """Sends what the server takes: it may answer and close before all is sent."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass

    def finish_sending(self):
        self.socket.shutdown(socket.SHUT_WR)

    def _more(self):
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Disconnected(f"with {self.buffer[:200]!r} unread")
        self.buffer += data

    def _until(self, mark):
        while mark not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(mark, 1)
        return head

    def _exactly(self, size):
        while len(self.buffer) < size:
            self._more()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def response(self, method="GET"):
        """The next response, interim ones (1xx) included."""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, reason = (head[0] + " ").split(" ", 2)
        assert version == "HTTP/1.1", head[0]
        headers = {}
        for line in head[1:]:
            name, value = line.split(":", 1)
            name = name.lower()
            assert name not in headers, f"{name} twice"
            headers[name] = value.strip()
        status, body = int(status), b""
        if method == "HEAD" or status < 200 or status in (204, 304):
            pass
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(self._until(b"\r\n").split(b";")[0], 16):
                body += self._exactly(size)
                assert self._exactly(2) == b"\r\n"
            while self._until(b"\r\n"):
                pass
        elif "content-length" in headers:
            body = self._exactly(int(headers["content-length"]))
        else:
            assert headers.get("connection", "").lower() == "close", f"a body without length: {headers}"
            body = self.rest()
        return Response(status, reason.strip(), headers, body)

    def rest(self):
        """All that comes until the server closes."""
        try:
            while True:
                self._more()
        except Disconnected:
            data, self.buffer = self.buffer, b""
            return data

    def closed_within(self, seconds):
        self.socket.settimeout(seconds)
        try:
            return self.rest() is not None
        except TimeoutError:
            return False


def render(method, target, headers, body=b""):
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("utf-8", "surrogateescape") + body


def chunked(body, size):
    """HTTP's chunked transfer coding."""
    pieces = [body[at:at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


class Requester:
    """Signed requests to an endpoint, each part of which a test may replace."""

    def __init__(self, endpoint, access_key=harness.ACCESS_KEY, secret_key=harness.SECRET_KEY):
        self.endpoint = endpoint
        self.signer = sigv4.Signer(access_key, secret_key)

    def connect(self, timeout=30):
        return Connection(self.endpoint.connect(timeout))

    def build(self, method, path, query=(), headers=None, body=b"", payload_hash=None, when=None, host=None, after=None):
        """The bytes of a signed request. `path` is unencoded; `after` are headers added or changed once signed
        (None removes one)."""
        headers = {"host": host or self.endpoint.netloc, **{name.lower(): value for name, value in (headers or {}).items()}}
        if (body or method in ("PUT", "POST")) and "transfer-encoding" not in headers:
            headers.setdefault("content-length", str(len(body)))
        target = sigv4.encode_path(path)
        signed = self.signer.authorize(method, target, list(query), headers, payload_hash or sigv4.sha256(body), when)
        for name, value in (after or {}).items():
            signed.pop(name.lower(), None)
            if value is not None:
                signed[name.lower()] = value
        if query:
            target += "?" + "&".join(sigv4.encode(key) + ("" if value is None else "=" + sigv4.encode(value)) for key, value in query)
        return render(method, target, signed, body)

    def __call__(self, method, path, query=(), headers=None, body=b"", **options):
        return self.exchange(self.build(method, path, query, headers, body, **options), method)

    def exchange(self, request, method="GET", timeout=30):
        with self.connect(timeout) as connection:
            connection.send_quietly(request)
            return connection.response(method)

    def anonymous(self, method, target, headers=None, body=b""):
        headers = {"host": self.endpoint.netloc, **({"content-length": str(len(body))} if body else {}), **(headers or {})}
        return self.exchange(render(method, target, headers, body), method)

    def presigned(self, method, path, expires=300, query=(), headers=None, body=b"", when=None, spoil=lambda query: query, unsigned=None):
        """The URL signs the host and those of `headers` that begin with x-amz-."""
        signed = {"host": self.endpoint.netloc} | {name: value for name, value in (headers or {}).items() if name.startswith("x-amz-")}
        target = sigv4.encode_path(path)
        query = spoil(self.signer.presign(method, target, list(query), signed, expires, when))
        return self.anonymous(method, f"{target}?{query}", {**(headers or {}), **(unsigned or {})}, body)

    def put_chunked(self, path, pieces, **options):
        return self.exchange(self.build_chunked(path, pieces, **options), "PUT")

    def build_chunked(self, path, pieces, *, payload=sigv4.SIGNED_CHUNKS, trailer=None, headers=None, spoil=lambda framed: framed,
                      decoded_length=None, http_chunks=None):
        """The bytes of an aws-chunked upload; `spoil` may damage the framed body, whose length is then the damaged one's.
        With `http_chunks`, a size, HTTP's own chunks of that size lie around it."""
        when = sigv4.now()
        size = sum(map(len, pieces)) if decoded_length is None else decoded_length
        headers = {"host": self.endpoint.netloc, "content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(size),
                   **(headers or {})}
        if trailer:
            headers["x-amz-trailer"] = trailer[0]
        target = sigv4.encode_path(path)
        signed = self.signer.authorize("PUT", target, [], headers, payload, when)
        seed = signed["authorization"].rsplit("=", 1)[1]
        if payload == sigv4.UNSIGNED_TRAILER:
            framed = sigv4.frame_unsigned(pieces, trailer)
        else:
            framed = self.signer.frame_signed(pieces, seed, when, trailer)
        framed = spoil(framed)
        if http_chunks:
            signed["transfer-encoding"], framed = "chunked", chunked(framed, http_chunks)
        else:
            signed["content-length"] = str(len(framed))
        return render("PUT", target, signed, framed)
