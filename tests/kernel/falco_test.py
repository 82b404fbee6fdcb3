# SPDX-License-Identifier: Apache-2.0
"""Falco's own rules, unchanged, where they lie beside this checkout: each raised by its deed, done with
real programs, while a near miss beside it stays silent. Containers are run by runc."""

import itertools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

import host_snapshot
import trivet_harness as harness
from deeds import (ALL, PRIVILEGED, PYTHON, Inside, do, in_python, in_shell, named, outside, python, shell,
                   udp)

FILES = [harness.FALCO_FOLDER / name for name in ("falco_rules.yaml", "falco-incubating_rules.yaml")]
pytestmark = pytest.mark.skipif(not all(map(pathlib.Path.exists, FILES)),
                                reason=f"no {FILES[0]} (TRIVET_SHARED_DATA)")
HOME = pathlib.Path("/home", "trivet-test")

# What a rule leaves to its users to fill in.
CHOICES = """
- list: namespace_scope_network_only_subnet
  items: [prod]
  override:
    items: append
"""


# rule -> (deed, near miss)
DEEDS = {
    # Stable.
    "Directory traversal monitored file read": (["cat", "/etc/../etc/../etc/hostname"],
                                                ["cat", "/etc/../etc/hostname"]),
    "Read sensitive file trusted after startup": (
        named("nginx", "import time; time.sleep(5.2); open(\"/etc/shadow\")"),
        named("nginx", "open(\"/etc/shadow\")")),
    "Read sensitive file untrusted": (["cat", "/etc/shadow"], shell("exec 3</etc/shadow")),
    "Run shell untrusted": (
        named("redis-server", "import subprocess; subprocess.run([\"sh\", \"-c\", \"exit 3; :\"])"),
        named("a-server", "import subprocess; subprocess.run([\"sh\", \"-c\", \"exit 3; :\"])")),
    "System user interactive": (
        named("sshd", "import subprocess; subprocess.run([\"/usr/bin/id\"], user=65534)"),
        named("sshd", "import subprocess; subprocess.run([\"/usr/bin/id\"])")),
    "Terminal shell in container": (in_shell(":", terminal=True), in_shell(":")),
    "Contact K8S API Server From Container": (in_python(udp("203.0.113.7", 6443), outside=True),
                                              in_python(udp("10.77.0.1", 6443), outside=True)),
    "Netcat Remote Code Execution in Container": (in_shell("nc -e /bin/sh 127.0.0.1 1"),
                                                  in_shell("nc 127.0.0.1 1")),
    "Search Private Keys or Passwords": (shell("find . -name id_rsa"), shell("find . -name known_hosts")),
    "Clear Log Activities": (shell("echo x >auth.log"), shell("echo x >>auth.log")),
    "Remove Bulk Data from Disk": (shell("echo x >old; shred -u old"), shell("echo x >old; rm old")),
    "Create Symlink Over Sensitive Files": (shell("ln -s /etc/shadow over"), shell("ln -s /etc/hosts over")),
    "Create Hardlink Over Sensitive Files": (shell("ln /etc/shadow over"), shell("ln /etc/hosts over")),
    "Packet socket created in container": (
        in_python("socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", caps=["CAP_NET_RAW"]),
        in_python("socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", caps=["CAP_NET_RAW"])),
    "Redirect STDOUT/STDIN to Network Connection in Container": (
        in_python("s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((\"127.0.0.1\", 9)); "
                  "os.dup2(s.fileno(), 0)"),
        in_python("s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((\"127.0.0.1\", 9)); "
                  "os.dup2(s.fileno(), 9)")),
    "Linux Kernel Module Injection Detected": (in_python("c.syscall(313, -1, b\"\", 0)", caps=ALL),
                                               in_python("c.syscall(313, -1, b\"\", 0)")),
    "Debugfs Launched in Privileged Container": (in_shell("sleep 0.5; debugfs -V", caps=PRIVILEGED),
                                                 in_shell("sleep 0.5; debugfs -V")),
    "Detect release_agent File Container Escapes": (in_shell("echo x >/tmp/release_agent", caps=ALL),
                                                    in_shell("echo x >/tmp/release_agent")),
    "PTRACE attached to process": (
        python("p = os.fork(); p or os.execv(\"/bin/sleep\", [\"sleep\", \"0.1\"]); c.ptrace(16, p, 0, 0); os.kill(p, 9)"),
        python("p = os.fork(); p or os.execv(\"/bin/sleep\", [\"sleep\", \"0.1\"]); c.ptrace(17, p, 0, 0); os.kill(p, 9)")),
    "PTRACE anti-debug attempt": (python("c.ptrace(0, 0, 0, 0)"), python("c.ptrace(1, 0, 0, 0)")),
    "Find AWS Credentials": (shell("grep -r aws_secret_access_key ."), shell("grep -r aws_region .")),
    "Execution from /dev/shm": (
        shell("cp /bin/true /dev/shm/trivet-test; /dev/shm/trivet-test; rm /dev/shm/trivet-test"),
        shell("cp /bin/true trivet-test; ./trivet-test")),
    "Drop and execute new binary in container": (
        in_shell("cp /bin/true /tmp/dropped; /tmp/dropped"), in_shell("cp /bin/true /tmp/dropped; /bin/true")),
    "Disallowed SSH Connection Non Standard Port": (
        outside("timeout 3 nc -l 443 & sleep 0.5; timeout 1 ssh -p 443 203.0.113.7"),
        outside("timeout 3 nc -l 2222 & sleep 0.5; timeout 1 ssh -p 2222 203.0.113.7")),
    "Fileless execution via memfd_create": (
        python("f = os.memfd_create(\"x\"); os.write(f, open(\"/bin/true\", \"rb\").read()); "
               "os.execve(f, [\"x\"], {})"),
        python("f = os.memfd_create(\"x\"); os.execve(\"/bin/true\", [\"x\"], {})")),
    # Incubating.
    "Modify Shell Configuration File": (shell("touch .bashrc"), shell("touch bashrc")),
    "Schedule Cron Jobs": (shell("touch /etc/cron.trivet-test; rm /etc/cron.trivet-test"),
                           shell("touch cron.trivet-test")),
    "Read ssh information": (shell(f"cat {HOME}/.ssh/id"), shell(f"cat {HOME}/id")),
    "DB program spawned process": (
        named("postgres", "import subprocess; subprocess.run([\"/usr/bin/id\"])"),
        named("posters", "import subprocess; subprocess.run([\"/usr/bin/id\"])")),
    "Change thread namespace": (
        python("c.setns(os.open(\"/proc/self/ns/uts\", os.O_RDONLY), 0)"),
        shell("nsenter --uts=/proc/self/ns/uts true")),
    "Change namespace privileges via unshare": (in_python("c.unshare(0x10000000)"),
                                                in_python("c.unshare(0x10000000)", caps=ALL)),
    "Launch Privileged Container": (in_shell(":", caps=PRIVILEGED), in_shell(":")),
    "Launch Excessively Capable Container": (in_shell(":", caps=["CAP_NET_ADMIN"]),
                                             in_shell(":", caps=["CAP_CHOWN"])),
    "System procs network activity": (outside("bash -c 'exec 3<>/dev/udp/203.0.113.7/53'"),
                                      outside("bash -c 'exec 3<>/dev/udp/127.0.0.1/53'")),
    "Program run with disallowed http proxy env": (shell("env -i HTTP_PROXY=x curl -V"),
                                                   shell("env -i FTP_PROXY=x curl -V")),
    "Unexpected UDP Traffic": (outside(f"{PYTHON} -c 'import socket; {udp('203.0.113.7', 9999)}'"),
                               outside(f"{PYTHON} -c 'import socket; {udp('203.0.113.7', 123)}'")),
    "Non sudo setuid": (python("os.setuid(54321)"), python("os.setuid(65534)")),
    "User mgmt binaries": (shell("useradd --help"), shell("useradd -D")),
    "Create files below dev": (shell("touch /dev/trivet-test; rm /dev/trivet-test"),
                               shell("touch /dev/shm/trivet-test; rm /dev/shm/trivet-test")),
    "Contact EC2 Instance Metadata Service From Container": (
        in_python(udp("169.254.169.254", 80), outside=True),
        in_python(udp("169.254.169.253", 80), outside=True)),
    "Contact cloud metadata service from container": (
        in_python(udp("169.254.169.254", 80), outside=True),
        in_python(udp("169.254.169.253", 80), outside=True)),
    "Launch Package Management Process in Container": (in_shell("apt-get -v"), in_shell("dpkg-deb --version")),
    "Launch Suspicious Network Tool in Container": (in_shell("nc 127.0.0.1 1"), in_shell("curl -V")),
    "Launch Suspicious Network Tool on Host": (shell("nc -h"), shell("curl -V")),
    "Delete or rename shell history": (shell("touch .zsh_history; mv .zsh_history gone"),
                                       shell("touch history; mv history gone; rm gone")),
    "Set Setuid or Setgid bit": (shell("touch x; chmod u+s x"), shell("touch x; chmod 755 x")),
    "Launch Remote File Copy Tools in Container": (in_shell("rsync --version"), in_shell("ls /")),
    "Network Connection outside Local Subnet": (
        in_shell(f"sleep 0.5; {PYTHON} -c 'import socket; {udp('203.0.113.7', 6443)}'", outside=True),
        in_shell(f"sleep 0.5; {PYTHON} -c 'import socket; {udp('10.77.0.1', 6443)}'", outside=True)),
    "Mount Launched in Privileged Container": (
        in_shell("sleep 0.5; mount -t tmpfs none /nowhere", caps=PRIVILEGED),
        in_shell("sleep 0.5; mount -V", caps=PRIVILEGED)),
    "Launch Ingress Remote File Copy Tools in Container": (in_shell("wget --version"), in_shell("curl -V")),
    "Read environment variable from /proc files": (in_shell("cat /proc/self/environ"),
                                                   in_shell("cat /proc/self/status")),
    "Exfiltrating Artifacts via Kubernetes Control Plane": (
        Inside("tar", "cf", "/tmp/x", "/data/secret"), in_shell("tar cf /tmp/x /data/secret")),
    "Adding ssh keys to authorized_keys": (shell(f"echo x >>{HOME}/.ssh/authorized_keys"),
                                           shell(f"echo x >>{HOME}/.ssh/id")),
    "Potential Local Privilege Escalation via Environment Variables Misuse": (
        shell("env GLIBC_TUNABLES=x=y sleep 0.5"), shell("env GLIBC=x=y sleep 0.5")),
    "Backdoored library loaded into SSHD (CVE-2024-3094)": (
        named("sshd", "open(\"liblzma.so.5.6.1\")"), named("sshd", "open(\"liblzma.so.5.4.1\")")),
    "BPF Program Not Profiled": (python("c.syscall(321, 5, 0, 0)"), python("c.syscall(321, 7, 0, 0)")),
}

@pytest.fixture(scope="module")
def alerts():
    """One daemon that judges every rule of both files on every event, and its alerts."""
    before = host_snapshot.take()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="trivet-test-", dir="/run"))
    folder.chmod(0o755)
    choices = folder / "choices.yaml"
    choices.write_text(CHOICES)
    (HOME / ".ssh").mkdir(parents=True)
    for path in (HOME / ".ssh/id", HOME / "id"):
        path.write_text("x")
    trivet = harness.Trivet(folder, plugins=["security"], changes={
        "security.rules_files": [*FILES, choices], "security.rule_matching": "all"})
    # This daemon's own /etc/hosts gives the name of one rule an address.
    hosts = folder / "hosts"
    hosts.write_text("203.0.113.7 kubernetes.default.svc.cluster.local\n")
    trivet.launcher = ["unshare", "-m", "sh", "-c", f"mount --bind {hosts} /etc/hosts; exec \"$@\"", "sh"]
    try:
        trivet.start()
        yield trivet.follow("alerts")
        trivet.close()
    finally:
        shutil.rmtree(HOME)
        shutil.rmtree(folder)
    host_snapshot.assert_as_before(before)


@pytest.mark.parametrize("rule", DEEDS)
def test_the_deed_raises_the_rule_and_a_near_miss_does_not(alerts, folder, rule):
    if "Module" in rule and not os.path.exists("/proc/modules"):
        pytest.skip("this kernel takes no modules")
    deed, near_miss = DEEDS[rule]
    for name in ("liblzma.so.5.6.1", "liblzma.so.5.4.1"):
        (folder / name).write_text("x")
    missed = do(near_miss, folder)
    done = do(deed, folder)
    alerts.wait(lambda a: a["rule"] == rule and a["cgroup_id"] == done, what=rule)
    # Events are judged in order: an alert on the near miss would be there.
    assert [a["output"] for a in alerts.matching(
        lambda a: a["rule"] == rule and a["cgroup_id"] == missed)] == []


def test_every_rule_of_both_files_is_judged_and_has_its_deed(folder):
    choices = folder / "choices.yaml"
    choices.write_text(CHOICES)
    answer = subprocess.run([harness.trivet_program(), "rules", "ls", "-o", "json"]
                            + list(itertools.chain(*(("--rules", str(file)) for file in [*FILES, choices]))),
                            capture_output=True, text=True, check=True)
    rules = json.loads(answer.stdout)
    assert {rule["name"]: rule["reason"] for rule in rules if rule["state"] != "loaded"} == {}
    assert {rule["name"] for rule in rules} == set(DEEDS)
