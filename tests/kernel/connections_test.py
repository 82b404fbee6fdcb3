# SPDX-License-Identifier: Apache-2.0
"""TCP connections that end in every way: the record has what the kernel told the program (TCP_INFO)."""

import os
import socket
import struct
import subprocess

import pytest

import trivet_harness as harness

# struct tcp_info (include/uapi/linux/tcp.h): offsets of what is compared.
TCPI_RTT, TCPI_TOTAL_RETRANS, TCPI_BYTES_RECEIVED, TCPI_BYTES_SENT, TCPI_BYTES_RETRANS = 68, 100, 128, 200, 208


def tcp_info(connection):
    told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    word = lambda at: struct.unpack_from("I", told, at)[0]  # noqa: E731
    long = lambda at: struct.unpack_from("Q", told, at)[0]  # noqa: E731
    return {"rtt_us": word(TCPI_RTT), "retransmits": word(TCPI_TOTAL_RETRANS),
            "received_bytes": long(TCPI_BYTES_RECEIVED),
            "sent_bytes": long(TCPI_BYTES_SENT) - long(TCPI_BYTES_RETRANS)}


@pytest.fixture(params=["127.0.0.1", "::1"])
def pair(request):
    """pair() -> a connected client and server."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.create_server((request.param, 0), family=family) as listener:
        def make():
            client = socket.create_connection(listener.getsockname()[:2])
            return client, listener.accept()[0]
        yield make


@pytest.fixture
def tracing(start):
    return start(plugins=["tracing"])


def ended(tracing, port, peer_port):
    """The record of the connection that had these ports, as its end at `port` saw it."""
    ask = (f"SELECT * FROM connections WHERE pid = {os.getpid()} AND local_port = {port} "
           f"AND peer_port = {peer_port}")
    harness.wait_until(lambda: tracing.query(ask), 10, f"the record of {port} to {peer_port}")
    rows = tracing.query(ask)
    assert len(rows) == 1, rows
    return rows[0]


def test_the_account_is_what_the_kernel_told_the_program(tracing, pair):
    client, server = pair()
    ports = client.getsockname()[1], server.getsockname()[1]
    for size in (1, 1000, 100_000):
        client.sendall(b"q" * size)
        got = 0
        while got < size:
            got += len(server.recv(65536))
        server.sendall(b"a" * 10)
        client.recv(10)
    told = tcp_info(client), tcp_info(server)
    client.close()
    assert server.recv(1) == b""
    server.close()
    for info, role, (here, there) in zip(told, ("client", "server"), (ports, ports[::-1])):
        record = ended(tracing, here, there)
        assert record["role"] == role and record["end"] == "closed"
        assert record["sent_bytes"] == info["sent_bytes"] == (101_001 if role == "client" else 30)
        assert record["received_bytes"] == info["received_bytes"] == (30 if role == "client" else 101_001)
        assert record["retransmits"] == info["retransmits"]
        # The last acknowledgements move it a little.
        assert 0 < record["rtt"] < 100 * 1000 * max(info["rtt_us"], 1)
        assert 0 < record["duration"] < 60e9


def test_each_end_of_a_connection_has_its_word(tracing, pair):
    def ends(client, server, end):
        # Whose a socket is says its first use.
        client.sendall(b"q")
        server.recv(1)
        ports = client.getsockname()[1], server.getsockname()[1]
        end(client, server)
        return ended(tracing, *ports)["end"], ended(tracing, *ports[::-1])["end"]

    def reset(client, server):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        server.close()

    def unread(client, server):
        server.sendall(b"nobody reads this")
        harness.wait_until(lambda: tcp_info(client)["received_bytes"] > 0, 5, "the bytes arrive")
        client.close()
        server.close()

    def orderly(client, server):
        server.close()
        client.close()

    assert ends(*pair(), reset) == ("aborted", "reset")
    assert ends(*pair(), unread) == ("aborted", "reset")
    assert ends(*pair(), orderly) == ("closed", "closed")


def test_a_connection_that_is_refused_has_a_record_too(tracing):
    port = harness.free_port()
    client = socket.socket()
    client.bind(("127.0.0.1", 0))
    own = client.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        client.connect(("127.0.0.1", port))
    client.close()
    record = ended(tracing, own, port)
    assert (record["role"], record["end"], record["sent_bytes"]) == ("client", "refused", 0)


def test_opened_and_closed_are_counted(tracing, pair):
    def counted(name, role):
        return tracing.metrics().sum(f"trivet_connections_{name}_total", role=role)

    before = {(n, r): counted(n, r) for n in ("opened", "closed") for r in ("client", "server")}
    for _ in range(50):
        for end in pair():
            end.close()
    for (name, role), count in before.items():
        harness.wait_until(lambda n=name, r=role, c=count: counted(n, r) >= c + 50, 10, f"{name}, {role}")


def test_retransmits_are_the_kernels(tracing, folder):
    """The link between two network namespaces is down for a while."""
    name = f"trivet-{os.getpid()}"

    def ip(*words):
        subprocess.run(["ip", *words], check=True, capture_output=True)

    def inside(*words):
        return ["ip", "netns", "exec", name, *words]

    ip("netns", "add", name)
    try:
        ip("link", "add", name[:15], "type", "veth", "peer", "name", "inside", "netns", name)
        ip("addr", "add", "10.213.0.1/30", "dev", name[:15])
        ip("link", "set", name[:15], "up")
        for words in (["addr", "add", "10.213.0.2/30", "dev", "inside"], ["link", "set", "inside", "up"]):
            ip("-n", name, *words)
        server = subprocess.Popen(inside("/usr/bin/python3", "-c", (
            "import socket\n"
            "l = socket.create_server(('10.213.0.2', 7777)); print('listens', flush=True)\n"
            "c = l.accept()[0]\n"
            "while c.recv(65536): pass\n")), stdout=subprocess.PIPE, text=True)
        assert server.stdout.readline() == "listens\n"
        client = socket.create_connection(("10.213.0.2", 7777))
        port = client.getsockname()[1]
        client.sendall(b"x" * 20_000)
        ip("-n", name, "link", "set", "inside", "down")
        client.sendall(b"x" * 20_000)
        harness.wait_until(lambda: tcp_info(client)["retransmits"] > 0, 10, "something is sent again")
        ip("-n", name, "link", "set", "inside", "up")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        told = tcp_info(client)
        client.close()
        assert server.wait(30 * harness.SCALE) == 0
        server.stdout.close()
    finally:
        ip("netns", "del", name)
    record = ended(tracing, port, 7777)
    assert record["retransmits"] == told["retransmits"] > 0
    assert record["sent_bytes"] == told["sent_bytes"] == 40_000
