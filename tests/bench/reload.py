# SPDX-License-Identifier: Apache-2.0
"""What a reload costs a plugin that goes on, and one that is switched off and on: events not seen, and the
longest time between two that were, beside the same without a reload (A B A B).

    sudo tests/bench/reload.py build/release/bin/trivet
"""

import contextlib
import os
import pathlib
import statistics
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kernel"))
import trivet_harness as harness  # noqa: E402

ROUNDS = 20
SECONDS = 1
RULE = """
- rule: Deed
  desc: An open of a file of the benchmark, in edition {edition} of the rule
  condition: evt.type in (open, openat) and fd.name startswith {folder}/deed-
  output: deed %fd.name
  priority: NOTICE
"""


class Bench:
    def __init__(self, folder):
        self.folder, self.edition, self.deeds = folder, 0, 0
        self.rules = folder / "rules.yaml"
        self.write_rules()
        self.daemon = harness.Trivet(folder, changes={"security.rules_files": [self.rules],
                                                    "security.alert_window_s": 0})
        self.daemon.start()

    def write_rules(self):
        self.edition += 1
        self.rules.write_text(RULE.format(edition=self.edition, folder=self.folder))

    def measure(self, between):
        """Opens for a second with between() in their midst: (deeds without an alert, longest gap in ns)."""
        first, end = self.deeds, time.monotonic() + SECONDS
        beside = threading.Timer(SECONDS / 4, between)
        beside.start()
        while time.monotonic() < end or beside.is_alive():
            with contextlib.suppress(FileNotFoundError):
                os.open(self.folder / f"deed-{self.deeds}", os.O_RDONLY)
            self.deeds += 1
            time.sleep(0.0002)
        time.sleep(0.3)
        path = f"{self.folder}/deed-"
        rows = self.daemon.query(
            f"SELECT time_ns, CAST(substr(output, {len('deed ' + path) + 1}) AS INTEGER) AS number FROM alerts "
            f"WHERE rule = 'Deed' AND number >= {first} ORDER BY time_ns")
        seen = {row["number"] for row in rows}
        gap = max(b["time_ns"] - a["time_ns"] for a, b in zip(rows, rows[1:]))
        return self.deeds - first - len(seen), gap

    def reload_rules(self):
        self.write_rules()
        self.daemon.call("reload")

    def toggle(self, name):
        for enabled in (False, True):
            self.daemon.configure({f"{name}.enabled": enabled})
            self.daemon.call("reload")


def main():
    os.environ["TRIVET_BIN"] = sys.argv[1]
    with tempfile.TemporaryDirectory(dir="/run", prefix="trivet-bench-") as folder:
        os.chmod(folder, 0o755)
        bench = Bench(pathlib.Path(folder))
        kinds = {"nothing": lambda: None, "new rules, reload": bench.reload_rules,
                 "network off and on": lambda: bench.toggle("network"),
                 "security off and on": lambda: bench.toggle("security")}
        found = {kind: [] for kind in kinds}
        for _ in range(ROUNDS):
            for kind, between in kinds.items():
                found[kind].append(bench.measure(between))
        bench.daemon.close()
    for kind, pairs in found.items():
        print(f"{kind:20} {sum(missed for missed, _ in pairs):6} events not seen in {len(pairs)} times, longest time "
              f"between two {statistics.median(gap for _, gap in pairs) / 1e6:.2f} ms (median)")


if __name__ == "__main__":
    main()
