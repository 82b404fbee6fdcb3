# SPDX-License-Identifier: Apache-2.0
"""Redis between real programs: what redis-server counts and redis-cli prints is what the table says."""

import collections
import re
import socket
import subprocess

import pytest

import trivet_harness as harness


class Redis:
    """Debian's redis-server on a free port, without persistence, in its own folder."""

    def __init__(self, folder):
        self.folder = folder / "redis"
        self.folder.mkdir()
        self.port = harness.free_port()
        self.path = self.folder / "socket"
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--unixsocket", str(self.path), "--appendonly", "no", "--dir", str(self.folder), "--daemonize", "no"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_until(self.answers, 10, "redis-server listens")

    def answers(self):
        return self.cli("PING", check=False).stdout == "PONG\n"

    def cli(self, *words, check=True, text=None):
        return subprocess.run(["redis-cli", "-p", str(self.port), *words], input=text, check=check,
                              stdin=subprocess.DEVNULL if text is None else None,
                              capture_output=True, text=True, timeout=60 * harness.SCALE)

    def calls(self):
        """What the server itself counted, by command."""
        said = self.cli("INFO", "commandstats").stdout
        return {name: int(calls) for name, calls in re.findall(r"cmdstat_(\S+):calls=(\d+)", said)}

    def close(self):
        harness.end_process(self.process)


@pytest.fixture
def redis(folder):
    server = Redis(folder)
    yield server
    server.close()


@pytest.fixture
def tracing(start):
    return start(plugins=["tracing"], changes={"records.max_rows": 200000,
                                               "records.max_bytes": 512 << 20})


@pytest.mark.parametrize("depth", [1, 16])
def test_the_server_counts_as_many_commands_as_there_are_records(tracing, redis, depth):
    said = subprocess.run(
        ["redis-benchmark", "-p", str(redis.port), "-n", "4800", "-c", "10", "-P", str(depth),
         "-r", "100000", "-t", "set,get", "--csv"],
        check=True, capture_output=True, text=True, timeout=120 * harness.SCALE).stdout
    assert '"GET"' in said
    calls = redis.calls()
    assert (calls["set"], calls["get"]) == (4800, 4800)
    rows = tracing.requests("redis_requests", redis.port, "command IN ('GET', 'SET')", 9600)
    for role, process in (("client", "redis-benchmark"), ("server", "redis-server")):
        told = [row for row in rows[role] if row["command"] in ("GET", "SET")]
        assert collections.Counter(row["command"] for row in told) == {"SET": 4800, "GET": 4800}
        assert {row["process"] for row in told} == {process}
        assert {(row["error"], row["status"]) for row in told} == {("", "")}
        assert {row["response"] for row in told if row["command"] == "SET"} == {"OK"}
        assert all(row["latency"] > 0 for row in told)
    metrics = tracing.metrics()
    for role in ("client", "server"):
        assert metrics.sum(f"db_{role}_operation_duration_seconds_count", db_system_name="redis",
                           db_operation_name="GET") == 4800


def test_each_reply_stands_with_its_command(tracing, redis):
    words = [f"SET key:{i} value:{i}\nGET key:{i}\n" for i in range(2000)]
    # redis-cli answers a pipe one by one; --pipe sends all that it has read.
    said = redis.cli(text="".join(words)).stdout.split()
    assert said == [word for i in range(2000) for word in ("OK", f"value:{i}")]
    asked = "".join(f"*2\r\n$3\r\nGET\r\n${len(f'key:{i}')}\r\nkey:{i}\r\n" for i in range(2000))
    assert "errors: 0, replies: 2000" in redis.cli("--pipe", text=asked).stdout
    rows = tracing.requests("redis_requests", redis.port, "command = 'GET'", 4000)
    for role in ("client", "server"):
        pairs = collections.Counter((row["arguments"][0], row["response"])
                                    for row in rows[role] if row["command"] == "GET")
        assert pairs == {(f"key:{i}", f"value:{i}"): 2 for i in range(2000)}


def test_errors_databases_secrets_and_large_values(tracing, redis):
    redis.cli("-n", "3", "LPUSH", "list", "a")
    assert "WRONGTYPE" in redis.cli("-n", "3", "GET", "list").stdout
    redis.cli("CONFIG", "SET", "requirepass", "s3cret-word")
    redis.cli("-a", "s3cret-word", "--no-auth-warning", "SET", "large", "v" * 100000)
    assert len(redis.cli("-a", "s3cret-word", "--no-auth-warning", "GET", "large").stdout) == 100001
    rows = tracing.requests("redis_requests", redis.port, "command = 'GET' AND response_bytes > 99999", 1)
    for role in ("client", "server"):
        by = {(row["command"], *row["arguments"][:1]): row for row in rows[role]}
        assert by["GET", "list"]["status"] == "WRONGTYPE"
        assert by["GET", "list"]["database"] == 3
        assert by["GET", "large"]["response_bytes"] == 100000 + len("$100000\r\n\r\n")
        assert by["GET", "large"]["response"] == "v" * 4096
        assert by["GET", "large"]["response_truncated"]
        assert ("AUTH", "<redacted>") in by
        assert "s3cret-word" not in str(rows[role])


@pytest.mark.parametrize("version", ["2", "3"])
def test_published_messages_are_pushes(tracing, redis, version):
    with socket.create_connection(("127.0.0.1", redis.port)) as client:
        client.settimeout(10 * harness.SCALE)
        client.sendall(f"*2\r\n$5\r\nHELLO\r\n$1\r\n{version}\r\n".encode())
        client.recv(65536)
        client.sendall(b"*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n$1\r\nb\r\n")
        harness.wait_until(lambda: redis.cli("PUBSUB", "NUMSUB", "b").stdout == "b\n1\n", 5, "subscribed")
        for i in range(100):
            redis.cli("PUBLISH", "b", f"message {i}")
        got = b""
        while b"message 99" not in got:
            got += client.recv(65536)
        client.sendall(b"*1\r\n$4\r\nPING\r\n")
        client.recv(65536)
    rows = tracing.requests("redis_requests", redis.port, "response = '[pong, ]' OR response = 'PONG'", 1)
    for role in ("client", "server"):
        pushed = [row["response"] for row in rows[role] if row["command"] == "PUSH"]
        assert pushed == [f"[message, b, message {i}]" for i in range(100)]
        assert not [row for row in rows[role] if row["error"]]
