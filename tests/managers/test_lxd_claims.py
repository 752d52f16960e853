# SPDX-License-Identifier: GPL-2.0-or-later
"""Two managers with a container of one name each: whose is the cgroup that a record expects?

LXC and LXD both call it lxc.payload.NAME, and the second one finds that taken.
"""

import json
import os
import subprocess

import pytest

from daemon import wait_until
from here import cannot
from lxd import START_SECONDS, make_rootfs, unique
from lxd_fixtures import lxd  # noqa: F401 (a fixture)

CONFIG = """
lxc.include = /usr/share/lxc/config/common.conf
lxc.uts.name = {name}
lxc.rootfs.path = dir:{rootfs}
lxc.net.0.type = empty
lxc.mount.entry = {tree} dev/lxd none bind,create=dir,optional 0 0
"""


class PlainContainer:
    """One of lxc-start's, with its directory of the tree at /dev/lxd."""

    def __init__(self, directory, name, tree):
        self.path = os.path.join(directory, "lxc")
        self.name = name
        os.makedirs(os.path.join(self.path, name))
        rootfs = make_rootfs(os.path.join(directory, "plain"))
        with open(os.path.join(self.path, name, "config"), "w") as file:
            file.write(CONFIG.format(name=name, rootfs=rootfs, tree=tree))

    def _run(self, program, *args):
        try:
            return subprocess.run([program, "-P", self.path, "-n", self.name, *args], text=True,
                                  capture_output=True, timeout=START_SECONDS)
        except FileNotFoundError:
            cannot(f"needs {program}, of Debian's package lxc")

    def start(self):
        done = self._run("lxc-start", "-o", os.path.join(self.path, "log"), "-l", "INFO")
        assert done.returncode == 0, open(os.path.join(self.path, "log")).read()[-4000:]

    @property
    def pid(self):
        return int(self._run("lxc-info", "-p", "-H").stdout)

    def run(self, command):
        return self._run("lxc-attach", "--clear-env", "--", "/bin/sh", "-c", command)

    def stop(self):
        self._run("lxc-stop", "-k")


@pytest.fixture
def both(daemon, lxd, tmp_path):  # noqa: F811
    """(of LXD, of LXC): containers of one name that do not run yet; the record is for LXD's."""
    name = unique()
    daemon.record(name, config={"user.role": "frontend"}, match={"cgroup": f"/lxc.payload.{name}"})
    of_lxd = lxd.container(name)
    of_lxd.add_device("files", "disk", source=daemon.tree(name), path="/dev/lxd-files")
    of_lxc = PlainContainer(str(tmp_path), name, daemon.tree(name))
    yield of_lxd, of_lxc
    of_lxc.stop()
    of_lxd.delete()


def whose(daemon, pid):
    return json.loads(daemon.ctl("whois", str(pid), "--format=json"))


def start(containers, order):
    for container in containers if order == "lxd first" else reversed(containers):
        container.start()


@pytest.mark.parametrize("order", ["lxd first", "lxc first"])
def test_bound(daemon, both, order):
    """Once LXD's is bound it is itself, wherever it is, and LXC's is nobody."""
    of_lxd, of_lxc = both
    start(both, order)
    expected = f"/lxc.payload.{of_lxd.name}"
    assert (of_lxd.cgroup == expected) is (order == "lxd first")
    daemon.ctl("attach", of_lxd.name, "--pid", str(of_lxd.pid), "--path", "/dev/lxd-files")
    assert of_lxd.run("cat /dev/lxd-files/config/user.role").stdout == "frontend"
    denied = of_lxc.run("cat /dev/lxd/config/user.role")
    assert denied.returncode != 0 and "frontend" not in denied.stdout
    assert whose(daemon, of_lxd.pid)["instance"] == of_lxd.name
    assert whose(daemon, of_lxc.pid)["outcome"] == "unknown"
    if order == "lxc first":
        said = daemon.ctl("whois", str(of_lxc.pid))
        assert "by its match, which does not count while it is bound to another cgroup" in said
    said = daemon.ctl("check", of_lxd.name)
    assert f"ok: it is bound to the cgroup {of_lxd.cgroup}\n" in said
    assert f"of the container {of_lxd.name} of LXD or Incus in {of_lxd.lxd.dir}\n" in said


def test_guess_can_be_wrong(daemon, both):
    """Without a binding the record takes who has the path, and check says whose that is."""
    of_lxd, of_lxc = both
    start(both, "lxc first")
    assert whose(daemon, of_lxc.pid)["instance"] == of_lxd.name
    assert whose(daemon, of_lxd.pid)["outcome"] == "unknown"
    said = daemon.ctl("check", of_lxd.name)
    assert f"of the container {of_lxc.name} of LXC in {of_lxc.path}\n" in said
    # When that has ended and LXD's is started again it is right.
    of_lxc.stop()
    of_lxd.stop()
    wait_until(lambda: "STOPPED" in daemon.ctl("list"), "the end of the guest")
    of_lxd.start()
    assert whose(daemon, of_lxd.pid)["instance"] == of_lxd.name


def test_conflict(daemon, both):
    """Two records that match one cgroup: neither wins, and each command says who holds what."""
    of_lxd, _ = both
    name, other = of_lxd.name, unique("other")
    start(both, "lxd first")
    assert of_lxd.run("cat /dev/lxd-files/config/user.role").stdout == "frontend"
    daemon.record(other, config={"user.role": "backend"}, match={"cgroup": of_lxd.cgroup})
    denied = of_lxd.run("cat /dev/lxd-files/config/user.role", check=False)
    assert denied.returncode != 0 and denied.stdout == ""
    states = {row["name"]: row["state"] for row in json.loads(daemon.ctl("list", "-f", "json"))}
    assert states == {name: "CONFLICT", other: "CONFLICT"}
    for one, rival in (name, other), (other, name):
        said = daemon.ctl("check", one, status=1).stdout
        assert f"FAIL: {rival} claims the cgroup {of_lxd.cgroup} too, by its match" in said
    said = daemon.ctl("whois", str(of_lxd.pid))
    assert f"{name}, by its match" in said and f"{other}, by its match" in said
    assert "It is no instance" in said and whose(daemon, of_lxd.pid)["outcome"] == "conflict"
    # Whose it is stands against a guess, and a guess against it.
    daemon.ctl("attach", name, "--pid", str(of_lxd.pid), "--path", "/dev/lxd-files")
    assert whose(daemon, of_lxd.pid)["outcome"] == "conflict"
    daemon.record(other, config={"user.role": "backend"})
    assert of_lxd.run("cat /dev/lxd-files/config/user.role").stdout == "frontend"
