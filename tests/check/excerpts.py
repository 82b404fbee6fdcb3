# SPDX-License-Identifier: Apache-2.0
"""Code that docs/writing-a-plugin.md shows is that of the example, which the tests build and run.

Each fenced block follows a line `From [name](path):`, and stands in that file word for word. All of the
example is shown, but for licences and opening comments.
"""

import re

import tree

DOCUMENT = "docs/writing-a-plugin.md"
EXCERPT = re.compile(r"^From \[[^\]]+\]\(\.\./([^)]+)\):\n\n```\w+\n(.*?)^```$", re.M | re.S)
FENCE = re.compile(r"^```(?:c|cpp|cmake)$", re.M)


def main():
    faults = []
    text = (tree.ROOT / DOCUMENT).read_text()
    excerpts = EXCERPT.findall(text)
    if len(FENCE.findall(text)) != len(excerpts):
        faults.append(f"{DOCUMENT}: a block of code does not say which file it is from")
    shown = {}
    for path, block in excerpts:
        source = (tree.ROOT / path).read_text()
        if block not in source:
            faults.append(f"{DOCUMENT}: {block.splitlines()[0]!r} and what follows is not in {path}")
        shown[path] = shown.get(path, source).replace(block, "")
    for path, left in shown.items():
        for line in left.splitlines():
            if not re.match(r"\s*($|//|/\*|\*|#|namespace|}|using|TRIVET_PLUGIN)", line):
                faults.append(f"{DOCUMENT}: does not show {line!r} of {path}")
    if len(shown) != 4:
        faults.append(f"{DOCUMENT}: shows {len(shown)} of the example's 4 files")
    tree.finish(faults)


if __name__ == "__main__":
    main()
