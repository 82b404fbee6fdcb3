# SPDX-License-Identifier: Apache-2.0
"""DNS between real programs: what dig prints and dnsmasq logs is what the table says."""

import collections
import re
import socket
import subprocess

import pytest

import trivet_harness as harness


class Dnsmasq:
    """Debian's dnsmasq on a free port, with names of its own and no upstream."""

    def __init__(self, folder):
        self.port = harness.free_port()
        self.log = folder / "dnsmasq.log"
        self.process = subprocess.Popen(
            ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
             "--user=root", "--pid-file=", f"--port={self.port}", "--listen-address=127.0.0.1",
             "--listen-address=::1", "--bind-interfaces", "--log-queries", f"--log-facility={self.log}",
             "--local=/test/", "--cname=alias.test,web.test", "--host-record=web.test,192.0.2.7,2001:db8::7",
             "--mx-host=web.test,mail.test,10", "--txt-record=text.test,hello",
             *[f"--host-record=n{i}.test,192.0.2.{i % 250}" for i in range(500)]],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_until(self.listens, 10, "dnsmasq listens")

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def dig(self, *words, at="127.0.0.1"):
        return subprocess.run(["dig", f"@{at}", "-p", str(self.port), "+tries=1", *words], check=True,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60 * harness.SCALE).stdout

    def queries(self):
        return len(re.findall(r" query\[", self.log.read_text()))

    def close(self):
        harness.end_process(self.process)


@pytest.fixture
def dnsmasq(folder):
    server = Dnsmasq(folder)
    yield server
    server.close()


@pytest.fixture
def tracing(start):
    return start(plugins=["tracing"])


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("at", ["127.0.0.1", "::1"])
def test_each_query_of_dig_is_a_record_at_each_end(tracing, dnsmasq, transport, at):
    options = ["+tcp"] if transport == "tcp" else ["+notcp"]
    assert dnsmasq.dig(*options, "+short", "alias.test", at=at) == "web.test.\n192.0.2.7\n"
    assert dnsmasq.dig(*options, "+short", "web.test", "AAAA", at=at) == "2001:db8::7\n"
    assert dnsmasq.dig(*options, "+short", "text.test", "TXT", at=at) == '"hello"\n'
    assert "NXDOMAIN" in dnsmasq.dig(*options, "nowhere.test", at=at)
    rows = tracing.requests("dns_requests", dnsmasq.port, "true", 4)
    assert dnsmasq.queries() == 4
    for role, process in (("client", "dig"), ("server", "dnsmasq")):
        told = {(row["question_name"], row["question_type"]): row for row in rows[role]}
        assert len(told) == len(rows[role]) == 4
        assert told["alias.test", "A"]["answers"] == ["CNAME web.test", "A 192.0.2.7"]
        assert told["web.test", "AAAA"]["answers"] == ["AAAA 2001:db8::7"]
        assert told["text.test", "TXT"]["answers"] == ['TXT "hello"']
        assert told["nowhere.test", "A"]["response_code"] == "NXDOMAIN"
        assert {row["transport"] for row in rows[role]} == {transport}
        assert {row["error"] for row in rows[role]} == {""}
        assert {row["process"] for row in rows[role]} == {process}
        assert {row["peer_address" if role == "client" else "local_address"]
                for row in rows[role]} == {at}
    assert tracing.metrics().sum("dns_lookup_duration_seconds_count", dns_question_type="A",
                                 dns_response_code="NOERROR") == 1


def test_many_queries_in_flight_keep_their_answers(tracing, dnsmasq, folder):
    listed = folder / "queries"
    listed.write_text("".join(f"n{i % 500}.test A\n" for i in range(2000)))
    said = dnsmasq.dig("-f", str(listed), "+noall", "+answer", "+noedns")
    assert len(said.splitlines()) == 2000
    rows = tracing.requests("dns_requests", dnsmasq.port, "true", 2000)
    assert dnsmasq.queries() == 2000
    for role in ("client", "server"):
        pairs = collections.Counter((row["question_name"], *row["answers"]) for row in rows[role])
        assert pairs == {(f"n{i}.test", f"A 192.0.2.{i % 250}"): 4 for i in range(500)}


def test_a_query_that_nobody_answers_times_out(tracing):
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    subprocess.run(["dig", "@127.0.0.1", "-p", str(silent.getsockname()[1]), "+tries=1", "+timeout=1",
                    "lost.test"], check=False, capture_output=True)
    rows = harness.wait_until(lambda: tracing.query(
        "SELECT role, error, latency FROM dns_requests WHERE question_name = 'lost.test'"), 20,
        "the time-out")
    silent.close()
    assert {row["error"] for row in rows} == {"timeout"}
    assert "client" in {row["role"] for row in rows}


def test_other_datagrams_make_no_record(tracing, dnsmasq):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for noise in (b"", b"x", b"\x00" * 12, b"\xff" * 1200, bytes(range(256)) * 4):
            client.sendto(noise, ("127.0.0.1", dnsmasq.port))
    dnsmasq.dig("+short", "web.test")
    rows = tracing.requests("dns_requests", dnsmasq.port, "true", 1)
    assert len(rows["server"]) == len(rows["client"]) == 1
