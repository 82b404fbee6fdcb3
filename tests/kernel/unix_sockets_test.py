# SPDX-License-Identifier: Apache-2.0
"""Unix stream sockets, where they are asked for: what servers count over theirs is what the tables say."""

import collections
import hashlib
import http.server
import os
import socketserver
import subprocess
import threading

import pytest

import redis_test
import trivet_harness as harness
from postgresql_test import postgresql  # noqa: F401, a fixture

WANTED = {"tracing.unix_sockets": True, "records.max_rows": 200000, "records.max_bytes": 512 << 20}


@pytest.fixture
def redis(folder):
    server = redis_test.Redis(folder)
    yield server
    server.close()


def told(tracing, table, column, values, count):
    """The rows without addresses with these values, by role, once there are as many of each."""
    matching = f"{column} IN ({', '.join(repr(value) for value in values)})"
    about = f"local_port = 0 AND peer_port = 0 AND ({matching})"

    def enough():
        rows = tracing.query(f"SELECT role, count(*) AS n FROM {table} WHERE {about} GROUP BY role")
        return {row["role"]: row["n"] for row in rows if row["n"] >= count}.keys() == {"client", "server"}

    harness.wait_until(enough, 20, f"{count} rows of {table} with {matching} for each role")
    rows = [row for row in tracing.rows(table)
            if (row["local_port"], row["peer_port"]) == (0, 0) and row[column] in values]
    return {role: [row for row in rows if row["role"] == role] for role in ("client", "server")}


@pytest.mark.parametrize("depth", [1, 16])
def test_redis_counts_as_many_commands_as_there_are_records(start, redis, depth):
    tracing = start(plugins=["tracing"], changes=WANTED)
    before = redis.calls()
    done = subprocess.run(["redis-benchmark", "-s", str(redis.path), "-t", "set,get", "-n", "4000", "-c", "4",
                           "-P", str(depth), "-d", "100", "-q"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=True, timeout=60 * harness.SCALE)
    assert "GET" in done.stdout
    calls = redis.calls()
    counted = {name.upper(): calls[name] - before.get(name, 0) for name in ("get", "set")}
    assert counted == {"GET": 4000, "SET": 4000}
    rows = told(tracing, "redis_requests", "command", ("GET", "SET"), 8000)
    for role, process in (("client", "redis-benchmark"), ("server", "redis-server")):
        assert collections.Counter(row["command"] for row in rows[role]) == counted
        assert {row["process"] for row in rows[role]} == {process}
        assert {(row["error"], row["assumed"]) for row in rows[role]} == {("", False)}
        assert {row["peer_address"] for row in rows[role]} == {None}


def test_psql_and_pgbench_over_the_socket_of_postgresql(start, postgresql):  # noqa: F811
    tracing = start(plugins=["tracing"], changes=WANTED)
    own = ["-h", str(postgresql.data), "-p", str(postgresql.port), "-U", "postgres"]
    asked = "".join(f"SELECT {i} AS one;\n" for i in range(200))
    asked += "SELECT repeat('x', 1000) AS many FROM generate_series(1, 3000);\n"
    said = subprocess.run(["psql", "-X", "-q", "-A", "-t", *own, "-d", "postgres"], input=asked, check=True,
                          capture_output=True, text=True, timeout=60 * harness.SCALE).stdout
    assert said == "".join(f"{i}\n" for i in range(200)) + 3000 * ("x" * 1000 + "\n")
    rows = told(tracing, "postgresql_requests", "operation", ("SELECT",), 201)
    for role, process in (("client", "psql"), ("server", "postgres")):
        assert {row["process"] for row in rows[role]} == {process}
        assert {(row["error"], row["assumed"]) for row in rows[role]} == {("", False)}
        assert [row["query"] for row in rows[role]][:200] == [f"SELECT {i} AS one;" for i in range(200)]
        assert [row["rows"] for row in rows[role]] == 200 * [1] + [3000]


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers a POST with its body, in chunks of a few KiB."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, len(body), 5000):
            piece = body[at:at + 5000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def test_bodies_over_a_unix_socket_are_whole(start, folder):
    tracing = start(plugins=["tracing"], changes={**WANTED, "tracing.http.body_limit": 4 << 20})
    content = os.urandom(3 << 19).hex()
    (folder / "content").write_text(content)
    with UnixServer(str(folder / "socket"), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for _ in range(3):
            said = subprocess.run(["curl", "-s", "--unix-socket", folder / "socket", "--data-binary",
                                   f"@{folder / 'content'}", "http://over.unix/echo"], check=True,
                                  capture_output=True, timeout=60 * harness.SCALE).stdout
            assert said.decode() == content
        rows = told(tracing, "http_requests", "host", ("over.unix",), 3)
        server.shutdown()
    digest = hashlib.sha256(content.encode()).hexdigest()
    for role in ("client", "server"):
        assert {(row["error"], row["assumed"]) for row in rows[role]} == {("", False)}
        assert {hashlib.sha256(row[body].encode()).hexdigest() for row in rows[role]
                for body in ("request_body", "response_body")} == {digest}
    assert {row["process"] for row in rows["client"]} == {"curl"}
    assert {row["pid"] for row in rows["server"]} == {os.getpid()}


def test_nobody_asked_for_them(start, redis):
    tracing = start(plugins=["tracing"])
    subprocess.run(["redis-cli", "-s", str(redis.path), "SET", "quiet", "1"], check=True,
                   stdin=subprocess.DEVNULL, capture_output=True, timeout=60 * harness.SCALE)
    redis.cli("SET", "loud", "1")
    harness.wait_until(lambda: tracing.query("SELECT * FROM redis_requests WHERE command = 'SET'"), 10,
                       "what was said over TCP")
    assert not tracing.query("SELECT * FROM redis_requests WHERE local_port = 0")
