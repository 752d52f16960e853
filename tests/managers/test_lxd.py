# SPDX-License-Identifier: GPL-2.0-or-later
"""Containers of a real LXD are given our tree, beside LXD's own socket or in its place."""

import pytest

from lxd import Lxd
from reader import Reader


@pytest.fixture(scope="module")
def lxd(tmp_path_factory):
    lxd = Lxd(str(tmp_path_factory.mktemp("lxd"))).start()
    yield lxd
    lxd.stop()


@pytest.fixture
def imported(daemon, lxd):
    """imported(container): its record, made of what LXD says of it, is in force."""
    def do(container):
        ...

    return do


@pytest.mark.parametrize("privileged", [False, True])
def test_x(lxd, daemon, privileged):
    c = lxd.container(config={"user.role": "frontend"}, privileged=privileged)
    daemon.record(c.name, config={"user.role": "frontend"},
                  match={"cgroup": f"/lxc.payload.{c.name}"})
    c.add_device("files", "disk", source=daemon.tree(c.name), path="/dev/lxd-files")
    c.start()
    print(c.cgroup)
    print(c.run("ls -la /dev/lxd /dev/lxd-files /dev/lxd-files/config; cat /dev/lxd-files/config/user.role; mount | grep lxd").stdout)
    print(daemon.ctl("check", c.name, status=None))
    print(daemon.ctl("whois", str(c.pid)))
    print(c.run("python3 -c 'import os; print(os.getuid())'"))
    print(c.run("curl --unix-socket /dev/lxd-files/sock http://lxd/1.0").stdout)
    print(c.run("curl --unix-socket /dev/lxd/sock http://lxd/1.0").stdout)
    assert 0
