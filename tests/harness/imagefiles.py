# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that images are made of, as people have them before an import."""

import hashlib
import os
import struct
import subprocess

METADATA = """\
architecture: x86_64
creation_date: 1700000000
expiry_date: 1800000000
properties:
  description: Debian bookworm amd64
  os: Debian
  serial: "20240101"
templates:
  /etc/hostname:
    when: [create, copy]
    create_only: false
    template: hostname.tpl
"""
PACKERS = {".tar": ["cat"], ".tar.gz": ["gzip", "-c"], ".tar.xz": ["xz", "-c"],
           ".tar.zst": ["zstd", "-qc"], ".tar.bz2": ["bzip2", "-c"],
           ".tar.lzma": ["xz", "--format=lzma", "-c"]}
# Version 2, clusters of 64 KiB, 1 GiB, two entries in the table at 64 KiB, counts at 128 KiB.
QCOW2 = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, 1 << 30, 0, 2, 0x10000, 0x20000, 1,
                    0, 0)


def fingerprint_of(*paths):
    """As sha256sum has it, of the files one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()


class ImageFiles:
    """Makes files in a directory; each method returns a path."""

    def __init__(self, directory):
        self.directory = str(directory)
        self.count = 0

    def path(self, suffix):
        self.count += 1
        return os.path.join(self.directory, f"file{self.count}{suffix}")

    def write(self, data, suffix=""):
        path = self.path(suffix)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def tree(self, megabytes=0, metadata=METADATA, rootfs=True):
        """A directory as it is in a unified image. What is in it is never the same twice."""
        path = self.path("")
        os.makedirs(path)
        if metadata is not None:
            with open(os.path.join(path, "metadata.yaml"), "w") as file:
                file.write(metadata)
        if rootfs:
            os.mkdir(os.path.join(path, "rootfs"))
            with open(os.path.join(path, "rootfs", "bytes"), "wb") as file:
                for _ in range(megabytes):
                    file.write(os.urandom(1 << 20))
                file.write(os.urandom(64))
        return path

    def tar(self, tree, suffix=".tar", names=None):
        """An archive of the directory, packed as the suffix says."""
        path = self.path(suffix)
        names = names or sorted(os.listdir(tree))
        plain = subprocess.run(["tar", "-C", tree, "-cf", "-", *names], check=True,
                               stdout=subprocess.PIPE).stdout
        with open(path, "wb") as file:
            subprocess.run(PACKERS[suffix], input=plain, stdout=file, check=True)
        return path

    def unified(self, suffix=".tar", **options):
        return self.tar(self.tree(**options), suffix)

    def metadata(self, suffix=".tar.xz", text=METADATA):
        return self.tar(self.tree(metadata=text, rootfs=False), suffix)

    def squashfs(self, megabytes=0):
        path = self.path(".squashfs")
        subprocess.run(["mksquashfs", os.path.join(self.tree(megabytes), "rootfs"), path, "-quiet",
                        "-no-progress"], check=True, stdout=subprocess.DEVNULL)
        return path

    def qcow2(self):
        """The header of a disk, and room for the tables that it names."""
        return self.write(QCOW2.ljust(0x30000, b"\0"), ".qcow2")

    def cut(self, path, n=1):
        """The same without its last n bytes."""
        with open(path, "rb") as file:
            return self.write(file.read()[:-n], "".join(os.path.splitext(path)[1:]))
