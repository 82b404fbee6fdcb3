# SPDX-License-Identifier: Apache-2.0
"""Policy and flows of the real daemon: sockets of this host and of network namespaces made here."""

import contextlib
import errno
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import uuid

import pytest

from trivet_harness import SCALE, cgroup_root, end_process, free_port, overlay, wait_until

DENY_CONNECT = """
[[rule]]
name = "not that host"
direction = "egress"
peer = ["127.0.0.9", "10.255.0.0/16"]
verdict = "deny"
"""


def write_policy(folder, text):
    path = folder / "policy.toml"
    path.write_text("schema = 1\n" + text)
    return path


@pytest.fixture
def network(start, folder):
    """network(policy) -> a daemon with only the network plugin, and its flows."""

    def begin(policy, **changes):
        changes = {f"network.{key}": value for key, value in changes.items()}
        daemon = start(plugins=("network",),
                       changes={"network.policy_file": write_policy(folder, policy), **changes})
        return daemon, daemon.follow("flows")

    return begin


def listener(address="127.0.0.1", port=0):
    server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    server.bind((address, port))
    server.listen()
    return server


def connect_error(address, port, family=socket.AF_INET, seconds=1.0):
    """The errno that connect() fails with; 0 where it succeeds; ETIMEDOUT where nobody answers."""
    with socket.socket(family) as client:
        client.settimeout(seconds * SCALE)
        try:
            client.connect((address, port))
        except TimeoutError:
            return errno.ETIMEDOUT
        except OSError as error:
            return error.errno
    return 0


def test_a_denied_address_is_refused_at_once_and_the_flow_names_the_rule(network):
    _, flows = network(DENY_CONNECT)
    began = time.monotonic()
    assert connect_error("127.0.0.9", 7070) == errno.EPERM
    assert time.monotonic() - began < 0.2 * SCALE
    flow = flows.wait(lambda f: f["peer_port"] == 7070 and f["verdict"] == "DROPPED")
    assert flow["rule"] == "not that host"
    assert flow["state"] == "refused by policy"
    assert flow["direction"] == "egress"
    assert flow["peer_address"] == "127.0.0.9"
    assert flow["pid"] == os.getpid()


@pytest.mark.parametrize("address, family", [
    ("::ffff:127.0.0.9", socket.AF_INET6), ("10.255.3.4", socket.AF_INET)])
def test_no_other_spelling_of_a_denied_address_helps(network, address, family):
    network(DENY_CONNECT)
    assert connect_error(address, 80, family) == errno.EPERM


def test_connecting_to_no_address_is_judged_as_this_host(network):
    network('[[rule]]\nname = "r"\ndirection = "egress"\npeer = ["127.0.0.1", "::1"]\nverdict = "deny"\n')
    with listener() as server:
        port = server.getsockname()[1]
        assert connect_error("0.0.0.0", port) == errno.EPERM
        assert connect_error("::", port, socket.AF_INET6) == errno.EPERM


def test_a_datagram_to_a_denied_address_is_refused_whether_connected_or_not(network):
    _, flows = network(DENY_CONNECT)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        with pytest.raises(PermissionError):
            client.sendto(b"x", ("127.0.0.9", 5353))
        with pytest.raises(PermissionError):
            client.connect(("127.0.0.9", 5354))
    assert flows.wait(lambda f: f["peer_port"] == 5353)["protocol"] == "udp"
    assert flows.wait(lambda f: f["peer_port"] == 5354)["rule"] == "not that host"


def test_a_denied_service_answers_nobody_and_its_neighbour_everybody(network):
    closed, opened = free_port(), free_port()
    _, flows = network(f"""
[[rule]]
name = "closed service"
direction = "ingress"
l4 = "tcp/{closed}"
verdict = "deny"
""")
    with listener(port=closed), listener(port=opened):
        assert connect_error("127.0.0.1", closed) == errno.ETIMEDOUT
        assert connect_error("127.0.0.1", opened) == 0
    flow = flows.wait(lambda f: f["local_port"] == closed and f["direction"] == "ingress")
    assert (flow["verdict"], flow["rule"]) == ("DROPPED", "closed service")
    flow = flows.wait(lambda f: f["local_port"] == opened and f["state"] == "closed")
    assert (flow["verdict"], flow["rule"]) == ("FORWARDED", "(default)")


def test_the_failsafe_list_beats_a_policy_that_denies_everything(network):
    _, flows = network("""
[defaults]
ingress = "deny"
egress = "deny"
[failsafe]
ingress = ["any from 127.0.0.0/8"]
egress = ["any to 127.0.0.0/8"]
[[rule]]
name = "nothing"
direction = "egress"
verdict = "deny"
""")
    with listener() as server:
        port = server.getsockname()[1]
        assert connect_error("127.0.0.1", port) == 0
        flow = flows.wait(lambda f: f["peer_port"] == port and f["state"] == "closed")
        assert flow["rule"] == "(fail-safe)"
    assert connect_error("192.0.2.1", 80) == errno.EPERM
    assert flows.wait(lambda f: f["peer_address"] == "192.0.2.1")["rule"] == "nothing"


def test_deny_wins_over_allow_and_both_over_the_default(network):
    network("""
[defaults]
egress = "deny"
[[rule]]
name = "allow all of loopback"
direction = "egress"
peer = "127.0.0.0/8"
verdict = "allow"
[[rule]]
name = "but for one"
direction = "egress"
peer = "127.0.0.9/32"
verdict = "deny"
""")
    assert connect_error("127.0.0.9", 7070) == errno.EPERM
    assert connect_error("127.0.0.8", free_port()) == errno.ECONNREFUSED
    assert connect_error("192.0.2.1", 80) == errno.EPERM


def test_an_audit_rule_and_audit_mode_let_pass_and_tell(network):
    _, flows = network(DENY_CONNECT.replace("deny", "audit"))
    with listener("127.0.0.9") as server:
        port = server.getsockname()[1]
        assert connect_error("127.0.0.9", port) == 0
        flow = flows.wait(lambda f: f["peer_port"] == port and f["state"] == "closed")
        assert (flow["verdict"], flow["rule"]) == ("AUDIT", "not that host")


def test_a_reload_judges_open_connections_again_and_keeps_their_flows(network, folder):
    daemon, flows = network("")
    before = daemon.metrics().sum("trivet_network_policy_epoch")
    with listener() as server, socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        with accepted:
            port = client.getsockname()[1]
            client.sendall(b"one")
            assert accepted.recv(10) == b"one"
            write_policy(folder, """
[[rule]]
name = "no more"
direction = "egress"
peer = "127.0.0.1"
verdict = "deny"
""")
            daemon.call("reload")
            client.sendall(b"two")
            flow = flows.wait(lambda f: f["local_port"] == port and f["verdict"] == "DROPPED")
            assert flow["rule"] == "no more"
            assert flow["sent_packets"] >= 3  # the flow goes on from what the old policy let through
            accepted.settimeout(0.3 * SCALE)
            with pytest.raises(TimeoutError):
                accepted.recv(10)
            write_policy(folder, "")
            daemon.call("reload")
            accepted.settimeout(10 * SCALE)
            assert accepted.recv(10) == b"two"  # TCP sends it again
    assert daemon.metrics().sum("trivet_network_policy_epoch") == before + 2


def test_a_bad_policy_is_refused_and_the_one_in_force_stays(network, folder):
    daemon, _ = network(DENY_CONNECT)
    path = write_policy(folder, '[[rule]]\nname = "r"\ndirection = "egress"\npeer = "10.0.0.1/33"\n'
                                'verdict = "deny"\n')
    done = daemon.call("reload", check=False)
    assert done.returncode == 1
    assert f"{path}:5:8" in done.stderr
    assert connect_error("127.0.0.9", 7070) == errno.EPERM


@contextlib.contextmanager
def cgroup(name):
    path = cgroup_root() / name
    path.mkdir()
    try:
        yield path
    finally:
        wait_until(lambda: not (path / "cgroup.procs").read_text(), 10, "the cgroup is empty")
        path.rmdir()


def test_a_rule_is_about_a_cgroup_even_one_that_appears_later(network):
    name = f"trivet-test-{uuid.uuid4().hex[:8]}"
    _, flows = network(f"""
[[rule]]
name = "caged"
subject = {{ cgroup = "/{name}" }}
direction = "egress"
verdict = "deny"
""")
    port = free_port()
    script = ("import os, pathlib, socket, sys\n"
              "pathlib.Path(sys.argv[1], 'cgroup.procs').write_text(str(os.getpid()))\n"
              "s = socket.socket()\n"
              "sys.exit(s.connect_ex(('127.0.0.1', int(sys.argv[2]))))")

    def attempt(path):
        return subprocess.run([sys.executable, "-c", script, str(path), str(port)], check=False).returncode

    with cgroup(name) as path:
        (path / "inner").mkdir()
        try:
            wait_until(lambda: attempt(path) == errno.EPERM, 5, "the cgroup is judged")
            assert attempt(path / "inner") == errno.EPERM
            assert connect_error("127.0.0.1", port) == errno.ECONNREFUSED
        finally:
            (path / "inner").rmdir()
    assert flows.wait(lambda f: f["verdict"] == "DROPPED")["rule"] == "caged"


def test_a_rule_is_about_an_executable_also_after_its_update(network, folder):
    shutil.copy("/usr/bin/curl", folder / "fetch")
    _, flows = network(f"""
[[rule]]
name = "no fetching"
subject = {{ exe = "{folder}/fetch" }}
direction = "egress"
verdict = "deny"
""")
    port = free_port()
    command = ["-s", f"http://127.0.0.1:{port}/"]
    assert subprocess.run([folder / "fetch", *command], check=False).returncode != 0
    flow = flows.wait(lambda f: f["peer_port"] == port and f["verdict"] == "DROPPED")
    assert (flow["rule"], flow["exe"]) == ("no fetching", f"{folder}/fetch")
    subprocess.run(["/usr/bin/curl", *command], check=False)
    flows.wait(lambda f: f["peer_port"] == port and f["exe"] == "/usr/bin/curl"
               and f["verdict"] == "FORWARDED")

    shutil.copy("/usr/bin/curl", folder / "fetch.new")
    (folder / "fetch.new").rename(folder / "fetch")
    time.sleep(1.5 * SCALE)
    second = free_port()
    subprocess.run([folder / "fetch", "-s", f"http://127.0.0.1:{second}/"], check=False)
    assert flows.wait(lambda f: f["peer_port"] == second)["verdict"] == "DROPPED"


def test_replies_pass_where_only_the_request_is_allowed(network):
    port = free_port()
    network(f"""
[defaults]
ingress = "deny"
egress = "deny"
[[rule]]
name = "question"
direction = "egress"
l4 = ["udp/{port}", "tcp/{port}"]
verdict = "allow"
[[rule]]
name = "service"
direction = "ingress"
l4 = ["udp/{port}", "tcp/{port}"]
verdict = "allow"
""")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", port))
        client.settimeout(2 * SCALE)
        client.sendto(b"question", ("127.0.0.1", port))
        data, peer = server.recvfrom(100)
        server.sendto(b"answer", peer)
        assert client.recv(100) == b"answer"
    with listener(port=port) as server, socket.create_connection(("127.0.0.1", port), 2 * SCALE) as client:
        accepted, _ = server.accept()
        with accepted:
            accepted.sendall(b"hello")
            client.settimeout(2 * SCALE)
            assert client.recv(10) == b"hello"


def test_a_flood_of_refused_calls_is_counted_exactly_and_told_sparingly(network):
    daemon, flows = network(DENY_CONNECT, denials_per_second=20)
    for _ in range(3000):
        assert connect_error("127.0.0.9", 7171) == errno.EPERM
    wait_until(lambda: daemon.metrics().sum("hubble_drop_total", protocol="TCP") == 3000, 5,
               "3000 drops are counted")
    time.sleep(0.5)
    told = len(flows.matching(lambda f: f["peer_port"] == 7171))
    assert 20 <= told < 1000


class Namespaces:
    """Two network namespaces with one veth pair between them, without a packet that is not the test's."""

    def __init__(self):
        tag = uuid.uuid4().hex[:6]
        self.names = [f"tv{tag}a", f"tv{tag}b"]
        for name in self.names:
            self.ip("netns", "add", name)
            self.run(name, "sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1",
                     "net.ipv6.conf.default.disable_ipv6=1")
        a, b = self.names
        self.ip("-n", a, "link", "add", "v", "type", "veth", "peer", "name", "v", "netns", b)
        for name, address in zip(self.names, ("198.18.0.1/24", "198.18.0.2/24")):
            self.ip("-n", name, "addr", "add", address, "dev", "v")
            self.ip("-n", name, "link", "set", "v", "up")
        for name, other, address in ((a, b, "198.18.0.2"), (b, a, "198.18.0.1")):
            link = self.run(other, "cat", "/sys/class/net/v/address").strip()
            self.ip("-n", name, "neigh", "replace", address, "lladdr", link, "dev", "v")

    @staticmethod
    def ip(*arguments):
        subprocess.run(["ip", *arguments], check=True)

    def run(self, name, *command):
        return subprocess.run(["ip", "netns", "exec", name, *command], check=True,
                              capture_output=True, text=True).stdout

    def start(self, name, script, *arguments):
        return subprocess.Popen(["ip", "netns", "exec", name, sys.executable, "-c", script, *arguments],
                                stdout=subprocess.PIPE, text=True)

    def link_counters(self, name):
        """(packets, bytes with IP headers) received and sent by the namespace's end."""
        link = json.loads(self.run(name, "ip", "-j", "-s", "link", "show", "v"))[0]["stats64"]
        ethernet = 14
        return {side: (link[side]["packets"], link[side]["bytes"] - ethernet * link[side]["packets"])
                for side in ("rx", "tx")}

    def close(self):
        for name in self.names:
            self.ip("netns", "del", name)


@pytest.fixture
def namespaces():
    pair = Namespaces()
    yield pair
    pair.close()


SERVER = """
import socket, sys
server = socket.socket()
server.bind(("198.18.0.2", 9000))
server.listen()
print("listens", flush=True)
client, _ = server.accept()
while client.recv(1 << 16):
    pass
client.sendall(b"x" * 5000)
client.close()
"""
CLIENT = """
import socket
client = socket.create_connection(("198.18.0.2", 9000))
for size in (1, 100, 1448, 100000, 3000000):
    client.sendall(b"y" * size)
client.shutdown(socket.SHUT_WR)
while client.recv(1 << 16):
    pass
"""


def test_a_connections_totals_are_those_of_the_link_to_the_byte(network, namespaces):
    _, flows = network("")
    a, b = namespaces.names
    before = namespaces.link_counters(b)
    server = namespaces.start(b, SERVER)
    try:
        assert server.stdout.readline() == "listens\n"
        client = namespaces.start(a, CLIENT)
        assert client.wait(30 * SCALE) == 0
        assert server.wait(30 * SCALE) == 0
    finally:
        end_process(server)
        server.stdout.close()
    flow = flows.wait(lambda f: f["local_port"] == 9000 and f["state"] == "closed")
    assert flow["direction"] == "ingress"
    assert flow["peer_address"] == "198.18.0.1"
    time.sleep(0.2)
    after = namespaces.link_counters(b)
    client.stdout.close()
    moved = {side: (after[side][0] - before[side][0], after[side][1] - before[side][1])
             for side in ("rx", "tx")}
    assert (flow["received_packets"], flow["received_bytes"]) == moved["rx"]
    assert (flow["sent_packets"], flow["sent_bytes"]) == moved["tx"]
    assert flow["dropped_packets"] == 0


def test_udp_totals_are_those_of_the_link_for_each_peer(network, namespaces):
    _, flows = network("")
    a, b = namespaces.names
    before = namespaces.link_counters(b)
    server = namespaces.start(b, """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("198.18.0.2", 9000))
print("listens", flush=True)
for _ in range(60):
    data, peer = s.recvfrom(2000)
    s.sendto(data[:10], peer)
""")
    try:
        assert server.stdout.readline() == "listens\n"
        client = namespaces.start(a, """
import socket
for port in (5001, 5002, 5003):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("198.18.0.1", port))
        for i in range(20):
            s.sendto(b"z" * (port - 5000) * 100, ("198.18.0.2", 9000))
            s.recv(100)
""")
        assert client.wait(30 * SCALE) == 0
        client.stdout.close()
        assert server.wait(30 * SCALE) == 0
    finally:
        end_process(server)
        server.stdout.close()
    after = namespaces.link_counters(b)
    totals = [0, 0]
    for port in (5001, 5002, 5003):
        flow = flows.wait(lambda f, port=port: f["local_port"] == port and f["state"] == "closed")
        assert flow["sent_packets"] == 20
        assert flow["sent_bytes"] == 20 * (28 + (port - 5000) * 100)
        assert flow["received_bytes"] == 20 * 38
        totals[0] += flow["sent_packets"]
        totals[1] += flow["sent_bytes"]
    assert tuple(totals) == (after["rx"][0] - before["rx"][0], after["rx"][1] - before["rx"][1])


def test_the_accepting_process_owns_its_connections_not_the_one_that_listens(network):
    _, flows = network("")
    with listener() as server:
        port = server.getsockname()[1]
        child = subprocess.Popen([sys.executable, "-c", f"""
import socket
server = socket.socket(fileno={server.fileno()})
accepted, _ = server.accept()
accepted.recv(10)
accepted.close()
"""], pass_fds=[server.fileno()])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"x")
            assert child.wait(10 * SCALE) == 0
    flow = flows.wait(lambda f: f["local_port"] == port and f["state"] == "closed")
    assert flow["pid"] == child.pid


def test_the_policy_in_force_tells_what_each_rule_did(network):
    daemon, _ = network(DENY_CONNECT)
    for _ in range(3):
        connect_error("127.0.0.9", 7070)
    shown = json.loads(daemon.call("policy", "show", "-o", "json").stdout)
    assert shown["mode"] == "enforce"
    assert shown["rules"] == [{"name": "not that host", "judged": 3, "dropped": 3}]


def deny_by(exe, direction="egress", peer="127.77.0.0/16", more=""):
    return f"""
[[rule]]
name = "not that program"
subject = {{ exe = "{exe}" }}
direction = "{direction}"
peer = "{peer}"
verdict = "deny"
{more}"""


@pytest.fixture
def python(folder):
    """A copy of the interpreter that no other process runs: a subject for rules."""
    path = folder / "python"
    shutil.copy(os.path.realpath(sys.executable), path)
    return path


def connection(server_address, server_port, client_address, client_port):
    """(client, accepted, listener) on ports of the test's choice; 0 is any."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((server_address, server_port))
    server.listen()
    client = socket.socket()
    client.bind((client_address, client_port))
    client.connect(server.getsockname())
    accepted, _ = server.accept()
    return client, accepted, server


def passes(sender, receiver):
    receiver.settimeout(0.5 * SCALE)
    try:
        sender.send(b"x")
        return receiver.recv(10) == b"x"
    except OSError:
        return False


@pytest.mark.parametrize("client_port", [1000, 0])
def test_who_opened_an_older_connection_is_not_told_by_its_ports(network, client_port):
    client, accepted, server = connection("127.0.0.5", 47777, "127.66.0.2", client_port)
    with client, accepted, server:
        network("""
[[rule]]
name = "not from there"
direction = "ingress"
peer = "127.66.0.0/16"
verdict = "deny"
""")
        assert not passes(client, accepted)


@pytest.mark.parametrize("server_port", [8443, 60999])
def test_an_older_connection_that_this_host_opened_is_not_one_that_it_received(network, server_port):
    client, accepted, server = connection("127.66.0.1", server_port, "127.0.0.1", 40001)
    with client, accepted, server:
        network("""
[[rule]]
name = "nobody opens one from there"
direction = "ingress"
peer = "127.66.0.0/16"
verdict = "deny"
""")
        assert passes(client, accepted)


def test_changed_settings_leave_connections_and_their_counts(network):
    daemon, flows = network("", flow_interval_s=3600)
    client, accepted, server = connection("127.0.0.1", 0, "127.0.0.1", 0)
    with client, accepted, server:
        assert passes(client, accepted)
        port = client.getsockname()[1]
        daemon.configure({"network.flow_interval_s": 1})
        daemon.call("reload")
        time.sleep(1.1)
        assert passes(client, accepted)
        flow = flows.wait(lambda f: f["local_port"] == port and f["sent_packets"] > 2)
        assert flow["direction"] == "egress"


TALK = """
import socket, sys
s = socket.socket(fileno=int(sys.argv[1]))
s.settimeout(1)
for line in sys.stdin:
    try:
        s.send(b"x")
    except OSError as e:
        pass
    print("sent", flush=True)
"""


def test_a_connection_is_judged_for_the_program_that_inherits_it(network, python):
    network(deny_by(python))
    client, accepted, server = connection("127.77.0.1", 0, "127.0.0.1", 0)
    with client, accepted, server:
        assert passes(client, accepted)
        child = subprocess.Popen([python, "-c", TALK, str(client.fileno())], text=True,
                                 pass_fds=[client.fileno()], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
        try:
            # The first send may pass: the kernel tells who sends when it has sent.
            for _ in range(2):
                child.stdin.write("go\n")
                child.stdin.flush()
                assert child.stdout.readline() == "sent\n"
            time.sleep(0.2)
            accepted.settimeout(1)
            assert len(accepted.recv(10)) <= 1
            accepted.settimeout(0.5 * SCALE)
            with pytest.raises(TimeoutError):
                accepted.recv(10)
        finally:
            child.stdin.close()
            child.stdout.close()
            end_process(child)


def test_a_datagram_socket_is_judged_for_the_program_that_inherits_it(network, python):
    _, flows = network(deny_by(python))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        server.bind(("127.77.0.1", 0))
        client.sendto(b"x", server.getsockname())
        assert server.recv(10) == b"x"
        done = subprocess.run([python, "-c", f"""
import socket
s = socket.socket(fileno={client.fileno()})
s.sendto(b"y", {server.getsockname()})
"""], pass_fds=[client.fileno()], capture_output=True, text=True, check=False)
        assert "Operation not permitted" in done.stderr
    assert flows.wait(lambda f: f["verdict"] == "DROPPED")["rule"] == "not that program"


def test_an_accepted_connection_is_judged_for_the_program_that_accepts_it(network, python):
    network(deny_by(python, "ingress", "127.66.0.0/16"))
    with listener() as server:
        child = subprocess.Popen([python, "-c", f"""
import socket
server = socket.socket(fileno={server.fileno()})
accepted, _ = server.accept()
while data := accepted.recv(10):
    accepted.send(data)
"""], pass_fds=[server.fileno()])
        try:
            with socket.socket() as client:
                client.bind(("127.66.0.1", 0))
                client.connect(server.getsockname())
                client.settimeout(0.5 * SCALE)
                client.send(b"x")
                with pytest.raises(TimeoutError):
                    client.recv(10)
        finally:
            end_process(child)


@pytest.mark.parametrize("kind, protocol", [
    (socket.SOCK_DGRAM, 136), (socket.SOCK_RAW, 253), (socket.SOCK_RAW, socket.IPPROTO_ICMP),
    (socket.SOCK_STREAM, 262)], ids=["UDP-Lite", "raw", "ICMP", "MPTCP"])
def test_a_program_that_may_not_speak_may_not_in_any_protocol(network, python, kind, protocol):
    network(deny_by(python))
    script = f"""
import socket
s = socket.socket(socket.AF_INET, {int(kind)}, {protocol})
s.settimeout(1)
echo = bytes([8, 0, 0xf7, 0xff, 0, 0, 0, 0])
s.connect(("127.77.0.1", {free_port()})) if {protocol} == 262 else s.sendto(echo, ("127.77.0.1", 9))
"""
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False)
    if "Protocol not" in done.stderr:
        pytest.skip("this kernel lacks the protocol")
    assert "Operation not permitted" in done.stderr or "timed out" in done.stderr
    allowed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                             check=False)
    assert allowed.returncode == 0 or "refused" in allowed.stderr, allowed.stderr


def test_a_range_of_ipv6_is_not_about_ipv4_nor_the_reverse(network):
    network("""
[[rule]]
name = "no IPv6"
direction = "egress"
peer = "::/0"
verdict = "deny"
""")
    port = free_port()
    assert connect_error("127.0.0.1", port) == errno.ECONNREFUSED
    assert connect_error("::ffff:127.0.0.1", port, socket.AF_INET6) == errno.ECONNREFUSED
    assert connect_error("::1", port, socket.AF_INET6) == errno.EPERM


def test_a_full_table_of_datagram_flows_changes_no_verdict(network):
    daemon, _ = network("""
[failsafe]
ingress = ["tcp", "any from 127.66.0.0/16"]
[defaults]
ingress = "deny"
[[rule]]
name = "opens nothing"
direction = "egress"
peer = ["127.66.0.0/16", "127.99.0.0/16"]
verdict = "deny"
""", udp_flows=256)

    def open_socket(address):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, 0))
        made.settimeout(0.5 * SCALE)
        return made

    with open_socket("127.0.0.1") as flood, open_socket("127.88.0.1") as server, \
            open_socket("127.66.0.1") as asks, open_socket("127.99.0.1") as denied:
        for host in range(1, 20):
            for port in range(9, 40):
                with contextlib.suppress(OSError):
                    flood.sendto(b"x", (f"127.44.0.{host}", port))
        wait_until(lambda: daemon.metrics().sum("trivet_network_uncounted_total") > 100, 5,
                   "the table is full")
        assert not passes_to(denied, server)
        with pytest.raises(PermissionError):
            server.sendto(b"x", denied.getsockname())
        asks.sendto(b"question", server.getsockname())
        data, peer = server.recvfrom(100)
        assert data == b"question"
        server.sendto(b"answer", peer)
        assert asks.recv(100) == b"answer"


def passes_to(sender, receiver):
    try:
        sender.sendto(b"x", receiver.getsockname())
        return receiver.recv(10) == b"x"
    except OSError:
        return False


def test_an_executable_on_an_overlay_is_found(network, folder):
    with overlay(folder) as (low, over):
        shutil.copy("/usr/bin/curl", low / "fetch")
        _, flows = network(deny_by(over / "fetch"))
        port = free_port()
        subprocess.run([over / "fetch", "-s", f"http://127.77.0.1:{port}/"], check=False)
        assert flows.wait(lambda f: f["peer_port"] == port)["verdict"] == "DROPPED"
