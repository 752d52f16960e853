# SPDX-License-Identifier: GPL-2.0-or-later
"""Containers of a real LXD are given our tree as examples/lxd does it.

Beside LXD's own socket, or in its place.
"""

import json

import pytest

from daemon import wait_until
from lxd_fixtures import give, lxd  # noqa: F401 (fixtures)
from reader import Reader

pytestmark = pytest.mark.xdist_group("lxd")


@pytest.fixture(params=["beside", "instead"])
def place(request):
    """(the option, where the directory then is)"""
    return {"beside": ([], "/dev/lxd-files"), "instead": (["--instead"], "/dev/lxd")}[request.param]


@pytest.fixture(params=["mapped", "privileged"])
def container(request, lxd):  # noqa: F811
    container = lxd.container(config={"user.role": "frontend"},
                              privileged=request.param == "privileged")
    yield container
    container.delete()


def test_directory(daemon, container, give, place):  # noqa: F811
    """Keys, socket, ownership, state and events, and who it is by the cgroup that LXD makes."""
    options, path = place
    name = container.name
    assert give(container, *options) == f"{name}: created\nDevice files added to {name}\n"
    container.start()
    assert container.cgroup == f"/lxc.payload.{name}"
    assert container.run(f"cat {path}/config/user.role").stdout == "frontend"
    assert container.run(f"cat {path}/name").stdout == f"{name}\n"
    status = container.run(["curl", "-s", "--unix-socket", f"{path}/sock",
                            "http://lxd/1.0/config/user.role"])
    assert status.stdout == "frontend"
    owners = container.run(f"stat -c '%u:%g %a %n' {path} {path}/config/* {path}/state").stdout
    assert owners.splitlines() == [f"0:0 555 {path}", f"0:0 400 {path}/config/user.role",
                                   f"0:0 600 {path}/state"]
    denied = container.run(f"cat {path}/config/user.role", uid=1000, check=False)
    assert denied.returncode != 0 and "Permission denied" in denied.stderr
    assert container.run(f"echo x >{path}/config/user.role", check=False).returncode != 0

    container.run(f"echo Ready >{path}/state")
    assert json.loads(daemon.ctl("list", "-f", "json"))[0]["ready"] is True
    events = Reader(container, ["cat", f"{path}/events"])
    for old, new in ("frontend", "backend"), ("backend", "database"):
        daemon.ctl("config", "set", name, f"user.role={new}")
        event = json.loads(events.until("user.role")[-1])
        assert event["metadata"] == {"key": "user.role", "old_value": old, "value": new}
        assert container.run(f"cat {path}/config/user.role").stdout == new
    events.child.terminate()


def test_lxds_own_socket(daemon, container, give, place):  # noqa: F811
    """It stays at /dev/lxd, or is gone from there, and check says which."""
    options, path = place
    give(container, *options)
    container.start()
    container.run(f"cat {path}/config/user.role")
    answer = container.run(["curl", "-s", "--unix-socket", "/dev/lxd/sock", "http://lxd/1.0"])
    is_ours = "supported_storage_drivers" in json.loads(answer.stdout)
    assert is_ours is bool(options)
    said = daemon.ctl("check", container.name)
    assert f"of the container {container.name} of LXD or Incus in " in said
    assert ("ok: at its /dev/lxd is its directory of the tree" in said) is is_ours
    assert ("note: its directory is in use, but not at its /dev/lxd, where another daemon's socket "
            "is" in said) is not is_ours


def test_switched_off_in_lxd(daemon, lxd, give):  # noqa: F811
    """Where LXD's own was not wanted, ours is served: the key is not copied with the others."""
    container = lxd.container(config={"user.role": "frontend", "security.devlxd": "false"})
    give(container, "--instead")
    container.start()
    assert container.run("cat /dev/lxd/config/user.role").stdout == "frontend"


def test_project(daemon, lxd, give):  # noqa: F811
    """Its cgroup has another name."""
    lxd.lxc("project", "create", "other", "--config=features.images=false",
            "--config=features.profiles=false")
    container = lxd.container(config={"user.role": "frontend"}, project="other")
    give(container, "--project", "other")
    container.start()
    assert container.cgroup == f"/lxc.payload.other_{container.name}"
    assert container.run("cat /dev/lxd-files/config/user.role").stdout == "frontend"


def test_running(daemon, container, give, place):  # noqa: F811
    """The device can be added to one that runs, taken away, and is there again after a restart."""
    options, path = place
    container.start()
    give(container, *options)
    assert container.run(f"cat {path}/config/user.role").stdout == "frontend"
    container.stop()
    wait_until(lambda: "STOPPED" in daemon.ctl("list"), "the end of the guest")
    container.start()
    assert container.run(f"cat {path}/config/user.role").stdout == "frontend"
    container.lxc("config", "device", "remove", container.name, "files")
    assert container.run(f"ls {path}/config", check=False).returncode != 0


def test_restart_of_the_daemon(daemon, container, give, place):  # noqa: F811
    """A worker that dies is not noticed. The mount dies with the keeper: attach gives it back."""
    options, path = place
    give(container, *options)
    container.start()
    daemon.kill_worker()
    assert container.run(f"cat {path}/config/user.role").stdout == "frontend"
    daemon.stop()
    daemon.start()
    lost = container.run(f"cat {path}/config/user.role", check=False)
    assert lost.returncode != 0 and "not connected" in lost.stderr
    daemon.ctl("attach", container.name, "--path", path)
    assert container.run(f"cat {path}/config/user.role").stdout == "frontend"
    # Who was attached once is attached again without being asked for.
    daemon.stop()
    daemon.start()
    wait_until(lambda: container.run(f"cat {path}/config/user.role", check=False).stdout
               == "frontend", "the directory")


def test_start_without_the_daemon(daemon, container, give, place):  # noqa: F811
    """The container starts; when the daemon is there, attach gives it what it lacks."""
    options, path = place
    give(container, *options)
    daemon.stop()
    container.start()
    assert container.run(f"ls {path}/config", check=False).returncode != 0
    daemon.start()
    daemon.ctl("attach", container.name, "--path", path)
    assert container.run(f"cat {path}/config/user.role").stdout == "frontend"


def test_neighbour(daemon, lxd, give):  # noqa: F811
    """One that is given another's directory reads nothing of it."""
    first, second = (lxd.container(config={"user.role": role}) for role in ("first", "second"))
    for container in first, second:
        give(container)
    second.add_device("stolen", "disk", source=daemon.tree(first.name), path="/dev/stolen")
    for container in first, second:
        container.start()
    for container, role in (first, "first"), (second, "second"):
        done = container.run("cat /dev/lxd-files/config/user.role", check=False)
        assert done.stdout == role, (done, daemon.ctl("whois", str(container.pid)),
                                     container.run("stat /dev/lxd-files/config/*", check=False))
    stolen = second.run("cat /dev/stolen/config/user.role", check=False)
    assert stolen.returncode != 0 and stolen.stdout == ""
    assert second.run("ls /dev/stolen/config", check=False).returncode != 0
