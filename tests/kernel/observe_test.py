# SPDX-License-Identifier: Apache-2.0
"""`trivet observe` with Hubble's filters and its form of a flow, on flows of this test's own."""

import json
import os
import socket

import pytest

from trivet_harness import wait_until

TIMES = ("time", "first_seen", "last_seen")
POLICY = """schema = 1
[[rule]]
name = "not that host"
direction = "egress"
peer = ["127.0.0.9"]
verdict = "deny"
"""


@pytest.fixture
def seen(start, folder):
    """A daemon that has seen one connection and one that was refused, and the ports of both."""
    (folder / "policy.toml").write_text(POLICY)
    trivet = start(plugins=("network",), changes={"network.policy_file": folder / "policy.toml"})
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), pytest.raises(PermissionError):
            socket.create_connection(("127.0.0.9", port))

    def ended():
        return observe(trivet, "--to-port", str(port), "-w", "state=closed,refused*")

    wait_until(lambda: len(ended()) == 3, 10, "the ends of the connection, and the refusal")
    return trivet, port


def observe(trivet, *options, form="json"):
    text = trivet.call("observe", "flows", "-n", "100000", "-o", form, *options).stdout
    rows = [json.loads(line) for line in text.splitlines()]
    # The wall clock is read anew for each request: moments differ by some nanoseconds.
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


def test_hubbles_filters_choose_flows(seen):
    trivet, port = seen
    to, mine = ("--to-port", str(port)), ("--pid", str(os.getpid()))
    every = observe(trivet, *to)
    assert {flow["verdict"] for flow in every} == {"FORWARDED", "DROPPED"}
    refused = observe(trivet, *to, "--verdict", "dropped")
    assert [flow["peer_address"] for flow in refused] == ["127.0.0.9"]
    assert observe(trivet, *to, *mine, "--to-ip", "127.0.0.9/32") == refused
    assert observe(trivet, *to, "--rule", "not *") == refused
    allowed = observe(trivet, *to, "--not", "--verdict", "dropped")
    assert len(allowed) == len(every) - 1 and all(flow["verdict"] == "FORWARDED" for flow in allowed)
    both = observe(trivet, *to, "--verdict", "dropped", "--verdict", "forwarded")
    assert both == every
    opened = observe(trivet, *to, "--traffic-direction", "egress", "--verdict", "FORWARDED")
    assert opened and all(flow["peer_port"] == port for flow in opened)
    assert observe(trivet, *to, "-w", f"local_port={port}") == [
        flow for flow in every if flow["local_port"] == port]
    assert observe(trivet, *to, "--from-port", str(port)) == []
    assert observe(trivet, *to, "--since", "1h") == every
    assert observe(trivet, *to, "--until", "1h") == []
    assert observe(trivet, *to, "--first", "1") == every[:1]
    assert observe(trivet, *to, "--last", "1") == every[-1:]


def test_a_wrong_filter_is_refused_with_a_sentence(seen):
    trivet, _ = seen
    for options, sentence in (
            (("-w", "verdikt=DROPPED"), 'no column of flows is named "verdikt": did you mean "verdict"?'),
            (("--ip", "localhost"), 'column local_address cannot be "localhost": write an address'),
            (("--port", "http"), 'column local_port cannot be "http": write a number')):
        refused = trivet.call("observe", "flows", *options, check=False)
        assert refused.returncode == 1 and sentence in refused.stderr
    refused = trivet.call("observe", "alerts", "--ip", "127.0.0.1", check=False)
    assert "no column of alerts is named" in refused.stderr


def test_flows_come_in_hubbles_form(seen):
    trivet, port = seen
    (line,) = observe(trivet, "--to-port", str(port), "--verdict", "dropped", form="hubble")
    assert set(line) == {"flow", "node_name"} and line["node_name"] == socket.gethostname()
    flow = line["flow"]
    assert (flow["verdict"], flow["drop_reason_desc"]) == ("DROPPED", "POLICY_DENIED")
    assert flow["IP"]["destination"] == "127.0.0.9" and flow["IP"]["ipVersion"] == "IPv4"
    assert flow["l4"]["TCP"]["destination_port"] == port
    assert flow["traffic_direction"] == "EGRESS" and flow["is_reply"] is False
    assert flow["egress_denied_by"] == [{"name": "not that host"}]
    assert f"trivet:uid={os.getuid()}" in flow["source"]["labels"]
    assert "reserved:host" in flow["destination"]["labels"]
    (accepted, *_) = observe(trivet, "--to-port", str(port), "--traffic-direction", "ingress", form="hubble")
    flow = accepted["flow"]
    assert flow["traffic_direction"] == "INGRESS" and flow["l4"]["TCP"]["destination_port"] == port
    assert flow["ingress_allowed_by"] == [{"name": "(default)"}]


def test_who_follows_gets_what_passes_and_nothing_else(seen):
    trivet, port = seen
    follow = trivet.follow("flows", "--verdict", "dropped", "--to-port", str(port))
    follow.wait(lambda row: row["verdict"] == "DROPPED", 10)
    for address in ("127.0.0.1", "127.0.0.9", "127.0.0.9"):
        with pytest.raises(OSError):
            socket.create_connection((address, port))
    rows = lambda: follow.matching(lambda row: True)
    wait_until(lambda: len(rows()) >= 3, 10, "the new ones")
    assert {row["peer_address"] for row in rows()} == {"127.0.0.9"}
