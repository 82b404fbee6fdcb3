# SPDX-License-Identifier: Apache-2.0
"""Host facts as rules and records see them: what a process changes about itself, what a runtime says of
a container, and one identity for one socket in all tables."""

import fcntl
import hashlib
import json
import os
import pathlib
import pty
import shutil
import socket
import subprocess
import termios

import pytest

import trivet_harness as harness

FIELDS = ("%proc.name|%proc.cwd|%user.uid|%group.gid|%thread.cap_effective|%proc.env[MARK]"
          "|%proc.exe_sha256|%container.name|%container.image.repository|%container.image.tag"
          "|%container.privileged|%container.mounts|%k8s.pod.name|%k8s.ns.name")


def rule(name, condition):
    return f"""
- rule: {name}
  desc: {name}
  condition: {condition}
  output: "{FIELDS}"
  priority: NOTICE
"""


def fields(alert):
    """The output's fields by name: what stands between the bars."""
    return dict(zip((part.lstrip("%") for part in FIELDS.split("|")), alert["output"].split("|")))


@pytest.fixture
def watch(start, folder):
    """watch(conditions) -> the daemon and its alerts under those rules alone."""
    def begin(**conditions):
        rules = folder / "rules.yaml"
        rules.write_text("".join(rule(name, text) for name, text in conditions.items()))
        trivet = start(changes={"security.rules_files": [rules]})
        return trivet, trivet.follow("alerts")
    return begin


def python(code, **options):
    return subprocess.run(["/usr/bin/python3", "-c", code], stdin=subprocess.DEVNULL, check=True,
                          timeout=30 * harness.SCALE, **options)


def test_a_process_is_judged_as_what_it_has_made_of_itself(watch, folder):
    mark = folder / "mark"
    mark.write_text("x")
    mark.chmod(0o644)
    _, alerts = watch(opened=f"evt.type in (open, openat) and fd.name = {mark}")
    # Each step changes one thing and opens the file; no exec is between them.
    python(f"""
import ctypes, os
def look(): os.close(os.open({str(mark)!r}, os.O_RDONLY))
look()
os.chdir('/var/tmp'); look()
ctypes.CDLL(None).prctl(15, b'renamed', 0, 0, 0); look()
os.setgid(65534); os.setuid(65534); look()
if os.fork() == 0:
    look(); os._exit(0)
os.wait()
""", cwd="/", env={"MARK": "here"})
    alerts.wait(lambda row: len(alerts.rows) >= 5, what="five opens")
    seen = [fields(row) for row in alerts.rows]
    assert [row["proc.cwd"] for row in seen] == ["/", "/var/tmp/", "/var/tmp/", "/var/tmp/", "/var/tmp/"]
    assert [row["proc.name"] for row in seen] == ["python3", "python3", "renamed", "renamed", "renamed"]
    assert [row["user.uid"] for row in seen] == ["0", "0", "0", "65534", "65534"]
    assert [row["group.gid"] for row in seen] == ["0", "0", "0", "65534", "65534"]
    assert "CAP_SETUID" in seen[2]["thread.cap_effective"]
    assert seen[3]["thread.cap_effective"] == ""
    assert [row["uid"] for row in alerts.rows] == [0, 0, 0, 65534, 65534]


def test_environment_and_hash_are_those_of_the_process_that_runs(watch, folder):
    mark = folder / "mark"
    mark.write_text("x")
    _, alerts = watch(opened=f"evt.type in (open, openat) and fd.name = {mark} and proc.env[MARK] = here")
    # It must still be there when it is asked for.
    held = f"import time; open({str(mark)!r}).read(); time.sleep({2 * harness.SCALE})"
    python(held, env={"MARK": "elsewhere"})
    python(held, env={"MARK": "here"})
    row = fields(alerts.wait(lambda row: True))
    assert row["proc.env[MARK]"] == "here"
    real = pathlib.Path("/usr/bin/python3").resolve()
    assert row["proc.exe_sha256"] == hashlib.sha256(real.read_bytes()).hexdigest()
    assert len(alerts.rows) == 1


def test_the_hash_of_an_executable_on_an_overlay_is_told(watch, folder):
    mark = folder / "mark"
    mark.write_text("x")
    _, alerts = watch(opened=f"evt.type in (open, openat) and fd.name = {mark}")
    with harness.overlay(folder) as (low, over):
        shutil.copy("/bin/bash", low / "shell")
        subprocess.run([over / "shell", "-c", f"read -r _ <{mark}; sleep {2 * harness.SCALE}; true"], check=False)
        row = fields(alerts.wait(lambda row: True))
    assert row["proc.exe_sha256"] == hashlib.sha256(pathlib.Path("/bin/bash").read_bytes()).hexdigest()


@pytest.fixture
def container(folder):
    """A cgroup and a state file as containerd makes them for a pod's container; its id and cgroup."""
    ident = os.urandom(32).hex()
    cgroup = harness.cgroup_root() / f"cri-containerd-{ident}.scope"
    tasks = pathlib.Path("/run/containerd/io.containerd.runtime.v2.task/trivet-test")
    bundle = tasks / ident
    made = [path for path in [bundle, *bundle.parents] if not path.exists()]
    bundle.mkdir(parents=True)
    (bundle / "config.json").write_text(json.dumps({
        "ociVersion": "1.0.2",
        "process": {"capabilities": {"bounding": ["CAP_CHOWN", "CAP_KILL"]}},
        "mounts": [{"destination": "/data", "type": "bind", "source": "/srv/data",
                    "options": ["rbind", "ro", "rprivate"]}],
        "annotations": {"io.kubernetes.cri.container-name": "app",
                        "io.kubernetes.cri.image-name": "docker.io/library/nginx:1.22",
                        "io.kubernetes.cri.sandbox-name": "shop-0",
                        "io.kubernetes.cri.sandbox-namespace": "prod"},
        "linux": {"seccomp": {}}}))
    cgroup.mkdir()
    yield ident, cgroup
    harness.wait_until(lambda: not (cgroup / "cgroup.procs").read_text(), 10, "the cgroup is empty")
    cgroup.rmdir()
    (bundle / "config.json").unlink()
    for path in made:
        path.rmdir()


def test_rules_know_what_the_runtime_knows_of_a_container(watch, folder, container):
    ident, cgroup = container
    mark = folder / "mark"
    mark.write_text("x")
    trivet, alerts = watch(
        inside=f"evt.type in (open, openat) and fd.name = {mark} and container.name = app")
    # The first event of a container may come before its files are read: as long as that takes.
    inside = subprocess.Popen(
        ["sh", "-c", f"echo $$ >{cgroup}/cgroup.procs; sh -c 'sleep 0.5; cat {mark}; read _; :'"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    alert = alerts.wait(lambda row: True)
    assert alert["container_id"] == ident[:12]
    row = fields(alert)
    assert row["container.image.repository"] == "docker.io/library/nginx"
    assert row["container.image.tag"] == "1.22"
    assert row["container.privileged"] == "false"
    assert row["container.mounts"] == "/srv/data:/data:ro:false:rprivate"
    assert row["k8s.pod.name"] == "shop-0"
    assert row["k8s.ns.name"] == "prod"
    sql = f"SELECT name, image, pod, mounts FROM containers WHERE container_id = '{ident[:12]}'"
    answer = trivet.call("query", sql, "-o", "json").stdout
    inside.communicate(b"\n", timeout=30 * harness.SCALE)
    assert json.loads(answer) == {"name": "app", "image": "docker.io/library/nginx:1.22", "pod": "shop-0",
                                  "mounts": '["/srv/data:/data:ro"]'}


def test_alert_flow_and_request_of_a_socket_name_it_and_its_process_alike(watch, nginx):
    trivet, alerts = watch(connected=f"evt.type = connect and fd.sport = {nginx.port} and proc.name = curl")
    flows, requests = trivet.follow("flows"), trivet.follow("http_requests")
    subprocess.run(["curl", "-s", "-o", "/dev/null", f"{nginx.url}/ok/"], check=True,
                   timeout=30 * harness.SCALE)
    alert = alerts.wait(lambda row: True)
    cookie = alert["socket_cookie"]
    assert cookie != 0
    flow = flows.wait(lambda row: row["socket_cookie"] == cookie, what="the client's flow")
    request = requests.wait(lambda row: row["socket_cookie"] == cookie, what="the client's request")
    for column in ("pid", "process_start_ns", "process_exec_count", "process", "exe", "cgroup_id"):
        assert flow[column] == alert[column], column
        assert request[column] == alert[column], column
    # The server's end is another socket, of another process, in both tables.
    served = requests.wait(lambda row: row["process"] == "nginx", what="the server's request")
    # A flow may be told before anybody has accepted it.
    answered = flows.wait(lambda row: row["socket_cookie"] == served["socket_cookie"] and row["pid"] != 0)
    assert answered["pid"] == served["pid"]
    assert answered["cgroup_id"] == served["cgroup_id"]


def test_the_executable_is_writable_to_whom_its_mode_says(start, folder):
    trivet = start(plugins=[])
    nobody = 65534
    programs = {"root's": (0, 0, 0o755), "own": (nobody, nobody, 0o755), "read-only": (nobody, nobody, 0o555),
                "everybody's": (0, 0, 0o757), "group's": (0, 4242, 0o775), "a further group's": (0, 4243, 0o775)}
    expected = {"own", "everybody's", "group's", "a further group's"}
    running = []
    try:
        for number, (owner, group, mode) in enumerate(programs.values()):
            program = folder / f"program{number}"
            program.write_bytes(pathlib.Path("/usr/bin/sleep").read_bytes())
            os.chown(program, owner, group)
            program.chmod(mode)
            running.append(subprocess.Popen([str(program), "60"], user=nobody, group=4242, extra_groups=[4243]))
        ask = f"SELECT pid, exe_writable FROM processes WHERE exe LIKE '{folder}/program%'"
        harness.wait_until(lambda: len(trivet.query(ask)) == len(running), 10, "all run")
        told = {row["pid"]: row["exe_writable"] for row in trivet.query(ask)}
        assert {name for name, process in zip(programs, running) if told[process.pid]} == expected
    finally:
        for process in running:
            process.kill()
            process.wait()


def test_what_proc_says_of_a_process_is_in_its_row(start):
    trivet = start(plugins=[])
    process = subprocess.Popen(["/usr/bin/sleep", "60"], start_new_session=True, user=65534, group=65534)
    try:
        ask = f"SELECT * FROM processes WHERE pid = {process.pid} AND exe LIKE '%/sleep'"
        row = harness.wait_until(lambda: trivet.query(ask), 10, "the process")[0]
        status = harness.process_status(process.pid)
        proc = pathlib.Path(f"/proc/{process.pid}")
        namespaces = {name: int(os.readlink(proc / "ns" / name).strip(":[]" + name)) for name in ("net", "mnt", "pid")}
        assert row["exe_inode"] == os.stat(row["exe"]).st_ino
        assert [row["real_uid"], row["uid"]] == [int(uid) for uid in status["Uid"].split()[:2]]
        assert (row["pgid"], row["sid"]) == (process.pid, process.pid)
        assert row["cap_permitted"] == int(status["CapPrm"], 16)
        assert (row["net_namespace"], row["mount_namespace"], row["pid_namespace"]) == (
            namespaces["net"], namespaces["mnt"], namespaces["pid"])
        login = (proc / "loginuid").read_text()
        assert row["login_uid"] == (None if login == "4294967295" else int(login))
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_datagram_socket_is_known_once_it_is_bound(start, address):
    trivet = start(plugins=[])
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind((address, 0))
        port = bound.getsockname()[1]
        ask = f"SELECT * FROM sockets WHERE protocol = 'udp' AND local_port = {port} AND pid = {os.getpid()}"
        row = harness.wait_until(lambda: trivet.query(ask), 5, "the socket")[0]
        assert (row["state"], row["local_address"]) == ("unconnected", address)
        assert row["net_namespace"] == os.stat("/proc/self/ns/net").st_ino
    harness.wait_until(lambda: not trivet.query(ask), 5, "the socket is gone")


def test_login_user_terminal_memory_file_and_upper_layer_are_seen_at_exec(start, folder):
    trivet = start(plugins=[])
    sleep = pathlib.Path("/usr/bin/sleep").read_bytes()
    layers = {name: folder / name for name in ("lower", "upper", "work", "merged")}
    for layer in layers.values():
        layer.mkdir()
    for name in ("lower", "upper"):
        (layers[name] / name).write_bytes(sleep)
        (layers[name] / name).chmod(0o755)
    overlay = "lowerdir={lower},upperdir={upper},workdir={work}".format(**layers)

    def in_overlay(name):
        return ["unshare", "-m", "sh", "-c", f"mount -t overlay -o {overlay} overlay {layers['merged']} && "
                f"exec {layers['merged']}/{name} 60"]

    memory = os.memfd_create("program", 0)
    os.write(memory, sleep)
    terminal, end = pty.openpty()

    def take_terminal():
        os.setsid()
        fcntl.ioctl(end, termios.TIOCSCTTY, 0)

    running = {
        "logged in": subprocess.Popen(["sh", "-c", "echo 4242 >/proc/self/loginuid; exec sleep 60"]),
        "terminal": subprocess.Popen(["sleep", "60"], preexec_fn=take_terminal),
        "memory": subprocess.Popen([f"/proc/self/fd/{memory}", "60"], pass_fds=[memory]),
        "lower": subprocess.Popen(in_overlay("lower")),
        "upper": subprocess.Popen(in_overlay("upper"))}
    try:
        pids = ", ".join(str(process.pid) for process in running.values())
        ask = f"SELECT * FROM processes WHERE pid IN ({pids}) AND args LIKE '%\"60\"]'"
        harness.wait_until(lambda: len(trivet.query(ask)) == len(running), 10, "all run")
        rows = {row["pid"]: row for row in trivet.query(ask)}
        told = {name: rows[process.pid] for name, process in running.items()}
        assert told["logged in"]["login_uid"] == 4242
        stat = pathlib.Path(f"/proc/{running['terminal'].pid}/stat").read_text().rpartition(")")[2].split()
        assert told["terminal"]["tty"] == int(stat[4]) != 0
        for column, name in (("exe_memfd", "memory"), ("exe_upper_layer", "upper")):
            assert [each for each, row in told.items() if row[column]] == [name], column
    finally:
        for process in running.values():
            process.kill()
            process.wait()
        for descriptor in (memory, terminal, end):
            os.close(descriptor)
