# SPDX-License-Identifier: Apache-2.0
"""Each file names its licence; no unfinished work, no name that says nothing, no machine's own path."""

import re

import tree

KERNEL_SIDE = ("bpf/", "tests/flood/flood.", "tests/bench/policy/", "examples/signals/bpf/")
CODE = {".h", ".cpp", ".c", ".py", ".cmake", ".sh", ".S"}
# Spelt apart, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
MACHINE = re.compile(r"/wo" r"rk/|/ho" r"me/\w|/tm" r"p/build-")
EMPTY_NAME = re.compile(r"(^|_)(util|utils|helper|helpers|common|misc|mgr|impl)(_|$)")
# Fixtures are somebody's real bytes, the licence is what it is.
EXEMPT = ("tests/data/", "tests/fuzz/corpus", "LICENSE")


def is_code(path):
    if path.suffix in CODE or path.name == "CMakeLists.txt":
        return True
    return path.parts[0] in ("scripts", "packaging", ".ci") and path.suffix == ""


def main():
    faults = []
    for path in tree.files():
        place = path.as_posix()
        if place.startswith(EXEMPT):
            continue
        if EMPTY_NAME.search(path.name.split(".")[0]):
            faults.append(f"{place}: the name says nothing: call it what it is about")
        try:
            text = (tree.ROOT / path).read_text()
        except UnicodeDecodeError:
            continue
        if is_code(path):
            kernel_side = path.as_posix().startswith(KERNEL_SIDE)
            wanted = "SPDX-License-Identifier: " + (
                "GPL-2.0-only OR BSD-2-Clause" if kernel_side else "Apache-2.0")
            if wanted not in "\n".join(text.splitlines()[:3]):
                faults.append(f"{place}:1: lacks its licence: {wanted}")
        for number, line in enumerate(text.splitlines(), 1):
            if is_code(path) and UNFINISHED.search(line):
                faults.append(f"{place}:{number}: unfinished work: finish it or leave it out")
            if MACHINE.search(line):
                faults.append(f"{place}:{number}: a path of one machine")
            if line != line.rstrip() and path.suffix != ".md":
                faults.append(f"{place}:{number}: white space at the end")
        if text and not text.endswith("\n"):
            faults.append(f"{place}: the last line has no end")
    tree.finish(faults)


if __name__ == "__main__":
    main()
