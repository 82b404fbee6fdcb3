# SPDX-License-Identifier: Apache-2.0
"""Alerts where there is much of everything: floods are held back and counted without hiding what else
happens, rules are exchanged without a gap, and memory stays bounded."""

import collections
import json
import os
import subprocess
import sys
import threading
import time

import pytest

import trivet_harness as harness

RULE = """
- rule: {name}
  desc: whatever the test's program does
  condition: {condition}
  output: "%fd.name"
  priority: WARNING
  tags: [test, T0000]
"""


def entering(cgroup, *command):
    return ["sh", "-c", f"echo $$ >{cgroup}/cgroup.procs; exec \"$@\"", "sh", *command]


@pytest.fixture
def cgroups():
    """Makes cgroups for deeds."""
    made = []

    def make():
        path = harness.cgroup_root() / f"trivet-test-{os.getpid()}-{len(made)}"
        path.mkdir()
        made.append(path)
        return path

    yield make
    for path in made:
        harness.wait_until(lambda: not (path / "cgroup.procs").read_text(), 5, "the cgroup is empty")
        path.rmdir()


FLOOD = "import os, sys\nfor i in range(int(sys.argv[2])): os.close(os.open(sys.argv[1], os.O_RDONLY))\n"


def test_a_flood_hides_neither_other_files_nor_rules_nor_cgroups(start, cgroups, folder):
    trivet = start(plugins=["security"], changes={"security.alert_window_s": 4})
    alerts = trivet.follow("alerts")
    noisy, other = cgroups(), cgroups()
    flood = lambda path, count, cgroup: subprocess.run(
        entering(cgroup, sys.executable, "-c", FLOOD, path, str(count)), check=True)
    noise = threading.Thread(target=flood, args=("/etc/shadow", 50000, noisy))
    noise.start()
    time.sleep(0.2)
    # In the flood's cgroup: another file of the same rule, another program, another rule.
    flood("/etc/gshadow", 1, noisy)
    subprocess.run(entering(noisy, "cat", "/etc/shadow"), stdout=subprocess.DEVNULL, check=True)
    subprocess.run(entering(noisy, "find", str(folder), "-name", "id_rsa"), stdout=subprocess.DEVNULL, check=True)
    flood("/etc/shadow", 1, other)
    noise.join()
    in_cgroup = lambda a, cgroup: a["cgroup_id"] == cgroup.stat().st_ino
    told = lambda cgroup, what, **has: alerts.wait(
        lambda a: in_cgroup(a, cgroup) and a["held"] == 0
        and all(has_value in str(a[key]) for key, has_value in has.items()), what=what)
    told(noisy, "another file", output="/etc/gshadow")
    told(noisy, "another program", process="cat")
    told(noisy, "another rule", process="find")
    told(other, "another cgroup", output="/etc/shadow")
    held = alerts.wait(lambda a: in_cgroup(a, noisy) and a["held"] > 0, seconds=10, what="what was held back")
    total = lambda: sum(max(a["held"], 1) for a in alerts.matching(
        lambda a: in_cgroup(a, noisy) and "/etc/shadow" in a["output"] and a["process"] != "cat"))
    dropped = lambda: sum(trivet.metrics().sum(name) for name in (
        "trivet_events_dropped_total", "trivet_queue_dropped_events_total"))
    # Not one is unaccounted for.
    harness.wait_until(lambda: total() + dropped() >= 50000, 15, "every alert is told or counted")
    assert total() <= 50000
    assert len(alerts.matching(lambda a: in_cgroup(a, noisy) and a["held"] == 0)) < 30
    assert held["held_first"] < held["held_last"] and held["output_fields"]["held.count"] == held["held"]
    assert held["output"].startswith("Held back: ")
    matches = trivet.metrics().sum("falcosecurity_falco_rules_matches_total", priority="4", source="syscall",
                                   rule_name="Password file read by an unexpected program",
                                   tag_mitre_credential_access="true", tag_T1003_008="true")
    assert matches >= total()
    assert trivet.metrics().sum("trivet_security_held_alerts_total") > 40000


BPF_RULES = [harness.OWN_RULES, harness.FALCO_FOLDER / "falco-incubating_rules.yaml"]
BPF_NAMES = ["BPF program loaded by an unexpected program", "BPF Program Not Profiled"]
# Lets the kernel check a program of two instructions, as its first call of bpf(2).
LOADER = ("import ctypes, struct; code = ctypes.create_string_buffer(bytes.fromhex('b700000000000000 9500000000000000')); "
          "name = ctypes.create_string_buffer(b'GPL'); "
          "attr = struct.pack('<IIQQ', 1, 2, ctypes.addressof(code), ctypes.addressof(name)).ljust(128, b'\\0'); "
          "assert ctypes.CDLL(None).syscall(321, 5, attr, 128) > 0")


def test_what_trivet_loads_itself_raises_nothing_whatever_it_is_called(start, folder):
    rules = [path for path in BPF_RULES if path.exists()]
    trivet = start(plugins=["security"], changes={"security.rules_files": rules, "security.rule_matching": "all"})
    alerts = trivet.follow("alerts")
    trivet.configure({"tracing.enabled": True, "network.enabled": True})
    trivet.call("reload")
    up = [row["state"] for row in json.loads(trivet.call("plugin", "ls", "-o", "json").stdout)]
    assert up == ["running"] * 3
    # A program of the same name is another.
    other = folder / "trivet"
    other.symlink_to(sys.executable)
    loader = subprocess.Popen([other, "-c", LOADER])
    assert loader.wait(20 * harness.SCALE) == 0
    for name in BPF_NAMES[:len(rules)]:
        alerts.wait(lambda a: a["rule"] == name and a["pid"] == loader.pid, what=name)
    own = {trivet.process.pid, *trivet.children()}
    assert [a["output"] for a in alerts.matching(lambda a: a["pid"] in own)] == []


DEEDS = """
import os, sys, time
number = 0
while not os.path.exists(sys.argv[2]):
    os.close(os.open(f"{sys.argv[1]}/deed-{number}", os.O_CREAT | os.O_WRONLY))
    number += 1
    time.sleep(0.0005)
print(number)
"""


def test_while_rules_are_exchanged_twenty_times_every_deed_is_told_once(start, folder):
    """The rules before and after need different system calls, so that hooks come and go."""
    rules, place, stop = folder / "rules.yaml", folder / "deeds", folder / "stop"
    place.mkdir()
    deed = f"evt.type = openat and evt.is_open_write = true and fd.name startswith {place}/"
    versions = [
        RULE.format(name="Old", condition=deed),
        RULE.format(name="New", condition=deed)
        + RULE.format(name="More", condition="evt.type in (connect, unlink, dup2) and proc.name = nobody-has-this"),
    ]
    rules.write_text(versions[0])
    trivet = start(plugins=["security"], changes={"security.rules_files": [rules], "security.alert_window_s": 0})
    doer = subprocess.Popen([sys.executable, "-c", DEEDS, place, stop], stdout=subprocess.PIPE, text=True)
    for number in range(1, 21):
        rules.write_text(versions[number % 2])
        trivet.call("reload")
        time.sleep(0.05)
    stop.touch()
    count = int(doer.communicate(timeout=30 * harness.SCALE)[0])
    hooks = json.loads(trivet.call("status", "-o", "json").stdout)
    assert count > 200, hooks
    told = lambda: collections.Counter(row["output"] for row in trivet.rows("alerts"))
    harness.wait_until(lambda: sum(told().values()) >= count, 20, f"{count} alerts")
    assert told() == {f"{place}/deed-{number}": 1 for number in range(count)}
    assert {row["rule"] for row in trivet.rows("alerts")} == {"Old", "New"}
    assert "started again" not in trivet.log()


STORM = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
/* bomb TOTAL: processes whose children start a program and go, some hundred at a time; files COUNT: so
   many open at once, by as many processes as the limit of one asks for. */
int main(int argc, char **argv) {
  long count = atol(argv[2]);
  if (argv[1][0] == 'f') {
    struct rlimit limit = {count + 100, count + 100};
    if (setrlimit(RLIMIT_NOFILE, &limit)) {
      getrlimit(RLIMIT_NOFILE, &limit);
      limit.rlim_cur = limit.rlim_max;
      if (setrlimit(RLIMIT_NOFILE, &limit)) return perror("setrlimit"), 1;
    }
    for (; count > 0 && open("/dev/null", O_WRONLY) >= 0; count--) {}
    if (count == 0) return 0;
    int status = 0;
    char rest[32];
    snprintf(rest, sizeof(rest), "%ld", count);
    if (fork() == 0) {
      for (int fd = 3; close(fd) == 0; fd++) {}
      execl(argv[0], argv[0], "files", rest, NULL);
      _exit(1);
    }
    return wait(&status) < 0 || status != 0;
  }
  while (count > 0) {
    int alive = 0;
    for (; alive < 400 && count > 0; alive++, count--) {
      pid_t pid = fork();
      if (pid == 0) {
        if (fork() == 0) { usleep(1000); execl("/bin/true", "true", NULL); }
        _exit(0);
      }
      if (pid < 0) return perror("fork"), 1;
    }
    while (wait(NULL) > 0) {}
  }
  return 0;
}
"""


def memory_kb(trivet):
    return int(harness.process_status(trivet.main_pid())["VmRSS"].split()[0])


def test_fork_bombs_and_100_000_open_files_take_no_memory_for_good(start, cgroups, folder):
    source, storm = folder / "storm.c", folder / "storm"
    source.write_text(STORM)
    subprocess.run(["gcc", "-O1", "-o", storm, source], check=True)
    trivet = start(plugins=["security"])
    cgroup = cgroups()
    run = lambda *what: subprocess.run(entering(cgroup, storm, *what), check=True, timeout=120 * harness.SCALE)
    at_start = memory_kb(trivet)
    sizes = []
    for _ in range(4):
        run("bomb", "4000")
        run("files", "100000")
        time.sleep(1)
        sizes.append(memory_kb(trivet))
    # Once what is kept of processes that have gone is full, it grows no more.
    assert sizes[-1] - sizes[-2] < 8 * 1024, (at_start, sizes)
    assert sizes[-1] < 160 * 1024, (at_start, sizes)
    # And it still sees.
    alerts = trivet.follow("alerts")
    subprocess.run(entering(cgroup, "cat", "/etc/shadow"), stdout=subprocess.DEVNULL, check=True)
    alerts.wait(lambda a: a["cgroup_id"] == cgroup.stat().st_ino and a["process"] == "cat")
