# SPDX-License-Identifier: Apache-2.0
"""Falco's own rules, unchanged, where they lie beside this checkout: each raised by its deed, done with
real programs, while a near miss beside it stays silent. Containers are run by runc."""

import contextlib
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

FILES = [harness.FALCO_FOLDER / name for name in ("falco_rules.yaml", "falco-incubating_rules.yaml")]
pytestmark = pytest.mark.skipif(not all(map(pathlib.Path.exists, FILES)),
                                reason=f"no {FILES[0]} (TRIVET_SHARED_DATA)")
PYTHON = os.path.realpath("/usr/bin/python3")
# Address 203.0.113.7 (RFC 5737) is this host's in the network namespace of one deed.
OUTSIDE = "ip link set lo up; ip addr add 203.0.113.7 dev lo; ip addr add 10.77.0.1 dev lo; " \
          "ip addr add 169.254.169.254 dev lo; ip addr add 169.254.169.253 dev lo; "
LIBC = "import ctypes, os, socket, sys; c = ctypes.CDLL(None); "
HOME = pathlib.Path("/home", "trivet-test")

# What a rule leaves to its users to fill in.
CHOICES = """
- list: namespace_scope_network_only_subnet
  items: [prod]
  override:
    items: append
"""


def python(code):
    return [PYTHON, "-c", LIBC + code]


def shell(code):
    return ["sh", "-c", code + "; true"]


def named(name, code):
    """Python under another name: what a rule takes for that program."""
    return shell(f"cp {PYTHON} {name}; ./{name} -c '{code}'")


def outside(code):
    return ["unshare", "-n", "sh", "-c", OUTSIDE + code + "; true"]


class Inside:
    """A command as the first process of a container."""

    def __init__(self, *command, caps=(), terminal=False, outside=False):
        self.command, self.caps, self.terminal, self.outside = list(command), caps, terminal, outside


ALL = ["CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_PTRACE", "CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_CHOWN",
       "CAP_DAC_OVERRIDE"]
PRIVILEGED = "privileged"  # every capability that there is to give


def in_python(code, **options):
    return Inside(PYTHON, "-c", LIBC + code, **options)


def in_shell(code, **options):
    return Inside("sh", "-c", code + "; true", **options)


def udp(address, port):
    return f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect((\"{address}\", {port}))"


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

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C"}
PATIENCE = 30 * harness.SCALE
EVERY_CAPABILITY = ["CAP_" + name for name in (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT "
    "SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE "
    "AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ "
    "PERFMON BPF CHECKPOINT_RESTORE").split()]
TASKS = pathlib.Path("/run/containerd/io.containerd.runtime.v2.task/trivet-test")


def given_capabilities():
    """Those that this machine lets its own root have."""
    held = int(harness.process_status("self")["CapBnd"], 16)
    return [name for bit, name in enumerate(EVERY_CAPABILITY) if held >> bit & 1]


def entering(cgroup, command):
    """The command, by a shell that is in the cgroup a while before."""
    return ["sh", "-c", f"echo $$ >{cgroup}/cgroup.procs; sleep 0.3; exec \"$@\"", "sh", *command]


def configuration(ident, inside):
    privileged = inside.caps == PRIVILEGED
    caps = given_capabilities() if privileged else list(inside.caps)
    sets = {name: caps for name in ("bounding", "effective", "permitted", "inheritable")}
    bind = {"type": "bind", "options": ["rbind", "ro"]}
    return {
        "ociVersion": "1.0.2",
        "process": {"terminal": inside.terminal, "user": {"uid": 0, "gid": 0}, "args": inside.command,
                    "env": [f"{key}={value}" for key, value in ENVIRONMENT.items()], "cwd": "/",
                    "capabilities": sets, "noNewPrivileges": True},
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                   {"destination": "/dev/pts", "type": "devpts", "source": "devpts"},
                   {"destination": "/usr", "source": "/usr", **bind},
                   {"destination": "/etc/alternatives", "source": "/etc/alternatives", **bind}],
        "annotations": {"io.kubernetes.cri.container-name": "app",
                        "io.kubernetes.cri.sandbox-name": "shop-0",
                        "io.kubernetes.cri.sandbox-namespace": "prod",
                        "io.kubernetes.cri-o.PrivilegedRuntime": str(privileged).lower()},
        "linux": {"cgroupsPath": f"/cri-containerd-{ident}.scope",
                  "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]}}


@contextlib.contextmanager
def bundle(ident, inside):
    """What containerd leaves for runc: a root of two layers and its description."""
    place = TASKS / ident
    made = [path for path in [place, *place.parents] if not path.exists()]
    lower, root = place / "lower", place / "rootfs"
    for name in ("proc", "dev", "etc/alternatives", "usr", "tmp", "data"):
        (lower / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (lower / name).symlink_to(f"usr/{name}")
    (lower / "data/secret").write_text("x")
    for path in (root, place / "upper", place / "work"):
        path.mkdir()
    (place / "config.json").write_text(json.dumps(configuration(ident, inside)))
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                    f"lowerdir={lower},upperdir={place}/upper,workdir={place}/work", str(root)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(root)], check=True)
        shutil.rmtree(place)
        for path in made[1:]:
            path.rmdir()


def run_inside(ident, cgroup, inside, folder):
    # runc wants a terminal where the container gets one.
    main, terminal = os.openpty() if inside.terminal else (None, subprocess.DEVNULL)
    with bundle(ident, inside) as place:
        command = entering(cgroup, ["runc", "run", "-b", str(place), ident[:12]])
        if inside.outside:
            command = outside("")[:-1] + [OUTSIDE + "exec \"$@\"", "sh", *command]
        subprocess.run(command, cwd=folder, env=ENVIRONMENT, stdin=terminal, stdout=terminal,
                       stderr=terminal, timeout=PATIENCE, check=False)
    if inside.terminal:
        os.close(main)
        os.close(terminal)


def do(deed, folder):
    """Does it in a cgroup of its own; the cgroup's id, by which its alerts are known."""
    ident = os.urandom(32).hex()
    inside = isinstance(deed, Inside)
    cgroup = harness.cgroup_root() / (f"cri-containerd-{ident}.scope" if inside else f"trivet-test-{ident[:12]}")
    cgroup.mkdir()
    number = cgroup.stat().st_ino
    try:
        if inside:
            run_inside(ident, cgroup, deed, folder)
        else:
            subprocess.run(entering(cgroup, deed), cwd=folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PATIENCE, check=False)
        harness.wait_until(lambda: not (cgroup / "cgroup.procs").read_text(), 10, "the cgroup is empty")
    finally:
        cgroup.rmdir()
    return number


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
