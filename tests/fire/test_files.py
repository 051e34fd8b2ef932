"""What files do while they are served: change, shrink, and be very large."""

import hashlib
import os
import time
import unittest

from harness import Case, Client, SLOW, get, until

LARGE = 2 << 30
STRIDE = 64 << 20


def write_patterned(path, size):
    """A sparse file with a different mark every 64 MiB and at its end."""
    with open(path, "wb") as file:
        for at in range(0, size, STRIDE):
            file.seek(at)
            file.write(hashlib.sha256(str(at).encode()).digest() * 64)
        file.truncate(size)
        file.seek(size - 5)
        file.write(b"* end")


class Files(Case):
    @classmethod
    def fill(cls, root):
        (root / "small").write_text("one")
        (root / "middle").write_bytes(b"1" * 50_000)
        write_patterned(root / "huge", LARGE)

    def body(self, path):
        return self.ask(get(path)).body

    def assert_seen(self, path, body):
        """Within a second of the change, and a little for the test itself."""
        start = time.monotonic()
        until(lambda: self.body(path) == body, f"{path} is seen")
        self.assertLess(time.monotonic() - start, 1 + 1 * SLOW)

    def test_a_replaced_file_is_seen_within_a_second(self):
        """A small and a large file replaced by rename: seen in a second."""
        for name, old, new in (("small", b"one", b"two"),
                               ("middle", b"1" * 50_000, b"2" * 60_000)):
            path = self.root / name
            path.write_bytes(old)
            until(lambda: self.body(f"/{name}") == old, "the old one")
            (self.root / "new").write_bytes(new)
            os.rename(self.root / "new", path)
            self.assert_seen(f"/{name}", new)

    def test_a_file_changed_in_place_is_seen_within_a_second(self):
        """Three changes of the same length in a row are all seen."""
        path = self.root / "changing"
        for body in (b"aaaa", b"bbbb", b"cccc"):
            path.write_bytes(body)
            self.assert_seen("/changing", body)

    def test_a_new_and_a_removed_file_are_seen_within_a_second(self):
        """404, then the file, then 404 again."""
        path = self.root / "appears"
        self.assertEqual(self.ask(get("/appears")).status, 404)
        path.write_bytes(b"here")
        self.assert_seen("/appears", b"here")
        path.unlink()
        start = time.monotonic()
        until(lambda: self.ask(get("/appears")).status == 404, "it is gone")
        self.assertLess(time.monotonic() - start, 1 + 1 * SLOW)

    def test_the_entity_tag_changes_with_the_file(self):
        """Another ETag for another content of the same length."""
        path = self.root / "tagged"
        path.write_bytes(b"aaaa")
        first = self.ask(get("/tagged"))["ETag"]
        os.utime(path, ns=(1, os.stat(path).st_mtime_ns + 1))
        until(lambda: self.ask(get("/tagged"))["ETag"] != first, "a new ETag")

    def test_check_35_a_file_that_shrinks_while_it_is_sent(self):
        """The connection is aborted: cut short, never padded."""
        path = self.root / "shrinking"
        size = 64 << 20
        with open(path, "wb") as file:
            file.truncate(size)
        client = self.server.connect(receive_buffer=65536)
        self.addCleanup(client.close)
        client.sendall(get("/shrinking") + get("/small"))
        data = client.recv(65536)
        self.assertIn(b"Content-Length: %d\r\n" % size, data)
        os.truncate(path, 1 << 20)
        got = len(data)
        try:
            while data:
                data = client.recv(1 << 20)
                self.assertNotIn(b"HTTP/1.1", data)
                got += len(data)
        except ConnectionResetError:
            pass
        self.assertLess(got, size)
        self.assertEqual(self.ask(get("/middle")).status, 200)

    def test_two_gigabytes_whole(self):
        """2 GiB in one answer, compared by hash."""
        expected, got = hashlib.sha256(), hashlib.sha256()
        with open(self.root / "huge", "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                expected.update(block)
        client = self.server.connect(timeout=60)
        self.addCleanup(client.close)
        client.sendall(get("/huge", "Connection: close"))
        head, _, rest = self.read_head(client)
        self.assertIn(b"Content-Length: %d\r\n" % LARGE, head)
        got.update(rest)
        for block in iter(lambda: client.recv(1 << 20), b""):
            got.update(block)
        self.assertEqual(got.hexdigest(), expected.hexdigest())

    @staticmethod
    def read_head(client):
        data = b""
        while b"\r\n\r\n" not in data:
            data += client.recv(65536)
        return data.partition(b"\r\n\r\n")

    def test_two_gigabytes_by_ranges(self):
        """Ranges across every mark of 2 GiB, compared with the file."""
        with Client(self.server) as client, \
                open(self.root / "huge", "rb") as file:
            for at in [*range(0, LARGE, STRIDE), LARGE - 100_000]:
                first = max(at - 1000, 0)
                last = min(at + 200_000, LARGE) - 1
                answer = client.ask(get("/huge", f"Range: bytes={first}-{last}"))
                self.assertEqual(answer["Content-Range"],
                                 f"bytes {first}-{last}/{LARGE}")
                file.seek(first)
                self.assertEqual(answer.body, file.read(last - first + 1))

    def test_a_client_that_reads_one_byte_a_second(self):
        """It is served while it reads, and others beside it."""
        client = self.server.connect(receive_buffer=4096)
        self.addCleanup(client.close)
        client.sendall(get("/huge"))
        got = b""
        for second in range(3):
            start = time.monotonic()
            got += client.recv(1)
            self.assertEqual(self.body("/middle")[:1] in (b"1", b"2"), True)
            time.sleep(max(0, 1 - (time.monotonic() - start)))
        self.assertEqual(got, b"HTT")
        # It is still being served: the rest of the head and the body come.
        while len(got) < 100_000:
            data = client.recv(65536)
            self.assertTrue(data)
            got += data
        with open(self.root / "huge", "rb") as file:
            body = got.partition(b"\r\n\r\n")[2]
            self.assertEqual(body, file.read(len(body)))

    def test_more_files_than_the_cache_holds(self):
        """5,000 files, each right, with a bounded number of descriptors."""
        many = self.root / "many"
        many.mkdir()
        for number in range(5000):
            # Some above what is kept in memory: those hold descriptors.
            body = b"%d" % number
            (many / str(number)).write_bytes(
                body.ljust(20_000) if number % 2 else body)
        with Client(self.server) as client:
            for number in range(5000):
                answer = client.ask(get(f"/many/{number}"))
                self.assertEqual(answer.body.rstrip(), b"%d" % number)
        self.assertLess(self.server.descriptors(), 1300)

    def test_a_large_file_cut_to_a_small_one_between_requests(self):
        """The next request gets the new length, not an abort."""
        path = self.root / "cut"
        path.write_bytes(b"x" * 50_000)
        with Client(self.server) as client:
            self.assertEqual(len(client.ask(get("/cut")).body), 50_000)
            os.truncate(path, 30_000)
            self.assertEqual(len(client.ask(get("/cut")).body), 30_000)


if __name__ == "__main__":
    unittest.main()
