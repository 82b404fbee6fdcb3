# SPDX-License-Identifier: Apache-2.0
"""The source tree as the checks see it, and how they report."""

import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Made by a tool or by a build; the rules are for what people write.
GENERATED = ("build", "bpf/vmlinux", ".git", ".cache")


def files():
    """Every file of the project, as a path relative to the root, sorted."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        here = pathlib.Path(folder).relative_to(ROOT)
        folders[:] = sorted(f for f in folders
                            if (here / f).as_posix() not in GENERATED and f != "__pycache__"
                            and f != ".pytest_cache")
        # In a second working tree .git is a file.
        found += [here / name for name in names if (here / name).as_posix() not in GENERATED]
    return sorted(found)


def sources(*suffixes):
    return [f for f in files() if f.suffix in suffixes]


def lines(path):
    """(number, line) of a text file."""
    return enumerate((ROOT / path).read_text(errors="replace").splitlines(), 1)


def finish(faults):
    """Ends the check: prints each fault, a sentence that begins with its place."""
    for fault in faults:
        print(fault)
    print(f"{len(faults)} faults")
    sys.exit(1 if faults else 0)
