"""A small client of PostgreSQL's protocol over a Unix socket, for tests that need several sessions at once.

Only what those tests use: simple queries, errors with all their fields, notices, cancel, COPY FROM STDIN, and one statement run
with many values of its parameter. A query may be sent and its result fetched later, so one thread can hold many sessions at
different points.
"""

import select
import socket
import struct
import time

# Type oids whose text form is turned into a Python value; everything else stays text.
INTEGERS, FLOATS, BOOL = {20, 21, 23, 26}, {700, 701}, 16


class ServerError(Exception):
    """An ERROR (or FATAL) of the server, with its fields as attributes."""

    FIELDS = {"S": "severity", "C": "sqlstate", "M": "message", "D": "detail", "H": "hint", "W": "context", "n": "constraint"}

    def __init__(self, fields):
        for code, name in self.FIELDS.items():
            setattr(self, name, fields.get(code))
        super().__init__(f"{self.severity} {self.sqlstate}: {self.message}" + (f"\nHINT: {self.hint}" if self.hint else ""))


class ConnectionLost(Exception):
    """The server closed the connection."""


# Bytes that are sent before answers are read: with more, both sides could wait for each other.
TOGETHER = 1 << 16


class Result:
    def __init__(self):
        self.columns, self.types, self.rows, self.tag = [], [], [], ""

    def scalar(self):
        return self.rows[0][0] if self.rows else None

    def dicts(self):
        return [dict(zip(self.columns, row)) for row in self.rows]


class Connection:
    def __init__(self, socket_path, database="postgres", user="postgres", timeout=60, options=None):
        self.socket_path, self.timeout = str(socket_path), timeout
        self.notices, self.parameters = [], {}
        self.transaction_status = "I"
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(self.socket_path)
        self.buffer = b""
        words = {"user": user, "database": database, "client_encoding": "UTF8", "application_name": "tests"}
        if options:
            words["options"] = options
        body = b"".join(f"{key}\0{value}\0".encode() for key, value in words.items()) + b"\0"
        self.socket.sendall(struct.pack("!ii", len(body) + 8, 196608) + body)
        self._until_ready(deadline=time.monotonic() + timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def query(self, sql, timeout=None):
        """Runs one or more statements and returns the last result."""
        results = self.query_all(sql, timeout)
        return results[-1] if results else Result()

    def query_all(self, sql, timeout=None):
        self.send(sql)
        return self.fetch(timeout)

    def rows(self, sql, timeout=None):
        return self.query(sql, timeout).rows

    def scalar(self, sql, timeout=None):
        return self.query(sql, timeout).scalar()

    def error(self, sql, timeout=None):
        """The error that a statement must raise."""
        try:
            self.query(sql, timeout)
        except ServerError as error:
            return error
        raise AssertionError(f"no error from: {sql}")

    def send(self, sql):
        """Sends a query without waiting; `fetch` collects its results."""
        self._message(b"Q", sql.encode() + b"\0")

    def ready(self, seconds=0.0):
        """Whether an answer to what was sent has begun to arrive within that time."""
        return bool(self.buffer) or bool(select.select([self.socket], [], [], seconds)[0])

    def fetch(self, timeout=None):
        return self._until_ready(deadline=time.monotonic() + (timeout or self.timeout))

    def copy_in(self, statement, data, timeout=None):
        """COPY … FROM STDIN with `data` (bytes)."""
        self._message(b"Q", statement.encode() + b"\0")
        return self._until_ready(deadline=time.monotonic() + (timeout or self.timeout), copy_data=data)[-1]

    def run_each(self, sql, type_oid, values, binary, timeout=None):
        """Runs a statement with each of these values (bytes) of $1: yields the first column of its first row, or the error. A
        connection that is lost is raised at the value that did it."""
        deadline = time.monotonic() + (timeout or self.timeout)
        self._message(b"P", b"\0" + sql.encode() + b"\0" + struct.pack("!hI", 1, type_oid))
        self._message(b"S", b"")
        self._until_ready(deadline)
        values = list(values)
        while values:
            messages, n = b"", 0
            while n < len(values) and (n == 0 or len(messages) + len(values[n]) < TOGETHER and n < 200):
                bind = b"\0\0" + struct.pack("!hhhi", 1, int(binary), 1, len(values[n])) + values[n] + struct.pack("!h", 0)
                for kind, body in ((b"B", bind), (b"E", b"\0" + struct.pack("!i", 0)), (b"S", b"")):
                    messages += kind + struct.pack("!i", len(body) + 4) + body
                n += 1
            self.socket.settimeout(self.timeout)
            self.socket.sendall(messages)
            for _ in range(n):
                deadline = time.monotonic() + (timeout or self.timeout)
                try:
                    results = self._until_ready(deadline, types=[25])
                except ServerError as error:
                    if error.severity in ("FATAL", "PANIC"):
                        raise
                    yield error
                else:
                    yield results[-1].scalar()
            values = values[n:]

    def cancel(self):
        """Asks the server, through a connection of its own, to cancel what this session runs."""
        with socket.socket(socket.AF_UNIX) as knock:
            knock.settimeout(self.timeout)
            knock.connect(self.socket_path)
            knock.sendall(struct.pack("!iiII", 16, 80877102, self.pid, self.secret))
            knock.recv(1)

    def close(self):
        try:
            self._message(b"X", b"")
        except OSError:
            pass
        self.socket.close()

    def drop(self):
        """Closes the socket without a word, as a client that died."""
        self.socket.close()

    def _message(self, kind, body):
        self.socket.settimeout(self.timeout)
        self.socket.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def _read(self, count, deadline):
        while len(self.buffer) < count:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer from the server in time")
            self.socket.settimeout(left)
            try:
                piece = self.socket.recv(1 << 16)
            except TimeoutError:
                raise TimeoutError("no answer from the server in time") from None
            except OSError as cause:
                raise ConnectionLost(str(cause)) from None
            if not piece:
                raise ConnectionLost("the server closed the connection")
            self.buffer += piece
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def _until_ready(self, deadline, copy_data=None, types=()):
        """`types` are those of the columns, where the server does not say them."""
        results, current, error = [], Result(), None
        current.types = types
        while True:
            kind, length = struct.unpack("!ci", self._read(5, deadline))
            body = self._read(length - 4, deadline)
            if kind == b"D":
                current.rows.append(decode_row(body, current.types))
            elif kind == b"T":
                current = Result()
                current.columns, current.types = decode_columns(body)
            elif kind in (b"C", b"I"):
                current.tag = body.rstrip(b"\0").decode()
                results.append(current)
                current = Result()
            elif kind == b"E":
                error = ServerError(decode_fields(body))
                if error.severity in ("FATAL", "PANIC"):
                    raise error
            elif kind == b"N":
                self.notices.append(decode_fields(body))
            elif kind == b"S":
                name, value = body.rstrip(b"\0").decode().split("\0")
                self.parameters[name] = value
            elif kind == b"K":
                self.pid, self.secret = struct.unpack("!II", body[:8])
            elif kind == b"R" and struct.unpack("!i", body[:4])[0] != 0:
                raise ConnectionLost("the server asks for a password; tests use trust over a private socket")
            elif kind == b"G":
                for at in range(0, len(copy_data or b""), 1 << 20):
                    self._message(b"d", copy_data[at : at + (1 << 20)])
                self._message(b"c", b"")
            elif kind == b"Z":
                self.transaction_status = body.decode()
                if error:
                    raise error
                return results


def decode_columns(body):
    count, at = struct.unpack("!h", body[:2])[0], 2
    names, types = [], []
    for _ in range(count):
        end = body.index(b"\0", at)
        names.append(body[at:end].decode())
        types.append(struct.unpack("!ihihih", body[end + 1 : end + 19])[2])
        at = end + 19
    return names, types


def decode_row(body, types):
    at, row = 2, []
    for oid in types:
        (length,) = struct.unpack("!i", body[at : at + 4])
        at += 4
        if length < 0:
            row.append(None)
            continue
        text = body[at : at + length].decode()
        at += length
        if oid in INTEGERS:
            row.append(int(text))
        elif oid in FLOATS:
            row.append(float(text))
        elif oid == BOOL:
            row.append(text == "t")
        else:
            row.append(text)
    return tuple(row)


def decode_fields(body):
    return {part[:1].decode(): part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
