# SPDX-License-Identifier: Apache-2.0
"""What judging rules costs programs and the machine, against no agent, interleaved A B C A B C.

    sudo tests/bench/rules_cost.py build/release/bin/trivet [FALCO_RULES_FOLDER [ROUNDS]]

Loads as people know them from Falco's figures: an untraced call, opens that fail and succeed, connects,
spawned programs, a parallel build. CPU time, not wall time: the load's per iteration, the agent's per
million iterations. Then the latency of an alert, from the open to its line at a reader of the live stream.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kernel"))
import trivet_harness as harness  # noqa: E402

ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 5
ALERTS = 200
LOADS = r"""
#include <arpa/inet.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
extern char **environ;
static double used(void) {
  struct rusage own, children;
  getrusage(RUSAGE_SELF, &own);
  getrusage(RUSAGE_CHILDREN, &children);
  return (own.ru_utime.tv_sec + own.ru_stime.tv_sec + children.ru_utime.tv_sec + children.ru_stime.tv_sec) * 1e9 +
         (own.ru_utime.tv_usec + own.ru_stime.tv_usec + children.ru_utime.tv_usec + children.ru_stime.tv_usec) * 1e3;
}
int main(int count, char **words) {
  const char *load = words[1];
  double seconds = atof(words[2]), before = used();
  struct timespec now, start;
  struct sockaddr_in closed = {.sin_family = AF_INET, .sin_port = htons(1), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  char names[2][64];
  snprintf(names[0], sizeof(names[0]), "/run/trivet-bench-%d-a", getpid());
  snprintf(names[1], sizeof(names[1]), "/run/trivet-bench-%d-b", getpid());
  close(creat(names[0], 0600));
  char *quiet[] = {"/bin/true", NULL};
  long done = 0;
  clock_gettime(CLOCK_MONOTONIC, &start);
  do {
    for (int i = 0; i < (strcmp(load, "spawn") ? 1000 : 10); i++, done++) {
      if (!strcmp(load, "getppid")) {
        syscall(SYS_getppid);
      } else if (!strcmp(load, "failed open")) {
        open("/etc/nothing-of-that-name", O_RDONLY);
      } else if (!strcmp(load, "open and close")) {
        close(open("/etc/passwd", O_RDONLY));
      } else if (!strcmp(load, "rename")) {
        rename(names[i % 2], names[1 - i % 2]);
      } else if (!strcmp(load, "connect")) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        connect(fd, (struct sockaddr *)&closed, sizeof(closed));
        close(fd);
      } else {
        pid_t child;
        if (posix_spawn(&child, quiet[0], NULL, NULL, quiet, environ)) return 1;
        waitpid(child, NULL, 0);
      }
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while (now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) / 1e9 < seconds);
  unlink(names[0]);
  unlink(names[1]);
  printf("%ld %.1f\n", done, (used() - before) / done);
  return 0;
}
"""
NAMES = ["getppid", "failed open", "open and close", "rename", "connect", "spawn"]


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def build(folder):
    """A parallel build of small files: (1, its CPU in ns)."""
    before = os.times()
    makers = [subprocess.Popen(["gcc", "-O1", "-x", "c", "-c", "-", "-o", f"{folder}/{i}.o"], stdin=subprocess.PIPE,
                               text=True) for i in range(8)]
    for maker in makers:
        maker.communicate("#include <stdio.h>\n#include <stdlib.h>\nint f(void) { return puts(\"x\"); }\n")
    after = os.times()
    return 1, (after.children_user + after.children_system - before.children_user - before.children_system) * 1e9


def run_load(folder, name):
    if name == "build":
        return build(folder)
    answer = subprocess.run([folder / "loads", name, "1"], capture_output=True, text=True, check=True)
    done, ns = answer.stdout.split()
    return int(done), float(ns)


def settled(daemon, pids):
    """The agent's CPU once it has caught up."""
    last = -1
    while (now := cpu_seconds(pids)) - last > 0.01:
        last = now
        time.sleep(0.3)
    return now


def latencies(daemon):
    """Milliseconds from an open to the line at a reader of the live stream."""
    stream = subprocess.Popen(daemon.command("observe", "alerts", "-f", "-o", "json"), stdout=subprocess.PIPE, text=True)
    came, arrived = [], threading.Semaphore(0)

    def read():
        for line in stream.stdout:
            at = time.clock_gettime(time.CLOCK_BOOTTIME)
            if json.loads(line)["pid"] == os.getpid():
                came.append(at)
                arrived.release()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    time.sleep(0.5)
    ms = []
    for _ in range(ALERTS):
        at = time.clock_gettime(time.CLOCK_BOOTTIME)
        os.close(os.open("/etc/shadow", os.O_RDONLY))
        if not arrived.acquire(timeout=5):
            raise SystemExit("an alert did not come")
        ms.append((came[-1] - at) * 1000)
        time.sleep(0.01)
    stream.terminate()
    stream.wait()
    reader.join()
    return sorted(ms)


def main():
    os.environ["TRIVET_BIN"] = sys.argv[1]
    sets = {"none": None, "own rules": [harness.OWN_RULES]}
    if len(sys.argv) > 2:
        falco = pathlib.Path(sys.argv[2])
        sets["Falco, stable"] = [falco / "falco_rules.yaml"]
        sets["Falco, all"] = [falco / "falco_rules.yaml", falco / "falco-incubating_rules.yaml"]
    ns, agent, told, lost = {}, {}, {}, {}
    starts, memory, delays = {}, {}, {}
    with tempfile.TemporaryDirectory(dir="/run", prefix="trivet-bench-") as top:
        os.chmod(top, 0o755)
        top = pathlib.Path(top)
        subprocess.run(["cc", "-O2", "-x", "c", "-", "-o", top / "loads"], input=LOADS, text=True, check=True)
        for number in range(ROUNDS):
            for rules, files in sets.items():
                daemon = None
                if files:
                    place = top / f"{number}-{rules.replace(' ', '-')}"
                    place.mkdir()
                    daemon = harness.Trivet(place, plugins=["security"], changes={"security.rules_files": files})
                    begun = time.monotonic()
                    daemon.start()
                    starts.setdefault(rules, []).append(time.monotonic() - begun)
                    pids = [daemon.process.pid, *daemon.children()]
                for name in [*NAMES, "build"]:
                    key = (rules, name)
                    if daemon:
                        cpu, before = settled(daemon, pids), daemon.metrics()
                    done, each = run_load(top, name)
                    ns.setdefault(key, []).append(each)
                    if daemon:
                        agent.setdefault(key, []).append((settled(daemon, pids) - cpu) / done * 1e6)
                        after = daemon.metrics()
                        more = lambda metric: after.sum(metric) - before.sum(metric)
                        told.setdefault(key, []).append(more("trivet_security_events_total") / done)
                        gone = more("trivet_events_dropped_total") + more("trivet_queue_dropped_events_total")
                        lost.setdefault(key, []).append(gone)
                if daemon:
                    memory.setdefault(rules, []).append(sum(
                        int(harness.process_status(pid)["VmRSS"].split()[0]) for pid in pids) / 1024)
                    delays.setdefault(rules, []).extend(latencies(daemon))
                    daemon.close()
    middle = statistics.median
    print(f"{'load':16}{'rules':16}{'CPU ns':>10}{'added':>10}{'ratio':>7}{'judged':>8}{'agent s/M':>11}{'lost':>8}")
    for name in [*NAMES, "build"]:
        for rules in sets:
            key, base = (rules, name), ns["none", name]
            added = middle(a - b for a, b in zip(ns[key], base))
            line = f"{name:16}{rules:16}{middle(ns[key]):10.0f}{added:10.0f}{middle(ns[key]) / middle(base):7.2f}"
            if key in agent:
                line += f"{middle(told[key]):8.2f}{middle(agent[key]):11.2f}{sum(lost[key]):8.0f}"
            print(line)
    for rules, ms in delays.items():
        ms.sort()
        print(f"{rules}: start to answer {middle(starts[rules]):.2f} s, resident {middle(memory[rules]):.0f} MiB, "
              f"alert latency p50 {ms[len(ms) // 2]:.2f} p99 {ms[len(ms) * 99 // 100]:.2f} max {ms[-1]:.2f} ms")


main()
