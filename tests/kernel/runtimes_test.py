# SPDX-License-Identifier: Apache-2.0
"""Containers of real runtimes, started while trivet watches: what it knows of each is judged by what the
runtime itself says."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

import pytest

import host_snapshot
import trivet_harness as harness

IMAGE = "localhost/trivet-test:1.2"
# Hosts may refuse a container more open files than its runtime's parent may have.
LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
SLEEP = ["/bin/sh", "-c", "while :; do /bin/busybox sleep 0.2; done"]


def output(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False,
                          timeout=60 * harness.SCALE)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr}"
    return done.stdout


class Podman:
    """No daemon: the command and what it leaves in the file system."""

    programs = ["podman", "runc"]
    folders = ["/var/lib/containers", "/run/containers"]

    def __init__(self, folder):
        self.podman = ["podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs"]
        self.folder = folder

    def add_image(self, root):
        output(*self.podman, "import", root, IMAGE)

    def begin(self, data):
        self.id = output(*self.podman, "run", "-d", "--name", "trivet-test", "--network", "none", *LIMITS,
                         "-v", f"{data}:/data:ro", "--label", "tier=web", "--cap-drop", "all",
                         "--cap-add", "CHOWN", IMAGE, *SLEEP).split()[-1]

    def inspected(self):
        said = json.loads(output(*self.podman, "inspect", self.id))[0]
        return {"runtime": "podman", "name": said["Name"], "image": said["ImageName"],
                "image_id": said["Image"], "pid": said["State"]["Pid"]}

    def close(self):
        subprocess.run([*self.podman, "rm", "-f", "-t", "0", "trivet-test"], capture_output=True,
                       check=False)
        subprocess.run([*self.podman, "rmi", "-f", IMAGE], capture_output=True, check=False)


class Docker:
    programs = ["docker", "dockerd", "containerd", "runc"]
    folders = ["/var/lib/docker", "/run/docker", "/run/containerd"]

    def __init__(self, folder):
        socket = f"unix://{folder}/docker.sock"
        self.docker = ["docker", "-H", socket]
        self.log = open(folder / "dockerd.log", "w")
        self.daemon = subprocess.Popen(
            ["dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs",
             "-H", socket, "--pidfile", folder / "dockerd.pid", "--exec-root", folder / "exec"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)

    def add_image(self, root):
        harness.wait_until(lambda: subprocess.run([*self.docker, "info"], capture_output=True,
                                                  check=False).returncode == 0, 30, "dockerd serves")
        output(*self.docker, "import", root, IMAGE)

    def begin(self, data):
        self.id = output(*self.docker, "run", "-d", "--name", "trivet-test", "--network", "none", *LIMITS,
                         "-v", f"{data}:/data:ro", "--label", "tier=web", "--cap-drop", "all",
                         "--cap-add", "CHOWN", IMAGE, *SLEEP).strip()

    def inspected(self):
        said = json.loads(output(*self.docker, "inspect", self.id))[0]
        return {"runtime": "docker", "name": said["Name"].lstrip("/"), "image": said["Config"]["Image"],
                "image_id": said["Image"].removeprefix("sha256:"), "pid": said["State"]["Pid"],
                "labels": said["Config"]["Labels"]}

    def close(self):
        subprocess.run([*self.docker, "rm", "-f", "trivet-test"], capture_output=True, check=False)
        harness.end_process(self.daemon, seconds=30)
        self.log.close()


class Containerd:
    programs = ["containerd", "ctr", "runc"]
    folders = ["/run/containerd"]

    def __init__(self, folder):
        self.ctr = ["ctr", "-a", folder / "containerd.sock"]
        config = folder / "containerd.toml"
        config.write_text(f'version = 2\nroot = "{folder}/containerd"\n'
                          f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
                          f'[grpc]\naddress = "{folder}/containerd.sock"\n')
        self.log = open(folder / "containerd.log", "w")
        self.daemon = subprocess.Popen(["containerd", "-c", config], stdin=subprocess.DEVNULL,
                                       stdout=self.log, stderr=subprocess.STDOUT)
        self.folder = folder

    def add_image(self, root):
        """As the OCI image layout has it: ctr knows no other way to make one without a registry."""
        self.root = self.folder / "rootfs"
        with tarfile.open(root) as layer:
            layer.extractall(self.root)
        harness.wait_until(lambda: subprocess.run([*self.ctr, "version"], capture_output=True,
                                                  check=False).returncode == 0, 30, "containerd serves")

    def begin(self, data):
        self.id = os.urandom(32).hex()
        output(*self.ctr, "run", "-d", "--rootfs", "--label", "tier=web",
               "--mount", f"type=bind,src={data},dst=/data,options=rbind:ro", self.root, self.id, *SLEEP)

    def inspected(self):
        tasks = output(*self.ctr, "task", "ls").splitlines()[1:]
        pid = next(int(line.split()[1]) for line in tasks if line.startswith(self.id))
        return {"runtime": "containerd", "pid": pid}

    def close(self):
        if hasattr(self, "id"):
            subprocess.run([*self.ctr, "task", "kill", "-s", "SIGKILL", self.id], capture_output=True,
                           check=False)
            for verb in (["task", "rm", "-f"], ["container", "rm"]):
                subprocess.run([*self.ctr, *verb, self.id], capture_output=True, check=False)
        harness.end_process(self.daemon, seconds=30)
        self.log.close()


def cgroup_folders():
    return host_snapshot.folders("/sys/fs/cgroup")


@pytest.fixture(params=[Podman, Docker, Containerd], ids=lambda kind: kind.__name__.lower())
def runtime(request, start, folder):
    """A runtime with the image; it goes, with its folders and cgroups, before `start` looks at the host."""
    kind = request.param
    for program in kind.programs:
        if not shutil.which(program):
            pytest.skip(f"there is no {program}")
    there = [path for path in kind.folders if os.path.exists(path)]
    if there and kind is not Podman:
        pytest.skip(f"{there[0]} exists: the runtime is in use on this host")
    cgroups = cgroup_folders()
    root = folder / "root.tar"
    with tarfile.open(root, "w") as tar:
        place = tarfile.TarInfo("bin")
        place.type, place.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(place)
        tar.add("/bin/busybox", "bin/busybox")
        link = tarfile.TarInfo("bin/sh")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(link)
    (folder / "runtime").mkdir()
    made = kind(folder / "runtime")
    try:
        made.add_image(root)
        yield made
    finally:
        made.close()
        for path in set(kind.folders) - set(there):
            shutil.rmtree(path, ignore_errors=True)
        for path in sorted(cgroup_folders() - cgroups, key=len, reverse=True):
            with contextlib.suppress(OSError):
                os.rmdir(path)


def test_a_container_is_known_as_its_runtime_knows_it(start, runtime, folder):
    trivet = start()
    data = folder / "data"
    data.mkdir()
    runtime.begin(data)

    def row():
        rows = trivet.query(f"SELECT * FROM containers WHERE full_id = '{runtime.id}'")
        return rows[0] if rows else None

    known = harness.wait_until(row, 10, "the container is known")
    said = runtime.inspected()
    main = said.pop("pid")
    known["labels"] = json.loads(known["labels"] or "{}")
    assert {key: known[key] for key in said} == said
    assert known["container_id"] == runtime.id[:12]
    assert not known["privileged"]
    assert f"{data}:/data:ro" in known["mounts"]

    # Capabilities as the kernel has them for the container's own process.
    bounding = next(line.split()[1] for line in pathlib.Path(f"/proc/{main}/status").read_text().splitlines()
                    if line.startswith("CapBnd"))
    assert int(known["capabilities"]) == int(bounding, 16)

    row = trivet.query(f"SELECT container_id, exe FROM processes WHERE pid = {main}")[0]
    assert row["container_id"] == runtime.id[:12]
