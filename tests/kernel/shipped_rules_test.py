# SPDX-License-Identifier: Apache-2.0
"""The rules that trivet ships: each raised by its deeds, done with real programs, while near misses
beside them stay silent."""

import json
import os
import subprocess

import pytest

import trivet_harness as harness
from deeds import (ALL, PRIVILEGED, PYTHON, do, in_python, in_shell, named, outside, python, scratch,
                   shell)

USER = os.path.join("/home", "x")
TCP = "socket.create_connection((\"203.0.113.7\", {port}))"
LISTEN = "timeout 3 nc -l {port} >/dev/null & sleep 0.5; "
# A socket filter of two instructions: r0 = 0, exit.
BPF = ("import struct; code = ctypes.create_string_buffer(bytes.fromhex(\"b700000000000000 9500000000000000\")); "
       "name = ctypes.create_string_buffer(b\"GPL\"); "
       "attr = struct.pack(\"<IIQQ\", 1, 2, ctypes.addressof(code), ctypes.addressof(name)).ljust(128, b\"\\0\"); ")
COPY = ("\nclass V(ctypes.Structure): _fields_ = [(\"base\", ctypes.c_void_p), (\"size\", ctypes.c_size_t)]\n"
        "b = ctypes.create_string_buffer(8)\n"
        "v = V(ctypes.addressof(b), 8)\n"
        "p = os.fork()\n"
        "if not p: import time; time.sleep(1); os._exit(0)\n")
CHILD = "p = os.fork(); p or os.execv(\"/bin/sleep\", [\"sleep\", \"0.5\"]); import time; time.sleep(0.1); "
NAMESPACES = ("mnt", "uts", "ipc", "net", "pid", "cgroup", "time_for_children")


def own(code):
    return scratch(*shell(code))


def own_python(code):
    return scratch(*python(code))


# rule -> (deeds, near misses)
DEEDS = {
    "Password file read by an unexpected program": (
        [["cat", "/etc/shadow"], ["cat", "/proc/self/root/etc/shadow"]],
        [["cat", "/etc/hostname"], ["ls", "-l", "/etc/shadow"]]),
    "Private key of another user's SSH read": (
        [own(f"mkdir -p {USER}/.ssh; echo x >{USER}/.ssh/id_rsa; cat {USER}/.ssh/id_rsa")],
        [own(f"mkdir -p {USER}/.ssh; echo x >{USER}/.ssh/id_rsa.pub; cat {USER}/.ssh/id_rsa.pub"),
         shell("echo x >id_rsa; cat id_rsa")]),
    "Private key of a service read": (
        [own("mkdir -p /etc/ssh; echo x >/etc/ssh/ssh_host_x_key; cat /etc/ssh/ssh_host_x_key")],
        [own("mkdir -p /etc/ssh; echo x >/etc/ssh/ssh_host_x_key.pub; cat /etc/ssh/ssh_host_x_key.pub")]),
    "Cloud or cluster credentials read": (
        [shell("mkdir -p .aws; echo x >.aws/credentials; cat .aws/credentials"),
         shell("mkdir -p .kube; echo x >.kube/config; cat .kube/config")],
        [shell("mkdir -p .aws; echo x >.aws/config; cat .aws/config")]),
    "Search for keys and passwords": (
        [shell("grep -r 'BEGIN RSA PRIVATE' ."), shell("find . -name id_rsa")],
        [shell("grep -r 'BEGIN PUBLIC' ."), shell("find . -name known_hosts")]),
    "Link to a password file": (
        [shell("ln -s /etc/shadow over"), shell("ln /etc/shadow over; rm -f over")],
        [shell("ln -s /etc/hosts over"), shell("ln -s /etc/shadow-not over")]),
    "Shell history destroyed": (
        [shell("echo x >.zsh_history; rm .zsh_history"), shell("echo x >>.bash_history; : >.bash_history"),
         ["bash", "-c", ": >.bash_history"], shell("echo x >>.bash_history; mv .bash_history gone"),
         shell("ln -sf /dev/null .bash_history"), shell("echo x >>.bash_history; truncate -s 0 .bash_history")],
        [shell("echo x >>.bash_history"), shell("echo x >history; rm history"),
         ["bash", "-c", "HISTFILE=.bash_history; set -o history; history -s a; history -s b; HISTFILESIZE=1; "
                        "history -a; HISTFILESIZE=1"]]),
    "Log emptied": (
        [own("echo x >/var/log/auth.log"), own("echo x >>/var/log/syslog; rm /var/log/syslog"),
         own("echo x >>/var/log/messages; truncate -s 0 /var/log/messages"),
         own("mkdir -p /var/log/nginx; echo x >/var/log/nginx/access.log")],
        [own("echo x >>/var/log/auth.log"), own("echo x >/var/log/other.log"),
         own(f"cp {PYTHON} logrotate; ./logrotate -c 'open(\"/var/log/auth.log\", \"w\")'")]),
    "Cron job planted": (
        [own("echo x >/etc/cron.d/x"), own("echo x >/etc/crontab"), own("touch /etc/x; mv /etc/x /etc/cron.daily/x"),
         own("mkdir -p /var/spool/cron/crontabs; echo x >/var/spool/cron/crontabs/root"),
         own("touch /etc/x; ln -s /etc/x /etc/cron.daily/y")],
        [shell("echo x >cron.d"), own("ls /etc/cron.d"),
         own(f"cp {PYTHON} crontab; ./crontab -c 'open(\"/etc/cron.d/x\", \"w\")'")]),
    "Service planted": (
        [own("echo x >/etc/systemd/system/x.service"), own("echo x >/usr/lib/systemd/system/x.service"),
         own("echo x >/etc/x; ln -s /etc/x /etc/systemd/system/x.service"),
         own(f"mkdir -p {USER}/.config/systemd/user; echo x >{USER}/.config/systemd/user/x.timer")],
        [shell("echo x >x.service"),
         own(f"cp {PYTHON} systemctl; ./systemctl -c 'open(\"/etc/systemd/system/x.service\", \"w\")'")]),
    "Login script changed": (
        [own("echo x >>/root/.bashrc"), own("echo x >/etc/profile.d/x.sh"), own("echo x >/etc/rc.local"),
         own("touch /root/x; mv /root/x /root/.profile")],
        [own("cat /root/.bashrc"), own(f"cp {PYTHON} nano; ./nano -c 'open(\"/root/.bashrc\", \"a\")'")]),
    "SSH key planted": (
        [own("mkdir -p /root/.ssh; echo x >>/root/.ssh/authorized_keys"),
         own("mkdir -p /root/.ssh; touch /root/x; mv /root/x /root/.ssh/authorized_keys")],
        [own("mkdir -p /root/.ssh; echo x >>/root/.ssh/known_hosts")]),
    "Preload list changed": (
        [own("echo x >/etc/ld.so.preload; rm /etc/ld.so.preload"), own("touch /etc/x; mv /etc/x /etc/ld.so.preload")],
        [own("cat /etc/ld.so.preload"), own("touch /etc/ld.so.preloaded")]),
    "Program changed": (
        [own("touch /usr/bin/x"), own_python("os.truncate(\"/usr/bin/id\", 100)"),
         own_python("os.rename(\"/usr/bin/id\", \"/usr/bin/x\")"), own("chmod 777 /usr/sbin/nologin"),
         own("echo x >>/bin/id"), own("ln -s /bin/true /sbin/x"),
         own_python("import mmap; f = open(\"/usr/bin/id\", \"r+b\"); m = mmap.mmap(f.fileno(), 0); m[0] = 1")],
        [own("cat /usr/bin/id"), own("chmod 777 /usr/bin/nowhere"),
         own_python("import mmap; f = open(\"/usr/bin/id\", \"rb\"); "
                    "m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY); m[0] = 1"),
         own(f"cp {PYTHON} dpkg; ./dpkg -c 'open(\"/usr/bin/x\", \"w\")'")]),
    "Boot file changed": (
        [own("touch /boot/x"), own("touch /boot/x; chmod 600 /boot/x"), own("touch /x; mv /x /boot/vmlinuz")],
        [own("ls /boot"), shell("mkdir boot; touch boot/x")]),
    "Configuration changed": (
        [own("touch /etc/x"), own("chmod 600 /etc/hosts"), own("echo x >>/etc/hosts"),
         own_python("os.rename(\"/etc/hosts\", \"/etc/x\")"), own_python("os.truncate(\"/etc/hosts\", 0)")],
        [own("cat /etc/hosts"), own("ldconfig"), shell("mkdir etc; touch etc/x")]),
    "Setuid program made": (
        [shell("touch x; chmod u+s x"), python("os.close(os.open(\"x\", os.O_CREAT | os.O_WRONLY, 0o4755))"),
         python("f = os.open(\"x\", os.O_CREAT | os.O_WRONLY); os.fchmod(f, 0o2755)")],
        [shell("touch x; chmod 755 x"), shell("mkdir x; chmod 2775 x"), shell("chmod u+s nothing"),
         named("dpkg", "import os; open(\"x\", \"w\"); os.chmod(\"x\", 0o4755)")]),
    "Kernel module loaded from an unexpected place": (
        [python("c.syscall(313, os.open(\"/etc/hostname\", 0), b\"\", 0)"), python("c.syscall(175, 0, 0, b\"\")")],
        [named("modprobe", "import ctypes; ctypes.CDLL(None).syscall(175, 0, 0, b\"\")")]),
    "BPF program loaded by an unexpected program": (
        [python(BPF + "assert c.syscall(321, 5, attr, len(attr)) > 0")],
        [python("import struct; attr = struct.pack(\"<IIII\", 2, 4, 4, 1).ljust(128, b\"\\0\"); "
                "c.syscall(321, 0, attr, len(attr))"),
         named("bpftool", "import ctypes; c = ctypes.CDLL(None); " + BPF + "c.syscall(321, 5, attr, len(attr))")]),
    "io_uring used": (
        [python("assert c.syscall(425, 4, ctypes.create_string_buffer(120)) > 0")],
        [python("c.syscall(425, 0, ctypes.create_string_buffer(120))"),
         named("mariadbd", "import ctypes; ctypes.CDLL(None).syscall(425, 4, ctypes.create_string_buffer(120))")]),
    "Process taken over by ptrace": (
        [python(CHILD + "c.ptrace(16, p, 0, 0); os.kill(p, 9)"),
         python(CHILD + "c.ptrace(0x4206, p, 0, 0); os.kill(p, 9)")],
        [python(CHILD + "c.ptrace(17, p, 0, 0); os.kill(p, 9)"), python("c.ptrace(16, 1 << 22, 0, 0)"),
         shell("strace -p 1 2>/dev/null & sleep 0.3; kill $!")]),
    "Memory of another process written": (
        [python(COPY + "assert c.process_vm_writev(p, ctypes.byref(v), 1, ctypes.byref(v), 1, 0) == 8"),
         python("open(\"/proc/self/mem\", \"r+b\")")],
        [python(COPY + "assert c.process_vm_readv(p, ctypes.byref(v), 1, ctypes.byref(v), 1, 0) == 8"),
         python("open(\"/proc/self/mem\", \"rb\")")]),
    "Namespace entered": (
        [python(f"f = os.open(\"/proc/self/ns/{kind}\", os.O_RDONLY); assert c.setns(f, 0) == 0")
         for kind in NAMESPACES]
        + [python("import subprocess, time; p = subprocess.Popen([\"unshare\", \"-U\", \"sleep\", \"2\"]).pid; "
                  "time.sleep(0.5); f = os.open(f\"/proc/{p}/ns/user\", os.O_RDONLY); assert c.setns(f, 0) == 0")],
        [python("c.setns(-1, 0)"),
         named("ip", "import ctypes, os; ctypes.CDLL(None).setns(os.open(\"/proc/self/ns/uts\", 0), 0)")]),
    "Privileged container started": ([in_shell(":", caps=PRIVILEGED)], [in_shell(":")]),
    "Control group's release agent written": (
        [in_shell("echo x >/tmp/release_agent", caps=ALL)],
        [in_shell("echo x >/tmp/release_agents; cat /tmp/release_agents", caps=ALL)]),
    "Kernel's helper program changed": (
        [shell("exec 3>>/proc/sys/kernel/core_pattern")],
        [shell("cat /proc/sys/kernel/core_pattern"), shell("exec 3>>/proc/sys/kernel/core_uses_pid")]),
    "Container runtime reached from a container": (
        [in_python("s = socket.socket(socket.AF_UNIX); s.bind(\"/tmp/docker.sock\"); s.listen(); "
                   "socket.socket(socket.AF_UNIX).connect(\"/tmp/docker.sock\")")],
        [in_python("s = socket.socket(socket.AF_UNIX); s.bind(\"/tmp/other.sock\"); s.listen(); "
                   "socket.socket(socket.AF_UNIX).connect(\"/tmp/other.sock\")"),
         python("s = socket.socket(socket.AF_UNIX); s.bind(\"docker.sock\"); s.listen(); "
                "socket.socket(socket.AF_UNIX).connect(\"docker.sock\")")]),
    "Disk's device file made": (
        [python("os.mknod(\"disk\", 0o60600, os.makedev(7, 0))")],
        [python("os.mknod(\"null\", 0o20600, os.makedev(1, 3))"), shell("mkfifo pipe")]),
    "File system mounted in a container": (
        [in_shell("sleep 0.5; mount -t tmpfs none /tmp", caps=PRIVILEGED)],
        [in_shell("sleep 0.5; mount -t tmpfs none /nowhere", caps=PRIVILEGED), shell("mount -V")]),
    "Shell started by a server": (
        [named("redis-server", "import subprocess; subprocess.run([\"sh\", \"-c\", \"exit 3; :\"])")],
        [named("a-server", "import subprocess; subprocess.run([\"sh\", \"-c\", \"exit 3; :\"])"),
         named("redis-server", "import subprocess; subprocess.run([\"/usr/bin/id\"])")]),
    "SSH used by a server or in a container": (
        [in_shell("ssh -V"), named("redis-server", "import subprocess; subprocess.run([\"ssh\", \"-V\"])")],
        [shell("ssh -V"), in_shell("curl -V")]),
    "Shell at a terminal in a container": ([in_shell(":", terminal=True)], [in_shell(":")]),
    "Library loaded from a folder that anybody may write": (
        [shell("cp /lib/*/libz.so.1 /dev/shm/trivet-test.so; LD_PRELOAD=/dev/shm/trivet-test.so /bin/true; "
               "rm /dev/shm/trivet-test.so")],
        [shell("cp /lib/*/libz.so.1 ./x.so; LD_PRELOAD=$PWD/x.so /bin/true"),
         shell("cp /lib/*/libz.so.1 /dev/shm/trivet-test.so; rm /dev/shm/trivet-test.so")]),
    "Program run from shared memory": (
        [shell("cp /bin/true /dev/shm/trivet-test; /dev/shm/trivet-test; rm /dev/shm/trivet-test")],
        [shell("cp /bin/true trivet-test; ./trivet-test")]),
    "Program run from memory": (
        [python("f = os.memfd_create(\"x\"); os.write(f, open(\"/bin/true\", \"rb\").read()); "
                "os.execve(f, [\"x\"], {})")],
        [python("f = os.memfd_create(\"x\"); os.execve(\"/bin/true\", [\"x\"], {})")]),
    "Shell connected to the network": (
        [outside(LISTEN.format(port=2222) + "bash -c 'exec 3<>/dev/tcp/203.0.113.7/2222'")],
        [outside(LISTEN.format(port=2222) + "bash -c 'exec 3<>/dev/tcp/127.0.0.1/2222'"),
         outside(LISTEN.format(port=2222) + f"{PYTHON} -c 'import socket; {TCP.format(port=2222)}'")]),
    "Standard stream is a network connection": (
        [outside(LISTEN.format(port=2222) + f"{PYTHON} -c 'import os, socket; s = {TCP.format(port=2222)}; "
                                            f"os.dup2(s.fileno(), {stream})'") for stream in (0, 1, 2)],
        [outside(LISTEN.format(port=2222) + f"{PYTHON} -c 'import os, socket; s = {TCP.format(port=2222)}; "
                                            "os.dup2(s.fileno(), 9)'"),
         python("a, b = socket.socketpair(); os.dup2(a.fileno(), 0)")]),
    "Connection to a miner's port": (
        [outside(LISTEN.format(port=3333) + f"{PYTHON} -c 'import socket; {TCP.format(port=3333)}'"),
         ["/bin/true", "-o", "stratum+tcp://pool.example:3333"]],
        [outside(LISTEN.format(port=8080) + f"{PYTHON} -c 'import socket; {TCP.format(port=8080)}'"),
         outside(LISTEN.format(port=3333)
                 + f"{PYTHON} -c 'import socket; {TCP.format(port=3333)}'".replace("203.0.113.7", "127.0.0.1")),
         ["/bin/true", "-o", "https://pool.example"]]),
}


@pytest.fixture(scope="module")
def alerts(shared_daemon):
    """One daemon with the shipped rules, and its alerts."""
    return shared_daemon(plugins=["security"]).follow("alerts")


@pytest.mark.parametrize("rule", DEEDS)
def test_each_deed_raises_the_rule_and_no_near_miss_does(alerts, folder, rule):
    if "Module" in rule.title() and not os.path.exists("/proc/modules"):
        pytest.skip("this kernel takes no modules")
    deeds, near_misses = DEEDS[rule]

    def each(commands):
        cgroups = {}
        for number, command in enumerate(commands):
            room = folder / str(len(list(folder.iterdir())))
            room.mkdir()
            cgroups[do(command, room)] = number
        return cgroups

    missed, done = each(near_misses), each(deeds)
    for cgroup, number in done.items():
        alerts.wait(lambda a: a["rule"] == rule and a["cgroup_id"] == cgroup, what=f"{rule}, deed {number}")
    # Events are judged in order: an alert on a near miss would be there.
    assert [(missed[a["cgroup_id"]], a["output"]) for a in alerts.matching(
        lambda a: a["rule"] == rule and a["cgroup_id"] in missed)] == []


def test_every_shipped_rule_is_judged_and_has_its_deed():
    answer = subprocess.run([harness.trivet_program(), "rules", "ls", "-o", "json", "--rules", str(harness.OWN_RULES)],
                            capture_output=True, text=True, check=True)
    rules = json.loads(answer.stdout)
    assert {rule["name"]: rule["reason"] for rule in rules if rule["reason"]} == {}
    assert {rule["name"] for rule in rules} == set(DEEDS)
