# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy that changes nothing but where the client's bytes are cut: what the server receives in one piece.

`cut(data, mode, random)` says how one block of a client's bytes is cut. The server's bytes pass as they come.
"""
import random
import socket
import threading
import time

PIECE = 1 << 16
PAUSE_SECONDS = 0.0004  # between two pieces, so that the server receives them one by one
PAUSES_MAX = 400  # of one block: the rest of a long one follows at once
JOIN_SECONDS = 0.01  # `joined` waits so long for more
HEAD_END = b"\r\n\r\n"

MODES = ("bytes", "lines", "middle", "apart", "random", "joined")


def cut_at(data, places):
    """The pieces between these places, in order; places outside `data` do not count."""
    places = sorted({place for place in places if 0 < place < len(data)})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)])] if data else []


def ends_of(data, mark):
    at = data.find(mark)
    while at >= 0:
        yield at + len(mark)
        at = data.find(mark, at + 1)


def cut(data, mode, chance=random):
    if mode == "bytes":
        return cut_at(data, range(1, min(len(data), PAUSES_MAX) + 1))
    if mode == "lines":  # before a line's end, in it, and behind it
        return cut_at(data, [end - back for end in ends_of(data, b"\r\n") for back in (0, 1, 2)])
    if mode == "middle":  # of the head
        head = next(ends_of(data, HEAD_END), len(data))
        return cut_at(data, [head // 2])
    if mode == "apart":  # head and body; of several requests, each
        return cut_at(data, ends_of(data, HEAD_END))
    if mode == "random":
        places, at = [], 0
        while at < len(data):
            at += int(2 ** chance.uniform(0, 14))
            places.append(at)
        return cut_at(data, places)
    assert mode == "joined", mode
    return [data] if data else []


def send_cut(connection, pieces):
    for number, piece in enumerate(pieces):
        if 0 < number < PAUSES_MAX:
            time.sleep(PAUSE_SECONDS)
        connection.sendall(piece)


class SplitProxy:
    """Between clients and `target` (host, port). `mode` is one of MODES, or "each": every connection takes the next."""

    def __init__(self, target, port, mode, seed=1):
        assert mode == "each" or mode in MODES, f"{mode} is none of {MODES} or each"
        self.target, self.mode, self.seed, self.count = target, mode, seed, 0
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(1024)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            mode = MODES[self.count % len(MODES)] if self.mode == "each" else self.mode
            threading.Thread(target=self._serve, args=(client, mode, random.Random(self.seed + self.count)), daemon=True).start()

    def _serve(self, client, mode, chance):
        with client:
            try:
                server = socket.create_connection(self.target, timeout=30)
            except OSError:
                return
            with server:
                for connection in (client, server):
                    connection.settimeout(None)
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                back = threading.Thread(target=self._pump, args=(server, client, None, chance), daemon=True)
                back.start()
                self._pump(client, server, mode, chance)
                back.join()

    def _pump(self, source, sink, mode, chance):
        try:
            while data := source.recv(PIECE):
                if mode == "joined":
                    data += self._more(source)
                send_cut(sink, cut(data, mode, chance) if mode else [data])
            sink.shutdown(socket.SHUT_WR)  # the other direction goes on
        except OSError:
            for connection in (source, sink):
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    @staticmethod
    def _more(source):
        """What comes within a moment, so that requests of a client leave in one segment."""
        more = b""
        source.settimeout(JOIN_SECONDS)
        try:
            while len(more) < PIECE and (data := source.recv(PIECE)):
                more += data
        except TimeoutError:
            pass
        finally:
            source.settimeout(None)
        return more
