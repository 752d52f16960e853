# SPDX-License-Identifier: GPL-2.0-or-later
"""Two hundred containers that come, are attached and go leave nothing; most are cheap ones."""

import contextlib
import json
import os

import pytest

from bwrap import Bwrap
from daemon import Daemon, wait_until
from docker import Docker
from guest import cgroup2_root
from here import BUILD
from lxc import Lxc
from nspawn import Nspawn
from podman import Podman

LOOPS = [(Bwrap, 140), (Nspawn, 30), (Lxc, 10), (Podman, 10), (Docker, 10)]


def descriptors_of(pid):
    """Without pidfds: of who asked lately it keeps a few."""
    n = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            n += os.readlink(f"/proc/{pid}/fd/{fd}") != "anon_inode:[pidfd]"
    return n


def traces(daemon, name):
    """What there is of the guest: in the ledger, cgroups, and mounts of ours."""
    ledger = os.path.join(daemon.dirs["run"], "attached")
    groups = os.path.join(cgroup2_root(), "devlxdfs")
    found = os.listdir(ledger) if os.path.isdir(ledger) else []
    found += [group for group in (os.listdir(groups) if os.path.isdir(groups) else [])
              if group.startswith(name + ".")]
    with open("/proc/self/mountinfo") as lines:
        return found + [line for line in lines if f"/tree/{name} " in line]


@pytest.mark.parametrize("manager, n", [
    pytest.param(manager, n, id=manager.__name__.lower(),
                 marks=pytest.mark.xdist_group(f"{manager.__name__.lower()}-privileged"))
    for manager, n in LOOPS])
def test_loop(lab, manager, n):
    daemon = Daemon(BUILD, lab.daemon_directory(False))
    name = f"{lab.prefix}-loop"  # nobody else's in the cgroups' names
    guest = manager(lab, name, way="attach")

    def descriptors():
        return [descriptors_of(pid) for pid in (daemon.keeper_pid, daemon.worker_pid)]

    def is_running():
        return json.loads(daemon.ctl("list", "-f", "json"))[0]["state"].upper() == "RUNNING"

    try:
        daemon.start()
        daemon.ctl("apply", "-", input=json.dumps({"name": name, "config": {"user.role": "x"}}))
        before = None
        for i in range(n):
            guest.up()
            daemon.ctl("attach", name, "--pid", str(guest.pid))
            if i % 10 == 0:
                assert guest.cat("config/user.role") == "x" and is_running()
            guest.down()
            wait_until(lambda: not traces(daemon, name), lambda: f"gone: {traces(daemon, name)}")
            before = before or descriptors()
        assert not is_running()
        wait_until(lambda: descriptors() <= before,
                   lambda: f"{before} descriptors, as after the first one: {descriptors()}")
    finally:
        guest.close()
        print(daemon.log()[-4000:])
        daemon.stop()
