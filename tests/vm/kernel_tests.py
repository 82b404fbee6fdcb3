# SPDX-License-Identifier: Apache-2.0
"""The kernel tests (tests/kernel) that an emulated machine is fast enough for, on the kernel that runs
this. As root: kernel_tests.py [PYTEST-ARGUMENT...]"""

import pathlib
import sys

import pytest

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "kernel"
FILES = ["lifecycle", "hooks", "facts", "security", "http", "redis", "dns", "network", "reload"]
# What is left out, and why.
LEFT_OUT = {
}


def main():
    arguments = ["-q", "-p", "no:cacheprovider", "--tb=short", "--durations=8"]
    arguments += [f"--deselect={FOLDER}/{test}" for test in LEFT_OUT]
    sys.exit(pytest.main(arguments + (sys.argv[1:] or [str(FOLDER / f"{name}_test.py") for name in FILES])))


main()
