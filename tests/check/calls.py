# SPDX-License-Identifier: Apache-2.0
"""The numbers in the table of system calls are those of the kernel's own headers (linux-libc-dev)."""

import pathlib
import re

import tree

TABLE = "plugins/security/calls.h"
INCLUDE = pathlib.Path("/usr/include")
NUMBER = re.compile(r"^#define (?:__NR|__NR3264|SYS)_(\w+)\s+(\d+)", re.M)
ROW = re.compile(r'\{"(\w+)", Category::\w+, \{([^}]*)\}')


def numbers(*paths):
    """Of the first of these headers that is there; None if none is."""
    for path in paths:
        if (INCLUDE / path).exists():
            return {name: int(number) for name, number in NUMBER.findall((INCLUDE / path).read_text())}
    return None


def faults_of(name, row, headers):
    x86_64, i386, arm64, older, socketcall = row
    native, compat, generic, sockets = headers
    wide = compat.get(name + "32", compat.get(name + "64")) if older is not None else compat.get(name)
    pairs = [("x86_64", x86_64, native.get(name)), ("i386", i386, wide),
             ("arm64", arm64, generic.get(name)), ("socketcall", socketcall, sockets.get(name.upper()))]
    if older is not None:
        pairs.append(("older i386", older, compat.get(name)))
    # A call that these headers are too old for has no number there at all.
    if not any(real for _, _, real in pairs[:3]):
        return []
    return [f"{TABLE}: {name} is {ours} of {kind}, the header says {real}"
            for kind, ours, real in pairs if ours != real]


def main():
    headers = [numbers("x86_64-linux-gnu/asm/unistd_64.h", "asm/unistd_64.h"),
               numbers("x86_64-linux-gnu/asm/unistd_32.h", "asm/unistd_32.h"),
               numbers("asm-generic/unistd.h"), numbers("linux/net.h")]
    faults, rows = [], ROW.findall((tree.ROOT / TABLE).read_text())
    if None not in headers:
        for name, text in rows:
            row = [None if part.strip() == "kNo" else int(part) for part in text.split(",")]
            faults += faults_of(name, row + [None] * (5 - len(row)), headers)
    tree.finish(faults if rows else [f"{TABLE}: no row is read"])


if __name__ == "__main__":
    main()
