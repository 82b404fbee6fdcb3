# SPDX-License-Identifier: Apache-2.0
"""What a daemon could leave behind on the host: kernel programs, links, maps, mounts, qdiscs, cgroups."""

import json
import os
import subprocess
import time


def bpf_objects(kind):
    """{id: what it is} of all programs, links or maps, with the pids that hold it."""
    done = subprocess.run(["bpftool", "-j", kind, "show"], capture_output=True, check=True, text=True)
    objects = {}
    for entry in json.loads(done.stdout or "[]"):
        holders = tuple(sorted(p["pid"] for p in entry.get("pids", [])))
        objects[entry["id"]] = (entry.get("type", "?"), entry.get("name", ""), holders)
    return objects


def mounts(*types):
    found = []
    with open("/proc/self/mountinfo") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            if right.split()[0] in types:
                found.append((left.split()[4], right.split()[0]))
    return found


def folders(root):
    return {path for path, _, _ in os.walk(root)}


def take():
    """The host's state as sets of things, by kind."""
    state = {kind: bpf_objects(kind) for kind in ("prog", "link", "map")}
    # bpftool mounts bpffs when it finds none: not a trace of the daemon.
    state["mount"] = set(mounts("cgroup2", "tracefs"))
    state["cgroup"] = {f for place, _ in mounts("cgroup2") for f in folders(place)}
    state["pinned"] = {f for place, _ in mounts("bpf") for f in folders(place)}
    qdiscs = subprocess.run(["tc", "-j", "qdisc", "show"], capture_output=True, text=True, check=False)
    state["qdisc"] = {(q.get("dev"), q.get("kind"), q.get("handle"))
                      for q in json.loads(qdiscs.stdout or "[]")}
    return state


def left_behind(before):
    """Sentences on what is there now and was not before. Objects that a live process holds are its
    business: the daemon under test has ended."""
    after, faults = take(), []
    for kind in ("prog", "link", "map"):
        for ident in after[kind].keys() - before[kind].keys():
            what, name, holders = after[kind][ident]
            if not holders:
                faults.append(f"{kind} {ident} ({what}, {name or 'no name'}) is still there")
    for kind in ("mount", "cgroup", "pinned", "qdisc"):
        faults += [f"{kind} {thing} is still there" for thing in after[kind] - before[kind]]
    return faults


def assert_as_before(before, seconds=10):
    # The kernel frees programs and maps after a grace period.
    end = time.monotonic() + seconds
    while True:
        faults = left_behind(before)
        if not faults:
            return
        if time.monotonic() > end:
            raise AssertionError("\n".join(faults))
        time.sleep(0.2)
