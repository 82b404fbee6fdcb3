# SPDX-License-Identifier: Apache-2.0
"""Every metric that the code makes has its row in docs/metrics.md, and every row its metric."""

import re

import tree

NAME = re.compile(r'"((?:trivet|falcosecurity|hubble|http|db|dns|rpc|process)_[a-z0-9_]+)"')
ROW = re.compile(r"^\| `([a-z0-9_]+)` \|", re.M)
# Names of the same form that are no metrics: tables, labels, programs, symbols.
OTHER = {"db_operation_name", "db_system_name", "dns_question_type", "dns_requests",
         "dns_response_code", "http_messages", "http_requests", "http_request_method",
         "http_response_status_code", "http_route", "process_exec", "process_exit", "process_fork",
         "process_snapshot", "process_vm_readv", "process_vm_writev", "rpc_grpc_status_code", "rpc_pipefs",
         "rpc_method", "rpc_service", "rpc_system", "trivet_plugin_create"}


def main():
    rows = set(ROW.findall((tree.ROOT / "docs/metrics.md").read_text()))
    made, faults = set(), []
    for path in tree.sources(".cpp", ".h"):
        if path.parts[0] not in ("core", "plugins"):
            continue
        for number, line in tree.lines(path):
            for name in NAME.findall(line):
                if name in OTHER:
                    continue
                made.add(name)
                if name not in rows:
                    faults.append(f"{path}:{number}: {name} has no row in docs/metrics.md")
    faults += [f"docs/metrics.md: {name} is made nowhere" for name in sorted(rows - made)]
    tree.finish(faults)


if __name__ == "__main__":
    main()
