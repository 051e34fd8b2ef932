"""A server's life: its command line, listeners, limits, log and end."""

import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from harness import FIRE, SLOW, Client, Server, get, until

BODY = b"hello"


class Life(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="fire-test-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.root = self.directory / "root"
        self.root.mkdir()
        (self.root / "f").write_bytes(BODY)
        (self.root / "start.html").write_text("<p>start")

    def start(self, *options, **arguments):
        server = Server(self.root, *options, **arguments)
        self.addCleanup(self.stop, server)
        return server

    def stop(self, server):
        """It ends in order, whatever the test has done to it."""
        if server.process.returncode is None:
            self.assertEqual(server.stop(), 0, server.stderr())

    def run_fire(self, *arguments):
        return subprocess.run([FIRE, *map(str, arguments)],
                              capture_output=True, text=True, check=False,
                              timeout=10 * SLOW)


class CommandLine(Life):
    def assert_usage(self, named, *arguments):
        done = self.run_fire(*arguments)
        self.assertEqual(done.returncode, 2, (arguments, done))
        self.assertIn(named, done.stderr)
        self.assertTrue(done.stderr.startswith("fire: "), done.stderr)
        self.assertEqual(done.stdout, "")

    def test_usage_mistakes_exit_2_and_name_the_mistake(self):
        """Every usage mistake: exit 2 and a message that names it."""
        root = str(self.root)
        self.assert_usage("which directory")
        self.assert_usage("--lisen", "--lisen", "127.0.0.1:0", root)
        self.assert_usage("-x", "-x", root)
        self.assert_usage("--list", "--list", "html", root)
        self.assert_usage("--listen", root, "--listen")
        self.assert_usage("second", root, "second")
        self.assert_usage("nowhere", str(self.root / "nowhere"))
        self.assert_usage("give a directory", str(self.root / "f"))
        for address in ("", "8080", "x:80", "127.0.0.1", "127.0.0.1:",
                        "127.0.0.1:65536", "127.0.0.1:80x", "[::1]", "[::1:80",
                        "::1:80", "unix:", "unix:" + "p" * 200):
            self.assert_usage(f"--listen '{address}'", "--listen", address,
                              root)
        for option in ("--workers", "--connections", "--header-timeout",
                       "--idle-timeout"):
            for value in ("0", "-1", "x", "1x", "", "99999999999"):
                self.assert_usage(option, f"{option}={value}", root)
        self.assert_usage("--index", "--index", "a/b", root)
        self.assert_usage("--access-log", "--access-log", "", root)

    def test_options_of_later_are_not_accepted(self):
        """What is not there yet is an unknown option."""
        for option in ("--status", "--config", "--check", "--spa", "--user",
                       "--vhosts", "--log-format", "--per-address"):
            self.assert_usage(option, option, "x", str(self.root))

    def test_help_and_version(self):
        """--help and --version print and exit 0."""
        done = self.run_fire("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for option in ("--listen", "--access-log", "--workers",
                       "--connections", "--index", "--header-timeout",
                       "--idle-timeout"):
            self.assertIn(option, done.stdout)
        done = self.run_fire("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^fire \d+\.\d+\.\d+\n$")

    def test_a_port_in_use_exits_1(self):
        """A port that another has: exit 1 and a message that names it."""
        server = self.start()
        done = self.run_fire("--listen", f"127.0.0.1:{server.port}", self.root)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"127.0.0.1:{server.port}", done.stderr)
        self.assertIn("--listen", done.stderr)

    def test_a_log_that_cannot_be_opened_exits_1(self):
        """An access log in no directory: exit 1 and its name."""
        done = self.run_fire("--access-log", "/nowhere/log", "--listen",
                             "127.0.0.1:0", self.root)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nowhere/log", done.stderr)

    def test_index(self):
        """--index names the file that stands for a directory."""
        server = self.start("--index", "start.html")
        with Client(server) as client:
            self.assertEqual(client.ask(get("/")).body, b"<p>start")


class Listeners(Life):
    def test_several_listeners(self):
        """IPv4, IPv6 and a Unix socket at once, each announced and served."""
        path = self.directory / "socket"
        server = self.start(listen=("127.0.0.1:0", "[::1]:0", f"unix:{path}",
                                    "127.0.0.1:0"))
        self.assertRegex(server.names[0], r"^http://127\.0\.0\.1:\d+/$")
        self.assertRegex(server.names[1], r"^http://\[::1\]:\d+/$")
        self.assertEqual(server.names[2], f"unix:{path}")
        for name in server.names:
            arguments = ["curl", "-sS", "-g", "--max-time", "10", name + "f"]
            if name.startswith("unix:"):
                arguments[-1:] = ["--unix-socket", str(path), "http://h/f"]
            done = subprocess.run(arguments, capture_output=True, check=True)
            self.assertEqual(done.stdout, BODY)
        self.assertEqual(server.stop(), 0)
        self.assertFalse(path.exists())

    def test_a_stale_unix_socket_is_replaced(self):
        """The socket of one who was killed is in nobody's way."""
        path = self.directory / "socket"
        server = self.start(listen=(f"unix:{path}",))
        server.kill()
        self.assertTrue(path.exists())
        self.start(listen=(f"unix:{path}",))
        done = self.run_fire("--listen", f"unix:{path}", self.root)
        self.assertEqual(done.returncode, 1)
        self.assertIn(str(path), done.stderr)

    def test_two_thousand_connections_at_once(self):
        """2,000 connections open at once, each served twice."""
        server = self.start("--connections", "2500")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE,
                        (soft, hard))
        clients = []
        try:
            for _ in range(2000):
                clients.append(Client(server, 30))
            for _ in range(2):
                for client in clients:
                    client.send(get("/f"))
                for client in clients:
                    self.assertEqual(client.answer().body, BODY)
            self.assertGreater(server.descriptors(), 2000)
        finally:
            for client in clients:
                client.socket.close()
        until(lambda: server.descriptors() < 100, "all are closed", 20)


class Limits(Life):
    def test_connections_beyond_the_limit_wait(self):
        """With --connections 2 the third client waits for its turn."""
        server = self.start("--connections", "2")
        first, second, third = (Client(server) for _ in range(3))
        for client in (first, second):
            self.addCleanup(client.socket.close)
            self.assertEqual(client.ask(get("/f")).body, BODY)
        self.addCleanup(third.socket.close)
        third.send(get("/f"))
        third.socket.settimeout(0.3)
        self.assertRaises(socket.timeout, third.answer)
        first.socket.close()
        third.socket.settimeout(10 * SLOW)
        self.assertEqual(third.answer().body, BODY)

    def test_out_of_descriptors(self):
        """EMFILE: no spinning, the others are served, and later all are."""
        server = self.start("--connections", "1000")
        with Client(server) as client:
            self.assertEqual(client.ask(get("/f")).body, BODY)
        # Lowered behind its back: Fire itself leaves room for files.
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (40, 40))
        clients = [Client(server) for _ in range(60)]
        for client in clients:
            self.addCleanup(client.socket.close)
            client.send(get("/f"))
        served = clients[0]
        self.assertEqual(served.answer().body, BODY)
        until(lambda: server.descriptors() >= 40, "the descriptors are used")
        before = server.cpu_seconds()
        start = time.monotonic()
        while time.monotonic() - start < 2:
            self.assertEqual(served.ask(get("/f")).body, BODY)
            time.sleep(0.05)
        self.assertLess(server.cpu_seconds() - before, 0.3 * SLOW)
        for client in clients[:40]:
            client.socket.close()
        for client in clients[40:]:
            self.assertEqual(client.answer().body, BODY)

    def test_a_low_limit_of_descriptors(self):
        """Clients never take the descriptors that files need."""
        (self.root / "large").write_bytes(b"x" * 50_000)

        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

        server = self.start("--connections", "1000", preexec_fn=few)
        self.assertIn("of 1000 connections only 20", server.stderr())
        clients = [Client(server) for _ in range(60)]
        for client in clients:
            self.addCleanup(client.socket.close)
            client.send(get("/large"))
        for client in clients:
            self.assertEqual(len(client.answer().body), 50_000)
            client.socket.close()

    def test_header_timeout(self):
        """A head that does not come in time: 408 and the end; silence: the end."""
        server = self.start("--header-timeout", "1")
        for start in (b"", b"GET /f HTT"):
            with Client(server) as client:
                client.send(start)
                answer = client.answer()
                if start:
                    self.assertEqual(answer.status, 408)
                else:
                    self.assertIsNone(answer)
                self.assertTrue(client.is_closed())

    def test_header_timeout_is_of_the_whole_head(self):
        """A byte now and then does not prolong it."""
        server = self.start("--header-timeout", "1")
        with Client(server) as client:
            def sent_on():
                client.send(b"a")
                client.socket.setblocking(False)
                try:
                    return client.socket.recv(1, socket.MSG_PEEK) != b""
                except BlockingIOError:
                    return False
                finally:
                    client.socket.settimeout(10 * SLOW)

            client.send(b"GET /")
            until(sent_on, "an answer", 5)
            self.assertEqual(client.answer().status, 408)

    def test_idle_timeout(self):
        """A kept connection that idles is closed."""
        server = self.start("--idle-timeout", "1")
        with Client(server) as client:
            self.assertEqual(client.ask(get("/f")).body, BODY)
            self.assertTrue(client.is_closed())

    def test_a_slow_reader_is_not_idle(self):
        """What was sent but not read yet holds the connection."""
        (self.root / "large").write_bytes(b"x" * 300_000)
        server = self.start("--idle-timeout", "1")
        client = server.connect(receive_buffer=4096)
        self.addCleanup(client.close)
        client.sendall(get("/large"))
        time.sleep(2.5)
        got = 0
        while got < 300_000:
            data = client.recv(65536)
            self.assertTrue(data)
            got += len(data)
        client.sendall(get("/f"))
        self.assertIn(BODY, client.recv(65536) + client.recv(65536))


class Log(Life):
    def test_combined_format(self):
        """Lines in the combined format, to a file; workers write their own, so
        their order is not that of the requests."""
        log = self.directory / "log"
        server = self.start(log=log)
        with Client(server) as client:
            client.ask(get("/f?a", "User-Agent: test/1", "Referer: http://r/"))
            client.ask(get("/no"))
            client.ask(b"GET /\"\x1b HTTP/1.1\r\n\r\n")
        lines = until(lambda: log.read_text().count("\n") == 3 and
                      log.read_text().splitlines(), "three lines")
        date = r"\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]"
        lines.sort(key=lambda line: ["/f?a" in line, "/no" in line],
                   reverse=True)
        self.assertRegex(lines[0], rf'^127\.0\.0\.1 - - {date} "GET /f\?a '
                         r'HTTP/1\.1" 200 5 "http://r/" "test/1"$')
        self.assertRegex(lines[1], r'"GET /no HTTP/1\.1" 404 \d+ "-" "-"$')
        self.assertIn(r'"GET /\x22\x1b HTTP/1.1" 400 ', lines[2])

    def test_to_standard_output(self):
        """--access-log -: behind the lines of the listeners."""
        server = self.start(log="-")
        with Client(server) as client:
            client.ask(get("/f"))
        self.assertIn(b'"GET /f HTTP/1.1" 200 5',
                      server.process.stdout.readline())

    def test_a_log_that_nobody_reads(self):
        """A full pipe blocks no worker and not the stop; losses are told."""
        server = self.start(log="-")
        request = get("/f", "User-Agent: " + "u" * 800)
        with Client(server) as client:
            for _ in range(80):
                client.send(request * 50)
                for _ in range(50):
                    self.assertEqual(client.answer().body, BODY)
        # The server writes into a pipe that is full; it must end all the same.
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.process.wait(10 * SLOW), 0, server.stderr())
        server.process.stdout.close()

    def test_lost_lines_are_counted(self):
        """What was dropped while nobody read is told once somebody does."""
        server = self.start(log="-")
        request = get("/f", "User-Agent: " + "u" * 800)
        with Client(server) as client:
            for _ in range(80):
                client.send(request * 50)
                for _ in range(50):
                    client.answer()
        self.assertNotIn("dropped", server.stderr())

        def told():
            try:
                os.read(server.process.stdout.fileno(), 65536)
            except BlockingIOError:
                pass
            return re.search(r"\d+ lines of the access log were dropped",
                             server.stderr())

        os.set_blocking(server.process.stdout.fileno(), False)
        until(told, "the dropped lines are reported")


class Stop(Life):
    def test_signals_exit_0(self):
        """SIGTERM and SIGINT end an idle server with exit 0."""
        for number in (signal.SIGTERM, signal.SIGINT):
            server = self.start()
            with Client(server) as client:
                self.assertEqual(client.ask(get("/f")).body, BODY)
                server.process.send_signal(number)
                self.assertEqual(server.process.wait(5 * SLOW), 0)
                self.assertTrue(client.is_closed())
            server.process.stdout.close()

    def test_a_download_is_finished(self):
        """SIGTERM during a download: all of it arrives, and then exit 0."""
        size = 200 << 20
        with open(self.root / "large", "wb") as file:
            file.truncate(size)
        server = self.start()
        client = server.connect(timeout=30, receive_buffer=65536)
        self.addCleanup(client.close)
        client.sendall(get("/large"))
        got = len(client.recv(65536))
        server.process.send_signal(signal.SIGTERM)
        until(lambda: self.is_refused(server), "it takes no new client")
        data = b"x"
        while data:
            data = client.recv(1 << 20)
            got += len(data)
        self.assertGreater(got, size)
        self.assertEqual(server.process.wait(10 * SLOW), 0)

    @staticmethod
    def is_refused(server):
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", server.port)) != 0

    def test_a_stuck_client_does_not_hold_it(self):
        """A client that reads nothing delays the stop by seconds only."""
        with open(self.root / "large", "wb") as file:
            file.truncate(1 << 30)
        server = self.start()
        client = server.connect(receive_buffer=4096)
        self.addCleanup(client.close)
        client.sendall(get("/large"))
        client.recv(1)
        start = time.monotonic()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.monotonic() - start, 8 * SLOW)

    def test_a_client_that_goes_away_raises_no_signal(self):
        """Resets in the middle of answers: the server lives on."""
        with open(self.root / "large", "wb") as file:
            file.truncate(10 << 20)
        server = self.start()
        for _ in range(50):
            client = server.connect()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                              b"\1\0\0\0\0\0\0\0")
            client.sendall(get("/large"))
            client.recv(1000)
            client.close()
        with Client(server) as client:
            self.assertEqual(client.ask(get("/f")).body, BODY)
        until(lambda: server.descriptors() < 30, "all are closed")


if __name__ == "__main__":
    unittest.main()
