# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.x between real programs: what nginx was asked and answered is what the table says, exactly."""

import collections
import http.client
import os
import socket
import struct
import subprocess
import threading

import pytest

import trivet_harness as harness

STATUS = {"ok": 200, "missing": 404, "moved": 301, "denied": 403}


@pytest.fixture
def tracing(start):
    return start(plugins=["tracing"], changes={"records.max_rows": 100000})


def paths(count):
    kinds = list(STATUS)
    return [f"/{kinds[i % len(kinds)]}/{i}" for i in range(count)]


def h2load(nginx, folder, urls, *arguments):
    """Asks for `urls` by keep-alive HTTP/1.1 connections; every request must have been answered."""
    listed = folder / "urls.txt"
    listed.write_text("".join(f"{nginx.url}{path}\n" for path in urls))
    done = subprocess.run(["h2load", "--h1", "-i", str(listed), *map(str, arguments)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120 * harness.SCALE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def requests_of(tracing, nginx, expected):
    """The rows about this nginx by role, once there are `expected` of each."""
    def ask():
        rows = collections.defaultdict(list)
        for row in tracing.rows("requests"):
            port = row["local_port"] if row["role"] == "server" else row["peer_port"]
            if port == nginx.port:
                rows[row["role"]].append(row)
        return rows if min(len(rows["client"]), len(rows["server"])) >= expected else None

    return harness.wait_until(ask, 15, f"{expected} requests of each role")


def test_ten_thousand_distinct_requests_are_ten_thousand_records_on_each_side(tracing, nginx, folder):
    asked = paths(10000)
    said = h2load(nginx, folder, asked, "-n", 10000, "-c", 1)
    assert "10000 done" in said
    rows = requests_of(tracing, nginx, 10000)
    for role, process in (("client", "h2load"), ("server", "nginx")):
        assert len(rows[role]) == 10000
        assert collections.Counter(r["path"] for r in rows[role]) == collections.Counter(asked)
        wrong = [r for r in rows[role] if r["status"] != STATUS[r["path"].split("/")[1]]]
        assert wrong == []
        assert {r["process"] for r in rows[role]} == {process}
        assert {r["method"] for r in rows[role]} == {"GET"}
        assert not [r for r in rows[role] if r["error"]]
        assert all(r["latency"] > 0 for r in rows[role])
    metrics = tracing.metrics()
    for role in ("client", "server"):
        name = f"http_{role}_request_duration_seconds_count"
        assert metrics.sum(name) == 10000, name
        assert metrics.sum(name, http_response_status_code="404") == 2500


def test_twenty_connections_at_once_are_told_apart(tracing, nginx, folder):
    h2load(nginx, folder, paths(500), "-n", 10000, "-c", 20)
    rows = requests_of(tracing, nginx, 10000)
    for role in ("client", "server"):
        assert len(rows[role]) == 10000
        counts = collections.Counter((r["path"], r["status"]) for r in rows[role])
        assert counts == {(path, STATUS[path.split("/")[1]]): 20 for path in paths(500)}


def test_pipelined_requests_keep_their_answers(tracing, nginx, folder):
    h2load(nginx, folder, paths(1000), "-n", 1000, "-c", 1, "-m", 16)
    rows = requests_of(tracing, nginx, 1000)
    for role in ("client", "server"):
        assert collections.Counter((r["path"], r["status"]) for r in rows[role]) == collections.Counter(
            (path, STATUS[path.split("/")[1]]) for path in paths(1000))


def test_curl_is_seen_with_its_headers_query_and_sizes(tracing, nginx):
    subprocess.run(["curl", "-sS", "-o", "/dev/null", "-A", "tester/1", "-H", "X-Number: 7",
                    f"{nginx.url}/ok/page?q=1&r=two"], check=True)
    rows = requests_of(tracing, nginx, 1)
    for role, process in (("client", "curl"), ("server", "nginx")):
        row = rows[role][0]
        assert (row["process"], row["method"], row["path"], row["query"]) == (
            process, "GET", "/ok/page", "q=1&r=two")
        assert row["version"] == "1.1"
        assert (row["status"], row["status_message"]) == (200, "OK")
        assert row["user_agent"] == "tester/1"
        assert row["host"] == f"127.0.0.1:{nginx.port}"
        assert row["request_headers"]["x-number"] == "7"
        assert row["response_headers"]["server"].startswith("nginx/")
        assert (row["response_body"], row["response_body_bytes"]) == ("here\n", 5)
        assert not row["response_body_truncated"]


@pytest.mark.parametrize("size", [0, 1, 1000, 65536, 65537, 1000000])
def test_a_body_is_whole_up_to_the_limit_and_its_size_always(tracing, nginx, size):
    content = "".join(chr(97 + i % 26) for i in range(size))
    (nginx.prefix / "files/body").write_text(content)
    got = subprocess.run(["curl", "-sS", f"{nginx.url}/files/body"], check=True, capture_output=True)
    assert got.stdout.decode() == content
    rows = requests_of(tracing, nginx, 1)
    for role in ("client", "server"):
        row = rows[role][0]
        assert row["response_body_bytes"] == size, role
        assert row["response_body"] == content[:65536], role
        assert row["response_body_truncated"] == (size > 65536), role


class Scripted:
    """A server that answers each request head with given bytes, in the pieces given; of `connections`
    connections, one after the other. `ending` is done to each at its end."""

    def __init__(self, pieces, connections=1, ending=lambda connection: None, protocol=0):
        self.pieces, self.connections, self.ending = pieces, connections, ending
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        for _ in range(self.connections):
            connection, _ = self.listener.accept()
            with connection:
                request = b""
                while b"\r\n\r\n" not in request.lstrip(b"\r\n"):
                    request += connection.recv(65536)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for piece in self.pieces:
                    connection.sendall(piece)
                self.ending(connection)

    def close(self):
        self.thread.join(10)
        self.listener.close()


def exchange(port, request, protocol=0):
    """Sends bytes on a connection of its own; what came back until it ended."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol) as client:
        client.settimeout(10 * harness.SCALE)
        client.connect(("127.0.0.1", port))
        client.sendall(request)
        answer = b""
        while True:
            try:
                piece = client.recv(1 << 20)
            except ConnectionResetError:
                return answer
            if not piece:
                return answer
            answer += piece


@pytest.mark.parametrize("mebibytes", [2])
def test_a_large_chunked_response_on_a_fresh_connection_is_whole(tracing, mebibytes):
    size = mebibytes << 20
    chunk = b"4000\r\n" + b"x" * 16384 + b"\r\n"
    server = Scripted([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                       *[chunk] * (size // 16384), b"0\r\n\r\n"], connections=20)
    for _ in range(20):
        got = subprocess.run(["curl", "-sS", f"http://127.0.0.1:{server.port}/"], check=True,
                             capture_output=True)
        assert len(got.stdout) == size
    server.close()
    rows = requests_of(tracing, server, 20)
    metrics = tracing.metrics()
    dropped = (metrics.sum("trivet_events_dropped_total", lane="bulk") +
               metrics.sum("trivet_queue_dropped_events_total", lane="bulk"))
    for role in ("client", "server"):
        told = collections.Counter((r["response_body_bytes"], r["error"]) for r in rows[role])
        # The lane is smaller than what a loaded host may send before the reader runs: counted then.
        assert told[(size, "")] >= (20 if dropped == 0 else 15), (role, told)
        assert all(error for bytes_, error in told if bytes_ != size), (role, told)


def test_what_a_lenient_server_answers_is_seen(tracing, nginx):
    asked = {b"\r\nGET /ok/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n": ("/ok/1", 200, ""),
             b"GET /ok/2  HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n": ("/ok/2", 200, ""),
             b"POST /ok/3 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
             b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n": ("/ok/3", 400, "malformed")}
    for request, (_, status, _) in asked.items():
        assert exchange(nginx.port, request).startswith(f"HTTP/1.1 {status}".encode())
    rows = requests_of(tracing, nginx, 3)
    for role in ("client", "server"):
        assert collections.Counter((r["path"], r["status"], r["error"]) for r in rows[role]) == (
            collections.Counter(asked.values())), role


def test_a_reset_within_an_answer_is_told(tracing):
    def reset(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    server = Scripted([b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"], ending=reset)
    exchange(server.port, b"GET /reset HTTP/1.1\r\nHost: a\r\n\r\n")
    server.close()
    rows = requests_of(tracing, server, 1)
    # The end that resets has closed its socket before the RST leaves.
    for role, error in (("client", "reset"), ("server", "truncated")):
        assert [(r["path"], r["status"], r["error"], r["response_body_bytes"]) for r in rows[role]] == [
            ("/reset", 200, error, 4)]


def test_an_upgrade_is_one_record_and_what_follows_is_none(tracing):
    server = Scripted([b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                       b"Upgrade: websocket\r\n\r\n", b"\x81\x05hello", b"GET / HTTP/1.1\r\n\r\n"])
    exchange(server.port, b"GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                          b"Upgrade: websocket\r\n\r\n")
    server.close()
    rows = requests_of(tracing, server, 1)
    for role in ("client", "server"):
        assert [(r["path"], r["status"], r["error"]) for r in rows[role]] == [("/socket", 101, "")]


@pytest.mark.parametrize("framing", ["Content-Length: 3000000", "Transfer-Encoding: chunked"])
def test_an_upload_that_waits_for_100_continue_is_one_exchange(tracing, nginx, folder, framing):
    (folder / "upload").write_bytes(b"u" * 3000000)
    got = subprocess.run(
        ["curl", "-sS", "-T", str(folder / "upload"), "-H", "Expect: 100-continue", "-H", framing,
         f"{nginx.url}/upload/file"], check=True, capture_output=True, text=True)
    assert got.stderr == ""
    rows = requests_of(tracing, nginx, 1)
    for role in ("client", "server"):
        assert [(r["method"], r["status"], r["error"], r["request_body_bytes"]) for r in rows[role]] == [
            ("PUT", 201, "", 3000000)]


def test_an_answer_to_head_has_no_body(tracing, nginx):
    (nginx.prefix / "files/body").write_text("b" * 5000)
    subprocess.run(["curl", "-sS", "--head", f"{nginx.url}/files/body", "--next", "-sS", "-o", "/dev/null",
                    f"{nginx.url}/files/body"], check=True, capture_output=True)
    rows = requests_of(tracing, nginx, 2)
    for role in ("client", "server"):
        assert sorted((r["method"], r["status"], r["response_body_bytes"], r["error"])
                      for r in rows[role]) == [("GET", 200, 5000, ""), ("HEAD", 200, 0, "")]


def test_multipath_tcp_names_its_processes(tracing):
    try:
        server = Scripted([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"],
                          protocol=socket.IPPROTO_MPTCP)
    except OSError:
        pytest.skip("this kernel has no MPTCP")
    exchange(server.port, b"GET /paths HTTP/1.1\r\nHost: a\r\n\r\n", socket.IPPROTO_MPTCP)
    server.close()
    rows = requests_of(tracing, server, 1)
    for role in ("client", "server"):
        assert [(r["path"], r["status"], r["pid"]) for r in rows[role]] == [("/paths", 200, os.getpid())]


def test_a_chunked_body_is_told_without_its_framing(tracing):
    server = Scripted([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", b"lo\r\n",
                       b"7;name=value\r\n, world\r", b"\n0\r\nTrailer: yes\r\n\r\n"])
    client = http.client.HTTPConnection("127.0.0.1", server.port)
    client.request("GET", "/chunked")
    assert client.getresponse().read() == b"hello, world"
    client.close()
    server.close()
    rows = requests_of(tracing, server, 1)
    for role in ("client", "server"):
        row = rows[role][0]
        assert (row["response_body"], row["response_body_bytes"], row["error"]) == ("hello, world", 12, "")


def test_bytes_that_are_no_http_make_no_record_and_harm_nothing(tracing, nginx, folder):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for noise in (b"\x00\x01\x02" * 4000, b"SSH-2.0-test\r\n", b"GET " + b"A" * 100000, b"HTTP/1.1 \r\n"):
            with socket.create_connection(listener.getsockname()) as client:
                peer, _ = listener.accept()
                with peer:
                    client.sendall(noise)
                    client.shutdown(socket.SHUT_WR)
                    while peer.recv(65536):
                        pass
    h2load(nginx, folder, paths(8), "-n", 8, "-c", 1)
    rows = requests_of(tracing, nginx, 8)
    assert len(rows["server"]) == 8
