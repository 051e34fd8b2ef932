"""What each request gets: the checks of Fire's list, by number."""

import os
import re
import socket
import time
import unittest
from email.utils import parsedate_to_datetime

from harness import Case, Client, get

BODY = bytes(range(100))


class Requests(Case):
    @classmethod
    def fill(cls, root):
        (root / "f").write_bytes(BODY)
        (root / "empty").write_bytes(b"")
        (root / "large").write_bytes(os.urandom(100_000))
        (root / "page.html").write_text("<p>page")
        (root / "index.html").write_text("<p>root")
        (root / "dir").mkdir()
        (root / "dir" / "index.html").write_text("<p>dir")
        (root / "bare").mkdir()
        (root / "sp ace").write_text("space")
        (root / "%2e").write_text("percent")
        (root / ".git").mkdir()
        (root / ".git" / "config").write_text("secret")
        (root / ".well-known").mkdir()
        (root / ".well-known" / "x").write_text("known")
        (root.parent / f"{root.name}-outside").write_text("outside")
        cls.addClassCleanup(os.unlink, root.parent / f"{root.name}-outside")
        (root / "leaves").symlink_to(f"../{root.name}-outside")
        (root / "absolute").symlink_to(root / "f")
        (root / "stays").symlink_to("dir/../f")
        os.mkfifo(root / "fifo")
        listener = socket.socket(socket.AF_UNIX)
        cls.addClassCleanup(listener.close)
        listener.bind(str(root / "socket"))

    def assert_status(self, data, *statuses):
        answer = self.ask(data)
        self.assertIsNotNone(answer, data)
        self.assertIn(answer.status, statuses, data)
        return answer

    def assert_refused(self, data, *statuses):
        """The final status, and then the end of the connection."""
        with Client(self.server) as client:
            answer = client.ask(data)
            self.assertIn(answer.status, statuses, data)
            self.assertEqual(answer["Connection"], "close")
            self.assertTrue(client.is_closed())
        return answer

    def test_check_01_get(self):
        """GET: 200 with Date, length, type, ETag, Last-Modified, Accept-Ranges."""
        answer = self.ask(get("/f"))
        self.assertEqual((answer.status, answer.body), (200, BODY))
        self.assertEqual(answer["Content-Length"], "100")
        self.assertEqual(answer["Content-Type"], "application/octet-stream")
        self.assertEqual(answer["Accept-Ranges"], "bytes")
        stat = os.stat(self.root / "f")
        self.assertEqual(answer["ETag"], '"%x-%x-%x"' % (
            stat.st_ino, stat.st_size, stat.st_mtime_ns))
        modified = parsedate_to_datetime(answer["Last-Modified"])
        self.assertEqual(modified.timestamp(), int(stat.st_mtime))
        date = parsedate_to_datetime(answer["Date"]).timestamp()
        self.assertAlmostEqual(date, time.time(), delta=2)

    def test_check_01_media_types(self):
        """The media type follows the extension, that of the index too."""
        for path in ("/page.html", "/"):
            answer = self.ask(get(path))
            self.assertEqual(answer["Content-Type"], "text/html; charset=utf-8")

    def test_check_01_large_file(self):
        """A file that is sent from its descriptor arrives as it is."""
        answer = self.ask(get("/large"))
        self.assertEqual(answer.body, (self.root / "large").read_bytes())

    def test_check_01_empty_file(self):
        """An empty file: 200 with length 0, and the connection stays."""
        with Client(self.server) as client:
            for _ in range(2):
                answer = client.ask(get("/empty"))
                self.assertEqual((answer.status, answer["Content-Length"]),
                                 (200, "0"))

    def test_check_02_head(self):
        """HEAD: the fields of GET and no body."""
        with Client(self.server) as client:
            expected = client.ask(get("/f"))
            answer = client.ask(get("/f", method="HEAD"), "HEAD")
            del expected.fields["date"], answer.fields["date"]
            self.assertEqual(answer.fields, expected.fields)
            self.assertEqual(client.ask(get("/f")).body, BODY)

    def test_check_03_missing_host(self):
        """HTTP/1.1 without Host: 400."""
        self.assert_refused(get("/f", host=None), 400)

    def test_check_03_two_hosts(self):
        """Two Host fields: 400."""
        self.assert_refused(get("/f", "Host: b"), 400)

    def test_check_03_malformed_host(self):
        """A malformed Host: 400."""
        for host in ("a b/c@d", "u@h", "[::1", "h:p"):
            self.assert_refused(get("/f", host=host), 400)

    def test_check_04_http_1_0(self):
        """HTTP/1.0 without Host: 200 and close."""
        with Client(self.server) as client:
            answer = client.ask(get("/f", host=None, version="1.0"))
            self.assertEqual((answer.status, answer.body), (200, BODY))
            self.assertTrue(client.is_closed())

    def test_check_04_http_1_0_keep_alive(self):
        """HTTP/1.0 with keep-alive: stays open and says so."""
        request = get("/f", "Connection: keep-alive", host=None, version="1.0")
        with Client(self.server) as client:
            for _ in range(2):
                answer = client.ask(request)
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer["Connection"], "keep-alive")

    def test_check_05_absolute_form(self):
        """A target in absolute form: 200."""
        self.assertEqual(self.ask(get("http://h/f")).body, BODY)
        self.assertEqual(self.ask(get("http://h")).body, b"<p>root")

    def test_check_06_versions(self):
        """HTTP/2.0: 505; http/1.1 in lower case: 400."""
        self.assert_refused(get("/f", version="2.0"), 505)
        self.assert_refused(b"GET /f http/1.1\r\nHost: h\r\n\r\n", 400)

    def test_check_07_methods(self):
        """POST: 405 with Allow; unknown or lower-case methods: 501."""
        answer = self.assert_status(get("/f", method="POST"), 405)
        self.assertEqual(answer["Allow"], "GET, HEAD, OPTIONS")
        self.assert_status(get("/f", method="BREW"), 501)
        self.assert_status(get("/f", method="get"), 501)

    def test_check_07_options(self):
        """OPTIONS *: 204 with Allow, no body, and the connection stays."""
        with Client(self.server) as client:
            answer = client.ask(get("*", method="OPTIONS"))
            self.assertEqual(answer.status, 204)
            self.assertEqual(answer["Allow"], "GET, HEAD, OPTIONS")
            self.assertIsNone(answer["Content-Length"])
            self.assertEqual(client.ask(get("/f")).body, BODY)

    def test_check_13_ranges(self):
        """A single range: 206 with Content-Range and that part alone."""
        for value, first, last in (("0-3", 0, 3), ("3-", 3, 99),
                                   ("-3", 97, 99), ("0-999", 0, 99)):
            answer = self.ask(get("/f", f"Range: bytes={value}"))
            self.assertEqual(answer.status, 206, value)
            self.assertEqual(answer["Content-Range"],
                             f"bytes {first}-{last}/100")
            self.assertEqual(answer.body, BODY[first:last + 1])
            self.assertIsNotNone(answer["ETag"])

    def test_check_13_range_of_a_large_file(self):
        """A range of a file that is sent from its descriptor."""
        body = (self.root / "large").read_bytes()
        answer = self.ask(get("/large", "Range: bytes=70000-99998"))
        self.assertEqual((answer.status, answer.body),
                         (206, body[70000:99999]))

    def test_check_14_unsatisfiable(self):
        """A range behind the end: 416 with the length."""
        for value in ("100-", "-0", "99999999999999999999-"):
            answer = self.assert_status(get("/f", f"Range: bytes={value}"), 416)
            self.assertEqual(answer["Content-Range"], "bytes */100")

    def test_check_15_range_units(self):
        """An unknown unit: 200; BYTES: 206; nonsense: 200 or 416."""
        self.assert_status(get("/f", "Range: lines=0-3"), 200)
        self.assert_status(get("/f", "Range: BYTES=0-3"), 206)
        for value in ("bytes=5-2", "bytes=abc", "bytes=-", "bytes"):
            self.assert_status(get("/f", f"Range: {value}"), 200, 416)

    def test_check_15_several_ranges_or_if_range(self):
        """Several ranges, several fields, and If-Range: the whole file."""
        for fields in (["Range: bytes=0-0,-1"],
                       ["Range: bytes=0-0", "Range: bytes=1-1"],
                       ["Range: bytes=0-0", 'If-Range: "x"']):
            answer = self.assert_status(get("/f", *fields), 200)
            self.assertEqual(answer.body, BODY)

    def test_check_18_head_with_range(self):
        """HEAD with Range: 200 and the full length."""
        answer = self.ask(get("/f", "Range: bytes=0-3", method="HEAD"), "HEAD")
        self.assertEqual((answer.status, answer["Content-Length"]),
                         (200, "100"))

    def test_check_21_empty_file_with_range(self):
        """A range of an empty file: 200 or 416, with length 0 or more."""
        for value in ("0-", "-5", "0-0"):
            answer = self.assert_status(get("/empty", f"Range: bytes={value}"),
                                        200, 416)
            self.assertGreaterEqual(int(answer["Content-Length"]), 0)

    def test_check_23_directory(self):
        """A directory without its slash: 301, relative, with the query."""
        answer = self.assert_status(get("/dir?x=1"), 301)
        self.assertEqual(answer["Location"], "/dir/?x=1")
        self.assertEqual(self.ask(get("/dir/?x=1")).body, b"<p>dir")
        self.assert_status(get("/bare/"), 404)
        self.assert_status(get("/f/"), 404)

    def test_check_23_no_location_names_a_host(self):
        """No request gets a Location that starts with two slashes."""
        for path in ("//dir", "///dir", "//dir//", "http://h//dir",
                     "/%2fdir", "//h/..;/dir", "/%5cdir", "//dir?//x"):
            answer = self.ask(get(path))
            location = answer["Location"] or "/"
            self.assertRegex(location, r"^/(?![/\\])", path)
        self.assertEqual(self.ask(get("//dir"))["Location"], "/dir/")

    def test_check_24_codes(self):
        """Broken %-codes and %00: 400; a code is decoded once."""
        for path in ("/%zz", "/%6", "/%00", "/f%"):
            self.assert_status(get(path), 400)
        self.assertEqual(self.ask(get("/%252e")).body, b"percent")
        self.assertEqual(self.ask(get("/sp%20ace")).body, b"space")

    def test_check_25_nothing_from_outside(self):
        """No path and no link leads out of the root."""
        for path in ("/../x", "/%2e%2e/x", "/..%2fx", "/dir/../f", "/leaves",
                     "/absolute", f"/../{self.root.name}-outside",
                     "/dir/..%2f..%2fetc/passwd", "/%2e%2e%2fetc/passwd"):
            answer = self.assert_status(get(path), 400, 404)
            self.assertNotIn(b"outside", answer.body)
        self.assertEqual(self.ask(get("/stays")).body, BODY)

    def test_check_26_dot_files(self):
        """Dot files: 404, but .well-known is served."""
        for path in ("/.git/config", "/.git", "/.git/", "/dir/.x"):
            self.assert_status(get(path), 404)
        self.assertEqual(self.ask(get("/.well-known/x")).body, b"known")

    def test_check_26_only_regular_files(self):
        """A FIFO, a socket: 404, at once."""
        for path in ("/fifo", "/socket"):
            start = time.monotonic()
            self.assert_status(get(path), 404)
            self.assertLess(time.monotonic() - start, 5)

    def test_check_27_field_syntax(self):
        """A space before the colon, a folded line, NUL, a bare CR: 400."""
        for field in (b"A : b", b"A: b\r\n c", b"A: b\0c", b"A: b\rc", b": b",
                      b"A", b" A: b", b"A\t: b"):
            self.assert_refused(
                b"GET /f HTTP/1.1\r\nHost: h\r\n" + field + b"\r\n\r\n", 400)

    def test_check_27_bare_line_feed(self):
        """A line that ends without CR: 400."""
        self.assert_refused(b"GET /f HTTP/1.1\nHost: h\n\n", 400)

    def test_check_28_framing(self):
        """Two lengths, broken lengths, unknown codings are refused."""
        chunked = "Transfer-Encoding: chunked"
        for fields, status in (
                (["Content-Length: 5", chunked], 400),
                (["Content-Length: 5", "Content-Length: 6"], 400),
                (["Content-Length: +5"], 400),
                (["Content-Length: 5, 6"], 400),
                (["Content-Length: 99999999999999999999999"], 400),
                (["Transfer-Encoding: br"], 501)):
            self.assert_refused(get("/f", *fields, method="POST"), status)

    def test_check_28_coding_in_http_1_0(self):
        """Transfer-Encoding in HTTP/1.0: the connection closes."""
        with Client(self.server) as client:
            client.send(get("/f", "Transfer-Encoding: chunked",
                            "Connection: keep-alive", version="1.0"))
            client.answer()
            self.assertTrue(client.is_closed())

    def test_check_29_body_of_a_get(self):
        """A body is skipped or the connection closes; it is no request."""
        inner = get("/page.html")
        for size in (len(inner), 70_000):
            body = inner + b"x" * (size - len(inner))
            with Client(self.server) as client:
                client.send(get("/f", f"Content-Length: {size}") + body +
                            get("/empty"))
                self.assertEqual(client.answer().body, BODY)
                second = client.answer()
                self.assertTrue(second is None or second.body == b"")

    def test_check_29_skipped_body_in_pieces(self):
        """A body of 60 KB in pieces is skipped, the next request answered."""
        with Client(self.server) as client:
            client.send(get("/f", "Content-Length: 60000"))
            self.assertEqual(client.answer().body, BODY)
            for _ in range(6):
                client.send(b"GET / HTTP" * 1000)
            self.assertEqual(client.ask(get("/f")).body, BODY)

    def test_check_29_chunked_body(self):
        """A chunked body: one answer, then the end."""
        inner = get("/page.html")
        with Client(self.server) as client:
            client.send(get("/f", "Transfer-Encoding: chunked") +
                        b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner))
            self.assertEqual(client.answer().body, BODY)
            self.assertTrue(client.is_closed())

    def pipeline(self, pieces):
        with Client(self.server) as client:
            for piece in pieces:
                client.send(piece)
            answers = [client.answer(), client.answer("HEAD"),
                       client.answer()]
            self.assertEqual([a.status for a in answers], [200, 200, 404])
            self.assertEqual(answers[0].body, BODY)
            self.assertEqual(answers[1].body, b"")
            self.assertEqual(answers[1]["Content-Length"], "7")

    def test_check_30_pipelining(self):
        """Three requests at once: three answers, in order."""
        self.pipeline([get("/f") + get("/page.html", method="HEAD") +
                       get("/no")])

    def test_check_30_many_pipelined_requests(self):
        """Two thousand requests in one stream: as many answers."""
        with Client(self.server) as client:
            client.send(get("/f") * 2000)
            for _ in range(2000):
                self.assertEqual(client.answer().body, BODY)

    def test_check_30_byte_by_byte(self):
        """The same answers when every byte comes alone."""
        stream = (get("/f") + get("/page.html", method="HEAD") + get("/no"))
        self.pipeline([bytes([b]) for b in stream])

    def test_check_30_every_split(self):
        """The same answer wherever a request is split in two."""
        stream = get("/f", "Range: bytes=3-9")
        with Client(self.server) as client:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(1, len(stream)):
                client.send(stream[:at])
                client.send(stream[at:])
                answer = client.answer()
                self.assertEqual((answer.status, answer.body),
                                 (206, BODY[3:10]), at)

    def test_check_31_leading_crlf(self):
        """Empty lines before a request are skipped."""
        with Client(self.server) as client:
            for _ in range(2):
                self.assertEqual(client.ask(b"\r\n\r\n" + get("/f")).body,
                                 BODY)

    def test_check_31_half_close(self):
        """A half-close behind a request still gets the whole answer."""
        for path in ("/f", "/large"):
            with Client(self.server) as client:
                client.send(get(path))
                client.socket.shutdown(socket.SHUT_WR)
                self.assertEqual(client.answer().body,
                                 (self.root / path[1:]).read_bytes())
                self.assertTrue(client.is_closed())

    def test_check_32_expect_on_what_is_refused(self):
        """Expect: 100-continue on what is refused: the status at once."""
        with Client(self.server) as client:
            answer = client.ask(get("/f", "Content-Length: 1000000",
                                    "Expect: 100-continue", method="POST"))
            self.assertEqual(answer.status, 405)
            self.assertEqual(answer["Connection"], "close")
            # What a hasty client sends all the same resets nothing.
            client.send(b"x" * 100_000)
            self.assertTrue(client.is_closed())

    def test_check_32_refused_upload_still_gets_its_answer(self):
        """A client that sends a body first and reads later gets the answer."""
        with Client(self.server) as client:
            client.send(get("/f", "Content-Length: 3000000", method="POST"))
            for _ in range(30):
                client.send(b"x" * 100_000)
            self.assertEqual(client.answer().status, 405)
            self.assertTrue(client.is_closed())

    def test_check_33_limits(self):
        """A target of 8 KiB is read, a longer one: 414; a head of 16 KiB: 431."""
        self.assert_status(get("/" + "a" * 8191), 404)
        self.assert_refused(get("/" + "a" * 8192), 414)
        self.assert_refused(get("/" + "a" * 100_000), 414)
        self.assert_status(get("/f", "A: " + "b" * 16_000), 200)
        self.assert_refused(get("/f", "A: " + "b" * 17_000), 431)
        self.assert_refused(get("/f", *["A: b"] * 4000), 431)

    def test_check_34_connection_close(self):
        """Connection: close is answered in kind, and the socket closes."""
        for path in ("/f", "/large", "/no"):
            with Client(self.server) as client:
                answer = client.ask(get(path, "Connection: close"))
                self.assertEqual(answer["Connection"], "close")
                self.assertTrue(client.is_closed())

    def test_error_page(self):
        """An error has a small HTML page that names it."""
        answer = self.ask(get("/no"))
        self.assertEqual(answer["Content-Type"], "text/html; charset=utf-8")
        self.assertIn(b"404 Not Found", answer.body)

    def test_errors_keep_the_connection(self):
        """A missing file does not cost the connection."""
        with Client(self.server) as client:
            self.assertEqual(client.ask(get("/no")).status, 404)
            self.assertEqual(client.ask(get("/f")).status, 200)

    def test_curl(self):
        """curl gets a file, its head, a range, and two files in a row."""
        url = self.server.url
        self.assertEqual(self.curl(f"{url}f").stdout, BODY)
        head = self.curl("--head", f"{url}f").stdout
        self.assertTrue(re.match(rb"HTTP/1.1 200 OK\r\n", head))
        self.assertEqual(self.curl("--range", "5-9", f"{url}f").stdout,
                         BODY[5:10])
        both = self.curl("-w", "%{num_connects}", f"{url}f", f"{url}f").stdout
        self.assertEqual(both, BODY + b"1" + BODY + b"0")

    def test_a_random_flood_of_bytes_harms_nobody(self):
        """Random bytes get 400 or an end, and the server lives."""
        for seed in range(50):
            noise = bytes((seed * 7 + i * i * 31) % 256 for i in range(400))
            with Client(self.server) as client:
                client.send(noise + b"\r\n\r\n")
                self.assertIn(client.answer().status, (400, 501, 505))
        self.assertEqual(self.ask(get("/f")).status, 200)


if __name__ == "__main__":
    unittest.main()
