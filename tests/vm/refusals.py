# SPDX-License-Identifier: Apache-2.0
"""On a kernel where trivet cannot run, doctor and run say so in one sentence: refusals.py PATTERN"""

import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kernel"))
import trivet_harness as harness  # noqa: E402


def main():
    with tempfile.TemporaryDirectory(dir="/run") as folder:
        config = pathlib.Path(folder) / "trivet.toml"
        config.write_text(harness.shipped_configuration())
        for verb in ("doctor", "run"):
            done = subprocess.run([harness.trivet_program(), verb, "-c", config], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, check=False)
            print(verb, done.returncode, done.stderr.strip())
            assert done.returncode == 1 and re.search(sys.argv[1], done.stderr)
            assert len(done.stderr.strip().splitlines()) == 1


main()
