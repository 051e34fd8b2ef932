"""The example echoes on a hundred connections, split at odd places."""

import os
import socket
import subprocess
import sys
import unittest


class Echo(unittest.TestCase):
    def test_echo_on_a_hundred_connections(self):
        with subprocess.Popen([os.environ["ECHO"]], stdout=subprocess.PIPE) as server:
            try:
                port = int(server.stdout.readline())
                clients = [socket.create_connection(("127.0.0.1", port), 20)
                           for _ in range(100)]
                data = bytes(i % 251 for i in range(10007))
                for client in clients:
                    client.sendall(data[:1])
                for client in clients:
                    client.sendall(data[1:])
                for client in clients:
                    got = b""
                    while len(got) < len(data):
                        part = client.recv(65536)
                        self.assertTrue(part)
                        got += part
                    self.assertEqual(got, data)
                    client.shutdown(socket.SHUT_WR)
                    self.assertEqual(client.recv(1), b"")
                    client.close()
            finally:
                server.terminate()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
