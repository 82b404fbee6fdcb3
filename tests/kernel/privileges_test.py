# SPDX-License-Identifier: Apache-2.0
"""What a main process that has been taken over holds: nothing that root could use."""

import contextlib
import os
import pathlib
import subprocess

import pytest

import trivet_harness as harness


@pytest.fixture
def main(start):
    return start().main_pid()


def test_main_is_an_ordinary_user_without_capabilities(main):
    status = harness.process_status(main)
    assert "0" not in status["Uid"].split() + status["Gid"].split()
    assert not {"0"} & set(status["Groups"].split())
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[capabilities], 16) == 0, capabilities
    assert status["NoNewPrivs"] == "1"


def test_every_thread_of_main_is_as_bare(main):
    for task in pathlib.Path(f"/proc/{main}/task").iterdir():
        text = (task / "status").read_text()
        assert "CapEff:\t0000000000000000" in text and "NoNewPrivs:\t1" in text


def test_both_processes_filter_their_system_calls_and_the_broker_keeps_few_capabilities(main):
    broker = int(harness.process_status(main)["PPid"])
    for pid in (main, broker):
        assert harness.process_status(pid)["Seccomp"] == "2"
        assert harness.process_status(pid)["NoNewPrivs"] == "1"
    kept = int(harness.process_status(broker)["CapEff"], 16)
    asked = {2: "DAC_READ_SEARCH", 5: "KILL", 6: "SETGID", 7: "SETUID", 8: "SETPCAP", 12: "NET_ADMIN",
             19: "SYS_PTRACE", 21: "SYS_ADMIN", 38: "PERFMON", 39: "BPF"}
    assert {bit for bit in range(64) if kept >> bit & 1} <= set(asked)
    assert harness.process_status(broker)["CapPrm"] == harness.process_status(broker)["CapEff"]


def descriptors(pid):
    """(number, target) of each descriptor."""
    found = []
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # opened and closed again meanwhile
            found.append((int(fd.name), os.readlink(fd)))
    return found


def test_main_holds_maps_but_no_program_no_link_and_no_btf(main):
    targets = [target for _, target in descriptors(main)]
    kernel = {target for target in targets if "bpf" in target}
    assert kernel <= {"anon_inode:bpf-map"}, kernel
    assert "anon_inode:bpf-map" in kernel
    assert not [t for t in targets if "fanotify" in t]


def test_main_holds_no_folder_no_device_and_no_file_of_another_user_for_writing(main):
    for number, target in descriptors(main):
        if not target.startswith("/") or target == "/dev/null":
            continue
        assert not os.path.isdir(target), target
        flags = int(pathlib.Path(f"/proc/{main}/fdinfo/{number}").read_text().split("flags:")[1].split()[0], 8)
        # Standard output and error are the operator's choice.
        assert number <= 2 or flags & os.O_ACCMODE == os.O_RDONLY, f"{number} -> {target}"


def as_main(pid, *command):
    """Runs a command with exactly the identity of that process."""
    status = harness.process_status(pid)
    uid, gid = status["Uid"].split()[0], status["Gid"].split()[0]
    return subprocess.run(["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", "--inh-caps=-all",
                           "--bounding-set=-all", "--no-new-privs", *command],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=30 * harness.SCALE)


def assert_refused(pid, *command, reason="Permission denied"):
    """For that reason, and not because the program is missing."""
    done = as_main(pid, *command)
    assert done.returncode != 0 and reason in done.stderr, f"{command}: {done}"


def test_its_user_cannot_read_shadow_nor_load_a_program(main):
    assert_refused(main, "cat", "/etc/shadow")
    assert_refused(main, "bpftool", "prog", "show", reason="Operation not permitted")
    assert_refused(main, "kill", "-0", str(os.getppid()), reason="Operation not permitted")


def test_its_user_cannot_open_the_brokers_memory_or_descriptors(main):
    parent = int(harness.process_status(main)["PPid"])
    assert_refused(main, "ls", f"/proc/{parent}/fd")
    assert_refused(main, "cat", f"/proc/{parent}/environ")
