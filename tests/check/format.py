# SPDX-License-Identifier: Apache-2.0
"""All C and C++ is as clang-format 14 (Debian 12's) with the folder's .clang-format would write it.

To put it right: clang-format-14 -i FILE...
"""

import os
import shutil
import subprocess

import tree


def main():
    formatter = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not formatter:
        tree.finish(["clang-format is not installed: scripts/install-packages test"])
    faults = []
    paths = [str(p) for p in tree.sources(".h", ".cpp", ".c")]
    width = os.cpu_count() or 1
    running = [subprocess.Popen([formatter, "--dry-run", "-Werror", "-ferror-limit=1", *paths[i::width]],
                                cwd=tree.ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)
               for i in range(width) if paths[i::width]]
    for process in running:
        _, said = process.communicate()
        faults += [line for line in said.splitlines() if "error:" in line]
        if process.returncode and not said:
            faults.append(f"{formatter} ended with {process.returncode} and no word")
    tree.finish(sorted(faults))


if __name__ == "__main__":
    main()
