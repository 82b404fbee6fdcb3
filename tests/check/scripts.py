# SPDX-License-Identifier: Apache-2.0
"""Every script parses and may be run; every link in a document leads to a file."""

import ast
import os
import re
import subprocess

import tree

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def shell_faults(path):
    done = subprocess.run(["sh", "-n", tree.ROOT / path], capture_output=True, text=True)
    return [f"{path}: {line}" for line in done.stderr.splitlines()]


def python_faults(path, text):
    try:
        ast.parse(text)
    except SyntaxError as error:
        return [f"{path}:{error.lineno}: {error.msg}"]
    return []


def link_faults(path, text):
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        for target in LINK.findall(line):
            if not re.match(r"[a-z]+:", target) and not (tree.ROOT / path.parent / target).exists():
                faults.append(f"{path}:{number}: {target} does not exist")
    return faults


def main():
    faults = []
    for path in tree.files():
        try:
            text = (tree.ROOT / path).read_text()
        except UnicodeDecodeError:
            continue
        first = text.split("\n", 1)[0]
        if first.startswith("#!") and not os.access(tree.ROOT / path, os.X_OK):
            faults.append(f"{path}: begins with #! but may not be run: chmod +x")
        if first.startswith("#!/bin/sh"):
            faults += shell_faults(path)
        if path.suffix == ".py" or "python" in first and first.startswith("#!"):
            faults += python_faults(path, text)
        if path.suffix == ".md":
            faults += link_faults(path, text)
    tree.finish(faults)


if __name__ == "__main__":
    main()
