# SPDX-License-Identifier: Apache-2.0
"""Hooks: what a kernel or a container withholds is said in words, and a hook that stops is noticed."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

import host_snapshot
import trivet_harness as harness

REFUSE = pathlib.Path(__file__).with_name("refuse.py")
BPF = "321"  # the system call's number on x86-64


def refusing(numbers):
    return [sys.executable, str(REFUSE), numbers]


def without(*capabilities):
    dropped = ",".join(f"-{name}" for name in capabilities)
    return ["setpriv", f"--bounding-set={dropped}"]


def trivet(folder, *verb, launcher=()):
    config = folder / "trivet.toml"
    config.write_text(harness.changed_configuration(harness.shipped_configuration(), {
        "control.socket": folder / "t.sock", "metrics.listen": f"127.0.0.1:{harness.free_port()}"}))
    return subprocess.run([*launcher, harness.trivet_program(), *verb, "-c", str(config)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          timeout=60 * harness.SCALE)


def conditions(done):
    return {c["condition"]: c for c in json.loads(done.stdout)["host"]}


def test_doctor_finds_this_host_fit_and_every_hook_served(folder):
    done = trivet(folder, "doctor", "-o", "json")
    assert done.returncode == 0, done.stderr
    host = conditions(done)
    assert {c["fitness"] for c in host.values()} == {"good"}, host
    assert os.uname().release in host["kernel"]["sentence"]
    assert str(harness.cgroup_root()) in host["cgroup2"]["sentence"]
    hybrid = " - cgroup " in pathlib.Path("/proc/self/mountinfo").read_text()
    assert ("hybrid" in host["cgroup2"]["sentence"]) == hybrid
    hooks = json.loads(done.stdout)["hooks"]
    assert {h["plugin"] for h in hooks} == {"core", "security", "tracing", "network"}
    for hook in hooks:
        # Where the kernel refuses trampolines, this one is gone without.
        if hook["hook"] == "paths" and [t["refusal"] for t in hook["tried"]] == ["Operation not permitted"]:
            continue
        assert hook["tier"], hook
        assert hook["tier"] == next(t["tier"] for t in hook["tried"] if not t["refusal"]), hook


# (what runs it, what is wrong, what doctor and run must both say)
UNFIT = [
    ("without CAP_BPF", without("bpf"), "capabilities", ["CAP_BPF", "programs", "--cap-add"]),
    ("without CAP_PERFMON and CAP_NET_ADMIN", without("perfmon", "net_admin"), "capabilities",
     ["CAP_PERFMON .* and CAP_NET_ADMIN"]),
    ("in a user namespace", ["unshare", "--user", "--map-root-user"], "user", ["user namespace"]),
    ("with bpf(2) refused by a filter", refusing(BPF), "bpf", [r"bpf\(2\) is refused", "seccomp"]),
    ("as an ordinary user", ["setpriv", "--reuid", "65534", "--clear-groups"], "user", ["root", "sudo"]),
]


@pytest.mark.parametrize("launcher, condition, says", [row[1:] for row in UNFIT],
                         ids=[row[0].replace(" ", "_") for row in UNFIT])
def test_what_a_host_withholds_is_said_by_doctor_and_at_the_start(installed, folder, launcher, condition, says):
    config = folder / "trivet.toml"
    config.write_text(harness.shipped_configuration())
    for verb in ("doctor", "run"):
        done = subprocess.run([*launcher, installed[0], verb, "-c", config], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, timeout=60 * harness.SCALE)
        assert done.returncode == 1, done.stderr
        for pattern in says:
            assert re.search(pattern, done.stderr), f"{pattern!r} is not in: {done.stderr}"
        if verb == "doctor":
            assert f"{condition}: unfit: " in done.stdout, done.stdout


def test_lesser_capabilities_that_are_missing_are_told_and_trivet_runs(start):
    daemon = start(launcher=without("sys_ptrace", "dac_read_search"))
    assert re.search("CAP_SYS_PTRACE .*environments.* and CAP_DAC_READ_SEARCH", daemon.log())


def test_locked_memory_may_be_as_little_as_nothing(start):
    daemon = start(launcher=["prlimit", "--memlock=0:0", *without("sys_resource")])
    limits = pathlib.Path(f"/proc/{daemon.process.pid}/limits").read_text()
    assert re.search(r"Max locked memory +0 +0 ", limits), limits
    states = {p["state"] for p in json.loads(daemon.call("status", "-o", "json").stdout)["plugins"]}
    assert states == {"running"}


def test_without_cgroup2_it_says_what_does_not_run(folder):
    hidden = ["unshare", "--mount", "sh", "-c", f'umount -l {harness.cgroup_root()} && exec "$@"', "sh"]
    done = trivet(folder, "doctor", "-o", "json", launcher=hidden)
    assert done.returncode == 1
    condition = conditions(done)["cgroup2"]
    assert condition["fitness"] == "limited"
    assert "mount -t cgroup2" in condition["sentence"] and "network" in condition["sentence"]
    refused = {(h["plugin"], h["hook"]) for h in json.loads(done.stdout)["hooks"] if not h["tier"]}
    assert ("network", "connect") in refused and ("tracing", "payload") in refused
    assert ("core", "process") not in refused


def hook_status(daemon, plugin, hook):
    hooks = json.loads(daemon.call("status", "-o", "json").stdout)["hooks"]
    return next(h for h in hooks if (h["plugin"], h["hook"]) == (plugin, hook))


def links_of(daemon):
    """{id: what bpftool says} of the links that the broker holds."""
    held = set()
    for path in pathlib.Path(f"/proc/{daemon.process.pid}/fdinfo").iterdir():
        held |= {int(number) for number in re.findall(r"^link_id:\s*(\d+)", path.read_text(), re.M)}
    return {number: link for number, link in host_snapshot.bpf_objects("link").items() if number in held}


def test_a_hook_that_is_taken_away_is_said_shown_and_counted_until_it_is_back(start):
    daemon = start()
    silent = lambda **labels: daemon.metrics().sum("trivet_hook_silent_checks_total", **labels)
    assert hook_status(daemon, "network", "connect")["silent"] == ""
    link = next(number for number, link in links_of(daemon).items()
                if link.get("attach_type") in ("connect4", "cgroup_inet4_connect"))
    subprocess.run(["bpftool", "link", "detach", "id", str(link)], check=True, stdin=subprocess.DEVNULL)
    harness.wait_until(lambda: silent(plugin="network", hook="connect") > 0, 15, "it is noticed")
    assert "network_connect4" in hook_status(daemon, "network", "connect")["silent"]
    assert re.search("stopped firing.*network.*connect.*network_connect4", daemon.log())
    # Nothing else is thought to be silent.
    assert silent() == silent(plugin="network", hook="connect")

    for enabled in (False, True):
        daemon.configure({"network.enabled": enabled})
        daemon.call("reload")
    harness.wait_until(lambda: hook_status(daemon, "network", "connect")["silent"] == "", 15, "it is back")
    assert "fires again" in daemon.log()
