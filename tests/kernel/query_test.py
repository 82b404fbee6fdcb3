# SPDX-License-Identifier: Apache-2.0
"""SQL over a real daemon: deeds of real programs, joined by one statement."""

import csv
import io
import json
import os
import subprocess

import pytest

import trivet_harness as harness


@pytest.fixture
def trivet(start):
    return start()


def ask(trivet, sql):
    """The rows of a query, as objects."""
    return [json.loads(line) for line in trivet.call("query", sql, "-o", "json").stdout.splitlines()]


def test_an_alert_joins_the_requests_and_flows_of_its_process(trivet, nginx):
    # One process that reads a sensitive file and speaks HTTP.
    subprocess.run(["curl", "-s", "-o", "/dev/null", "file:///etc/shadow", f"{nginx.url}/ok/joined"],
                   stdin=subprocess.DEVNULL, check=True, timeout=30)
    sql = """SELECT DISTINCT a.rule, a.process, r.method, r.path, r.status, f.peer_port
             FROM alerts a
             JOIN http_requests r USING (pid, process_start_ns)
             JOIN flows f USING (pid, process_start_ns)
             WHERE r.path = '/ok/joined' AND r.role = 'client'"""
    rows = harness.wait_until(lambda: ask(trivet, sql), 15, "the alert's requests and flows")
    assert {(r["process"], r["method"], r["path"], r["status"], r["peer_port"]) for r in rows} == {
        ("curl", "GET", "/ok/joined", 200, nginx.port)}


def test_living_processes_are_as_proc_says(trivet):
    sleeper = subprocess.Popen(["sleep", "97"], cwd="/", stdin=subprocess.DEVNULL)
    try:
        sql = f"SELECT * FROM processes WHERE pid = {sleeper.pid} AND name = 'sleep'"
        row, = harness.wait_until(lambda: ask(trivet, sql), 10, "the process")
        assert row["cmdline"] == "sleep 97"
        assert row["user"] == "root"
        assert json.loads(row["args"]) == ["sleep", "97"]
    finally:
        harness.end_process(sleeper)


def test_open_sockets_are_as_their_programs_made_them(trivet):
    # One that was there before anybody asked, in a network namespace of its own, and one in this one.
    program = ("import socket, sys, time; s = socket.create_server(('127.0.0.1', 0)); "
               "print(s.getsockname()[1], flush=True); time.sleep(97)")
    up = ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
    for command in ([], up):
        server = subprocess.Popen([*command, "/usr/bin/python3", "-c", program], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, text=True)
        try:
            port = int(server.stdout.readline())
            sql = f"SELECT * FROM sockets WHERE local_port = {port} AND pid = {server.pid}"
            row, = harness.wait_until(lambda: ask(trivet, sql), 10, "the socket")
            assert (row["protocol"], row["state"], row["local_address"]) == ("tcp", "listen", "127.0.0.1")
            assert (row["process"], row["peer_address"]) == ("python3", None)
            assert row["net_namespace"] == os.stat(f"/proc/{server.pid}/ns/net").st_ino
        finally:
            harness.end_process(server)
            server.stdout.close()
        harness.wait_until(lambda: not ask(trivet, sql), 10, "the socket has gone")


def test_the_host_and_its_interfaces_are_as_the_system_says(trivet):
    host, = ask(trivet, "SELECT * FROM host")
    named = os.uname()
    assert (host["name"], host["kernel"], host["architecture"]) == (named.nodename, named.release,
                                                                    named.machine)
    assert host["cpus"] == os.cpu_count()
    assert "Debian" in host["os"]
    told = json.loads(subprocess.run(["ip", "-j", "addr"], capture_output=True, check=True).stdout)
    wanted = {link["ifname"]: (link["ifindex"], link["mtu"], "UP" in link["flags"],
                               {f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"]})
              for link in told}
    rows = ask(trivet, "SELECT * FROM interfaces")
    assert {row["name"]: (row["interface_index"], row["mtu"], bool(row["up"]), set(json.loads(row["addresses"])))
            for row in rows} == wanted


def test_formats_and_errors(trivet):
    rows = list(csv.reader(io.StringIO(
        trivet.call("query", "SELECT 1 AS one, 'a,\"b' AS text, NULL AS none", "-o", "csv").stdout)))
    assert rows == [["one", "text", "none"], ["1", 'a,"b', ""]]
    assert trivet.call("query", "SELECT 1 AS one, 'x' AS text").stdout == "one  text\n  1  x\n"
    refused = trivet.call("query", "DELETE FROM alerts", check=False)
    assert refused.returncode == 1 and "SELECT" in refused.stderr


def test_an_interrupted_client_ends_its_query(trivet):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    # More than run at a time, one after the other: each must have gone when the next one comes.
    for _ in range(8):
        client = subprocess.Popen(trivet.command("query", endless), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(0.5)
        harness.end_process(client)
        client.stdout.close()
        client.stderr.close()
    harness.wait_until(lambda: trivet.call("query", "SELECT 1", check=False).returncode == 0, 5,
                       "a query is taken again")
