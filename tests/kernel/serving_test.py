# SPDX-License-Identifier: Apache-2.0
"""Ways to serve: io_uring, processes and threads that share a listener, descriptors that are passed on,
sendfile. Each answer names the process that gave it; so must its record."""

import contextlib
import hashlib
import http.client
import os
import pathlib
import subprocess
import sys

import pytest

import trivet_harness as harness

URING = pathlib.Path(__file__).with_name("uring_http.c")


@pytest.fixture
def tracing(start):
    return start(plugins=["tracing"], changes={"records.max_rows": 100000})


@contextlib.contextmanager
def running(*command):
    """A server that says when it is ready."""
    process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        harness.end_process(process)
        process.stdin.close()
        process.stdout.close()


@pytest.mark.parametrize("mode", ["task", "worker", "poll"])
def test_a_server_and_a_client_of_io_uring(tracing, folder, mode):
    if pathlib.Path("/proc/sys/kernel/io_uring_disabled").exists() and \
            pathlib.Path("/proc/sys/kernel/io_uring_disabled").read_text().strip() != "0":
        pytest.skip("io_uring is off on this host")
    for name in ("uring_server", "uring_client"):
        built = subprocess.run(["gcc", "-O1", "-o", folder / name, URING, "-luring"],
                               capture_output=True, text=True, check=False)
        if built.returncode:
            pytest.skip(f"there is no liburing to build with: {built.stderr[:200]}")
    port = harness.free_port()
    # A thread that polls takes a whole CPU, at each end.
    count, clients = (20, 1) if mode == "poll" else (300, 3)
    with running(folder / "uring_server", "server", port, mode) as server:
        asking = [subprocess.Popen([folder / "uring_client", "client", str(port), str(count), mode])
                  for _ in range(clients)]
        assert [each.wait(60 * harness.SCALE) for each in asking] == [0] * clients
        rows = tracing.requests("http_requests", port, "status = 200", count * clients)
    for role, name in (("server", "uring_server"), ("client", "uring_client")):
        assert {row["process"] for row in rows[role]} == {name}
        assert {(row["error"], row["assumed"]) for row in rows[role]} == {("", False)}
        assert all(row["path"] == row["response_body"] for row in rows[role])
        assert sorted(row["path"] for row in rows[role]) == sorted(
            clients * [f"/{i}" for i in range(1, count + 1)])
    assert {row["pid"] for row in rows["server"]} == {server.pid}
    assert {row["pid"] for row in rows["client"]} == {each.pid for each in asking}


SERVER = r"""
import os, socket, sys, threading
mode, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
listener = socket.create_server(("127.0.0.1", port), backlog=128)

def serve(connection):
    with connection, connection.makefile("rb") as lines:
        while line := lines.readline():
            while lines.readline() != b"\r\n":
                pass
            if mode == "sendfile":
                with open(path, "rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
                    connection.sendfile(file)
            else:
                body = b"%d" % os.getpid()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

def accept():
    while True:
        serve(listener.accept()[0])

def accept_for_another(channel):
    while True:
        connection = listener.accept()[0]
        socket.send_fds(channel, [b"."], [connection.fileno()])
        connection.close()

children = []
if mode in ("forked", "each_forks"):
    if mode == "forked":
        for _ in range(3):
            child = os.fork()
            if child == 0:
                accept()
            children.append(child)
    else:
        def accept_and_fork():
            while True:
                connection = listener.accept()[0]
                if os.fork() == 0:
                    serve(connection)
                    os._exit(0)
                connection.close()
        threading.Thread(target=accept_and_fork, daemon=True).start()
elif mode == "passed":
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        while True:
            serve(socket.socket(fileno=socket.recv_fds(theirs, 1, 1)[1][0]))
    children.append(child)
    threading.Thread(target=accept_for_another, args=(ours,), daemon=True).start()
else:
    for _ in range(3):
        threading.Thread(target=accept, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
for child in children:
    os.kill(child, 9)
"""


@contextlib.contextmanager
def python_server(mode, path=""):
    port = harness.free_port()
    with running(sys.executable, "-c", SERVER, mode, port, path) as process:
        yield process, port
        process.stdin.close()
        process.wait(10 * harness.SCALE)


@pytest.mark.parametrize("mode", ["forked", "each_forks", "passed", "threaded"])
def test_the_process_of_a_record_is_the_one_that_answered(tracing, mode):
    with python_server(mode) as (server, port):
        for _ in range(20):
            client = http.client.HTTPConnection("127.0.0.1", port)
            for i in range(5):
                client.request("GET", f"/{i}")
                assert client.getresponse().read().isdigit()
            client.close()
        rows = tracing.requests("http_requests", port, "status = 200", 100)
    answered = {row["response_body"] for row in rows["server"]}
    assert {int(row["response_body"]) == row["pid"] for row in rows["server"]} == {True}
    assert (str(server.pid) in answered) == (mode == "threaded")
    assert {row["pid"] for row in rows["client"]} == {os.getpid()}
    assert {row["error"] for role in rows for row in rows[role]} == {""}


def test_a_file_that_the_kernel_sends_is_told_as_any_body(start, folder):
    tracing = start(plugins=["tracing"], changes={"tracing.http.body_limit": 4 << 20})
    content = os.urandom(3 << 19).hex().encode()
    (folder / "file").write_bytes(content)
    with python_server("sendfile", folder / "file") as (_, port):
        client = http.client.HTTPConnection("127.0.0.1", port)
        for i in range(3):
            client.request("GET", f"/{i}")
            assert client.getresponse().read() == content
        client.close()
        rows = tracing.requests("http_requests", port, "status = 200", 3)
    for role in rows:
        assert {(row["error"], row["response_body_bytes"], hashlib.sha256(row["response_body"].encode()).digest())
                for row in rows[role]} == {("", len(content), hashlib.sha256(content).digest())}


def test_requests_of_a_connection_that_was_there_before_say_so(start):
    with python_server("threaded") as (_, port):
        before = http.client.HTTPConnection("127.0.0.1", port)

        def ask(client, path):
            client.request("GET", path)
            client.getresponse().read()

        for i in range(3):
            ask(before, f"/unseen/{i}")
        tracing = start(plugins=["tracing"])
        after = http.client.HTTPConnection("127.0.0.1", port)
        for i in range(100):
            ask(before, f"/before/{i}")
            ask(after, f"/after/{i}")
        before.close()
        after.close()
        rows = tracing.requests("http_requests", port, "status = 200", 199)
    for role in ("client", "server"):
        told = [(row["path"], row["assumed"]) for row in rows[role]]
        assert [(f"/after/{i}", False) for i in range(100)] == [each for each in told if "after" in each[0]]
        assert len([each for each in told if each[1] and "before" in each[0]]) >= 99
        assert not [each for each in told if "unseen" in each[0]]
