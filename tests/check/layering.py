# SPDX-License-Identifier: Apache-2.0
"""Who may include whom: docs/contracts.md's table as a test."""

import collections
import re

import tree

INCLUDE = re.compile(r'\s*#\s*include\s+([<"])([^>"]+)[>"]')
PLUGINS = ("security", "tracing", "network")

# A third-party header and the only folders or files that may include it.
PLACES = {
    r"bpf/": ("core/broker/", "core/lanes/", "bpf/", "tests/"),
    r"boost/dll|boost/dll\.hpp": ("core/plugins/",),
    r"boost/program_options": ("core/cli/",),
    r"boost/(asio|beast)": ("core/http/",),
    r"prometheus/": ("core/metrics/",),
    r"toml\+\+/": ("core/config/",),
    r"yaml-cpp/": ("plugins/security/",),
    r"re2/": ("plugins/security/",),
    r"libelf\.h|gelf\.h|elf\.h": ("core/plugins/", "core/broker/", "plugins/tracing/", "tests/"),
    r"sqlite3\.h": ("core/query/", "tests/"),
    r"nlohmann/": ("core/", "plugins/security/", "tests/"),
    r"seccomp\.h": ("core/broker/",),
    r"zstd\.h": ("core/records/", "plugins/tracing/", "tests/"),
    r"zlib\.h|brotli/": ("plugins/tracing/", "tests/"),
    r"openssl/": ("plugins/tracing/",),
    r"xxhash\.h": ("core/records/", "tests/"),
    r"curl/": ("core/outputs/",),
    r"doctest/": ("tests/",),
}
# Each of these is included by one file of each of its places, beside the tests.
ONCE = (r"boost/dll", r"boost/program_options", r"toml\+\+/", r"yaml-cpp/", r"re2/",
        r"prometheus/exposer", r"seccomp\.h", r"zstd\.h", r"xxhash\.h", r"zlib\.h", r"brotli/", r"openssl/x509",
        r"curl/")


def project_header(path, name):
    """The project's file that `#include "name"` in `path` means, relative to the root, or None."""
    rooms = [path.parent]
    if path.parts[0] in ("core", "tests"):
        rooms += map(tree.pathlib.Path, ("core", "core/include", "bpf", "plugins", "tests", "tests/unit"))
    elif path.parts[0] == "plugins":
        rooms += map(tree.pathlib.Path, ("plugins", "core/include", "bpf"))
    elif path.parts[0] == "examples":
        rooms += map(tree.pathlib.Path, (f"examples/{path.parts[1]}/bpf", "core/include", "bpf"))
    else:
        rooms += map(tree.pathlib.Path, ("bpf",))
    for room in rooms:
        if (tree.ROOT / room / name).is_file():
            return (tree.ROOT / room / name).resolve().relative_to(tree.ROOT.resolve()).as_posix()
    return None


def shared_with_kernel(header):
    return header.startswith("bpf/") and not header.endswith(".bpf.h")


def own_fault(path, header):
    """Why `path` may not include the project's `header`, or None."""
    room = path.parts[0]
    if room == "bpf":
        if not header.startswith("bpf/"):
            return "bpf/ includes nothing from elsewhere"
        if len(path.parts) > 2 and path.parts[1] in PLUGINS and header.startswith(
                tuple(f"bpf/{p}/" for p in PLUGINS if p != path.parts[1])):
            return "a plugin's kernel programs know no other plugin's"
    elif room == "plugins":
        if header.startswith("plugins/") and not header.startswith(f"plugins/{path.parts[1]}/"):
            return "a plugin includes no other plugin: share a record type in core/include/trivet/records"
        if header.startswith("core/") and not header.startswith("core/include/trivet/"):
            return "a plugin includes of the core only trivet/ (core/include)"
        if header.startswith("bpf/") and not shared_with_kernel(header):
            return "kernel-only headers stay in bpf/"
        if header.startswith(tuple(f"bpf/{p}/" for p in PLUGINS if p != path.parts[1])):
            return "a plugin includes no other plugin's events"
    elif room == "examples":
        if header.startswith(f"examples/{path.parts[1]}/"):
            return None
        installed = ("bpf/",) if path.parts[2] == "bpf" else ("bpf/", "core/include/trivet/")
        if not header.startswith(installed) or header.startswith(tuple(f"bpf/{p}/" for p in PLUGINS)):
            return "an example includes only what is installed"
    elif room == "core":
        if header.startswith("plugins/"):
            return "the core includes no plugin"
        if header.startswith(tuple(f"bpf/{p}/" for p in PLUGINS)):
            return "the core knows no plugin's events"
        if header.startswith("bpf/") and not shared_with_kernel(header):
            return "kernel-only headers stay in bpf/"
        if path.as_posix().startswith("core/include/") and not header.startswith(
                ("core/include/", "bpf/")):
            return "the public API stands alone"
    return None


# Headers that the build makes for kernel programs.
MADE_FOR_BPF = {"security/call_table.h"}


def foreign_fault(path, name):
    """Why `path` may not include the third-party header `name`, or None."""
    place = path.as_posix()
    if path.parts[0] == "bpf" and not re.match(r"bpf/|linux/types\.h$", name):
        return "bpf/ includes nothing from elsewhere but libbpf's headers and linux/types.h"
    for pattern, places in PLACES.items():
        if re.match(pattern, name) and not place.startswith(places):
            return f"{name.split('/')[0]} belongs in {' or '.join(places)}"
    return None


def main():
    faults, users = [], collections.defaultdict(set)
    for path in tree.sources(".h", ".cpp", ".c"):
        for number, line in tree.lines(path):
            match = INCLUDE.match(line)
            if not match:
                continue
            bracket, name = match.groups()
            here = f"{path}:{number}: includes {name}: "
            if name == "vmlinux.h":
                if path.parts[0] != "bpf":
                    faults.append(here + "vmlinux.h is for kernel programs")
                continue
            if path.parts[0] == "bpf" and name in MADE_FOR_BPF:
                continue
            header = project_header(path, name) if bracket == '"' else None
            if bracket == '"' and header is None:
                faults.append(here + "there is no such file in a room that it may include")
                continue
            fault = own_fault(path, header) if header else foreign_fault(path, name)
            if fault:
                faults.append(here + fault)
            for pattern in ONCE:
                if not header and re.match(pattern, name) and path.parts[0] != "tests":
                    users[pattern].add(path.as_posix())
    for pattern, paths in users.items():
        rooms = collections.Counter(path.rpartition("/")[0] for path in paths)
        if any(files > 1 for files in rooms.values()):
            faults.append(f"{', '.join(sorted(paths))}: {pattern} is included in several files of one "
                          "place; one may")
    tree.finish(faults)


if __name__ == "__main__":
    main()
