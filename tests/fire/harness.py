"""A Fire of one's own for a test, and a client that says what it sends."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
FIRE = os.path.abspath(os.environ.get("FIRE", TOP / "build" / "fire"))
CRLF = b"\r\n"

# Sanitizers and busy machines need longer; nothing waits longer than it must.
SLOW = float(os.environ.get("TEST_SLOW", "1"))


def until(condition, what, seconds=10):
    """Wait for the condition, with a deadline that fails."""
    deadline = time.monotonic() + seconds * SLOW
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds * SLOW:g} s: {what}")


class Server:
    """A running Fire, on port 0 unless told otherwise."""

    def __init__(self, root, *options, listen=("127.0.0.1:0",), log=None,
                 preexec_fn=None):
        command = [FIRE]
        for address in listen:
            command += ["--listen", address]
        command += ["--access-log", str(log) if log else "off"]
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command + list(options) + [str(root)], stdout=subprocess.PIPE,
            stderr=self.errors, preexec_fn=preexec_fn)
        self.names = []
        for _ in listen:
            line = self.process.stdout.readline().decode()
            found = re.fullmatch(r"listening on (\S+)\n", line)
            if not found:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"said {line!r}, {self.stderr()!r}")
            self.names.append(found.group(1))
        self.url = self.names[0]
        self.pid = self.process.pid

    @property
    def port(self):
        return int(self.url.rstrip("/").rsplit(":", 1)[1])

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def connect(self, timeout=10, receive_buffer=0):
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                              receive_buffer)
        client.settimeout(timeout * SLOW)
        client.connect(("127.0.0.1", self.port))
        return client

    def cpu_seconds(self):
        stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text()
        fields = stat.rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self, seconds=15):
        """SIGTERM; what it exits with. A stop that hangs is a failure."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds * SLOW)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("SIGTERM did not stop it")
        self.process.stdout.close()
        return self.process.returncode


class Answer:
    """One answer: status, fields (names in lower case), body."""

    def __init__(self, status, version, fields, body):
        self.status, self.version = status, version
        self.fields, self.body = fields, body

    def __getitem__(self, name):
        return self.fields.get(name.lower())

    def __repr__(self):
        return f"<{self.status} {self.fields} {self.body[:60]!r}>"


class Client:
    """A connection that sends bytes as they are and reads answers."""

    def __init__(self, server, timeout=10):
        self.socket = server.connect(timeout)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def answer(self, method="GET"):
        """The next answer, or None when the connection ends before it."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                assert not self.buffer, f"cut off: {self.buffer!r}"
                return None
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        version, status = lines[0].split(" ")[:2]
        fields = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            assert name.lower() not in fields, f"twice: {line}"
            fields[name.lower()] = value.strip()
        status = int(status)
        size = int(fields.get("content-length", "0"))
        if method == "HEAD" or status in (204, 304):
            size = 0
        while len(self.buffer) < size:
            assert self._more(), "the body is cut off"
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        return Answer(status, version, fields, body)

    def ask(self, data, method="GET"):
        self.send(data)
        return self.answer(method)

    def is_closed(self):
        """The server ends the connection, orderly and without more bytes."""
        return self.buffer == b"" and self.socket.recv(65536) == b""


def get(path, *fields, method="GET", version="1.1", host="test"):
    lines = [f"{method} {path} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    return "\r\n".join([*lines, *fields, "", ""]).encode("latin-1")


class Case(unittest.TestCase):
    """Tests that share a server and a root; `fill` makes the files."""

    options = ()

    @classmethod
    def fill(cls, root):
        pass

    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="fire-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.root)
        cls.fill(cls.root)
        cls.server = Server(cls.root, *cls.options)

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        assert status == 0, f"exit {status}: {cls.server.stderr()}"

    def client(self, timeout=10):
        client = Client(self.server, timeout)
        self.addCleanup(client.socket.close)
        return client

    def ask(self, data, method="GET"):
        """One request on a connection of its own."""
        with Client(self.server) as client:
            return client.ask(data, method)

    def curl(self, *arguments, check=True):
        done = subprocess.run(
            ["curl", "--silent", "--show-error", "--max-time",
             str(int(60 * SLOW)), "--noproxy", "*", *arguments],
            capture_output=True, check=False)
        if check:
            self.assertEqual(done.returncode, 0, done.stderr)
        return done
