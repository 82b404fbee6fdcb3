# SPDX-License-Identifier: Apache-2.0
"""What policies can say, each shown by real processes: subjects, peers, services, tiers, verdicts."""

import errno
import json
import socket
import subprocess
import sys
import time
import uuid

import pytest

from trivet_harness import SCALE, cgroup_root, free_port, wait_until

DENIED, CLOSED = errno.EPERM, errno.ECONNREFUSED


def rule(name, verdict, more="", direction="egress"):
    return f'[[rule]]\nname = "{name}"\ndirection = "{direction}"\nverdict = "{verdict}"\n{more}\n'


@pytest.fixture
def policy(start, folder):
    """policy(text) -> a daemon with that policy in force."""

    def begin(text, **changes):
        path = folder / "policy.toml"
        path.write_text("schema = 1\n" + text)
        changes = {f"network.{key}": value for key, value in changes.items()}
        return start(plugins=("network",), changes={"network.policy_file": path, **changes})

    return begin


SCRIPT = """
import os, socket, sys
if sys.argv[4]:
    os.setgid(int(sys.argv[4]))
if sys.argv[3]:
    os.setuid(int(sys.argv[3]))
with socket.socket() as s:
    sys.exit(s.connect_ex((sys.argv[1], int(sys.argv[2]))))
"""


def attempt(address="127.0.0.1", port=9, user="", group="", before=()):
    """What connect() of another process gives; its user and group change without an exec."""
    return subprocess.run([*before, sys.executable, "-c", SCRIPT, address, str(port), str(user),
                           str(group)], check=False).returncode


def test_a_user_and_a_group_are_those_of_the_process_when_it_connects(policy):
    policy(rule("user", "deny", 'subject = { user = "nobody" }') +
           rule("group", "deny", 'subject = { group = 54321 }') +
           rule("both", "deny", 'subject = { user = 54322, group = 54323 }'))
    port = free_port()
    assert attempt(port=port) == CLOSED
    assert attempt(port=port, user=65534) == DENIED
    assert attempt(port=port, user=65533) == CLOSED
    assert attempt(port=port, group=54321) == DENIED
    assert attempt(port=port, user=54322) == CLOSED
    assert attempt(port=port, user=54322, group=54323) == DENIED


def test_a_unit_is_found_when_its_first_process_starts(policy):
    name = f"trivet-test-{uuid.uuid4().hex[:8]}.service"
    policy(rule("unit", "deny", f'subject = {{ unit = "{name}" }}'))
    path = cgroup_root() / name
    path.mkdir()
    # As systemd does it: the process enters its cgroup and then becomes the program.
    enter = ("sh", "-c", 'echo $$ > "$0"/cgroup.procs; exec "$@"', path)
    try:
        wait_until(lambda: attempt(before=enter) == DENIED, 5, "the unit is judged")
        assert attempt() == CLOSED
    finally:
        wait_until(lambda: not (path / "cgroup.procs").read_text(), 10, "the cgroup is empty")
        path.rmdir()


def test_a_namespace_is_told_by_its_file(policy):
    name = f"tv{uuid.uuid4().hex[:6]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        policy(rule("blue", "deny", f'subject = {{ netns = "/run/netns/{name}" }}'))
        assert attempt(before=("ip", "netns", "exec", name)) == DENIED
        assert attempt() == CLOSED
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_what_runs_in_another_pid_namespace_is_not_the_host(policy):
    policy(rule("host", "deny", "subject = { host = true }"))
    assert attempt() == DENIED
    assert attempt(before=("unshare", "--pid", "--fork")) == CLOSED


def test_reject_looks_to_the_process_like_a_closed_port_and_is_counted_as_refused(policy):
    daemon = policy(rule("quiet", "reject", 'peer = "127.0.0.9"\nlog = false'))
    flows = daemon.follow("flows")
    with socket.socket() as server:
        server.bind(("127.0.0.9", 0))
        server.listen()
        assert attempt("127.0.0.9", server.getsockname()[1]) == CLOSED
        assert attempt("127.0.0.9", server.getsockname()[1]) == CLOSED
    shown = json.loads(daemon.call("policy", "show", "-o", "json").stdout)
    assert shown["rules"] == [{"name": "quiet", "judged": 2, "dropped": 2}]
    time.sleep(0.5)
    assert not flows.matching(lambda f: f["rule"] == "quiet")


def test_tiers_sets_and_exceptions_decide_in_the_kernel_as_the_documents_say(policy):
    policy("""
[set.cidr.block]
items = ["127.50.0.0/16", "!127.50.7.0/24"]
""" + rule("out of the tier", "pass", 'tier = 1\nl4 = "tcp/7070"') +
           rule("block", "deny", 'tier = 1\npeer = ["@block", "127.60.0.0/16", "!127.60.0.9"]') +
           rule("later", "reject", 'tier = 2\npeer = "127.50.0.1"') +
           rule("never", "allow", "tier = 0\nl4 = \"udp\"") +
           rule("six", "deny", 'peer = "::1"\nl4 = "tcp/9-10"'))
    assert attempt("127.50.0.2", 80) == DENIED
    assert attempt("127.50.7.2", 80) == CLOSED
    assert attempt("127.60.0.1", 80) == DENIED
    assert attempt("127.60.0.9", 80) == CLOSED
    assert attempt("127.50.0.2", 7070) == CLOSED
    with socket.socket(socket.AF_INET6) as client:
        assert client.connect_ex(("::1", 10)) == DENIED
    with socket.socket(socket.AF_INET6) as client:
        assert client.connect_ex(("::1", 11)) == CLOSED


def test_pings_are_told_apart_by_their_type(policy):
    policy(rule("no pings", "deny", 'peer = "127.0.0.0/8"\nl4 = "icmp/echo-request"'))

    def send(kind):
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
            checksum = 0xffff - (kind << 8)
            raw.sendto(bytes([kind, 0, checksum >> 8, checksum & 255, 0, 0, 0, 0]),
                       ("127.0.0.1", 0))

    send(13)  # a timestamp request
    with pytest.raises(PermissionError):
        send(8)


def test_an_address_that_the_host_gets_is_the_hosts_from_then_on(policy):
    policy(rule("own", "deny", 'peer = "host"\nl4 = "tcp/7171"'))
    assert attempt("127.0.0.1", 7171) == DENIED
    subprocess.run(["ip", "addr", "add", "198.18.77.1/32", "dev", "lo"], check=True)
    try:
        wait_until(lambda: attempt("198.18.77.1", 7171) == DENIED, 10, "the address is the host's")
        assert attempt("198.18.77.1", 7172) == CLOSED
    finally:
        subprocess.run(["ip", "addr", "del", "198.18.77.1/32", "dev", "lo"], check=True)


def test_a_rule_ends_at_its_time_without_anybody_doing_anything(policy):
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 6 * SCALE))
    policy(rule("for now", "deny", f'peer = "127.0.0.9"\nvalid_until = "{until}"'))
    assert attempt("127.0.0.9") == DENIED
    wait_until(lambda: attempt("127.0.0.9") == CLOSED, 20, "the rule has ended")


def test_a_sets_file_is_read_with_the_policy_and_again_by_reload(policy, folder):
    feed = folder / "feed.txt"
    feed.write_text("127.50.0.0/16\n!127.50.0.1 # a friend\n")
    daemon = policy('[set.cidr.feed]\nfile = "feed.txt"\n' + rule("feed", "deny", 'peer = "@feed"'),
                    set_files=feed)
    assert attempt("127.50.0.2") == DENIED
    assert attempt("127.50.0.1") == CLOSED
    feed.write_text("127.50.0.1\n")
    daemon.call("reload")
    assert attempt("127.50.0.1") == DENIED
    assert attempt("127.50.0.2") == CLOSED
    feed.write_text("127.50.0.1/8\n")
    done = daemon.call("reload", check=False)
    assert done.returncode == 1
    assert f"{feed}:1:1" in done.stderr
    assert attempt("127.50.0.1") == DENIED


def test_ten_thousand_rules_are_in_force_within_a_second_and_judge_as_one_does(policy, folder):
    def numbered(verdict):
        return "".join(rule(f"r{i}", verdict,
                            f'peer = "127.{100 + i // 250}.{i % 250}.0/24"\nl4 = "tcp/{1000 + i}"')
                       for i in range(10_000))

    daemon = policy(numbered("deny"))
    for i in (0, 777, 9_999):
        address = f"127.{100 + i // 250}.{i % 250}.7"
        assert attempt(address, 1000 + i) == DENIED
        assert attempt(address, 1001 + i) == CLOSED
    (folder / "policy.toml").write_text("schema = 1\n" + numbered("reject"))
    daemon.call("reload")
    with socket.socket() as server:
        server.bind(("127.100.5.7", 1005))
        server.listen()
        assert attempt("127.100.5.7", 1005) == CLOSED


def test_a_policy_that_cuts_its_own_author_off_comes_back_by_itself(policy, folder):
    daemon = policy(rule("harmless", "deny", 'peer = "127.0.0.9"'))
    candidate = folder / "new.toml"
    candidate.write_text("schema = 1\n" + rule("cuts it off", "deny", 'peer = "127.77.0.0/16"') +
                         rule("both ways", "deny", 'peer = "127.77.0.0/16"', "ingress"))
    with socket.socket() as server:
        server.bind(("127.77.0.1", 0))
        server.listen()
        with socket.create_connection(server.getsockname(), 5 * SCALE,
                                      ("127.77.0.2", 0)) as session:
            accepted, _ = server.accept()
            with accepted:
                accepted.settimeout(30 * SCALE)
                session.sendall(b"before")
                assert accepted.recv(10) == b"before"
                daemon.call("policy", "apply", candidate, "--confirm", "3s")
                began = time.monotonic()
                assert attempt("127.77.0.1") == DENIED
                session.sendall(b"during")
                accepted.settimeout(1)
                with pytest.raises(TimeoutError):
                    accepted.recv(10)
                accepted.settimeout(30 * SCALE)
                assert accepted.recv(10) == b"during"  # TCP sends it again, without anybody's help
                assert time.monotonic() - began > 2
    wait_until(lambda: attempt("127.77.0.1") == CLOSED, 5, "the policy before is in force")
    history = json.loads(daemon.call("policy", "history", "-o", "json").stdout)
    assert [(one["revision"], one["state"]) for one in history] == [
        (3, "in force"), (2, "replaced"), (1, "replaced")]


def test_a_large_policy_is_applied_confirmed_and_rolled_back(policy, folder):
    daemon = policy("")
    candidate = folder / "new.toml"
    candidate.write_text("schema = 1\n" + "".join(
        rule(f"r{i}", "deny", f'peer = "127.{100 + i // 250}.{i % 250}.0/24"') for i in range(5000)))
    assert candidate.stat().st_size > 300_000
    daemon.call("policy", "apply", candidate)
    assert attempt("127.100.7.1") == DENIED
    daemon.call("policy", "confirm")
    daemon.call("policy", "rollback")
    assert attempt("127.100.7.1") == CLOSED
    candidate.write_text("schema = 1\n[[rule]]\nname = 1\n")
    done = daemon.call("policy", "apply", candidate, check=False)
    assert done.returncode == 1
    assert f"{candidate}:3:8" in done.stderr
