# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian package under a real systemd: installed, restarted, killed, upgraded, stopped, removed, purged.

systemd boots in namespaces on an overlay of this machine's disk (harness/boot.sh); what happens there
is harness/probe.sh, and comes back as lines.
"""

import os
import shutil
import subprocess

import pytest

from guest import Cgroup
from here import HARNESS, cannot

ROOT = os.path.dirname(os.path.dirname(HARNESS))
SOURCES = ["LICENSE", "debian", "docs", "examples", "fsd", "hostapi", "meson.build",
           "meson_options.txt", "tests"]
BUILD_SECONDS, BOOT_SECONDS = 600, 240

IN_PACKAGE = """
./lib/systemd/system/devlxdfsd.service
./usr/bin/devlxdfs
./usr/lib/sysusers.d/devlxdfs.conf
./usr/lib/tmpfiles.d/devlxdfs.conf
./usr/sbin/devlxdfsd
./usr/share/bash-completion/completions/devlxdfs.bash
./usr/share/containers/oci/hooks.d/devlxdfs.json
./usr/share/doc/devlxdfs/changelog.gz
./usr/share/doc/devlxdfs/copyright
./usr/share/lxc/config/common.conf.d/10-devlxdfs.conf
./usr/share/man/man1/devlxdfs.1.gz
./usr/share/man/man5/devlxdfs-image.5.gz
./usr/share/man/man5/devlxdfs-record.5.gz
./usr/share/man/man5/devlxdfsd.conf.5.gz
./usr/share/man/man7/devlxd-api.7.gz
./usr/share/man/man7/devlxdfs-tree.7.gz
./usr/share/man/man8/devlxdfsd.8.gz
./usr/share/zsh/site-functions/_devlxdfs
""".split()

LIFE = """\
installed=0
active=active enabled=enabled
user=devlxdfs
modes=2750:root:devlxdfs 700:devlxdfs:devlxdfs 750:root:devlxdfs 
read=frontend
restarted=8
killed=8
upgraded=0
keeper=same
inode=same
reads=0
stopped=unmounted
started=mounted
removed=0
without=unmounted
/var/lib/devlxdfs
purged=0
end
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    if not shutil.which("dh"):
        cannot("needs debhelper")
    source = tmp_path_factory.mktemp("package") / "devlxdfs"
    source.mkdir()
    for name in SOURCES:
        path = os.path.join(ROOT, name)
        copy = shutil.copytree if os.path.isdir(path) else shutil.copy
        copy(path, source / name)
    built = subprocess.run(
        ["dpkg-buildpackage", "-b", "-us", "-uc"], cwd=source, text=True, timeout=BUILD_SECONDS,
        env=dict(os.environ, DEB_BUILD_OPTIONS="nocheck noautodbgsym parallel=2"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert built.returncode == 0, built.stdout[-4000:]
    return next(source.parent.glob("devlxdfs_*.deb"))


def next_version(package, directory):
    """The same program in a package of a higher version."""
    tree, new = directory / "tree", directory / "2.deb"
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    text = control.read_text()
    version = next(line for line in text.splitlines() if line.startswith("Version: "))
    control.write_text(text.replace(version, version + "+next"))
    subprocess.run(["dpkg-deb", "-Znone", "-b", tree, new], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)


def test_contents(package):
    listed = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE, check=True)
    names = subprocess.run(["tar", "t"], input=listed.stdout, stdout=subprocess.PIPE, check=True)
    assert sorted(n for n in names.stdout.decode().split() if not n.endswith("/")) == IN_PACKAGE


def test_life(package, tmp_path):
    shutil.copy(package, tmp_path / "1.deb")
    next_version(package, tmp_path)
    shutil.copy(os.path.join(HARNESS, "probe.sh"), tmp_path / "probe")
    cgroup = Cgroup(f"/devlxdfs-boot-{os.getpid()}")
    try:
        booted = subprocess.run(
            ["/bin/sh", "-c", 'echo 0 >"$0"; exec "$@"', cgroup.procs,
             "timeout", "--signal=KILL", str(BOOT_SECONDS),
             "unshare", "--pid", "--mount", "--cgroup", "--ipc", "--uts", "--fork", "--kill-child",
             "/bin/sh", os.path.join(HARNESS, "boot.sh"), tmp_path],
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
    finally:
        cgroup.remove()
    for name in "out", "error", "dpkg", "reads", "journal":
        if (tmp_path / name).exists():
            print(f"--- {name}\n{(tmp_path / name).read_text()[-4000:]}")
    assert (tmp_path / "out").exists(), booted
    assert (tmp_path / "out").read_text() == LIFE
