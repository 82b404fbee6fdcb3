# SPDX-License-Identifier: Apache-2.0
"""What a daemon could leave behind on the host: kernel programs, links, maps, mounts, qdiscs, cgroups."""

import contextlib
import glob
import json
import os
import re
import subprocess
import time


def bpf_objects(kind):
    """{id: what bpftool says} of all programs, links or maps."""
    done = subprocess.run(["bpftool", "-j", kind, "show"], capture_output=True, check=True, text=True)
    return {entry["id"]: entry for entry in json.loads(done.stdout or "[]")}


def held(objects):
    """{kind: ids} of what live processes hold by a descriptor, and what that in turn holds."""
    ids = {"prog": set(), "link": set(), "map": set()}
    for path in glob.iglob("/proc/[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if "bpf" in os.readlink(path):
                with open(path.replace("/fd/", "/fdinfo/")) as file:
                    for kind, number in re.findall(r"^(prog|link|map)_id:\s*(\d+)", file.read(), re.M):
                        ids[kind].add(int(number))
    ids["prog"] |= {objects["link"][i]["prog_id"] for i in ids["link"] & objects["link"].keys()}
    for ident in ids["prog"] & objects["prog"].keys():
        ids["map"] |= set(objects["prog"][ident].get("map_ids", []))
    return ids


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
    theirs = held(after)
    for kind in ("prog", "link", "map"):
        for ident in after[kind].keys() - before[kind].keys() - theirs[kind]:
            entry = after[kind][ident]
            name = entry.get("name", "no name")
            faults.append(f"{kind} {ident} ({entry.get('type', '?')}, {name}) is still there")
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
