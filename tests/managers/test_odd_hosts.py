# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts without cgroup2, and containers without cgroups, which crun has."""

import json

import pytest

from bwrap import Bwrap
from container import call
from guest import cgroup2_root
from podman import Podman

HIDE = ["unshare", "--mount", "/bin/sh", "-c", f'umount --lazy {cgroup2_root()} && exec "$@"', "sh"]
IS_HYBRID = cgroup2_root() != "/sys/fs/cgroup"


class Crun(Podman):
    """Podman with crun; cgroup2 is out of its sight where it is beside hierarchies of version 1."""

    is_hidden = IS_HYBRID

    def command(self, *args):
        words = ["crun" if word == "runc" else word for word in super().command(*args)]
        return [*HIDE, *words] if self.is_hidden else words

    def enter(self):
        # What `podman exec` starts has no cgroup either.
        return super(Podman, self).enter()


@pytest.fixture
def crun(lab):
    container = Crun(lab, "web1", way="attach", options=["--cgroups=disabled"])
    yield container
    container.close()


@pytest.mark.xdist_group("podman-privileged")
def test_no_cgroup_of_its_own(daemon, crun):
    daemon.ctl("create", "web1", "-c", "user.role=front")
    crun.up()
    before = crun.cgroup()
    daemon.ctl("attach", "web1", "--pid", str(crun.pid))
    assert crun.cgroup() == f"/devlxdfs/web1.{crun.pid}" != before
    assert crun.cat("config/user.role") == "front"
    assert crun.curl("/1.0/config/user.role") == (200, "front")


@pytest.mark.xdist_group("podman-privileged")
def test_crun_with_a_mount(daemon, crun):
    """On a hybrid host it does not start with cgroup2 in its sight, and says why."""
    daemon.ctl("create", "web1", "--mount", "-c", "user.role=front")
    crun.mounts.append((daemon.tree("web1"), "/dev/lxd"))
    crun.options.clear()
    if IS_HYBRID:
        crun.is_hidden = False
        with pytest.raises(AssertionError, match="cgroups in hybrid mode not supported"):
            crun.start()
        crun.stop()
        crun.is_hidden = True
    crun.up()
    assert crun.run(["cat", "/dev/lxd/config/user.role"]).stdout == "front"


def test_no_cgroup2(new_daemon, lab):
    daemon = new_daemon(wrapper=HIDE).start()
    record = {"name": "web1", "config": {"user.role": "front"}, "match": {"mount": True}}
    daemon.ctl("apply", "-", input=json.dumps(record))
    host = ["nsenter", f"--target={daemon.keeper_pid}", "--mount"]
    ours = [*host, f"{daemon.build}/hostapi/ctl/devlxdfs", *daemon._dir_options()]
    assert call([*host, "bwrap", "--bind", lab.root(), "/", "--dev", "/dev", "--bind",
                 daemon.tree("web1"), "/dev/lxd", "cat", "/dev/lxd/config/user.role"]) == "front"
    assert "no cgroup2 hierarchy" in call([*ours, "check"], status=1)
    daemon.ctl("create", "web2")
    guest = Bwrap(lab, "web2").up()
    try:
        said = call([*ours, "attach", "web2", "--pid", str(guest.pid)], status=1)
        assert said.startswith("devlxdfs: web2: not attached: no cgroup2 hierarchy"), said
    finally:
        guest.close()
