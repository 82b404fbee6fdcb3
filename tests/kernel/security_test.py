# SPDX-License-Identifier: Apache-2.0
"""Rules judged on live events: each deed is done for real and its alert awaited; near misses stay silent.

By the shipped rules, and by Falco's own rule file where it lies beside this checkout.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import pytest

import host_snapshot
import trivet_harness as harness

SOURCES = {"own": harness.OWN_RULES}
if harness.FALCO_RULES.exists():
    SOURCES["falco"] = harness.FALCO_RULES
FALCO_KEYS = {"hostname", "output", "output_fields", "priority", "rule", "source", "tags", "time"}


def shell(command, folder, cgroup=None):
    """Runs a command by a shell's child. The deed may fail by itself: the attempt counts."""
    enter = f"echo $$ >{cgroup}/cgroup.procs; " if cgroup else ""
    subprocess.run(["sh", "-c", f"{enter}{command}; true"], cwd=folder, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30 * harness.SCALE)


def read_shadow(folder):
    shell("cat /etc/shadow", folder)


def truncate_a_log(folder):
    # The first is a log to Falco's rules, the second to ours.
    for name in ("auth.log", ".bash_history"):
        (folder / name).write_text("a line\n")
        shell(f"exec 3>{folder}/{name}", folder)


def search_private_keys(folder):
    shell("grep -r 'BEGIN RSA PRIVATE' .", folder)


def find_private_keys(folder):
    shell("find . -name id_rsa", folder)


def link_over_shadow(folder):
    shell("ln -s /etc/shadow over", folder)


def shell_below_a_server(folder):
    # A server that was made to start a shell: the process' name is that of the file it was started from.
    server = folder / "redis-server"
    shutil.copy(os.path.realpath("/usr/bin/python3"), server)
    subprocess.run([server, "-c", "import subprocess; subprocess.run(['/bin/sh', '-c', 'exit 3; :'])"],
                   cwd=folder, stdin=subprocess.DEVNULL, timeout=30 * harness.SCALE)


# (deed, process, text that a field holds, Falco's rule and priority, ours)
DEEDS = [
    (read_shadow, "cat", "/etc/shadow", ("Read sensitive file untrusted", "Warning"),
     ("Password file read by an unexpected program", "Warning")),
    (truncate_a_log, "sh", "trivet-test-", ("Clear Log Activities", "Warning"), ("Shell history destroyed", "Warning")),
    (search_private_keys, "grep", "BEGIN RSA PRIVATE", ("Search Private Keys or Passwords", "Warning"),
     ("Search for keys and passwords", "Warning")),
    (find_private_keys, "find", "find . -name id_rsa", ("Search Private Keys or Passwords", "Warning"),
     ("Search for keys and passwords", "Warning")),
    (link_over_shadow, "ln", "/etc/shadow", ("Create Symlink Over Sensitive Files", "Warning"),
     ("Link to a password file", "Warning")),
    (shell_below_a_server, "sh", "redis-server", ("Run shell untrusted", "Notice"),
     ("Shell started by a server", "Error")),
]


@pytest.fixture(params=SOURCES)
def source(request):
    return request.param


@pytest.fixture
def security(start, source):
    # Every alert, also where there are many that are alike.
    return start(plugins=["security"], changes={"security.rules_files": [SOURCES[source]],
                                                "security.alert_window_s": 0})


@pytest.mark.parametrize("deed, process, text, falco, own", DEEDS, ids=[d[0].__name__ for d in DEEDS])
def test_the_deed_raises_the_alert_within_a_second(security, source, folder, deed, process, text, falco, own):
    rule, priority = falco if source == "falco" else own
    alerts = security.follow("alerts")
    deed(folder)
    alert = alerts.wait(
        lambda a: a["rule"] == rule and a["process"] == process
        and any(text in str(value) for value in a["output_fields"].values()),
        seconds=1, what=rule)
    assert alert["priority"].lower() == priority.lower()
    assert alert["source"] == "syscall"
    assert text in alert["output"]


@pytest.fixture
def cgroup(start):
    """A cgroup for the deeds of one test: what other programs on this machine do is told apart by it."""
    root = next(place for place, _ in host_snapshot.mounts("cgroup2"))
    path = pathlib.Path(root) / f"trivet-test-{os.getpid()}"
    path.mkdir()
    yield path
    harness.wait_until(lambda: not (path / "cgroup.procs").read_text(), 5, "the cgroup is empty")
    path.rmdir()


def test_every_deed_raises_exactly_one_alert_of_its_rule(security, folder, cgroup):
    alerts = security.follow("alerts")
    shell("cat /etc/shadow; find . -name id_rsa", folder, cgroup)
    own = lambda a: a["cgroup_id"] == cgroup.stat().st_ino
    alerts.wait(lambda a: own(a) and a["process"] == "find")
    assert [a["process"] for a in alerts.matching(own)] == ["cat", "find"]


def test_an_alert_prints_as_falco_prints_it(security, folder):
    alerts = security.follow("alerts", form="falco")
    read_shadow(folder)
    alert = alerts.wait(lambda a: a["output_fields"].get("proc.cmdline") == "cat /etc/shadow")
    assert set(alert) == FALCO_KEYS
    assert alert["output_fields"]["fd.name"] == "/etc/shadow"
    assert abs(alert["output_fields"]["evt.time"] - time.time_ns()) < 60 * 10**9
    assert alert["hostname"] == os.uname().nodename
    assert isinstance(alert["tags"], list) and isinstance(alert["output_fields"], dict)
    assert alert["time"].endswith("Z")
    # Falco prefixes its output with the event's time and the rule's priority.
    assert re.match(r"\d\d:\d\d:\d\d\.\d{9}: Warning ", alert["output"])


NEAR_MISSES = [
    "cat /etc/hostname",
    "ls -l /etc/shadow",
    "exec 3>>auth.log",
    "exec 3>notes.txt",
    "grep -r 'BEGIN PUBLIC' .",
    "find . -name known_hosts",
    "ln -s /etc/shadow-not over",
    "sh -c 'exit 0; :'",
]


def test_near_misses_raise_no_alert(security, folder, cgroup):
    (folder / "auth.log").write_text("a line\n")
    alerts = security.follow("alerts")
    for near_miss in NEAR_MISSES:
        shell(near_miss, folder, cgroup)
    # Events are judged in order: when this alert is there, the others would be.
    shell("cat /etc/shadow", folder, cgroup)
    own = lambda a: a["cgroup_id"] == cgroup.stat().st_ino
    alerts.wait(lambda a: own(a) and a["process"] == "cat")
    assert [a["output"] for a in alerts.matching(lambda a: own(a) and a["process"] != "cat")] == []


def test_a_relative_path_and_one_through_a_link_are_the_same_file(security, folder):
    alerts = security.follow("alerts")
    shell("cd /etc && cat shadow", folder)
    alerts.wait(lambda a: a["output_fields"].get("proc.cmdline") == "cat shadow"
                and a["output_fields"]["fd.name"] == "/etc/shadow", seconds=1)


def test_a_thousand_shells_lose_no_alert(security, folder):
    """Each of 200 readers among a storm of processes raises its own alert."""
    alerts = security.follow("alerts")
    shell("i=0; while [ $i -lt 200 ]; do /bin/true; cat /etc/shadow; /bin/true; i=$((i+1)); done", folder)
    readers = lambda: {a["pid"] for a in alerts.matching(
        lambda a: a["process"] == "cat" and a["output_fields"]["fd.name"] == "/etc/shadow")}
    harness.wait_until(lambda: len(readers()) >= 200, 10, "200 alerts")


def test_a_file_under_the_name_of_a_removed_link_is_told_as_opened(security, folder):
    """What was opened counts, not what the name points to later."""
    alerts = security.follow("alerts")
    link = folder / "name"
    link.symlink_to("/etc/shadow")
    subprocess.run(["cat", str(link)], stdout=subprocess.DEVNULL)
    link.unlink()
    alerts.wait(lambda a: a["process"] == "cat", what="the alert on a read through a link")


# A 64-bit program that makes 32-bit calls: per-call tracepoints do not see those. Pointers are below 4 GiB.
COMPAT_CALLER = r"""
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
static int call(int number, long a, long b, long c) {
  int result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c)
                   : "memory", "r8", "r9", "r10", "r11");
  return result;
}
int main(int argc, char **argv) {
  char *low = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (low == MAP_FAILED || argc < 2) return 1;
  strcpy(low, "/etc/shadow");
  strcpy(low + 64, "over");
  if (!strcmp(argv[1], "open")) return call(5, (long)low, 0, 0) < 0;
  if (!strcmp(argv[1], "openat")) return call(295, -100, (long)low, 0) < 0;
  if (!strcmp(argv[1], "symlink")) return call(83, (long)low, (long)low + 64, 0) < 0;
  struct sockaddr_in *peer = (void *)(low + 128);
  *peer = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(9),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (!strcmp(argv[1], "connect")) return call(362, fd, (long)peer, sizeof(*peer)) < 0;
  unsigned *arguments = (void *)(low + 256);
  arguments[0] = fd;
  arguments[1] = (long)peer;
  arguments[2] = sizeof(*peer);
  return call(102, 3, (long)arguments, 0) < 0;  /* socketcall(SYS_CONNECT) */
}
"""
COMPAT_RULES = """
- rule: Touched by a 32-bit call
  desc: whatever the test's program does
  condition: >
    proc.name = compat_caller and ((evt.type in (open, openat) and fd.name = /etc/shadow)
    or (evt.type = symlink and evt.arg.target = /etc/shadow)
    or (evt.type = connect and fd.sip = 127.0.0.1 and fd.sport = 9))
  output: "%evt.type"
  priority: WARNING
"""
# perf_event_open(2), by which per-call tracepoints are attached.
NO_TRACEPOINTS = [sys.executable, pathlib.Path(__file__).with_name("refuse.py"), "298"]
COMPAT_DEEDS = {"open": "open", "openat": "openat", "symlink": "symlink", "connect": "connect",
                "socketcall": "connect"}


@pytest.mark.skipif(not os.path.exists("/proc/sys/abi/vsyscall32"), reason="this kernel has no 32-bit calls")
@pytest.mark.parametrize("tier", ["tracepoint", "tp_btf"])
def test_a_64_bit_program_hides_nothing_in_32_bit_calls(start, folder, tier):
    source = folder / "compat_caller.c"
    source.write_text(COMPAT_CALLER)
    caller = folder / "compat_caller"
    subprocess.run(["gcc", "-w", "-static", "-o", caller, source], check=True)
    rules = folder / "compat_rules.yaml"
    rules.write_text(COMPAT_RULES)
    trivet = start(plugins=["security"], changes={"security.rules_files": [rules]},
                   launcher=NO_TRACEPOINTS if tier == "tp_btf" else ())
    hooks = json.loads(trivet.call("status", "-o", "json").stdout)["hooks"]
    assert {h["hook"]: h["tier"] for h in hooks if h["plugin"] == "security"}["calls"] == tier
    alerts = trivet.follow("alerts")
    for deed, event_type in COMPAT_DEEDS.items():
        doer = subprocess.Popen([caller, deed], cwd=folder)
        assert doer.wait(30 * harness.SCALE) == 0
        # Once each: as a 32-bit call only.
        alerts.wait(lambda a: a["pid"] == doer.pid and a["output"] == event_type, what=deed)
    outputs = [a["output"] for a in alerts.matching(lambda a: a["process"] == "compat_caller")]
    assert outputs == list(COMPAT_DEEDS.values())
