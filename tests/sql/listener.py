"""Stands between psql and a server and shows every query, before it goes on and after it ended; it changes none.

Its own questions go over the same connection, so that they are answered in the session's own state.
"""

import socket
import struct
import threading


class Heard:
    """What a server said to one query."""

    def __init__(self):
        self.rows, self.tags, self.error, self.status = [], [], None, "I"


class Link:
    """One connection of psql, with the server's side of it."""

    def __init__(self, client, server_port):
        self.client, self.left = client, b""
        self.server, self.server_left = socket.create_connection(("127.0.0.1", server_port)), b""
        for one in (self.client, self.server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.status, self.settings = "I", {}

    def run(self, watcher):
        """Serves psql until it leaves."""
        try:
            length = struct.unpack("!I", self._client_bytes(4))[0]
            self.server.sendall(struct.pack("!I", length) + self._client_bytes(length - 4))
            self._relay(Heard())
            while True:
                tag, body = self._client_message()
                if tag == b"X":
                    return
                if tag != b"Q":
                    self.server.sendall(message(tag, body))
                    if tag in (b"S", b"F"):
                        self._relay(Heard())
                    continue
                sql = body[:-1]
                seen = watcher.before(self, sql)
                self.server.sendall(message(b"Q", body))
                heard = Heard()
                self._relay(heard)
                watcher.after(self, seen, heard)
        except (ConnectionError, OSError):
            pass
        finally:
            self.client.close()
            self.server.close()

    def ask(self, sql):
        """Asks the server something of our own; psql hears nothing of it."""
        self.server.sendall(message(b"Q", sql.encode() + b"\0"))
        heard = Heard()
        while True:
            tag, body = self._server_message()
            if tag == b"D":
                heard.rows.append(columns(body))
            elif self._note(tag, body, heard):
                return heard

    def _relay(self, heard):
        """Carries the server's answer to psql, and what psql copies to the server, until the server is ready."""
        while True:
            tag, body = self._server_message()
            self.client.sendall(message(tag, body))
            if tag == b"G":
                self._copy_in()
            if self._note(tag, body, heard):
                return

    def _copy_in(self):
        while True:
            tag, body = self._client_message()
            self.server.sendall(message(tag, body))
            if tag in (b"c", b"f"):
                return

    def _note(self, tag, body, heard):
        if tag == b"C":
            heard.tags.append(body[:-1].decode())
        elif tag == b"E":
            heard.error = fields(body)
        elif tag == b"S":
            name, value = body[:-1].decode("utf-8", "replace").split("\0")[:2]
            self.settings[name] = value
        elif tag == b"Z":
            self.status = heard.status = body.decode()
            return True
        return False

    def _client_message(self):
        head = self._client_bytes(5)
        return head[:1], self._client_bytes(struct.unpack("!I", head[1:])[0] - 4)

    def _client_bytes(self, count):
        self.left, taken = fill(self.client, self.left, count)
        return taken

    def _server_message(self):
        head = self._server_bytes(5)
        return head[:1], self._server_bytes(struct.unpack("!I", head[1:])[0] - 4)

    def _server_bytes(self, count):
        self.server_left, taken = fill(self.server, self.server_left, count)
        return taken


class Listener:
    """Listens on a free port and gives each connection a thread."""

    def __init__(self, server_port, watcher):
        self.server_port, self.watcher = server_port, watcher
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = self.door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            client, _ = self.door.accept()
            link = Link(client, self.server_port)
            threading.Thread(target=link.run, args=(self.watcher,), daemon=True).start()


def message(tag, body):
    return tag + struct.pack("!I", len(body) + 4) + body


def fill(source, left, count):
    parts, have = [left], len(left)
    while have < count:
        more = source.recv(max(65536, count - have))
        if not more:
            raise ConnectionError("the peer has left")
        parts.append(more)
        have += len(more)
    whole = b"".join(parts)
    return whole[count:], whole[:count]


def columns(body):
    values, at = [], 2
    for _ in range(struct.unpack("!H", body[:2])[0]):
        length = struct.unpack("!i", body[at:at + 4])[0]
        at += 4
        values.append(None if length < 0 else body[at:at + length].decode("utf-8", "replace"))
        at += max(length, 0)
    return values


def fields(body):
    parts = body.rstrip(b"\0").split(b"\0")
    return {part[:1].decode(): part[1:].decode("utf-8", "replace") for part in parts if part}
