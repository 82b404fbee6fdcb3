# SPDX-License-Identifier: Apache-2.0
"""Debian's cloud kernels, unpacked: found by apt, downloaded once, and made ready for QEMU.

A series is "6.1", "6.12" and so on, or "newest" for what Debian's unstable release has. Where this
machine's apt does not know a series, another release is asked through an apt of its own below the
cache: this machine's own sources with the release's name changed.
"""

import lzma
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

# Debian's releases that carry a series which Debian 12 does not.
RELEASES = {"5.10": "bullseye", "newest": "sid"}
COMPRESSIONS = ((b"\x02\x21\x4c\x18", ("lz4", "-dc")), (b"\xfd7zXZ\0", ("xz", "-dc")),
                (b"\x28\xb5\x2f\xfd", ("zstd", "-dcq")))
SOURCES = pathlib.Path("/etc/apt/sources.list.d/debian.sources")
A_DAY = 86400


class Absent(Exception):
    """Something that a machine needs is not on this host."""


def say(sentence):
    print(f"machine: {sentence}", file=sys.stderr, flush=True)


def run(*command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, **options)


class Apt:
    """The package lists of one release: this machine's, or another's in a folder of the cache."""

    def __init__(self, cache, release=None):
        self.options = []
        if not release:
            return
        root = cache / f"apt-{release}"
        sources = root / "debian.sources"
        for folder in ("lists/partial", "cache/archives/partial"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        if not SOURCES.exists():
            raise Absent(f"{SOURCES} is missing, from which {release} could be reached")
        # The first of the machine's entries; its security updates are in another place.
        entry = SOURCES.read_text().split("\n\n")[0]
        sources.write_text(re.sub(r"^Suites:.*$", f"Suites: {release}", entry, flags=re.M) + "\n")
        for name, place in (("Dir::Etc::sourcelist", sources), ("Dir::Etc::SourceParts", "/dev/null"),
                            ("Dir::State::Lists", root / "lists"), ("Dir::Cache", root / "cache")):
            self.options += ["-o", f"{name}={place}"]
        lists = list((root / "lists").glob("*_Packages*"))
        if not lists or time.time() - max(p.stat().st_mtime for p in lists) > A_DAY:
            got = run("apt-get", *self.options, "-q", "update", text=True)
            if got.returncode:
                say(f"apt-get update for {release}: {got.stderr.strip()}")

    def names(self, pattern):
        found = run("apt-cache", *self.options, "search", "--names-only", pattern, text=True).stdout
        return [line.split()[0] for line in found.splitlines()]

    def archives_of(self, package):
        """Itself, or from Linux 7 on the packages that it was split into."""
        version = package.removeprefix("linux-image-")
        depends = run("apt-cache", *self.options, "depends", package, text=True).stdout
        parts = set(re.findall(rf"Depends: (linux-(?:binary|modules|base)-{re.escape(version)})$", depends, re.M))
        return sorted(parts) or [package]

    def download(self, package, folder):
        """The package's files unpacked below `folder`; False where they cannot be had."""
        for name in self.archives_of(package):
            got = run("apt-get", *self.options, "download", "-q", name, cwd=folder, text=True)
            archives = list(folder.glob(f"{name}_*.deb"))
            if got.returncode or not archives:
                say(f"apt-get download {name}: {got.stderr.strip()}")
                return False
            subprocess.run(["dpkg-deb", "-x", archives[0], folder / "tree"], check=True)
        return True


def tree(cache, series):
    """The folder of the newest cloud kernel of `series`, downloaded and unpacked at most once."""
    number = r"[0-9]+\.[0-9]+" if series == "newest" else re.escape(series)
    pattern = rf"^linux-image-{number}\.[0-9.]+(-[0-9]+|\+deb[0-9]+)-cloud-amd64$"
    apt = Apt(cache, RELEASES.get(series))
    version = lambda name: [int(n) for n in re.findall(r"\d+", name)]
    cached = [] if series == "newest" else [p.name for p in cache.iterdir() if re.match(pattern, p.name)]
    packages = sorted({*apt.names(pattern), *cached}, key=version, reverse=True)
    if not packages:
        raise Absent(f"apt knows no cloud kernel {series}: apt-get update")
    for package in packages:
        place = cache / package
        if place.is_dir():
            return place
        with tempfile.TemporaryDirectory(dir=cache) as download:
            if apt.download(package, pathlib.Path(download)):
                (pathlib.Path(download) / "tree").rename(place)
                return place
    raise Absent(f"none of {' '.join(packages)} could be downloaded")


def image(tree):
    """The kernel as an ELF file, which QEMU enters directly (PVH): unpacking it in there is slow."""
    plain = tree / "vmlinux"
    if plain.exists():
        return plain
    packed = next(path for path in tree.rglob("vmlinuz*") if path.is_file()).read_bytes()
    for magic, unpack in COMPRESSIONS:
        place = packed.find(magic)
        while place >= 0:
            # The payload is followed by other bytes, of which the unpacker complains: judge the output.
            content = subprocess.run(unpack, input=packed[place:], capture_output=True, check=False).stdout
            if content.startswith(b"\x7fELF"):
                plain.write_bytes(content)
                return plain
            place = packed.find(magic, place + 1)
    raise Absent(f"no ELF image found in {tree}: an unknown compression")


def module_bytes(path):
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def modules_in_order(tree, wanted):
    """(name, content) of the wanted modules and what they need, dependencies first."""
    paths = {}
    for path in tree.rglob("*.ko*"):
        paths[path.name.split(".ko")[0].replace("-", "_")] = path
    order = {}

    def add(name):
        if name in order or name not in paths:  # not there: built into the kernel
            return
        content = module_bytes(paths[name])
        needs = re.search(rb"\0depends=([^\0]*)\0", content)
        for need in needs.group(1).decode().split(",") if needs else ():
            add(need.replace("-", "_"))
        order[name] = content

    for name in wanted:
        add(name)
    return order.items()


def check_programs(*programs):
    for program in (*programs, "dpkg-deb", "apt-get", "lz4", "xz", "zstd"):
        if not shutil.which(program):
            raise Absent(f"{program} is not installed: scripts/install-packages test")
