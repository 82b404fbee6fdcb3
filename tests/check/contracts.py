# SPDX-License-Identifier: Apache-2.0
"""The events in bpf/ are those of docs/contracts.md: id, size and version.

Both compilers check each size against its TRIVET_EVENT line; here the line is checked against the
document, whose table has a row `| name | id | size | version |` for each.
"""

import re

import tree

EVENT = re.compile(r"^TRIVET_EVENT\((\w+),\s*([^,]+),\s*([^,]+),\s*([^,)]+)\)", re.M)
ROW = re.compile(r"^\|\s*`?(\w+_event)`?\s*\|\s*(\d+)\s*\|\s*(\d+)\s*\|\s*(\d+)\s*\|", re.M)
# bpf/event.h: who owns which ids.
IDS = {"core": range(1, 64), "security": range(64, 128), "tracing": range(128, 192),
       "network": range(192, 240)}


def number(expression):
    """The value of a size such as `72 + 24`; None if it is no plain sum."""
    if not re.fullmatch(r"[\d\s+*()]+", expression):
        return None
    return eval(expression, {"__builtins__": {}})  # digits and arithmetic only, by the line above


def main():
    faults, declared = [], {}
    for path in tree.sources(".h"):
        if path.parts[0] != "bpf":
            continue
        text = (tree.ROOT / path).read_text()
        for name, *values in EVENT.findall(text):
            numbers = tuple(number(v.strip()) for v in values)
            if None in numbers:
                faults.append(f"{path}: {name}: write id, size and version as numbers")
                continue
            if numbers[0] not in IDS.get(path.parts[1], range(0)):
                faults.append(f"{path}: {name}: id {numbers[0]} is not one of {path.parts[1]}'s")
            for other, known in declared.items():
                if known[0] == numbers[0]:
                    faults.append(f"{path}: {name} and {other} share the id {numbers[0]}")
            declared[name] = numbers
    document = tree.ROOT / "docs/contracts.md"
    rows = {name: tuple(map(int, values))
            for name, *values in ROW.findall(document.read_text())} if document.exists() else {}
    for name, numbers in declared.items():
        if name not in rows:
            faults.append(f"docs/contracts.md: lacks the row | `{name}` | "
                          f"{' | '.join(map(str, numbers))} |")
        elif rows[name] != numbers:
            faults.append(f"docs/contracts.md: {name} is {numbers} in the code, {rows[name]} here")
    faults += [f"docs/contracts.md: {name} is in no header" for name in rows if name not in declared]
    if not declared:
        faults.append("bpf: no TRIVET_EVENT found")
    tree.finish(faults)


if __name__ == "__main__":
    main()
