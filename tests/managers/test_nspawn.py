# SPDX-License-Identifier: GPL-2.0-or-later
"""A container as systemd-nspawn@.service runs it: it needs `create --nspawn`, and the mount."""

import contextlib
import os

import pytest

from guest import Cgroup
from nspawn import Nspawn


@pytest.fixture(params=Nspawn.KINDS)
def container(request, lab):
    container = Nspawn(lab, "web1", request.param, "cgroup")
    container.unit.remove()
    container.unit = Cgroup(f"/machine.slice/systemd-nspawn@{container.id}.service")
    yield container
    container.close()
    with contextlib.suppress(OSError):  # there may be others
        os.rmdir(os.path.dirname(container.unit.dir))


def test_unit(daemon, container):
    """Its root is the guest's, not that of nspawn, which is in the same unit and older."""
    daemon.ctl("create", container.id, "--nspawn", "-c", "user.role=front")
    container.mounts.append((daemon.tree(container.id), "/dev/lxd"))
    container.up()
    assert container.cat("config/user.role") == "front"
    assert container.curl("/1.0/config/user.role") == (200, "front")
    owner = container.run(["ls", "-ln", "/dev/lxd/config/user.role"]).stdout.split()[2:4]
    assert owner == ["0", "0"]
    assert f"root:      {container.root_uid}" in daemon.ctl("whois", str(container.pid))
