# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy that delays, cuts, damages, and answers errors of its own: by chance, from a seed; and an HTTP proxy."""
import random
import socket
import threading
import time

PIECE = 1 << 16
ERRORS = [(500, "InternalError"), (503, "ServiceUnavailable"), (503, "SlowDown")]


class FaultyProxy:
    """Between clients and `target` (host, port). `chance` is that of a fault on one connection or piece; 0: none."""

    def __init__(self, target, port, seed=1):
        self.target, self.chance, self.faults, self.down = target, 0.0, {}, False
        self.random, self.lock, self.open = random.Random(seed), threading.Lock(), set()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(128)
        self.url = f"http://127.0.0.1:{port}"
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._cut_all()
        self.thread.join(10)

    def go_down(self):
        """Accepts and closes at once, until `down` is False."""
        self.down = True
        self._cut_all()

    def _cut_all(self):
        with self.lock:
            connections = list(self.open)
        for connection in connections:
            self._end(connection)

    @staticmethod
    def _end(connection):
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _happens(self, fault, share=1.0):
        with self.lock:
            if self.random.random() >= self.chance * share:
                return False
            self.faults[fault] = self.faults.get(fault, 0) + 1
            return True

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client:
            if self.down:
                return
            with self.lock:
                self.open.add(client)
            try:
                if self._happens("error answer"):
                    self._answer_error(client)
                    return
                with socket.create_connection(self.target, timeout=30) as server:
                    back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
                    back.start()
                    self._pump(client, server)
                    back.join()
            except OSError:
                pass
            finally:
                with self.lock:
                    self.open.discard(client)

    def _answer_error(self, client):
        client.settimeout(5)
        client.recv(PIECE)
        status, code = self.random.choice(ERRORS)
        body = f"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>by the proxy</Message></Error>".encode()
        client.sendall(f"HTTP/1.1 {status} Error\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)

    def _pump(self, source, sink):
        try:
            while True:
                data = source.recv(PIECE)
                if not data:
                    break
                if self._happens("delay", 0.2):
                    time.sleep(self.random.uniform(0.01, 0.3))
                if self._happens("damage", 0.1):
                    at = self.random.randrange(len(data))
                    data = data[:at] + bytes([data[at] ^ (1 << self.random.randrange(8))]) + data[at + 1:]
                if self._happens("cut", 0.1):
                    sink.sendall(data[:self.random.randrange(len(data))])
                    break
                sink.sendall(data)
        except OSError:
            pass
        self._end(source)
        self._end(sink)


class ConnectProxy(FaultyProxy):
    """An HTTP proxy that knows CONNECT, and no faults."""

    def __init__(self, port):
        self.asked = []
        super().__init__(None, port)

    def _serve(self, client):
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(PIECE)
                if not data:
                    return
                head += data
            method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
            self.asked.append(f"{method} {target}")
            if method != "CONNECT":
                client.sendall(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")
                return
            host, port = target.rsplit(":", 1)
            with socket.create_connection((host, int(port)), timeout=30) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
                back.start()
                self._pump(client, server)
                back.join()
